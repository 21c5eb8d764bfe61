"""Places: checked by the very act that is done at the end, before anything is played."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from experiments import RunError, compare, open_run, run, run_many, rundir, sweep
from experiments.reports import report
from experiments.results import Results
from experiments.sweeps import manifest
from tests.experiments.test_compare import OBJECTIVE, SWEEP

LONGEST = "n" * 255


def played(scenario, out, **options):
    """Return how many rounds were played until a run was refused."""
    rounds = []
    with pytest.raises(RunError) as refused:
        run(scenario, out, on_start=rounds.append, **options)
    assert rounds == []
    message = str(refused.value)
    assert "\n" not in message
    return message


# --- what is refused, before the first round ------------------------------------------------------


@pytest.mark.parametrize(
    ("out", "words"),
    [
        (".", "is the current folder"),
        ("", "is the current folder"),
        ("..", "is the current folder or around it"),
        ("/", "is the root of the file system"),
        ("/dev/null", "is a file"),
        ("/dev/null/x", "/dev/null is a file"),
        ("/proc/x", "cannot be written"),
        (LONGEST + "n", "cannot be written (File name too long)"),
        (f"a/{LONGEST}n/b", "cannot be written (File name too long)"),
    ],
)
def test_places_that_no_folder_can_take(tiny, tmp_path, monkeypatch, out, words):
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    assert words in played(tiny(), out)
    assert list((tmp_path / "cwd").iterdir()) == [], "nothing is written"


def test_a_link_that_leads_nowhere(tiny, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for out in ("link", "link/below"):
        message = played(tiny(), tmp_path / out)
        assert f"is a link to {tmp_path / 'nowhere'}, which is not there" in message
        with pytest.raises(RunError, match="which is not there"):
            run_many([tiny()], tmp_path / out, workers=1)
    assert (tmp_path / "link").is_symlink()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "loop" in played(tiny(), tmp_path / "loop")


def test_a_place_that_cannot_be_renamed_as_a_mount_point(tiny, tmp_path, monkeypatch):
    """The act itself is tried: the kernel refuses to rename a mount point."""
    volume = tmp_path / "volume"
    volume.mkdir()
    rename = os.rename

    def busy(old, new):
        if Path(old) == volume or Path(new) == volume:
            raise OSError(16, "Device or resource busy", str(old))
        rename(old, new)

    monkeypatch.setattr(os, "rename", busy)
    assert "is a mount point, which no folder can replace" in played(tiny(), volume)
    assert list(tmp_path.iterdir()) == [volume]
    assert run(tiny(rounds=1), volume / "run").path.is_dir(), "a folder in it does"


def test_a_true_mount_point(tiny):
    """The temporary memory disk of Linux is one."""
    if not os.path.ismount("/dev/shm") or not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm that can be written")
    assert "is a mount point, which no folder can replace" in played(tiny(), "/dev/shm")


@contextmanager
def only_read(folder):
    """Take away the right to write into a folder; root acts as nobody meanwhile."""
    user, inside = os.geteuid(), [folder, *folder.rglob("*")]
    for path in inside:
        path.chmod(0o555 if path.is_dir() else 0o444)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        for path in inside:
            path.chmod(0o755)


@pytest.fixture
def open_to_all():
    """Yield a folder that others than root can get into, unlike those of pytest."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def test_a_parent_that_can_only_be_read(tiny, open_to_all):
    scenario = tiny()
    folder = open_to_all / "folder"
    (folder / "inside").mkdir(parents=True)
    with only_read(folder):
        for out in (folder / "run", folder / "inside", folder / "inside" / "run"):
            assert "cannot be written (Permission denied)" in played(scenario, out)


# --- what works -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [LONGEST, "ß" * 127, "with space", "-dash", "a.b"])
def test_names_of_any_length_that_a_disk_takes(tiny, tmp_path, name):
    result = run(tiny(), tmp_path / name, checkpoint_every=1)
    assert open_run(tmp_path / name).run_id == result.run_id
    again = run(tiny(), tmp_path / name, force=True)
    assert again.digest() == result.digest()
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert rundir.write_file(tmp_path / name / name, "text") is None


def test_a_link_is_followed_and_kept(tiny, tmp_path):
    (tmp_path / "disk" / "target").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "target")
    for options in ({}, {"force": True}):
        result = run(tiny(rounds=2), tmp_path / "link", checkpoint_every=1, **options)
        assert (tmp_path / "link").is_symlink()
        assert open_run(tmp_path / "disk" / "target").run_id == result.run_id
    assert [p.name for p in (tmp_path / "disk").iterdir()] == ["target"]
    assert {p.name for p in tmp_path.iterdir()} == {"disk", "link"}


def test_a_file_that_is_a_link_is_followed_and_kept(tmp_path):
    (tmp_path / "target.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
    rundir.write_file(tmp_path / "link.csv", "new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text() == "new"


def test_the_check_leaves_everything_as_it_was(tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o750)
    (mine / "notes.txt").write_text("years of work")
    before = mine.stat()
    rundir.check_place(mine)
    rundir.check_writable(mine)
    rundir.check_place(tmp_path / "a" / "b" / "c")
    rundir.check_writable(tmp_path / "a" / "b" / "c")
    assert (mine.stat().st_ino, mine.stat().st_mode) == (before.st_ino, before.st_mode)
    assert (mine / "notes.txt").read_text() == "years of work"
    assert list(tmp_path.iterdir()) == [mine]


def test_a_check_that_is_interrupted_puts_back_what_it_moved(tmp_path, monkeypatch):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("years of work")
    rename = os.rename

    def stop(old, new):
        rename(old, new)
        if Path(old) == mine:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        rundir.check_place(mine)
    assert (mine / "notes.txt").read_text() == "years of work"
    assert list(tmp_path.iterdir()) == [mine]


# --- what is only read ----------------------------------------------------------------------------


def test_what_is_recorded_is_read_where_nothing_can_be_written(tiny, open_to_all):
    done = run(tiny(rounds=1), open_to_all / "kept" / "run")
    report(
        done, open_to_all / "before", figures="groups"
    )  # what is imported and cached once is there
    with only_read(open_to_all / "kept"):
        assert run(tiny(rounds=1), done.path).run_id == done.run_id
        page = report(open_run(done.path), open_to_all / "page", figures="groups")
        with pytest.raises(RunError, match="cannot be written"):
            report(open_run(done.path))
    assert page.is_file()


@pytest.mark.slow
def test_a_sweep_is_compared_and_reported_where_nothing_can_be_written(tmp_path, open_to_all):
    file = open_to_all / "rules.toml"
    file.write_text(SWEEP.format(seeds=1, settings=OBJECTIVE.format("accuracy")))
    kept = open_to_all / "kept"
    sweep(file, kept, workers=1)
    few = "accuracy-curves"
    report(
        Results.open(kept), open_to_all / "before", figures=few
    )  # what is imported and cached once is there
    before = sorted(kept.rglob("*"))
    with only_read(kept):
        verdict = compare(kept, out=open_to_all / "card")
        page = report(Results.open(kept), open_to_all / "page", figures=few)
        with pytest.raises(RunError, match="cannot be written"):
            compare(kept)
    assert {file.parent for file in verdict.files} == {open_to_all / "card"}
    assert all(file.is_file() for file in (page, *verdict.files))
    assert sorted(kept.rglob("*")) == before, "nothing is written beside what is read"


# --- a disk that is full --------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["write", "sync"])
def test_a_full_disk_names_the_path(tiny, tmp_path, monkeypatch, at):
    def full(*_, **__):
        raise OSError(28, "[Errno 28] Error writing bytes to file. Detail: [errno 28] No space")

    if at == "write":
        monkeypatch.setattr("experiments.rundir.pq.write_table", full)
    else:
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as failed:
        run(tiny(rounds=1), tmp_path / "run")
    assert failed.value.filename == str(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_names_the_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device") as failed:
        rundir.write_file(tmp_path / "table.csv", "text")
    assert failed.value.filename == str(tmp_path / "table.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_names_the_manifest_of_a_sweep(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left on device") as failed:
        manifest.append(tmp_path, manifest.Receipt("x", "done"))
    assert failed.value.filename == str(tmp_path / "manifest.jsonl")
