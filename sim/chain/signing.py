"""ed25519 keys of devices and verification, with each distinct signature checked once."""

from __future__ import annotations

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

from sim.streams import Streams


class Keyring:
    """One deterministic key pair per device.

    Simulation keys: derived from the run's seed, worth nothing elsewhere.
    """

    def __init__(self, streams: Streams, devices: int) -> None:
        self._private = [SigningKey(streams.rng("keys", d).bytes(32)) for d in range(devices)]
        self._public = [k.verify_key for k in self._private]
        self.public = [bytes(k) for k in self._public]
        self._verdicts: dict[tuple[int, bytes, bytes], bool] = {}

    def sign(self, device: int, message: bytes) -> bytes:
        """Return a device's 64-byte signature."""
        return self._private[device].sign(message).signature

    def verify(self, device: int, message: bytes, signature: bytes) -> bool:
        """Return whether `device` signed `message`; computed once, whoever asks."""
        key = (device, message, signature)
        if key not in self._verdicts:
            self._verdicts[key] = _verify(self._public[device], message, signature)
        return self._verdicts[key]

    def forget(self) -> None:
        """Drop remembered verdicts (at each round's end)."""
        self._verdicts.clear()


def _verify(key: VerifyKey, message: bytes, signature: bytes) -> bool:
    try:
        key.verify(message, signature)
    except (BadSignatureError, ValueError):  # ValueError: not 64 bytes
        return False
    return True
