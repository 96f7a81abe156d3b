"""One process beside Django: the gateway, or the frontend's dev server.

Each is the leader of a session of its own. So Ctrl-C reaches Django and us alone, the others are
stopped in order, and with them whatever they started (npm starts node).
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

from gatepost.devserver.terminal import Terminal

_REMEMBERED_LINES = 20

#: How long a process may take to end when asked to, in seconds.
_PATIENCE = 10.0


class Companion:
    """A running process whose output goes to the terminal."""

    def __init__(self, name: str, command: list[str], terminal: Terminal) -> None:
        self.name = name
        self._command = command
        self._terminal = terminal
        self._last_lines: deque[bytes] = deque(maxlen=_REMEMBERED_LINES)
        self._stopped = False
        self._process: subprocess.Popen[bytes] | None = None
        #: Called with every line.
        self.on_line: Callable[[bytes], None] = lambda line: None

    def start(
        self, folder: Path, environment: dict[str, str], on_end: Callable[[str], None]
    ) -> None:
        """Start it. ``on_end`` is told how, where it ends by itself."""
        self._process = subprocess.Popen(  # noqa: S603 - the gateway, or what the project names
            self._command,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._attend, args=(on_end,), daemon=True).start()

    def stop(self) -> None:
        """Ask it to end, wait, and end by force what is left of it."""
        self._stopped = True
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                process.wait(timeout=_PATIENCE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _attend(self, on_end: Callable[[str], None]) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        for line in process.stdout:
            self._last_lines.append(line)
            self._terminal.write(self.name, line)
            self.on_line(line)
        code = process.wait()
        if not self._stopped:
            on_end(self._describe_end(code))

    def _describe_end(self, code: int) -> str:
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        said = b"".join(self._last_lines).decode(errors="replace").rstrip() or "(nothing)"
        lines = "\n".join(f"    {line}" for line in said.splitlines())
        return f"{self.name} ended by itself with {how}. Its last lines:\n{lines}"
