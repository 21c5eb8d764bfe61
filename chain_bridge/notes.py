"""Declarations of what a chain records beside money, as the manifest of a run holds them.

A protocol declares notes, approvals and model versions by the recorded tables that they come from;
the simulation writes the declarations into `manifest.json` under the key `notes`. The bridge knows
nothing else of a protocol. A manifest may come from anybody, so every value is checked before use.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from chain_bridge.errors import PlanError

MOST_NOTES = 100  # declarations of one run
MOST_COLUMNS = 32  # of one declaration
MOST_ATTRIBUTES = 8  # of one item
RESERVED = frozenset({"fedstake", "round"})  # names that every note has already
ROUND = "round"  # column that every declared table has

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Stem = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Column = Annotated[str, Field(min_length=1, max_length=64)]
Value = str | int | bool


class Declaration(BaseModel):
    """Base of the declarations: exact types, no key but the documented ones."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Note(Declaration):
    """A remark on the chain for each round or each row of a recorded table.

    `per`: "round" is one note with the SHA-256 of all qualifying rows; "row" is one note for each
    qualifying row, with its values; "first" is the same for the first qualifying row of a round.
    A row qualifies when the columns `present` have a value and those in `equal` have that value.
    `columns` maps names in the note to columns; `order` sorts the rows of a round ("-": descending;
    texts stored as a dictionary by their first appearance in the table); `device` is the column
    with the device that the fee is attributed to ("": none).

    The keys of a JSON object have no order, so the lines of a digest hold first the columns that
    rows are sorted by, in the order of sorting, then the others by their names in the note.
    """

    type: Literal["note"]
    reason: Name
    table: Stem
    columns: Annotated[dict[Name, Column], Field(min_length=1, max_length=MOST_COLUMNS)]
    per: Literal["round", "row", "first"] = "round"
    present: Annotated[tuple[Column, ...], Field(max_length=MOST_COLUMNS)] = ()
    equal: Annotated[dict[Column, Value], Field(max_length=MOST_COLUMNS)] = {}
    order: Annotated[tuple[Column, ...], Field(max_length=MOST_COLUMNS)] = ()
    device: str = ""

    @model_validator(mode="after")
    def _check(self) -> Note:
        taken = sorted(RESERVED & self.columns.keys())
        if taken:
            raise ValueError(f"columns must not name {taken[0]!r}, which every note has already")
        if self.per == "round" and self.device:
            raise ValueError('device must be "" in a note of a whole round')
        return self

    def sorting(self) -> tuple[list[str], list[bool]]:
        """Return the columns that rows are sorted by, and which of them ascend."""
        return [c.removeprefix("-") for c in self.order], [c[0] != "-" for c in self.order]

    def line(self) -> list[str]:
        """Return the columns of a line in their order."""
        sorting = self.sorting()[0]
        rank = {column: place for place, column in reversed(list(enumerate(sorting)))}
        pairs = sorted(self.columns.items(), key=lambda x: (rank.get(x[1], len(rank)), x[0]))
        return [column for _, column in pairs]

    def needs(self) -> set[str]:
        """Return every column that the note is made from."""
        columns = {*self.columns.values(), *self.present, *self.equal, *self.sorting()[0]}
        return columns | ({self.device} if self.device else set())


class Approval(Declaration):
    """A result that more than half of a committee approves on the chain, once a round.

    `table` and `members` (a column with devices) say who is in the committee of a round; a round
    with fewer than two members has no approval. `digests`: by name in the result, notes per round
    whose digests it holds.
    """

    type: Literal["approval"]
    reason: Name
    table: Stem
    members: Column
    digests: Annotated[dict[Name, Note], Field(max_length=MOST_COLUMNS)]

    @model_validator(mode="after")
    def _check(self) -> Approval:
        taken = sorted(RESERVED & self.digests.keys())
        if taken:
            raise ValueError(f"digests must not name {taken[0]!r}, which every note has already")
        wrong = next((name for name, note in self.digests.items() if note.per != "round"), None)
        if wrong is not None:
            raise ValueError(f'digests.{wrong}.per must be "round"')
        return self


class Versions(Declaration):
    """A collection of model versions on the chain, one item for each row of a table.

    `data`: columns with hexadecimal digests, which become the item's metadata; `author`: column
    with the releasing device; `status`: column with the kind of version. A run that was recorded
    without the table has no collection.
    """

    type: Literal["versions"]
    table: Stem
    data: Annotated[tuple[Column, ...], Field(min_length=1, max_length=4)]
    author: Column
    status: Column


class Licences(Declaration):
    """Licences on the chain, one item for each row of a table that qualifies.

    `buyer`: column with the device that an item belongs to; `attributes`: by name the column with
    its value; a row qualifies when the columns in `equal` have that value. A run that was recorded
    without the table has none.
    """

    type: Literal["licences"]
    table: Stem
    buyer: Column
    attributes: Annotated[dict[Name, Column], Field(max_length=MOST_ATTRIBUTES)]
    equal: Annotated[dict[Column, Value], Field(max_length=MOST_COLUMNS)] = {}


Declared = Annotated[Note | Approval | Versions | Licences, Field(discriminator="type")]
Collected = (Versions, Licences)
"""Declarations of items, whose table need not be recorded; one of each at most."""
_DECLARED = TypeAdapter(Annotated[list[Declared], Field(max_length=MOST_NOTES)])


def parse(manifest: Mapping[str, Any], files: Sequence[str], file: Path) -> tuple[Declared, ...]:
    """Return the declarations of a manifest; `PlanError` names the file and the key that is wrong.

    `files`: names of the run's files, as the manifest lists them.
    """
    if "notes" not in manifest:
        raise PlanError(
            f"{file}: notes: missing; must be the list of what a chain records beside money "
            "([] for nothing): record the run again"
        )
    try:
        declared = tuple(_DECLARED.validate_json(json.dumps(manifest["notes"])))
    except (ValidationError, RecursionError) as error:
        raise PlanError(f"{file}: {_first_fault(error)}") from None

    for kind in Collected:
        found = [d.type for d in declared if isinstance(d, kind)]
        if len(found) > 1:
            raise PlanError(
                f"{file}: notes: two declarations of type {found[0]}; a run has at most one"
            )
    for key, source in sources(declared):
        optional = isinstance(source, Collected)
        if f"{source.table}.parquet" not in files and not optional:
            raise PlanError(
                f"{file}: {key}.table: {source.table!r} must be a table of the run, "
                f"but {source.table}.parquet is not in its files"
            )
    return declared


def sources(declared: Sequence[Declared]) -> Iterator[tuple[str, Declared]]:
    """Yield every declaration that reads a table, digests of approvals included, with its key."""
    for number, declaration in enumerate(declared):
        yield f"notes.{number}", declaration
        if isinstance(declaration, Approval):
            for name, note in declaration.digests.items():
                yield f"notes.{number}.digests.{name}", note


def check_columns(
    declared: Sequence[Declared], tables: Mapping[str, pd.DataFrame], file: Path
) -> None:
    """Raise `PlanError` unless every declared column is in its table."""
    for key, source in sources(declared):
        if source.table not in tables:
            continue  # versions or licences that were not recorded
        table = tables[source.table]
        for column in sorted({ROUND, *_columns(source)}):
            if column not in table.columns:
                raise PlanError(
                    f"{file}: {key}: column {column!r} is not in {source.table}.parquet, "
                    f"which has {', '.join(map(_plain, table.columns))}"
                )
        if not pd.api.types.is_integer_dtype(table[ROUND]):
            raise PlanError(f"{file}: {key}: {source.table}.parquet: round must hold integers")


def _columns(source: Declared) -> set[str]:
    """Return the columns that a declaration reads of its table."""
    if isinstance(source, Note):
        return source.needs()
    if isinstance(source, Approval):
        return {source.members}
    if isinstance(source, Licences):
        return {source.buyer, *source.attributes.values(), *source.equal}
    return {*source.data, source.author, source.status}


def _plain(part: str | int) -> str:
    """Return a part of a key as it is, or quoted where it could break the line."""
    text = str(part)
    return text if text.isidentifier() or text.isdigit() else repr(text[:60])


def _first_fault(error: ValidationError | RecursionError) -> str:
    """Return the key of the first fault, its value and what would be right."""
    if isinstance(error, RecursionError):
        return "notes: nested too deeply; must be a list of declarations"
    fault = error.errors(include_url=False)[0]
    # The second part of a place is the declaration's type, which is no key of the manifest.
    place = [part for i, part in enumerate(fault["loc"]) if i != 1]
    key = ".".join(["notes", *map(_plain, place)])
    shown = repr(fault["input"])
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    message = fault["msg"].removeprefix("Value error, ")
    return f"{key}: {message[0].lower()}{message[1:]} (it is {shown})"
