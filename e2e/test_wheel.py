"""`pip install gatepost` brings all that a Django project needs."""

import subprocess

from harness.fresh import frame, installed_files, source_files


def test_the_wheel_holds_the_whole_package_and_nothing_else(environment):
    assert installed_files(environment) == source_files()


def test_the_wheel_fits_every_python_of_its_platform(wheel):
    assert wheel.name.startswith("gatepost-")
    assert "-py3-none-linux_" in wheel.name


def test_both_ways_to_call_the_gateway_are_the_same(environment, tmp_path):
    by_name = [environment / "bin" / "gatepost"]
    by_module = [environment / "bin" / "python", "-m", "gatepost"]
    said = []
    for command in (by_name, by_module):
        # Beside no gateway.toml, so that the exit code is one that only the gateway gives.
        ran = subprocess.run([*command, "check"], cwd=tmp_path, capture_output=True, text=True)
        said.append((ran.returncode, ran.stdout, ran.stderr))
    assert said[0] == said[1]
    assert said[0][0] == 2
    assert "gateway.toml" in said[0][2]


def test_a_fresh_project_with_four_lines_gets_a_notification_through(project):
    origin = project.start_gateway_and_django()
    browser = project.log_in(origin)

    with project.open_socket(browser, origin) as socket:
        project.manage(
            "shell",
            "--command",
            "from gatepost import notify; notify(1, {'type': 'notification', 'title': 'Hello'})",
        )
        assert frame(socket) == {"type": "notification", "title": "Hello"}
