"""Finds the dev server of a project's frontend by its package.json.

A package.json is no frontend yet. Tailwind has one; and in a Django project whose templates load
scripts from Vite (django-vite) the server has a folder, and the pages are Django's.
"""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings

from gatepost.program import tools

_FOLDERS = (".", "frontend", "client", "web", "ui")

#: Apps with which Django's templates load what a dev server serves.
_FOR_TEMPLATES = {"django_vite", "webpack_loader", "vite_loader"}

_SCRIPTS = ("dev", "start", "serve")

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
    #: The package that brings it, as far as it is known.
    tool: str = ""
    #: The path below which it serves everything, its pages included.
    base: str = "/"
    #: Whether its pages are the site's; without, only what Django's pages load.
    has_pages: bool = True

    @property
    def has_path(self) -> bool:
        """Whether requests for it can be told from those for Django."""
        return self.has_pages or self.base != "/"

    def command(self, port: int) -> list[str]:
        """Return the command that serves at a port of 127.0.0.1."""
        return [part.replace("{port}", str(port)) for part in shlex.split(self.line)]

    def environment(self, port: int) -> dict[str, str]:
        """Return what servers without an option for it look at."""
        return {"PORT": str(port), **tools.ENVIRONMENT}

    def build(self) -> Path | None:
        """Return the folder of its build; the likeliest one where there is none yet."""
        folders = tools.build_folders(self.tool, self.folder) if self.tool else []
        built = (folder for folder in folders if (folder / "index.html").is_file())
        return next(built, folders[0] if folders else None)

    def needs_server(self) -> bool:
        """Return whether a server of its own answers in production, too."""
        build = self.build()
        is_built = build is not None and (build / "index.html").is_file()
        return bool(self.tool) and tools.TOOLS[self.tool].has_server and not is_built

    def own_static(self) -> tuple[str, ...]:
        """Return which paths of the site its build fills besides its pages."""
        return tools.TOOLS[self.tool].static if self.tool else ()


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
    tool = next((name for name in tools.TOOLS if name in packages), None)
    if script is None or tool is None:
        return None
    manager = next((line for lock, line in _MANAGERS.items() if (folder / lock).exists()), _NPM)
    arguments = tools.TOOLS[tool].arguments
    return Frontend(
        folder.resolve(),
        manager.format(script=script, arguments=arguments),
        tools.TOOLS[tool].port,
        tool,
        tools.base(tool, folder, str(scripts[script])),
        has_pages=_has_pages(tool, folder),
    )


def _has_pages(tool: str, folder: Path) -> bool:
    apps = {str(app).partition(".")[0] for app in settings.INSTALLED_APPS}
    return not apps & _FOR_TEMPLATES and (tool != "vite" or (folder / "index.html").is_file())


def _dict(package: Any, key: str) -> dict[str, Any]:
    said = package.get(key) if isinstance(package, dict) else None
    return said if isinstance(said, dict) else {}
