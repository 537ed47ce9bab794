"""Who may ask, and what a browser may do with the answer."""

import hashlib
import hmac
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "fashionfae"
OPEN = ("/health", "/sign-in")  # and the files of the page, which hold no data
POLICY = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def cookie_for(token: str) -> str:
    """Returns the value of the cookie that stands for a token, without showing the token."""
    return hashlib.sha256(b"fashionfae " + token.encode()).hexdigest()


def equals(given: bytes, secret: str) -> bool:
    """Compares a secret in a time that does not depend on how much of it is right."""
    return hmac.compare_digest(given, secret.encode())


def may_ask(request: Request, token: str) -> bool:
    """Returns whether a request shows the token, as `Authorization: Bearer TOKEN` or by the page's cookie."""
    path = request.scope["path"]
    if path in OPEN or path.startswith("/static/"):
        return True
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return equals(given.strip().encode("latin-1"), token)  # as headers are decoded
    return equals(request.cookies.get(COOKIE, "").encode(), cookie_for(token))


class Guarded:
    """ASGI middleware that turns requests without the token away, and adds the headers of `POLICY` to all answers.

    Args:
        app: the application.
        token: the token; None lets everybody in.
        refuse: makes the answer to a request without the token.
    """

    def __init__(self, app: ASGIApp, token: str | None, refuse: Callable[[Request], Response]):
        self.app, self.token, self.refuse = app, token, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def protect(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(POLICY)
                headers.setdefault("cache-control", "private, no-cache")
            await send(message)

        request = Request(scope)
        refused = self.token is not None and not may_ask(request, self.token)
        await (self.refuse(request) if refused else self.app)(scope, receive, protect)
