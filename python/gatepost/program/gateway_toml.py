"""The gateway's configuration file, as far as Django cares: where it is and what it amounts to.

The checks, ``rungateway`` and ``gateway_check`` use it; ``gateway_config`` writes the file. Python
3.10 cannot read TOML, so what is read here serves hints alone; all else asks the gateway's binary.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from gatepost import running
from gatepost.state import base

#: The file's name.
NAME = "gateway.toml"

#: The socket route of the documentation.
SOCKET = "/ws/notifications/"

#: For how many seconds the gateway keeps what it has sent, where nothing else is said.
HISTORY_AGE = 300.0

_DURATION = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}

_ROW = re.compile(r"^  (\S+) +(.*)$", re.MULTILINE)


def find() -> Path | None:
    """Return the file in the project's folder or, failing that, in the nearest one above it."""
    for folder in (base(), *base().parents):
        if (folder / NAME).is_file():
            return folder / NAME
    return None


def place() -> Path:
    """Return where a new one is written: beside manage.py where that is above BASE_DIR, or there.

    ``find`` would find it in either, ``gatepost`` where people start it.
    """
    program = Path(sys.argv[0]).absolute()
    beside = program.name == "manage.py" and program.parent in base().parents
    return (program.parent if beside else base()) / NAME


def in_force() -> Path | None:
    """Return the file that ``rungateway`` was started with, while it runs, or the project's."""
    run = running.find()
    return run.config if run else find()


def sockets() -> list[str]:
    """Return the paths of the socket routes; none where they are not known."""
    return [route["path"] for route in socket_routes()]


def socket_routes() -> list[dict[str, Any]]:
    """Return the socket routes as they are written; none where they are not known."""
    path = in_force()
    routes = _read(path).get("sockets") if path else None
    if not isinstance(routes, list):
        return []
    tables = [route for route in routes if isinstance(route, dict)]
    return [route for route in tables if isinstance(route.get("path"), str)]


class RefusedError(Exception):
    """The gateway cannot run with its configuration; the text is what it says."""


def effective(program: Path, config: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return what ``gatepost check`` says a file, its defaults and the variables amount to.

    That is by name (``https``), and by path for what answers it. Raises :class:`RefusedError`.
    """
    ran = subprocess.run(  # noqa: S603 - the gateway's own binary
        [program, "check", "--config", config],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise RefusedError(ran.stderr.strip())
    return dict(_ROW.findall(ran.stdout))


def session_cookie() -> str | None:
    """Return the session cookie that the file names; None where it names none."""
    path = in_force()
    django = _read(path).get("django") if path else None
    named = django.get("session_cookie") if isinstance(django, dict) else None
    return named if isinstance(named, str) else None


def orders_what_django_allows() -> bool:
    """Return whether the file has certificates ordered for any name that Django allows."""
    path = in_force()
    tls = _read(path).get("tls") if path else None
    acme = tls.get("acme") if isinstance(tls, dict) else None
    return isinstance(acme, dict) and acme.get("names") == "django"


def security() -> tuple[dict[str, Any], str] | None:
    """Return ``[headers]`` and ``server.hsts``; None where they are not known."""
    path = in_force()
    file = _read(path) if path else {}
    headers, server = file.get("headers", {}), file.get("server", {})
    if not file or not isinstance(headers, dict) or not isinstance(server, dict):
        return None
    return headers, str(server.get("hsts", ""))


def quoted(said: str | list[str]) -> str:
    """Return a TOML string or list; JSON's are the same."""
    return json.dumps(said, ensure_ascii=False)


def history_age() -> float:
    """Return for how many seconds the gateway keeps what it has sent."""
    path = in_force()
    delivery = _read(path).get("delivery") if path else None
    said = delivery.get("history_age") if isinstance(delivery, dict) else None
    found = _DURATION.fullmatch(said) if isinstance(said, str) else None
    return int(found[1]) * _SECONDS[found[2]] if found else HISTORY_AGE


def _read(path: Path) -> dict[str, Any]:
    try:
        tomllib = import_module("tomllib")
    except ImportError:
        return {}
    try:
        read: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # The gateway says what is wrong with it, and where.
    return read
