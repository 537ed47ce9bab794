"""Limits of the server."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Limits and access of the server.

    Attributes:
        token: secret that a client must show; None lets everybody in.
        most_bytes: largest upload.
        places: number of requests in work or waiting; further ones are answered with 503.
        threads: number of requests in work at the same time, which share forward passes.
        seconds: longest time from a complete request to its answer.
        upload_seconds: longest time that an upload may take.
    """

    token: str | None = None
    most_bytes: int = 10 * 1024**2
    places: int = 64
    threads: int = 16
    seconds: float = 10.0
    upload_seconds: float = 30.0
