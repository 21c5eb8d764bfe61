"""Text from outside: files that somebody else may have written, and the names in them.

Whatever reads such a file reads it here, so that one place holds what a file may be: a regular file
of a bounded size, UTF-8 with or without a byte order mark, values of a bounded depth. A file that
this package writes carries a hash of its own (`seal`), which is verified when it is read
(`unseal`). `literal` is how a name from outside is shown.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fedstake.errors import InputError

TEXT_BYTES = 4 << 20
"""Most bytes of a text that people write."""
RECORD_BYTES = 1 << 30
"""Most bytes of a text that this package writes."""
DEPTH = 60
"""Most tables and lists inside each other."""
NOT_UTF8 = "its name is not UTF-8, and no record could hold it; rename it"
SEAL = "sha256"
"""Key of a sealed file that holds the hash of all others."""


class UnreadableError(InputError):
    """A file that cannot be read as what it should be; `reason` is the message without the file."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(str(path), reason)
        self.path, self.reason = str(path), reason

    def __str__(self) -> str:
        return f"{shown(self.path)}: {self.reason}"


def leads_out(name: Any) -> bool:
    """Return whether the name of a file leads out of the folder that it is looked for in."""
    if not isinstance(name, str):
        return False
    path = Path(name)
    return path.is_absolute() or ".." in path.parts or name.startswith("~")


def read_bytes(path: str | Path, most: int = TEXT_BYTES) -> bytes:
    """Return the bytes of a regular file of at most `most` bytes.

    Raises `FileNotFoundError` without the file and `UnreadableError` for anything else that is no
    such file: a folder, a device, a pipe, a circle of links, a name that no file can have or that
    is not UTF-8.
    """
    require_utf8(path)
    try:
        # Opening a pipe must not wait until somebody writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            _require_regular(descriptor, path)
            raw = _read(descriptor, most + 1)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UnreadableError(path, f"cannot be read ({error.strerror})") from None
    except UnreadableError:
        raise
    except ValueError as error:
        raise UnreadableError(path, f"is no name of a file ({error})") from None
    if len(raw) > most:
        raise UnreadableError(path, f"is larger than {most:,} bytes, the most that is read")
    return raw


def require_utf8(path: str | Path) -> None:
    """Raise `UnreadableError` for a path that is not UTF-8.

    Where it begins, in the current folder, counts.
    """
    if not is_utf8(os.path.abspath(path)):
        raise UnreadableError(path, NOT_UTF8)


def _require_regular(descriptor: int, path: str | Path) -> None:
    """Raise `UnreadableError` for a folder, a device, a pipe."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISDIR(mode):
        raise UnreadableError(path, "is a folder")
    if not stat.S_ISREG(mode):
        raise UnreadableError(path, "is no regular file")


def _read(descriptor: int, most: int) -> bytes:
    """Return the bytes of an open file, at most so many."""
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(most)


def read_text(path: str | Path, most: int = TEXT_BYTES) -> str:
    """Return the text of a file; a byte order mark is left out. Errors as for `read_bytes`."""
    raw = read_bytes(path, most)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(path, f"is not UTF-8 text ({error.reason})") from None


def read_toml(path: str | Path, most: int = TEXT_BYTES) -> dict[str, Any]:
    """Return the values of a TOML file. Errors as for `read_bytes`."""
    return parse_toml(read_text(path, most), path)


def read_json(path: str | Path, most: int = RECORD_BYTES) -> Any:
    """Return the values of a JSON file. Errors as for `read_bytes`."""
    return parse_json(read_text(path, most), path)


def parse_toml(text: str, path: str | Path) -> dict[str, Any]:
    """Return the values of TOML text; `UnreadableError` names the file it is from."""
    return _parsed(tomllib.loads, text, path, "TOML")


def parse_json(text: str, path: str | Path) -> Any:
    """Return the values of JSON text; `UnreadableError` names the file it is from."""
    return _parsed(json.loads, text, path, "JSON")


def _parsed(parse: Callable[[str], Any], text: str, path: str | Path, kind: str) -> Any:
    """Return values with a bounded depth and text that can be stored anywhere."""
    try:
        values = parse(text)
    except RecursionError:
        raise UnreadableError(path, f"is not {kind}: {_too_deep()}") from None
    except ValueError as error:
        raise UnreadableError(path, f"is not {kind}: {literal(str(error))}") from None
    wrong = problem(values)
    if wrong:
        raise UnreadableError(path, wrong)
    return values


def problem(values: Any, depth: int = DEPTH) -> str:
    """Return what is wrong with parsed values, "" for nothing: their depth, or text in them."""
    level = [values]
    for _ in range(depth):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, str):
                if not _storable(value):
                    return f"holds text that cannot be stored: {literal(value)[:60]!r}"
            elif isinstance(value, dict):
                inner += [*value.keys(), *value.values()]
            elif isinstance(value, list | tuple):
                inner += value
        if not inner:
            return ""
        level = inner
    return _too_deep(depth)


def _too_deep(depth: int = DEPTH) -> str:
    return f"more than {depth} tables or lists inside each other"


def _storable(text: str) -> bool:
    """Return whether text has neither a NUL nor half of a surrogate pair."""
    return is_utf8(text) and "\0" not in text


def is_utf8(text: str) -> bool:
    """Return whether text has bytes in UTF-8.

    Half of a surrogate pair has none; it is how Python holds a byte of a name that is not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- hashes -------------------------------------------------------------------------------------


def seal(values: Mapping[str, Any]) -> str:
    """Return values as JSON text that carries a hash of its own; keys keep their order."""
    return json.dumps(sealed(values), indent=2) + "\n"


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values as JSON has them, with their hash under one more key."""
    plain = json.loads(json.dumps(values))
    return {**plain, SEAL: _digest(plain)}


def unseal(path: str | Path, most: int = RECORD_BYTES) -> dict[str, Any]:
    """Return the values of a file that `seal` wrote, its hash verified and left out.

    Raises `FileNotFoundError` without the file, `UnreadableError` for a damaged one.
    """
    return unsealed(read_json(path, most), path)


def unsealed(values: Any, path: str | Path) -> dict[str, Any]:
    """Return the values of `sealed` without their hash, which is verified.

    `UnreadableError` names the file that they are from.
    """
    if not isinstance(values, dict):
        raise UnreadableError(path, "must hold keys and values")
    if SEAL not in values:
        raise UnreadableError(path, f"has no {SEAL} of its own: damaged, or of an earlier version")
    content = {key: value for key, value in values.items() if key != SEAL}
    if values[SEAL] != _digest(content):
        raise UnreadableError(path, "damaged, its SHA-256 is not the recorded one")
    return content


def _digest(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the values of a JSON object, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


# --- names --------------------------------------------------------------------------------------


def literal(text: str) -> str:
    r"""Return a text as it can be shown anywhere: one line, no character that steers.

    Line breaks, terminal escapes, marks of direction and the like are written as escapes, as
    `\n` and `\x1b`. Everything that is seen stays as it is.
    """
    return "".join(map(_escaped, text))


def shown(path: str | Path, most: int = 240) -> str:
    """Return a path or a message as it is shown: literally, of a very long one both ends."""
    whole = str(path)
    ends = whole if len(whole) <= 2 * most else whole[:most] + whole[-most:]
    text = literal(ends)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[-most // 4 :]}"


def message_of(error: BaseException) -> str:
    """Return what an exception says; one of somebody else may fail even at that."""
    try:
        return str(error)
    except Exception:
        return "its message cannot be shown"


def line_problem(text: Any, most: int) -> str:
    """Return what is wrong with what should be one short line, "" for nothing."""
    if not isinstance(text, str):
        return f"must be text, not of type {type(text).__name__}"
    if len(text) > most:
        return f"must have at most {most} characters, it has {len(text):,}"
    if not text.isprintable() and literal(text) != text:
        return f"must be one line without control characters, it is {shown(text)}"
    return ""


def _escaped(letter: str) -> str:
    seen = letter.isprintable() or letter == "\u00a0"
    return letter if seen else letter.encode("unicode_escape").decode("ascii")
