"""Follows a guide as a reader would: in one folder, with one browser, from top to bottom.

The ports, and the folders of a server, that a guide names are replaced by free ones wherever they
stand; nothing else of a block is changed.
"""

import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from .browser import Browser
from .fresh import PASSWORD, FreshProject
from .process import Process
from .systemd import Units
from .wait import free_port, wait_until

#: How a program says that it goes on from here.
READY = (
    ("rungateway", "Ctrl-C stops everything"),
    ("gatepost", " ready "),
    ("celery", " ready."),
    ("runserver", "development server at"),
    ("daphne", "Listening on TCP address"),
    ("gunicorn", "Listening at"),
)


@cache
def ports():
    """Free ones for those of the guides, the same for all: a guide goes on with another's files."""
    return {name: str(free_port()) for name in ("8443", "8000", "8001", "9400", "5173")}


class Reader:
    """Someone with an empty folder, an environment with the wheel, and a browser."""

    def __init__(self, folder, environment, wheel, playwright):
        self.folder = folder
        self._project = FreshProject(environment, folder)
        self._playwright = playwright
        self._chromium = self._visitor = self._page = None
        self._started = []
        self._heard = []
        self._seen = {}
        self._short = Path(tempfile.mkdtemp(prefix="gp-", dir="/tmp"))
        self._services = Units(folder / "units", self._short)
        self._origin = f"https://localhost:{ports()['8443']}"
        self._replaced = ports() | {
            # Its own choice would be the usual ports.
            "manage.py rungateway": "manage.py rungateway 127.0.0.1:0",
            "path/to/": f"{wheel.parent}/",
            # A server's name, ports and folders. Sockets need a short path.
            "https://www.example.com": self._origin,
            "www.example.com": "localhost",
            "0.0.0.0:443": f"127.0.0.1:{ports()['8443']}",
            "0.0.0.0:80": "127.0.0.1:0",
            "/etc/mysite/tls/site.": f"{folder}/certs/leaf.",
            "/etc/mysite": f"{folder}/etc",
            "/etc/systemd/system": f"{folder}/units",
            "/srv/mysite/.venv": str(environment),
            "/srv/mysite": str(folder),
            "/run/mysite": f"{self._short}/mysite",
        }
        self._project.variables = {
            "GATEPOST_SERVER__HTTPS": f"127.0.0.1:{ports()['8443']}",
            "GATEPOST_SERVER__INTERNAL": f"127.0.0.1:{ports()['9400']}",
            "GATEPOST_URL": f"http://127.0.0.1:{ports()['9400']}",
            "GATEPOST_SERVER__HTTP": "",
            "GATEPOST_SERVER__LAN": "false",
            "GATEPOST_LIMITS__DRAIN_SPREAD": "100ms",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }

    @property
    def environment(self):
        """The variables of every program."""
        return self._project.environment

    def follow(self, steps):
        """Does what a guide says."""
        for step in steps:
            if step.verb != "output":
                self._seen = {id(lines): len(lines) for lines in self._all_heard()}
            try:
                getattr(self, f"_{step.verb}")(step)
            except Exception as error:
                error.add_note(f"while following docs/{step.place}: {step.verb} {step.argument}")
                error.add_note("\n".join(self._heard[-60:]))
                raise

    def begin_with(self, project):
        """Copies a project that the quick start has made."""
        shutil.copytree(
            project, self.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("home")
        )

    def leave(self):
        """Closes the browser and ends what runs."""
        if self._chromium:
            self._chromium.close()
        self._stop()
        self._services.stop()
        shutil.rmtree(self._short)

    # What a guide can say

    def _write(self, step):
        path = self._path(step.argument)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._local(step.text))

    def _append(self, step):
        path = self._path(step.argument)
        with path.open("a") as file:
            file.write("\n" + self._local(step.text))
        self._wait_for_reload(path)

    def _patch(self, step):
        self._call(["git", "apply", "-"], self._local(step.text))

    def _run(self, step):
        self._call(["bash", "-euo", "pipefail"], self._local(step.text))

    def _shell(self, step):
        self._call(["python", "manage.py", "shell", "--command", self._local(step.text)])

    def _start(self, step):
        for line in self._local(step.text).splitlines():
            command = line if "&&" in line else f"exec {line}"
            process = Process(
                "bash", ["bash", "-c", command], self.folder, {}, exactly=self.environment
            )
            self._started.append(process)
            said = next(said for name, said in READY if name in line)
            process.wait_for_line(lambda line, said=said: said in line, said)

    def _stop(self, step=None):
        self._page = None
        while self._started:
            process = self._started.pop()
            process.stop()
            self._heard += process.lines

    def _units(self, step):
        for line in self._local(step.text).splitlines():
            self._services.obey(line)

    def _browser(self, step):
        if self._page is None:
            self._open_page()
        self._page.evaluate(f"async () => {{ {self._local(step.text)} }}")

    def _output(self, step):
        lines = [line.strip() for line in self._local(step.text).splitlines() if line]
        patterns = [".*".join(map(re.escape, line.split("…"))) for line in lines]

        def missing():
            news = self._news()
            wanted = zip(lines, patterns, strict=True)
            return [line for line, one in wanted if not re.search(one, news)]

        wait_until(lambda: not missing(), "what the guide promises is seen")

    # How

    def _local(self, text):
        for written, here in self._replaced.items():
            text = text.replace(written, here)
        return text

    def _path(self, written):
        return self.folder / self._local(written)

    def _wait_for_reload(self, path):
        """Waits until a runserver that is there has seen a change."""
        for process in self._started:
            if any("Watching for file changes" in line for line in process.lines):
                seen = len(process.lines)

                def reloaded(process=process, seen=seen):
                    path.touch()  # A change before Django's first look at the file is overlooked.
                    news = "\n".join(process.lines[seen:])
                    return "Watching for file changes" in news.partition("reloading")[2]

                wait_until(reloaded, "Django reloads")

    def _call(self, command, text=""):
        ran = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=90,
            check=False,
        )
        self._heard += ran.stdout.splitlines()
        assert ran.returncode == 0, f"{' '.join(command)}:\n{text}\n{ran.stdout}"

    def _open_page(self):
        """The admin, logged in as ann, as the browser's person."""
        if self._chromium is None:
            ca = self.folder / "certs" / "ca.pem"
            self._chromium = Browser(self._playwright, self.folder / "home", ca)
            self._visitor = self._chromium.visitor()
        self._page = self._visitor.new_page()
        self._page.on("console", lambda message: self._heard.append(message.text))
        self._page.goto(f"{self._origin}/admin/")
        if "/login/" in self._page.url:
            self._page.fill("[name=username]", "ann")
            self._page.fill("[name=password]", PASSWORD)
            self._page.click("[type=submit]")
            self._page.wait_for_url(f"{self._origin}/admin/")

    def _all_heard(self):
        started = (process.lines for process in self._started)
        return [self._heard, *started, *self._services.lines()]

    def _news(self):
        """What was printed since the last thing that was done."""
        if self._page:
            self._page.evaluate("0")  # Events come to those who ask.
        return "\n".join(
            line for lines in self._all_heard() for line in lines[self._seen.get(id(lines), 0) :]
        )
