"""Write the reference pages and the notebook from the code: `python docs/generate.py`.

A page is written whole, or below the line `<!-- generated -->` of a page that begins with prose.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from pydantic import BaseModel
from pydantic.fields import FieldInfo

import fedstake
from experiments.bench.board import COMMITTED, Board, read_board
from experiments.bench.card import index, markdown, sections_of
from experiments.bench.suite import load_suite
from experiments.kinds import all_kinds
from mechanisms import registries as rules
from mechanisms.plugin import Plugin
from mechanisms.registry import Registry
from sim.conditions import marks_of
from sim.keys import chosen_fields, table_of
from sim.meanings import meanings
from sim.protocol import CORE_OUTCOMES, Outcome, Protocol
from sim.recording import CORE, Column
from sim.registries import protocols
from sim.scenario import Scenario

FOLDER = Path(__file__).parent / "reference"
GENERATED = "<!-- generated -->"
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
WORDS: dict[Any, str] = {bool: "true or false", int: "integer", float: "number", str: "text"}
PROTOCOLS: dict[str, type[Protocol]] = {
    name: protocols.get(name)  # type: ignore[misc]
    for name in protocols.names()
}


# --- scenario keys ------------------------------------------------------------------------------


class Place(NamedTuple):
    """Where a table stands in a scenario: the path to it, and whether there is a list of them."""

    path: str
    repeated: bool

    def __str__(self) -> str:
        if not self.path:
            return "Top level"
        return f"`[[{self.path}]]`" if self.repeated else f"`[{self.path}]`"


Tables = dict[Place, type[BaseModel]]


def scenario_page() -> str:
    """Return the page of all keys of a scenario."""
    of_each = {name: dict(_tables_of(cls.Scenario)) for name, cls in PROTOCOLS.items()}
    common = dict(_tables_of(Scenario))
    places = sorted(dict.fromkeys(place for tables in of_each.values() for place in tables))
    lines = [
        "# Scenario keys",
        "",
        "Written by `docs/generate.py` from the protocols' scenario classes; change it there.",
        "",
        'A scenario is a TOML file. `extends = "NAME_OR_FILE"` takes everything that the file does',
        "not say from a preset or another file; `--set key=value` changes one key. Amounts are",
        "integers of base units.",
        "",
        "The protocol decides which keys there are. A key that is unknown or not in force is",
        "refused, with the protocols that have it. Naming another protocol in a file that extends",
        "one, or with `--set`, drops the inherited keys that the new protocol lacks; in a list, as",
        "in `[[adversaries]]`, they are refused instead.",
        "",
        "Some keys act only under a value of another key, as their rows say. Where such a key",
        "cannot act, a file, a group or `--set` may give it its default only; anything else is",
        "refused with the key that switches it off. A value that was inherited and is switched",
        "off by what comes later is dropped. Presets may prepare a key for a rule that is chosen",
        "later.",
        "",
        "## Which protocol has which table",
        "",
        *_grid("table", places, of_each),
        "",
        "Below, `protocols` says which of these have a key; every: any other protocol too, one of",
        "your own included.",
    ]
    for place in places:
        lines += ["", f"## {place}", ""]
        lines += _keys_at(place, of_each, common.get(place))
    return "\n".join(lines) + "\n"


def _tables_of(table: type[BaseModel], path: str = "") -> Iterator[tuple[Place, type[BaseModel]]]:
    """Yield the tables of a scenario class, the top level first, each with its place."""
    if not path:
        yield Place("", False), table
    for name, field in table.model_fields.items():
        inner = table_of(field)
        if inner is not None:
            place = f"{path}.{name}" if path else name
            yield Place(place, inner is not field.annotation), inner
            yield from _tables_of(inner, place)


def _keys_at(
    place: Place, of_each: Mapping[str, Tables], common: type[BaseModel] | None
) -> Iterator[str]:
    """Yield the lines on the tables that protocols have at one place."""
    having = {name: tables[place] for name, tables in of_each.items() if place in tables}
    for text, names in _by_value({name: _first_text(t) for name, t in having.items()}).items():
        if place.path:
            prefix = "" if len(names) == len(having) else f"{_names(names)}: "
            yield f"{prefix}{text}"
            yield ""
    rows: dict[str, dict[str, tuple[str, str]]] = {}
    for name, table in having.items():
        for key, field in table.model_fields.items():
            if table_of(field) is None:
                rows.setdefault(key, {})[name] = _key(table, key, field)
    lines: list[tuple[str, str, str]] = []
    for key, of_protocol in rows.items():
        for (row, meaning), names in _by_value(of_protocol).items():
            in_every = common is not None and key in common.model_fields
            who = "every" if in_every and len(names) == len(PROTOCOLS) else _names(names)
            lines.append((row, who, meaning))
    yield from _keys(lines)


def _keys(lines: list[tuple[str, str, str]]) -> Iterator[str]:
    """Yield a table of keys; a column says which protocols have each, unless all rows agree."""
    groups = {who for _, who, _ in lines}
    if len(groups) == 1:
        yield f"Protocols: {groups.pop()}."
        yield ""
        yield "| key | type | default | meaning |"
        yield "|---|---|---|---|"
        yield from (f"| {row} | {meaning} |" for row, _, meaning in lines)
        return
    yield "| key | type | default | protocols | meaning |"
    yield "|---|---|---|---|---|"
    yield from (f"| {row} | {who} | {meaning} |" for row, who, meaning in lines)


def _key(table: type[BaseModel], key: str, field: FieldInfo) -> tuple[str, str]:
    """Return a key with its type and default as cells of a row, and its meaning."""
    default = field.get_default(call_default_factory=True)
    mark = chosen_fields(table).get(key)
    kind = _type(field) if mark is None else _plugin_of(mark.registry)
    words = meanings(table)[key].split()
    for switch in marks_of(table).get(key, ()):
        needs = " or ".join(f"`{name}`" for name in switch.keys)
        words.append(f"Acts only where {needs} is {switch.wanted}.")
    meaning = " ".join(words)
    shown = "none" if field.is_required() else f"`{_plain(default)}`"
    return f"`{key}` | {kind} | {shown}", meaning


def _plugin_of(kind: Registry) -> str:
    """Return the words for the name of a plug-in, with a link to the plug-ins of its kind."""
    return f"[{kind.one}](plugins.md#{kind.one.replace(' ', '-')}s)"


def _first_text(table: type[BaseModel]) -> str:
    return " ".join((table.__doc__ or "").split())


def _by_value(values: Mapping[str, Any]) -> dict[Any, list[str]]:
    """Return the protocols that have each value, values in the order of their first protocol."""
    names: dict[Any, list[str]] = {}
    for name, value in values.items():
        names.setdefault(value, []).append(name)
    return names


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _grid(
    head: str, rows: Iterable[Any], of_each: Mapping[str, Mapping[Any, Any]]
) -> Iterator[str]:
    """Yield a table of what each protocol has, one column a protocol."""
    yield f"| {head} | {' | '.join(f'`{name}`' for name in of_each)} |"
    yield "|---|" + "---|" * len(of_each)
    for row in rows:
        marks = ["yes" if row in things else "" for things in of_each.values()]
        yield f"| {row} | {' | '.join(marks)} |"


# --- tables and outcomes ------------------------------------------------------------------------


def tables_page() -> str:
    """Return the page of the tables of a run: core tables, then what protocols add to them."""
    of_each = {name: cls.all_tables() for name, cls in PROTOCOLS.items()}
    names = dict.fromkeys(f"`{table}`" for tables in of_each.values() for table in tables)
    shown = {name: {f"`{table}`": None for table in tables} for name, tables in of_each.items()}
    lines = [*_grid("table", names, shown), "", "## Every protocol"]
    for name, table in CORE.items():
        lines += ["", f"### `{name}`: one row per {table.row}", "", *_columns(table.columns)]
    introduced = set(CORE)
    for group, own in _added(of_each).items():
        lines += ["", f"## {_together(group)}"]
        for name, columns in own.items():
            table = of_each[group[0]][name]
            new = name not in introduced
            introduced.add(name)
            kind = f"one row per {table.row}" if new else "more columns"
            lines += ["", f"### `{name}`: {kind}", ""]
            if table.only and new:
                lines += [f"Only with {table.only}.", ""]
            lines += _columns(columns)
    return _below("tables.md", lines)


Added = dict[tuple[str, ...], dict[str, dict[str, Column]]]


def _added(of_each: Mapping[str, Mapping[str, Any]]) -> Added:
    """Return what the core tables lack, by the protocols that declare it alike, then by table.

    What more protocols share comes first.
    """
    declaring: dict[tuple[str, str, Column], list[str]] = {}
    for protocol, tables in of_each.items():
        for name, table in tables.items():
            core = CORE[name].columns if name in CORE else {}
            for key, column in table.columns.items():
                if core.get(key) != column:
                    declaring.setdefault((name, key, column), []).append(protocol)
    groups: Added = {}
    for (name, key, column), names in declaring.items():
        groups.setdefault(tuple(names), {}).setdefault(name, {})[key] = column
    return dict(sorted(groups.items(), key=lambda item: (-len(item[0]), item[0])))


def _together(names: tuple[str, ...]) -> str:
    """Return the heading of what one protocol or several declare."""
    if len(names) == 1:
        return f"Only `{names[0]}`"
    return f"{_names(names[:-1])} and `{names[-1]}`"


def _columns(columns: Mapping[str, Column]) -> Iterator[str]:
    yield "| column | type | meaning |"
    yield "|---|---|---|"
    for name, column in columns.items():
        yield f"| `{name}` | {_arrow(column.type)} | {column.meaning} |"


def _arrow(kind: pa.DataType) -> str:
    """Return the type of a column in words."""
    if pa.types.is_list(kind):
        inner = _arrow(kind.value_type)
        return "list of lists" if inner.startswith("list") else f"list of {PLURALS[inner]}"
    for fits, word in ARROW:
        if fits(kind):
            return word
    return str(kind)


ARROW = (
    (pa.types.is_boolean, "true or false"),
    (pa.types.is_integer, "integer"),
    (pa.types.is_floating, "number"),
    (pa.types.is_dictionary, "text"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_binary, "bytes"),
)
PLURALS = {
    "true or false": "truth values",
    "integer": "integers",
    "number": "numbers",
    "text": "texts",
}


def results_page() -> str:
    """Return the page of the results of a sweep, which ends with all outcomes."""
    of_each = {name: cls.outcomes for name, cls in PROTOCOLS.items()}
    rows: dict[str, list[str]] = {_outcome(n, o): ["every"] for n, o in CORE_OUTCOMES.items()}
    for protocol, outcomes in of_each.items():
        for name, outcome in outcomes.items():
            rows.setdefault(_outcome(name, outcome), []).append(f"`{protocol}`")
    lines = ["| outcome | meaning | good | protocols |", "|---|---|---|---|"]
    lines += [f"| {row} | {', '.join(names)} |" for row, names in rows.items()]
    return _below("results.md", lines)


def _outcome(name: str, outcome: Outcome) -> str:
    good = {"max": "high", "min": "low", "": ""}[outcome.best]
    return f"`{name}` | {outcome.meaning} | {good}"


def _below(file: str, lines: Iterable[str]) -> str:
    """Return a page with its prose as it is and other lines below the mark."""
    prose, mark, _ = (FOLDER / file).read_text(encoding="utf-8").partition(GENERATED)
    if not mark:
        raise SystemExit(f"{file}: there is no line {GENERATED}")
    return "\n".join([f"{prose}{mark}", "", *lines]) + "\n"


# --- plug-ins -----------------------------------------------------------------------------------


def plugins_page() -> str:
    """Return the page of all plug-ins that are found by name, with their parameters."""
    lines = [
        "# Plug-ins",
        "",
        "Written by `docs/generate.py` from the plug-ins' own metadata. `fedstake list KIND`",
        "prints the same; `fedstake list` alone prints the kinds.",
    ]
    for kind in all_kinds():
        lines += [
            "",
            f"## {kind.one.capitalize()}s",
            "",
            f"{_sentence(kind.about)} Chosen by `{kind.key}`, folder `{kind.folder}`; entry-point "
            f"group `{kind.group}`; listed by {_listing(kind)}.",
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
    if issubclass(plugin, Protocol):
        lines += ["", "| it declares | |", "|---|---|", *_declared(plugin)]
    return lines


def _listing(kind: Registry) -> str:
    return " and ".join(f"`fedstake list {name}`" for name in kind.listed)


def _declared(protocol: type[Protocol]) -> Iterator[str]:
    """Yield the rows on what a protocol declares beside the core of every protocol."""
    added = {n: t for n, t in protocol.all_tables().items() if n not in CORE}
    extended = [name for name in protocol.tables if name in CORE]
    own_keys = protocol.Scenario.model_fields.keys() - Scenario.model_fields.keys()
    declared = {
        "[scenario keys](scenario.md)": sorted(own_keys),
        "[tables](tables.md)": sorted(added),
        "columns of": sorted(extended),
        "[outcomes](results.md)": sorted(protocol.outcomes),
        "[notes on the chain](../explanation/replay.md)": _reasons(protocol),
        "[charts](../explanation/figures.md)": [chart.name for chart in protocol.charts],
        "kinds of plug-ins": [kind.kind for kind in protocol.kinds],
        "tape": protocol.tape.tables if protocol.tape else (),
    }
    for what, names in declared.items():
        if names:
            yield f"| {what} | {_names(names)} |"


def _reasons(protocol: type[Protocol]) -> list[str]:
    """Return the reasons of a protocol's notes and approvals, or the table of its versions."""
    return [getattr(note, "reason", "") or note.table for note in protocol.notes]


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
    if value == 2**63:
        return "2⁶³"
    return f"{int(value):,}" if value == int(value) else f"{value:g}"


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


# --- Python -------------------------------------------------------------------------------------


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
        suite = kind.suite.rpartition(":")[2] or "Conformance"
        lines.append(f"| `{kind.base.__name__}` | {kind.one}s: {kind.about} | `{suite}` |")
    lines += ["", "## What plug-ins are shown, return and declare"]
    for name, member in members.items():
        if dataclasses.is_dataclass(member) and not _is_for_users(member):
            lines += _fields(name, member)
    lines += [
        "",
        "## What a protocol is built on",
        "",
        "[How to write a protocol](../how-to/write-a-protocol.md) shows these at work.",
    ]
    for name in ("Protocol", "Kernel"):
        lines += _methods(name, members[name])
    lines += ["", "| base of scenario tables | meaning |", "|---|---|"]
    for name, member in members.items():
        if inspect.isclass(member) and issubclass(member, BaseModel):
            lines.append(f"| `{name}` | {_first_line(member)} |")
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
        lines += _members(member)
    return lines


def _methods(name: str, member: type) -> list[str]:
    """Return the lines on a class that is inherited from or handed over: one line per method."""
    return ["", f"### `{name}`", "", *_doc(member), *_members(member)]


def _members(member: type) -> Iterator[str]:
    """Yield a line on each public method and property, after an empty one."""
    shown = (types.FunctionType, property, cached_property, classmethod)
    lines = [
        f"- `{name}`: {_first_line(getattr(member, name))}"
        for name, thing in vars(member).items()
        if isinstance(thing, shown) and not name.startswith("_")
    ]
    if lines:
        yield ""
        yield from lines


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


# --- the tutorial -------------------------------------------------------------------------------


def notebook() -> str:
    """Return `docs/tutorial.md` as a notebook: named blocks are files, commands shell cells.

    A notebook that has the same cells already stays as it is, however it is laid out.
    """
    cells: list[dict[str, Any]] = []

    def add(kind: str, source: str) -> None:
        cell = {"cell_type": kind, "id": f"cell-{len(cells)}", "metadata": {}, "source": source}
        outcome: dict[str, Any] = {}
        if kind == "code":
            outcome = {"execution_count": None, "outputs": []}
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
    file = FOLDER.parent / "tutorial.ipynb"
    if file.is_file():
        present = file.read_text(encoding="utf-8")
        if _same_notebook(json.loads(present), whole):
            return present
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _same_notebook(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two notebooks have the same cells: a source is a text, or a list of its lines."""

    def content(book: dict[str, Any]) -> list[tuple[str, str]]:
        return [(cell["cell_type"], "".join(cell["source"])) for cell in book["cells"]]

    return content(one) == content(other)


def _shell(line: str) -> str:
    """Return a line of a console block as the shell reads it: `-...` ends a folder's name."""
    return line.removeprefix("$ ").replace("-...", "-*")


# --- a protocol in one file ---------------------------------------------------------------------


def protocol_page() -> str:
    """Return the how-to with the protocol of the tests as its example."""
    page = (FOLDER.parent / "how-to" / "write-a-protocol.md").read_text(encoding="utf-8")
    code = (FOLDER.parents[1] / "tests" / "plugins" / "lottery.py").read_text(encoding="utf-8")
    block = re.compile(r"(?<=^```python\n)# lottery\.py\n.*?(?=^```$)", re.DOTALL | re.MULTILINE)
    return block.sub(lambda _: f"# lottery.py\n{code}", page, count=1)


# --- mechanism cards ----------------------------------------------------------------------------


SHIPPED = [name for name in rules.payouts.names() if rules.payouts.is_shipped(name)]


@cache
def leaderboard() -> Board:
    """Return the leaderboard that is kept."""
    return read_board(COMMITTED, load_suite())


def mechanisms_page() -> str:
    """Return the page of all shipped payout rules, the best first."""
    return index(leaderboard().rows, load_suite(), SHIPPED)


def card_page(name: str) -> str:
    """Return the card of a payout rule."""
    board = leaderboard()
    rows: Any = board.rows[board.rows["rule"] == name].to_dict("records")
    row = rows[0] if rows else None
    gains = board.gains[board.gains["rule"] == name]
    rule: Any = rules.payouts.get(name)
    parts = sections_of(rule, row, gains, load_suite())
    intro = (
        "Written by `docs/generate.py`; [all rules](index.md), "
        "[how it is measured](../../how-to/put-a-rule-on-the-leaderboard.md)."
    )
    return markdown(name, parts, intro)


PAGES: dict[str, Callable[[], str]] = {
    "../tutorial.ipynb": notebook,
    "../how-to/write-a-protocol.md": protocol_page,
    "python.md": python_page,
    "scenario.md": scenario_page,
    "plugins.md": plugins_page,
    "tables.md": tables_page,
    "results.md": results_page,
    "mechanisms/index.md": mechanisms_page,
}
PAGES |= {f"mechanisms/{name}.md": partial(card_page, name) for name in SHIPPED}

if __name__ == "__main__":
    (FOLDER / "mechanisms").mkdir(exist_ok=True)
    for file, page in PAGES.items():
        (FOLDER / file).write_text(page(), encoding="utf-8")
