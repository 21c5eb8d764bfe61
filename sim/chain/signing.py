"""ed25519 keys of devices and verification, with each distinct signature checked once."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sim.streams import Streams


class Keyring:
    """One deterministic key pair per device. Simulation keys: derived from the run's seed, worth nothing elsewhere."""

    def __init__(self, streams: Streams, devices: int) -> None:
        self._private = [Ed25519PrivateKey.from_private_bytes(streams.rng("keys", d).bytes(32)) for d in range(devices)]
        self._public = [k.public_key() for k in self._private]
        self.public = [k.public_bytes(Encoding.Raw, PublicFormat.Raw) for k in self._public]
        self._verdicts: dict[tuple[int, bytes, bytes], bool] = {}

    def sign(self, device: int, message: bytes) -> bytes:
        """64-byte signature."""
        return self._private[device].sign(message)

    def verify(self, device: int, message: bytes, signature: bytes) -> bool:
        """Whether `device` signed `message`. Every receiver asks; the answer is computed once."""
        key = (device, message, signature)
        if key not in self._verdicts:
            self._verdicts[key] = _verify(self._public[device], message, signature)
        return self._verdicts[key]

    def forget(self) -> None:
        """Drop remembered verdicts (at each round's end)."""
        self._verdicts.clear()


def _verify(key: Ed25519PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
