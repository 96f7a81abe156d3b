#!/usr/bin/env python3
"""`make demo`: installs what is missing, starts Django, frontend and gateway, stops them together.

Standard library only, since it runs before anything is installed. Every child gets a process group
of its own, so that Ctrl-C reaches this process alone and the children are stopped in order: the
gateway first, so that sockets are closed with a code, then what it stands in front of.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from queue import SimpleQueue

from children import Child
from ports import PortTakenError, answers, listens, require_free, usual_or_free
from prepare import BACKEND, DEMO, FRONTEND, PYTHON, django_environment, install, step

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
    except (DemoError, PortTakenError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        command = " ".join(str(part) for part in error.cmd)
        print(
            f"\nerror: `{command}` failed with exit code {error.returncode}; its output is above",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Runs the Gatepost demo until Ctrl-C.")
    parser.add_argument(
        "--dev",
        action="store_true",
        help="runserver and a Vite dev server, with hot module replacement",
    )
    parser.add_argument("--port", type=int, default=8443, help="HTTPS port of the one URL (8443)")
    parser.add_argument(
        "--http-port", type=int, default=8080, help="port that redirects to https; 0: none (8080)"
    )
    return parser.parse_args()


def serve(binary: Path, options: argparse.Namespace) -> int:
    """Starts everything, prints the URL, waits for Ctrl-C or for something to end by itself."""
    events: SimpleQueue = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: events.put(number))
    django_port, internal_port = usual_or_free(8000), usual_or_free(9400)
    frontend_port = usual_or_free(5173) if options.dev else 0
    internal = f"http://127.0.0.1:{internal_port}"
    environment = django_environment(options) | {"GATEPOST_URL": internal}

    children: list[Child] = []
    try:
        children.append(
            Child("django", django_command(options, django_port), BACKEND, environment, events)
        )
        if options.dev:
            vite = [
                "node",
                "node_modules/vite/bin/vite.js",
                "www",
                "--host",
                "127.0.0.1",
                "--clearScreen",
                "false",
            ]
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
    return [
        *gunicorn,
        "--workers",
        "2",
        "--worker-class",
        "gthread",
        "--threads",
        "8",
        "--log-level",
        "warning",
    ]


def gateway_places(
    options: argparse.Namespace, django: int, frontend: int, internal: int
) -> dict[str, str]:
    """The addresses of this run, as variables, which override the keys of gateway.toml."""
    places = {
        "GATEPOST_SERVER__HTTPS": str(options.port),
        "GATEPOST_SERVER__HTTP": str(options.http_port or ""),
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


def wait_until_ready(
    events: SimpleQueue, children: list[Child], internal: str, ports: list[int]
) -> None:
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


def print_banner(options: argparse.Namespace) -> None:
    authority = DEMO / "certs" / "ca.pem"
    print(
        f"""
    Gatepost demo{" (dev: runserver and Vite)" if options.dev else ""}

      https://localhost:{options.port}/

      ann   ann-gatepost    group staff, may use /admin/
      bob   bob-gatepost

    The certificate comes from a local CA made on this machine. Import this file into your browser
    as a certificate authority (certs/README.md says how), or accept the warning once:
      {authority}

    Ctrl-C stops everything.
""",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
