"""Observations show what was declared, say what to declare for the rest, and are read-only."""

import copy
import dataclasses
import inspect

import numpy as np
import pytest

from experiments.kinds import all_kinds
from mechanisms import vocabulary
from mechanisms.combined import Combined
from mechanisms.parts.base import Part
from mechanisms.payouts.base import PayoutRule
from mechanisms.plugin import PluginError
from mechanisms.validators.base import ValidationRule
from mechanisms.vocabulary import (
    BlockObservation,
    Conduct,
    HiddenError,
    Observation,
    Payment,
    Settlement,
    UpdateRecord,
    ValidationObservation,
)

KINDS = [
    value
    for _, value in sorted(vars(vocabulary).items())
    if inspect.isclass(value) and issubclass(value, Observation) and value is not Observation
]
RECORD = UpdateRecord(
    worker=3, claimed_samples=10, claimed_epochs=5, positive=(7,), negative=(8,), accepted=True
)
BLOCK = BlockObservation(
    round=1,
    miner=9,
    records=(RECORD,),
    memory={"rule": {}, "parts": [{}]},
    stakes=(1, 2),
    updates=np.ones((1, 4), np.float32),
    start=np.zeros(4, np.float32),
    result=np.ones(4, np.float32),
    utility=len,
    conduct=Conduct(aggregator=9),
)


def made(kind):
    """Return an observation whose fields all hold an array; what they mean does not matter here."""
    return kind(**{field.name: np.zeros(2) for field in dataclasses.fields(kind)})


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not BlockObservation])
class TestEveryObservation:
    def test_what_is_not_declared_cannot_be_read(self, kind):
        for group, fields in kind.groups.items():
            seen = made(kind).shown_to(kind.groups.keys() - {group})
            for name in fields:
                with pytest.raises(HiddenError) as error:
                    getattr(seen, name)
                assert kind.condition(group) in str(error.value)
                assert name not in vars(seen)
            shown = {f.name for f in dataclasses.fields(kind)} - set(fields)
            assert set(vars(seen)) == shown, "all the rest is there"

    def test_what_is_declared_but_not_there_says_so(self, kind):
        optional = [f.name for f in dataclasses.fields(kind) if f.default is None]
        for name in {name for fields in kind.groups.values() for name in fields} & set(optional):
            seen = dataclasses.replace(made(kind), **{name: None}).shown_to(kind.groups.keys())
            with pytest.raises(HiddenError, match=f"{name}: there is none in this run"):
                getattr(seen, name)

    def test_what_is_shown_behaves_as_the_whole(self, kind):
        seen = made(kind).shown_to()
        again = dataclasses.replace(seen)
        assert isinstance(again, kind)
        assert vars(again).keys() == vars(seen).keys() == vars(copy.deepcopy(seen)).keys()
        assert again == seen, "the same arrays"
        assert repr(seen).startswith(kind.__name__)
        for name in (name for fields in kind.groups.values() for name in fields):
            with pytest.raises(HiddenError):
                dataclasses.replace(seen, **{name: np.zeros(2)})

    def test_arrays_are_read_only_and_the_world_s_own_are_not(self, kind):
        own = np.zeros(2)
        seen = kind(**{field.name: own for field in dataclasses.fields(kind)})
        for value in vars(seen).values():
            with pytest.raises(ValueError, match="read-only"):
                value[:] = 1
        assert own.flags.writeable

    def test_a_misspelt_field_names_the_nearest(self, kind):
        first = dataclasses.fields(kind)[0].name
        with pytest.raises(AttributeError, match=f"has no '{first}x'; did you mean '{first}'"):
            getattr(made(kind), f"{first}x")


class TestBlocks:
    @pytest.mark.parametrize("group", sorted(BlockObservation.names()))
    def test_blocks_and_their_records_hide_what_is_not_declared(self, group):
        seen = BLOCK.shown_to(BlockObservation.names() - {group})
        fields = {**BlockObservation.groups, **UpdateRecord.groups}[group]
        holder = seen if group in BlockObservation.groups else seen.records[0]
        for name in fields:
            with pytest.raises(
                HiddenError, match=f"shown only to rules with observes = .'{group}'"
            ):
                getattr(holder, name)

    def test_rules_and_parts_are_asked_through_the_same_observation(self):
        class Nosy(PayoutRule):
            def settle(self, seen):
                return Settlement((Payment(0, len(seen.records[0].positive), "reward"),))

        class NosyPart(Part):
            def settle(self, seen, payments):
                return Settlement((*payments, Payment(0, seen.stakes[0], "more")))

        class Fair(PayoutRule):
            observes = frozenset({"votes"})
            settle = Nosy.settle

        message = r"positive: votes are shown only to rules with observes = \{'votes'\}"
        with pytest.raises(HiddenError, match=message):
            Nosy().settle(BLOCK.shown_to(Nosy.observes))
        whole = Combined(Fair(), [NosyPart()])
        with pytest.raises(HiddenError, match="stakes are shown only to rules with observes"):
            whole.settle(BLOCK.shown_to(whole.observes))

    def test_everything_declared_is_the_record_itself(self):
        assert BLOCK.shown_to(UpdateRecord.names()).records[0] is RECORD


def test_a_rule_that_does_not_look_at_single_updates_is_shown_none():
    class Blind(ValidationRule):
        individual = False

        def verdicts(self, seen):
            return seen.update_accuracies > seen.baseline_accuracy

    seen = ValidationObservation(
        round=1,
        validator=0,
        workers=(1,),
        baseline_accuracy=0.5,
        update_accuracies=np.array([0.6]),
    )
    with pytest.raises(HiddenError, match="with individual = True"):
        Blind().verdicts(Blind().shown(seen))


DECLARING = [registry for registry in all_kinds() if registry.base.sees is not None]


@pytest.mark.parametrize("registry", DECLARING, ids=lambda registry: registry.kind)
@pytest.mark.parametrize(
    ("declared", "message"), [({"vote"}, "there is no 'vote' to see"), ("votes", "must be a set")]
)
def test_a_declaration_of_what_there_is_not_is_refused(registry, declared, message, monkeypatch):
    plugin = registry.all()[0]
    attribute = plugin.sees.declares

    def misdeclare(self, params=None):
        self.params = params
        setattr(self, attribute, declared)

    monkeypatch.setattr(plugin, "__init__", misdeclare)
    with pytest.raises(PluginError, match=f"^{attribute}.*{message}"):
        registry.create(plugin.name)
