"""The register of claims: who claims what about incentives, and what is measured.

    python docs/claims.py [--workers N]

Plays every claim of `results/claims` and writes `docs/reference/claims.md` and its numbers beside
the other reference results. One claim alone: `fedstake verify results/claims/NAME.toml`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from sweep_pages import keep_numbers, keep_page

from experiments.claims.claim import FOLDER, measure, shipped
from experiments.claims.page import register_frame, register_page
from experiments.trials import player

NAME = "claims"


def main() -> None:
    """Play all claims and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--folder", type=Path, default=None, help="keep the runs here")
    asked = parser.parse_args()
    claims, found = shipped(), {}
    play = player(workers=asked.workers, progress=False)
    with TemporaryDirectory() as scratch:
        place = asked.folder or Path(scratch)
        for name, claim in claims.items():
            found[name] = measure(claim, FOLDER / f"{name}.toml", place / name, play)
            print(f"{name}: {found[name].verdict}", flush=True)
    table = register_frame(claims, found)
    keep_numbers(table, NAME)
    keep_page(register_page(table), NAME)


if __name__ == "__main__":
    main()
