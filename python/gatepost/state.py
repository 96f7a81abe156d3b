"""The folder ``.gatepost/``, in which gateway and Django leave what the other one needs.

``conf`` and ``running`` look into it while developing; ``rungateway`` writes. The surprise: it is
looked for in every folder above the project's, and one of those may be everybody's, such as /tmp:
a file that another user owns is passed over.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from django.conf import settings

#: The folder's name.
FOLDER = ".gatepost"


def base() -> Path:
    """Return the project's folder."""
    return Path(getattr(settings, "BASE_DIR", None) or Path.cwd()).absolute()


def files(name: str) -> Iterator[Path]:
    """Yield the files of a name in BASE_DIR and its parents, nearest first, as far as ours."""
    start = base()
    for folder in (start, *start.parents):
        path = folder / FOLDER / name
        try:
            if _is_ours(path):
                yield path
        except OSError:
            continue


def make(folder: Path) -> Path:
    """Return the state folder in a folder, and make it where it is not there."""
    made = folder / FOLDER
    made.mkdir(mode=0o700, exist_ok=True)
    ignored = made / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="utf-8")
    return made


def write(path: Path, text: str, *, prepare: Callable[[int], None] = lambda _: None) -> int:
    """Write a file that appears whole or not at all; return its descriptor, which stays open.

    ``prepare`` is called with it before the file appears.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # Made with mode 0600.
    try:
        os.write(descriptor, text.encode())
        prepare(descriptor)
        os.replace(name, path)
    except OSError:
        os.close(descriptor)
        Path(name).unlink(missing_ok=True)
        raise
    return descriptor


def _is_ours(path: Path) -> bool:
    owner = path.stat().st_uid
    return not hasattr(os, "geteuid") or owner in (os.geteuid(), 0)
