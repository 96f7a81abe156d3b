"""``manage.py rungateway``: the gateway, Django's runserver and the frontend together.

The surprise: this process goes on to *be* runserver's reloader, which restarts Django at each
change; so the gateway beside it, and every socket, outlive that.
"""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandError, CommandParser

from gatepost import running, state
from gatepost.devserver import announcement, plan, ports, trust
from gatepost.devserver.companion import Companion
from gatepost.devserver.runserver import Runserver
from gatepost.devserver.terminal import Terminal
from gatepost.management.commands import gateway_config
from gatepost.program import binary, draft, frontend, gateway_toml

#: How long the URL is held back until Django listens, in seconds.
_PATIENCE = 30

#: While developing, closes need not be spread over time at the end. Variables beat these.
_HASTE = {"GATEPOST_LIMITS__DRAIN_SPREAD": "100ms", "GATEPOST_LIMITS__DRAIN_TIMEOUT": "3s"}


class Command(BaseCommand):
    """Ends everything at one Ctrl-C, and when anything ends by itself."""

    help = "Starts the gateway and runserver, and the frontend's dev server, and prints one URL."
    requires_system_checks = ()  # runserver makes them itself, at each change.

    def add_arguments(self, parser: CommandParser) -> None:
        """Take what runserver takes, and what concerns the others."""
        parser.add_argument(
            "addrport", nargs="?", help="where Django listens (default: 127.0.0.1:8000, or near)"
        )
        parser.add_argument("--config", type=Path, help="the gateway.toml (default: the project's)")
        parser.add_argument("--port", type=int, help="of the one URL (default: as configured)")
        parser.add_argument(
            "--lan",
            action="store_true",
            help="let others on the network come, and with it to Django's DEBUG pages",
        )
        parser.add_argument("--noreload", action="store_true", help="do not reload Django")
        group = parser.add_mutually_exclusive_group()
        group.add_argument(
            "--frontend",
            metavar="COMMAND",
            help="the frontend's dev server, such as 'npm run dev -- --port {port}'; without it"
            " one that gateway.toml has is found by its package.json",
        )
        group.add_argument("--no-frontend", action="store_true", help="start no dev server")

    def handle(self, *args: Any, **options: Any) -> None:
        """Decide, start, and go on as runserver."""
        try:
            decided = _decide(options, self.stdout.write)
            is_seen = sys.stdin.isatty() and self.stdout.isatty()
            trust.offer(decided, input if is_seen else None)
        except (plan.PlanError, binary.BinaryMissingError) as error:
            raise CommandError(str(error)) from error
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _leave)
        arguments = ["--pythonpath", options["pythonpath"]] if options["pythonpath"] else []
        _Run(decided, arguments).until_the_end(reload=not options["noreload"])


def _decide(options: dict[str, Any], say: Any) -> plan.Plan:
    found = None if options["no_frontend"] else frontend.find(state.base())
    config: Path | None = options["config"] or gateway_toml.find()
    if config is None:
        config = gateway_toml.place()
        gateway_config.write(config, draft.gateway_config(config.parent, found))
        say(f"Wrote {config} from the settings.")
    decided = plan.Plan(binary.find(), config.absolute(), plan.django_address(options["addrport"]))
    decided.environment.update({key: _HASTE[key] for key in _HASTE if key not in os.environ})
    decided.environment["GATEPOST_DJANGO__UPSTREAM"] = f"http://{ports.reachable(decided.django)}"
    decided.decide_secret()
    decided.decide_internal()
    if options["lan"]:
        decided.open_to_network()
    decided.decide_public(options["port"])
    asked = options["frontend"]
    if asked:
        # What is known of it stays true; another command line starts it.
        known = found or frontend.Frontend(Path.cwd(), asked, 5173)
        found = replace(known, folder=Path.cwd(), line=asked)
    decided.decide_frontend(found, asked=bool(asked))
    decided.report_websocket_routes()
    return decided


def _leave(number: int, frame: Any) -> NoReturn:
    raise SystemExit(0)


class _Run:
    """One run, from the first process to the last."""

    def __init__(self, decided: plan.Plan, arguments: list[str]) -> None:
        self._plan = decided
        self._arguments = arguments
        inner = {ports.split(decided.django)[1], decided.frontend_port} - {0}
        self._terminal = Terminal(inner)
        self._failure: str | None = None
        self._companions: list[Companion] = []
        self._run_file: running.RunFile | None = None

    def until_the_end(self, *, reload: bool) -> None:
        """Start what stands beside Django, be Django, and stop the others."""
        os.environ.update(self._plan.django_environment)
        # A pipe would hold back what Django prints.
        os.environ.setdefault("PYTHONUNBUFFERED", "1")
        code: Any = 0
        try:
            self._start()
            django = Runserver(self._plan.django, self._arguments, self._terminal)
            code = django.run(reload=reload)
        except KeyboardInterrupt:
            code = 0
        except SystemExit as ended:
            code = ended.code
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # The second Ctrl-C of an impatient hand.
            self._terminal.say("stopping")
            if self._run_file is not None:
                self._run_file.withdraw()
            for companion in self._companions:
                companion.stop()
        if self._failure:
            raise CommandError(self._failure)
        sys.exit(code)

    def _start(self) -> None:
        chosen = self._plan.frontend
        command = [str(self._plan.binary), "run", "--config", str(self._plan.config)]
        gateway = Companion("gatepost", [*command, "--log-format", "pretty"], self._terminal)
        gateway.on_line = self._listen
        self._companions.append(gateway)
        gateway.start(self._plan.config.parent, self._plan.environment, self._fail)
        if chosen is not None:
            port = self._plan.frontend_port
            server = Companion("frontend", chosen.command(port), self._terminal)
            self._companions.append(server)
            server.start(chosen.folder, chosen.environment(port), self._fail)

    def _listen(self, line: bytes) -> None:
        """Wait for the gateway to say where it is, and whether others reach it."""
        text = line.decode(errors="replace")
        if found := announcement.ready(text):
            self._write_run_file(found)
            threading.Thread(target=self._announce, args=(found,), daemon=True).start()
        elif addresses := announcement.open_to_network(text):
            self._terminal.say(announcement.of_network(addresses))

    def _write_run_file(self, found: announcement.Ready) -> None:
        try:
            self._run_file = running.RunFile(
                self._plan.folder, self._plan.announced(found.url, found.ca)
            )
        except OSError as error:
            self._plan.notes.append(
                f"cannot write below {self._plan.folder} ({error.strerror}): in other terminals,"
                f" export GATEPOST_URL={self._plan.internal}"
            )

    def _announce(self, found: announcement.Ready) -> None:
        deadline = time.monotonic() + _PATIENCE
        host, port = ports.split(ports.reachable(self._plan.django))
        while not ports.listens(host, port) and time.monotonic() < deadline:
            time.sleep(0.05)
        self._terminal.say(announcement.of_start(found, self._plan.notes))

    def _fail(self, how: str) -> None:
        """End everything, since one of the companions ended."""
        if self._failure is None:
            self._failure = how
            os.kill(os.getpid(), signal.SIGTERM)
