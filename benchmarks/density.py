"""Density of the source: long lines, comprehensions, ternaries, comments, long functions.

python benchmarks/density.py [DIR] [--against DIR] [--functions]
"""

import argparse
import ast
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDERS = ("agents", "chain_bridge", "experiments", "fedstake", "mechanisms", "sim")
WIDTH = 100
LONGEST = 60

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class LongFunction(NamedTuple):
    """A function of more than `LONGEST` lines."""

    place: str
    name: str
    lines: int


class Density:
    """Counts over the source folders of one checkout."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.counts: Counter[str] = Counter()
        self.long_functions: list[LongFunction] = []
        self.widest_class = ("", 0)
        for folder in FOLDERS:
            for path in sorted((root / folder).rglob("*.py")):
                self._add(path)

    def _add(self, path: Path) -> None:
        """Count one file."""
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        self.counts["lines"] += len(lines)
        self.counts["wide"] += sum(len(line) > WIDTH for line in lines)
        with tokenize.open(path) as source:
            # A comment line holds nothing but the comment; a remark behind code does not count.
            for token in tokenize.generate_tokens(source.readline):
                if token.type == tokenize.COMMENT and token.line.lstrip().startswith("#"):
                    self.counts["comments"] += 1
        for node in ast.walk(ast.parse(path.read_bytes())):
            self._add_node(node, path)

    def _add_node(self, node: ast.AST, path: Path) -> None:
        """Count one node of a file's syntax tree."""
        if isinstance(node, COMPREHENSIONS):
            self.counts["comprehensions"] += 1
        elif isinstance(node, ast.IfExp):
            self.counts["ternaries"] += 1
        elif isinstance(node, FUNCTIONS):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST:
                place = f"{path.relative_to(self.root)}:{node.lineno}"
                self.long_functions.append(LongFunction(place, node.name, lines))
        elif isinstance(node, ast.ClassDef):
            attributes = len(set(_assigned(node)))
            if attributes > self.widest_class[1]:
                self.widest_class = (node.name, attributes)

    def rows(self) -> Iterator[tuple[str, str]]:
        """Name and value of each measure."""
        lines = max(self.counts["lines"], 1)
        yield "non-blank lines", str(lines)
        yield f"lines over {WIDTH} characters", f"{100 * self.counts['wide'] / lines:.1f} %"
        for name in ("comprehensions", "ternaries", "comments"):
            yield f"{name} per 1,000 lines", f"{1000 * self.counts[name] / lines:.1f}"
        yield f"functions over {LONGEST} lines", str(len(self.long_functions))
        name, attributes = self.widest_class
        yield "most attributes of a class", f"{attributes} ({name})"


def _assigned(node: ast.ClassDef) -> Iterator[str]:
    """Names that a class's methods assign on `self`."""
    for part in ast.walk(node):
        if (
            isinstance(part, ast.Attribute)
            and isinstance(part.ctx, ast.Store)
            and isinstance(part.value, ast.Name)
            and part.value.id == "self"
        ):
            yield part.attr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=Path.cwd())
    parser.add_argument("--against", type=Path, help="a second checkout, printed beside the first")
    parser.add_argument("--functions", action="store_true", help="list the long functions")
    chosen = parser.parse_args()
    roots = [root.resolve() for root in (chosen.root, chosen.against) if root is not None]
    measured = [Density(root) for root in roots]
    print(f"{'':32}", *(f"{root.name:>24}" for root in roots))
    for row in zip(*(density.rows() for density in measured), strict=True):
        print(f"{row[0][0]:32}", *(f"{value:>24}" for _, value in row))
    if chosen.functions:
        for density in measured:
            for function in density.long_functions:
                print(f"{function.place} {function.name}: {function.lines} lines")


if __name__ == "__main__":
    main()
