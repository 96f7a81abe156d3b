"""How Django reads a cookie's value: the gateway has to read the same, or no digest is right."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.http import parse_cookie

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "cookie_vectors.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["sent"])
def test_the_vectors_are_what_django_reads(vector: dict[str, Any]) -> None:
    assert parse_cookie(f"a=1; sessionid={vector['sent']}")["sessionid"] == vector["read"]
