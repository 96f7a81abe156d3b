"""Tokens as both sides read them: tests/fixtures/topic_tokens.json."""

import json

import pytest
import topic_vectors

from gatepost.signing import topics
from gatepost.signing.topics import Grant, Refusal

VECTORS = json.loads(topic_vectors.PATH.read_text(encoding="utf-8"))
GRANTED = [one for one in VECTORS["tokens"] if one["outcome"] == "granted"]


def test_the_vectors_are_what_the_contract_says():
    assert topic_vectors.made() == VECTORS


@pytest.mark.parametrize("one", VECTORS["names"], ids=lambda one: one["name"][:40])
def test_a_name_is_one_or_is_not(one):
    assert topics.is_name(one["name"]) is one["valid"]
    assert not topics.is_name(one["name"] + "\n")


@pytest.mark.parametrize("one", VECTORS["tokens"], ids=lambda one: one["about"])
def test_a_token_is_judged_as_the_gateway_does(one):
    secrets = [secret.encode() for secret in one["secrets"]]
    read = topics.read(one["token"], one["user"], secrets, now=one["now"])
    if one["outcome"] != "granted":
        assert read is Refusal(one["outcome"])
        return
    user = topics.ANYBODY if one["public"] else one["user"]
    assert read == Grant(tuple(one["names"]), user, one["issued"], one["expires"])


@pytest.mark.parametrize("one", GRANTED, ids=lambda one: one["about"])
def test_a_token_is_made_as_the_vectors_say(one):
    user = topics.ANYBODY if one["public"] else one["user"]
    grant = Grant(one["names"], user, one["issued"], one["expires"])
    assert one["token"] in {grant.token(secret.encode()) for secret in one["secrets"]}


@pytest.mark.parametrize("one", VECTORS["streams"], ids=lambda one: one["target"])
def test_a_stream_is_signed_as_the_vectors_say(one):
    lines = (one["method"], one["target"], one["request_id"], one["body_sha256"])
    assert one["header"] == f"v1,{topics.mac(one['secret'].encode(), 'gatepost-stream', *lines)}"
