"""Whether the browser sends the session cookie along with a WebSocket's handshake."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning

from gatepost.program import gateway_toml


def check_cookies(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.W003, W004, W009 and W024: path, domain, SameSite and name of the session cookie."""
    return [*_path(), *_domain(), *_same_site(), *_name()]


def _name() -> Iterator[CheckMessage]:
    named = gateway_toml.session_cookie()
    if named in (None, settings.SESSION_COOKIE_NAME):
        return
    yield Warning(
        f"gateway.toml says that the session is in the cookie {named}, but SESSION_COOKIE_NAME is"
        f" {settings.SESSION_COOKIE_NAME!r}: sockets without that cookie are closed with 1011.",
        hint="Take session_cookie out of gateway.toml: Django tells the gateway its name.",
        id="gatepost.W024",
    )


def _path() -> Iterator[CheckMessage]:
    path = settings.SESSION_COOKIE_PATH
    if path == "/":
        return
    sockets = gateway_toml.sockets() or [gateway_toml.SOCKET]
    for socket in sockets:
        if not _covers(path, socket):
            yield Warning(
                f"The session cookie is sent to {path} only, not to the sockets at {socket}: they"
                " would be closed with 4001.",
                hint=f"Set SESSION_COOKIE_PATH = '/', or put the socket route below {path}.",
                id="gatepost.W003",
            )


def _covers(path: str, socket: str) -> bool:
    """RFC 6265 section 5.1.4."""
    return socket == path or socket.startswith(path if path.endswith("/") else f"{path}/")


def _domain() -> Iterator[CheckMessage]:
    domain = str(settings.SESSION_COOKIE_DOMAIN or "").lstrip(".")
    if not settings.DEBUG or not domain or domain == "localhost":
        return
    if settings.ALLOWED_HOSTS and not {"localhost", ".localhost", "*"} & {*settings.ALLOWED_HOSTS}:
        return
    yield Warning(
        f"The session cookie is for {domain}: a browser at https://localhost:8443/ refuses it, and"
        " nobody can log in there.",
        hint="Set SESSION_COOKIE_DOMAIN only where DEBUG is off.",
        id="gatepost.W004",
    )


def _same_site() -> Iterator[CheckMessage]:
    same_site = settings.SESSION_COOKIE_SAMESITE
    if not same_site or str(same_site).lower() != "none":
        return
    yield Warning(
        "SESSION_COOKIE_SAMESITE is 'None': every site may send requests with this site's session.",
        hint=(
            "Remove it. Behind the gateway pages, API and sockets are of one origin, for which the"
            " default 'Lax' is enough."
        ),
        id="gatepost.W009",
    )


def check_secure(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.W020: the session cookie would be sent over plain HTTP, too."""
    if settings.SESSION_COOKIE_SECURE:
        return []
    return [
        Warning(
            "The session cookie may be sent over plain HTTP, before the gateway redirects.",
            hint="Set SESSION_COOKIE_SECURE = True: the gateway serves HTTPS only.",
            id="gatepost.W020",
        )
    ]
