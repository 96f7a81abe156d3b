"""What the gateway, Django and the frontend are told, so that they find each other.

The gateway itself is asked (``gatepost check``) what its configuration amounts to, so that file,
variables and defaults are read in one place only; what differs for this run is told to it by
variables, which beat the file.
"""

import contextlib
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from gatepost import conf, state
from gatepost.devserver import ports
from gatepost.program import asgi_routes, draft, gateway_toml
from gatepost.program.frontend import Frontend
from gatepost.running import Running
from gatepost.sending import client

_DEV_SERVER = re.compile(r"dev server at http://(\S+)$")

_UPSTREAM = re.compile(r"^upstream at http://(\S+)$")


#: As ``gatepost check`` writes the address of a listener.
_ADDRESS = re.compile(r"\S+:\d+")


class PlanError(Exception):
    """It cannot be started like this; the text says why and what to do."""


@dataclass
class Plan:
    """Everything that is decided before anything is started."""

    binary: Path
    config: Path
    #: Where runserver listens, as it takes it.
    django: str
    #: Set for the gateway.
    environment: dict[str, str] = field(default_factory=dict)
    #: Set for Django, in addition.
    django_environment: dict[str, str] = field(default_factory=dict)
    frontend: Frontend | None = None
    frontend_port: int = 0
    #: Where Django calls the gateway, as ``GATEPOST["URL"]``.
    internal: str = ""
    #: What was decided otherwise than people may expect.
    notes: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where other processes of the project look for what the gateway leaves them."""
        base = state.base()
        return self.config.parent if self.config.parent in (base, *base.parents) else base

    def decide_secret(self) -> None:
        """Let both sides have the same secret."""
        secret = conf.find_secret().decode()
        if not secret and not settings.DEBUG:
            raise PlanError(f"Gatepost has no secret. {conf.SECRETLESS_HINT}")
        if not secret and self.folder != self.config.parent:
            # The gateway would make one beside its file, where Django would not find it.
            secret = self._make_secret()
        if secret:
            self.environment["GATEPOST_SECRET"] = secret

    def _make_secret(self) -> str:
        made = secrets.token_hex(32)
        try:
            os.close(state.write(state.make(self.folder) / "secret", made + "\n"))
        except OSError as error:
            raise PlanError(
                f"cannot leave a secret for Django in {self.folder}: {error.strerror}. Set"
                " GATEPOST_SECRET, at least 32 bytes."
            ) from error
        return made

    def decide_internal(self) -> None:
        """Let the gateway listen where Django will call it."""
        self.internal = client.urls()[0]
        named = "URL" in conf.declared() or os.environ.get("GATEPOST_URL")
        if not named:
            host, port = "127.0.0.1", urlsplit(str(conf.DEFAULTS["URL"])).port or 80
            free = ports.this_or_near(host, port)
            self.internal = f"http://{ports.join(host, free)}"
            self.django_environment["GATEPOST_URL"] = self.internal
            if free != port and not settings.DEBUG:
                self.notes.append(
                    f"port {port} is taken: in other terminals, export GATEPOST_URL={self.internal}"
                )
        internal = draft.internal_address(self.internal)
        if internal is not None:
            self.environment["GATEPOST_SERVER__INTERNAL"] = internal

    def announced(self, url: str, ca: Path | None) -> Running:
        """Return what other processes are told of the gateway once it serves."""
        environment = {**self.environment}
        environment.pop("GATEPOST_SECRET", None)
        return Running(url, self.internal, self.config, ca, environment)

    def open_to_network(self) -> None:
        """Let the gateway listen beyond this machine, even where the file keeps it there."""
        self.environment["GATEPOST_SERVER__LAN"] = "true"
        places = _public_places(self.effective())
        if all(ports.is_loopback(host) for host, _ in places):
            port = places[0][1]
            self.environment["GATEPOST_SERVER__HTTPS"] = str(port) if port else "0.0.0.0:0"

    def decide_public(self, port: int | None) -> None:
        """Let the gateway serve at a free port; without a choice, at the configured one."""
        configured = self.effective()
        places = _public_places(configured)
        if not _addresses(configured, "https"):
            # By the file TLS ends in front of the gateway; while developing there is no such proxy.
            self.environment["GATEPOST_SERVER__HTTPS"] = ports.join(*places[0])
        hosts, usual = [host for host, _ in places], places[0][1]
        if port is not None or all(other == usual for _, other in places):
            chosen = usual if port is None else port
            if not all(ports.is_free(host, chosen) for host in hosts):
                if port is not None:
                    raise PlanError(f"port {port} is in use, or not allowed: choose another")
                chosen = ports.this_or_near(hosts, chosen)
                self.notes.append(f"port {usual} is taken: https is at {chosen}")
            if chosen != usual:
                chosen_places = ",".join(ports.join(host, chosen) for host in hosts)
                self.environment["GATEPOST_SERVER__HTTPS"] = chosen_places
        redirects = _addresses(configured, "http")
        if not all(ports.is_free(*ports.split(address)) for address in redirects):
            self.environment["GATEPOST_SERVER__HTTP"] = ""
            self.notes.append(f"{', '.join(redirects)} is taken: plain http is not redirected")

    def decide_frontend(self, chosen: Frontend | None, *, asked: bool) -> None:
        """Start a dev server where the configuration has one, or where one is asked for."""
        if chosen is None:
            return
        answers = self.effective()
        if not chosen.has_path:
            if asked:
                self._decide_beside(chosen)
            return
        if not chosen.has_pages:
            self._decide_part(chosen, answers.get(chosen.base, ""))
            return
        has_one = _DEV_SERVER.search(answers.get("/", ""))
        if has_one:
            self._report_hidden_paths(chosen, answers)
        elif not asked:
            return
        host, port = ports.split(has_one[1]) if has_one else ("127.0.0.1", chosen.port)
        if has_one and ports.listens(host, port):
            self.notes.append(f"the frontend at {has_one[1]} runs already")
            return
        promised = self._promised_ports(answers)
        self.frontend = chosen
        self.frontend_port = ports.this_or_near("127.0.0.1", port, promised=promised)
        upstream = f"http://127.0.0.1:{self.frontend_port}"
        self.environment["GATEPOST_FRONTEND__UPSTREAM"] = upstream
        if not has_one and (paths := draft.paths(chosen)):
            self.environment["GATEPOST_DJANGO__PATHS"] = ",".join(paths)

    def _promised_ports(self, answers: dict[str, str]) -> set[int]:
        """Return where the gateway and Django are about to listen: it shows nowhere else yet."""
        places = [address for key in ("https", "http") for address in _addresses(answers, key)]
        internal = [answers["internal"]] if _ADDRESS.fullmatch(answers.get("internal", "")) else []
        return {ports.split(address)[1] for address in [*places, *internal, self.django]}

    def _decide_beside(self, chosen: Frontend) -> None:
        """Start a dev server that pages call by its own address, where they expect it."""
        self.frontend, self.frontend_port = chosen, chosen.port
        redirects = _addresses(self.effective(), "http")
        if any(ports.split(address)[1] == chosen.port for address in redirects):
            self.environment["GATEPOST_SERVER__HTTP"] = ""
            self.notes.append(
                f"port {chosen.port} is the dev server's: plain http is not redirected"
            )
        self.notes.append(
            f"the frontend's files come from http://localhost:{chosen.port}, past the gateway: with"
            " a `base` such as /static/ they could come through it"
        )

    def _decide_part(self, chosen: Frontend, answers: str) -> None:
        """Start a dev server that has but one path, at the port that its route names."""
        route = _UPSTREAM.search(answers)
        if route is None:
            self.notes.append(
                f"the dev server is not started: no [[upstreams]] of {self.config.name} has the"
                f' path "{chosen.base}" (`gateway_config --stdout` shows one)'
            )
            return
        host, port = ports.split(route[1])
        if ports.listens(host, port):
            self.notes.append(f"the dev server at {route[1]} runs already")
            return
        self.frontend, self.frontend_port = chosen, port

    def _report_hidden_paths(self, chosen: Frontend, answers: dict[str, str]) -> None:
        """Say which of Django's paths the file gives to the frontend: they may be newer than it."""
        hidden: list[str] = []
        with contextlib.suppress(Exception):  # Of the project's URLs; Django will say it.
            hidden = [path for path in draft.paths(chosen) if not _is_routed(path, answers)]
        if hidden:
            self.notes.append(
                f"{', '.join(hidden)} of Django's go to the frontend: add them to `paths` below"
                f" [django] in {self.config.name}, if they should not"
            )

    def report_websocket_routes(self) -> None:
        """Say where WebSockets of the project's own lead nowhere, or to another server."""
        answers = self.effective()
        lost = []
        for path in asgi_routes.prefixes():
            route = max((at for at in answers if path.startswith(at)), key=len, default="")
            upstream = _UPSTREAM.search(answers.get(route, ""))
            if not upstream and not answers.get(route, "").startswith("WebSocket"):
                lost.append(path)
            elif upstream and self._misses_django(upstream[1]):
                self.notes.append(
                    f"WebSockets at {path} go to {upstream[1]} ([[upstreams]] in"
                    f" {self.config.name}), but Django is at {ports.reachable(self.django)}"
                )
        if lost:
            self.notes.append(
                f"WebSockets at {', '.join(lost)} lead nowhere: write [[upstreams]] for them in"
                f" {self.config.name} (`gateway_config --stdout` shows how)"
            )

    def _misses_django(self, address: str) -> bool:
        is_djangos = asgi_routes.is_served_by_runserver()
        return is_djangos and address != ports.reachable(self.django)

    def effective(self) -> dict[str, str]:
        """Return what ``gatepost check`` says the configuration amounts to."""
        try:
            return gateway_toml.effective(self.binary, self.config, self.environment)
        except gateway_toml.RefusedError as error:
            raise PlanError(f"the gateway cannot be started:\n{error}") from error


def _public_places(answers: dict[str, str]) -> list[tuple[str, int]]:
    """Return where HTTPS is to be, at the usual port where the file has it nowhere."""
    return [ports.split(at) for at in _addresses(answers, "https")] or [("127.0.0.1", 8443)]


def _addresses(answers: dict[str, str], key: str) -> list[str]:
    """Return where one of the public listeners is to be, as ``gatepost check`` says."""
    said = answers.get(key, "").partition(", redirects")[0]
    return [address for address in said.split(", ") if _ADDRESS.fullmatch(address)]


def _is_routed(path: str, answers: dict[str, str]) -> bool:
    return any(path.startswith(prefix) for prefix in answers if prefix.strip("/"))


def django_address(written: str | None) -> str:
    """Return where runserver will listen; a port of 0 is any free one."""
    if written is None:
        return ports.join("127.0.0.1", ports.this_or_near("127.0.0.1", 8000))
    try:
        host, port = ports.split(written if ":" in written else f"127.0.0.1:{written}")
    except ValueError as error:
        raise PlanError(f"{written!r} is no port and no address:port") from error
    host = "127.0.0.1" if host == "localhost" else host
    if port == 0:
        port = ports.any_free(host)
    elif not ports.is_free(host, port):
        raise PlanError(
            f"port {port} is in use, or not allowed: stop what listens there, or choose another"
        )
    return ports.join(host, port)
