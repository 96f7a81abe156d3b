"""One process of the demo.

Its output passes through with its name in front, and its last lines are remembered for the case
that it ends by itself.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from queue import SimpleQueue

REMEMBERED_LINES = 20
# The gateway drains first: it finishes requests and closes sockets, within its own drain_timeout of
# 30 s at most.
STOP_TIMEOUT = 35.0
COLOURS = {"django": "32", "vite": "35", "gatepost": "36"}


class Child:
    """Starts the process in a group of its own; when it ends, it puts itself into `events`."""

    def __init__(
        self,
        name: str,
        command: list[str],
        folder: Path,
        environment: dict[str, str],
        events: SimpleQueue,
    ):
        self.name = name
        self.last_lines: deque[str] = deque(maxlen=REMEMBERED_LINES)
        # Set when the demo is up: until then a server's own banner would name a second, wrong URL.
        self.shown = False
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self._pass_on, daemon=True)
        self.reader.start()
        threading.Thread(target=self._report_end, args=(events,), daemon=True).start()

    def running(self) -> bool:
        return self.process.poll() is None

    def stop(self, events: SimpleQueue) -> None:
        """Asks the process to end and waits; a second signal or the time-out ends it by force."""
        signals_before = _drop_ended(events)
        if self.running():
            self.process.terminate()
        for _ in range(int(STOP_TIMEOUT * 10)):
            if signals_before or not self.running():
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=0.1)
            signals_before = _drop_ended(events)
        # What a child started itself is in its group; after a clean end the group is empty already.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if signals_before:
            events.put(signals_before)

    def describe_end(self) -> str:
        self.reader.join(timeout=1)
        code = self.process.returncode
        how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
        return f"{self.name} ended by itself with {how}. {self.describe_output()}"

    def describe_output(self) -> str:
        lines = "\n".join(f"    {line}" for line in self.last_lines) or "    (nothing)"
        return f"The last lines of {self.name}:\n{lines}"

    def _pass_on(self) -> None:
        label = f"{self.name:>8} | "
        if sys.stdout.isatty():
            label = f"\x1b[{COLOURS.get(self.name, '33')}m{label}\x1b[0m"
        for line in self.process.stdout:
            self.last_lines.append(line.rstrip("\n"))
            if not self.shown:
                continue
            # The reader of our own output may be gone; the child must still not block on a full
            # pipe.
            with contextlib.suppress(BrokenPipeError):
                sys.stdout.write(label + line)
                sys.stdout.flush()

    def _report_end(self, events: SimpleQueue) -> None:
        self.process.wait()
        events.put(self)


def _drop_ended(events: SimpleQueue) -> "int | None":
    """Takes all events; returns the last signal among them."""
    number = None
    while not events.empty():
        what = events.get()
        if isinstance(what, int):
            number = what
    return number
