"""Slow clients in front of a Django that has one worker, which does one thing at a time."""

import hashlib
import http.client
import json
import time

import pytest

from harness.site import Site
from harness.slow_client import Http1, Http2, connect, sip
from harness.wait import wait_until

CROWD = 100
# More than the sockets between gunicorn and a client hold that reads nothing. So many of them are
# less than what one address may have kept, so many more.
SIP, SIPPING, TOO_MANY = 12 * 1024 * 1024, 20, 40
# Another client's page takes less than this.
DELAY = 1.0


class OneWorker(Site):
    """gunicorn as it is without any option."""

    workers = ("--workers", "1", "--worker-class", "sync")


@pytest.fixture(scope="module")
def site(tmp_path_factory, playwright):
    running = OneWorker(tmp_path_factory.mktemp("site"), playwright)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(params=[Http1, Http2])
def clients(request, site):
    """Slow clients, all at one address."""
    opened = request.param(site)
    yield opened
    opened.close()


def page(site, address="127.0.0.2"):
    """The status of another client's page, and how long it took."""
    began = time.monotonic()
    with connect(site, address=address) as connection:
        head = f"GET /accounts/login/ HTTP/1.1\r\nHost: localhost:{site.https_port}\r\n\r\n"
        connection.sendall(head.encode())
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, time.monotonic() - began


def downloads(site):
    """How many Django has given."""
    return site.asked("GET /api/probe/download/")


@pytest.mark.parametrize("crowd", [1, CROWD])
def test_stalled_uploads_leave_the_only_worker_to_others(site, clients, crowd):
    for _ in range(crowd):
        clients.begin("POST", "/api/probe/upload/", length=200_000, body=b"x" * 8_000)

    status, took = page(site)

    assert (status, took < DELAY) == (200, True), took
    assert site.asked("POST") == 0


@pytest.mark.parametrize("crowd", [1, SIPPING])
def test_downloads_that_nobody_takes_leave_the_only_worker_to_others(site, clients, crowd):
    before = downloads(site)
    for _ in range(crowd):
        clients.begin("GET", f"/api/probe/download/?size={SIP}&length=1")

    wait_until(lambda: downloads(site) == before + crowd, "Django gave all of them")
    status, took = page(site)

    assert (status, took < DELAY) == (200, True), took


def test_who_has_more_kept_than_its_share_gives_way_to_others(site, clients):
    before = downloads(site)
    for _ in range(TOO_MANY):
        clients.begin("GET", f"/api/probe/download/?size={SIP}&length=1")
    # What Django has begun to do for them it does first.
    wait_until(lambda: downloads(site) > before + SIPPING, "no room is left")

    for address in ["127.0.0.2", "127.0.0.1", "127.0.0.2"]:
        status, took = page(site, address)
        sip(clients)
        assert (status, took < 5 * DELAY) == (200, True), (address, took)

    wait_until(lambda: downloads(site) == before + TOO_MANY, "Django is done with all of them")
    assert page(site)[1] < DELAY
    said = [line for line in site.gateway.lines if "cut off an answer whose client is slow" in line]
    assert said


def test_what_was_kept_arrives_whole(site):
    body = b"x" * 200_000
    upload = Http1(site)
    upload.begin("POST", "/api/probe/upload/", length=len(body), body=body[:100_000])
    assert page(site)[0] == 200
    upload.connections[0].sendall(body[100_000:])
    answer = http.client.HTTPResponse(upload.connections[0])
    answer.begin()
    assert json.load(answer) == {
        "sha256": hashlib.sha256(body).hexdigest(),
        "size": len(body),
        "content_length": str(len(body)),
    }

    before = downloads(site)
    download = Http1(site)
    download.begin("GET", f"/api/probe/download/?size={SIP}&length=1")
    wait_until(lambda: downloads(site) == before + 1, "Django gave it")
    answer = http.client.HTTPResponse(download.connections[0])
    answer.begin()
    assert len(answer.read()) == SIP
