"""Text and tables that fit the width of a terminal; nothing is cut, so nothing looks alike.

A table that is too wide folds its headings at underscores, then its sentences at words; what is
still too wide is split into blocks of columns that repeat the first ones, or else into one record
per row.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

GAP = 2
"""Blanks between columns."""
SENTENCE = 32
"""Cells of a column that folds at words are longer than this in some row."""
LABEL = re.compile(r"\s*\S.{0,24}?\s{2,}(?=\S)")
"""The label before a text, which continues under itself."""


@dataclass(frozen=True)
class Column:
    """A column of a table of text.

    Args:
        heading: its words in one line.
        cells: of all rows.
        width: in cells of the terminal.
        left: whether text begins at the left.
        folds: whether cells may be folded at words.
    """

    heading: str
    cells: tuple[str, ...]
    width: int
    left: bool
    folds: bool = False

    @property
    def head(self) -> str:
        """The heading in lines that fit the width, broken at blanks and after underscores."""
        lines = [""]
        for piece in _pieces(self.heading):
            if cell_len((lines[-1] + piece).rstrip()) > self.width:
                lines.append("")
            lines[-1] += piece
        return "\n".join(line.rstrip() for line in lines if line)


def columns_of(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[Column]:
    """Return the columns of a table as wide as their cells; the first one begins at the left."""
    columns = []
    for i, heading in enumerate(headings):
        cells = tuple(row[i] for row in rows)
        width = max(map(cell_len, [*cells, *heading.split()]), default=0)
        columns.append(Column(heading, cells, width, left=i == 0))
    return columns


def fitted(columns: Sequence[Column], width: int, keys: int = 1) -> list[list[Column]]:
    """Return the blocks of a table that fit a width; none when a record per row is needed.

    Args:
        columns: of `columns_of`.
        width: cells of a line of the terminal.
        keys: how many columns name the row; every block begins with them.
    """
    if _total(columns) <= width:
        return [_widened(columns, width)]
    folded = [_folded(column) for column in columns]
    if _total(folded) <= width:
        return [_widened(folded, width)]
    named, others = folded[:keys], folded[keys:]
    blocks: list[list[Column]] = []
    for column in others:
        if blocks and _total([*blocks[-1], column]) <= width:
            blocks[-1].append(column)
        else:
            blocks.append([*named, column])
    if not others or max(map(_total, blocks)) > width:
        return []
    return [_widened(block, width) for block in blocks]


def records(headings: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """Return a table as one record per row: a line `heading: value` for each cell."""
    texts = []
    for row in rows:
        cells = [(h, v) for h, v in zip(headings, row, strict=True) if v]
        lines = [f"{h}: {v}" if h.strip() else v for h, v in cells]
        texts.append("\n".join(wrapped(line, width) for line in lines))
    return "\n\n".join(texts)


def wrapped(text: str, width: int) -> str:
    """Return a text in lines of so many cells, broken between words.

    Continued lines are indented: under the text after a label, else by two blanks more. A word that
    is longer than a line stays whole: names and addresses are there to be copied.
    """
    return "\n".join(_line(line, width) for line in text.split("\n"))


def _line(line: str, width: int) -> str:
    """Return one line of text as several."""
    if cell_len(line) <= width:
        return line
    label = LABEL.match(line)
    own = len(line) - len(line.lstrip())
    indent = label.end() if label and label.end() < width / 2 else own + 2
    return textwrap.fill(
        line,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
        expand_tabs=False,
        replace_whitespace=False,
    )


def _pieces(heading: str) -> list[str]:
    """Return the parts of a heading between which a line may end."""
    return re.findall(r"[^\s_]*_+|[^\s_]+\s*", heading)


def _folded(column: Column) -> Column:
    """Return a column whose heading is folded at underscores, its sentences at words."""
    pieces = [cell_len(piece.rstrip()) for piece in _pieces(column.heading)]
    longest = max(map(cell_len, column.cells), default=0)
    if longest <= SENTENCE:
        return replace(column, width=max([longest, *pieces]))
    words = [cell_len(word) for cell in column.cells for word in cell.split()]
    width = max([min(SENTENCE, longest), *words, *pieces])
    return replace(column, width=width, left=True, folds=True)


def _widened(block: Sequence[Column], width: int) -> list[Column]:
    """Return the columns of a block, the room that is left given to folded cells and headings."""
    room = width - _total(block)
    widths = [column.width for column in block]
    for i in sorted(range(len(block)), key=lambda i: not block[i].folds):
        wanted = cell_len(block[i].heading)
        if block[i].folds:
            wanted = max(map(cell_len, block[i].cells))
        more = min(room, max(0, wanted - widths[i]))
        room, widths[i] = room - more, widths[i] + more
    return [replace(column, width=w) for column, w in zip(block, widths, strict=True)]


def _total(columns: Sequence[Column]) -> int:
    """Return the width of a table with these columns."""
    return sum(column.width for column in columns) + GAP * (len(columns) - 1)
