"""Certificates: what an audit found, so that anybody can check it: `fedstake verify`."""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tomli_w
from pydantic import BaseModel, ConfigDict, Field

from experiments import confidence
from experiments.audits.audit import HONEST, LEAST_SPREAD, Audit, counts_as, together
from experiments.audits.deviations import library
from experiments.audits.question import DEVIANT, Question, question_of
from experiments.audits.race import Entry, Finding, Judge, Measure, gain_of_members, gain_together
from experiments.foreign import bare, check_names, file_hash
from experiments.loader import locate, toml_values
from experiments.rundir import write_file
from experiments.sweeps.design import checked
from experiments.trials import Play, Trials
from fedstake.errors import FedstakeError, InputError
from sim.keys import plain
from sim.scenario import SCHEMA_VERSION, scenario_of

MOST = 10_000
"""Variants, and seeds of one, at most."""
SAMPLE = 10
"""Gains that `verify` plays again unless another number is asked for."""
SAME = 1e-9
"""Relative difference of two numbers that still count as the same."""

Number = Annotated[float, Field(allow_inf_nan=True)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Text = Annotated[str, Field(max_length=500)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(_Part):
    """The rule: its name, kind, and a hash of its file where it is named by path."""

    name: Text
    kind: Text
    file_hash: Text = ""


class Method(_Part):
    """How intervals were made, and what counts as a gain."""

    name: Literal["t", "empirical-bernstein"]
    assumes: Text
    level: Annotated[float, Field(gt=0.5, lt=1)]
    hypotheses: Annotated[int, Field(ge=1, le=MOST)]
    epsilon: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    least: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    limits: tuple[Finite, Finite] | None = None

    @property
    def judge(self) -> Judge:
        alpha = (1 - self.level) / self.hypotheses
        sequence = confidence.Sequence(alpha, self.name, self.least, self.limits)
        return Judge(sequence, self.epsilon)


class Variant(_Part):
    """One variant: what is played, what it is compared with, its gain under every seed."""

    name: Text
    kind: Literal["deviation", "dose", "sybils", "coalition", "search"]
    devices: Annotated[int, Field(ge=1, le=100_000)]
    keys: dict[str, Any]
    baseline: Text
    seeds: Annotated[tuple[int, ...], Field(min_length=1, max_length=MOST)]
    gains: Annotated[tuple[Finite, ...], Field(min_length=1, max_length=MOST)]
    gain: Number
    low: Number
    high: Number
    verdict: Literal["profitable", "compatible", "undecided"]

    @property
    def measure(self) -> Measure:
        return gain_together(DEVIANT) if self.kind == "sybils" else gain_of_members(DEVIANT)


class Verdicts(_Part):
    """What the findings of each kind come to."""

    deviations: Text
    sybils: Text
    coalitions: Text
    power: Number


class Certificate(_Part):
    """A certificate, as `certificate.toml` holds it."""

    format: Literal[1]
    schema_version: int
    measure: Text = "utility"
    rule: Rule
    verdicts: Verdicts
    method: Method
    run_id: Text
    """Identity of the scenario in which nobody deviates, seed 0."""
    scenario: dict[str, Any]
    baselines: dict[str, dict[str, Any]]
    variants: Annotated[tuple[Variant, ...], Field(max_length=MOST)] = ()


class VerifyError(FedstakeError):
    """A certificate that does not hold."""

    exit_code = 1


def certificate_of(audit: Audit) -> Certificate:
    """Return what an audit certifies."""
    question, sequence = audit.question, audit.confidence
    hypotheses = round((1 - audit.settings.level) / sequence.alpha)
    baselines = {HONEST: question.honest}
    for f in audit.of("sybils"):
        baselines[f.entry.baseline] = question.variant(count=f.entry.size, spares=f.entry.size - 1)
    return Certificate(
        format=1,
        schema_version=SCHEMA_VERSION,
        rule=Rule(
            name=os.path.basename(question.rule),
            kind=question.registry.kind,
            file_hash=file_hash(question.rule),
        ),
        verdicts=Verdicts(
            deviations=audit.verdict("deviation"),
            sybils=audit.verdict("sybils"),
            coalitions=audit.verdict("coalition"),
            power=audit.power,
        ),
        method=Method(
            name=sequence.method,  # type: ignore[arg-type]
            assumes=confidence.ASSUMED[sequence.method],
            level=audit.settings.level,
            hypotheses=hypotheses,
            epsilon=audit.epsilon,
            least=sequence.least,
            limits=sequence.limits,
        ),
        run_id=question.scenario.replace(seed=0).run_id(),
        scenario=bare(question.scenario.to_dict()),
        baselines=bare(baselines),
        variants=tuple(_variant(f) for f in audit.certified),
    )


def _variant(finding: Finding) -> Variant:
    return Variant(
        name=finding.name,
        kind=finding.entry.kind,  # type: ignore[arg-type]
        devices=finding.entry.size,
        keys=bare(dict(finding.entry.keys)),
        baseline=finding.entry.baseline,
        seeds=tuple(finding.seeds),
        gains=tuple(finding.gains),
        gain=finding.bound.mean,
        low=finding.bound.low,
        high=finding.bound.high,
        verdict=finding.verdict,
    )


def write(certificate: Certificate, path: Path) -> None:
    """Write a certificate as TOML."""
    values = certificate.model_dump(mode="python", exclude_none=True)
    write_file(path, tomli_w.dumps(values))


def read(source: str | Path) -> Certificate:
    """Read a certificate; raise `ScenarioError` for a wrong file."""
    path = Path(source)
    values = toml_values(path, str(source), "no such file; fedstake audit writes certificate.toml")
    return checked(Certificate, values, str(source))


class Verified(_Part):
    """What `verify` did.

    Args:
        variants: intervals that were computed again.
        played: gains that were played again, drawn with `seed`.
        seed: of that draw.
        missing: deviations of this version's library that the certificate does not have.
    """

    variants: int
    played: int
    seed: int
    missing: tuple[str, ...] = ()


def verify(
    certificate: Certificate,
    source: str | Path,
    folder: Path,
    play: Play,
    *,
    sample: int = SAMPLE,
    seed: int | None = None,
    trust: bool = False,
) -> Verified:
    """Check a certificate: compute all intervals again, and play some of the gains again.

    Args:
        certificate: what is checked; it may come from anybody.
        source: its file; errors name it, and plug-ins by path are looked for beside it.
        folder: of the runs.
        play: plays a sweep.
        sample: gains that are played again, drawn at random.
        seed: of that draw; by default nobody knows it before.
        trust: the user says that files that it names may be used.

    Raises `VerifyError` for what does not hold, `InputError` for what cannot be checked here.
    """
    name = str(source)
    if certificate.schema_version != SCHEMA_VERSION:
        raise InputError(
            f"{name}: schema_version = {certificate.schema_version}: this version plays "
            f"{SCHEMA_VERSION}, so that its runs differ; verify it with the version that wrote it"
        )
    certificate = certificate.model_copy(deep=True)
    for values in (certificate.scenario, certificate.baselines):
        locate(values, Path(source).parent)
    for variant in certificate.variants:
        locate(variant.keys, Path(source).parent)
    if not trust:
        variants = (variant.keys for variant in certificate.variants)
        check_names([certificate.scenario, certificate.baselines, *variants], name)
    _check_bounds(certificate, name)
    question = _question(certificate, name)
    _check_variants(certificate, question, name)
    drawn = secrets.randbelow(2**32) if seed is None else seed
    pairs = [(v, at) for v in certificate.variants for at in range(len(v.seeds))]
    chosen = np.random.default_rng(drawn).permutation(len(pairs))[:sample].tolist()
    folder.mkdir(parents=True, exist_ok=True)
    base = folder / "scenario.toml"
    write_file(base, question.text())
    trials = Trials("verify", str(base), {}, folder / "runs", play)
    for variant, drawn_pairs in groupby((pairs[i] for i in sorted(chosen)), itemgetter(0)):
        _check_gains(certificate, variant, [at for _, at in drawn_pairs], trials, name)
    known = {v.name for v in certificate.variants}
    missing = [d.name for d in library(question).playable if d.name not in known]
    return Verified(
        variants=len(certificate.variants),
        played=len(chosen),
        seed=drawn,
        missing=tuple(missing),
    )


def _question(certificate: Certificate, source: str) -> Question:
    """Return what was audited; raise `VerifyError` where the scenario does not have the rule."""
    scenario = scenario_of(certificate.scenario)
    rule = certificate.rule
    for choice in scenario.choices():
        same = os.path.basename(choice.name) == rule.name
        if same and choice.registry.kind == rule.kind:
            break
    else:
        raise VerifyError(f"{source}: rule: its scenario plays no {rule.kind} called {rule.name}")
    if file_hash(choice.name) != rule.file_hash:
        raise VerifyError(f"{source}: rule.file_hash: is not that of {os.path.basename(rule.name)}")
    if scenario.replace(seed=0).run_id() != certificate.run_id:
        raise VerifyError(
            f"{source}: run_id: is not that of its scenario; the rule, its file or its data differ"
        )
    return question_of(choice.name, choice.registry, scenario)


def _check_variants(certificate: Certificate, question: Question, source: str) -> None:
    """Raise `VerifyError` for a variant or baseline that changes more than who deviates.

    Else a certificate could play another rule, or compare with one that pays the honest less.
    """
    if certificate.measure != "utility":
        raise VerifyError(f"{source}: measure = {certificate.measure!r}: must be utility")
    for variant in certificate.variants:
        group = _deviant(variant.keys)
        size = len(group.get("devices", ())) or group.get("count")
        expected = question.variant(**{k: v for k, v in group.items() if k != "name"})
        if plain(variant.keys) != plain(expected) or size != variant.devices:
            raise VerifyError(
                f"{source}: {variant.name}: changes more than one group of {variant.devices} that "
                f"is called {DEVIANT}"
            )
        before = question.honest
        if variant.kind == "sybils":
            before = question.variant(count=variant.devices, spares=variant.devices - 1)
        if plain(certificate.baselines.get(variant.baseline)) != plain(before):
            raise VerifyError(
                f"{source}: {variant.name}: baseline {variant.baseline!r} is not the same scenario "
                "without the deviation"
            )


def _deviant(keys: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the group that deviates, an empty one where there is none."""
    groups = keys.get("adversaries")
    last = groups[-1] if isinstance(groups, list | tuple) and groups else {}
    return last if isinstance(last, Mapping) else {}


def _check_bounds(certificate: Certificate, source: str) -> None:
    """Compute intervals and verdicts again; raise `VerifyError` for those that differ."""
    method = certificate.method
    try:
        judge = method.judge
    except ValueError as error:
        raise VerifyError(f"{source}: method: {error}") from error
    if method.hypotheses < len(certificate.variants):
        raise VerifyError(
            f"{source}: method.hypotheses = {method.hypotheses}: there are "
            f"{len(certificate.variants)} variants"
        )
    if not _same(method.least, method.epsilon / LEAST_SPREAD):
        raise VerifyError(
            f"{source}: method.least = {method.least:g}: must be epsilon / {LEAST_SPREAD}"
        )
    for variant in certificate.variants:
        if len(variant.gains) != len(variant.seeds):
            raise VerifyError(f"{source}: {variant.name}: has not one gain for each of its seeds")
        first = variant.seeds[0]
        if variant.seeds != tuple(range(first, first + len(variant.seeds))):
            raise VerifyError(
                f"{source}: {variant.name}: seeds must follow each other, none left out"
            )
        entry = Entry(variant.name, variant.keys, variant.measure, variant.baseline)
        finding = Finding(entry, list(variant.gains), list(variant.seeds))
        try:
            judge.judge(finding)
        except InputError as error:
            raise VerifyError(f"{source}: {error}") from error
        again = finding.bound
        stated = zip((variant.gain, variant.low, variant.high), vars(again).values(), strict=True)
        if finding.verdict != variant.verdict or not all(_same(a, b) for a, b in stated):
            raise VerifyError(
                f"{source}: {variant.name}: states {variant.verdict}, {variant.gain:g} "
                f"({variant.low:g} to {variant.high:g}); its gains give {finding.verdict}, "
                f"{again.mean:g} ({again.low:g} to {again.high:g})"
            )
    for kind, stated_verdict in (
        ("deviation", certificate.verdicts.deviations),
        ("sybils", certificate.verdicts.sybils),
        ("coalition", certificate.verdicts.coalitions),
    ):
        expected = together(
            v.verdict for v in certificate.variants if counts_as(v.kind, v.devices) == kind
        )
        if stated_verdict != expected:
            raise VerifyError(
                f"{source}: verdicts: {kind} = {stated_verdict!r}: its variants give {expected!r}"
            )


def _check_gains(
    certificate: Certificate, variant: Variant, places: Sequence[int], trials: Trials, source: str
) -> None:
    """Play some gains of a variant again; raise `VerifyError` for the first that differs."""
    pair = {"variant": variant.keys, "baseline": certificate.baselines[variant.baseline]}
    rows = trials.paid(pair, [variant.seeds[at] for at in places])
    before, after = (rows[rows["variant"] == name] for name in ("baseline", "variant"))
    gains = variant.measure(before, after)
    for at in places:
        seed = variant.seeds[at]
        gain = float(gains.get(seed, math.nan))
        if not _same(gain, variant.gains[at]):
            raise VerifyError(
                f"{source}: {variant.name}, seed {seed}: states a gain of "
                f"{variant.gains[at]:,.6g}, played again it is {gain:,.6g}"
            )


def _same(one: float, other: float) -> bool:
    if math.isfinite(one) and math.isfinite(other):
        return abs(one - other) <= SAME * max(1.0, abs(one), abs(other))
    return one == other or (math.isnan(one) and math.isnan(other))
