"""Gateway and Django understand each other through the servers that people run Django in.

Each is started as its own documentation says. ``run-tests`` runs this once, with the newest Django.
"""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import serving

TESTS = Path(serving.__file__).parent
BIN = Path(sys.executable).parent

WSGI = "project.wsgi"
ASGI = "project.asgi:application"

COMMANDS = {
    "gunicorn": ["gunicorn", "--bind", "127.0.0.1:{port}", WSGI],
    "gunicorn-gthread": ["gunicorn", "--threads", "2", "--bind", "127.0.0.1:{port}", WSGI],
    "gunicorn-gevent": ["gunicorn", "-k", "gevent", "--bind", "127.0.0.1:{port}", WSGI],
    "gunicorn-asgi": ["gunicorn", "-k", "asgi", "--bind", "127.0.0.1:{port}", ASGI],
    "gunicorn-uvicorn": [
        *("gunicorn", "-k", "uvicorn_worker.UvicornWorker", "--bind", "127.0.0.1:{port}", ASGI)
    ],
    "gunicorn-unix": ["gunicorn", "--bind", "unix:{socket}", WSGI],
    "uvicorn": ["uvicorn", "--port", "{port}", ASGI],
    "uvicorn-unix": ["uvicorn", "--uds", "{socket}", ASGI],
    "daphne": ["daphne", "-p", "{port}", ASGI],
    "daphne-unix": ["daphne", "-u", "{socket}", ASGI],
    "hypercorn": ["hypercorn", "--bind", "127.0.0.1:{port}", ASGI],
    "hypercorn-wsgi": ["hypercorn", "--bind", "127.0.0.1:{port}", "wsgi:project.wsgi:application"],
    "hypercorn-unix": ["hypercorn", "--bind", "unix:{socket}", ASGI],
    "granian": ["granian", "--interface", "asginl", "--port", "{port}", ASGI],
    "granian-wsgi": ["granian", "--interface", "wsgi", "--port", "{port}", f"{WSGI}:application"],
    "waitress": ["waitress-serve", "--listen=127.0.0.1:{port}", "project.wsgi:application"],
    "waitress-unix": ["waitress-serve", "--unix-socket={socket}", "project.wsgi:application"],
    "uwsgi": [
        *("pyuwsgi", "--http", "127.0.0.1:{port}", "--module", WSGI, "--die-on-term"),
        *("--master", "--processes", "1"),
    ],
    "cheroot": ["cheroot", "--bind", "127.0.0.1:{port}", "project.wsgi:application"],
    "cherrypy": [
        *("python", "-c"),
        "import cherrypy; from project.wsgi import application;"
        "cherrypy.tree.graft(application, '/'); cherrypy.engine.autoreload.unsubscribe();"
        "cherrypy.config.update({{'server.socket_port': {port}}});"
        "cherrypy.engine.start(); cherrypy.engine.block()",
    ],
    "twisted": [
        *("twist", "web", "--wsgi", "project.wsgi.application"),
        "--listen=tcp:{port}:interface=127.0.0.1",
    ],
    "tornado": [
        *("python", "-c"),
        "import asyncio, tornado.httpserver as http, tornado.wsgi as wsgi;"
        "from project.wsgi import application;"
        "server = http.HTTPServer(wsgi.WSGIContainer(application));"
        "start = lambda: server.listen({port}, '127.0.0.1');"
        "loop = asyncio.new_event_loop(); loop.call_soon(start); loop.run_forever()",
    ],
    "gevent": [
        *("python", "-c"),
        "from gevent.pywsgi import WSGIServer; from project.wsgi import application;"
        "WSGIServer(('127.0.0.1', {port}), application).serve_forever()",
    ],
    "werkzeug": [
        *("python", "-c"),
        "from werkzeug.serving import run_simple; from project.wsgi import application;"
        "run_simple('127.0.0.1', {port}, application)",
    ],
    "wsgiref": [
        *("python", "-c"),
        "from wsgiref.simple_server import make_server; from project.wsgi import application;"
        "make_server('127.0.0.1', {port}, application).serve_forever()",
    ],
}


class UnixConnection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(serving.DEADLINE)
        self.sock.connect(self.host)


@contextlib.contextmanager
def running(command, log):
    """Run a server; end it, and what it has started, in the end."""
    program = BIN / command[0]
    environment = {**os.environ, "PYTHONPATH": f"{TESTS.parent}:{TESTS}", "PYTHONUNBUFFERED": "1"}
    with (
        log.open("w") as output,
        subprocess.Popen(
            [program, *command[1:]], cwd=TESTS, env=environment, stdout=output, stderr=output
        ) as server,
    ):
        watchdog = threading.Timer(serving.DEADLINE, server.kill)
        watchdog.start()
        try:
            yield server
        finally:
            server.terminate()
            server.wait(serving.DEADLINE)
            watchdog.cancel()


def wait_until_up(server, connect, log):
    while server.poll() is None:
        with contextlib.suppress(OSError), contextlib.closing(connect()) as probe:
            probe.connect()
            return
        time.sleep(0.02)
    pytest.fail(f"the server did not start:\n{log.read_text()}")


def free_port():
    """Not every server takes 0 and says what it got."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_gateway_and_django_understand_each_other(name, tmp_path):
    port, sock, log = free_port(), tmp_path / "s", tmp_path / "log"
    command = [part.format(port=port, socket=sock) for part in COMMANDS[name]]
    connect = serving.over_tcp(port)
    if "{socket}" in str(COMMANDS[name]):
        connect = lambda: UnixConnection(str(sock))  # noqa: E731
    with running(command, log) as server:
        wait_until_up(server, connect, log)
        serving.answers_the_gateway(connect)
        serving.believes_its_questions(connect)
        serving.believes_the_gateway(connect)
        serving.believes_any_spelling(connect)
        serving.leads_to_the_login(connect)
        serving.believes_nobody_else(connect)
        assert "not believed" in log.read_text()
