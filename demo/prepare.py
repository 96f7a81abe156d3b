"""What `make demo` installs and prepares before it starts anything.

Called by ``run``. A second run finds nothing to do, but for what changed.
"""

import argparse
import os
import secrets
import subprocess
import sys
from pathlib import Path

DEMO = Path(__file__).resolve().parent
ROOT = DEMO.parent
STATE = DEMO / ".gatepost"
BACKEND = DEMO / "backend"
FRONTEND = DEMO / "frontend"
PYTHON = DEMO / ".venv" / "bin" / "python"


def install(options: argparse.Namespace) -> Path:
    """Brings everything up to date and returns the gateway's binary."""
    run(ROOT / "scripts" / "venv.sh", DEMO / ".venv", DEMO / "requirements.txt")
    if options.dev:
        run(ROOT / "scripts" / "npm-packages.sh", FRONTEND)
    binary = os.environ.get("GATEPOST_BIN")
    if not binary:
        step("building the gateway (some minutes the first time)")
        run("cargo", "build", "--locked", *[] if sys.stderr.isatty() else ["--quiet"])
        binary = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "debug" / "gatepost"
    step("preparing the database, the accounts and the static files")
    environment = django_environment(options)
    for command in (
        ["migrate", "--verbosity=0"],
        ["demo_users"],
        ["demo_orders"],
        ["collectstatic", "--no-input", "--verbosity=0"],
    ):
        run(PYTHON, "manage.py", *command, cwd=BACKEND, env=environment)
    return Path(binary)


def kept_secret(name: str) -> str:
    """A secret of this machine, made once and readable by its owner only."""
    STATE.mkdir(mode=0o700, exist_ok=True)
    file = STATE / name
    if not file.exists():
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as out:
            out.write(secrets.token_hex(32))
    return file.read_text().strip()


def django_environment(options: argparse.Namespace) -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(ROOT / "python"),
        "PYTHONUNBUFFERED": "1",
        "GATEPOST_SECRET": kept_secret("secret"),
        "DEMO_SECRET_KEY": kept_secret("django-secret-key"),
        "DEMO_DEBUG": "1" if options.dev else "0",
    }


def run(*command: "str | Path", cwd: Path = ROOT, env: "dict[str, str] | None" = None) -> None:
    subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, check=True, stdin=subprocess.DEVNULL
    )


def step(text: str) -> None:
    print(f"demo: {text}", flush=True)
