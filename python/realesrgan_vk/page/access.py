"""Who may use the server: checks before any handler, and headers on every answer.

The server listens on the machine's own addresses, and any page that the user's browser shows can
send requests there. Three checks keep it out: the `Host` (a foreign name that was made to lead here
is refused), the token (which only the user's own tab has), and the origin of a request that changes
something.
"""

import hmac
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from realesrgan_vk.page.problems import Problem
from realesrgan_vk.page.settings import Settings

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253}))(?::([0-9]{1,5}))?")
_OPEN_PATHS = frozenset({"/", "/login", "/healthz"})
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
    # Not "no-referrer", with which the origin of a form is "null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def cookie_name(settings: Settings) -> str:
    """The token's cookie; cookies are shared by all ports of a machine."""
    return f"realesrgan-vk-{settings.port}"


def is_token(given: str, settings: Settings) -> bool:
    """Whether this is the token, compared in a time that does not tell how much of it fits."""
    return hmac.compare_digest(given.encode(), settings.token.encode())


def is_secret(given: str, settings: Settings) -> bool:
    """Whether this is the token or the password."""
    password = settings.password
    fits = bool(password) and hmac.compare_digest(given.encode(), password.encode())
    return is_token(given, settings) or fits


def has_cookie(request: Request, settings: Settings) -> bool:
    """Whether a request carries the token's cookie."""
    return is_token(request.cookies.get(cookie_name(settings), ""), settings)


class Access:
    """ASGI middleware: refuses requests, and adds headers to all answers."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        """`app` gets the requests that are allowed."""
        self._app = app
        self._settings = settings
        self._hosts = _OWN_NAMES | {host.lower() for host in settings.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.lower().encode(), value.encode())
                        for name, value in _HEADERS.items()
                        if name.lower().encode() not in given
                    ),
                ]
            await send(message)

        request = Request(scope)
        try:
            self._check(request)
        except Problem as problem:
            await problem.response()(scope, receive, with_headers)
            return
        await self._app(scope, receive, with_headers)

    def _check(self, request: Request) -> None:
        host = self._check_host(request)
        unsafe = request.method not in _SAFE
        site = request.headers.get("sec-fetch-site")
        origin = request.headers.get("origin")
        same = site in (None, "same-origin") and (origin is None or _is_own(origin, host))
        # A GET that the user makes (an address that is typed or opened) comes from no site.
        if not same and (
            unsafe or (site in ("cross-site", "same-site") and not _is_entry(request))
        ):
            raise Problem(403, "the request comes from another site")
        path = request.url.path
        if path in _OPEN_PATHS or path.startswith("/static/"):
            return
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and is_token(bearer.strip(), self._settings):
            return
        if not has_cookie(request, self._settings):
            headers = {"WWW-Authenticate": "Bearer"}
            raise Problem(401, "the token is missing or wrong", headers=headers)
        if unsafe and site is None and origin is None:
            raise Problem(
                403,
                "a request with the cookie must say where it comes from (Origin); a program sends "
                "the token as 'Authorization: Bearer TOKEN'",
            )

    def _check_host(self, request: Request) -> str:
        """The `Host` header; one that is not this server's is a name made to lead here."""
        given = request.headers.getlist("host")
        found = _HOST.fullmatch(given[0]) if len(given) == 1 else None
        if found is None:
            raise Problem(400, "the request has no valid Host")
        name = (found[1] or found[2]).lower()
        if name not in self._hosts and not (self._settings.any_address and _is_address(name)):
            raise Problem(421, "the server does not go by this Host")
        return given[0].lower()


def _is_entry(request: Request) -> bool:
    """Whether this is the page itself, which a link in another program may open."""
    return request.url.path == "/" and request.headers.get("sec-fetch-mode") == "navigate"


def _is_own(origin: str, host: str) -> bool:
    return origin.lower() in (f"http://{host}", f"https://{host}")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def form_value(body: bytes, name: str) -> str:
    """A field of a form that is encoded as a query."""
    pairs: Iterable[tuple[str, str]] = parse_qsl(body.decode("utf-8", "replace"), max_num_fields=4)
    return next((value for key, value in pairs if key == name), "")
