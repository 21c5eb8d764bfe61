"""Processes of this machine that run tasks."""

import os

import pytest

from experiments.pool import in_processes

pytestmark = pytest.mark.slow


def test_processes_that_are_used_again_work_where_their_parent_is(tmp_path, monkeypatch):
    """A sweep after a change of the folder reads its own names; the old folder may be gone."""
    failed = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        found = []
        in_processes(os.getcwd, [(), ()], 1, found.append, lambda *why: failed.append(why))
        assert (found, failed) == ([str(folder)] * 2, [])
        monkeypatch.chdir(tmp_path)
        folder.rmdir()
