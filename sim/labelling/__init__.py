"""Labelling: a service for games in which labels are bought from annotators."""

from sim.labelling.contract import (
    LabellingError,
    Submission,
    SubmissionStatus,
    Task,
    TaskContract,
    TaskStatus,
)
from sim.labelling.desk import LabellingDesk
from sim.labelling.items import BoughtLabels, Items
from sim.labelling.settings import LabellingSettings

__all__ = [
    "BoughtLabels",
    "Items",
    "LabellingDesk",
    "LabellingError",
    "LabellingSettings",
    "Submission",
    "SubmissionStatus",
    "Task",
    "TaskContract",
    "TaskStatus",
]
