"""What the suites of all kinds share. Nothing here needs pytest."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from mechanisms.plugin import Plugin, PluginError


@contextlib.contextmanager
def refused(error: type[Exception], case: str) -> Iterator[None]:
    """Fail unless the block raises the error; `case` says what was asked for."""
    try:
        yield
    except error:
        return
    raise AssertionError(f"{case}: must raise {error.__name__}")


def check_array(array: Any, shape: tuple[int, ...], dtype: type, what: str) -> None:
    """Fail unless an array has this shape and element type."""
    assert np.shape(array) == shape, f"{what}: shape {np.shape(array)}, must be {shape}"
    found = np.asarray(array).dtype
    assert found == dtype, f"{what}: elements are {found}, must be {np.dtype(dtype)}"


def check_equal(found: Any, expected: Any, message: str, *, atol: float | None = None) -> None:
    """Fail with the message unless two arrays are the same, or within `atol` of each other."""
    rtol = 0.0 if atol is None else 1e-7
    try:
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol or 0.0)
    except AssertionError as error:
        raise AssertionError(f"{message}\n{error}") from None


class Conformance:
    """What every plug-in promises: metadata, frozen and checked parameters, and pickling.

    Subclasses set `plugin`. `configurations` are the tables of parameters that are tried, by
    default the `examples` of the plug-in.
    """

    plugin: ClassVar[Any]
    configurations: ClassVar[Sequence[Mapping[str, Any]] | None] = None

    def made(self) -> list[Any]:
        """Return one configured plug-in for each set of parameters."""
        tables = self.plugin.examples if self.configurations is None else self.configurations
        return [self.plugin.configure(table) for table in tables]

    def test_metadata_is_complete(self):
        plugin = self.plugin
        assert issubclass(plugin, Plugin), "must inherit from a base class of plug-ins"
        problems = []
        if not plugin.name == plugin.name.strip().lower() != "":
            problems.append(f"`name` is {plugin.name!r}, give one in lower case")
        if not plugin.summary:
            problems.append("`summary` is missing: one line on what it does")
        if not plugin.reference:
            problems.append("`reference` is missing: the paper or document it comes from")
        if not plugin.__doc__:
            problems.append("the docstring is missing")
        fields = dataclasses.fields(plugin.Params)
        silent = [field.name for field in fields if not field.metadata.get("help")]
        problems += [f"parameter {name} has no help" for name in silent]
        assert not problems, "; ".join(problems)

    def test_parameters_are_frozen_and_checked(self):
        params = self.plugin.Params
        assert dataclasses.is_dataclass(params), "`Params` must be a dataclass"
        assert params.__dataclass_params__.frozen, "`Params` must be frozen"
        with refused(PluginError, "an unknown parameter"):
            self.plugin.configure({"no_such_parameter": 1})

    def test_serialisable(self):
        for made in self.made():
            again = pickle.loads(pickle.dumps(made))
            assert again.params == made.params, "pickling changes the parameters"
