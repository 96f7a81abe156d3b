"""Slow clients in front of a Django that has one worker, which does one thing at a time."""

import hashlib
import http.client
import json
import socket

import pytest

from harness.site import Site
from harness.wait import wait_until

CROWD = 100
# More than the sockets between gunicorn and a client hold that reads nothing. So many of them are
# less than what one address may have kept.
SIP, SIPPING = 12 * 1024 * 1024, 20


class OneWorker(Site):
    """gunicorn as it is without any option."""

    workers = ("--workers", "1", "--worker-class", "sync")


@pytest.fixture
def site(tmp_path, playwright):
    running = OneWorker(tmp_path, playwright)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def connect(site):
    """Opens connections whose client takes few bytes at a time."""
    opened = []

    def open_one():
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.settimeout(20)
        plain.connect(("127.0.0.1", site.https_port))
        opened.append(site.tls().wrap_socket(plain, server_hostname="localhost"))
        return opened[-1]

    yield open_one
    for connection in opened:
        connection.close()


def page(site):
    """The status of another client's page."""
    connection = http.client.HTTPSConnection(
        "localhost", site.https_port, context=site.tls(), timeout=10
    )
    connection.request("GET", "/accounts/login/")
    return connection.getresponse().status


def send(connection, site, method, path, fields=""):
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost:{site.https_port}\r\n{fields}\r\n"
    connection.sendall(head.encode())


def test_stalled_uploads_leave_the_only_worker_to_others(site, connect):
    body = b"x" * 200_000
    path, length = "/api/probe/upload/", f"Content-Length: {len(body)}\r\n"
    uploads = [connect() for _ in range(CROWD)]
    for upload in uploads:
        send(upload, site, "POST", path, length)
        upload.sendall(body[:100_000])

    assert page(site) == 200

    assert site.asked("POST") == 0
    uploads[0].sendall(body[100_000:])
    answer = http.client.HTTPResponse(uploads[0])
    answer.begin()
    assert json.load(answer) == {
        "sha256": hashlib.sha256(body).hexdigest(),
        "size": len(body),
        "content_length": str(len(body)),
    }


def test_downloads_that_nobody_takes_leave_the_only_worker_to_others(site, connect):
    downloads = [connect() for _ in range(SIPPING)]
    for download in downloads:
        send(download, site, "GET", f"/api/probe/download/?size={SIP}&length=1")

    assert page(site) == 200

    wait_until(lambda: site.asked("GET /api/probe/download/") == SIPPING, "Django gave all of them")
    answer = http.client.HTTPResponse(downloads[0])
    answer.begin()
    assert len(answer.read()) == SIP
