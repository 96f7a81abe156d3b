"""What the gateway's log says of where it is, and what ``rungateway`` says of it.

Only the gateway knows at which addresses of this machine others reach it, and which ports the
system chose; so its log is read.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host


@dataclass(frozen=True)
class Ready:
    """The gateway serves."""

    url: str
    #: The local certificate authority, where the certificate is of one.
    ca: Path | None


def ready(line: str) -> Ready | None:
    """Read the line that says where it is."""
    if " ready " not in line or "url=" not in line:
        return None
    url = line.partition('url="')[2].partition('"')[0]
    ca = line.partition(" ca=")[2].partition(" url=")[0]
    return Ready(url, Path(ca) if ca else None)


def open_to_network(line: str) -> list[str]:
    """Read the line that says at which addresses others reach it; none where it is another."""
    if "on the network can reach this gateway" not in line:
        return []
    return [part for part in line.partition(" addresses=")[2].split() if part.startswith("https:")]


def of_network(addresses: list[str]) -> str:
    """Return what is said of a gateway that is open to the network."""
    lines = ["", "  Open to everybody on the network:", *(f"    {at}" for at in addresses)]
    lines += ["  Django's DEBUG pages are, too: they show settings and code."]
    lines += _refused_hosts(addresses)
    return "\n".join(lines)


def _refused_hosts(addresses: list[str]) -> Iterator[str]:
    """Yield what Django's own rule says of them."""
    allowed = settings.ALLOWED_HOSTS or [".localhost", "127.0.0.1", "[::1]"]
    names = (urlsplit(at).hostname or "" for at in addresses)
    hosts = [f"[{name}]" if ":" in name else name for name in names]
    refused = [host for host in hosts if not validate_host(host, allowed)]
    if refused:
        yield f"  Django answers 400 there: add {', '.join(map(repr, refused))} to ALLOWED_HOSTS."


def of_start(found: Ready, notes: list[str]) -> str:
    """Return what is said once everything serves."""
    lines = ["", f"  {found.url}", "", *(f"  ({note})" for note in notes)]
    if found.ca:
        lines += [f"  The certificate is of this machine's own CA: {found.ca}"]
    return "\n".join([*lines, "  Ctrl-C stops everything.", ""])
