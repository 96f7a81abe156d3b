"""Keeps a gateway that cannot be reached from costing every request its time-out.

``client`` asks it before each call. After a pause exactly one caller tries, and the others go on
skipping until that one has come back.
"""

import threading
import time

#: The first pause after a failure, and the longest, in seconds.
SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 30.0


class Breaker:
    """Closed while calls succeed; open for 1 s after a failure, then twice as long, up to 30 s."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pause = 0.0
        self._until = 0.0
        self._skipped = 0

    def allows(self) -> bool:
        """Return whether a call may be tried now; counts the ones that may not."""
        with self._lock:
            now = time.monotonic()
            if self._pause and now < self._until:
                self._skipped += 1
                return False
            if self._pause:
                self._until = now + self._pause  # This caller tries; the others wait for it.
            return True

    def failed(self) -> float:
        """Note a failure and return for how many seconds calls are skipped now."""
        with self._lock:
            self._pause = min(max(self._pause * 2, SHORTEST_PAUSE), LONGEST_PAUSE)
            self._until = time.monotonic() + self._pause
            return self._pause

    def succeeded(self) -> int | None:
        """Note a success; return how many calls were skipped if this one ended an outage."""
        with self._lock:
            if not self._pause:
                return None
            skipped, self._skipped, self._pause = self._skipped, 0, 0.0
            return skipped
