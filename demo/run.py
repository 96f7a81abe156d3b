#!/usr/bin/env python3
"""`make demo`: installs what is missing, starts Django, the frontend and Gatepost, and stops them together.

Standard library only, since it runs before anything is installed. Every child gets a process group of its own, so
that Ctrl-C reaches this process alone and the children are stopped in order: the gateway first, so that sockets are
closed with a code, then what it stands in front of.
"""

import argparse
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from queue import SimpleQueue

from children import Child

DEMO = Path(__file__).resolve().parent
ROOT = DEMO.parent
STATE = DEMO / ".gatepost"
BACKEND = DEMO / "backend"
FRONTEND = DEMO / "frontend"
PYTHON = DEMO / ".venv" / "bin" / "python"
START_TIMEOUT = 60.0


class DemoError(Exception):
    """The demo cannot start or go on; the text says why and what to do."""


def main() -> int:
    options = parse_arguments()
    try:
        require_free(options.port, "PORT")
        if options.http_port:
            require_free(options.http_port, "HTTP_PORT")
        binary = install(options)
        return serve(binary, options)
    except DemoError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        command = " ".join(str(part) for part in error.cmd)
        print(f"\nerror: `{command}` failed with exit code {error.returncode}; its output is above", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs the Gatepost demo until Ctrl-C.")
    parser.add_argument("--dev", action="store_true", help="runserver and a Vite dev server, with hot module replacement")
    parser.add_argument("--port", type=int, default=8443, help="HTTPS port of the one URL (8443)")
    parser.add_argument("--http-port", type=int, default=8080, help="port that redirects to https; 0: none (8080)")
    return parser.parse_args()


# What is installed and prepared


def install(options: argparse.Namespace) -> Path:
    """Brings everything up to date and returns the gateway's binary. A second run finds nothing to do."""
    run(ROOT / "scripts" / "venv.sh", DEMO / ".venv", DEMO / "requirements.txt")
    if options.dev:
        run(ROOT / "scripts" / "npm-packages.sh", FRONTEND)
    binary = os.environ.get("GATEPOST_BIN")
    if not binary:
        step("building the gateway (some minutes the first time)")
        run("cargo", "build", "--locked", *[] if sys.stderr.isatty() else ["--quiet"])
        binary = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "gatepost"
    step("preparing the database, the accounts and the static files")
    environment = django_environment(options)
    for command in (["migrate", "--verbosity=0"], ["demo_users"], ["collectstatic", "--no-input", "--verbosity=0"]):
        run(PYTHON, "manage.py", *command, cwd=BACKEND, env=environment)
    return Path(binary)


def kept_secret(name: str) -> str:
    """A secret of this machine, made once and readable by its owner only."""
    STATE.mkdir(mode=0o700, exist_ok=True)
    file = STATE / name
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(secrets.token_hex(32))
    return file.read_text().strip()


def django_environment(options: argparse.Namespace) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(ROOT / "python"),
        "PYTHONUNBUFFERED": "1",
        "GATEPOST_SECRET": kept_secret("secret"),
        "DEMO_SECRET_KEY": kept_secret("django-secret-key"),
        "DEMO_DEBUG": "1" if options.dev else "0",
    }


# What is started and stopped


def serve(binary: Path, options: argparse.Namespace) -> int:
    """Starts everything, prints the URL, and waits until Ctrl-C or until something ends by itself."""
    events: SimpleQueue = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: events.put(number))
    django_port, internal_port = usual_or_free(8000), usual_or_free(9400)
    frontend_port = usual_or_free(5173) if options.dev else 0
    internal = f"http://127.0.0.1:{internal_port}"
    environment = django_environment(options) | {"GATEPOST_URL": internal}

    children: list[Child] = []
    try:
        children.append(Child("django", django_command(options, django_port), BACKEND, environment, events))
        if options.dev:
            vite = ["node", "node_modules/vite/bin/vite.js", "www", "--host", "127.0.0.1", "--clearScreen", "false"]
            vite += ["--port", str(frontend_port), "--strictPort"]
            children.append(Child("vite", vite, FRONTEND, dict(os.environ), events))
        config = "gateway.dev.toml" if options.dev else "gateway.toml"
        gateway = [str(binary), "run", "--config", str(DEMO / config)]
        places = gateway_places(options, django_port, frontend_port, internal_port)
        children.append(Child("gatepost", gateway, DEMO, environment | places, events))
        wait_until_ready(events, children, internal, [django_port] + [frontend_port] * options.dev)
        print_banner(options)
        for child in children:
            child.shown = True
        what = events.get()
    except StopDemo as early:
        what = early.what
    finally:
        stop(children, events)
    if isinstance(what, Child):
        raise DemoError(f"{what.describe_end()}\nEverything else has been stopped.")
    step("stopped")
    return 0


def django_command(options: argparse.Namespace, port: int) -> list[str]:
    if options.dev:
        return [str(PYTHON), "manage.py", "runserver", f"127.0.0.1:{port}"]
    gunicorn = [str(PYTHON), "-m", "gunicorn", "demosite.wsgi", "--bind", f"127.0.0.1:{port}"]
    return [*gunicorn, "--workers", "2", "--worker-class", "gthread", "--threads", "8", "--log-level", "warning"]


def gateway_places(options: argparse.Namespace, django: int, frontend: int, internal: int) -> dict[str, str]:
    """The addresses of this run; they override gateway.toml, as any key can be overridden by the environment."""
    places = {
        "GATEPOST_SERVER__HTTPS": f"127.0.0.1:{options.port}",
        "GATEPOST_SERVER__HTTP": f"127.0.0.1:{options.http_port}" if options.http_port else "",
        "GATEPOST_SERVER__INTERNAL": f"127.0.0.1:{internal}",
        "GATEPOST_DJANGO__UPSTREAM": f"http://127.0.0.1:{django}",
    }
    if options.dev:
        places["GATEPOST_FRONTEND__UPSTREAM"] = f"http://127.0.0.1:{frontend}"
    return places


class StopDemo(Exception):
    """A signal, or a child that ended, while the demo was still starting."""

    def __init__(self, what: "int | Child") -> None:
        super().__init__()
        self.what = what


def wait_until_ready(events: SimpleQueue, children: list[Child], internal: str, ports: list[int]) -> None:
    """Waits for the upstreams to listen and for the gateway to say that it is ready."""
    deadline = time.monotonic() + START_TIMEOUT
    while not (all(listens(port) for port in ports) and answers(f"{internal}/ready")):
        if not events.empty():
            raise StopDemo(events.get())
        if time.monotonic() > deadline:
            said = "\n".join(child.describe_output() for child in children)
            raise DemoError(f"not everything was up after {START_TIMEOUT:.0f} s.\n{said}")
        time.sleep(0.1)


def stop(children: list[Child], events: SimpleQueue) -> None:
    """Stops what was started last first. A second Ctrl-C meanwhile ends the rest at once."""
    running = [child for child in reversed(children) if child.running()]
    if running:
        step("stopping " + ", ".join(child.name for child in running))
    for child in reversed(children):
        child.stop(events)


# Small things


def run(*command: "str | Path", cwd: Path = ROOT, env: "dict[str, str] | None" = None) -> None:
    subprocess.run([str(part) for part in command], cwd=cwd, env=env, check=True, stdin=subprocess.DEVNULL)


def step(text: str) -> None:
    print(f"demo: {text}", flush=True)


def listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def can_bind(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def require_free(port: int, variable: str) -> None:
    if not can_bind(port):
        raise DemoError(
            f"port {port} on 127.0.0.1 is in use or not allowed: stop what listens there "
            f"(`ss -ltnp sport = :{port}` names it), or choose another: make demo {variable}={port + 1000}"
        )


def usual_or_free(port: int) -> int:
    """The usual port of an inner server, or any free one: nobody types these."""
    if can_bind(port):
        return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def print_banner(options: argparse.Namespace) -> None:
    authority = DEMO / "certs" / "ca.pem"
    print(
        f"""
    Gatepost demo{" (dev: runserver and Vite)" if options.dev else ""}

      https://localhost:{options.port}/

      ann   ann-gatepost    group staff, may use /admin/
      bob   bob-gatepost

    The certificate comes from a local CA made on this machine. Import this file into your browser as a
    certificate authority (certs/README.md says how), or accept the warning once:
      {authority}

    Ctrl-C stops everything.
""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
