"""The keys of labelling: what is asked of annotators, what it pays, who decides, who they are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from agents import registries as behaviours
from mechanisms import registries as rules
from sim.conditions import when
from sim.keys import Chosen, SettingError
from sim.settings import (
    HONEST,
    Count,
    Finite,
    Natural,
    NonNegative,
    Parameters,
    Probability,
    Settings,
)

Skill = Annotated[Finite, Field(gt=0, le=1)]


class LabellingSettings(Settings):
    """Tasks of questions, their rewards, their rule, and the skill of annotators."""

    rule: Annotated[str, Chosen(rules.labelling)] = "majority"
    """What answers are worth, and which label they come to (`fedstake list labelling`)."""
    params: Parameters = {}
    """Parameters of that rule."""
    acceptance: Literal["rule", "auto", "manual"] = "rule"
    """Who decides on submissions: the rule, when a task ends; nobody, each is paid in full at once;
    the creator of the task. The rule says in any case which labels the answers come to.
    """
    creator: Annotated[
        str, Chosen(behaviours.creators, "creator_params", role=False), when("acceptance", "manual")
    ] = HONEST
    """Behaviour of the creator (manual; `fedstake list creators`)."""
    creator_params: Annotated[Parameters, when("acceptance", "manual")] = {}
    """Parameters of that behaviour (manual)."""
    inspected: Annotated[Probability, when("acceptance", "manual")] = 0.2
    """Probability that the creator looks at a question itself, and knows its label (manual)."""
    inspection_cost: Annotated[NonNegative, when("acceptance", "manual")] = 0.0
    """Base units of effort for each question that it looks at; paid to nobody (manual)."""
    tasks: Natural = 4
    """Tasks that are opened in a round, at most; 0: none."""
    questions: Annotated[Count, Field(le=10_000)] = 20
    """Questions of a task: its batch."""
    gold: Natural = 0
    """How many of them are gold questions, whose label the creator knows."""
    places: Annotated[Count, Field(le=10_000)] = 5
    """How many annotators answer a task."""
    points: Annotated[Count, Field(le=1_000_000)] = 1
    """Answer points of a question."""
    unit: Annotated[Count, Field(le=10**12)] = 100
    """Base units for an answer point."""
    rounds: Annotated[Count, Field(le=1_000_000)] = 3
    """For how many rounds a task is open, the one in which it is opened included."""
    hold: Natural = 0
    """After how many rounds a place goes back whose annotator has sent nothing; 0: when the task
    ends.
    """
    most: Annotated[Count, Field(le=10_000)] = 2
    """Places that an annotator may hold at once without having sent its answers."""
    allowed: tuple[Natural, ...] = ()
    """Devices that may take places, by number; none given: every annotator."""
    question: Annotated[str, Field(min_length=1, max_length=2048)] = "Which label has it?"
    """Text of the questions."""
    medium: Literal["image", "text", "sound"] = "image"
    """What the items are: the column of the questionnaire that holds their reference."""
    skill: Skill = 0.85
    """Mean probability that an annotator perceives the label of the easiest item."""
    skill_sd: Annotated[Finite, Field(ge=0, le=1)] = 0.1
    """Its standard deviation between annotators; draws are cut to 0..1."""
    difficulty: Probability = 0.2
    """Mean difficulty of items: 0 is the easiest, 1 cannot be told from guessing."""
    difficulty_spread: Probability = 0.2
    """Difficulties are uniform within so much of the mean, and cut to 0..1."""
    cost: NonNegative = 20.0
    """Base units of effort for each question that an annotator looks at; paid to nobody."""

    @property
    def fresh(self) -> int:
        """How many questions of a task are not gold questions."""
        return self.questions - self.gold

    @property
    def reward(self) -> int:
        """Base units of an accepted submission at most."""
        return self.unit * self.points * self.questions

    @property
    def escrow(self) -> int:
        """Base units that the escrow of a task takes."""
        return self.reward * self.places

    def check(self, known: int) -> None:
        """Raise `SettingError`, with a key relative to the table, for what cannot be asked.

        `known`: how many items have a label that the creator knows.
        """
        if self.gold >= self.questions:
            expected = f"below {self.questions}, the questions of a task"
            raise SettingError("gold", self.gold, expected)
        if self.gold > known:
            raise SettingError("gold", self.gold, f"at most {known}: so many labels are known")
