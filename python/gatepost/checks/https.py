"""Whether Django knows that the browser speaks HTTPS, and what follows where it does not.

``GatepostMiddleware`` makes Django know it, but only for what runs after it.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Warning

from gatepost.checks.declared import value
from gatepost.checks.middleware import GATEPOST, position

_SECURITY = "django.middleware.security.SecurityMiddleware"
_CSRF = "django.middleware.csrf.CsrfViewMiddleware"

#: What the gateway sends.
_HEADER = "HTTP_X_FORWARDED_PROTO"

_KNOW_HTTPS = (
    f"Put {GATEPOST!r} first in MIDDLEWARE; or, if nobody but the gateway can reach Django, set"
    f" SECURE_PROXY_SSL_HEADER = ({_HEADER!r}, 'https')."
)


def check_scheme(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.W001, W002, W011 and W013: what Django takes for scheme and host."""
    return [*_header(), *_redirect(), *_csrf(), *_forwarded_host()]


def _header() -> Iterator[CheckMessage]:
    header = settings.SECURE_PROXY_SSL_HEADER
    if header is None or _is_well_formed(header):
        return
    yield Warning(
        f"SECURE_PROXY_SSL_HEADER is {header!r}, which the gateway's header does not match.",
        hint=(
            f"The gateway sends X-Forwarded-Proto: https. Write ({_HEADER!r}, 'https'): a tuple of"
            " two, the header in upper case with HTTP_ in front."
        ),
        id="gatepost.W002",
    )


def _is_well_formed(header: Any) -> bool:
    if not isinstance(header, tuple | list) or len(header) != 2:
        return False
    name, value = header
    # With the middleware, another proxy's header does no harm: only what cannot be one is wrong.
    if position(GATEPOST) is not None and name != _HEADER:
        return isinstance(name, str) and name.startswith("HTTP_") and name == name.upper()
    return bool(name == _HEADER and value == "https")


def _redirect() -> Iterator[CheckMessage]:
    security = position(_SECURITY)
    if not settings.SECURE_SSL_REDIRECT or security is None or _knows_https(before=security):
        return
    yield Warning(
        "SECURE_SSL_REDIRECT is on, but Django takes what the gateway sends for plain HTTP: it"
        " would redirect for ever.",
        hint=_KNOW_HTTPS,
        id="gatepost.W001",
    )


def _csrf() -> Iterator[CheckMessage]:
    csrf = position(_CSRF)
    if csrf is None or _knows_https(before=csrf):
        return
    if any(str(origin).startswith("https://") for origin in settings.CSRF_TRUSTED_ORIGINS):
        return
    yield Warning(
        "Django takes what the gateway sends for plain HTTP: forms that are posted over HTTPS are"
        " refused (403, CSRF), and is_secure() is wrong.",
        hint=_KNOW_HTTPS,
        id="gatepost.W011",
    )


def _knows_https(*, before: int) -> bool:
    """Return whether a middleware at a position is told the right scheme."""
    gatepost = position(GATEPOST)
    header = settings.SECURE_PROXY_SSL_HEADER
    return (gatepost is not None and gatepost < before) or header is not None


def _forwarded_host() -> Iterator[CheckMessage]:
    if not settings.USE_X_FORWARDED_HOST:
        return
    yield Warning(
        "USE_X_FORWARDED_HOST is on: a client that gets past the gateway chooses the host.",
        hint="Remove it: the gateway passes on the browser's own Host.",
        id="gatepost.W013",
    )


def check_hsts(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.W014: a developer's browser would be told that localhost is always HTTPS."""
    if not (settings.DEBUG and settings.SECURE_HSTS_SECONDS) or position(_SECURITY) is None:
        return []
    return [
        Warning(
            "SECURE_HSTS_SECONDS is set while DEBUG is on: the browser will refuse plain HTTP for"
            " every port of localhost, other projects' included.",
            hint="Set SECURE_HSTS_SECONDS only where DEBUG is off.",
            id="gatepost.W014",
        )
    ]


def check_url(**kwargs: Any) -> list[CheckMessage]:
    """gatepost.W021: frames would cross a network in the clear."""
    urls = value("URL")
    return [
        Warning(
            f"GATEPOST['URL'] is {url}: notifications leave this machine signed, but not"
            " encrypted.",
            hint=(
                "Let gateway and Django share a machine (http://127.0.0.1:9400 or"
                " unix:/run/gatepost.sock), or lead the connection through a tunnel such as"
                " WireGuard or stunnel, then silence this check."
            ),
            id="gatepost.W021",
        )
        for url in (urls if isinstance(urls, list | tuple) else [urls])
        if not _stays_here(str(url))
    ]


def _stays_here(url: str) -> bool:
    if url.startswith("unix:"):
        return True
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
