"""Drafts a gateway.toml from Django's settings.

``gateway_config`` prints or writes it, ``rungateway`` writes it where there is none. Only what
differs from the gateway's defaults is written, so that the file shows what is special about the
project; and never a secret.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from gatepost import conf
from gatepost.program import (
    asgi_routes,
    gateway_toml,
    security_headers,
    socket_views,
    static_files,
)
from gatepost.program.frontend import Frontend
from gatepost.program.gateway_toml import quoted
from gatepost.program.hosts import host_alone
from gatepost.program.static_files import is_local_prefix
from gatepost.sending import client

_DEFAULT_URL = "http://127.0.0.1:9400"
#: Where the gateway redirects to https by default, and Vue CLI and webpack serve.
_REDIRECT_PORT = 8080
_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")

#: How far a route's first segment is literal: ``shop/<int:pk>/`` or ``^shop/(?P<pk>…)``.
_LITERAL_SEGMENT = re.compile(r"\^?([A-Za-z0-9_.~-]+)/")


def gateway_config(folder: Path, frontend: Frontend | None) -> str:
    """Return the text of a gateway.toml that is to lie in a folder."""
    if frontend is not None and not frontend.has_path:
        frontend = None
    module = os.environ.get("DJANGO_SETTINGS_MODULE", "the settings")
    parts = [
        f"# Written by `manage.py gateway_config` from {module}. `gatepost check` says what answers"
        "\n# which path.",
        "\n".join(_server(frontend)),
        "\n".join(_django(frontend)),
        *_frontend(folder, frontend),
        *_static(folder, frontend),
    ]
    parts += _headers()
    parts += _sockets()
    parts += _auth()
    if conf.value("OUTBOX") and (outbox := _path("gatepost:outbox")):
        parts.append(f"[outbox]\nurl = {quoted(outbox)}")
    return "\n\n".join(parts) + "\n"


def paths(frontend: Frontend | None) -> list[str]:
    """Return the first segments of Django's URLs, for where a frontend answers all the rest."""
    found = dict.fromkeys(_segments(get_resolver().url_patterns))
    if settings.DEBUG:
        # Where it is off, Django does not serve them.
        found |= dict.fromkeys(static_files.paths_of_finders(frontend))
        if is_local_prefix(settings.MEDIA_URL):
            found[str(settings.MEDIA_URL)] = None
    # The gateway keeps this one for itself.
    return sorted(path for path in found if not path.startswith("/_gatepost/"))


def _server(frontend: Frontend | None) -> Iterator[str]:
    yield "[server]"
    hosts, wildcards = _hosts()
    if wildcards:
        yield f"# ALLOWED_HOSTS has {', '.join(wildcards)}: list every name that people type."
    yield f"hosts = {quoted(hosts)}"
    if not settings.DEBUG and (hsts := security_headers.hsts()):
        # The gateway refuses it for localhost.
        yield f"{'# ' if 'localhost' in hosts else ''}hsts = {quoted(hsts)}"
    if settings.DEBUG and frontend is not None and frontend.port == _REDIRECT_PORT:
        yield f'http = "{_REDIRECT_PORT + 1}"   # the dev server has {_REDIRECT_PORT}'
    if not settings.DEBUG:
        yield '# https = "0.0.0.0:443"  http = "0.0.0.0:80"   # ports below 1024 need a right'
    internal = internal_address(client.urls()[0])
    if internal is None:
        yield "# internal: the address of this machine that GATEPOST['URL'] of Django names"
    elif client.urls()[0] != _DEFAULT_URL:
        yield f"internal = {quoted(internal)}"


def _hosts() -> tuple[list[str], list[str]]:
    """Return the names of the origin, and the wildcards of which the gateway knows no form."""
    names, stars, wildcards = ["localhost"] if settings.DEBUG else [], [], []
    for entry in map(str, settings.ALLOWED_HOSTS):
        host = host_alone(entry).lower()
        name = host.removeprefix(".")
        if _HOST_NAME.fullmatch(name):
            names.append(name)
        if host.startswith(".") and name in names and _has_subdomains(name):
            stars.append(f"*.{name}")
        elif host == "*" or host.startswith("."):
            wildcards.append(entry)
    # The first is the canonical one: localhost only while developing.
    if not settings.DEBUG:
        names.sort(key=lambda name: name == "localhost" or not name.strip("[]0123456789.:"))
    return [*dict.fromkeys(names or ["localhost"]), *dict.fromkeys(stars)], wildcards


def _has_subdomains(name: str) -> bool:
    """Whether there may be a star in front of a name: browsers take none before a single label."""
    return "." in name and bool(name.strip("0123456789."))


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
    if frontend is not None and frontend.has_pages:
        yield f"paths = {quoted(paths(frontend))}   # the frontend answers all others"
    elif frontend is not None and settings.DEBUG:
        own = static_files.paths_of_finders(frontend)
        yield f"paths = {quoted(own)}   # what is Django's below {frontend.base}"


def _frontend(folder: Path, frontend: Frontend | None) -> Iterator[str]:
    """Yield what answers all other paths: while developing a dev server, else what is built."""
    if frontend is None:
        return
    server = f'upstream = "http://127.0.0.1:{frontend.port}"'
    if not frontend.has_pages:
        # What it builds is collected with Django's own static files.
        if settings.DEBUG:
            yield f"[[upstreams]]   # the dev server\npath = {quoted(frontend.base)}\n{server}"
        return
    build = frontend.build()
    if settings.DEBUG or build is None:
        yield f"[frontend]\n{server}"
    elif frontend.needs_server():
        yield f"[frontend]   # its own server; or `root`, where it is built to files\n{server}"
    else:
        lines = ["[frontend]", f"root = {quoted(_beside(folder, build))}"]
        yield _once_there(build, "the frontend is built", lines)


def _static(folder: Path, frontend: Frontend | None) -> Iterator[str]:
    """Yield static and uploaded files, where Django will not serve them itself."""
    if settings.DEBUG:
        return
    if settings.MEDIA_ROOT and is_local_prefix(settings.MEDIA_URL):
        media = Path(settings.MEDIA_ROOT).absolute()
        lines = _files(settings.MEDIA_URL, _beside(folder, media))
        yield _once_there(media, "the first upload", lines)
    if not is_local_prefix(settings.STATIC_URL):
        return
    if settings.STATIC_ROOT:
        root = Path(settings.STATIC_ROOT).absolute()
        lines = _files(settings.STATIC_URL, _beside(folder, root))
        yield _once_there(root, "`manage.py collectstatic`", lines)
    elif frontend is None or frontend.base == "/":
        return
    if frontend is not None and frontend.has_pages:
        for path, where in static_files.folders_of_build(frontend).items():
            lines = _files(path, _beside(folder, where))
            yield _once_there(where, "the frontend is built", lines)


def _headers() -> Iterator[str]:
    """Yield the security headers of what the gateway answers itself."""
    if not settings.DEBUG and (headers := security_headers.expected()):
        lines = [f"{quoted(name)} = {quoted(value)}" for name, value in headers.items()]
        yield "\n".join(
            ["[headers]   # of files, errors and redirects, as the settings say", *lines]
        )


def _files(path: str, root: str) -> list[str]:
    return ["[[files]]", f"path = {quoted(path)}", f"root = {quoted(root)}"]


def _beside(folder: Path, path: Path) -> str:
    """Return a path as it is written in a file that lies in a folder."""
    return str(path.relative_to(folder) if path.is_relative_to(folder) else path)


def _once_there(path: Path, what: str, lines: list[str]) -> str:
    """Return lines, as a comment where the gateway would refuse a folder that is not there."""
    if not path.is_dir():
        lines = [f"# After {what}:", *(f"# {line}" for line in lines)]
    return "\n".join(lines)


def _sockets() -> Iterator[str]:
    """Yield the gateway's own socket route, and those that consumers answer at."""
    routes = asgi_routes.prefixes()
    if asgi_routes.is_pushed_by_gatepost():
        routes = [route for route in routes if route != gateway_toml.SOCKET]
    if gateway_toml.SOCKET in routes:
        note = f"a consumer answers at {gateway_toml.SOCKET}"
        yield f'[[sockets]]\npath = "/ws/gatepost/"   # {note}'
    else:
        yield f"[[sockets]]\npath = {quoted(gateway_toml.SOCKET)}"
    yield from _views()
    if not routes:
        return
    port, server = 8000, "the ASGI server's, as all of Django's"
    if asgi_routes.is_served_by_runserver():
        server = "runserver's, which answers WebSockets too"
    elif settings.DEBUG:
        port = asgi_routes.OWN_PORT
        server = f"daphne --port {port} {':'.join(settings.ASGI_APPLICATION.rsplit('.', 1))}"
    pages = set(_segments(get_resolver().url_patterns))
    for route in routes:
        lines = [
            "[[upstreams]]   # consumers of Channels",
            f"path = {quoted(route)}",
            f'upstream = "http://127.0.0.1:{port}"   # {server}',
        ]
        if f"/{route.split('/')[1]}/" in pages:
            why = (
                f"# Pages of Django's are below {route} too: give the sockets a path of their own."
            )
            lines = [why, *(f"# {line}" for line in lines)]
        yield "\n".join(lines)


def _views() -> Iterator[str]:
    """Yield the routes whose views say who may listen."""
    for view in socket_views.find():
        if view.path is None:
            yield f"# A view of @gatepost.socket at {view.pattern!r}: no route can be that"
            continue
        lines = [f"[[sockets]]\npath = {quoted(view.path)}", "view = true   # who may listen"]
        yield "\n".join([*lines, "anonymous = true"] if view.anonymous else lines)


def _auth() -> Iterator[str]:
    usual = {"gatepost:auth": "/_gatepost/auth/", "gatepost:sessions": "/_gatepost/sessions/"}
    keys = {"gatepost:auth": "url", "gatepost:sessions": "batch_url"}
    lines = [
        f"{keys[name]} = {quoted(path)}"
        for name in usual
        if (path := _path(name)) is not None and path != usual[name]
    ]
    if lines:
        yield "\n".join(["[auth]", *lines])


def _path(name: str) -> str | None:
    try:
        return reverse(name)
    except (NoReverseMatch, ValueError):  # The latter where no pattern can be reversed.
        return None


def _segments(patterns: list[URLPattern | URLResolver]) -> Iterator[str]:
    for pattern in patterns:
        route = str(pattern.pattern)
        literal = _LITERAL_SEGMENT.match(route.replace("\\", ""))
        if literal:
            yield f"/{literal[1]}/"
        elif isinstance(pattern, URLResolver) and route in ("", "^"):
            yield from _segments(pattern.url_patterns)
