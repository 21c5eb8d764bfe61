"""Places: checked by the very act that is done at the end, before anything is played."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from experiments import RunError, compare, open_run, run, run_many, rundir, sweep
from experiments.cli import app
from experiments.reports import report
from experiments.results import Results
from experiments.sweeps import manifest
from fedstake.errors import InputError
from tests.conftest import TINY
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


# --- names that no record can hold ----------------------------------------------------------------

ODD = os.fsdecode(b"odd\xff")


def refused_once(words):
    """Return the one line with which a command refuses its words."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 2, done.output
    assert done.output.count("\n") == 1
    return done.output


@pytest.mark.parametrize("below", [ODD, f"{ODD}/run"])
def test_an_output_folder_that_is_not_utf8(tiny, tmp_path, below):
    for place in (tmp_path / below, Path(below)):
        assert "its name is not UTF-8" in played(tiny(), place)
        with pytest.raises(RunError, match="not UTF-8"):
            run_many([tiny()], place, workers=1)
        with pytest.raises(RunError, match="not UTF-8"):
            sweep({"name": "s", "scenario": "vbfl", "set": TINY, "seeds": 2}, place, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_current_folder_that_is_not_utf8(tiny, tmp_path, monkeypatch):
    (tmp_path / ODD).mkdir()
    monkeypatch.chdir(tmp_path / ODD)
    assert "its name is not UTF-8" in played(tiny(), "run")


def test_what_is_read_from_a_place_that_is_not_utf8(tiny, tmp_path, monkeypatch):
    """It is the name that is wrong: no table is called damaged."""
    run(tiny(rounds=1), tmp_path / "run")
    home = tmp_path / ODD
    home.mkdir()
    (tmp_path / "run").rename(home / "run")
    with pytest.raises(InputError, match="its name is not UTF-8") as refused:
        open_run(home / "run").rounds()
    assert "damaged" not in str(refused.value)
    (home / "rule.py").write_text("raise AssertionError('imported')")
    with pytest.raises(InputError, match="cannot be stored"):
        tiny(payout__mechanism=f"{home / 'rule.py'}:Rule")
    monkeypatch.chdir(home)
    with pytest.raises(InputError, match="its name is not UTF-8"):
        tiny(payout__mechanism="rule.py:Rule")


@pytest.mark.parametrize(
    "words",
    [
        ["run", "fedavg", "--out", ODD],
        ["run", ODD],
        ["run", "fedavg", "--set", f"payout.mechanism={ODD}.py:X"],
        ["run", "fedavg", "--data", ODD],
        ["sweep", "fedavg", "--vary", "seed=1,2", "--out", ODD],
        ["report", ODD],
        ["compare", ODD],
        ["replay", ODD],
        ["verify", ODD],
        ["game", ODD],
        ["search", ODD],
        ["audit", "flat", "--out", ODD],
        ["bench", "--table", "--write", ODD],
        ["list", ODD],
    ],
)
def test_a_word_that_is_not_utf8_is_refused_by_every_command(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    assert "odd\\udcff" in refused_once(words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["report", "compare", "replay", "verify", "game", "search"])
def test_a_name_that_is_too_long_is_wrong_input_and_shortened(command):
    said = refused_once([command, "x" * 5000])
    assert len(said) < 400


def test_files_and_folders_of_commands_are_checked_before_anything_is_printed(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "pipe: is a file" in refused_once(["bench", "--table", "--write", pipe])
    with pytest.raises(RunError, match="no regular file"):
        rundir.check_file(pipe)
    with pytest.raises(RunError, match="is a folder"):
        rundir.check_file(tmp_path)
    rundir.check_file(tmp_path / "new" / "file")
    assert not (tmp_path / "new").exists()
