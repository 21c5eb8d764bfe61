"""Folders as somebody makes them who knows how they are sealed: whatever is in them, hashes fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments.recorded import listing
from fedstake.outside import seal, unseal


def resealed(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the values of a sealed file, and seal it again."""
    values = unseal(file)
    change(values)
    file.write_text(seal(values))


def relisted(run: Path) -> None:
    """Bring the manifest of a run up to date with the files beside it."""

    def change(values: dict[str, Any]) -> None:
        for name, listed in values["files"].items():
            listed |= listing(run / name)
        values["scenario"] = listing(run / "scenario.toml")

    resealed(run / "manifest.json", change)
