"""Rules that run with less than was asked for: table `reduced`."""

from __future__ import annotations

from mechanisms.plugin import Plugin
from sim.clock import Clock
from sim.recording import Recorder


class Reductions:
    """What too few updates, samples or devices left of parameters in the present round."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder, self._clock = recorder, clock
        self._least: dict[tuple[str, str, int], tuple[int, int]] = {}

    def note(self, rule: Plugin, inputs: int) -> None:
        """Note what a rule does not use in full with so many inputs."""
        for parameter, used in rule.used(inputs).items():
            self.add(rule.name, parameter, getattr(rule.params, parameter), used, inputs)

    def add(self, rule: str, parameter: str, asked: int, used: int, inputs: int) -> None:
        """Note that a parameter was used with less than `asked`, if it was.

        The smallest one of a round is kept: forks and validators each have their own.
        """
        key = (rule, parameter, asked)
        if used < min(asked, self._least.get(key, (asked, 0))[0]):
            self._least[key] = (used, inputs)

    def record(self) -> None:
        """Record the reductions of the round that ends."""
        rows = [
            {
                "round": self._clock.round,
                "rule": rule,
                "parameter": parameter,
                "asked": asked,
                "used": used,
                "inputs": inputs,
            }
            for (rule, parameter, asked), (used, inputs) in sorted(self._least.items())
        ]
        self._recorder.add("reduced", rows)
        self._least.clear()
