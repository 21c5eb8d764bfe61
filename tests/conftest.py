import os
from pathlib import Path

import pytest
from hypothesis import settings

from experiments import load_scenario
from sim.scenario import Scenario
from sim.threads import single_threaded

settings.register_profile("fedstake", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("fedstake")
single_threaded()

TINY = {
    "rounds": 3,
    "devices": 8,
    "data.dataset": "synthetic",
    "data.params": {"train": 160, "test": 60, "features": 6, "classes": 3},
    "data.partition": "iid",
    "data.validation_fraction": 0.25,
    "model.name": "softmax",
    "roles.params": {"counts": "4,2,2"},
    "training.epochs": 1,
    "training.learning_rate": 0.1,
}
"""A whole VBFL world in about 20 ms a round."""

TINY_SERVER = {key: value for key, value in TINY.items() if not key.startswith("roles.")}
"""The same for a protocol in which nobody draws roles."""


@pytest.fixture(scope="session")
def tiny():
    """Build a tiny scenario from a preset with dotted keys changed."""

    def build(preset: str = "vbfl", **changes: object) -> Scenario:
        dotted = {key.replace("__", "."): value for key, value in changes.items()}
        return load_scenario(preset, {**TINY, **dotted})

    return build


@pytest.fixture(scope="session")
def mnist_folder() -> Path:
    """Return the folder with mnist/t10k-*; tests of real MNIST are skipped without it."""
    for folder in (os.environ.get("FEDSTAKE_DATA"), Path(__file__).parents[2] / "shared" / "data"):
        if folder and (Path(folder) / "mnist" / "t10k-images-idx3-ubyte.gz").is_file():
            return Path(folder)
    pytest.skip(
        "no MNIST files: set FEDSTAKE_DATA to the folder that holds mnist/t10k-images-idx3-ubyte.gz"
    )
