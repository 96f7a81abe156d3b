"""A site with a transactional outbox: a database, Django's writers and server, two gateways."""

import json
import os
import secrets
import signal
import ssl
import sys

from .listener import Listener
from .process import Process
from .resumer import Resumer
from .site import ROOT, gateway_binary, ready_addresses
from .wait import free_port, wait_until

SOCKET = "/ws/notifications/"
PROJECT = ROOT / "e2e" / "project"


class Gateway:
    """One gateway: its own folder, so its own cursor, and a real binary that can be killed."""

    def __init__(self, folder, django_port, secret):
        self.folder = folder
        self.internal = f"unix:{folder / 'i.sock'}"
        self._secret = secret
        folder.mkdir()
        (folder / "gateway.toml").write_text(f"""
[server]
https = "127.0.0.1:0"
http = ""
internal = "{self.internal}"
hosts = ["localhost"]
lan = false

[django]
upstream = "http://127.0.0.1:{django_port}"

[[sockets]]
path = "{SOCKET}"

[auth]
timeout = "10s"

[outbox]
url = "/_gatepost/outbox/"

[delivery]
outbox_frames = 100000
outbox_size = "64MiB"
history = 10000
""")

    def start(self):
        """Starts it; it has other ports each time."""
        config = self.folder / "gateway.toml"
        command = [gateway_binary(), "run", "--config", config, "--log-format", "json"]
        self.process = Process("gatepost", command, self.folder, {"GATEPOST_SECRET": self._secret})
        ready = self.process.wait_for_line(ready_addresses, "the line that says it is ready")
        self._port = ready["https"]
        return self

    def kill(self):
        """kill -9, in whatever it does."""
        self.process.signal(signal.SIGKILL)
        self.process.wait()

    def listen(self, session):
        """A socket of this session."""
        return Listener(self._port, SOCKET, self._tls(), session)

    def resume(self, session):
        """A client of this session that comes back whatever happens."""
        return Resumer(lambda: f"wss://localhost:{self._port}{SOCKET}", self._tls(), session)

    def _tls(self):
        return ssl.create_default_context(cafile=str(self.folder / "certs" / "ca.pem"))

    def cursor(self):
        """The number of the last item that it has taken, as it would find it at its next start."""
        text = (self.folder / ".gatepost" / "outbox").read_text()
        return int(text.split("seq=")[1].split()[0])

    def has_begun(self):
        """Whether it has pulled."""
        return (self.folder / ".gatepost" / "outbox").exists() and bool(
            (self.folder / ".gatepost" / "outbox").read_text()
        )


class Ledger:
    """Everything from `start()` to `stop()`."""

    def __init__(self, database):
        self.database = database
        self.folder = database.folder
        self._secret = secrets.token_hex(32)
        self._port = free_port()
        self.gateways = [
            Gateway(self.folder / name, self._port, self._secret) for name in ("a", "b")
        ]
        self._processes = []

    def start(self):
        """Starts Django before the gateways, and waits until these have pulled once."""
        self.manage("migrate", "--run-syncdb", "--verbosity=0")
        said = self.manage("session").split()
        self.user, self.session = said[1], said[2]
        self.start_django()
        for gateway in self.gateways:
            gateway.start()
            wait_until(gateway.has_begun, "the gateway has pulled")
        return self

    def start_django(self):
        """gunicorn, as in production."""
        command = [sys.executable, "-m", "gunicorn", "ledger.wsgi"]
        command += ["--bind", f"127.0.0.1:{self._port}", "--workers", "2"]
        command += ["--worker-class", "gthread", "--threads", "4"]
        self.django = Process("gunicorn", command, PROJECT, self._environment())
        self.django.wait_for_line(lambda line: "Listening at" in line, "gunicorn listens")

    def write(self, writer, transactions):
        """A process that writes so many transactions."""
        command = [sys.executable, "-m", "django", "write", writer, transactions, self.user]
        process = Process(f"writer {writer}", command, PROJECT, self._environment())
        self._processes.append(process)
        return process

    def count(self):
        """What is in the database."""
        said = json.loads(self.manage("count").split(" ", 1)[1])
        for name in ("entries", "frames"):
            said[name] = [tuple(pair) for pair in said[name]]
        return said

    def manage(self, *command):
        """Runs a management command; returns the last line it prints."""
        process = Process(
            "django", [sys.executable, "-m", "django", *command], PROJECT, self._environment()
        )
        assert process.wait(patience=60) == 0, process.output()
        return process.lines[-1] if process.lines else ""

    def stop(self):
        """Ends everything."""
        gateways = [gateway.process for gateway in self.gateways if hasattr(gateway, "process")]
        django = [self.django] if hasattr(self, "django") else []
        for process in [*self._processes, *gateways, *django]:
            process.stop()
        self.database.stop()

    def _environment(self):
        told = {
            "database": self.database.settings,
            "gateways": [gateway.internal for gateway in self.gateways],
        }
        return {
            "PYTHONPATH": os.pathsep.join([str(PROJECT), str(ROOT / "python")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DJANGO_SETTINGS_MODULE": "ledger.settings",
            "GATEPOST_SECRET": self._secret,
            "LEDGER": json.dumps(told),
        }
