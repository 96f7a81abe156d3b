"""A disk that is full, really: what clients send and do not take is kept on one of 6 MiB."""

import http.client
import json
import subprocess

import pytest

from harness.one_worker import DELAY, OneWorker
from harness.slow_client import Http1
from harness.wait import wait_until

DISK, SIP = 6 * 1024 * 1024, 12 * 1024 * 1024
# What the sockets in between hold once the gateway reads no more.
MORE = 1024 * 1024
ALONE = ("unshare", "--user", "--map-root-user", "--mount")
MOUNT = f'mount -t tmpfs -o size={DISK} none "$0" && exec "$@"'


class SmallDisk(OneWorker):
    """The gateway sees a disk of its own, which others do not."""

    def __init__(self, folder, playwright):
        super().__init__(folder, playwright)
        disk = folder / "disk"
        disk.mkdir()
        self.starter = (*ALONE, "sh", "-c", MOUNT, disk)
        self.settings = f'[buffering]\nfolder = "{disk}"'


@pytest.fixture(scope="module")
def site(tmp_path_factory, playwright):
    if subprocess.run([*ALONE, "true"], check=False).returncode:
        pytest.skip("nobody but root may mount anything here")
    running = SmallDisk(tmp_path_factory.mktemp("site"), playwright)
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture
def clients(site):
    opened = Http1(site)
    yield opened
    opened.close()


def answer_of(connection):
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer


def upload(site, size):
    """The answer to a body of this size, which is sent as it is taken."""
    connection = http.client.HTTPSConnection(
        "localhost", site.https_port, context=site.tls(), timeout=30
    )
    connection.request("POST", "/api/probe/upload/", body=b"x" * size)
    return connection.getresponse()


def test_an_upload_waits_and_is_refused_while_pages_come_and_then_there_is_room_again(
    site, clients
):
    clients.begin("POST", "/api/probe/upload/", length=SIP, body=b"x" * (DISK + MORE))
    status, took = site.page()
    assert (status, took < DELAY) == (200, True), took

    refused = answer_of(clients.connections[0])

    assert (refused.status, refused.headers["Retry-After"]) == (503, "5")
    assert json.load(upload(site, DISK // 2))["size"] == DISK // 2


def test_an_answer_that_is_taken_arrives_whole(site, clients):
    clients.begin("GET", f"/api/probe/download/?size={SIP}&length=1")

    assert len(answer_of(clients.connections[0]).read()) == SIP


def test_an_answer_that_is_not_taken_gives_way_to_others(site, clients):
    before = site.downloads()
    clients.begin("GET", f"/api/probe/download/?size={SIP}&length=1")
    wait_until(lambda: "cannot keep an answer" in site.gateway.output(), "the disk is full")

    status, took = site.page()

    assert (status, took < DELAY) == (200, True), took
    wait_until(lambda: site.downloads() == before + 1, "Django is rid of it")
    assert json.load(upload(site, DISK // 2))["size"] == DISK // 2
