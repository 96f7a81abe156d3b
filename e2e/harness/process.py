"""One program under test: its output is kept, and it is stopped by its own pid."""

import contextlib
import os
import signal
import subprocess
import threading

from .wait import PATIENCE, wait_until


class Process:
    """Runs a command in a process group of its own."""

    def __init__(self, name, command, folder, environment, *, exactly=None):
        """Adds `environment` to the variables of this process, or has `exactly` those."""
        self.name = name
        self.lines = []
        self._popen = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env=os.environ | environment if exactly is None else exactly,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._popen.stdout:
            self.lines.append(line.rstrip("\n"))

    def output(self):
        """Everything it has printed."""
        return "\n".join(self.lines)

    def wait_for_line(self, matches, what, patience=PATIENCE):
        """What `matches` makes of the first line for which it answers something true."""

        def look():
            for line in list(self.lines):
                if answer := matches(line):
                    return answer
            if self._popen.poll() is not None:
                raise AssertionError(
                    f"{self.name} ended with {self._popen.returncode}:\n{self.output()}"
                )
            return None

        try:
            return wait_until(look, f"{self.name}: {what}", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output()}") from None

    def signal(self, number):
        """Sends a signal to the program alone."""
        self._popen.send_signal(number)

    def signal_group(self, number):
        """Sends a signal to its whole group, as a terminal does at Ctrl-C."""
        os.killpg(self.pid, number)

    def running(self):
        """Whether it has not ended yet."""
        return self._popen.poll() is None

    def wait(self, patience=PATIENCE):
        """The exit code."""
        try:
            code = self._popen.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.name} still runs after {patience:.0f} s:\n{self.output()}"
            ) from None
        self._reader.join(timeout=patience)
        return code

    def stop(self):
        """Ends it if it still runs, and whatever is left of its group."""
        if self._popen.poll() is None:
            self._popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                # Longer than the gateway gives what is under way (30 s), and then its server.
                self._popen.wait(timeout=60)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        self._reader.join(timeout=10)
