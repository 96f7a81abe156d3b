"""Which static files are Django's, where a frontend serves below STATIC_URL, too.

``draft`` asks. create-react-app has its whole bundle below ``/static/``, and Vite can be configured
so. Of a prefix that both serve, Django gets only the folders that its finders have.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders

from gatepost.program.frontend import Frontend


def is_local_prefix(url: str | None) -> bool:
    """Return whether a URL of the settings is a path of this site, and not all of it."""
    return bool(url) and str(url).startswith("/") and str(url).endswith("/") and url != "/"


def paths_of_finders(frontend: Frontend | None) -> list[str]:
    """Return what the finders have as path prefixes: folders, and files with a slash behind them.

    What a frontend has built is left to its dev server.
    """
    if "django.contrib.staticfiles" not in settings.INSTALLED_APPS:
        return []
    if not is_local_prefix(settings.STATIC_URL):
        return []
    build = frontend.build() if frontend else None
    shared = frontend.own_static() if frontend else ()
    found: dict[str, None] = {}
    for storage, root in _storages():
        if build is None or not root.is_relative_to(build):
            prefix = f"{storage.prefix}/" if getattr(storage, "prefix", None) else ""
            start = f"{settings.STATIC_URL}{prefix}"
            found |= dict.fromkeys(_below(storage, "", start, shared))
    return sorted(found)


def _storages() -> Iterator[tuple[Any, Path]]:
    for finder in get_finders():
        kept = getattr(finder, "storages", None)
        single = getattr(finder, "storage", None)
        for storage in [*(kept or {}).values(), *([single] if single else [])]:
            if (location := getattr(storage, "location", None)) and Path(location).is_dir():
                yield storage, Path(location).resolve()


def _below(storage: Any, folder: str, path: str, shared: tuple[str, ...]) -> Iterator[str]:
    """Yield what is in a folder; of one that the frontend has, too, what is in that one."""
    folders, files = storage.listdir(folder)
    for name in [*folders, *files]:
        inside = f"{path}{name}/"
        if name.startswith("."):
            continue
        if name in folders and inside in shared:
            yield from _below(storage, f"{folder}{name}/", inside, shared)
        else:
            yield inside


def folders_of_build(frontend: Frontend) -> dict[str, Path]:
    """Return what of a build lies below STATIC_URL, where STATIC_ROOT would hide it."""
    build = frontend.build()
    url = str(settings.STATIC_URL)
    if build is None or not is_local_prefix(url) or _is_collected(build):
        return {}
    if frontend.base != "/":
        return {f"{frontend.base}{name}/": build / name for name in _folders(build)}
    inside = build / url.strip("/")
    found = {f"{url}{name}/": inside / name for name in _folders(inside)}
    usual = {path: build / path.strip("/") for path in frontend.own_static()}
    return found or {path: usual[path] for path in usual if path.startswith(url)}


def _is_collected(build: Path) -> bool:
    return any(root.is_relative_to(build.resolve()) for _, root in _storages())


def _folders(parent: Path) -> list[str]:
    if not parent.is_dir():
        return []
    return sorted(child.name for child in parent.iterdir() if child.is_dir())
