"""A few numbers of a recorded run: what `fedstake run` prints, and the head of a report."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from experiments.numerals import digits, number, whole
from experiments.rundir import RunError
from experiments.runfiles import RunFiles, setting
from fedstake.outside import literal

if TYPE_CHECKING:
    import pandas as pd

WIDTH = 80
"""Letters of a line of text; longer values are folded."""
PARTY = "party"
"""Column of `participants` that says what part a device has in a game of several."""


class GroupUtility(NamedTuple):
    """Utility per device of a group over the whole run, in base units.

    Stakes lost, costs and benefits are included.
    """

    group: str
    devices: int
    mean: float
    min: float
    max: float


@dataclass(frozen=True, repr=False)
class Summary:
    """A few numbers of a run; it prints as text, and as tables in a notebook.

    Args:
        title: name and seed of the run.
        values: text by name, those that the run recorded.
        utilities: one entry per group; empty where nothing was paid.
        unit: of utilities.
    """

    title: str
    values: Mapping[str, str]
    utilities: Sequence[GroupUtility]
    unit: str

    def __repr__(self) -> str:
        """Return the summary as `fedstake run` prints it."""
        lines = [self.title, *_aligned(_folded(self.values))]
        if self.utilities:
            lines += ["", self._heading, *_aligned([GroupUtility._fields, *self._rounded()])]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the summary as a notebook shows it."""
        parts = [f"<p>{_safe(self.title)}</p>", _table(self.values.items())]
        if self.utilities:
            head = "".join(f"<th>{name}</th>" for name in GroupUtility._fields)
            parts += [f"<p>{_safe(self._heading)}</p>", _table(self._rounded(), head)]
        return "".join(parts)

    def frame(self) -> pd.DataFrame:
        """Return the values as a frame with a row each."""
        import pandas as pd

        return pd.DataFrame(self.values.items(), columns=["", "value"])

    def utility_frame(self) -> pd.DataFrame:
        """Return the utilities as a frame with a row per group."""
        import pandas as pd

        return pd.DataFrame(self.utilities, columns=GroupUtility._fields)

    @property
    def _heading(self) -> str:
        return f"utility per device ({self.unit})"

    def _rounded(self) -> list[tuple[str, ...]]:
        """Return the utilities as text, each column with decimals of its own."""
        names, devices, *columns = zip(*self.utilities, strict=True)
        shown = [[number(value, digits(column)) for value in column] for column in columns]
        return list(zip(names, map(str, devices), *shown, strict=True))


def summarised(run: RunFiles) -> Summary:
    """Return the summary of a run; raise `RunError` where its files cannot be what they say."""
    try:
        return Summary(
            title=f"{setting(run.settings, 'name') or run.run_id}, seed {run.manifest.get('seed')}",
            values=dict(_values(run)),
            utilities=_utilities(run),
            unit=_unit(run),
        )
    except pa.ArrowException as error:
        raise RunError(f"{run.path}: damaged ({str(error).splitlines()[0]})") from error


# --- values -----------------------------------------------------------------------------------


def _values(run: RunFiles) -> Iterator[tuple[str, str]]:
    """Yield name and value of all that the run recorded and that is worth a line."""
    rounds = run.arrow("rounds") if run.has({"rounds": ("round",)}) else pa.table({})
    if rounds.num_rows:
        whose = _whose(run)
        for name, columns, value in VALUES:
            text = value(run, rounds) if set(columns) <= set(rounds.column_names) else ""
            if text:
                yield name.replace("adversaries", whose), text
    for name, text in (
        ("ran with less than asked for", _cut_down(run, rounds.num_rows)),
        ("training samples left over", _left_over(run)),
    ):
        if text:
            yield name, text
    yield from _headlines(run)


def _headlines(run: RunFiles) -> Iterator[tuple[str, str]]:
    """Yield what the protocol declares for the summary of a run."""
    declared = run.manifest.get("outcomes", {})
    if isinstance(declared, Mapping) and not any(map(_is_headline, declared.values())):
        return  # the database takes longer than all else
    from experiments.outcomes import of_run

    for name, (_, value) in of_run(run).items():
        yield name.replace("_", " "), value


def _is_headline(outcome: Any) -> bool:
    return not isinstance(outcome, Mapping) or outcome.get("headline") is not False


def _whose(run: RunFiles) -> str:
    """Return what devices of the adversary groups are: those that choose may well be honest."""
    groups = setting(run.settings, "adversaries") or []
    strategic = [group for group in groups if group.get("strategies")]
    return "strategic devices" if groups and len(strategic) == len(groups) else "adversaries"


def _unit(run: RunFiles) -> str:
    return setting(run.settings, "payout.asset") or "base units"


def _final_accuracy(run: RunFiles, rounds: pa.Table) -> str:
    return number(rounds["accuracy"][-1].as_py(), 3)


def _best_accuracy(run: RunFiles, rounds: pa.Table) -> str:
    return number(max(_known(rounds, "accuracy"), default=None), 3)


def _honest_rejected(run: RunFiles, rounds: pa.Table) -> str:
    return _share(_total(rounds, "rejected_honest"), _total(rounds, "accepted_honest"))


def _adversaries_accepted(run: RunFiles, rounds: pa.Table) -> str:
    return _share(_total(rounds, "accepted_adversary"), _total(rounds, "rejected_adversary"))


def _malformed(run: RunFiles, rounds: pa.Table) -> str:
    """Return how many updates could never be aggregated, by behaviour; "" when all could."""
    if not _total(rounds, "malformed"):
        return ""
    people = run.arrow("participants", ["strategy", "malformed"]).to_pylist()
    counts = Counter(row["strategy"] for row in people if row["malformed"])
    return ", ".join(f"{count} (behaviour {name})" for name, count in counts.most_common())


def _forked(run: RunFiles, rounds: pa.Table) -> str:
    return f"{_total(rounds, 'forked')} of {rounds.num_rows}"


def _shut_out(run: RunFiles, rounds: pa.Table) -> str:
    return str(rounds["blocked"][-1].as_py() or 0)


def _issued(run: RunFiles, rounds: pa.Table) -> str:
    return f"{whole(_total(rounds, 'issued') - _total(rounds, 'burned'))} {_unit(run)}"


def _simulated_time(run: RunFiles, rounds: pa.Table) -> str:
    return f"{number(rounds['end_s'][-1].as_py(), 0)} s"


def _cut_down(run: RunFiles, rounds: int) -> str:
    """Return which parameters were cut down, to what and how often; empty: none was."""
    columns = ("rule", "parameter", "asked", "used", "round")
    if not run.has({"reduced": columns}):
        return ""
    cases: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
    for row in run.arrow("reduced", columns).to_pylist():
        rule, parameter, asked, used, index = (row[name] for name in columns)
        cases.setdefault((rule, parameter, asked), []).append((used, index))
    parts = []
    for (rule, parameter, asked), found in cases.items():
        values = {used for used, _ in found}
        used = " to ".join(str(value) for value in sorted({min(values), max(values)}))
        often = len({index for _, index in found})
        parts.append(f"{rule}: {parameter} = {used}, not {asked}, in {often} of {rounds} rounds")
    return "; ".join(parts)


def _left_over(run: RunFiles) -> str:
    """Return how many training samples nobody trains on and nobody judges with; "" for none."""
    unused, of_all = (run.manifest.get(k) for k in ("unused_samples", "training_samples"))
    if not isinstance(unused, int) or not unused:
        return ""
    return _share(unused, of_all - unused) if isinstance(of_all, int) else f"{unused:,}"


def _total(rounds: pa.Table, column: str) -> int:
    return sum(_known(rounds, column))


def _known(rounds: pa.Table, column: str) -> list[Any]:
    """Return the values of a column that are not null."""
    return [value for value in rounds[column].to_pylist() if value is not None]


def _share(part: int, others: int) -> str:
    """Return a share in words; "" of nothing: its row is left out."""
    whole = part + others
    return f"{part:,} of {whole:,} ({100 * part / whole:.1f} %)" if whole else ""


VALUES: tuple[tuple[str, tuple[str, ...], Callable[[RunFiles, pa.Table], str]], ...] = (
    ("final accuracy", ("accuracy",), _final_accuracy),
    ("best accuracy", ("accuracy",), _best_accuracy),
    ("honest updates rejected", ("accepted_honest", "rejected_honest"), _honest_rejected),
    (
        "adversaries' updates accepted",
        ("accepted_adversary", "rejected_adversary"),
        _adversaries_accepted,
    ),
    ("updates malformed", ("malformed",), _malformed),
    ("rounds forked", ("forked",), _forked),
    ("devices blocked at the end", ("blocked",), _shut_out),
    ("net issuance", ("issued", "burned"), _issued),
    ("simulated time", ("end_s",), _simulated_time),
)
"""The values of a summary: name, the columns of `rounds` that each needs, its text."""


# --- utilities --------------------------------------------------------------------------------


def _utilities(run: RunFiles) -> tuple[GroupUtility, ...]:
    """Return the utility per device by group; none for a run without utilities or groups.

    A group whose devices are several parties of the game, as clients and creators, has an entry for
    each: a mean over what they gain and pay to each other would say nothing.
    """
    columns = ("group", "device", "utility")
    if not run.has({"participants": columns}):
        return ()
    # By hand: what Arrow groups with imports pandas, which takes longer than all else.
    people = run.arrow("participants", columns)
    rows = zip(*(people[c].to_pylist() for c in columns), strict=True)
    of_party = [None] * people.num_rows
    if run.has({"participants": (PARTY,)}):
        of_party = run.arrow("participants", [PARTY])[PARTY].to_pylist()
    sums: dict[tuple[str, str | None], dict[int, float]] = {}
    for (group, device, utility), party in zip(rows, of_party, strict=True):
        own = sums.setdefault((group, party), {})
        own[device] = own.get(device, 0.0) + utility
    parties = Counter(group for group, _ in sums)
    return tuple(
        GroupUtility(
            f"{group}: {party}" if parties[group] > 1 else group,
            len(own),
            fmean(own.values()),
            min(own.values()),
            max(own.values()),
        )
        for (group, party), own in sums.items()
    )


# --- text -------------------------------------------------------------------------------------


def _folded(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield names with their values, long ones on several lines."""
    room = WIDTH - max(map(len, values), default=0) - 2
    for name, text in values.items():
        first, *others = textwrap.wrap(text, max(room, 20)) or [""]
        yield name, first
        yield from (("", line) for line in others)


def _aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return lines of text in columns: the first from the left, the others from the right."""
    cells = [[literal(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for first, *others in cells:
        shown = [first.ljust(widths[0])]
        shown += [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join(shown).rstrip())
    return lines


def _table(rows: Iterable[Sequence[str]], head: str = "") -> str:
    """Return rows as a table of HTML."""
    lines = ["".join(f"<td>{_safe(cell)}</td>" for cell in row) for row in rows]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in [head, *lines] if line)}</table>"


def _safe(text: str) -> str:
    return escape(literal(text))
