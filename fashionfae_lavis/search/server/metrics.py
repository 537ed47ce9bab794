"""What the server tells Prometheus."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BATCHES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = Counter(
            "fashionfae_requests", "Requests by route and status.", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "fashionfae_request_seconds", "Time from request to answer.", ["route"], registry=self.registry
        )
        self.batches = Histogram(
            "fashionfae_batch_calls", "Calls in a forward pass.", buckets=BATCHES, registry=self.registry
        )
        self.inside = Gauge("fashionfae_requests_inside", "Requests in work or waiting.", registry=self.registry)

    def text(self) -> bytes:
        """Returns all values in Prometheus's text format."""
        return generate_latest(self.registry)


class Measured:
    """ASGI middleware that counts and times requests by route; unknown paths count as one."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        status, start = 500, time.perf_counter()

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, note)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.requests.labels(route, status).inc()
            self.metrics.seconds.labels(route).observe(time.perf_counter() - start)
