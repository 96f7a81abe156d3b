"""A project as a newcomer makes it: `pip install gatepost`, `startproject`, four lines."""

import json
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
from gatepost.testing.blocking import BlockingConnection

from .process import Process
from .site import ROOT, ready_addresses
from .wait import PATIENCE, free_port

SOCKET = "/ws/notifications/"
PASSWORD = "correct-horse-4"

#: What a newcomer adds to a fresh project.
SETTINGS = """
INSTALLED_APPS += ["gatepost"]
MIDDLEWARE.insert(0, "gatepost.middleware.GatepostMiddleware")
"""
URLS = """
from django.urls import include
urlpatterns += [path("_gatepost/", include("gatepost.urls"))]
"""

#: Ports of this machine may be taken: the tests let the system choose.
CONFIG = """
[server]
https = "127.0.0.1:0"
http = ""
internal = "127.0.0.1:{internal}"
lan = false

[django]
upstream = "http://127.0.0.1:{django}"

[[sockets]]
path = "/ws/notifications/"
"""


def build_wheel(folder):
    """The wheel of this tree, with the development profile: what `cargo build` made is reused."""
    build = [ROOT / "python" / "build-wheel", "--profile", "dev", "--compatibility", "linux"]
    subprocess.run([*build, "--out", folder], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(wheel, folder):
    """An environment that was empty before the wheel and what it asks for were installed."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--quiet", wheel], check=True)
    return folder


def make_project(environment, folder):
    """Makes a fresh project with the four lines in `folder`; it has one superuser, ann."""
    FreshProject(environment, folder).make()
    return folder


class FreshProject:
    """The project in `folder`, run by the programs of `environment`."""

    def __init__(self, environment, folder):
        self.bin = environment / "bin"
        self.folder = folder
        self.processes = []
        #: Further variables of everything that is run.
        self.variables = {}

    def make(self):
        """Does what a newcomer does first."""
        self.run(self.bin / "django-admin", "startproject", "site_of_ann", self.folder)
        self._append("settings.py", SETTINGS)
        self._append("urls.py", URLS)
        self.manage("migrate", "--verbosity=0")
        self.manage("createsuperuser", "--no-input", "--username=ann", "--email=ann@example.com")

    def _append(self, name, text):
        with (self.folder / "site_of_ann" / name).open("a") as file:
            file.write(text)

    @property
    def environment(self):
        """As after `activate`; nothing of this tree or of the caller's Django gets in."""
        kept = {key: value for key, value in os.environ.items() if not _is_ours(key)}
        return kept | {
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "PYTHONUNBUFFERED": "1",
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
            **self.variables,
        }

    def run(self, *command):
        """Runs a command to its end and returns what it printed."""
        ran = subprocess.run(
            [str(part) for part in command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, f"{command}:\n{ran.stdout}{ran.stderr}"
        return ran.stdout

    def manage(self, *command):
        """Runs `manage.py`."""
        return self.run(self.bin / "python", "manage.py", *command)

    def start(self, name, *command):
        """Starts a command that goes on until `stop()`."""
        process = Process(name, command, self.folder, {}, exactly=self.environment)
        self.processes.append(process)
        return process

    def start_gateway_and_django(self):
        """Starts both by hand, each in a terminal of its own."""
        django, internal = free_port(), free_port()
        (self.folder / "gateway.toml").write_text(CONFIG.format(django=django, internal=internal))
        self._append("settings.py", f'GATEPOST = {{"URL": "http://127.0.0.1:{internal}"}}\n')
        gateway = self.start("gatepost", self.bin / "gatepost", "run", "--log-format", "json")
        ready = gateway.wait_for_line(ready_addresses, "the line that says it is ready")
        runserver = self.start(
            "runserver", self.bin / "python", "manage.py", "runserver", f"127.0.0.1:{django}"
        )
        runserver.wait_for_line(lambda line: "development server at" in line, "it listens")
        return f"https://localhost:{ready['https']}"

    def stop(self):
        """Ends what was started, last first."""
        for process in reversed(self.processes):
            process.stop()

    # The browser's part

    def tls(self):
        """A TLS context that believes in the project's local CA alone."""
        return ssl.create_default_context(cafile=str(self.folder / "certs" / "ca.pem"))

    def log_in(self, origin):
        """Ann, logged in by the admin's own form; an HTTP client with her cookies."""
        browser = httpx.Client(
            base_url=origin, verify=self.tls(), follow_redirects=True, timeout=PATIENCE
        )
        form = browser.get("/admin/login/?next=/admin/")
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form.text)[1]
        said = {"username": "ann", "password": PASSWORD, "csrfmiddlewaretoken": token}
        page = browser.post(
            "/admin/login/?next=/admin/", data=said, headers={"Referer": f"{origin}/admin/"}
        )
        assert "Site administration" in page.text, page.text
        return browser

    def open_socket(self, browser, origin):
        """A WebSocket with the browser's cookies."""
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        return BlockingConnection(
            origin.replace("https:", "wss:") + SOCKET,
            ssl=self.tls(),
            origin=origin,
            additional_headers={"Cookie": cookies},
        )


def frame(socket):
    """The next frame of a socket."""
    return json.loads(socket.recv(timeout=30))


def _is_ours(key):
    return key.startswith(("GATEPOST_", "PYTHON", "DJANGO_", "VIRTUAL_ENV"))


def installed_files(environment):
    """What the wheel put into an environment's packages, relative to the package."""
    (package,) = environment.glob("lib/python*/site-packages/gatepost")
    files = (path.relative_to(package) for path in package.rglob("*") if path.is_file())
    return {path for path in files if path.suffix != ".pyc"}


def source_files():
    """What of the package git knows, or will know."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "."]
    package = ROOT / "python" / "gatepost"
    listed = subprocess.run(listing, cwd=package, capture_output=True, text=True, check=True)
    return {Path(line) for line in listed.stdout.splitlines() if (package / line).is_file()}
