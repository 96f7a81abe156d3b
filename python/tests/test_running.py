"""What `rungateway` leaves for other terminals; e2e/test_rungateway.py has the whole."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gatepost import conf, running
from gatepost.devserver import plan
from gatepost.program import gateway_toml
from gatepost.sending import client

HERE = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def base(settings, tmp_path, monkeypatch):
    monkeypatch.delenv("GATEPOST_URL", raising=False)
    settings.GATEPOST = {}
    settings.DEBUG = True
    settings.BASE_DIR = tmp_path / "project" / "backend"
    settings.BASE_DIR.mkdir(parents=True)
    return settings.BASE_DIR


@pytest.fixture
def a_run(tmp_path):
    return running.Running(
        url="https://localhost:8444/",
        internal="http://127.0.0.1:9401",
        config=tmp_path / "elsewhere" / "gateway.toml",
        ca=tmp_path / "elsewhere" / "certs" / "ca.pem",
        environment={"GATEPOST_SERVER__HTTPS": "127.0.0.1:8444"},
    )


@pytest.fixture
def leave(a_run):
    """Leaves it in a folder, until the end of the test."""
    left = []

    def leave(folder, run=a_run):
        left.append(running.RunFile(folder, run))
        return left[-1]

    yield leave
    for one in left:
        one.withdraw()


def test_every_other_process_finds_the_running_gateway(base, a_run, leave):
    assert running.find() is None
    leave(base.parent)
    assert running.find() == a_run
    assert client.urls() == ["http://127.0.0.1:9401"]
    assert gateway_toml.in_force() == a_run.config


def test_it_is_for_its_owner_alone_and_for_no_repository(base, leave):
    leave(base)
    folder = base / ".gatepost"
    assert (folder / ".gitignore").read_text() == "*\n"
    assert stat.S_IMODE((folder / running.NAME).stat().st_mode) == 0o600


def test_what_the_project_or_the_terminal_says_comes_first(base, leave, settings, monkeypatch):
    leave(base)
    monkeypatch.setenv("GATEPOST_URL", "http://127.0.0.1:9444")
    assert client.urls() == ["http://127.0.0.1:9444"]
    settings.GATEPOST = {"URL": "unix:/run/gatepost.sock"}
    assert client.urls() == ["unix:/run/gatepost.sock"]


def test_without_debug_nothing_is_looked_for(base, leave, settings):
    leave(base)
    settings.DEBUG = False
    assert running.find() is None
    assert client.urls() == [conf.DEFAULTS["URL"]]


def test_when_it_ends_nothing_is_left(base, leave):
    left = running.RunFile(base, running.Running("u", "i", base, None, {}))
    left.withdraw()
    assert running.find() is None
    assert running.left_behind() is None


def test_what_a_killed_one_left_is_noticed(base):
    code = f"""
import os
from pathlib import Path
from django.conf import settings
settings.configure(DEBUG=True)
from gatepost import running
left = running.RunFile(Path({str(base)!r}), running.Running("u", "i", Path("c"), None, {{}}))
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(HERE)}, check=False)
    assert running.left_behind() == base / ".gatepost" / running.NAME
    assert running.find() is None
    assert client.urls() == [conf.DEFAULTS["URL"]]


def test_the_last_one_that_was_started_counts(base, a_run, leave):
    first = running.RunFile(base, running.Running("u", "i", base, None, {}))
    leave(base)
    assert running.find() == a_run
    first.withdraw()  # It is no longer its own.
    assert running.find() == a_run


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", '{"url": 1}', '{"environment": 1}'])
def test_what_cannot_be_read_is_passed_over(base, leave, text):
    leave(base)
    (base / ".gatepost" / running.NAME).write_text(text)
    assert running.find() is None


def test_somebody_elses_is_not_believed(base, leave, monkeypatch):
    leave(base)
    stranger = SimpleNamespace(st_uid=os.geteuid() + 1)
    monkeypatch.setattr(Path, "stat", lambda self: stranger)
    assert running.find() is None
    monkeypatch.undo()


def test_no_secret_is_left(base, settings, tmp_path, leave):
    settings.GATEPOST = {"SECRET": "s" * 40}
    decided = plan.Plan(tmp_path / "gatepost", tmp_path / "gateway.toml", "127.0.0.1:8000")
    decided.decide_secret()
    decided.decide_internal()
    leave(base, decided.announced("https://localhost:8443/", None))
    said = json.loads((base / ".gatepost" / running.NAME).read_text())
    assert "s" * 40 not in str(said)
    assert said["internal"] == decided.internal
