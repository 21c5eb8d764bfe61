"""The operator's key: from a file, the environment or the development phrase; never printed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import nacl.signing
from substrateinterface import Keypair, KeypairType

from chain_bridge.errors import PlanError, SafetyError
from chain_bridge.runtime import blake2
from chain_bridge.scale import compact
from fedstake.outside import UnreadableError, read_text

Scheme = Literal["ed25519", "sr25519"]

DEV_PHRASE = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
# The mini-secret of the development phrase: the `--dev` accounts of every Substrate node.
_DEV_SEED = bytes.fromhex("fac7959dbfe72f052e5a0c3c8d6530f202b02fd8f9f5ca3580ec8deb7797479e")
DEV_NAMES = (
    "",
    "Alice",
    "Bob",
    "Charlie",
    "Dave",
    "Eve",
    "Ferdie",
    "Alice//stash",
    "Bob//stash",
    "Fedstake",
)
OPERATOR = "//Fedstake"
KEY = "FEDSTAKE_KEY"
_SIGNATURES = {"ed25519": 0, "sr25519": 1}  # variants of MultiSignature


@dataclass(frozen=True)
class Signer:
    """A key that signs. `development`: everybody can derive it from the well-known phrase."""

    scheme: Scheme
    public: bytes
    development: bool
    _secret: Keypair | nacl.signing.SigningKey = field(repr=False, compare=False)

    def sign(self, payload: bytes) -> bytes:
        """Return a `MultiSignature`: the scheme's number and 64 bytes.

        Ed25519 signatures are the same every time.
        """
        body = self._secret.sign(payload)
        raw = body.signature if isinstance(self._secret, nacl.signing.SigningKey) else bytes(body)
        return bytes([_SIGNATURES[self.scheme]]) + raw


def signer(secret: str) -> Signer:
    """Return the signer for `[scheme:]secret`.

    A secret is `//Path` of the development phrase, a phrase with an optional path, or 0x and 64
    hexadecimal digits. The scheme is ed25519 unless `sr25519:` stands before the secret. Raises
    `PlanError` without showing the secret.
    """
    text = secret.strip()
    scheme: Scheme = "sr25519" if text.startswith("sr25519:") else "ed25519"
    try:
        base, phrase, path = _parts(text.removeprefix(f"{scheme}:"))
        found = _ed25519(base, path) if scheme == "ed25519" else _sr25519(base, phrase, path)
    except Exception:  # the library's message may hold the secret
        raise PlanError(
            "the key is unreadable: give //Name, a phrase with an optional //path, or 0x and 64 "
            "hexadecimal digits, with ed25519: or sr25519: before it"
        ) from None
    if isinstance(found, nacl.signing.SigningKey):
        public = bytes(found.verify_key)
    else:
        public = bytes(found.public_key)
    return Signer(scheme, public, base == _DEV_SEED or public in _well_known(), found)


def _parts(text: str) -> tuple[bytes, str, str]:
    """Return a secret's 32 bytes, the phrase that stands for them ("": none), and its path."""
    if not text:
        raise ValueError
    base, slash, path = text.partition("/")
    phrase = " ".join(base.split()) or DEV_PHRASE
    if not base:
        seed = _DEV_SEED
    elif base.startswith("0x"):
        seed, phrase = bytes.fromhex(base[2:]), ""
    else:  # the mini-secret of a phrase is the same for both schemes
        hexed = Keypair.create_from_mnemonic(phrase, crypto_type=KeypairType.ED25519).seed_hex
        seed = bytes.fromhex(hexed.removeprefix("0x")) if isinstance(hexed, str) else bytes(hexed)
    if len(seed) != 32:
        raise ValueError
    return seed, phrase, slash + path


def _ed25519(seed: bytes, path: str) -> nacl.signing.SigningKey:
    """Return a key by hard derivation: BLAKE2b-256 over ("Ed25519HDKD", seed, chain code)."""
    first, *junctions = path.split("//")
    if first or any("/" in j or not j for j in junctions):
        raise ValueError
    for junction in junctions:
        seed = blake2(_text("Ed25519HDKD") + seed + _chain_code(junction))
    return nacl.signing.SigningKey(seed)


def _sr25519(seed: bytes, phrase: str, path: str) -> Keypair:
    if path and not phrase:
        raise ValueError("the library derives sr25519 keys from phrases only")
    if path:
        return Keypair.create_from_uri(phrase + path, crypto_type=KeypairType.SR25519)
    return Keypair.create_from_seed("0x" + seed.hex(), crypto_type=KeypairType.SR25519)


def _text(word: str) -> bytes:
    """Return a text in SCALE encoding."""
    raw = word.encode()
    return compact(len(raw)) + raw


def _chain_code(junction: str) -> bytes:
    """Return the 32 bytes of one part of a path."""
    raw = int(junction).to_bytes(8, "little") if junction.isdigit() else _text(junction)
    return blake2(raw) if len(raw) > 32 else raw.ljust(32, b"\0")


def _well_known() -> set[bytes]:
    """Return the public keys of the accounts that dev nodes endow, in both schemes."""
    if not _WELL_KNOWN:
        for name in DEV_NAMES:
            path = f"//{name}" if name else ""
            _WELL_KNOWN.add(bytes(_ed25519(_DEV_SEED, path).verify_key))
            _WELL_KNOWN.add(bytes(_sr25519(_DEV_SEED, DEV_PHRASE, path).public_key))
    return _WELL_KNOWN


_WELL_KNOWN: set[bytes] = set()


def environment() -> dict[str, str]:
    """Return this process's environment without the key, for foreign programs."""
    return {name: value for name, value in os.environ.items() if name != KEY}


def operator_key(key_file: Path | None = None) -> Signer | None:
    """Return the key that the user gives; None without one.

    It comes from `key_file`, which its owner alone may read, else from `FEDSTAKE_KEY`.
    """
    if key_file is not None:
        try:
            mode = key_file.stat().st_mode
            if mode & (stat.S_IRWXG | stat.S_IRWXO):
                raise SafetyError(
                    f"{key_file}: others may read this key (mode {stat.S_IMODE(mode):03o}); "
                    "chmod 600 it"
                )
            return _from(str(key_file), read_text(key_file))
        except OSError as error:
            raise PlanError(f"{key_file}: cannot read the key ({error.strerror})") from None
        except UnreadableError as error:
            raise PlanError(f"{key_file}: cannot read the key: {error.reason}") from None
    secret = os.environ.get(KEY)
    return _from(KEY, secret) if secret else None


def _from(source: str, secret: str) -> Signer:
    """Return the signer of a secret; errors name its source."""
    try:
        return signer(secret)
    except PlanError as error:
        raise PlanError(f"{source}: {error}") from None
