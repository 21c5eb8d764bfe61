"""What the keys of a scenario mean: the text under each, read from the source when asked for."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

from pydantic import BaseModel


@cache
def meanings(table: type[BaseModel]) -> dict[str, str]:
    """Return by key of a table what it means, "" where nothing is said."""
    found: dict[str, str] = {}
    for cls in reversed(table.__mro__):
        if issubclass(cls, BaseModel) and cls is not BaseModel:
            found |= dict(_texts(cls))
    return {
        key: field.description or found.get(key, "") for key, field in table.model_fields.items()
    }


def _texts(cls: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the fields that a class declares with the text under each."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(definition, ast.ClassDef)
    for declared, below in pairwise(definition.body):
        if isinstance(declared, ast.AnnAssign) and isinstance(declared.target, ast.Name):
            text = below.value if isinstance(below, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                yield declared.target.id, inspect.cleandoc(text.value)
