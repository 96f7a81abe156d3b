"""Which binary `gatepost`, `python -m gatepost` and `rungateway` run."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from gatepost.program import binary

PACKAGE = Path(binary.__file__).parent


def program(path, text="#!/bin/sh\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def places(monkeypatch, tmp_path):
    """Nothing is installed anywhere; the package lies in tmp_path/python/gatepost."""
    schemes = {None: tmp_path / "venv", sysconfig.get_preferred_scheme("user"): tmp_path / "user"}
    monkeypatch.setattr(
        sysconfig, "get_path", lambda name, scheme=None: str(schemes[scheme] / name)
    )
    file = tmp_path / "python" / "gatepost" / "program" / "binary.py"
    monkeypatch.setattr(binary, "__file__", str(file))
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.delenv("GATEPOST_BIN", raising=False)
    monkeypatch.delenv("CARGO_TARGET_DIR", raising=False)
    return tmp_path


def test_the_variable_comes_first(places, monkeypatch):
    program(places / "venv" / "scripts" / "gatepost")
    named = program(places / "mine")
    monkeypatch.setenv("GATEPOST_BIN", str(named))
    assert binary.find() == named


def test_a_variable_that_names_nothing_is_not_passed_over(places, monkeypatch):
    program(places / "venv" / "scripts" / "gatepost")
    monkeypatch.setenv("GATEPOST_BIN", str(places / "gone"))
    with pytest.raises(binary.BinaryMissingError, match=r"GATEPOST_BIN names .*gone"):
        binary.find()


@pytest.mark.parametrize(
    "place",
    ["venv/scripts/gatepost", "user/scripts/gatepost", "python/bin/gatepost", "path/gatepost"],
)
def test_where_pip_puts_programs_and_then_the_path(places, place):
    made = program(places / place)
    assert binary.find() == made


def test_a_clone_uses_its_newest_build(places, monkeypatch):
    program(places / "venv" / "scripts" / "gatepost")
    (places / "Cargo.toml").touch()
    debug = program(places / "target" / "debug" / "gatepost")
    release = program(places / "target" / "release" / "gatepost")
    os.utime(debug, (1, 1))
    assert binary.find() == release
    os.utime(release, (0, 0))
    assert binary.find() == debug
    monkeypatch.setenv("CARGO_TARGET_DIR", str(places / "elsewhere"))
    elsewhere = program(places / "elsewhere" / "debug" / "gatepost")
    assert binary.find() == elsewhere


def test_what_cannot_be_run_is_passed_over(places):
    program(places / "venv" / "scripts" / "gatepost").chmod(0o644)
    behind = program(places / "path" / "gatepost")
    assert binary.find() == behind


def test_without_any_it_is_said_where_it_was_looked_for(places):
    with pytest.raises(binary.BinaryMissingError, match="pip install gatepost") as caught:
        binary.find()
    assert str(places / "venv" / "scripts") in str(caught.value)


def run_module(binary_path, *arguments):
    """`python -m gatepost`, with arguments."""
    return subprocess.run(
        [sys.executable, "-m", "gatepost", *arguments],
        env={"PYTHONPATH": str(PACKAGE.parent), "GATEPOST_BIN": str(binary_path)},
        capture_output=True,
        text=True,
    )


def test_the_module_becomes_the_binary(tmp_path):
    """It has the module's process id, so that a service manager's signal reaches it."""
    script = program(tmp_path / "gatepost", '#!/bin/sh\necho "$PPID" "$@"\nexit 7\n')
    ran = run_module(script, "check", "--config", "a file")
    assert ran.returncode == 7
    assert ran.stdout == f"{os.getpid()} check --config a file\n"


def test_the_module_says_in_a_sentence_that_there_is_no_binary(tmp_path):
    ran = run_module(tmp_path / "none")
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: GATEPOST_BIN names ")
    assert "Traceback" not in ran.stderr
