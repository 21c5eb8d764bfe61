"""Plug-ins that do what nobody expects: the error names their file, class, method and round."""

import json

import pytest

from experiments import run
from experiments.kinds import all_kinds
from experiments.rundir import failed_place
from experiments.runresult import open_failed
from fedstake.errors import InputError
from mechanisms import answers, failures
from mechanisms.failures import PluginFailedError, described
from mechanisms.plugin import PluginError
from mechanisms.registries import payouts

HEAD = """from dataclasses import dataclass
from fedstake import Payment, PayoutRule, Settlement, param
"""
RULE = """
class Odd(PayoutRule):
    name = summary = reference = "odd"
    {body}
    def settle(self, block):
        {settle}
"""


def rule(folder, *, body="", settle="return Settlement()", before=""):
    """Return the path of a rule in a file of its own."""
    file = folder / "odd.py"
    file.write_text(HEAD + before + RULE.format(body=body, settle=settle))
    return f"{file}:Odd"


def refused(name):
    with pytest.raises(PluginError) as wrong:
        payouts.get(name)
    message = str(wrong.value)
    assert wrong.value.value == name, "the command shows key and file"
    assert "\n" not in message
    assert len(message) < 1_000
    return message


# --- when it is imported --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("5", "must be text, not of type int"),
        ("'a\\x1b[31mb'", "must be one line without control characters"),
        ("'a\\nb'", "must be one line without control characters"),
        ("'\\ud800'", "must be one line without control characters"),
        ("'x' * 10**6", "must have at most"),
    ],
)
@pytest.mark.parametrize("attribute", ["name", "summary", "reference"])
def test_what_a_class_says_of_itself_is_a_short_line(tmp_path, attribute, text, words):
    message = refused(rule(tmp_path, body=f"{attribute} = {text}"))
    assert message.startswith(f"Odd.{attribute} {words}")


@pytest.mark.parametrize(
    ("kind", "default", "words"),
    [
        ("object", "object()", "must be a number"),
        ("float", "float('nan')", "must be a finite number"),
        ("float", "float('inf')", "must be a finite number"),
        ("int", "'x'", "must be of type int"),
        ("set", "frozenset({1})", "must be a number"),
        ("Missing", "1", "types cannot be found"),
    ],
)
def test_defaults_are_values_that_a_scenario_can_hold(tmp_path, kind, default, words):
    before = f"""
@dataclass(frozen=True)
class Given:
    odd: "{kind}" = param({default}, help="odd")
"""
    message = refused(rule(tmp_path, before=before, body="Params = Given"))
    assert message.startswith("Odd.Params: ")
    assert words in message


@pytest.mark.parametrize("params", ["5", "int", "type('P', (), {})"])
def test_parameters_are_a_dataclass(tmp_path, params):
    assert "Odd.Params: must be a dataclass" in refused(rule(tmp_path, body=f"Params = {params}"))


def test_every_kind_checks_a_plug_in_by_path(tmp_path):
    """One place imports plug-ins of all kinds."""
    for kind in all_kinds():
        file = tmp_path / "odd.py"
        base = kind.base
        made = f"class Odd({base.__name__}):\n    name = 'a\\nb'\n"
        whole = "Odd.__abstractmethods__ = frozenset()\n"
        file.write_text(f"from {base.__module__} import {base.__name__}\n{made}{whole}")
        with pytest.raises(PluginError, match=r"Odd\.name must be one line"):
            kind.get(f"{file}:Odd")


def test_shipped_plug_ins_pass():
    for kind in all_kinds():
        for plugin in kind.all():
            kind._checked(plugin, plugin.name)


# --- when it is asked -----------------------------------------------------------------------------


def failed(tiny, tmp_path, **parts):
    """Return the message of a run that a rule ends, and its folder of what was recorded."""
    name = rule(tmp_path, **parts)
    with pytest.raises(PluginFailedError) as wrong:
        run(tiny(payout__mechanism=name), tmp_path / "run")
    message = str(wrong.value)
    assert "odd.py:" in message
    assert " in Odd.settle, round 1: " in message
    assert "\n" not in message
    assert len(message) < 1_500
    manifest = open_failed(failed_place(tmp_path / "run")).manifest
    assert len(json.dumps(manifest)) < 100_000
    return message


MUTE = """
class Mute(Exception):
    def __str__(self):
        {act}
"""


@pytest.mark.parametrize("act", ["raise ValueError('no')", "return 5", "raise SystemError"])
def test_an_exception_that_cannot_say_what_is_wrong(tiny, tmp_path, act):
    message = failed(tiny, tmp_path, before=MUTE.format(act=act), settle="raise Mute")
    assert message.endswith("Mute: its message cannot be shown")


def test_a_long_message_is_shortened_everywhere(tiny, tmp_path):
    message = failed(tiny, tmp_path, settle="raise ValueError('y' * 10**7)")
    assert "ValueError: yyy" in message
    assert "…" in message


def test_a_message_that_no_file_can_hold(tiny, tmp_path):
    assert "\\ud800" in failed(tiny, tmp_path, settle="raise ValueError('\\ud800')")


@pytest.mark.parametrize(
    ("settle", "words"),
    [
        ("return Settlement((Payment(0, 1, None),))", "a reason that must be text"),
        ("return Settlement((Payment(0, 1, 'r\\n'),))", "a reason that must be one line"),
        ("return Settlement((Payment(0, 1, 'r' * 1000),))", "a reason that must have at most"),
        ("return Settlement((Payment([0], 1, 'r'),))", "pays [0], must be a device"),
        ("return Settlement((Payment(0, 1, 'r', {}),))", "pays {}, must be a device"),
        ("return Settlement((Payment(0, 'x' * 10**6, 'r'),))", "must be an integer"),
        (
            "memory = {}\n        for _ in range(5000): memory = {'a': memory}\n"
            "        return Settlement((), memory)",
            "remembers",
        ),
        (
            "memory = {}\n        for _ in range(45): memory = {'a': memory}\n"
            "        return Settlement((), memory)",
            "more than 40 tables or lists inside each other",
        ),
        ("return Settlement((), {'a': '\\ud800'})", "holds text that cannot be stored"),
    ],
)
def test_what_a_rule_gives_back_is_the_rules_fault(tiny, tmp_path, settle, words):
    assert words in failed(tiny, tmp_path, settle=settle)


def test_what_a_check_stumbles_over_is_the_fault_of_what_it_checks(tiny, tmp_path, monkeypatch):
    """Whatever a check does not foresee, no line of the house is blamed."""

    check = answers.settlement

    def stumble(plugin, method, answer):
        if method == "settle":
            raise AttributeError("not foreseen")
        return check(plugin, method, answer)

    monkeypatch.setattr(answers, "settlement", stumble)
    assert "AttributeError: not foreseen" in failed(tiny, tmp_path)


def test_messages_of_inputs_are_shortened_too():
    error = InputError("x" * 10**6)
    assert len(described(error)) <= failures.MOST_TOLD
