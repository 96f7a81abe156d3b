"""Finds the gateway's binary, which the wheel brings along.

Used by ``__main__`` and ``rungateway``. A package that runs from a clone of the repository takes
the clone's own build before an installed one, so that both are of one version.
"""

import os
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

#: The binary's file name.
NAME = "gatepost.exe" if sys.platform == "win32" else "gatepost"

#: The variable that names another binary.
VARIABLE = "GATEPOST_BIN"


class BinaryMissingError(Exception):
    """There is no binary of the gateway; the text says where it was looked for."""


def find() -> Path:
    """Return the path of the gateway's binary; raise :class:`BinaryMissingError` without one."""
    named = os.environ.get(VARIABLE)
    if named:
        if _runs(Path(named)):
            return Path(named)
        raise BinaryMissingError(f"{VARIABLE} names {named}, which is no program that can be run.")
    looked_at = list(dict.fromkeys(_places()))
    for place in looked_at:
        if _runs(place):
            return place
    folders = ", ".join(str(place.parent) for place in looked_at)
    raise BinaryMissingError(
        f"The gateway's binary is missing; looked in {folders}. Install the wheel (`pip install"
        f" gatepost`), build it in a clone (`cargo build`), or set {VARIABLE} to its path."
    )


def _places() -> Iterator[Path]:
    package = Path(__file__).resolve().parents[1]
    yield from _builds_of_the_clone(package.parents[1])
    yield Path(sysconfig.get_path("scripts")) / NAME
    yield Path(sysconfig.get_path("scripts", sysconfig.get_preferred_scheme("user"))) / NAME
    # `pip install --target` puts programs beside the packages.
    yield package.parent / "bin" / NAME
    on_path = shutil.which(NAME)
    if on_path:
        yield Path(on_path)


def _builds_of_the_clone(root: Path) -> list[Path]:
    """Return where the clone's builds are, the newest first, if ``root`` is a clone."""
    if not (root / "Cargo.toml").is_file():
        return []
    target = root / os.environ.get("CARGO_TARGET_DIR", "target")
    builds = [target / profile / NAME for profile in ("debug", "release")]
    return sorted(builds, key=_changed_at, reverse=True)


def _changed_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _runs(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
