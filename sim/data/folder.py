"""The folder of data files, and data sets loaded once per process."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from sim.data import datasets
from sim.data.sources.base import Dataset


def data_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """Return `given` (--data), else FEDSTAKE_DATA, else the user's cache folder."""
    if given:
        return Path(given).expanduser()
    if os.environ.get("FEDSTAKE_DATA"):
        return Path(os.environ["FEDSTAKE_DATA"]).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fedstake" / "data"


def load_dataset(name: str, params: dict[str, Any], folder: Path) -> Dataset:
    """Load the data set of a scenario; it stays in memory for the next runs of a sweep."""
    return _load(name, json.dumps(params, sort_keys=True), datasets.fingerprint(name), folder)


@lru_cache(maxsize=2)
def _load(name: str, params: str, source: str, folder: Path) -> Dataset:
    """Load a set; `source`, the hash of a source named by path, tells edited files apart."""
    data = datasets.create(name, json.loads(params)).load(folder)
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        array.setflags(write=False)
    return data
