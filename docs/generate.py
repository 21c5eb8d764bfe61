"""Write the reference pages and the notebook from the code: `python docs/generate.py`.

A test fails when a page is not what this writes.
"""

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

import fedstake
from experiments.kinds import all_kinds
from mechanisms.plugin import Plugin
from sim.scenario import Scenario
from sim.settings import Settings

FOLDER = Path(__file__).parent / "reference"
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
WORDS: dict[Any, str] = {bool: "true or false", int: "integer", float: "number", str: "text"}


def scenario_page() -> str:
    """Return the page of all keys of a scenario."""
    lines = [
        "# Scenario keys",
        "",
        "Written by `docs/generate.py` from `sim/settings.py`; change it there.",
        "",
        'A scenario is a TOML file. `extends = "NAME_OR_FILE"` takes everything that the file does',
        "not say from a preset or another file; `--set key=value` changes one key. Amounts are",
        "integers of base units. Unknown keys are refused.",
        "",
        "## Top level",
        "",
        *_table(Scenario, skip_tables=True),
    ]
    for name, field in Scenario.model_fields.items():
        table = _settings_of(field)
        if table is None:
            continue
        heading = f"[[{name}]]" if name == "adversaries" else f"[{name}]"
        lines += ["", f"## `{heading}`", "", (table.__doc__ or "").strip(), ""]
        lines += _table(table)
    return "\n".join(lines) + "\n"


def plugins_page() -> str:
    """Return the page of all plug-ins that are found by name, with their parameters."""
    lines = [
        "# Plug-ins",
        "",
        "Written by `docs/generate.py` from the plug-ins' own metadata. `fedstake list KIND`",
        "prints the same; `fedstake list kinds` prints the kinds.",
    ]
    for kind in all_kinds():
        lines += [
            "",
            f"## {kind.one.capitalize()}s",
            "",
            f"{_sentence(kind.about)} Chosen by `{kind.key}`, folder `{kind.folder}`; entry-point "
            f"group `{kind.group}`.",
        ]
        for plugin in kind.all():
            lines += _plugin(plugin)
    return "\n".join(lines) + "\n"


def _plugin(plugin: type[Plugin]) -> list[str]:
    """Return the lines on one plug-in."""
    meta = plugin.metadata()
    head = f"{_sentence(meta['summary'])} Source: {meta['reference']}."
    for word in ("observes", "knows"):
        names = sorted(getattr(plugin, word, ()))
        if names:
            head += f" {word.capitalize()}: {', '.join(names)}."
    lines = ["", f"### `{meta['name']}`", "", head, ""]
    lines += (inspect.getdoc(plugin) or "").splitlines()
    if getattr(plugin, "individual", True) is False:
        lines[-1] += " Needs no single update: works under `privacy.secure_aggregation`."
    if meta["params"]:
        lines += ["", "| parameter | default | meaning |", "|---|---|---|"]
    lines += [
        f"| `{p['name']}` | `{_plain(p['default'])}` | {_parameter(p)} |" for p in meta["params"]
    ]
    return lines


def _table(settings: type[Settings], *, skip_tables: bool = False) -> Iterator[str]:
    yield "| key | type | default | meaning |"
    yield "|---|---|---|---|"
    for name, field in settings.model_fields.items():
        if skip_tables and _settings_of(field) is not None:
            continue
        default = field.get_default(call_default_factory=True)
        meaning = " ".join((field.description or "").split())  # wrapped in the source
        yield f"| `{name}` | {_type(field)} | `{_plain(default)}` | {meaning} |"


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
    """Return the type of a key with its bounds, in words."""
    annotation: Any = field.annotation
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(annotation))
    text = WORDS.get(annotation)
    if text is None:
        text = "table" if typing.get_origin(annotation) is dict else "list"
    bounds: dict[str, float] = {}
    for rule in field.metadata:
        for attribute, sign in SIGNS.items():
            limit = getattr(rule, attribute, None)
            if limit is not None:
                bounds[sign] = limit
    return ", ".join([text, *(f"{sign} {_bound(limit)}" for sign, limit in bounds.items())])


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
    """Return the page of what `import fedstake` offers."""
    members = {name: getattr(fedstake, name) for name in fedstake.__all__}
    lines = [
        "# Python",
        "",
        "Written by `docs/generate.py` from the docstrings. Everything here is one import away:",
        "",
        "```python",
        "import fedstake as fs",
        "from fedstake import PayoutRule, Payment, Settlement, param",
        "```",
        "",
        "## Functions and results",
    ]
    for name, member in members.items():
        if inspect.isfunction(member) or _is_for_users(member):
            lines += _callable(name, member)
    lines += [
        "",
        "## What plug-ins inherit from",
        "",
        "| class | plug-ins | suite |",
        "|---|---|---|",
    ]
    for kind in all_kinds():
        suite = kind.suite.rpartition(":")[2]
        lines.append(f"| `{kind.base.__name__}` | {kind.one}s: {kind.about} | `{suite}` |")
    lines += ["", "## What plug-ins are shown, return and declare"]
    for name, member in members.items():
        if dataclasses.is_dataclass(member) and not _is_for_users(member):
            lines += _fields(name, member)
    lines += ["", "## Errors", ""]
    for name, member in members.items():
        if inspect.isclass(member) and issubclass(member, Exception):
            lines.append(f"- `{name}`: {_first_line(member)}")
    return "\n".join(lines) + "\n"


def _is_for_users(member: Any) -> bool:
    """Whether a public name is a class of results or settings that users work with."""
    return (
        inspect.isclass(member)
        and member.__module__.split(".")[0] in ("chain_bridge", "experiments")
        and not issubclass(member, Exception)
    )


def _callable(name: str, member: Any) -> list[str]:
    """Return the lines on a function or class: signature, docstring, one line per method."""
    signature = str(inspect.signature(member))
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", signature)  # annotations without quotes
    signature = re.sub(r"<\S+ object at 0x\w+>", "required", signature)
    lines = ["", f"### `{name}`", "", f"`{name}{signature}`", "", *_doc(member)]
    if inspect.isclass(member):
        for inner, thing in vars(member).items():
            public = not inner.startswith("_") and inspect.getdoc(thing)
            if public and isinstance(thing, types.FunctionType | property | cached_property):
                lines.append(f"- `{inner}`: {_first_line(thing)}")
    return lines


def _fields(name: str, member: Any) -> list[str]:
    """Return the lines on a dataclass: docstring and fields."""
    lines = ["", f"### `{name}`", "", *_doc(member), "", "| field | type |", "|---|---|"]
    fields = {field.name: str(field.type) for field in dataclasses.fields(member)}
    lines += [f"| `{field}` | `{kind.replace('|', 'or')}` |" for field, kind in fields.items()]
    return lines


def _first_line(member: Any) -> str:
    return (inspect.getdoc(member) or "").partition("\n")[0]


def _doc(member: Any) -> list[str]:
    """Return the lines of a docstring, its arguments as code so that indentation stays."""
    text = inspect.getdoc(member) or ""
    head, _, arguments = text.partition("Args:")
    lines = head.strip().splitlines()
    if not arguments:
        return lines
    return [*lines, "", "```", *inspect.cleandoc(arguments).splitlines(), "```"]


def notebook() -> str:
    """Return `docs/tutorial.md` as a notebook: named blocks are files, commands shell cells."""
    cells: list[dict[str, Any]] = []

    def add(kind: str, source: str) -> None:
        cell = {"cell_type": kind, "id": f"cell-{len(cells)}", "metadata": {}, "source": source}
        outcome = {"execution_count": None, "outputs": []} if kind == "code" else {}
        cells.append(cell | outcome)

    text = (FOLDER.parent / "tutorial.md").read_text(encoding="utf-8")
    for part in re.split(r"^(```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE):
        block = re.fullmatch(r"```(\w*)\n(.*?)```", part, flags=re.DOTALL)
        if block is None or block[1] not in ("python", "toml", "console"):
            if part.strip():
                add("markdown", part.strip())
            continue
        source = block[2].strip()
        named = re.match(r"# (\S+\.(?:py|toml))\n", source)
        if named:
            add("code", f"%%writefile {named[1]}\n{source}")
        elif block[1] == "console":
            add("code", "\n".join(f"!{_shell(line)}" for line in source.splitlines()))
        else:
            add("code", source)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    whole = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _shell(line: str) -> str:
    """Return a line of a console block as the shell reads it: `-...` ends a folder's name."""
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
