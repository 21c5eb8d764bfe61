"""Annotation: a creator buys labels from annotators, and trains a model on them."""

from sim.protocols.annotation.protocol import Annotation

__all__ = ["Annotation"]
