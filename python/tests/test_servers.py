"""Gateway and Django understand each other through the servers that people run Django on.

None of them is told to trust anybody, and there is no SECURE_PROXY_SSL_HEADER.
"""

import http.client
import json
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import through
from conftest import AUTH
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler

import fakes
from project.wsgi import application

HEADERS = through.HEADERS
BATCH = "/_gatepost/sessions/"
HERE = Path(__file__).parent
DEADLINE = 30

COMMANDS = {
    "gunicorn-sync": ["gunicorn", "--bind", "127.0.0.1:0", "project.wsgi"],
    "gunicorn-gthread": ["gunicorn", "--bind", "127.0.0.1:0", "--threads", "2", "project.wsgi"],
    "gunicorn-unix": ["gunicorn", "--bind", "unix:{folder}/gunicorn.sock", "project.wsgi"],
    "uvicorn": ["uvicorn", "--port", "0", "project.asgi:application"],
    "uvicorn-unix": ["uvicorn", "--uds", "{folder}/uvicorn.sock", "project.asgi:application"],
    "daphne": ["daphne", "-b", "127.0.0.1", "-p", "0", "project.asgi:application"],
    "daphne-unix": ["daphne", "-u", "{folder}/daphne.sock", "project.asgi:application"],
}


#: What they say once they listen.
READY = ("Listening at", "running on", "Listening on", "endpoint unix")


class UnixConnection(http.client.HTTPConnection):
    def connect(self):
        deadline = time.monotonic() + DEADLINE
        while not Path(self.host).exists() and time.monotonic() < deadline:
            time.sleep(0.01)  # Daphne says nothing once it listens.
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
            if any(said in line for said in READY):
                break
        else:
            pytest.fail(f"{command[0]} did not start:\n{''.join(log)}")
        (sock,) = [part for part in command if part.endswith(".sock")] or [None]
        port = re.search(r"127\.0\.0\.1:(\d+)", line)
        if sock:
            yield lambda: UnixConnection(sock.removeprefix("unix:"))
        else:
            yield lambda: http.client.HTTPConnection("127.0.0.1", int(port[1]), timeout=DEADLINE)
        server.terminate()
        server.communicate(timeout=DEADLINE)
        watchdog.cancel()


def exchange(connect, method, target, *, body=None, signed=True, **headers):
    """Make one request as the gateway passes one on, and return what was answered."""
    added = through.signed_headers(method, target) if signed else {}
    connection = connect()
    connection.request(method, target, body, {**added, **headers})
    response = connection.getresponse()
    said = response.status, response.read(), response.headers
    connection.close()
    return said


def answers_the_gateway(connect, targets):
    """Check that the auth view knows the gateway, whatever the spelling of its path."""
    for target in targets:
        signature = fakes.sign("GET", target, **HEADERS)
        status, body, _ = exchange(connect, "GET", target, **{"Gatepost-Signature": signature})
        assert status == 200, (target, body)
        assert json.loads(body)["user"] is None
    status, body, _ = exchange(connect, "GET", AUTH, **{"X-Forwarded-For": "192.0.2.8"})
    assert status == 403
    assert json.loads(body)["error"] == "bad_signature"
    batch = b'{"sessions":["sessionid=x"]}'
    signature = fakes.sign("POST", BATCH, body=batch, **HEADERS)
    own = {"Gatepost-Signature": signature, "Content-Type": "application/json"}
    status, body, _ = exchange(connect, "POST", BATCH, body=batch, **own)
    assert status == 200, body
    assert len(json.loads(body)["sessions"]) == 1


def believes_the_gateway(connect, target="/seen/", **headers):
    """Check scheme and address, the CSRF check of a form, and what rides on the answer."""
    status, body, fields = exchange(connect, "GET", target, **headers)
    assert status == 200, (target, body)
    seen = json.loads(body)
    expected = {"secure": True, "url": "https://localhost:8443/", "address": through.ADDRESS}
    assert seen == {**expected, "trusted": True, "posted": None}
    assert through.decoded(fields["Gatepost-Publish"])[0]["frame"] == seen
    status, body, _ = exchange(
        connect,
        "POST",
        target,
        body=b"x=y&csrfmiddlewaretoken=" + b"a" * 32,
        **{
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": "csrftoken=" + "a" * 32,
            "Origin": "https://localhost:8443",
            **headers,
        },
    )
    assert status == 200, (target, body)
    assert json.loads(body) == {**expected, "trusted": True, "posted": "y"}


def believes_nobody_else(connect):
    """Check that what only the gateway may say counts for nothing without its signature."""
    said = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "Host": "localhost"}
    for headers in (said, {**said, "Gatepost-Signature": "t=1,v1=" + "0" * 64}):
        status, body, fields = exchange(connect, "GET", "/seen/", signed=False, **headers)
        assert status == 200
        assert json.loads(body)["trusted"] is False
        assert "Gatepost-Publish" not in fields


ORDINARY = [AUTH, f"{AUTH}?next=%2Fa%20b&x=%C3%A4+1&empty="]

#: Spellings that a server which hides the request line cannot give back.
ODD = ["/seen/%7e/?q=%7E", "/s%65en/", "/seen/%c3%a4", "/seen/?", "/seen/a%7Cb"]


def test_runserver(runserver):
    answers_the_gateway(runserver, ORDINARY)
    for target in ("/seen/", "/seen/a%20b/%C3%A4?q=%c3%a4&r=%7E"):
        believes_the_gateway(runserver, target)
    for target in ODD:
        believes_the_gateway(runserver, target, **{"Gatepost-Target": target})
    believes_nobody_else(runserver)


def test_a_server_of_its_own(process):
    # These keep the path of the request line, so that any spelling of it holds.
    answers_the_gateway(process, [*ORDINARY, "/%5Fgatepost/auth/"])
    for target in ["/seen/", *ODD]:
        believes_the_gateway(process, target, **{"Gatepost-Target": target})
    believes_nobody_else(process)
