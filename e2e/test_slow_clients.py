"""Slow clients in front of a Django that has one worker, which does one thing at a time."""

import hashlib
import http.client
import json

import pytest

from harness.one_worker import DELAY, OneWorker
from harness.slow_client import Http1, Http2, sip
from harness.wait import wait_until

CROWD = 100
# More than the sockets between gunicorn and a client hold that reads nothing. So many of them are
# less than what one address may have kept, so many more.
SIP, SIPPING, TOO_MANY = 12 * 1024 * 1024, 20, 40


@pytest.fixture(scope="module")
def site(tmp_path_factory, playwright):
    running = OneWorker(tmp_path_factory.mktemp("site"), playwright)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def roomy(tmp_path_factory, playwright):
    """A site at which one address may have kept what a crowd does not take."""
    running = OneWorker(tmp_path_factory.mktemp("roomy"), playwright)
    running.settings = '[buffering]\ndisk = "8GiB"'
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


@pytest.mark.parametrize("crowd", [1, CROWD])
def test_stalled_uploads_leave_the_only_worker_to_others(site, clients, crowd):
    for _ in range(crowd):
        clients.begin("POST", "/api/probe/upload/", length=200_000, body=b"x" * 8_000)

    status, took = site.page()

    assert (status, took < DELAY) == (200, True), took
    assert site.asked("POST") == 0


@pytest.mark.parametrize("crowd", [1, SIPPING])
def test_downloads_that_nobody_takes_leave_the_only_worker_to_others(site, clients, crowd):
    before = site.downloads()
    for _ in range(crowd):
        clients.begin("GET", f"/api/probe/download/?size={SIP}&length=1")

    wait_until(lambda: site.downloads() == before + crowd, "Django gave all of them")
    status, took = site.page()

    assert (status, took < DELAY) == (200, True), took


@pytest.mark.parametrize("protocol", [Http1, Http2])
def test_a_crowd_of_downloads_that_nobody_takes_leaves_the_only_worker_to_others(roomy, protocol):
    before = roomy.downloads()
    crowd = protocol(roomy)
    for _ in range(CROWD):
        crowd.begin("GET", f"/api/probe/download/?size={SIP}&length=1")

    wait_until(lambda: roomy.downloads() == before + CROWD, "Django gave all of them", patience=120)
    status, took = roomy.page()
    crowd.close()

    assert (status, took < DELAY) == (200, True), took


def test_who_has_more_kept_than_its_share_gives_way_to_others(site, clients):
    before = site.downloads()
    for _ in range(TOO_MANY):
        clients.begin("GET", f"/api/probe/download/?size={SIP}&length=1")
    # What Django has begun to do for them it does first.
    wait_until(lambda: site.downloads() > before + SIPPING, "no room is left")

    for address in ["127.0.0.2", "127.0.0.1", "127.0.0.2"]:
        status, took = site.page(address)
        sip(clients)
        assert (status, took < DELAY) == (200, True), (address, took)

    wait_until(lambda: site.downloads() == before + TOO_MANY, "Django is done with all of them")
    assert site.page()[1] < DELAY
    said = [line for line in site.gateway.lines if "cut off an answer whose client is slow" in line]
    assert said


def test_what_was_kept_arrives_whole(site):
    body = b"x" * 200_000
    upload = Http1(site)
    upload.begin("POST", "/api/probe/upload/", length=len(body), body=body[:100_000])
    assert site.page()[0] == 200
    upload.connections[0].sendall(body[100_000:])
    answer = http.client.HTTPResponse(upload.connections[0])
    answer.begin()
    assert json.load(answer) == {
        "sha256": hashlib.sha256(body).hexdigest(),
        "size": len(body),
        "content_length": str(len(body)),
    }

    before = site.downloads()
    download = Http1(site)
    download.begin("GET", f"/api/probe/download/?size={SIP}&length=1")
    wait_until(lambda: site.downloads() == before + 1, "Django gave it")
    answer = http.client.HTTPResponse(download.connections[0])
    answer.begin()
    assert len(answer.read()) == SIP


@pytest.mark.parametrize("protocol", [Http1, Http2])
def test_a_page_whose_client_has_left_is_ended_and_the_worker_serves_others(site, protocol):
    before, begun = site.asked("GET /api/probe/patient/ 204"), site.begun()
    leaves = protocol(site)
    leaves.begin("GET", "/api/probe/patient/?seconds=60")
    wait_until(lambda: site.begun() == begun + 1, "the only worker has it")
    leaves.close()

    status, _ = site.page()

    assert status == 200
    ended = "GET /api/probe/patient/ 204"
    wait_until(lambda: site.asked(ended) == before + 1, "Django says that it ended that page")


@pytest.mark.parametrize("protocol", [Http1, Http2])
def test_what_a_client_sent_that_has_left_is_done_and_what_it_publishes_heard(site, protocol):
    done, told = site.asked("POST /api/probe/tell/ 200"), site.publications()
    begun = site.begun()
    leaves = protocol(site)
    leaves.begin("POST", "/api/probe/tell/?word=hello", length=0)
    wait_until(lambda: site.begun() == begun + 1, "the only worker has it")
    leaves.close()

    wait_until(lambda: site.publications() == told + 1, "the gateway heard what was published")

    wait_until(lambda: site.asked("POST /api/probe/tell/ 200") == done + 1, "Django is done")
