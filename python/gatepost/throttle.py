"""Lets something happen at most once in so many seconds, for each of some keys.

What is logged rarely, told to the gateway rarely, or cleaned up now and then asks it.
"""

import threading
import time
from collections import OrderedDict


class Throttle:
    """Remembers when something happened last; of so many keys at most, the latest."""

    def __init__(self, every: float, *, most_keys: int = 1_000) -> None:
        self.every = every
        self.most_keys = most_keys
        self._lock = threading.Lock()
        self._last: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._last)

    def allows(self, key: str = "") -> bool:
        """Return whether it may happen now, and count it if so."""
        now = time.monotonic()
        with self._lock:
            if now - self._last.get(key, float("-inf")) < self.every:
                return False
            self._record(key, now)
        return True

    def record(self, key: str = "") -> None:
        """Count what happens whether or not it is time."""
        with self._lock:
            self._record(key, time.monotonic())

    def clear(self) -> None:
        """Forget all of it."""
        with self._lock:
            self._last.clear()

    def _record(self, key: str, now: float) -> None:
        self._last[key] = now
        self._last.move_to_end(key)
        if len(self._last) > self.most_keys:
            self._last.popitem(last=False)
