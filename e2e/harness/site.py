"""A whole site: the gateway's binary, a real Django behind gunicorn, Vite and a browser."""

import json
import os
import re
import secrets
import shutil
import ssl
import sys
from pathlib import Path

from .browser import Browser
from .process import Process
from .wait import free_port

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "demo"
BACKEND = DEMO / "backend"
WWW = DEMO / "frontend" / "www"
VITE = DEMO / "frontend" / "node_modules" / "vite" / "bin" / "vite.js"
PYTHONPATH = [BACKEND, ROOT / "python", ROOT / "e2e" / "project"]
SOCKET = "/ws/notifications/"


def gateway_binary():
    """The binary that `cargo build` made; GATEPOST_BIN names another."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    binary = Path(os.environ.get("GATEPOST_BIN", target / "debug" / "gatepost"))
    assert binary.exists(), f"{binary} is missing: run `cargo build --locked`, or `make e2e`"
    return binary


class Site:
    """Gateway and Django from `start()` to `stop()`; everything lives under `folder`."""

    backend = BACKEND
    wsgi = "demosite.wsgi"
    # Whose database and files these are, and what `make()` leaves in the site's folder.
    project = "demo"
    made = ("db.sqlite3", "static")
    workers = ("--workers", "2", "--worker-class", "gthread", "--threads", "4")
    # What the gateway is started by, and what else its gateway.toml says.
    starter = ()
    settings = ""

    def __init__(self, folder, playwright, *, vite=False, hold="20s", unix=False, auth=""):
        self.folder = folder
        self.secret = secrets.token_hex(32)
        self.django_port = free_port()
        self._django_bind = f"unix:{folder / 'd.sock'}" if unix else f"127.0.0.1:{self.django_port}"
        self._internal = f"unix:{folder / 'i.sock'}" if unix else "127.0.0.1:0"
        self.django = None
        self.vite = None
        self.gateway = None
        self._playwright = playwright
        self._browser = None
        self._with_vite = vite
        self._hold = hold
        self._auth = auth

    # Life

    def start(self):
        """Starts the gateway first, since Django has to know its internal address."""
        frontend = f'root = "{WWW}"'
        if self._with_vite:
            frontend = f'upstream = "http://127.0.0.1:{self.start_vite()}"'
        (self.folder / "static").mkdir()
        (self.folder / "gateway.toml").write_text(self._config(frontend))
        self._start_gateway()
        self.prepare()
        self.start_django()
        return self

    def restart_gateway(self):
        """Ends the gateway and starts another one at the same addresses."""
        self.gateway.stop()
        config = self.folder / "gateway.toml"
        text = config.read_text()
        text = re.sub('https = ".*"', f'https = "127.0.0.1:{self.https_port}"', text)
        text = re.sub('internal = ".*"', f'internal = "{self._internal.split("//")[-1]}"', text)
        config.write_text(text)
        self._start_gateway()

    def _start_gateway(self):
        config = self.folder / "gateway.toml"
        command = [*self.starter, gateway_binary(), "run", "--config", config]
        command += ["--log-format", "json"]
        self.gateway = Process("gatepost", command, self.folder, {"GATEPOST_SECRET": self.secret})
        ready = self.gateway.wait_for_line(ready_addresses, "the line that says it is ready")
        self.https_port, self.http_port = ready.get("https"), ready.get("http")
        if "internal" in ready:
            self._internal = f"http://127.0.0.1:{ready['internal']}"

    def prepare(self):
        """Makes the database and the files that Django needs, or copies those of a site before."""
        made = self.folder.parent / f"made-by-{self.project}"
        if not made.exists():
            self.make()
            _copy(self.made, self.folder, made)
        else:
            _copy(self.made, made, self.folder)

    def make(self):
        """Makes them by Django's own commands, which takes seconds."""
        self.manage("migrate", "--verbosity=0")
        self.manage("demo_users")
        self.manage("collectstatic", "--no-input", "--verbosity=0")

    def start_django(self, **environment):
        """Starts gunicorn at the address the gateway knows, and waits until it answers there."""
        command = [sys.executable, "-m", "gunicorn", self.wsgi, "--bind", self._django_bind]
        command += self.workers
        command += ["--access-logfile", "-", "--access-logformat", "asked %(m)s %(U)s %(s)s"]
        environment = self._django_environment() | environment
        self.django = Process("gunicorn", command, self.backend, environment)
        self.django.wait_for_line(lambda line: "Listening at" in line, "gunicorn listens")

    def start_vite(self):
        """Serves a copy of the demo's frontend, which a test may edit."""
        self.www = self.folder / "www"
        shutil.copytree(WWW, self.www)
        port = free_port()
        command = ["node", VITE, self.www, "--host", "127.0.0.1", "--port", port, "--strictPort"]
        self.vite = Process("vite", command, self.folder, {"NO_COLOR": "1"})
        self.vite.wait_for_line(lambda line: f":{port}" in line, "Vite listens")
        return port

    def stop(self):
        """Ends everything; the browser first, so that its sockets do not come back."""
        if self._browser:
            self._browser.close()
        for process in (self.gateway, self.django, self.vite):
            if process:
                process.stop()

    # What tests use

    @property
    def origin(self):
        """What the browser's address bar shows."""
        return f"https://localhost:{self.https_port}"

    @property
    def ca_file(self):
        """The local CA's certificate, which the gateway made at its first start."""
        return self.folder / "certs" / "ca.pem"

    @property
    def browser(self):
        """Chromium, trusting this site's CA as a user's would: by its certificate store."""
        if self._browser is None:
            self._browser = Browser(self._playwright, self.folder / "home", self.ca_file)
        return self._browser

    def tls(self):
        """A TLS context that believes in this site's CA and in nothing else."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def manage(self, *command):
        """Runs `manage.py`."""
        process = Process(
            "manage.py",
            [sys.executable, "manage.py", *command],
            self.backend,
            self._django_environment(),
        )
        assert process.wait() == 0, process.output()

    def asked(self, start):
        """How often Django answered a request whose method and path begin with `start`."""
        return sum(line.startswith(f"asked {start}") for line in list(self.django.lines))

    def _django_environment(self):
        return {
            "PYTHONPATH": os.pathsep.join(str(path) for path in PYTHONPATH),
            "PYTHONDONTWRITEBYTECODE": "1",
            "DJANGO_SETTINGS_MODULE": "probes.settings",
            "DEMO_DATABASE": str(self.folder / "db.sqlite3"),
            "DEMO_STATIC_ROOT": str(self.folder / "static"),
            "DEMO_SECRET_KEY": "only-for-these-tests-" + "x" * 40,
            "GATEPOST_SECRET": self.secret,
            "GATEPOST_URL": self._internal,
        }

    def _config(self, frontend):
        upstream = (
            self._django_bind
            if self._django_bind.startswith("unix:")
            else f"http://{self._django_bind}"
        )
        return f"""
[server]
https = "127.0.0.1:0"
http = "127.0.0.1:0"
internal = "{self._internal}"
hosts = ["localhost"]
lan = false

[django]
upstream = "{upstream}"
paths = ["/api/", "/admin/", "/accounts/", "/orders/"]
hold = "{self._hold}"

[auth]
{self._auth}

[frontend]
{frontend}

[[files]]
path = "/static/"
root = "{self.folder / "static"}"

[[sockets]]
path = "{SOCKET}"

[limits]
drain_spread = "200ms"

[log]
level = "debug"
{self.settings}
"""


def _copy(names, source, target):
    target.mkdir(exist_ok=True)
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, dirs_exist_ok=True)
        else:
            shutil.copy(source / name, target / name)


def ready_addresses(line):
    """The bound ports by listener, from the gateway's `ready` line; a Unix socket has none."""
    if not line.startswith("{") or '"ready"' not in line:
        return None
    fields = json.loads(line)
    fields = fields.get("fields", fields)
    found = {
        name: re.search(r":(\d+)", str(fields.get(name))) for name in ("https", "http", "internal")
    }
    return {name: int(match[1]) for name, match in found.items() if match}
