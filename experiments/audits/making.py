"""Audits from Python: `fedstake.audit`, and what `fedstake audit` calls."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.audits.audit import Audit
from experiments.audits.audit import audit as made
from experiments.audits.certificate import certificate_of, write
from experiments.audits.page import COUNTEREXAMPLE, write_counterexample, write_page
from experiments.audits.question import ask
from experiments.audits.settings import AuditSettings
from experiments.loader import load_scenario
from experiments.progress import Progress
from experiments.rundir import check_writable
from experiments.runner import run
from experiments.trials import player
from fedstake.folders import chosen_folder

PAGE, CERTIFICATE = "audit.html", "certificate.toml"


def audit(
    rule: str,
    scenario: str | Path | None = None,
    out: str | Path | None = None,
    *,
    set: Mapping[str, Any] | None = None,
    kind: str = "",
    search: bool = True,
    replay: bool = False,
    workers: int | None = None,
    data: str | Path | None = None,
    progress: Progress = None,
    **settings: Any,
) -> Audit:
    """Audit a rule, and write page, certificate, tables and the smallest counterexample.

    The same call goes on after a crash; runs that are there are not played again.

    Args:
        rule: a name of any kind of rule, or `path/to/file.py:Class`.
        scenario: preset or file; by default the audit scenario of the first protocol in which the
            rule can be played.
        out: folder (default: `results/audit-RULE`).
        set: dotted scenario keys and their values.
        kind: of the rule, where its name stands for several.
        search: whether an attack is searched for, too.
        replay: play the counterexample and repeat it on a fresh dev chain; `BridgeError` where that
            cannot be done.
        workers: processes (default: all cores).
        data: folder of data files.
        progress: see `sweep`.
        settings: as `budget=300`, see `AuditSettings`.

    Raises `InputError` for what cannot be asked.
    """
    chosen = AuditSettings(**settings)
    question = ask(rule, scenario, set, kind)
    folder = chosen_folder(out, changes=True) or Path("results") / f"audit-{question.called}"
    check_writable(folder)

    play = player(workers=workers, data=data, progress=progress)
    found = made(question, chosen, folder, play, search=search)
    # What a chain may fail to say does not cost the page.
    command = shlex.join(["fedstake", "audit", rule])
    write_counterexample(found, folder)
    write_page(found, folder, command)
    write(certificate_of(found), folder / CERTIFICATE)
    if replay and found.smallest is not None:
        found.replayed = _replayed(folder, data)
        write_page(found, folder, command)
    return found


def _replayed(folder: Path, data: str | Path | None) -> str:
    """Play the counterexample, repeat it on a dev chain, and return what the two come to."""
    from chain_bridge import replay_run

    place = folder / COUNTEREXAMPLE
    scenario = load_scenario(folder / f"{COUNTEREXAMPLE}.toml")
    # Another audit of this folder may have found another counterexample.
    run(scenario, place, data=data, force=True)
    return replay_run(place).books.verdict
