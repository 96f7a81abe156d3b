"""The gateway's configuration file, as far as Django cares: where it is, and its socket routes.

The checks and ``rungateway`` use it; ``gateway_config`` writes the file. The surprise: Python 3.10
cannot read TOML, and then nothing is known of the file but its place.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings

#: The file's name.
NAME = "gateway.toml"

#: The socket route of the documentation.
SOCKET = "/ws/notifications/"


def base() -> Path:
    """Return the project's folder."""
    return Path(getattr(settings, "BASE_DIR", None) or Path.cwd()).absolute()


def find() -> Path | None:
    """Return the file in the project's folder or, failing that, in the nearest one above it."""
    for folder in (base(), *base().parents):
        if (folder / NAME).is_file():
            return folder / NAME
    return None


def sockets() -> list[str]:
    """Return the paths of the socket routes; none where they are not known."""
    path = find()
    routes = _read(path).get("sockets") if path else None
    if not isinstance(routes, list):
        return []
    paths = [route.get("path") for route in routes if isinstance(route, dict)]
    return [path for path in paths if isinstance(path, str)]


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
