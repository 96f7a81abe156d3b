"""Django's ``runserver`` with its reloader, and what is answered while Django does not start.

``rungateway`` becomes this. Where the project's code is broken, the reloader lives and nothing
listens, so every page would hang until the gateway gives up. ``standin`` then answers at Django's
port, and leaves it before Django is tried again.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.utils import autoreload

from gatepost.devserver.standin import StandIn
from gatepost.devserver.terminal import Terminal

#: What Python writes when the thread of Django's server ends by an exception.
_BROKEN = b"Exception in thread django-main-thread"

#: How the reloader's child asks to be started again.
_AGAIN = 3

#: How much of what it wrote is looked at, in bytes.
_REMEMBERED = 16 * 1024

#: How often files are looked at while there is no child that does, in seconds.
_TICK = 0.5


class Runserver:
    """One run of it, through reloads and mistakes."""

    def __init__(self, address: str, arguments: list[str], terminal: Terminal) -> None:
        self._address = address
        self._arguments = arguments
        self._terminal = terminal
        self._stand_in = StandIn(address)
        self._written = b""
        self._has_child = False

    def run(self, *, reload: bool) -> Any:
        """Be it until the end; return its exit code."""
        # The reloader starts again what this process was started as, and only where that is
        # runserver does Django survive a mistake in the project's code.
        sys.argv = [sys.argv[0], "runserver", self._address, *self._arguments]
        # Django's own loop does the same, but leaves no moment to free the port in between.
        autoreload.restart_with_reloader = self._restart
        try:
            with self._terminal.caught("django", self._hear):
                call_command("runserver", self._address, use_reloader=reload)
        except SystemExit as ended:
            return ended.code
        finally:
            self._stand_in.leave()
        return 0

    def _restart(self) -> int:
        """Run the reloader's child, again after each change of a file."""
        command = autoreload.get_child_arguments()
        environment = {**os.environ, autoreload.DJANGO_AUTORELOAD_ENV: "true"}
        has_worked = False
        while True:
            # What it reads: a change from now on is one that it may not have seen.
            files = _files()
            self._written, self._has_child = b"", True
            code = subprocess.run(  # noqa: S603 - as Django's reloader does
                command, env=environment, close_fds=False, check=False
            ).returncode
            self._has_child = False
            # It watches the files itself, unless the mistake is in the settings.
            if code != _AGAIN and not (code > 0 and has_worked and self._wait_for_change(files)):
                return code
            has_worked = True
            self._stand_in.leave()

    def _wait_for_change(self, files: dict[Path, float]) -> bool:
        """Stand in until the files are others; return False where the port is not to be had."""
        if not self._stand_in.take(self._written):
            return False
        self._terminal.say("Django has ended. It is started again when a file changes.")
        while _files() == files:
            time.sleep(_TICK)
        return True

    def _hear(self, chunk: bytes) -> None:
        self._written = (self._written + chunk)[-_REMEMBERED:]
        if self._has_child and _BROKEN in self._written:
            self._stand_in.take(self._written)


def _files() -> dict[Path, float]:
    """Return when each file that Django watches was changed."""
    return dict(autoreload.StatReloader().snapshot_files())
