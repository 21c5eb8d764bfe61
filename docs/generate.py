"""Write `docs/reference/scenario.md` and `plugins.md` from the code: `python docs/generate.py`. A test holds them to it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import re
import types
import typing
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from agents import registries as behaviours
from mechanisms import registries as rules
from mechanisms.registry import Registry
from sim.data import datasets
from sim.learning import models
from sim.scenario import Scenario
from sim.settings import Settings

FOLDER = Path(__file__).parent / "reference"
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
KINDS: tuple[tuple[str, str, Registry], ...] = (
    ("Mechanisms", "`payout.mechanism`, folder `mechanisms/payouts`", rules.payouts),
    ("Verifiers", "`coordinator.verifier`, folder `mechanisms/verifiers`", rules.verifiers),
    ("Parts", "`payout.parts.N.part`, folder `mechanisms/parts`", rules.parts),
    ("Roles", "`roles.rule`, folder `mechanisms/roles`", rules.roles),
    ("Validation rules", "`validation.rule`, folder `mechanisms/validators`", rules.validators),
    ("Aggregation rules", "`aggregation.rule`, folder `mechanisms/aggregators`", rules.aggregators),
    ("Transforms", "`aggregation.before.N.rule`, folder `mechanisms/transforms`", rules.transforms),
    ("Worker behaviours", "`adversaries.N.worker`, folder `agents/workers`", behaviours.workers),
    (
        "Validator behaviours",
        "`adversaries.N.validator`, folder `agents/validators`",
        behaviours.validators,
    ),
    ("Miner behaviours", "`adversaries.N.miner`, folder `agents/miners`", behaviours.miners),
    ("Learners", "`adversaries.N.learner`, folder `agents/learners`", behaviours.learners),
    ("Data sets", "`data.dataset`, folder `sim/data/sources`", datasets),
    ("Models", "`model.name`, folder `sim/learning/architectures`", models),
)


def scenario_page() -> str:
    """Every key of a scenario."""
    lines = [
        "# Scenario keys",
        "",
        "Written by `docs/generate.py` from `sim/settings.py`; change it there.",
        "",
        'A scenario is a TOML file. `extends = "NAME_OR_FILE"` takes everything that the file does not say from a preset or',
        "another file; `--set key=value` changes one key. Amounts are integers of base units. Unknown keys are refused.",
        "",
        "## Top level",
        "",
        *_table(Scenario, skip_tables=True),
    ]
    for name, field in Scenario.model_fields.items():
        table = _settings_of(field)
        if table is None:
            continue
        many = name == "adversaries"
        lines += [
            "",
            f"## `{'[[' if many else '['}{name}{']]' if many else ']'}`",
            "",
            (table.__doc__ or "").strip(),
            "",
        ]
        lines += _table(table)
    return "\n".join(lines) + "\n"


def plugins_page() -> str:
    """Every shipped plug-in with its parameters."""
    lines = [
        "# Plug-ins",
        "",
        "Written by `docs/generate.py` from the plug-ins' own metadata; `fedstake list KIND` prints the same.",
    ]
    for title, where, registry in KINDS:
        lines += [
            "",
            f"## {title}",
            "",
            f"Chosen by {where}; entry-point group `{registry.group}`.",
        ]
        for plugin in registry.all():
            meta = plugin.metadata()
            lines += [
                "",
                f"### `{meta['name']}`",
                "",
                f"{_sentence(meta['summary'])} Source: {meta['reference']}.",
            ]
            for word, names in (
                ("Observes", getattr(plugin, "observes", None)),
                ("Knows", getattr(plugin, "knows", None)),
            ):
                if names:
                    lines[-1] += f" {word}: {', '.join(sorted(names))}."
            lines += ["", *(inspect.getdoc(plugin) or "").splitlines()]
            if getattr(plugin, "individual", True) is False:
                lines[-1] += " Needs no single update: works under `privacy.secure_aggregation`."
            if meta["params"]:
                lines += ["", "| parameter | default | meaning |", "|---|---|---|"]
                lines += [
                    f"| `{p['name']}` | `{_plain(p['default'])}` | {_parameter(p)} |"
                    for p in meta["params"]
                ]
    return "\n".join(lines) + "\n"


def _table(settings: type[Settings], *, skip_tables: bool = False) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in settings.model_fields.items():
        if skip_tables and _settings_of(field) is not None:
            continue
        default = field.get_default(call_default_factory=True)
        yield f"| `{name}` | {_type(field)} | `{_plain(default)}` | {field.description} |"


def _settings_of(field: FieldInfo) -> type[Settings] | None:
    for kind in (field.annotation, *typing.get_args(field.annotation)):
        if (
            isinstance(kind, type)
            and not isinstance(kind, types.GenericAlias)
            and issubclass(kind, Settings)
        ):
            return kind
    return None


def _type(field: FieldInfo) -> str:
    annotation = field.annotation
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{v}`" for v in typing.get_args(annotation))
    bounds = {}
    for m in field.metadata:
        bounds |= {
            sign: getattr(m, k) for k, sign in SIGNS.items() if getattr(m, k, None) is not None
        }
    text = {bool: "true or false", int: "integer", float: "number", str: "text"}.get(annotation, "")  # type: ignore[call-overload]
    if not text:
        text = "table" if typing.get_origin(annotation) is dict else "list"
    return ", ".join([text, *(f"{sign} {_bound(v)}" for sign, v in bounds.items())])


def _bound(value: float) -> str:
    return "2⁶³" if value == 2**63 else f"{value:g}"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isinf(value):
        return "inf"
    if isinstance(value, tuple):
        return str(list(value))
    return str(value) if value != "" else '""'


def _parameter(p: dict[str, Any]) -> str:
    bounds = [f"{SIGNS[k]} {v:g}" for k, v in (p["bounds"] or {}).items()]
    notes = [x for x in (p["unit"], *bounds, ", ".join(p["choices"] or ())) if x]
    return p["help"] + (f" ({', '.join(notes)})" if notes else "")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def python_page() -> str:
    """The functions of `experiments`, and what plug-ins are shown and return."""
    import experiments
    from mechanisms import vocabulary

    lines = [
        "# Python",
        "",
        "Written by `docs/generate.py` from the docstrings.",
        "",
        "```python",
        "from experiments import compare_payouts, load_scenario, open_run, run, run_many",
        "```",
        "",
        "## Functions and classes of `experiments`",
    ]
    for name in experiments.__all__:
        member = getattr(experiments, name)
        signature = (
            ""
            if issubclass(type(member), type) and issubclass(member, Exception)
            else str(inspect.signature(member))
        )
        lines += [
            "",
            f"### `{name}`",
            "",
            f"`{name}{signature.replace(chr(39), '')}`",
            "",
            *_doc(member),
        ]
        if inspect.isclass(member) and not issubclass(member, Exception):
            for inner, thing in vars(member).items():
                if not inner.startswith("_") and (
                    inspect.isfunction(thing) or isinstance(thing, property | cached_property)
                ):
                    told = (inspect.getdoc(thing) or "").splitlines()
                    if told:
                        lines.append(f"- `{inner}`: {told[0]}")
    lines += ["", "## What rules and behaviours are shown and return: `mechanisms.vocabulary`"]
    for name, member in vars(vocabulary).items():
        if (
            inspect.isclass(member)
            and member.__module__.startswith(f"{vocabulary.__name__}.")
            and dataclasses.is_dataclass(member)
        ):
            lines += ["", f"### `{name}`", "", *_doc(member), "", "| field | type |", "|---|---|"]
            lines += [
                f"| `{f.name}` | `{str(f.type).replace('|', 'or')}` |"
                for f in dataclasses.fields(member)
            ]
    return "\n".join(lines) + "\n"


def _doc(member: Any) -> list[str]:
    """A docstring, its sections as code so that indentation stays."""
    text = inspect.getdoc(member) or ""
    head, _, arguments = text.partition("Args:")
    lines = head.strip().splitlines()
    return (
        [*lines, "", "```", *inspect.cleandoc(arguments).splitlines(), "```"]
        if arguments
        else lines
    )


def notebook() -> str:
    """`docs/tutorial.md` as a notebook: named blocks become files, commands become shell cells."""
    cells: list[dict[str, Any]] = []

    def add(kind: str, source: str) -> None:
        cell: dict[str, Any] = {
            "cell_type": kind,
            "id": f"cell-{len(cells)}",
            "metadata": {},
            "source": source,
        }
        cells.append(cell | ({"execution_count": None, "outputs": []} if kind == "code" else {}))

    text = (FOLDER.parent / "tutorial.md").read_text(encoding="utf-8")
    for part in re.split(r"^(```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE):
        block = re.fullmatch(r"```(\w*)\n(.*?)```", part, flags=re.DOTALL)
        if block is None or block[1] not in ("python", "toml", "console"):
            add("markdown", part.strip()) if part.strip() else None
            continue
        named = re.match(r"# (\S+\.(?:py|toml))\n", block[2])
        if named:
            add("code", f"%%writefile {named[1]}\n{block[2].strip()}")
        elif block[1] == "console":
            add("code", "\n".join(f"!{_shell(line)}" for line in block[2].strip().splitlines()))
        else:
            add("code", block[2].strip())
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _shell(line: str) -> str:
    """A line of a console block as the shell reads it: a run named by the beginning of its folder is found by the shell."""
    return line.removeprefix("$ ").replace("-...", "-*")


PAGES = {
    "../tutorial.ipynb": notebook,
    "python.md": python_page,
    "scenario.md": scenario_page,
    "plugins.md": plugins_page,
}

if __name__ == "__main__":
    for file, page in PAGES.items():
        (FOLDER / file).write_text(page(), encoding="utf-8")
