"""What `manage.py gateway_config` writes is what the gateway takes."""

#: Settings of a project in production with everything that makes a line of its own.
PRODUCTION = """
DEBUG = False
ALLOWED_HOSTS = ["example.com", ".example.org", "10.0.0.5", "[::1]"]
SESSION_COOKIE_NAME = "shop"
STATIC_ROOT = BASE_DIR / "collected"
STATIC_URL = "/static/"
GATEPOST = {"SECRET": "s" * 40, "URL": "unix:/run/gatepost.sock"}
"""


def check(project):
    """What `gatepost check` says of the project's gateway.toml."""
    return project.run(project.bin / "gatepost", "check")


def rows(text):
    """Its table."""
    cells = (line.strip().split("  ", 1) for line in text.splitlines() if line.startswith("  "))
    return {name: value.strip() for name, value in cells}


def test_of_a_fresh_project(project):
    project.manage("gateway_config")

    said = rows(check(project))

    assert said["hosts"] == "localhost"
    assert said["/ws/notifications/"].startswith("WebSocket, sessions judged by Django")
    assert said["/"] == "Django at http://127.0.0.1:8000"


def test_of_a_project_in_production(project):
    with (project.folder / "site_of_ann" / "settings.py").open("a") as file:
        file.write(PRODUCTION)
    (project.folder / "collected").mkdir()
    project.manage("gateway_config")

    said = rows(check(project))

    assert said["hosts"] == "example.com, example.org, 10.0.0.5, [::1], *.example.org"
    assert said["internal"] == "unix:/run/gatepost.sock"
    assert said["/static/"] == f"files in {project.folder / 'collected'}"
    assert "s" * 40 not in (project.folder / "gateway.toml").read_text()


def test_of_a_project_with_a_frontend(project):
    (project.folder / "index.html").touch()
    (project.folder / "package.json").write_text(
        '{"scripts": {"dev": "vite"}, "devDependencies": {"vite": "7"}}'
    )
    project.manage("gateway_config")

    said = rows(check(project))

    assert said["/"] == "dev server at http://127.0.0.1:5173"
    assert said["/admin/"] == said["/static/admin/"] == "Django at http://127.0.0.1:8000"
