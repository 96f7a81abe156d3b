"""`manage.py gateway_check`: both directions, and an exit code for each thing that can be wrong."""

import signal
import subprocess

import pytest

#: So that the command alone can be given wrong settings.
SETTINGS = """
import os
USE_X_FORWARDED_HOST = "TRUST_HOST" in os.environ
ALLOWED_HOSTS += os.environ.get("FURTHER_HOSTS", "").split()
"""


@pytest.fixture
def check(project, request):
    """Runs the command against the project's gateway; returns its exit code and what it says."""
    project.variables = getattr(request, "param", {})
    with (project.folder / "site_of_ann" / "settings.py").open("a") as file:
        file.write(SETTINGS)
    origin = project.start_gateway_and_django()
    command = [project.bin / "python", "manage.py", "gateway_check"]
    where = ["--url", f"{origin}/ws/notifications/", "--ca", project.folder / "certs" / "ca.pem"]

    def run(**variables):
        ran = subprocess.run(
            [*command, *where],
            cwd=project.folder,
            env=project.environment | variables,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in ran.stderr, ran.stderr
        return ran.returncode, ran.stdout

    return run


def test_a_sound_project(check):
    code, said = check()
    assert code == 0, said
    lines = said.splitlines()
    assert [line.split()[0] for line in lines] == ["fine"] * 4
    assert "asks Django who a session is" in lines[-1]


def test_wrong_settings_are_1(check):
    code, said = check(TRUST_HOST="1")
    assert (code, "gatepost.W013" in said) == (0, True)  # A warning is no error.
    code, said = check(FURTHER_HOSTS="http://localhost")
    assert code == 1
    assert "gatepost.E006" in said
    assert "Write 'localhost'" in said


def test_a_gateway_that_is_away_is_2(check, project):
    gateway, _ = project.processes
    gateway.signal(signal.SIGTERM)
    gateway.wait()
    code, said = check()
    assert code == 2
    assert "cannot reach the gateway" in said


def test_another_secret_is_3(check):
    code, said = check(GATEPOST_SECRET="x" * 40)
    assert code == 3
    assert "same secret" in said


def test_a_django_that_is_away_is_4(check, project):
    _, django = project.processes
    django.signal_group(signal.SIGKILL)
    django.wait()
    code, said = check()
    assert code == 4
    assert "gets no judgement" in said
    assert "(1013)" in said


@pytest.mark.parametrize("check", [{"GATEPOST_AUTH__URL": "/admin/"}], indirect=True)
def test_a_view_that_is_not_ours_is_4(check):
    code, said = check()
    assert code == 4
    assert "gets no answer from the auth view" in said
    assert "(1011)" in said
