"""Where several processes write: each line gets the name of its process in front.

Django is this very process and its children, so *its* lines are caught by putting a pipe under file
descriptors 1 and 2 (a pseudo-terminal where we have a terminal, so that Django goes on to write in
colour). The keyboard stays theirs: ``breakpoint()`` works.
"""

import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable, Collection, Iterator

#: Lines that make no sense without Django's own URL.
_MISLEADING = re.compile(rb"(Starting .*server at |Quit the server with )")

#: A server's address as it is shown for a browser: a page's, not that of something in it.
_SHOWN_ADDRESS = re.compile(rb"https?://[^\s/]+:(\d+)(/|/[\w./-]*/)?(?=[\s,)]|$)")

_ESCAPES = re.compile(rb"\x1b\[[0-9;]*[A-Za-z]")

_COLOURS = {"gatepost": "36", "django": "32", "frontend": "35"}
_WIDTH = max(map(len, _COLOURS))


class Terminal:
    """Our own stdout, kept from before :meth:`caught` puts something else under it.

    Lines that show a server at one of the ``hidden`` ports are left out: there is one URL.
    """

    def __init__(self, hidden: Collection[int] = ()) -> None:
        self._hidden = frozenset(hidden)
        self._output = os.dup(1)
        self._in_colour = os.isatty(self._output)
        self._lock = threading.Lock()
        #: Whose line has begun and has not ended: a prompt of a debugger, say.
        self._open: str | None = None

    def say(self, text: str) -> None:
        """Write lines of our own."""
        self.write("", f"{text}\n".encode())

    def write(self, name: str, chunk: bytes) -> None:
        """Write what a process wrote; whole lines and the beginning of one."""
        with self._lock:
            for line in chunk.splitlines(keepends=True):
                if self._open != name and not (name and self._misleads(line)):
                    self._start(name)
                elif self._open != name:
                    continue
                self._put(line)
                self._open = None if line.endswith((b"\n", b"\r")) else name

    def _misleads(self, line: bytes) -> bool:
        plain = _ESCAPES.sub(b"", line)
        shown = {int(found[1]) for found in _SHOWN_ADDRESS.finditer(plain)}
        return bool(_MISLEADING.match(plain) or shown & self._hidden)

    def _start(self, name: str) -> None:
        if self._open is not None:
            self._put(b"\n")
        if not name:
            return
        label = f"{name:>{_WIDTH}} | "
        if self._in_colour:
            label = f"\x1b[{_COLOURS.get(name, '33')}m{label}\x1b[0m"
        self._put(label.encode())

    def _put(self, text: bytes) -> None:
        # The reader of our output may be gone; the processes must not block on a full pipe then.
        with contextlib.suppress(OSError):
            while text:
                text = text[os.write(self._output, text) :]

    @contextlib.contextmanager
    def caught(self, name: str, hear: Callable[[bytes], None]) -> Iterator[None]:
        """Pass on, under a name, what this process and its children write from here on.

        ``hear`` is given it too.
        """
        kept = [os.dup(number) for number in (1, 2)]
        reading, writing = _pipe(self._in_colour)
        relay = threading.Thread(target=self.relay, args=(name, reading, hear), daemon=True)
        relay.start()
        try:
            for number in (1, 2):
                os.dup2(writing, number)
            os.close(writing)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, original in zip((1, 2), kept, strict=True):
                os.dup2(original, number)
                os.close(original)
            # A child that lives on would keep the pipe open for ever.
            relay.join(timeout=2)

    def relay(self, name: str, reading: int, hear: Callable[[bytes], None]) -> None:
        """Pass on what comes out of a pipe until its other end is closed."""
        with contextlib.suppress(OSError):  # How a pseudo-terminal says that it ended.
            while chunk := os.read(reading, 65536):
                self.write(name, chunk)
                hear(chunk)


def _pipe(as_terminal: bool) -> tuple[int, int]:
    if not as_terminal:
        return os.pipe()
    import pty

    reading, writing = pty.openpty()
    with contextlib.suppress(OSError):
        import fcntl
        import termios

        size = fcntl.ioctl(1, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(writing, termios.TIOCSWINSZ, size)
    return reading, writing
