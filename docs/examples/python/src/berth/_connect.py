"""How to reach a broker, and how to show it who calls.

What is not given is taken from the variables that the command ``berth`` takes it from: BERTH_ENDPOINT,
BERTH_TOKEN or BERTH_TOKEN_FILE, BERTH_CA_FILE, BERTH_CERT and BERTH_KEY.
"""

import os
from pathlib import Path

import grpc
import grpc.aio

_USUAL = "http://127.0.0.1:50051"
_OPTIONS = [
    # A quiet connection is asked every 20 s whether it still is one.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Bodies and pictures are larger than the 4 MiB that gRPC takes by default.
    ("grpc.max_receive_message_length", 300 << 20),
]


def channel(endpoint: str | None = None, token: str | None = None) -> grpc.Channel:
    """A channel for stubs that block."""
    return _open(grpc, endpoint, token)


def aio_channel(endpoint: str | None = None, token: str | None = None) -> grpc.aio.Channel:
    """A channel for stubs that are awaited."""
    return _open(grpc.aio, endpoint, token)


def _open(kind, endpoint, token):
    endpoint = endpoint or os.environ.get("BERTH_ENDPOINT") or _USUAL
    scheme, found, target = endpoint.partition("://")
    if not found or scheme not in ("http", "https"):
        raise ValueError(f"{endpoint!r} is no endpoint: wanted such as {_USUAL}")
    token = (token or _file("BERTH_TOKEN_FILE") or os.environ.get("BERTH_TOKEN", "")).strip()
    if scheme == "https":
        ca, cert, key = map(_bytes, ("BERTH_CA_FILE", "BERTH_CERT", "BERTH_KEY"))
        credentials = grpc.ssl_channel_credentials(ca, key, cert)
    elif token:
        # Without TLS a token goes to this machine only.
        credentials = grpc.local_channel_credentials()
    else:
        return kind.insecure_channel(target, _OPTIONS)
    if token:
        call = grpc.access_token_call_credentials(token)
        credentials = grpc.composite_channel_credentials(credentials, call)
    return kind.secure_channel(target, credentials, _OPTIONS)


def _bytes(name):
    path = os.environ.get(name)
    return Path(path).read_bytes() if path else None


def _file(name):
    return (_bytes(name) or b"").decode()
