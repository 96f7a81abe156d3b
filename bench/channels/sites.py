"""The two sites: what runs in each, how it is started, weighed and stopped.

CPU is what the kernel has counted for a site's processes and their children (each has a clock, in
nanoseconds), memory their PSS.
"""

import contextlib
import os
import secrets
import select
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: As the documentation of Channels has it, with TLS.
NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.error.log;
events {{ worker_connections 10000; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream channels-backend {{ server 127.0.0.1:{django}; }}
  server {{
    listen 127.0.0.1:{https} ssl; server_name localhost;
    ssl_certificate {folder}/site.pem; ssl_certificate_key {folder}/site.key;
    location / {{
      proxy_pass http://channels-backend; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";
      proxy_redirect off; proxy_set_header Host $http_host; proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Host $server_name;
    }}
  }}
}}
"""
GATEWAY = """
[server]
https = "127.0.0.1:{https}"
http = ""
hosts = ["localhost"]
internal = "127.0.0.1:{internal}"
[tls]
cert = "site.pem"
key = "site.key"
[django]
upstream = "http://127.0.0.1:{django}"
[[sockets]]
path = "/ws/notifications/"
[log]
level = "warn"
"""


class Site:
    """One of the two, from its start to its end; its processes end with it."""

    def __init__(self, name, folder, gateway):
        names = ("https", "django", "redis", "internal")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.name, self.folder, self.gateway, self.started = name, folder, gateway, []
        self.environment = os.environ | {
            "PYTHONPATH": f"{HERE}:{HERE.parents[1] / 'python'}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "BENCH_SITE": name,
            "BENCH_DATABASE": str(folder / "people.sqlite3"),
            "BENCH_REDIS": str(self.ports["redis"]),
            "BENCH_INTERNAL": f"http://127.0.0.1:{self.ports['internal']}",
            "GATEPOST_SECRET": secrets.token_hex(32),
        }

    def __enter__(self):
        try:
            self._start_channels() if self.name == "channels" else self._start_gatepost()
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            publishing = f"{sys.executable} -c 'from project import publish; publish()'"
            self.publisher = self._start(publishing, **pipes)
            self._published("ready")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.started):
            process.terminate()
        for process in reversed(self.started):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def publish(self, words):
        """Has the Django process publish to users or `everyone`, one call each.

        With `async` first it does so in one event loop that stays, as asynchronous views would.
        """
        self.publisher.stdin.write(" ".join(map(str, words)) + "\n")
        self.publisher.stdin.flush()
        self._published("done")

    def cpu(self):
        """Seconds of user and system time of all processes until now."""
        # What clock_getcpuclockid(3) makes of a process id.
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self._pids())

    def memory(self):
        """KiB of PSS of all servers, without the publishing process."""
        rolled = (
            Path(f"/proc/{pid}/smaps_rollup").read_text()
            for pid in self._pids() - {self.publisher.pid}
        )
        return sum(int(text.split("\nPss:")[1].split()[0]) for text in rolled)

    def _pids(self):
        found, rest = set(), [process.pid for process in self.started]
        while rest:
            found.add(pid := rest.pop())
            for task in Path(f"/proc/{pid}/task").iterdir():
                rest += map(int, (task / "children").read_text().split())
        return found

    def _start_channels(self):
        ports, folder = self.ports, self.folder
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, **ports))
        self._start(
            f"redis-server --bind 127.0.0.1 --port {ports['redis']} --save '' --dir {folder}"
        )
        self._start(
            f"{sys.executable} -m uvicorn project:asgi --port {ports['django']} "
            "--proxy-headers --no-access-log --log-level warning"
        )
        self._start(f"nginx -p {folder} -c {config} -e {folder}/nginx.error.log")
        self._listening("redis", "django", "https")

    def _start_gatepost(self):
        config = self.folder / "gateway.toml"
        config.write_text(GATEWAY.format(**self.ports))
        self._start(
            f"{sys.executable} -m gunicorn project:wsgi --bind 127.0.0.1:{self.ports['django']} "
            "--workers 2 --worker-class gthread --threads 4"
        )
        self._start(f"{self.gateway} run --config {config}")
        self._listening("django", "https", "internal")

    def _start(self, command, **pipes):
        with (self.folder / f"{self.name}.log").open("a") as log:
            pipes = {"stdout": log, "stderr": log, "cwd": self.folder} | pipes
            command = ["taskset", "-c", "0", *shlex.split(command)]
            self.started.append(subprocess.Popen(command, env=self.environment, **pipes))
        return self.started[-1]

    def _published(self, answer):
        readable, _, _ = select.select([self.publisher.stdout], [], [], 120)
        line = self.publisher.stdout.readline().strip() if readable else "nothing"
        if line != answer:
            sys.exit(f"the publishing process said {line!r}: {self.log()}")

    def _listening(self, *names):
        until = time.monotonic() + 30
        for name in names:
            while not listens(self.ports[name]):
                ended = [process.args for process in self.started if process.poll() is not None]
                if ended or time.monotonic() > until:
                    sys.exit(f"{self.name}: nothing listens for {name}: {ended} {self.log()}")
                time.sleep(0.1)

    def log(self):
        """What the servers said last."""
        return (self.folder / f"{self.name}.log").read_text()[-2000:]


def make_site_files(folder, number):
    """Certificate and database; the session keys of all users."""
    certificate = (
        "openssl req -x509 -days 2 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
        "-subj /CN=localhost -addext subjectAltName=DNS:localhost "
        f"-keyout {folder}/site.key -out {folder}/site.pem"
    )
    subprocess.run(shlex.split(certificate), check=True, stderr=subprocess.DEVNULL)
    people = [sys.executable, "-c", f"from project import make_people; make_people({number})"]
    environment = Site("gatepost", folder, "").environment
    made = subprocess.run(people, check=True, env=environment, stdout=subprocess.PIPE, text=True)
    return made.stdout.split()


def listens(port):
    """Whether somebody does, on this machine."""
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


def free_ports(number):
    """Ports that nobody has at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)
        ]
        return [each.getsockname()[1] for each in sockets]
