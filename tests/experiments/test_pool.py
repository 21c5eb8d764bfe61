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


def test_a_process_is_in_no_folder_between_tasks(tmp_path, monkeypatch):
    """What it imports for its next task it would import in a folder that may be gone."""
    monkeypatch.chdir(tmp_path)
    pids, failed = [], []
    in_processes(os.getpid, [()], 1, pids.append, lambda *why: failed.append(why))
    assert failed == []
    assert os.readlink(f"/proc/{pids[0]}/cwd") == os.sep
