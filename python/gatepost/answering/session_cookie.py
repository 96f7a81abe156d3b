"""``Gatepost-Session-Cookie``: name, domain and path of the session cookie.

The middleware and the views add it to every answer, so that the gateway needs no setting for it.
The surprise: the name alone does not make a cookie the session's; with another domain or path it is
another cookie, which says nothing about the session.
"""

from http.cookies import Morsel
from typing import Any

from django.conf import settings
from django.http.response import HttpResponseBase

HEADER = "Gatepost-Session-Cookie"


def add_to(response: HttpResponseBase) -> None:
    """Add the header to a response."""
    parts = [settings.SESSION_COOKIE_NAME, f"Path={_path()}"]
    if settings.SESSION_COOKIE_DOMAIN:
        parts.append(f"Domain={settings.SESSION_COOKIE_DOMAIN}")
    response[HEADER] = "; ".join(parts)


def is_it(morsel: "Morsel[Any]") -> bool:
    """Return whether a cookie of this name that a response sets or deletes is the session's."""
    return _domain(morsel["domain"]) == _domain(settings.SESSION_COOKIE_DOMAIN) and (
        (morsel["path"] or "/") == _path()
    )


def _path() -> str:
    return settings.SESSION_COOKIE_PATH or "/"


def _domain(said: str | None) -> str:
    return str(said or "").removeprefix(".").lower()
