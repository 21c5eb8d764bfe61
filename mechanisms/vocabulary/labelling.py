"""Words of labelling: tasks of questions, the answers to them, and what rules make of these.

A question asks which of `options` labels an item has. A task is a batch of questions that several
annotators answer, each all of them. Nobody but the simulator knows the true label of an item and
how difficult it is; the creator of a task knows those of its gold questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mechanisms.vocabulary.observation import ABSENT, Observation
from mechanisms.vocabulary.records import Memory

UNKNOWN = -1
"""In the place of a label: no answer, or nobody knows."""

Labels = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class LabellingObservation(Observation):
    """What a labelling rule sees of a task.

    round     in which the task is judged
    options   labels are 0..options-1
    workers   the device of each submission
    answers   `int64[n, q]`: one submission a row, one question a column
    points    `int64[q]`: answer points of each question
    memory    what the rule remembered of the task before, {} at first

    Rules that name "gold" in `observes` are shown `gold` `int64[q]`: the true label of questions
    whose answer the creator knows, `UNKNOWN` for the others.
    """

    groups = MappingProxyType({"gold": ("gold",)})

    round: int
    options: int
    workers: tuple[int, ...]
    answers: Labels
    points: NDArray[np.int64]
    memory: Memory
    gold: Labels = ABSENT


@dataclass(frozen=True, eq=False)
class Judgement:
    """The decision of a labelling rule about a task.

    scores   `float64[n, q]`: the part of a question's points that a submission earns with its
             answer; their sum is cut to 0..all points of the task, and paid
    labels   `int64[q]`: the label that the answers come to; `UNKNOWN`: none
    weights  `float64[q]` in 0..1: how sure that is
    memory   for the next task; None leaves it unchanged
    """

    scores: NDArray[np.float64]
    labels: Labels
    weights: NDArray[np.float64]
    memory: Memory | None = None

    def earned(self, points: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the points that each submission earns, `float64[n]` in 0..sum of points.

        Rounded to 10^-9 of a point: sums of thirds must not lose a unit.
        """
        earned: NDArray[np.float64] = np.clip(self.scores @ points, 0.0, float(points.sum()))
        return earned.round(9)


@dataclass(frozen=True, kw_only=True)
class TakingObservation(Observation):
    """What an annotator sees when it may take tasks.

    tasks     how many have a free place that it may take
    reward    base units of an accepted submission, the mean over these tasks
    cost      base units of effort for all questions of one of them, the mean
    most      how many it may take now
    """

    actor = "device"

    device: int
    round: int
    tasks: int
    reward: float
    cost: float
    most: int
    rng: np.random.Generator
    coalition: frozenset[int] = frozenset()


@dataclass(frozen=True, kw_only=True)
class AnnotatorObservation(Observation):
    """What an annotator sees of a task that it holds.

    questions  `int64[q]`: the numbers of its questions, the same for everybody
    options    labels are 0..options-1
    reward     base units of an accepted submission
    coalition  devices of its own group; nobody for an honest one
    rng        its own stream

    The rest is shown to behaviours that name it in `knows`:

    "signals"  `signals` `int64[q]`: the label that it perceives of each item when it looks at it,
               the true one with a probability that grows with its skill
    "shared"   `shared` `int64[q]`: what the first member of its coalition perceives
    """

    groups = MappingProxyType({"signals": ("signals",), "shared": ("shared",)})
    declares = "knows"
    shown = "behaviours"
    actor = "device"

    device: int
    round: int
    questions: Labels
    options: int
    reward: int
    rng: np.random.Generator
    coalition: frozenset[int] = frozenset()
    signals: Labels = ABSENT
    shared: Labels = ABSENT


@dataclass(frozen=True, kw_only=True)
class CreatorObservation(Observation):
    """What the creator of a task sees when it accepts or refuses submissions itself.

    workers   the device of each submission
    answers   `int64[n, q]`: one submission a row, one question a column
    options   labels are 0..options-1
    reward    base units of an accepted submission
    rng       its own stream

    Creators that name "checked" in `knows` are shown `checked` `int64[q]`: the true label of gold
    questions and of those that it looked at itself, `UNKNOWN` for the others.
    """

    groups = MappingProxyType({"checked": ("checked",)})
    declares = "knows"
    shown = "creators"

    round: int
    workers: Sequence[int]
    answers: Labels
    options: int
    reward: int
    rng: np.random.Generator
    checked: Labels = ABSENT
