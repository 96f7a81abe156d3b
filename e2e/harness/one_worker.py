"""A Django that has one worker, which does one thing at a time."""

import http.client
import re
import time
import urllib.request

from .site import Site
from .slow_client import connect

# Another client's page takes less than this, in seconds, also on a busy machine. A worker that a
# slow client held would be held for ten at least. `bench/run` measures how long it takes.
DELAY = 5.0


class OneWorker(Site):
    """gunicorn as it is without any option."""

    workers = ("--workers", "1", "--worker-class", "sync")

    def page(self, address="127.0.0.2"):
        """The status of another client's page, and how long it took."""
        began = time.monotonic()
        with connect(self, address=address) as connection:
            head = f"GET /accounts/login/ HTTP/1.1\r\nHost: localhost:{self.https_port}\r\n\r\n"
            connection.sendall(head.encode())
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status, time.monotonic() - began

    def downloads(self):
        """How many Django has given."""
        return self.asked("GET /api/probe/download/")

    def begun(self):
        """How many requests Django has begun that say so."""
        return sum(line == "begun" for line in list(self.django.lines))

    def publications(self):
        """How many the gateway has taken."""
        with urllib.request.urlopen(f"{self._internal}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return float(re.search(r"^gatepost_publications_total (\S+)$", text, re.MULTILINE)[1])
