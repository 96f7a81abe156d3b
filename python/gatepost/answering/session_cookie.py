"""``Gatepost-Session-Cookie``: what the session cookie is called, and where it is set.

The middleware and the views say it along with every answer to the gateway, which needs no setting
of its own then. The surprise: a cookie is a name, a domain and a path; of another place it is a
namesake, which says nothing of the session.
"""

from http.cookies import Morsel
from typing import Any

from django.conf import settings
from django.http.response import HttpResponseBase

HEADER = "Gatepost-Session-Cookie"


def tell(response: HttpResponseBase) -> None:
    """Tell the gateway along with a response."""
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
