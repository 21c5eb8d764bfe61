"""The authors' data sets, where the user has them as `.npz` files: the sweeps that they allow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.reproduce.plan import Part
from experiments.sweeps.plan import spec_of
from sim.data.folder import load_dataset

BOTH = ("naive-bayes", "nearest-centroid", "sgd-perceptron")
FILES: Mapping[str, tuple[str, ...]] = {
    "fitness.npz": BOTH,
    "imdb.npz": BOTH,
    "fake-news.npz": BOTH,
    "imdb-100.npz": ("sgd-perceptron",),
    "imdb-200.npz": ("sgd-perceptron",),
    "imdb-10k.npz": ("sgd-perceptron",),
    "imdb-20k.npz": ("sgd-perceptron",),
    "titanic.npz": ("hoeffding-tree", "naive-bayes"),
}
"""By file, in the data folder, the models whose accuracy is published."""
ITSELF = "itself"
"""The sweep of the README figure on IMDB itself, and its only arm."""
SEEDS = {"smoke": 1, "reduced": 5, "paper": 25}
INITIAL = 0.08
"""Share of the training samples that the authors' preset knows at the start."""
CPU_S = 20.0
"""Of one run with 25,000 samples of 1,000 features."""


def group_of(file: str) -> str:
    """Return the name of the sweep of a file's baselines."""
    return f"file-{file.removesuffix('.npz')}"


def at_hand(data: Path, size: str) -> Mapping[str, Part]:
    """Return the sweeps of those files that are in the data folder."""
    there = [file for file in FILES if (data / file).is_file()]
    found = {group_of(file): _baselines(data, file) for file in there}
    if "imdb.npz" in there:
        found[ITSELF] = _readme(data, "imdb.npz", SEEDS[size])
    return found


def _baselines(data: Path, file: str) -> Part:
    """Return the sweep of the models that know all samples of a file but the last."""
    levels = {model: {"market.model": model} for model in FILES[file]}
    settings = {
        "rounds": 1,
        "devices": 1,
        "adversaries": [],
        "market.closes_s": 1.0,
        "data.initial": _rows(data, file) - 1,
    }
    return _part(file, group_of(file), settings, {"arm": {file: {}}, "model": levels}, 1)


def _readme(data: Path, file: str, seeds: int) -> Part:
    """Return the sweep of the README figure on a file."""
    settings = {"data.initial": round(INITIAL * _rows(data, file))}
    factors = {"arm": {ITSELF: {"market.as_published": True}}}
    return _part(file, ITSELF, settings, factors, seeds)


def _rows(data: Path, file: str) -> int:
    """Return how many training samples a file has."""
    return len(load_dataset("npz", {"file": file}, data).x_train)


def _part(
    file: str, name: str, settings: Mapping[str, Any], factors: Mapping[str, Any], seeds: int
) -> Part:
    values = {
        "name": name,
        "scenario": "sum-imdb",
        "seeds": seeds,
        "set": {"data.dataset": "npz", "data.params": {"file": file}, **settings},
        "design": [{"kind": "grid", "factors": factors}],
    }
    return Part(spec_of(values, name), cpu_s_per_run=CPU_S)
