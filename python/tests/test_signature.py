import json

import pytest

import vectors
from gatepost.signing import signature
from gatepost.signing.digest import session_digest
from gatepost.signing.signature import Parts, SignatureError

VECTORS = json.loads(vectors.PATH.read_text(encoding="utf-8"))
SECRET = b"a-shared-secret-of-at-least-32-bytes"
PARTS = Parts("GET", "/_gatepost/auth/", "localhost:8443", "192.0.2.7", "https")
NOW = 1_763_886_000


def parts_of(vector):
    return Parts(
        vector["method"],
        vector["target"],
        vector["host"],
        vector["address"],
        vector["scheme"],
        vector["body_sha256"],
    )


def test_the_vectors_on_disk_are_those_of_the_contract():
    assert VECTORS == vectors.made()


@pytest.mark.parametrize("vector", VECTORS["signatures"], ids=lambda vector: vector["name"])
def test_signs_and_verifies_the_vectors(vector):
    secret, at = vector["secret"].encode(), vector["t"]
    made = signature.sign(secret, parts_of(vector), at=at, nonce=vector["nonce"])
    assert made == vector["header"]
    signature.verify(vector["header"], parts_of(vector), [secret], now=at)


@pytest.mark.parametrize("vector", VECTORS["digests"], ids=lambda vector: vector["cookie"][:8])
def test_digests_the_vectors(vector):
    assert session_digest(vector["secret"].encode(), vector["cookie"]) == vector["digest"]


@pytest.mark.parametrize("seconds", [-60, 0, 60])
def test_holds_for_a_minute_either_way(seconds):
    header = signature.sign(SECRET, PARTS, at=NOW + seconds)
    signature.verify(header, PARTS, [SECRET], now=NOW)


@pytest.mark.parametrize(("seconds", "said"), [(-61, "61 s behind"), (3600, "3600 s ahead of")])
def test_a_difference_of_clocks_is_named(seconds, said):
    header = signature.sign(SECRET, PARTS, at=NOW + seconds)
    with pytest.raises(SignatureError, match=said):
        signature.verify(header, PARTS, [SECRET], now=NOW)


def test_an_old_signature_of_another_secret_is_not_blamed_on_the_clock():
    header = signature.sign(b"another", PARTS, at=NOW - 3600)
    with pytest.raises(SignatureError, match="another secret"):
        signature.verify(header, PARTS, [SECRET], now=NOW)


def test_the_previous_secret_is_believed_too():
    header = signature.sign(b"previous", PARTS, at=NOW)
    signature.verify(header, PARTS, [SECRET, b"previous"], now=NOW)


@pytest.mark.parametrize(
    "other",
    [
        Parts("POST", "/_gatepost/auth/", "localhost:8443", "192.0.2.7", "https"),
        Parts("GET", "/_gatepost/auth/?", "localhost:8443", "192.0.2.7", "https"),
        Parts("GET", "/_gatepost/auth/", "localhost", "192.0.2.7", "https"),
        Parts("GET", "/_gatepost/auth/", "localhost:8443", "192.0.2.8", "https"),
        Parts("GET", "/_gatepost/auth/", "localhost:8443", "192.0.2.7", "http"),
        Parts("GET", "/_gatepost/auth/", "localhost:8443", "192.0.2.7", "https", "-"),
    ],
)
def test_everything_that_is_signed_matters(other):
    header = signature.sign(SECRET, PARTS, at=NOW)
    with pytest.raises(SignatureError):
        signature.verify(header, other, [SECRET], now=NOW)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "t=,v1=",
        f"t={NOW}",
        f"v1={'0' * 64}",
        f"t={NOW},v1={'0' * 63}",
        f"t={NOW},v1={'0' * 65}",
        f"t={NOW},v1={'G' * 64}",
        f"t=-1,v1={'0' * 64}",
        f"t={'9' * 40},v1={'0' * 64}",
        f"t=١,v1={'0' * 64}",
        f"t={NOW},v1={'0' * 64}\n",
        f"t={NOW},v1={'0' * 64},v1={'0' * 64}",
        f"t={NOW},n=,v1={'0' * 64}",
        f"t={NOW},n={'0' * 15},v1={'0' * 64}",
        f"t={NOW},n={'A' * 16},v1={'0' * 64}",
        f"n={'0' * 16},t={NOW},v1={'0' * 64}",
    ],
)
def test_another_form_is_refused(header):
    with pytest.raises(SignatureError, match="not of the form"):
        signature.verify(header, PARTS, [SECRET], now=NOW)


def test_no_secret_is_in_the_reasons():
    header = signature.sign(b"another-secret", PARTS, at=NOW)
    with pytest.raises(SignatureError) as caught:
        signature.verify(header, PARTS, [SECRET], now=NOW)
    assert SECRET.decode() not in str(caught.value)
    assert signature.sign(SECRET, PARTS, at=NOW)[16:] not in str(caught.value)
