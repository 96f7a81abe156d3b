"""What Chromium makes of the gateway before `gatepost trust`, after it, and after `--remove`."""

import os
import subprocess

import pytest
from playwright.sync_api import Error

from harness.browser import CHROMIUM, FLAGS
from harness.process import Process
from harness.site import gateway_binary, ready_addresses

CONFIG = """
[server]
https = "127.0.0.1:0"
http = ""
internal = "127.0.0.1:0"
lan = false

[frontend]
root = "www"
"""


@pytest.fixture
def home(tmp_path):
    """A home of somebody who has never trusted anything."""
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def gateway(tmp_path):
    """A gateway with its own local CA, and its port."""
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "index.html").write_text("<h1>Trusted</h1>")
    (tmp_path / "gateway.toml").write_text(CONFIG)
    running = Process("gatepost", [gateway_binary(), "run", "--log-format", "json"], tmp_path, {})
    yield running.wait_for_line(ready_addresses, "it is ready")["https"]
    running.stop()


def trust(folder, home, *arguments):
    """What `gatepost trust` says that it did."""
    command = [gateway_binary(), "trust", "--browsers", *arguments]
    ran = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def heading(playwright, home, port):
    """The page's heading as a Chromium shows it that is started now; or why it shows none."""
    environment = os.environ | {"HOME": str(home)}
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, env=environment)
    try:
        page = chromium.new_context(ignore_https_errors=False).new_page()
        page.goto(f"https://localhost:{port}/")
        return page.inner_text("h1")
    except Error as error:
        return error.message
    finally:
        chromium.close()


def test_chromium_warns_before_trusts_after_and_warns_again_once_it_is_removed(
    gateway, tmp_path, home, playwright
):
    assert "ERR_CERT_AUTHORITY_INVALID" in heading(playwright, home, gateway)

    assert "added" in trust(tmp_path, home)
    assert heading(playwright, home, gateway) == "Trusted"
    assert "already there" in trust(tmp_path, home)
    assert heading(playwright, home, gateway) == "Trusted"

    assert "removed" in trust(tmp_path, home, "--remove")
    assert "ERR_CERT_AUTHORITY_INVALID" in heading(playwright, home, gateway)
