"""The signature survives the way through the servers that people run Django on."""

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import AUTH, HEADERS
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

import fakes
from project.wsgi import application

HERE = Path(__file__).parent
DEADLINE = 30

COMMANDS = {
    "gunicorn-sync": ["gunicorn", "--bind", "127.0.0.1:0", "project.wsgi"],
    "gunicorn-gthread": ["gunicorn", "--bind", "127.0.0.1:0", "--threads", "2", "project.wsgi"],
    "gunicorn-unix": ["gunicorn", "--bind", "unix:{folder}/gunicorn.sock", "project.wsgi"],
    "uvicorn": ["uvicorn", "--port", "0", "project.asgi:application"],
    "uvicorn-unix": ["uvicorn", "--uds", "{folder}/uvicorn.sock", "project.asgi:application"],
}


class UnixConnection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)


@pytest.fixture
def runserver():
    """The very server and handler of manage.py runserver."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.daemon_threads = True
    server.set_app(application)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield lambda: http.client.HTTPConnection(*server.server_address[:2], timeout=DEADLINE)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=COMMANDS)
def process(request, tmp_path):
    """One of COMMANDS, in a process of its own."""
    command = [part.format(folder=tmp_path) for part in COMMANDS[request.param]]
    with subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=HERE,
        env={"PYTHONPATH": f"{HERE.parent}:{HERE}", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        watchdog = threading.Timer(DEADLINE, server.kill)
        watchdog.start()
        log = []
        for line in server.stdout:
            log.append(line)
            if "Listening at" in line or "running on" in line:
                break
        else:
            pytest.fail(f"{command[0]} did not start:\n{''.join(log)}")
        (sock,) = list(tmp_path.glob("*.sock")) or [None]
        port = re.search(r"127\.0\.0\.1:(\d+)", line)
        if sock:
            yield lambda: UnixConnection(str(sock))
        else:
            yield lambda: http.client.HTTPConnection("127.0.0.1", int(port[1]), timeout=DEADLINE)
        server.terminate()
        server.communicate(timeout=DEADLINE)
        watchdog.cancel()


def ask(connect, target, **changes):
    headers = {
        "Host": HEADERS["host"],
        "X-Forwarded-For": HEADERS["x_forwarded_for"],
        "X-Forwarded-Proto": HEADERS["x_forwarded_proto"],
        "Gatepost-Signature": fakes.sign("GET", target, **HEADERS),
        **changes,
    }
    connection = connect()
    connection.request("GET", target, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, body


def holds_for(connect, targets):
    for target in targets:
        status, body = ask(connect, target)
        assert status == 200, (target, body)
        assert json.loads(body)["user"] is None
    status, body = ask(connect, AUTH, **{"X-Forwarded-For": "192.0.2.8"})
    assert status == 403
    assert json.loads(body)["error"] == "bad_signature"


ORDINARY = [AUTH, f"{AUTH}?next=%2Fa%20b&x=%C3%A4+1&empty="]


def test_runserver(runserver):
    holds_for(runserver, ORDINARY)


def test_a_server_of_its_own(process):
    # These keep the path of the request line, so that any spelling of it holds.
    holds_for(process, [*ORDINARY, "/%5Fgatepost/auth/"])
