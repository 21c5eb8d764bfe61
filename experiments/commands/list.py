"""`fedstake list`: plug-ins of a kind with their parameters, or the shipped scenarios."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from experiments.console import out_console, shown
from experiments.fitting import wrapped
from experiments.terminal import DebugOption, one_line_errors

KINDS, SCENARIOS = "kinds", "scenarios"
SIGNS = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}


def list_(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND", help="KIND or nothing: `fedstake list` alone prints the kinds."
        ),
    ] = None,
    debug: DebugOption = False,
) -> None:
    """List plug-ins of a kind with their parameters, or the shipped scenarios.

    Example: fedstake list behaviours
    """
    with one_line_errors(debug):
        from experiments.kinds import described, listed
        from experiments.loader import ScenarioError

        if kind == SCENARIOS:
            _list_scenarios()
            return
        if kind in (None, KINDS):
            for name, about in [*described(), (SCENARIOS, "what is shipped to be run")]:
                _say(f"{name:25} {about}")
            return
        kinds = listed()
        if kind not in kinds:
            raise ScenarioError("list", "kind", kind, _meant(kind, [*kinds, KINDS, SCENARIOS]))
        for role, registry in kinds[kind]:
            for plugin in registry.all():
                _describe(plugin, f"{role} " if role else "")


def _say(line: str) -> None:
    """Print a line, in several where it is wider than the terminal; 80 columns without one."""
    out_console.print(wrapped(shown(line), out_console.width), markup=False)


def _meant(word: str, known: list[str]) -> str:
    """Return which kind may have been meant: one whose line in the list of kinds has the word."""
    from experiments.kinds import described
    from mechanisms.plugin import nearest

    stem = word.lower().removesuffix("s")
    names = [name.partition(" ")[0] for name, about in described() if stem in about]
    if names and len(stem) > 2:
        return f"did you mean {' or '.join(dict.fromkeys(names))}?"
    return nearest(word, known)


def _list_scenarios() -> None:
    """Print a line about each shipped scenario."""
    from experiments.loader import load_scenario, preset_names
    from experiments.numerals import how_many

    for name in preset_names():
        scenario = load_scenario(name)
        adversaries = sum(group.size for group in scenario.adversaries if group.deviating)
        _say(
            f"{name:18} {scenario.protocol}, {how_many(scenario.rounds, 'round')}, "
            f"{how_many(scenario.devices, 'device')} ({_adversaries(adversaries)})"
        )


def _adversaries(count: int) -> str:
    return "1 adversary" if count == 1 else f"{count} adversaries"


def _describe(plugin: Any, prefix: str) -> None:
    """Print a plug-in: what it does, what it sees, its parameters, its source."""
    meta = plugin.metadata()
    _say(f"{prefix}{meta['name']}: {meta['summary']}")
    for attribute in ("observes", "knows"):
        names = getattr(plugin, attribute, None)
        if names is not None:
            words = ", ".join(sorted(names)) or "nothing beside its own"
            _say(f"    {attribute}: {words}")
    for parameter in meta["params"]:
        _say(f"    {_parameter(parameter)}")
    stochastic = " (stochastic)" if meta["stochastic"] else ""
    _say(f"    source: {meta['reference']}{stochastic}")


def _parameter(parameter: dict[str, Any]) -> str:
    """Return one line: name, default, meaning, unit and bounds."""
    bounds = [f"{SIGNS[k]} {v:g}" for k, v in (parameter["bounds"] or {}).items()]
    notes = [parameter["unit"], ", ".join(bounds), ", ".join(parameter["choices"] or ())]
    extra = "; ".join(note for note in notes if note)
    line = f"{parameter['name']} = {parameter['default']!r}  {parameter['help']}"
    return f"{line} [{extra}]" if extra else line


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="list")(list_)
