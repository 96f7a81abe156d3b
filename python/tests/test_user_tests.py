"""Test modules as users write them (``samples``), run as they run them."""

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

PYTHON = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that makes Python believe that the package is installed, entry point included."""
    folder = tmp_path_factory.mktemp("installed")
    said = (PYTHON / "pyproject.toml").read_text()
    plugins = re.search(r"^\[project\.entry-points\.(pytest11)\]\n(\w+) = \"(.+)\"$", said, re.M)
    (folder / "gatepost-0.1.0.dist-info").mkdir()
    metadata = "Metadata-Version: 2.1\nName: gatepost\nVersion: 0.1.0\n"
    (folder / "gatepost-0.1.0.dist-info" / "METADATA").write_text(metadata)
    entry_points = "[{}]\n{} = {}\n".format(*plugins.groups())
    (folder / "gatepost-0.1.0.dist-info" / "entry_points.txt").write_text(entry_points)
    return folder


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """A copy, away from these tests' own conftest."""
    folder = tmp_path_factory.mktemp("project") / "samples"
    copytree(PYTHON / "tests" / "samples", folder, ignore=ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def run(installed, samples, gateway):
    """Run as a user does on whose machine a gateway runs; nothing may reach that."""

    def run(*command, cwd=samples, **environment):
        environment = {"GATEPOST_URL": gateway.url, **environment}
        inherited = {name: text for name, text in os.environ.items() if "DJANGO" not in name}
        path = os.pathsep.join(map(str, (PYTHON, installed, samples)))
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", *command],
            cwd=cwd,
            env={**inherited, "PYTHONPATH": path, "COLUMNS": "200", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )

    yield run
    assert gateway.calls == []


def test_with_pytest_django(run):
    ran = run("pytest", "test_shop.py", "shop/tests.py")
    assert ran.returncode == 0, ran.stdout
    assert "17 passed" in ran.stdout


def test_with_pytest_alone(run, samples):
    ran = run("pytest", "-p", "no:django", "-c", os.devnull, "test_plain.py", cwd=samples / "plain")
    assert ran.returncode == 0, ran.stdout
    assert "4 passed" in ran.stdout


def test_with_pytest_alone_the_live_gateway_says_what_it_needs(run, samples):
    ran = run(
        "pytest", "-p", "no:django", "-c", os.devnull, "failing_plain.py", cwd=samples / "plain"
    )
    assert ran.returncode == 1
    assert "live_gateway needs the live_server of pytest-django" in ran.stdout
    assert "gatepost.testing.LiveGatewayTestCase" in ran.stdout


@pytest.mark.parametrize("options", [[], ["--parallel=2"]], ids=["alone", "parallel"])
def test_with_djangos_runner(run, options):
    command = ("django", "test", "shop.tests", *options)
    ran = run(*command, DJANGO_SETTINGS_MODULE="shop.settings")
    assert ran.returncode == 0, ran.stdout
    assert "Ran 9 tests" in ran.stdout


def test_djangos_runner_shows_the_gateways_log_of_a_failing_test(run):
    ran = run("django", "test", "shop.failing", DJANGO_SETTINGS_MODULE="shop.settings")
    assert ran.returncode == 1
    assert "SocketClosedError: the gateway closed the socket: 4001 'not logged in'" in ran.stdout
    assert "The gateway's log, for test_a_stranger (" in ran.stdout
    assert " INFO ready https=127.0.0.1:" in ran.stdout


def test_pytest_shows_what_was_sent_and_the_gateways_log_of_failing_tests(run):
    ran = run("pytest", "failing_shop.py")
    assert ran.returncode == 1
    assert "4 failed" in ran.stdout
    assert 'was not notified with {"type":"order_paid","order":8}.' in ran.stdout
    assert '-   "order": 8,' in ran.stdout
    assert '+   "order": 7,' in ran.stdout
    assert "user 7 was not notified." in ran.stdout
    assert ran.stdout.count("- The gateway's log -") == 2
    assert ran.stdout.count(" INFO ready https=127.0.0.1:") == 2


def test_a_project_without_django_is_left_alone(run, tmp_path):
    (tmp_path / "test_sum.py").write_text("def test_sum():\n    assert 1 + 1 == 2\n")
    ran = run("pytest", "-p", "no:django", cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout
    assert "1 passed" in ran.stdout
