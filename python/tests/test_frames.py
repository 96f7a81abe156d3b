"""What is wrong with a frame is raised where it was made, and other alphabets cost their bytes."""

import json

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group as DjangosGroup
from django.db import connections
from django.http import HttpResponse
from through import Through
from through import riding as rode

from gatepost import Everyone, Group, anotify, notify, recheck
from gatepost.outbox.models import Item
from project.people.models import Note

pytestmark = pytest.mark.django_db(transaction=True)

GREETING = "Здравствуйте, 世界 🎉"


def nested(levels):
    frame = []
    for _ in range(levels - 1):
        frame = [frame]
    return frame


WRONG = {
    "too large": ("x" * 262_143, r"the frame has 262145 bytes, and 262144 are allowed"),
    "too large in bytes": ("ж" * 131_072, r"the frame has 262146 bytes"),
    "too deep": (nested(129), "nested deeper than the 128 levels"),
    "far too deep": (nested(100_000), "nested deeper than the 128 levels"),
    "half a character": ({"text": "cut \ud83d"}, r"'\\ud83d' is half of a character"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("says", [notify, async_to_sync(anotify)])
def test_a_frame_that_the_gateway_would_refuse_raises_at_the_callers_line(gateway, says, case):
    frame, sentence = WRONG[case]
    with pytest.raises(ValueError, match=sentence):
        says(Everyone, frame)
    assert gateway.calls == []


@pytest.mark.parametrize(
    "frame", ["x" * 262_142, nested(128), {"[{" * 200: 1, '\\"[': "[" * 200}, [[]] * 200]
)
def test_what_fits_is_sent(gateway, frame):
    notify(Everyone, frame)
    assert [line["frame"] for line in gateway.publications] == [frame]


def test_a_project_may_allow_more(gateway, settings):
    settings.GATEPOST = {**settings.GATEPOST, "FRAME_SIZE": 1_000_000}
    notify(Everyone, "x" * 300_000)
    assert len(gateway.publications) == 1


def test_a_channel_layer_says_it_too(gateway, settings):
    pytest.importorskip("channels")
    from gatepost.channels import GatepostChannelLayer, RenderError
    from newsroom.consumers import NotificationConsumer

    event = {"type": "send_notification", "data": "x" * 300_000}
    raw = GatepostChannelLayer(UNWRAP="data", STRICT=True)
    with pytest.raises(ValueError, match="the frame has 300002 bytes"):
        async_to_sync(raw.group_send)("a", event)
    rendered = GatepostChannelLayer(RENDER={"*": NotificationConsumer}, STRICT=True)
    with pytest.raises(RenderError, match=r"send_notification\(\): the frame has 300002 bytes"):
        async_to_sync(rendered.group_send)("a", event)


# Other alphabets


def test_other_alphabets_are_sent_as_utf_8(gateway, user):
    notify(Group("Команда"), {"text": GREETING})
    (call,) = gateway.calls
    assert GREETING.encode() in call.body
    assert "Команда".encode() in call.body
    assert b"\\u" not in call.body


def test_riding_they_fill_a_header_by_their_bytes(gateway, at):
    def view(request):
        for n in range(3):
            notify(Everyone, {"n": n, "text": "ж" * 900})
        return HttpResponse("done")

    at(view=view)
    response = Through().get("/view/")
    assert [one["frame"]["n"] for one in rode(response, "Publish")] == [0, 1, 2]
    assert gateway.calls == []


def test_in_the_transactional_outbox_too(settings, monkeypatch):
    settings.GATEPOST = {**settings.GATEPOST, "OUTBOX": True, "URL": []}
    notify(Everyone, GREETING)
    assert GREETING in Item.objects.get().body
    Item.objects.all().delete()
    # Old tables of MySQL hold no emoji.
    with monkeypatch.context() as patch:
        patch.setattr(connections["default"], "vendor", "mysql")
        notify(Everyone, GREETING)
    body = Item.objects.get().body
    assert max(body) < "\U00010000"
    assert json.loads(body)["frame"] == GREETING


# Django's groups


def test_djangos_own_group_is_the_group_of_its_name(gateway):
    staff = DjangosGroup.objects.create(name="staff")
    notify(staff, 1)
    recheck(staff)
    assert gateway.publications[0]["to"] == {"group": "staff"}
    assert json.loads(gateway.calls[1].body) == {"group": "staff"}


def test_where_the_project_says_the_groups_its_name_means_nothing(settings):
    settings.GATEPOST = {**settings.GATEPOST, "GROUPS": lambda user: []}
    with pytest.raises(TypeError, match=r"cannot notify Group: .* says GATEPOST\['GROUPS'\]"):
        notify(DjangosGroup(name="staff"), 1)


def test_another_model_is_still_nobody():
    with pytest.raises(TypeError, match="cannot notify Note"):
        notify(Note(pk=1), 1)
