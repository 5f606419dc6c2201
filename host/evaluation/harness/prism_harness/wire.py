"""Frames between the scorer and a guest: four bytes of length, then one JSON object.

Bulk numbers never travel here; they lie in shared memory. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import socket
import struct
import time

FRAME_BYTES_MAX = 1024 * 1024
_LENGTH = struct.Struct("<I")


class WireError(Exception):
    """`kind` is closed, truncated, oversized, invalid or timeout."""

    def __init__(self, kind: str, detail: str):
        super().__init__(detail)
        self.kind = kind


def send(sock: socket.socket, message: dict, timeout_s: float | None = None) -> None:
    body = json.dumps(message, separators=(",", ":")).encode()
    if len(body) > FRAME_BYTES_MAX:
        raise WireError("oversized", f"a frame of {len(body)} bytes is over the limit")
    sock.settimeout(timeout_s)
    try:
        sock.sendall(_LENGTH.pack(len(body)) + body)
    except socket.timeout:
        raise WireError("timeout", "the other side does not read") from None
    except OSError as error:
        raise WireError("closed", f"the other side is gone: {error.strerror}") from None


def receive(sock: socket.socket, timeout_s: float | None = None) -> dict:
    """The next frame; the limit on its length is checked before a byte of it is read."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    (length,) = _LENGTH.unpack(_read(sock, _LENGTH.size, deadline, at_start=True))
    if length > FRAME_BYTES_MAX:
        raise WireError("oversized", f"a frame of {length} bytes was announced, the limit is {FRAME_BYTES_MAX}")
    body = _read(sock, length, deadline, at_start=False)
    try:
        message = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise WireError("invalid", "a frame is not JSON") from None
    if not isinstance(message, dict):
        raise WireError("invalid", "a frame is not a JSON object")
    return message


def _read(sock: socket.socket, count: int, deadline: float | None, at_start: bool) -> bytes:
    parts, missing = [], count
    while missing:
        if deadline is None:
            sock.settimeout(None)
        else:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise WireError("timeout", "no answer in time")
            sock.settimeout(left_s)
        try:
            part = sock.recv(min(missing, 1 << 16))
        except socket.timeout:
            raise WireError("timeout", "no answer in time") from None
        except OSError as error:
            raise WireError("closed", f"the connection broke: {error.strerror}") from None
        if not part:
            whole = at_start and missing == count
            raise WireError("closed" if whole else "truncated", "the connection ended" if whole else "a frame ended early")
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _no_constant(name: str):
    raise ValueError(f"{name} is not JSON")
