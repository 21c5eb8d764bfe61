"""Every payout rule against every attack, on digits: `python docs/mechanisms_by_attacks.py [--seeds 5] [--workers N]`.

Writes `docs/reference/mechanisms-by-attacks.md` and its numbers beside the other reference results. 3 of 20 devices attack.
What they do to the model does not depend on who is paid, but whether they are drawn, shut out or slashed may.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import pandas as pd

from experiments import RunFailure, RunResult, load_scenario, run_many
from mechanisms import registries as rules
from sim.scenario import Scenario

HERE = Path(__file__).parent
PAGE = HERE / "reference" / "mechanisms-by-attacks.md"
NUMBERS = HERE.parent / "results" / "reference" / "mechanisms-by-attacks.csv"
STAKE = 60_000
ADVERSARIES = 3
"""Operators that attack, whatever the number of their identities."""

ATTACKS: dict[str, dict[str, Any]] = {
    "nobody": {"worker": "honest"},
    "gaussian-noise": {"worker": "gaussian-noise"},
    "sign-flip": {"worker": "sign-flip"},
    "label-flip": {"worker": "label-flip"},
    "alie": {"worker": "alie"},
    "free-ride-zero": {"worker": "free-ride-zero"},
    "overstate": {"worker": "overstate"},
    "lying validators": {"worker": "honest", "validator": "flip"},
    "colluders": {"worker": "gaussian-noise", "validator": "collude"},
    "extortionists": {"worker": "honest", "validator": "extort"},
    "bribers": {"worker": "gaussian-noise", "validator": "bribable", "bribe": 100},
    "whitewashers": {"worker": "gaussian-noise", "spares": 2, "count": 5, "roles": "10,5,3"},
    "sybils": {"worker": "honest", "validator": "collude", "identities": "split"},
}
PARTS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "flat + slashing": ("flat", {"slashing": {"stake": 10_000}}),
    "flat + reputation": ("flat", {"reputation": {}}),
    "equal-share + identity-cost": ("equal-share", {"identity-cost": {"cost": 5_000}}),
}
"""Rules with parts around them."""
PARAMS: dict[str, dict[str, Any]] = {
    "coordinator": {"stake": 20_000, "bond": 20_000, "pot": 10_000, "fee": 500, "challenge_deposit": 1_000},
    "equal-share": {"pool": 150_000, "deadline": 15, "stake": 1_000},
    "decentralml": {"pool": 150_000},
    "shapley": {"exact_up_to": 8, "permutations": 10},
}


def mechanisms() -> list[str]:
    return sorted([*rules.payouts.names(), *PARTS])


def scenario(mechanism: str, attack: str, seed: int) -> Scenario:
    group = {"name": "adversaries", "count": ADVERSARIES, **ATTACKS[attack]}
    roles = group.pop("roles", "12,5,3")
    rule, parts = PARTS.get(mechanism, (mechanism, {}))
    changes = {
        "name": f"{mechanism}-{attack}".replace(" ", "-").replace("+", "and"),
        "seed": seed,
        "protocol": "coordinator" if rule == "coordinator" else "vbfl",
        "payout.mechanism": rule,
        "payout.params": PARAMS.get(rule, {}),
        "payout.parts": [{"part": name, "params": params} for name, params in parts.items()],
        "payout.initial_balance": STAKE,
        "roles.params.counts": roles,
        "adversaries": [group],
    }
    return load_scenario("digits-quick", changes)


def measure(run: RunResult) -> dict[str, float]:
    """Accuracy at the end, gain over the start of honest and adversary devices, honest updates rejected, units issued."""
    r, journal = run.rounds, run.journal
    bad = set(run.participants.loc[run.participants["adversary"], "device"])
    change = dict.fromkeys(range(20), 0)
    for e in journal[journal["reason"] != "initial"].itertuples():
        for account, sign in ((e.credit, 1), (e.debit, -1)):
            if account.startswith("device:"):
                change[int(account.removeprefix("device:"))] += sign * e.amount
    honest = [v for d, v in change.items() if d not in bad]
    rejected = int(r["rejected_honest"].sum())
    spent = sum(change.values())
    return {
        "accuracy": float(r["accuracy"].iloc[-1]),
        "honest income": sum(honest) / len(honest),
        "adversary income": sum(v for d, v in change.items() if d in bad) / ADVERSARIES,
        "honest rejected": rejected / max(1, rejected + int(r["accepted_honest"].sum())),
        "budget spent": float(spent),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", default="results/mechanisms-by-attacks")
    args = parser.parse_args()
    cells = [(m, a, s) for m in mechanisms() for a in ATTACKS for s in range(args.seeds)]
    done = 0

    def tell(_: Any) -> None:
        nonlocal done
        done += 1
        if done % 50 == 0:
            print(f"{done}/{len(cells)}", flush=True)

    outcomes = run_many([scenario(*cell) for cell in cells], args.out, workers=args.workers, on_done=tell)
    rows = []
    for (mechanism, attack, seed), outcome in zip(cells, outcomes, strict=True):
        if isinstance(outcome, RunFailure):
            raise SystemExit(f"{mechanism}, {attack}, seed {seed}: {outcome.error}")
        rows.append({"mechanism": mechanism, "attack": attack, "seed": seed, **measure(outcome)})
    table = pd.DataFrame(rows)
    NUMBERS.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(NUMBERS, index=False, float_format="%.6g")
    PAGE.write_text(page(table, args.seeds), encoding="utf-8")


def page(table: pd.DataFrame, seeds: int) -> str:
    mean = table.drop(columns="seed").groupby(["mechanism", "attack"]).mean()
    lines = [
        "# Mechanisms by attacks",
        "",
        "Made by `python docs/mechanisms_by_attacks.py`: preset `digits-quick` (20 devices, 12/5/3, 15 rounds, threshold 0.08),",
        f"3 of 20 devices attack, {seeds} seeds, {STAKE:,} base units each at the start (sybils share one device's; whitewashers",
        "have two identities in reserve and share three devices'). `coordinator` runs under its own protocol.",
        "[All numbers](../../results/reference/mechanisms-by-attacks.csv).",
        "",
        "Income is per device and run: all that comes in less all that goes out, stakes returned at the end included. **Bold**:",
        "the rule fails here, an adversary earns as much as an honest device or more.",
    ]
    for attack in ATTACKS:
        lines += ["", f"## {attack[0].upper()}{attack[1:]}", ""]
        lines += [
            "| mechanism | accuracy | honest income | adversary income | honest updates rejected | budget spent |",
            "|---|---|---|---|---|---|",
        ]
        for mechanism in mechanisms():
            c = mean.loc[(mechanism, attack)]
            bad = f"{c['adversary income']:,.0f}"
            fails = attack != "nobody" and c["adversary income"] >= c["honest income"] and c["honest income"] > 0
            lines.append(
                f"| {mechanism} | {c['accuracy']:.3f} | {c['honest income']:,.0f} | {f'**{bad}**' if fails else bad} "
                f"| {c['honest rejected']:.0%} | {c['budget spent']:,.0f} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
