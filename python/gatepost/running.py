"""The gateway that ``rungateway`` runs, as every other process of the project finds it.

``conf`` takes its address where the project names none, ``gateway_check`` all of it. The file is
locked for as long as ``rungateway`` lives, so what one left that was killed is noticed, and no
process id has to be guessed at.
"""

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from gatepost import state

try:
    import fcntl
except ImportError:  # pragma: no cover - no rungateway there
    fcntl = None  # type: ignore[assignment]

#: The file's name.
NAME = "rungateway.json"


@dataclass(frozen=True)
class Running:
    """Where everything is."""

    #: The one URL.
    url: str
    #: The internal listener, as ``GATEPOST["URL"]`` names one.
    internal: str
    #: The gateway's configuration file.
    config: Path
    #: The local certificate authority, where the certificate is of one.
    ca: Path | None
    #: The variables that beat the file in this run; never the secret.
    environment: dict[str, str]


def find() -> Running | None:
    """Return the gateway that runs now; None where there is none, and where DEBUG is off."""
    if not settings.DEBUG:
        return None
    unreadable = contextlib.suppress(OSError, ValueError, LookupError, TypeError, AttributeError)
    for path in state.files(NAME):
        with unreadable, path.open(encoding="utf-8") as file:
            if _is_locked(file.fileno()):
                return _read(json.load(file))
    return None


def left_behind() -> Path | None:
    """Return the file of a ``rungateway`` that was killed, where none runs."""
    return next(state.files(NAME), None) if settings.DEBUG and find() is None else None


class RunFile:
    """The file that other processes read; stale once the process that wrote it has ended."""

    def __init__(self, folder: Path, running: Running) -> None:
        self._path = state.make(folder) / NAME
        said = {
            "url": running.url,
            "internal": running.internal,
            "config": str(running.config),
            "ca": str(running.ca) if running.ca else None,
            "environment": running.environment,
        }
        text = json.dumps(said, indent=1) + "\n"
        self._descriptor = state.write(self._path, text, prepare=_lock)

    def withdraw(self) -> None:
        """Remove it, unless another ``rungateway`` has written its own since."""
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(self._descriptor), self._path.stat()):
                self._path.unlink()
        os.close(self._descriptor)


def _lock(descriptor: int) -> None:
    if fcntl is not None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_locked(descriptor: int) -> bool:
    if fcntl is None:
        return False
    try:
        # Shared: two that look at the same time must not take each other for the owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _read(said: dict[str, Any]) -> Running:
    return Running(
        url=str(said["url"]),
        internal=str(said["internal"]),
        config=Path(said["config"]),
        ca=Path(said["ca"]) if said["ca"] else None,
        environment={str(name): str(value) for name, value in said["environment"].items()},
    )
