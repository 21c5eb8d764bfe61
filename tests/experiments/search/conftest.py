import shutil
from pathlib import Path

import pytest

from experiments.trials import Trials
from tests.experiments.search.inspection import GAME, SCENARIO, play_here


@pytest.fixture
def place(tmp_path, monkeypatch, register):
    """A folder with the inspection game and its scenario; commands run there."""
    shutil.copy(GAME, tmp_path / "inspection.py")
    (tmp_path / "inspection.toml").write_text(SCENARIO)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def trials(place):
    return Trials("trials", "inspection.toml", {}, Path("trials"), play_here)
