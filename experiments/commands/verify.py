"""`fedstake verify`: check a certificate, a row of the benchmark or a claim by playing it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.console import out_console
from experiments.terminal import (
    EXIT_FAILED,
    DataOption,
    DebugOption,
    TrustOption,
    WorkersOption,
    one_line_errors,
)

if TYPE_CHECKING:
    from experiments.trials import Play


def verify(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="certificate.toml of an audit, row.json of a benchmark, or a claim as in "
            "results/claims.",
        ),
    ],
    sample: Annotated[
        int, typer.Option(min=1, max=10_000, help="Gains that are played again, drawn at random.")
    ] = 10,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of that draw [default: nobody knows it before].")
    ] = None,
    workers: WorkersOption = None,
    trust: TrustOption = False,
    data: DataOption = None,
    debug: DebugOption = False,
) -> None:
    """Check a certificate or a row of the benchmark, or play a claim about incentives.

    Of a certificate all intervals are computed again, and a random part of its runs is played, as
    of a row. A claim is played whole. Exit code 1 when something differs, or when the claim does
    not hold.

    Example: fedstake verify results/audit-flat/certificate.toml
    """
    with one_line_errors(debug, str(file)):
        if file.suffix == ".json":
            _verify_row(file, sample, seed, workers, data, trust=trust)
            return
        from experiments.claims.claim import is_claim
        from experiments.trials import player
        from mechanisms.registry import reading

        play = player(workers=workers, data=data, progress=False)
        with reading(trust=trust), TemporaryDirectory() as folder:
            if is_claim(file):
                _claim(file, Path(folder), play, trust=trust)
            else:
                _certificate(file, Path(folder), play, sample, seed, trust=trust)


def _claim(file: Path, folder: Path, play: Play, *, trust: bool) -> None:
    """Play a claim and print what came out beside what is claimed."""
    from experiments.claims.claim import measure, read
    from experiments.claims.page import measured_text

    claim = read(file)
    found = measure(claim, file, folder, play, trust=trust)
    lines = [
        f"{found.verdict}: {claim.says}",
        f"claimed: {claim.claimed} ({claim.who}; {claim.source})",
        f"measured: {measured_text(claim, found)}; holds if {claim.measure.within}",
    ]
    out_console.print("\n".join(lines), markup=False)
    if found.verdict != "holds":
        raise typer.Exit(EXIT_FAILED)


def _certificate(
    file: Path, folder: Path, play: Play, sample: int, seed: int | None, *, trust: bool
) -> None:
    """Check a certificate and print what was done."""
    from experiments.audits.certificate import read, verify
    from experiments.numerals import how_many

    stated = read(file)
    done = verify(stated, file, folder, play, sample=sample, seed=seed, trust=trust)
    v = stated.verdicts
    lines = [
        f"holds: {how_many(done.variants, 'interval')} computed again, "
        f"{how_many(done.played, 'gain')} played again (--seed {done.seed}), none differs",
        f"{stated.rule.name}: deviations {v.deviations}, sybils {v.sybils}, "
        f"coalitions {v.coalitions}; gains above {stated.method.epsilon:,.0f} base units per "
        f"run count, level {100 * stated.method.level:.4g} %, {stated.method.assumes}",
    ]
    if done.missing:
        missing = ", ".join(done.missing)
        lines.append(f"not in the certificate: {missing}, deviations of this version")
    out_console.print("\n".join(lines), markup=False)


def _verify_row(
    source: Path,
    sample: int,
    seed: int | None,
    workers: int | None,
    data: Path | None,
    *,
    trust: bool,
) -> None:
    """Check a row of the benchmark."""
    from experiments.bench.making import Bench
    from experiments.bench.row import answer, row_of
    from experiments.bench.suite import load_suite
    from experiments.bench.verifying import verify_row
    from experiments.numerals import how_many
    from mechanisms.registry import reading

    suite = load_suite()
    with reading(trust=trust), TemporaryDirectory() as folder:
        bench = Bench(suite, Path(folder), workers, data, progress=False)
        done = verify_row(source, bench, sample=sample, seed=seed, trust=trust)
    out_console.print(
        f"holds: {how_many(done.played, 'value')} of the row played again (--seed {done.seed}), "
        "none differs",
        markup=False,
    )
    out_console.print(answer(row_of(done.record, suite), suite), markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)
