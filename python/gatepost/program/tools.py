"""The dev servers that frontends are made with: where they listen, and what they build.

``frontend`` looks a project's up. Where the browser finds the socket of hot reloading is decided by
the server, and webpack's names its own port unless it is told not to.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

_CONFIGS = ("js", "ts", "mjs", "mts", "cjs", "cts")


@dataclass(frozen=True)
class Tool:
    """A dev server, as the package that brings it has it by default."""

    port: int
    #: How it is told where to listen.
    arguments: str = "--port {port} --host 127.0.0.1"
    #: Folders below the project's that `build` may fill.
    builds: tuple[str, ...] = ("dist",)
    #: Whether a server of its own may be needed in production as well.
    has_server: bool = False
    #: What it puts below a folder of the build, from the site's root.
    static: tuple[str, ...] = ()


_AUTO = "--client-web-socket-url auto://0.0.0.0:0/ws"
_STRICT = "--port {port} --strictPort --host 127.0.0.1"

#: By the package that brings it. What builds on another one stands before it.
TOOLS: dict[str, Tool] = {
    "next": Tool(3000, "--port {port} --hostname 127.0.0.1", ("out",), has_server=True),
    "nuxt": Tool(3000, builds=(".output/public",), has_server=True),
    "astro": Tool(4321, has_server=True),
    "@angular/cli": Tool(4200),
    "@vue/cli-service": Tool(8080),
    "@sveltejs/kit": Tool(5173, _STRICT, ("build",), has_server=True),
    "vite": Tool(5173, _STRICT),
    "react-scripts": Tool(
        3000, "", ("build",), static=("/static/js/", "/static/css/", "/static/media/")
    ),
    "webpack-dev-server": Tool(8080, f"--port {{port}} --host 127.0.0.1 {_AUTO}"),
    "parcel": Tool(1234),
}

#: For those without an option for it. create-react-app's socket at this host and port is at the
#: page's own, with its scheme.
ENVIRONMENT = {
    "HOST": "127.0.0.1",
    "BROWSER": "none",
    "WDS_SOCKET_HOST": "0.0.0.0",  # noqa: S104 - not bound
    "WDS_SOCKET_PORT": "0",
}


def build_folders(name: str, folder: Path) -> list[Path]:
    """Return where a project's build may be, the likeliest first."""
    found = [folder / build for build in TOOLS[name].builds]
    if name == "vite" and (named := _vite(folder, "outDir")):
        found.insert(0, folder / named)
    if name == "@angular/cli":
        found = [*_angular(folder), *sorted(folder.glob("dist/*/browser")), *found]
    return found


def base(name: str, folder: Path, script: str) -> str:
    """Return the path below which a dev server serves all it has."""
    if name != "vite":
        return "/"
    option = re.search(r"--base[ =](\S+)", script)
    named = option[1] if option else _vite(folder, "base") or "/"
    return f"/{named.strip('/')}/" if named.startswith("/") and named.strip("/") else "/"


def _vite(folder: Path, key: str) -> str | None:
    for ending in _CONFIGS:
        path = folder / f"vite.config.{ending}"
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            found = re.search(rf"^[^/\n]*\b{key}\s*:\s*['\"`]([^'\"`]+)['\"`]", text, re.MULTILINE)
            return found[1] if found else None
    return None


def _angular(folder: Path) -> list[Path]:
    try:
        said = json.loads((folder / "angular.json").read_text(encoding="utf-8"))
        options = [
            project["architect"]["build"]["options"]["outputPath"]
            for project in said["projects"].values()
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []
    paths = [each["base"] if isinstance(each, dict) else each for each in options]
    return [folder / path / inside for path in paths for inside in ("browser", "")]
