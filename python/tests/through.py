"""Browsers behind the gateway: requests are signed as it signs what it passes on."""

import json
from base64 import urlsafe_b64decode

from asgiref.sync import async_to_sync
from django.test import AsyncClient, Client

import fakes

ADDRESS = "192.0.2.7"
HEADERS = {"host": "localhost:8443", "address": ADDRESS, "scheme": "https"}


def signed_headers(method, target, *, body=None, **changes):
    """Return what the gateway adds to a request; a changed value is signed too."""
    named = {**HEADERS, **changes}
    return fakes.signed_fields(method, target, body=body, **named)


class _Through:
    host = HEADERS["host"]

    def generic(self, method, path, *args, headers=None, **extra):
        query = extra.get("QUERY_STRING")
        target = f"{path}?{query}" if query else path
        added = {**signed_headers(method, target, host=self.host), **(headers or {})}
        if self.host == "testserver":
            del added["Host"]  # It is there already.
        return super().generic(method, path, *args, headers=added, **extra)


class Through(_Through, Client):
    """A browser whose requests come through the gateway."""


class AsyncThrough(_Through, AsyncClient):
    """The same, of a Django that runs asynchronously."""

    host = "testserver"


def run(coroutine_function, *args, **kwargs):
    """Run asynchronous code whose synchronous parts run in this very thread."""

    async def call():
        return await coroutine_function(*args, **kwargs)

    return async_to_sync(call)()


def riding(response, name):
    """Return what a response carries for the gateway in one of its headers."""
    value = response.headers.get(f"Gatepost-{name}")
    if value is None:
        return None
    return decoded(value)


def decoded(value):
    """Return what the value of such a header says."""
    assert len(value) <= 8192
    assert "=" not in value
    return json.loads(urlsafe_b64decode(value + "=" * (-len(value) % 4)))
