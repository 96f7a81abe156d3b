"""A gateway that runs Django's server itself: `gatepost run -- …`."""

import os
import sys
from pathlib import Path

from .process import Process
from .site import Site, gateway_binary, ready_addresses
from .wait import wait_until

ASGI = "probes.asgi:application"
GUNICORN = ("gunicorn", "demosite.wsgi", "--workers", "2", "--threads", "4")
GRANIAN = ("granian", "--interface", "wsgi", "--workers", "2", "demosite.wsgi:application")
SERVERS = {
    "gunicorn": GUNICORN,
    "uvicorn": ("uvicorn", ASGI),
    "uvicorn with workers": ("uvicorn", "--workers", "2", ASGI),
    "granian": GRANIAN,
    "hypercorn": ("hypercorn", ASGI),
}


class OneProcess(Site):
    """Gateway and Django from one command."""

    def __init__(self, folder, playwright, server=GUNICORN):
        super().__init__(folder, playwright, unix=True)
        self.server = server

    def start(self):
        """Makes the database first, since Django begins with the gateway."""
        self.run(self.prepare)
        ready = self.gateway.wait_for_line(ready_addresses, "the line that says it is ready")
        self.https_port, self.http_port = ready["https"], ready["http"]
        return self

    def run(self, prepare=lambda: None):
        """Starts the command, which may end by itself."""
        (self.folder / "static").mkdir()
        prepare()
        config = self.folder / "gateway.toml"
        config.write_text(self._config(f'root = "{self.folder}"'))
        command = [*self.starter, gateway_binary(), "run", "--config", config]
        command += ["--log-format", "json", "--", *self.server]
        environment = self._django_environment()
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.gateway = Process("gatepost", command, self.backend, environment)

    def stop(self):
        """Ends it, and sees that Django's server has ended with it."""
        started = children(self.gateway.pid) if self.gateway else {}
        super().stop()
        assert not [pid for pid in started if is_running(pid)], self.gateway.output()

    def is_up(self):
        """Waits until Django's server accepts connections, with all its workers."""
        said = "Django's server is up"
        self.gateway.wait_for_line(lambda line: said in line, "Django's server is up")
        if self.server == GRANIAN:
            # It never tells a worker to end that was about to start when the signal came.
            wait_until(lambda: self._count("Started worker") == 2, "both workers have started")

    def _count(self, said):
        return sum(said in line for line in self.gateway.lines)

    def _config(self, frontend):
        (self.folder / "index.html").write_text("a frontend\n")
        lines = super()._config(frontend).splitlines()
        return "\n".join(line for line in lines if not line.startswith("upstream = "))


def children(pid):
    """The processes that a process has started, or that were left to it, as pid and state."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # It has just ended.
        if int(parent) == pid:
            found[int(stat.parent.name)] = state
    return found


def is_running(pid):
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def only_child(pid):
    """The one process that another has started."""
    return wait_until(lambda: len(children(pid)) == 1 and next(iter(children(pid))), "a child")
