"""A WebSocket that an endpoint can neither keep waiting nor flood: one deadline, so many bytes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

from websocket import WebSocket, WebSocketTimeoutException

MOST_BYTES = 32 * 1024 * 1024
"""Bytes that an endpoint may send while one request waits; the metadata of live chains have 1 MB.
"""


class FloodError(Exception):
    """An endpoint sent more than `MOST_BYTES` for one request."""


class Wire(WebSocket):
    """A WebSocket whose requests end.

    The library gives every read of a socket a time limit of its own, so that an endpoint which
    sends a byte now and then, only pings or answers to other requests keeps a client for ever.
    """

    _until: float | None = None
    _received = 0

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Limit the time and the bytes of everything that is received in the block.

        Raises `WebSocketTimeoutException` and `FloodError`.
        """
        self._until = time.monotonic() + seconds
        self._received = 0
        try:
            yield
        finally:
            self._until = None

    def connect(self, url: str, **options: Any) -> None:
        """Connect within `timeout` seconds; redirections to other addresses are not followed."""
        # The handshake is read past `_recv`: a timer ends it from outside.
        timer = threading.Timer(options["timeout"], self._break_off)
        timer.daemon = True
        timer.start()
        try:
            super().connect(url, redirect_limit=0, **options)
        finally:
            timer.cancel()

    def _break_off(self) -> None:
        if self.sock is not None:
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def _recv(self, bufsize: int) -> bytes:
        """Return what has arrived, unless the time or the bytes of the request are used up."""
        if self._until is not None and self.sock is not None:
            left = self._until - time.monotonic()
            if left <= 0:
                raise WebSocketTimeoutException("timed out")
            self.sock.settimeout(left)
        data: bytes = super()._recv(bufsize)
        self._received += len(data)
        if self._received > MOST_BYTES:
            raise FloodError(f"sent more than {MOST_BYTES // 2**20} MB for one request")
        return data
