"""Drafts a gateway.toml from Django's settings.

``gateway_config`` prints or writes it, ``rungateway`` writes it where there is none. The surprise:
only what differs from the gateway's defaults is written, so that the file says what is special
about the project; and never a secret.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from gatepost import client, conf, gateway_toml
from gatepost.checks.hosts import host_alone
from gatepost.devserver.frontend import Frontend

_DEFAULT_URL = "http://127.0.0.1:9400"
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")

#: How far a route's first segment is literal: ``shop/<int:pk>/`` or ``^shop/(?P<pk>…)``.
_LITERAL_SEGMENT = re.compile(r"\^?([A-Za-z0-9_.~-]+)/")


def gateway_config(folder: Path, frontend: Frontend | None) -> str:
    """Return the text of a gateway.toml that is to lie in a folder."""
    module = os.environ.get("DJANGO_SETTINGS_MODULE", "the settings")
    parts = [
        f"# Written by `manage.py gateway_config` from {module}. `gatepost check` says what answers"
        "\n# which path.",
        "\n".join(_server()),
        "\n".join(_django(frontend)),
    ]
    if frontend is not None:
        parts.append(f'[frontend]\nupstream = "http://127.0.0.1:{frontend.port}"')
    parts += _static(folder)
    parts.append(f"[[sockets]]\npath = {_quoted(gateway_toml.SOCKET)}")
    parts += _auth()
    if conf.value("OUTBOX") and (outbox := _path("gatepost:outbox")):
        parts.append(f"[outbox]\nurl = {_quoted(outbox)}")
    return "\n\n".join(parts) + "\n"


def paths() -> list[str]:
    """Return the first segments of Django's URLs, for where a frontend answers all the rest."""
    found = dict.fromkeys(_segments(get_resolver().url_patterns))
    if settings.DEBUG:
        # Where it is off, Django does not serve them.
        local = (settings.STATIC_URL, settings.MEDIA_URL)
        found |= dict.fromkeys(url for url in local if _is_local_prefix(url))
    # The gateway keeps this one for itself.
    return sorted(path for path in found if not path.startswith("/_gatepost/"))


def _server() -> Iterator[str]:
    yield "[server]"
    hosts, wildcards = _hosts()
    if wildcards:
        yield f"# ALLOWED_HOSTS has {', '.join(wildcards)}: list every name that people type."
    yield f"hosts = {_quoted(hosts)}"
    if not settings.DEBUG:
        yield '# https = "0.0.0.0:443"  http = "0.0.0.0:80"   # ports below 1024 need a right'
    internal = internal_address(client.urls()[0])
    if internal is None:
        yield "# internal: the address of this machine that GATEPOST['URL'] of Django names"
    elif client.urls()[0] != _DEFAULT_URL:
        yield f"internal = {_quoted(internal)}"


def _hosts() -> tuple[list[str], list[str]]:
    """Return the names of the origin, and the wildcards that stand for names nobody listed."""
    names, wildcards = ["localhost"] if settings.DEBUG else [], []
    for entry in map(str, settings.ALLOWED_HOSTS):
        host = host_alone(entry).lower()
        if host == "*" or host.startswith("."):
            wildcards.append(entry)
        host = host.removeprefix(".")
        if _HOST_NAME.fullmatch(host):
            names.append(host)
    # The first is the canonical one: localhost only while developing.
    if not settings.DEBUG:
        names.sort(key=lambda name: name == "localhost" or not name.strip("[]0123456789.:"))
    return list(dict.fromkeys(names)) or ["localhost"], wildcards


def internal_address(url: str) -> str | None:
    """Return what ``server.internal`` must be for a URL; None where a name hides the address."""
    if url.startswith("unix:"):
        return url
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname or ""
    if not re.fullmatch(r"[0-9.]+|[0-9a-f:]*:[0-9a-f:.]*", host):
        return None
    return f"[{host}]:{parts.port or 80}" if ":" in host else f"{host}:{parts.port or 80}"


def _django(frontend: Frontend | None) -> Iterator[str]:
    yield "[django]"
    yield 'upstream = "http://127.0.0.1:8000"'
    if frontend is not None:
        yield f"paths = {_quoted(paths())}   # the frontend answers all others"
    if settings.SESSION_COOKIE_NAME != "sessionid":
        yield f"session_cookie = {_quoted(settings.SESSION_COOKIE_NAME)}"


def _static(folder: Path) -> Iterator[str]:
    """Yield the collected static files, where Django will not serve them itself."""
    root = settings.STATIC_ROOT
    if settings.DEBUG or not root or not _is_local_prefix(settings.STATIC_URL):
        return
    where = Path(root).absolute()
    if where.is_relative_to(folder):
        where = where.relative_to(folder)
    lines = ["[[files]]", f"path = {_quoted(settings.STATIC_URL)}", f"root = {_quoted(str(where))}"]
    if not Path(root).is_dir():
        lines = ["# After `manage.py collectstatic`:", *(f"# {line}" for line in lines)]
    yield "\n".join(lines)


def _auth() -> Iterator[str]:
    usual = {"gatepost:auth": "/_gatepost/auth/", "gatepost:sessions": "/_gatepost/sessions/"}
    keys = {"gatepost:auth": "url", "gatepost:sessions": "batch_url"}
    lines = [
        f"{keys[name]} = {_quoted(path)}"
        for name in usual
        if (path := _path(name)) is not None and path != usual[name]
    ]
    if lines:
        yield "\n".join(["[auth]", *lines])


def _path(name: str) -> str | None:
    try:
        return reverse(name)
    except NoReverseMatch:
        return None


def _segments(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
    for pattern in patterns:
        route = str(pattern.pattern)
        literal = _LITERAL_SEGMENT.match(route.replace("\\", ""))
        if literal:
            yield f"/{literal[1]}/"
        elif isinstance(pattern, URLResolver) and route in ("", "^"):
            yield from _segments(pattern.url_patterns)


def _is_local_prefix(url: str | None) -> bool:
    return bool(url) and str(url).startswith("/") and str(url).endswith("/") and url != "/"


def _quoted(said: str | list[str]) -> str:
    """Return a TOML string or list; JSON's are the same."""
    return json.dumps(said, ensure_ascii=False)
