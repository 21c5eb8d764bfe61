import gzip
import hashlib
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from experiments import load_scenario
from experiments.cli import app
from experiments.conformance.sources import DatasetConformance
from experiments.loader import dumps
from mechanisms.plugin import PluginError
from sim.data import datasets, partition
from sim.data.folder import content_digest, data_folder, load_dataset
from sim.data.sources.base import DataError, Dataset
from sim.data.sources.idx import IdxFile, Mnist10k, read_idx
from sim.data.sources.imdb_like import ImdbLike
from sim.data.sources.npz import Npz
from sim.data.sources.synthetic import Synthetic
from sim.data.sources.table import TableFile
from sim.data.split import split_data
from sim.online import online_models
from sim.online.samples import Samples
from sim.settings import DataSettings
from sim.streams import Streams
from sim.world import World
from tests.conftest import TINY


@settings(max_examples=50)
@given(
    n=st.integers(40, 400),
    devices=st.integers(1, 12),
    classes=st.integers(1, 10),
    seed=st.integers(0, 99),
)
def test_partitions_deal_every_sample_at_most_once(n, devices, classes, seed):
    labels = np.random.default_rng(seed).integers(0, classes, n)

    def rng():
        return np.random.default_rng(seed)

    iid = partition.iid(labels, devices, rng())
    quantity = partition.quantity(labels, devices, rng(), alpha=0.5)
    shards = partition.shards(labels, devices, rng())
    for parts, whole in ((iid, True), (quantity, False), (shards, False)):
        dealt = np.concatenate(parts)
        assert len(parts) == devices
        assert min(map(len, parts)) > 0
        assert len(dealt) == len(set(dealt.tolist())) <= n
        assert len(dealt) == n or not whole
    assert {len(p) for p in shards} == {2 * (n // devices // 2)}


def test_shards_are_vbfls():
    """8,000 samples, 20 devices: 40 shards of 200 by label, two to each device."""
    labels = np.repeat(np.arange(10), 800)
    parts = partition.shards(labels, 20, np.random.default_rng(0))
    assert {len(p) for p in parts} == {400}
    assert max(len(set(labels[p])) for p in parts) <= 4
    assert np.mean([len(set(labels[p])) for p in parts]) <= 2.5


def test_the_order_within_a_label_is_a_switch():
    """File order deals neighbours together, shuffling does not; labels go to the same devices."""
    labels = np.tile(np.arange(10), 800)

    def deal(shuffled):
        rng = np.random.default_rng(3)
        return partition.shards(labels, 20, rng, shuffled=shuffled)

    mixed, filed = deal(shuffled=True), deal(shuffled=False)
    for a, b in zip(mixed, filed, strict=True):
        assert labels[a].tolist() == labels[b].tolist()
    spans = {}
    for name, parts in (("mixed", mixed), ("filed", filed)):
        shards = [shard for part in parts for shard in np.split(part, 2)]
        spans[name] = {int(np.ptp(shard)) // 1000 for shard in shards}
    assert spans["filed"] == {1}  # 200 neighbours of one label: a quarter of the file
    assert min(spans["mixed"]) >= 7
    x = np.zeros((len(labels), 1), dtype=np.float32)
    data = Dataset("made", x, labels, x[:10], labels[:10], 10)
    for order in ("shuffled", "file"):
        settings_ = DataSettings(shard_order=order, validation_fraction=0.0)
        dealt = split_data(data, settings_, 20, Streams(3)).train
        shards = [shard for part in dealt for shard in np.split(part, 2)]
        assert all((np.diff(shard) > 0).all() for shard in shards) == (order == "file")


def test_dirichlet_skews_more_for_smaller_alpha():
    labels = np.repeat(np.arange(10), 200)

    def skew(alpha):
        parts = partition.dirichlet(labels, 10, np.random.default_rng(1), alpha=alpha)
        shares = np.array([np.bincount(labels[p], minlength=10) / len(p) for p in parts])
        return float(shares.max(1).mean())

    assert skew(0.1) > skew(1.0) > skew(100.0)
    assert skew(1e6) == pytest.approx(0.1, abs=0.02)
    with pytest.raises(ValueError, match="raise alpha"):
        partition.dirichlet(labels[:30], 25, np.random.default_rng(0), alpha=0.001)


@pytest.mark.parametrize("holding", ["sharded", "shared"])
@pytest.mark.parametrize("kind", ["iid", "shards", "dirichlet", "quantity"])
def test_three_disjoint_parts(kind, holding, tmp_path):
    data = load_dataset("digits", {}, tmp_path)
    settings_ = DataSettings(partition=kind, validation_fraction=0.2)
    split = split_data(data, settings_, 10, Streams(3), source="holdout", holding=holding)
    rows = {x.tobytes() for x, _ in split.validation for x in x}
    train = {data.x_train[i].tobytes() for part in split.train for i in part}
    test = {x.tobytes() for x in data.x_test}
    assert not rows & train
    assert not rows & test
    assert (len({id(x) for x, _ in split.validation}) == 1) == (holding == "shared")
    total = sum(len(y) for _, y in split.validation) // (10 if holding == "shared" else 1)
    assert total == round(0.2 * len(data.y_train))


def test_the_leak_is_a_switch(tmp_path):
    data = load_dataset("digits", {}, tmp_path)
    settings_ = DataSettings(validation_fraction=0.0)
    split = split_data(data, settings_, 10, Streams(3), source="test", holding="shared")
    assert split.validation[0][0] is data.x_test


def test_too_few_samples_is_an_error(tmp_path):
    data = load_dataset(
        "synthetic", {"train": 10, "test": 5, "features": 4, "classes": 2}, tmp_path
    )
    with pytest.raises(DataError, match="too few"):
        split_data(data, DataSettings(partition="iid"), 20, Streams(0))


def test_digits_are_the_real_ones(tmp_path):
    data = load_dataset("digits", {}, tmp_path)
    assert (len(data.y_train), len(data.y_test), data.shape) == (1438, 359, (1, 8, 8))
    assert 0 <= data.x_train.min() < data.x_train.max() <= 1
    assert set(data.y_test) == set(range(10))


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


def test_idx_round_trip_and_errors(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (7, 28, 28))
    path = tmp_path / "x.gz"
    path.write_bytes(idx(images))
    assert (read_idx(path) == images).all()
    for bad, message in (
        (b"not gzip", "gzip"),
        (gzip.compress(b"\1\2\3\4"), "not an IDX"),
        (gzip.compress(bytes([0, 0, 8, 1]) + (9).to_bytes(4, "big") + b"ab"), "header says"),
        (idx(images)[:60], "gzip"),
    ):
        path.write_bytes(bad)
        with pytest.raises(DataError, match=message):
            read_idx(path)


@pytest.fixture
def small_idx(tmp_path, monkeypatch):
    """The real class on files that we make: 20 images, split 15 / 5."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (20, 28, 28)), rng.integers(0, 10, 20)
    folder = tmp_path / "mnist"
    folder.mkdir()
    files = {}
    for key, name, array in (
        ("test_x", "t10k-images-idx3-ubyte.gz", x),
        ("test_y", "t10k-labels-idx1-ubyte.gz", y),
    ):
        (folder / name).write_bytes(idx(array))
        files[key] = IdxFile(name, hashlib.sha256((folder / name).read_bytes()).hexdigest())
    monkeypatch.setattr(Mnist10k, "files", files)
    monkeypatch.setattr(Mnist10k, "TRAIN", 15)
    return tmp_path, x, y


def test_mnist_10k_splits_in_file_order(small_idx):
    folder, x, y = small_idx
    data = Mnist10k().load(folder)
    np.testing.assert_allclose(data.x_train[:, 0] * 255, x[:15], atol=1e-4)
    assert (data.y_test == y[15:]).all()


def test_absent_and_damaged_files_are_explained(small_idx, tmp_path):
    folder, *_ = small_idx
    labels = folder / "mnist" / "t10k-labels-idx1-ubyte.gz"
    labels.write_bytes(labels.read_bytes() + b"x")
    with pytest.raises(DataError, match="SHA-256"):
        Mnist10k().load(folder)
    labels.unlink()
    with pytest.raises(DataError, match="FEDSTAKE_DATA"):
        Mnist10k().load(folder)


def test_download_goes_to_the_folder_and_is_checked(small_idx, monkeypatch, tmp_path):
    """The real fetching code on file:// addresses: a good mirror after a broken and a lying one."""
    source, *_ = small_idx
    lying = tmp_path / "lying"
    lying.mkdir()
    for file in (source / "mnist").iterdir():
        (lying / file.name).write_bytes(b"something else")
    urls = tuple(f"{p.as_uri()}/" for p in (tmp_path / "absent", lying, source / "mnist"))
    monkeypatch.setattr(Mnist10k, "urls", urls)
    target = tmp_path / "fresh"
    data = Mnist10k.configure({"download": True}).load(target)
    assert len(data.y_train) == 15
    assert {p.name for p in (target / "mnist").iterdir()} == {
        p.name for p in (source / "mnist").iterdir()
    }
    monkeypatch.setattr(Mnist10k, "urls", urls[:2])
    with pytest.raises(DataError, match="cannot fetch"):
        Mnist10k.configure({"download": True}).load(tmp_path / "other")


def test_real_mnist_10k(mnist_folder):
    data = load_dataset("mnist-10k", {}, mnist_folder)
    assert data.x_train.shape == (8000, 1, 28, 28)
    assert data.y_train[:5].tolist() == [7, 2, 1, 0, 4]
    assert len(data.y_test) == 2000


@pytest.mark.parametrize(("classes", "separation"), [(2, 2.0), (5, 3.0), (10, 4.0)])
def test_synthetic_sets_have_the_known_difficulty(classes, separation, tmp_path):
    source = Synthetic.configure(
        {"train": 1, "test": 60_000, "features": 12, "classes": classes, "separation": separation}
    )
    data = source.load(tmp_path)
    best = (data.x_test[:, :classes].argmax(1) == data.y_test).mean()
    assert best == pytest.approx(source.bayes_accuracy(), abs=0.006)


def test_data_folder_order(monkeypatch, tmp_path):
    monkeypatch.setenv("FEDSTAKE_DATA", str(tmp_path / "env"))
    assert data_folder(tmp_path / "given") == tmp_path / "given"
    assert data_folder() == tmp_path / "env"
    monkeypatch.delenv("FEDSTAKE_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_folder() == tmp_path / "cache" / "fedstake" / "data"


@pytest.mark.parametrize(("per_device", "unused"), [(30, 550), (2, 30)])
def test_samples_that_shards_leave_over_are_told(per_device, unused):
    few = {
        "rounds": 1,
        "data.partition": "shards",
        "data.shards_per_device": per_device,
        "data.validation_fraction": 0.2,
    }
    world = World(load_scenario("digits-quick", few))
    world.close()
    facts = world.protocol.facts()
    assert facts["unused_samples"] == unused
    assert unused == 1_438 - 288 - sum(len(part) for part in world.protocol.game.bench.split.train)


# --- data sets that are not ours ------------------------------------------------------------------

GOOD = {
    "x_train": np.zeros((4, 3), np.float32),
    "y_train": np.array([0, 1, 2, 0]),
    "x_test": np.zeros((2, 3), np.float32),
    "y_test": np.array([1, 2]),
    "classes": 3,
}


def made(**changes):
    return Dataset("mine", **(GOOD | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x_test": np.zeros((2, 4))}, r"x_test holds samples of shape \(4,\)"),
        ({"y_train": np.array([1, 2, 3, 1])}, "y_train holds the label 3; labels go from 0 to 2"),
        ({"y_test": np.array([-1, 0])}, "y_test holds the label -1"),
        ({"y_train": np.array([0, 1, 2])}, r"y_train has shape \(3,\); it must be \(4,\)"),
        ({"y_train": np.eye(4)}, "one label per sample"),
        ({"y_train": np.array([0.5, 1, 2, 0])}, "y_train holds numbers that are not whole"),
        ({"y_train": np.array([np.nan, 1, 2, 0])}, "not whole"),
        ({"y_train": np.array([2**64 - 1, 0, 0, 0], np.uint64)}, "y_train holds"),
        ({"y_test": np.array(["a", "b"])}, "y_test is of type"),
        ({"y_test": np.array([True, False])}, "y_test is of type bool"),
        ({"x_train": np.full((4, 3), np.nan)}, "x_train holds values that are not finite"),
        ({"x_train": np.full((4, 3), 1e300)}, "not finite in float32"),
        ({"x_train": np.zeros(4)}, "x_train has 1 dimensions"),
        ({"x_test": np.zeros((0, 3)), "y_test": np.zeros(0, int)}, "at least one sample"),
        ({"x_train": [[1, 2], [3]]}, "x_train is no array of numbers"),
        ({"x_train": None}, "x_train is of type object"),
        ({"classes": 1}, "classes is 1"),
        ({"classes": 3.0}, "classes is 3.0"),
        ({"classes": True}, "classes is True"),
    ],
    ids=str,
)
def test_a_wrong_data_set_is_refused_when_it_is_made(changes, said):
    with pytest.raises(DataError, match=said) as told:
        made(**changes)
    assert "\n" not in str(told.value)
    assert str(told.value).startswith("data set 'mine'")


@pytest.mark.parametrize("form", [np.float64, np.int16, np.uint8, torch.tensor, np.ndarray.tolist])
def test_numbers_of_other_types_are_converted_and_never_scaled(form):
    x = np.arange(12).reshape(4, 3)
    data = made(x_train=form(x), y_train=form(GOOD["y_train"]), classes=np.int32(3))
    assert (data.x_train == x).all()
    assert [data.x_train.dtype, data.y_train.dtype, data.classes] == [np.float32, np.int64, 3]
    assert not data.x_train.flags.writeable


OWN_SET = """
import numpy as np
from sim.data.sources.base import Dataset, DatasetSource
class Own(DatasetSource):
    name = summary = reference = "own"
    def load(self, folder):
        x = np.load(folder / "x.npy")
        return Dataset("own", x, np.arange(len(x)) % 2, x[:2], [0, 1], 2)
"""


@pytest.fixture
def own_set(tmp_path):
    """A scenario on a data set of the user, and its two folders of data."""
    (tmp_path / "own.py").write_text(OWN_SET)
    for name, value in (("a", 0.0), ("b", 1.0)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "x.npy", np.full((40, 3), value, np.float32))
    keys = {key: value for key, value in TINY.items() if key != "data.params"}
    scenario = load_scenario("vbfl", {**keys, "data.dataset": f"{tmp_path / 'own.py'}:Own"})
    return scenario, tmp_path / "a", tmp_path / "b"


def test_the_samples_of_an_own_set_are_part_of_a_run_s_identity(own_set):
    scenario, a, b = own_set
    before = scenario.run_id(a)
    assert scenario.run_id(b) != before
    assert scenario.run_id(a) == before
    np.save(a / "x.npy", np.full((40, 3), 2.0, np.float32))
    assert scenario.run_id(a) != before, "the file was changed within one process"


def test_an_own_set_is_loaded_once_while_its_files_are_the_same(own_set):
    scenario, a, _ = own_set
    name = scenario.data.dataset
    first = load_dataset(name, {}, a)
    assert load_dataset(name, {}, a) is first
    np.save(a / "x.npy", np.full((40, 3), 2.0, np.float32))
    assert (load_dataset(name, {}, a).x_train == 2).all()


def test_what_is_no_data_set_is_refused(tmp_path):
    returned = OWN_SET.replace('return Dataset("own", ', "return (")
    (tmp_path / "own.py").write_text(returned)
    np.save(tmp_path / "x.npy", np.zeros((4, 3)))
    with pytest.raises(DataError, match="load must return a Dataset, not tuple"):
        load_dataset(f"{tmp_path / 'own.py'}:Own", {}, tmp_path)


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_a_run_on_other_samples_is_another_run(own_set, tmp_path, command):
    scenario, a, b = own_set
    (tmp_path / "s.toml").write_text(dumps(scenario))
    (tmp_path / "sweep.toml").write_text('name = "w"\nscenario = "s.toml"\nseeds = 1\n')
    file = tmp_path / {"run": "s.toml", "sweep": "sweep.toml"}[command]

    def call(folder):
        words = [command, str(file), "--data", str(folder), "--out", str(tmp_path / "out")]
        return CliRunner().invoke(app, words + (["--workers", "1"] if command == "sweep" else []))

    first, again, other = call(a), call(a), call(b)
    assert [first.exit_code, again.exit_code] == [0, 0], first.output
    assert other.exit_code == 2, other.output
    assert "another" in other.output


# --- files of the user ----------------------------------------------------------------------------

ARRAYS = {
    "X_train": np.arange(12).reshape(4, 3) % 2,
    "y_train": np.array([0, 1, 1, 0]),
    "X_test": np.eye(2, 3),
    "y_test": np.array([1, 0]),
}


def npz(folder, name="samples.npz", **changes):
    """Write an .npz file; None leaves an array out."""
    arrays = {key: value for key, value in (ARRAYS | changes).items() if value is not None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.savez(folder / name, **arrays)
    return Npz.configure({"file": name})


@pytest.mark.parametrize("form", [np.int8, np.int64, np.float64, np.float32, bool])
def test_an_npz_file_is_read_as_it_is(tmp_path, form):
    source = npz(tmp_path, X_train=ARRAYS["X_train"].astype(form), y_test=np.array([1.0, 0.0]))
    data = source.load(tmp_path)
    assert data.x_train.tolist() == ARRAYS["X_train"].tolist()
    assert data.x_train.dtype == np.float32
    assert [data.y_train.tolist(), data.y_test.tolist()] == [[0, 1, 1, 0], [1, 0]]
    assert data.classes == 2
    compressed = tmp_path / "small.npz"
    np.savez_compressed(compressed, **ARRAYS, more=np.zeros(3))
    elsewhere = Npz.configure({"file": str(compressed)}).load(tmp_path / "nowhere")
    assert elsewhere.x_test.tolist() == ARRAYS["X_test"].tolist()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"X_train": None}, "holds no array X_train, but X_test, y_test, y_train; write it with"),
        ({"X_train": np.arange(4)}, r"X_train has shape \(4,\); it must be \(samples, features\)"),
        ({"X_test": np.zeros((0, 3)), "y_test": np.zeros(0)}, "at least one"),
        ({"X_test": np.zeros((2, 4))}, r"X_test holds samples of shape \(4,\)"),
        ({"y_train": np.array([0, 1])}, r"y_train has shape \(2,\); it must be \(4,\)"),
        ({"y_train": np.array([[0], [1], [1], [0]])}, "one label for each sample of X_train"),
        ({"y_train": np.array([0.5, 1, 1, 0])}, "y_train holds labels that are not whole numbers"),
        ({"y_train": np.array([-1, 1, 1, -1])}, "y_train holds the label -1; labels count from 0"),
        ({"y_train": np.array([1, 2, 2, 1]), "y_test": np.array([1, 2])}, "no label .* is 0"),
        ({"y_train": np.array([0, 3, 3, 0])}, "is 2, the largest is 3"),
        ({"y_train": np.zeros(4, int), "y_test": np.zeros(2, int)}, "at least two classes"),
        ({"y_test": np.array([1, np.nan])}, "y_test holds values that are not finite"),
        ({"X_train": np.full((4, 3), np.inf)}, "X_train holds values that are not finite"),
        ({"X_test": np.full((2, 3), np.nan)}, "X_test holds values that are not finite"),
        ({"X_train": np.zeros((4, 3), "M8[s]")}, "X_train is of type datetime64"),
        ({"X_train": np.zeros((4, 3), [("a", "f8")])}, "X_train is of type"),
        ({"X_train": np.array(7)}, r"X_train has shape \(\); it must be"),
        ({"X_train": np.full((4, 3), 1e300)}, "not finite in float32"),
        ({"X_train": np.full((4, 3), "a")}, "X_train is of type <U1; give integers or real"),
        ({"X_train": np.full((4, 3), 1j)}, "X_train is of type complex128"),
        ({"y_train": np.array([0, 1, None, 0], object)}, "y_train is of type object"),
    ],
    ids=str,
)
def test_a_wrong_npz_file_is_refused_in_one_line(tmp_path, changes, said):
    with pytest.raises(DataError, match=said) as told:
        npz(tmp_path, **changes).load(tmp_path)
    assert "\n" not in str(told.value)
    assert "samples.npz" in str(told.value)


def forged(folder, header):
    """An archive whose X_train has a header of its own and no values."""
    npz(folder)
    with zipfile.ZipFile(folder / "forged.npz", "w") as archive:
        archive.writestr("X_train.npy", header)
        with zipfile.ZipFile(folder / "samples.npz") as good:
            for key in ("y_train", "X_test", "y_test"):
                archive.writestr(f"{key}.npy", good.read(f"{key}.npy"))
    return Npz.configure({"file": "forged.npz"})


def npy_header(shape, kind="<f8"):
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"", "X_train cannot be read"),
        (b"no array at all", "X_train cannot be read"),
        (b"\x93NUMPY\x09\x00", "X_train cannot be read .version"),
        (npy_header((4, 3)), "X_train cannot be read"),
        (npy_header((10**9, 10**9)), "more than 8,589,934,592 bytes"),
        (npy_header((4, 3), "|O"), "X_train is of type object"),
        (npy_header((-4, 3)), "X_train"),
        (npy_header("(20, True)"), "X_train cannot be read"),
        (npy_header((0, 10**20)), "X_train cannot be read"),
        (npy_header((4, 3)).replace(b"'shape': ", b"[]: 1, '': "), "X_train cannot be read"),
        (npy_header("(4, 3"), "X_train cannot be read"),
        (npy_header((4, 3)).replace(b"'shape'", b"'shade'"), "X_train cannot be read"),
        (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{}", "X_train cannot be read"),
        (b"\x93NUMPY\x01\x00\x20\x4e" + b"(" * 20_000, "X_train cannot be read"),
    ],
    ids=[
        "empty",
        "text",
        "version",
        "cut off",
        "huge",
        "pickle",
        "negative",
        "truth as a size",
        "empty and endless",
        "list as a key",
        "no header",
        "another key",
        "long header",
        "nested header",
    ],
)
def test_a_forged_array_is_refused_before_it_is_read(tmp_path, header, said):
    with pytest.raises(DataError, match=said) as told:
        forged(tmp_path, header).load(tmp_path)
    assert "\n" not in str(told.value)


def test_an_array_that_would_fill_the_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    """Zeros compress a thousand times: a small file may hold a large array."""
    monkeypatch.setattr("sim.data.sources.npz.MOST_BYTES", 10**6)
    bomb = ARRAYS | {"X_train": np.zeros((4, 10**5)), "X_test": np.zeros((2, 10**5))}
    np.savez_compressed(tmp_path / "bomb.npz", **bomb)
    assert (tmp_path / "bomb.npz").stat().st_size < 10**5
    with pytest.raises(DataError, match=r"X_train of shape \(4, 100000\) has more than 1,000,000"):
        Npz.configure({"file": "bomb.npz"}).load(tmp_path)


def test_memory_that_is_not_there_is_told_in_one_line(tmp_path, monkeypatch):
    source = npz(tmp_path)

    def full(*args, **kwargs):
        raise MemoryError("Unable to allocate 8 GiB")

    monkeypatch.setattr("sim.data.sources.npz.npy.read_array", full)
    with pytest.raises(DataError, match=r"X_train cannot be read .Unable to allocate 8 GiB"):
        source.load(tmp_path)


def test_other_orders_of_bytes_and_axes_are_read_alike(tmp_path):
    x = np.arange(12, dtype=">f8").reshape(4, 3)
    changes = {"X_train": np.asfortranarray(x), "y_train": np.array([0, 1, 1, 0], ">i2")}
    data = npz(tmp_path, **changes).load(tmp_path)
    assert data.x_train.tolist() == x.tolist()
    assert data.y_train.tolist() == [0, 1, 1, 0]


def test_a_sparse_matrix_is_told_to_be_none_of_the_arrays(tmp_path):
    scipy.sparse.save_npz(tmp_path / "sparse.npz", scipy.sparse.csr_matrix(np.eye(3)))
    with pytest.raises(DataError, match="holds no array X_train, but data, format, indices"):
        Npz.configure({"file": "sparse.npz"}).load(tmp_path)


def test_what_is_no_npz_file_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("a,b")
    np.save(tmp_path / "one.npy", np.zeros(3))
    good = npz(tmp_path)
    raw = (tmp_path / "samples.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(raw[: len(raw) // 2])
    damaged = bytearray(raw)
    damaged[200] ^= 1
    (tmp_path / "damaged.npz").write_bytes(damaged)
    for name, said in (
        ("text.npz", "is no .npz file; write it with numpy.savez"),
        ("one.npy", "is no .npz file"),
        ("cut.npz", "is no .npz file"),
        ("damaged.npz", "damaged, its checksum"),
        ("absent.npz", "there is no .*absent.npz; name a file in the data folder"),
        (".", "is a folder"),
    ):
        with pytest.raises(DataError, match=said) as told:
            Npz.configure({"file": name}).load(tmp_path)
        assert "\n" not in str(told.value)
    assert good.load(tmp_path).name == "samples.npz"
    with pytest.raises(PluginError, match="missing"):
        Npz.configure({})


ROWS = (
    "age,town,paid,label,part\n30,A,1.5,0,train\n40,B,2.5,1,test\n50,A,3.5,1,train\n60,B,0,0,test\n"
)


def table(folder, text=ROWS, name="rows.csv", **params):
    (folder / name).write_text(text)
    return TableFile.configure({"file": name, **params}).load(folder)


def test_rows_of_a_table_are_samples_in_its_order(tmp_path):
    named = {"features": "age, paid"}
    data = table(tmp_path, **named, test=0.25)
    assert data.x_train.tolist() == [[30, 1.5], [40, 2.5], [50, 3.5]]
    assert [data.x_test.tolist(), data.y_test.tolist()] == [[[60, 0]], [0]]
    data = table(tmp_path, **named, split="part")
    assert [data.y_train.tolist(), data.y_test.tolist()] == [[0, 1], [1, 0]]
    pd.read_csv(tmp_path / "rows.csv").drop(columns=["town", "part"]).to_parquet(
        tmp_path / "rows.parquet"
    )
    whole = TableFile.configure({"file": "rows.parquet", "test": 0.5}).load(tmp_path)
    assert whole.x_train.tolist() == [[30, 1.5], [40, 2.5]]


def test_words_as_labels_are_numbered_by_the_alphabet(tmp_path):
    data = table(tmp_path, label="town", features="age", test=0.5)
    assert [data.y_train.tolist(), data.classes] == [[0, 1], 2]


@pytest.mark.parametrize(
    ("text", "params", "said"),
    [
        (ROWS, {}, "column 'town' holds 'A', features are numbers; leave the column out"),
        (ROWS, {"label": "lable"}, "has no column 'lable'; did you mean 'label'"),
        (ROWS, {"features": "age,size"}, "has no column 'size'"),
        (ROWS, {"features": "age", "split": "town"}, "'town', row 1: is 'A'; write train or test"),
        (ROWS, {"features": "age", "test": 0.01}, "no row is for the part 'test'"),
        (ROWS, {"features": "age", "label": "paid"}, "column 'paid' holds labels that are not"),
        (ROWS, {"features": "town", "label": "age"}, "column 'town' holds"),
        ("a,label\n1,0\n,1\n", {}, "column 'a', row 2: there is no finite number"),
        ("a,label\n1,0\n2,\n", {}, "column 'label', row 2: there is no label"),
        ("a,label\n1,0\n2,0\n", {"test": 0.5}, "all labels are 0"),
        ("a,label\n1,x\n2,x\n", {"test": 0.5}, "all labels are 'x'"),
        ("a,label\n1,1\n2,2\n", {"test": 0.5}, "is 0, the largest is 2"),
        ("label\n1\n0\n", {}, "has no column of features"),
        ("a,label\n", {}, "has no rows"),
        ("", {}, "cannot be read as csv"),
        ("a,label\n1,2,3,4\n1,2,3,4,5\n", {}, "cannot be read as csv"),
        ("a,label\n9,1,0\n9,2,1\n", {}, "row 1 has more cells than there are columns, 2"),
        ("a,label\n1,0\n9,2,1\n", {}, "cannot be read as csv"),
        ("a,a,label\n1,2,0\n1,2,1\n", {}, "two columns are called 'a'"),
        ("a,label\n1,0\n1,1\n", {"features": "a,a"}, "names 'a' twice, or it is no feature"),
        ("a,label\n1,0\n1,1\n", {"features": "a,label"}, "names 'label' twice, or it is no"),
    ],
    ids=str,
)
def test_a_wrong_table_is_refused_in_one_line(tmp_path, text, params, said):
    with pytest.raises(DataError, match=said) as told:
        table(tmp_path, text, **params)
    assert "\n" not in str(told.value)
    assert "rows.csv" in str(told.value)


def test_tables_of_other_formats_are_refused(tmp_path):
    with pytest.raises(PluginError, match=r"must end in .csv or .parquet"):
        TableFile.configure({"file": "rows.xlsx"})
    with pytest.raises(DataError, match="cannot be read as parquet"):
        table(tmp_path, name="rows.parquet")


@pytest.mark.parametrize("name", ["npz", "table"])
def test_the_content_of_a_user_s_file_is_part_of_a_run_s_identity(tmp_path, name):
    def write(folder, first):
        folder.mkdir(exist_ok=True)
        if name == "npz":
            npz(folder, "mine", X_train=ARRAYS["X_train"] + first)
            os.replace(folder / "mine.npz", folder / "mine.csv")
        else:
            (folder / "mine.csv").write_text(f"a,label\n{first},0\n2,1\n3,1\n")

    write(tmp_path / "a", 0)
    write(tmp_path / "b", 5)
    scenario = load_scenario("fedavg", {"data.dataset": name, "data.params": {"file": "mine.csv"}})
    before = scenario.run_id(tmp_path / "a")
    assert scenario.run_id(tmp_path / "b") != before
    assert scenario.run_id(tmp_path / "a") == before
    write(tmp_path / "a", 7)
    assert scenario.run_id(tmp_path / "a") != before


@pytest.mark.parametrize("name", ["digits", "synthetic", "imdb-like"])
def test_sets_that_follow_from_their_parameters_need_no_digest(name, tmp_path):
    assert content_digest(name, {}, tmp_path) == ""


@pytest.mark.parametrize("source", [Npz, TableFile])
def test_the_suite_takes_a_user_s_file(tmp_path, source):
    npz(tmp_path)
    (tmp_path / "samples.csv").write_text("a,label\n1,0\n2,1\n3,1\n")
    file = {Npz: "samples.npz", TableFile: "samples.csv"}[source]
    members = {"plugin": source, "configurations": [{"file": str(tmp_path / file)}]}
    type("Suite", (DatasetConformance,), members)().test_arrays()


# --- generated and embedded sets of markets -------------------------------------------------------


def test_generated_texts_have_the_stated_shape(tmp_path):
    data = ImdbLike.configure({"train": 3_000, "test": 100, "features": 300}).load(tmp_path)
    assert set(np.unique(data.x_train)) == {0, 1}
    assert np.bincount(data.y_train).tolist() == pytest.approx([1_500, 1_500], abs=60)
    often = data.x_train.mean(0)
    assert often[:10].min() > often[-100:].max(), "words are in the order of their frequency"
    assert np.median(data.x_train.sum(1)) == pytest.approx(60, rel=0.05)
    again = ImdbLike.configure({"train": 3_000, "test": 100, "features": 300, "seed": 1})
    assert (again.load(tmp_path).x_train != data.x_train).any()


def test_texts_become_easier_with_their_separation(tmp_path):
    def right(separation):
        params = {"train": 4_000, "test": 2_000, "features": 200, "separation": separation}
        return trained("naive-bayes", ImdbLike.configure(params).load(tmp_path))

    assert right(0.0) == pytest.approx(0.5, abs=0.04)
    assert right(0.0) < right(1.5) - 0.15 < right(4.0) - 0.2


@pytest.mark.parametrize(
    ("name", "params", "least"),
    [
        ("breast-cancer", {}, 0.9),
        ("breast-cancer", {"form": "binary"}, 0.9),
        ("fitness-like", {}, 0.94),
    ],
)
@pytest.mark.parametrize("model", ["nearest-centroid", "sgd-perceptron"])
def test_small_sets_can_be_learned(name, params, least, model, tmp_path):
    data = load_dataset(name, params, tmp_path)
    assert trained(model, data) > least
    assert data.classes == 2


def test_the_simple_set_is_its_rule(tmp_path):
    data = load_dataset("simple", {}, tmp_path)
    assert (len(data.y_train), len(data.y_test), data.shape) == (20, 11, (3,))
    assert (data.y_train == (data.x_train[:, 0] * data.x_train[:, 2] > 0)).all()
    assert (data.x_train == data.x_train.round()).all()


def trained(model, data):
    """Accuracy on the test samples of a model that is fitted to all training samples."""
    samples = Samples(data)
    made = online_models.create(model, {})
    rows = np.arange(samples.train)
    made.start(samples, rows, samples.y[rows])
    return made.accuracy(samples.test_rows, samples.y[samples.test_rows])


@pytest.mark.parametrize("label", [b"\xff", [1, 2], {"a": 1}])
def test_cells_that_are_no_labels_are_refused(tmp_path, label):
    frame = pd.DataFrame({"a": [1.0, 2.0], "label": [label, label]})
    frame.to_parquet(tmp_path / "rows.parquet")
    source = datasets.create("table", {"file": "rows.parquet"})
    with pytest.raises(DataError, match=r"column .label., row 1: holds a .*; labels are"):
        source.load(tmp_path)


@pytest.mark.parametrize("name", ["npz", "table"])
def test_the_home_of_nobody_is_no_place(tmp_path, name):
    file = {"npz": "~nobody-there/a.npz", "table": "~nobody-there/a.csv"}[name]
    with pytest.raises(DataError, match=r"there is no .*~nobody-there"):
        datasets.create(name, {"file": file}).load(tmp_path)
    assert data_folder("~nobody-there") == Path("~nobody-there")


@pytest.mark.parametrize("place", ["file", "/proc"])
def test_a_folder_that_cannot_hold_what_is_fetched_is_named(tmp_path, place):
    """Nothing is fetched before the folder is there."""
    (tmp_path / "file").write_text("")
    source = datasets.create("mnist", {"download": True})
    with pytest.raises(DataError, match=r"mnist: cannot hold the files to fetch \(.*--data"):
        source.load(tmp_path / place)
