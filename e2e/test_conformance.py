"""RFC 6455: Autobahn's cases against an `echo` socket route, over TLS."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import kosoku
import pytest

from harness.process import Process
from harness.site import gateway_binary, ready_addresses
from harness.tls_bridge import tls_bridge

CASES = 247
# Group 9: big messages, and many of them.
PERFORMANCE_CASES = 54
# permessage-deflate, which is not offered.
EXCLUDED = ["12.*", "13.*"]

# Messages of up to 16 MiB, and a thousand of them as fast as they can be sent.
CONFIG = """
[server]
https = "127.0.0.1:0"
http = "127.0.0.1:0"
internal = "127.0.0.1:0"
hosts = ["localhost"]
lan = false

[django]
upstream = "http://127.0.0.1:9"

[[sockets]]
path = "/echo/"
echo = true

[limits]
message_size = "32MiB"
message_rate = "1000000/s"

[delivery]
outbox_frames = 4096
outbox_size = "64MiB"
"""


@pytest.fixture
def gateway(tmp_path):
    config = tmp_path / "gateway.toml"
    config.write_text(CONFIG)
    command = [gateway_binary(), "run", "--config", config, "--log-format", "json"]
    process = Process("gatepost", command, tmp_path, {})
    try:
        process.https_port = process.wait_for_line(
            ready_addresses, "the line that says it is ready"
        )["https"]
        process.ca_file = tmp_path / "certs" / "ca.pem"
        yield process
    finally:
        process.stop()


async def run_cases(gateway):
    async with tls_bridge(gateway.https_port, gateway.ca_file) as port:
        try:
            return await kosoku.run_fuzzingclient(
                f"ws://localhost:{port}/echo/", None, EXCLUDED, concurrency=4
            )
        except kosoku.FailureError as failure:
            return failure.results


def test_all_cases_of_rfc_6455_pass(gateway):
    # In a thread: the browser driver of other tests has a loop in this one.
    with ThreadPoolExecutor(1) as pool:
        results = pool.submit(asyncio.run, run_cases(gateway)).result()

    failed = {
        result.case_id: f"{result.behavior.value}: {result.result}"
        for result in results
        if not result.passed
    }
    print(Counter(result.behavior.value for result in results))
    assert failed == {}
    assert len(results) == CASES + PERFORMANCE_CASES
