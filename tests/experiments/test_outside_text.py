"""Text from outside: oddities of files, names and depth end in one line, exit code 2."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from experiments import load_scenario
from experiments.cli import app
from experiments.loader import ScenarioError
from fedstake.outside import (
    DEPTH,
    UnreadableError,
    literal,
    parse_json,
    problem,
    read_bytes,
    read_text,
    seal,
    unseal,
)


def refused(*command: str) -> str:
    """Return the one line with which a command ends in exit code 2."""
    done = CliRunner().invoke(app, list(command))
    lines = done.output.strip().splitlines()
    assert done.exit_code == 2, done.output
    assert len(lines) == 1, lines
    assert len(lines[0]) < 400, lines
    for word in ("Error", "recursion", "Errno", "exceed"):
        assert word not in lines[0], lines
    return lines[0]


def odd_files(place):
    """Make files that are none, by name; what the message says of each."""
    (place / "loop.toml").symlink_to("loop2.toml")
    (place / "loop2.toml").symlink_to("loop.toml")
    os.mkfifo(place / "pipe.toml")
    (place / "nul.toml").write_bytes(b'name = "a\0b"\n')
    (place / "escaped.toml").write_text('name = "a\\u0000b"\n')
    (place / "latin.toml").write_bytes(b'name = "\xe9"\n')
    with (place / "huge.toml").open("wb") as file:
        file.truncate(5 << 20)
    (place / "deep.toml").write_text("a = " + "[" * 900 + "]" * 900)
    (place / "deeper.toml").write_text("a = " + "[" * 90_000)
    (place / "dotted.toml").write_text(".".join("a" * 5_000) + " = 1\n")
    (place / "folder.toml").mkdir()
    long = place / "long.toml"
    long.write_text(f'extends = "{"x" * 5_000}"\n')
    return {
        "loop.toml": "links",
        "pipe.toml": "no regular file",
        "/dev/zero": "no regular file",
        "nul.toml": "not TOML",
        "escaped.toml": "cannot be stored",
        "latin.toml": "not UTF-8",
        "huge.toml": "is larger than",
        "deep.toml": "inside each other",
        "deeper.toml": "inside each other",
        "dotted.toml": "inside each other",
        "folder.toml": "is a folder",
        "x" * 5_000: "cannot be read",
        "a\0b.toml": "no name of a file",
    }


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_files_that_are_none_are_refused_in_one_line(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    for name, reason in odd_files(tmp_path).items():
        assert reason in refused(command, name), name
    assert not (tmp_path / "results").exists()


def test_a_name_of_5000_letters_in_a_file_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    odd_files(tmp_path)
    refused("run", "long.toml")
    for key in ("data.dataset", "payout.mechanism", "protocol"):
        refused("run", "digits-quick", "--set", f"{key}={'x' * 5_000}.py:Rule")
        refused("run", "digits-quick", "--set", f"{key}=/dev/zero:Rule")


def test_a_byte_order_mark_is_accepted(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b'\xef\xbb\xbfextends = "digits-quick"\nrounds = 2\n')
    assert load_scenario(tmp_path / "mine.toml").rounds == 2


@pytest.mark.parametrize(
    "text",
    [
        ".".join("a" * 1_000) + "=1",
        "a=" + "[" * 1_000 + "]" * 1_000,
        "a=" + "[" * 90_000,
        "a=" + "{b=" * 500 + "1" + "}" * 500,
        'name="a\\u0000b"',
        "name=\udcff",
    ],
)
def test_overrides_without_end_are_refused_in_one_line(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    refused("run", "digits-quick", "--set", text)


def test_1200_scenarios_that_extend_each_other_are_refused_in_one_line(tmp_path):
    for i in range(1_200):
        (tmp_path / f"{i}.toml").write_text(f'extends = "{i + 1}.toml"\n')
    (tmp_path / "1200.toml").write_text('extends = "digits-quick"\n')
    assert "at most 20 scenarios" in refused("run", str(tmp_path / "0.toml"))
    named = load_scenario("digits-quick", {"name": "1185"})
    assert load_scenario(tmp_path / "1185.toml") == named


def test_values_from_python_have_a_bounded_depth_too():
    deep: list[object] = []
    for _ in range(2_000):
        deep = [deep]
    with pytest.raises(ScenarioError, match="inside each other"):
        load_scenario("digits-quick", {"adversaries": deep})


# --- the reader itself --------------------------------------------------------------------------


def test_no_more_is_read_than_allowed(tmp_path):
    (tmp_path / "text").write_bytes(b"12345")
    assert read_bytes(tmp_path / "text", 5) == b"12345"
    with pytest.raises(UnreadableError, match="larger than 4 bytes"):
        read_bytes(tmp_path / "text", 4)
    with pytest.raises(FileNotFoundError):
        read_text(tmp_path / "nothing")


def test_depth_is_counted_at_every_place():
    def nested(depth: int) -> object:
        return {"a": [nested(depth - 2)]} if depth else 1

    assert problem(nested(DEPTH - 2)) == ""
    assert "inside each other" in problem([1, {"b": nested(DEPTH + 2)}])
    with pytest.raises(UnreadableError, match="inside each other"):
        parse_json("[" * 100_000, "x.json")


def test_a_sealed_file_knows_its_damage(tmp_path):
    values = {"b": [1, 2.5, None], "a": {"x": "é", "nan": float("inf")}}
    file = tmp_path / "x.json"
    file.write_text(seal(values))
    assert unseal(file) == values
    assert list(unseal(file)) == ["b", "a"]
    text = file.read_text()
    for other in (text.replace("2.5", "2.6"), text.replace("x", "y"), json.dumps(values), "[]"):
        file.write_text(other)
        with pytest.raises(UnreadableError, match=r"damaged|must hold"):
            unseal(file)


@given(st.text())
def test_a_literal_is_one_line_without_control_characters_and_is_stable(text):
    shown = literal(text)
    assert len(shown.splitlines()) <= 1
    assert all(letter.isprintable() or letter == "\u00a0" for letter in shown)
    assert literal(shown) == shown
    if all(letter.isprintable() for letter in text):
        assert shown == text
