"""What factors and levels are called where people read them; recorded values stay as they are.

A level that names a plug-in by path, `path/to/file.py:ClassName`, is called by the plug-in's own
name, which was recorded when the sweep was planned, or else by its class. Its path is added only
where two levels of a factor would have one name. Labels out of the sweep's file come before both.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.numerals import plain
from fedstake.outside import literal
from mechanisms.plugin import nearest
from sim.keys import SettingError

if TYPE_CHECKING:
    import pandas as pd

BY_PATH = re.compile(r"(?P<file>.+\.py):(?P<name>\w+)")
LONGEST = 60
"""Most letters of a label in a sweep's file, and of a plug-in's own name that is believed."""
DRAWN = 26
"""Most letters of a level in a figure; longer ones are shortened in the middle."""


@dataclass(frozen=True)
class Labels:
    """Labels of the factors of a sweep and of their levels.

    Args:
        factors: label by factor.
        levels: by factor, label by level.
        letters: most letters of a level that is not listed; 0: any number.
        uncut: those that these are shortened from, if they are.
    """

    factors: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, Mapping[Any, str]] = field(default_factory=dict)
    letters: int = 0
    uncut: Labels | None = None

    def factor(self, name: str) -> str:
        """Return the label of a factor: by default the last part of its dotted key."""
        return self.factors.get(name) or short(name)

    def level(self, factor: str, level: Any) -> str:
        """Return the label of a level, without its factor."""
        known = self.levels.get(factor, {}).get(level)
        return known or shorten(_text(level), self.letters)

    def named(self, factor: str, level: Any) -> str:
        """Return a level that stands alone: a name as it is, a number with its factor."""
        text = self.level(factor, level)
        if isinstance(level, str):
            return text
        return f"{self.factor(factor)} = {text}"

    def whole(self, factor: str, level: Any) -> str:
        """Return a level that stands alone as `named` does, but not shortened: for legends."""
        return (self.uncut or self).named(factor, level)

    def all_of(self, factors: Iterable[str]) -> str:
        """Return the labels of some factors as a list in words."""
        *others, last = [self.factor(name) for name in factors]
        return f"{', '.join(others)} and {last}" if others else last

    def applied(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame with labels in the place of factors and levels, to be shown.

        A factor keeps its whole name where another column has its label.
        """
        shown = frame.copy()
        names: dict[str, str] = {}
        for factor in self.levels:
            if factor in shown:
                shown[factor] = [self.level(factor, value) for value in frame[factor]]
                names[factor] = self.factor(factor)
        counts = Counter([*names.values(), *(c for c in frame.columns if c not in names)])
        return shown.rename(columns={f: n for f, n in names.items() if counts[n] == 1})

    def without_paths(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a frame with labels in the place of plug-ins by path; other levels stay."""
        shown = frame.copy()
        for factor in shown.columns.intersection(list(self.levels)):
            paths = [level for level in shown[factor].unique() if _by_path(level)]
            if paths:
                named = {path: self.level(factor, path) for path in paths}
                shown[factor] = [named.get(level, level) for level in shown[factor]]
        return shown

    def drawn(self, letters: int = DRAWN) -> Labels:
        """Return the labels as figures have them: long levels shortened, still all different."""
        levels = {factor: _shortened(known, letters) for factor, known in self.levels.items()}
        return replace(self, levels=levels, letters=letters, uncut=self.uncut or self)

    @property
    def long(self) -> bool:
        """Whether some label is shortened in figures."""
        return any(len(text) > DRAWN for known in self.levels.values() for text in known.values())


def labels_of(
    levels: Mapping[str, Sequence[Any]],
    given: Mapping[str, Any] | None = None,
    plugins: Mapping[str, Mapping[str, str]] | None = None,
) -> Labels:
    """Return the labels of factors and levels; nothing that is given is trusted.

    Args:
        levels: the levels of each factor.
        given: table `[labels]` of the sweep's file.
        plugins: by factor and level, the own name of a plug-in that the level names by path.
    """
    table = given if isinstance(given, Mapping) else {}
    factors = _tails(levels) | _texts(table.get("factors"))
    labels = {}
    for factor, found in levels.items():
        asked = _texts(_inner(table.get("levels"), factor))
        own = _texts(_inner(plugins, factor))
        labels[factor] = _label_levels(found, asked, own)
    return Labels({f: t for f, t in factors.items() if f in levels}, labels)


def rule_names(names: Iterable[str], own: Mapping[str, str]) -> list[str]:
    """Return what plug-ins are called that stand beside each other, a path only where two collide.

    `own` has the recorded names of plug-ins by path: nothing is imported to be shown.
    """
    given = list(names)
    labels = labels_of({"": list(dict.fromkeys(given))}, plugins={"": own})
    return [labels.level("", name) for name in given]


def short(factor: str) -> str:
    """Return the last part of a dotted key."""
    return factor.rpartition(".")[2]


def plugin_label(name: str, own: str = "") -> str:
    """Return what a plug-in is called: its own name, the class of a path, or the name as it is."""
    path = BY_PATH.fullmatch(name)
    return own or path["name"] if path else name


def shorten(text: str, most: int) -> str:
    """Return a text of at most so many letters, its middle left out; 0: any number."""
    if not most or len(text) <= most:
        return text
    head = most // 2
    tail = most - 1 - head
    return f"{text[:head].rstrip()}…{text[len(text) - tail :].lstrip()}"


def quoted(text: str) -> str:
    """Return a level for a list of levels: in quotation marks where it has a comma itself."""
    return f"“{text}”" if "," in text else text


def check_labels(given: Mapping[str, Mapping[str, Any]], levels: Mapping[str, list[Any]]) -> None:
    """Raise `SettingError` for labels of factors or levels that a sweep does not have.

    Args:
        given: labels of levels by factor and level.
        levels: the levels of each factor; none of one that is drawn from a range.
    """
    for factor, labels in given.items():
        place = f"labels.levels.{factor}"
        if not levels[factor]:
            raise SettingError(place, dict(labels), "a factor with a range has no levels to name")
        names = [key_of(level) for level in levels[factor]]
        for key in labels:
            if not any(_is_meant(key, name) for name in names):
                raise SettingError(place, key, f"no such level; {nearest(key, names)}")
        shown = [labels.get(_meant(labels, name), name) for name in names]
        for text, times in Counter(shown).items():
            if times > 1:
                raise SettingError(place, text, "two levels would have this name")


def key_of(level: Any) -> str:
    """Return a level as the text that a key of `[labels]` is compared with."""
    if isinstance(level, bool | np.bool_):
        return str(level).lower()
    return f"{level:.12g}" if isinstance(level, float | np.floating) else str(level)


def _is_meant(key: str, level: str) -> bool:
    """Return whether a key of `[labels]` names a level; of a path its end is enough."""
    return key == level or (BY_PATH.fullmatch(key) is not None and level.endswith(f"/{key}"))


def _meant(labels: Mapping[str, str], level: str) -> str:
    """Return the key that names a level; "" when there is none."""
    return next((key for key in labels if _is_meant(key, level)), "")


def _label_levels(
    found: Sequence[Any], asked: Mapping[str, str], own: Mapping[str, str]
) -> dict[Any, str]:
    """Return the label of each level of a factor."""
    labels = {}
    for level in found:
        given = asked.get(_meant(asked, key_of(level)), "")
        labels[level] = given or _line(_text(level))
        if isinstance(level, str) and not given:
            labels[level] = _line(plugin_label(level, own.get(level, "")))
    return _told_apart(labels)


def _told_apart(labels: dict[Any, str]) -> dict[Any, str]:
    """Return the labels with what distinguishes levels of one name: a path, or all digits."""
    counts = Counter(labels.values())
    paths = [level for level in labels if _by_path(level)]
    tails = _path_tails(paths)
    apart = {}
    for level, text in labels.items():
        apart[level] = text
        if counts[text] > 1:
            more = f"{text} ({tails[level]})" if level in tails else _line(str(level))
            apart[level] = more
    return apart


def _path_tails(paths: Sequence[str]) -> dict[str, str]:
    """Return the shortest end of each file's path that no other file's path has."""
    files = {path: _line(path.rpartition(":")[0]).split("/") for path in paths}
    tails = {}
    for path, parts in files.items():
        others = [other for other in files.values() if other != parts]
        size = 1
        while size < len(parts) and any(other[-size:] == parts[-size:] for other in others):
            size += 1
        tails[path] = "/".join(parts[-size:])
    return tails


def _by_path(level: Any) -> bool:
    """Return whether a level names a plug-in by path."""
    return isinstance(level, str) and BY_PATH.fullmatch(level) is not None


def _tails(factors: Iterable[str]) -> dict[str, str]:
    """Return the shortest end of each dotted key that no other factor has."""
    parts = {factor: factor.split(".") for factor in factors}
    tails = {}
    for factor, own in parts.items():
        size = 1
        others = [other for name, other in parts.items() if name != factor]
        while size < len(own) and any(other[-size:] == own[-size:] for other in others):
            size += 1
        tails[factor] = _line(".".join(own[-size:]))
    return tails


def _shortened(labels: Mapping[Any, str], letters: int) -> dict[Any, str]:
    """Return labels of at most so many letters; those that become the same are numbered."""
    cut = {level: shorten(text, letters) for level, text in labels.items()}
    counts = Counter(cut.values())
    seen: Counter[str] = Counter()
    apart = {}
    for level, text in cut.items():
        seen[text] += 1
        apart[level] = text
        if counts[text] > 1:
            apart[level] = f"{shorten(labels[level], letters - 4)} #{seen[text]}"
    return apart


def _text(level: Any) -> str:
    """Return a level as text: numbers with thousands separated or three digits."""
    if isinstance(level, bool | np.bool_):
        return str(level).lower()
    if not isinstance(level, int | float | np.integer | np.floating):
        return str(level)
    return plain(float(level))


def _line(text: str) -> str:
    """Return a text as one line that can be printed."""
    return literal(" ".join(text.split()))


def _inner(table: Any, key: str) -> Any:
    return table.get(key) if isinstance(table, Mapping) else None


def _texts(table: Any) -> dict[str, str]:
    """Return the entries of a table that are short texts, each as one line."""
    if not isinstance(table, Mapping):
        return {}
    texts = {str(k): _line(v) for k, v in table.items() if isinstance(v, str)}
    return {key: text for key, text in texts.items() if 0 < len(text) <= LONGEST}
