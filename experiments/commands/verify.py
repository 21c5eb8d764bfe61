"""`fedstake verify`: check a certificate or a row of the benchmark, and play a part of it again."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from experiments.console import out_console
from experiments.terminal import (
    DataOption,
    DebugOption,
    TrustOption,
    WorkersOption,
    one_line_errors,
)


def verify(
    certificate: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="certificate.toml of an audit, or row.json of a benchmark.",
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
    """Check a certificate, or a row of the benchmark: play a random part of its runs again.

    What follows from its gains is computed again. Exit code 1 when something differs.

    Example: fedstake verify results/audit-flat/certificate.toml
    """
    with one_line_errors(debug, str(certificate)):
        if certificate.suffix == ".json":
            _verify_row(certificate, sample, seed, workers, data, trust=trust)
            return
        from experiments.audits.certificate import read
        from experiments.audits.certificate import verify as check
        from experiments.numerals import how_many
        from experiments.trials import player
        from mechanisms.registry import reading

        play = player(workers=workers, data=data, progress=False)
        with reading(trust=trust), TemporaryDirectory() as folder:
            stated = read(certificate)
            done = check(
                stated, certificate, Path(folder), play, sample=sample, seed=seed, trust=trust
            )
        out_console.print(
            f"holds: {how_many(done.variants, 'interval')} computed again, "
            f"{how_many(done.played, 'gain')} played again (--seed {done.seed}), none differs",
            markup=False,
        )
        v = stated.verdicts
        out_console.print(
            f"{stated.rule.name}: deviations {v.deviations}, sybils {v.sybils}, "
            f"coalitions {v.coalitions}; gains above {stated.method.epsilon:,.0f} base units per "
            f"run count, level {100 * stated.method.level:.4g} %, {stated.method.assumes}",
            markup=False,
        )
        if done.missing:
            out_console.print(
                f"not in the certificate: {', '.join(done.missing)}, deviations of this version",
                markup=False,
            )


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
