"""Checkpoints as somebody makes them who knows how they are sealed: no error escapes as it is."""

import gzip
import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from experiments import checkpoint
from experiments.arrays import read_arrays
from experiments.loader import load_scenario
from experiments.rundir import RunError
from sim.protocols.vbfl.protocol import Vbfl
from sim.world import World
from tests.conftest import TINY
from tests.forging import resealed


@pytest.fixture(scope="module")
def plain():
    return load_scenario("vbfl", TINY)


@pytest.fixture
def kept(plain, tmp_path):
    """Folder with the checkpoints of two rounds."""
    world = World(plain)
    kept = checkpoint.Checkpoints(plain, tmp_path / "run.checkpoint")
    for _ in range(2):
        world.step()
        kept.note(world)
        kept.write()
    world.close()
    return tmp_path / "run.checkpoint"


def sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def reseal(path):
    """Bring the list of a checkpoint's files up to date; its part of the log is the whole log."""

    def change(values):
        values["files"] = {name: sha256(path / name) for name in values["files"]}
        log = path.parent / values["log"]["name"]
        values["log"] |= {"bytes": log.stat().st_size, "sha256": sha256(log)}

    resealed(path / "hashes.json", change)


# --- what can be changed --------------------------------------------------------------------------


def log_of(path):
    (log,) = path.parent.glob("*-log-*")
    return log


def flip(path):
    """Flip a byte in the second packed line: the checkpoint before needs the first only."""
    log = log_of(path)
    body = bytearray(log.read_bytes())
    body[-100] ^= 0xFF
    log.write_bytes(bytes(body))


def more_lines(line):
    def change(path):
        with log_of(path).open("ab") as log:
            log.write(gzip.compress(line.encode() + b"\n"))

    return change


def row(table, change):
    """Add one row to a table: its last one, changed."""

    def add(path):
        lines = gzip.decompress(log_of(path).read_bytes()).splitlines()
        last = json.loads(lines[-1])[table][-1]
        more_lines(json.dumps({table: [change(last)]}))(path)

    return add


def cell(index, value):
    return lambda values: [*values[:index], value, *values[index + 1 :]]


def member(header, body=b"", name="0.npy"):
    """Replace the models by one array with a header of one's own."""

    def change(path):
        raw = b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header.encode() + body
        with zipfile.ZipFile(path / "models.npz", "w") as archive:
            archive.writestr(name, raw)

    return change


def shape(text):
    return member(f"{{'descr': '<f8', 'fortran_order': False, 'shape': {text}}}\n")


def bytes_at(mark, *changes):
    """Change bytes behind every mark of the archive."""

    def change(path):
        body = bytearray((path / "models.npz").read_bytes())
        for offset, value in changes:
            body[body.index(mark) + offset] = value
        (path / "models.npz").write_bytes(bytes(body))

    return change


def models(change):
    def changed(path):
        with np.load(path / "models.npz") as archive:
            arrays = {name: change(archive[name]) for name in archive.files}
        np.savez(path / "models.npz", **arrays)

    return changed


def state(change):
    def changed(path):
        values = json.loads((path / "state.json").read_text())
        change(values["state"])
        (path / "state.json").write_text(json.dumps(values))

    return changed


def rename(values):
    accounts = values["kernel"]["treasury"]["ledger"]["accounts"]
    accounts[1] = "device:x"


def give(values):
    """Move half a unit, and a whole one, so that the sum stays."""
    held = values["kernel"]["treasury"]["ledger"]["balances"]["STAKE"]
    held[0], held[1] = held[0] - 0.5, held[1] + 0.5


def packed(path):
    raw = io.BytesIO()
    np.save(raw, np.zeros(10**5))
    with zipfile.ZipFile(path / "models.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.npy", raw.getvalue())


DIRECTORY = b"PK\1\2"
FORGED = {
    "a byte of the log": (flip, "-log-.*cannot be unpacked"),
    "a line of the log": (more_lines("[1]"), "-log-.*holds no rows by record"),
    "rows that are none": (more_lines('{"rounds": 5}'), "-log-.*holds no rows by record"),
    "a shape beyond C": (shape("(0, 99999999999999999999)"), r"models\.npz"),
    "a shape beyond memory": (shape("(10000000, 9999999)"), r"models\.npz.*does not fit its size"),
    "a shape below zero": (shape("(-1, -5)"), r"models\.npz"),
    "brackets": (member("(" * 3000), r"models\.npz"),
    "objects": (member("{'descr': '|O', 'fortran_order': False, 'shape': ()}\n"), "objects"),
    "encrypted": (bytes_at(DIRECTORY, (8, 1)), r"models\.npz.*encrypted"),
    "another method": (bytes_at(DIRECTORY, (10, 97)), r"models\.npz.*packed"),
    "packed": (packed, r"models\.npz.*packed"),
    "short models": (models(lambda array: array[:5]), r"model \d+ is of .*shape \(5,\)"),
    "models of text": (models(lambda array: array.astype("U9")), r"model \d+ is of type <U9"),
    "endless time": (state(lambda v: v["kernel"].update(time_s=float("inf"))), "time_s inf"),
    "a round of text": (state(lambda v: v["kernel"].update(round="x")), "round 'x'"),
    "an account": (state(rename), "no account 'device:1'"),
    "half a unit": (state(give), "no whole number"),
    "what was sent": (state(lambda v: v["protocol"]["sent"].__setitem__(0, "x")), "'x'"),
    "a cell": (row("participants", cell(0, "x")), "table participants, column round: "),
    "a truth": (row("votes", cell(0, "x")), "table votes, column round: "),
    "a cell less": (row("votes", lambda values: values[:-1]), "table votes: a row must have"),
    "an entry": (row("journal", cell(5, "x")), "forged"),
    "a text of an entry": (row("journal", cell(2, 5)), "forged"),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_checkpoint_is_refused_in_one_line_and_the_one_before_is_used(plain, kept, name):
    forge, expected = FORGED[name]
    path = checkpoint.newest(plain, kept)
    forge(path)
    reseal(path)
    with pytest.raises(RunError, match=expected) as refused:
        checkpoint.load(plain, path)
    said = str(refused.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    assert len(said) < len(str(path)) + 400
    with pytest.warns(checkpoint.DamagedCheckpointWarning, match="going on from round 1"):
        checkpoint.resume(plain, kept).close()


def test_what_only_a_round_finds_wrong_names_the_checkpoint(plain, kept, monkeypatch):
    world = checkpoint.load(plain, checkpoint.newest(plain, kept))
    monkeypatch.setattr(Vbfl, "play_round", lambda self: [][0])
    found = rf"{world.origin}: .* may be damaged or forged \(round 3: IndexError: list index"
    with pytest.raises(RunError, match=found), checkpoint.blamed(world):
        next(world.run())
    world.close()


def test_a_fault_of_a_run_from_its_first_round_blames_no_checkpoint(plain, monkeypatch):
    world = World(plain)
    monkeypatch.setattr(Vbfl, "play_round", lambda self: [][0])
    with pytest.raises(IndexError), checkpoint.blamed(world):
        next(world.run())
    world.close()


def test_arrays_come_back_as_they_were(tmp_path):
    given = {
        "column": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "text": np.array(["a", "bc"]),
        "none": np.zeros((0, 4), np.float32),
        "one": np.array(5),
    }
    np.savez(tmp_path / "a.npz", **given)
    read = read_arrays(Path(tmp_path / "a.npz"))
    assert read.keys() == given.keys()
    for name, array in given.items():
        assert np.array_equal(read[name], array)
        assert read[name].dtype == array.dtype
        assert read[name].flags.writeable
