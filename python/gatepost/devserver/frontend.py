"""Finds the dev server of a project's frontend by its package.json.

The surprise: a package.json is no frontend yet. Tailwind has one, and so has a Django project whose
templates load scripts from Vite; only what serves pages of its own counts.
"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDERS = (".", "frontend", "client", "web", "ui")
_SCRIPTS = ("dev", "start", "serve")
_HOST = "127.0.0.1"

#: Dev servers by the package that brings them: the usual port, and how they are told another. What
#: builds on another one stands before it.
_TOOLS: dict[str, tuple[int, str]] = {
    "next": (3000, "--port {port} --hostname 127.0.0.1"),
    "nuxt": (3000, "--port {port} --host 127.0.0.1"),
    "astro": (4321, "--port {port} --host 127.0.0.1"),
    "@angular/cli": (4200, "--port {port} --host 127.0.0.1"),
    "@vue/cli-service": (8080, "--port {port} --host 127.0.0.1"),
    "@sveltejs/kit": (5173, "--port {port} --strictPort --host 127.0.0.1"),
    "vite": (5173, "--port {port} --strictPort --host 127.0.0.1"),
    "react-scripts": (3000, ""),
    "webpack-dev-server": (8080, "--port {port} --host 127.0.0.1"),
    "parcel": (1234, "--port {port} --host 127.0.0.1"),
}

#: Package managers by their lock file, and how they pass arguments on to a script.
_MANAGERS = {
    "pnpm-lock.yaml": "pnpm run {script} {arguments}",
    "yarn.lock": "yarn run {script} {arguments}",
    "bun.lock": "bun run {script} {arguments}",
    "bun.lockb": "bun run {script} {arguments}",
}
_NPM = "npm run {script} -- {arguments}"


@dataclass(frozen=True)
class Frontend:
    """A dev server that can be started."""

    folder: Path
    #: Its command line, with ``{port}`` where the port goes.
    line: str
    port: int

    def command(self, port: int) -> list[str]:
        """Return the command that serves at a port of 127.0.0.1."""
        return [part.replace("{port}", str(port)) for part in shlex.split(self.line)]

    def environment(self, port: int) -> dict[str, str]:
        """Return what servers without an option for it look at."""
        return {"PORT": str(port), "HOST": _HOST, "BROWSER": "none"}


def find(base: Path) -> Frontend | None:
    """Return the dev server of a project, in its folder or in a usual one in or beside it."""
    for folder in _folders(base):
        found = _read(folder)
        if found is not None:
            return found
    return None


def _folders(base: Path) -> Iterator[Path]:
    yield from (base / name for name in _FOLDERS)
    yield from (base.parent / name for name in _FOLDERS[1:])


def _read(folder: Path) -> Frontend | None:
    try:
        package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    scripts = _dict(package, "scripts")
    script = next((name for name in _SCRIPTS if name in scripts), None)
    packages = {**_dict(package, "dependencies"), **_dict(package, "devDependencies")}
    tool = next((name for name in _TOOLS if name in packages), None)
    if script is None or tool is None:
        return None
    if tool == "vite" and not (folder / "index.html").is_file():
        return None  # It serves the scripts of Django's pages.
    port, arguments = _TOOLS[tool]
    manager = next((line for lock, line in _MANAGERS.items() if (folder / lock).exists()), _NPM)
    return Frontend(folder.resolve(), manager.format(script=script, arguments=arguments), port)


def _dict(package: Any, key: str) -> dict[str, Any]:
    said = package.get(key) if isinstance(package, dict) else None
    return said if isinstance(said, dict) else {}
