"""What consumers lose without their connections is said before it happens, and never leaks."""

import json

import pytest
from asgiref.sync import async_to_sync
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

pytest.importorskip("channels")

from gatepost.backends import locmem
from gatepost.channels import GatepostChannelLayer, RenderError
from newsroom import deciding

pytestmark = pytest.mark.django_db(transaction=True)

LAYER = "gatepost.channels.GatepostChannelLayer"


@pytest.fixture
def check(settings):
    def check(consumer, **config):
        name = consumer if isinstance(consumer, str) else f"newsroom.deciding.{consumer.__name__}"
        config = {"RENDER": {"user_*": name, "again_*": name}, **config}
        settings.CHANNEL_LAYERS = {"default": {"BACKEND": LAYER, "CONFIG": config}}
        return [one for one in run_checks() if one.id[-3:-1] == "03"]

    return check


READS = {
    deciding.OneBranch: ["document() reads self.scope['user'] which"],
    deciding.ByHelper: ["document() reads self.user, in may_see(), which"],
    deciding.BySuper: ["document() reads self.user, in may_see(), which"],
    deciding.ByFunction: ["document() reads self.scope['user'], in is_owner(), which"],
    deciding.ByDecorated: ["document() reads self.scope['user'], in may_see(), which"],
    deciding.ByProperty: ["document() reads self.scope['session'], in language(), which"],
    deciding.ByDefault: ["document() reads self.only which", "said() reads self.muted which"],
    deciding.ByGetattr: ["document() reads self.user which"],
    deciding.ByChannelName: ["document() reads self.channel_name which"],
    deciding.ByKeyword: ["document() reads self.user, in is_for(), which"],
    deciding.ByDecorator: ["document() reads self.user, in is_for(), which"],
    deciding.ByOtherNames: ["document() reads self.user which"],
    deciding.ByArguments: ["document() reads self.user, in _may_see(), which"],
    deciding.ByLambda: ["document() reads self.user which"],
    deciding.ByPart: ["document() reads self.user, in _may_see(), which"],
    deciding.ByVars: ["document() reads self.__dict__ which"],
    deciding.ByAnything: ["document() reads self.user which"],
    deciding.ByObject: ["document() reads self.known which"],
    deciding.ByAnotherHandler: ["document() reads self.muted which"],
    deciding.ByDispatch: ["document() reads self.user, in _may_see(), which"],
}


@pytest.mark.parametrize("consumer", READS, ids=lambda one: one.__name__)
def test_a_handler_that_decides_per_connection_is_named_beforehand(check, consumer):
    found = [one for one in check(consumer) if one.id == "gatepost.W030"]
    begins = [f"{consumer.__name__}.{text}" for text in READS[consumer]]
    assert [one.msg[: len(text)] for one, text in zip(found, begins, strict=True)] == begins
    assert all("notify(queryset, frame)" in one.hint for one in found)


def test_what_browsers_send_is_named(check):
    (found,) = [one for one in check(deciding.ByDefault) if one.id == "gatepost.W031"]
    assert found.msg.startswith("ByDefault.receive_json() is not called")


def test_a_connect_that_chooses_is_named(check):
    (found,) = check(deciding.Members)
    assert found.id == "gatepost.W032"
    assert found.msg.startswith("Members.connect() turns some connections away")


def test_who_needs_no_connection_is_not_named(check):
    assert check(deciding.Harmless) == []


def test_a_consumer_that_is_not_there_is_an_error(check):
    (found,) = check("newsroom.deciding.Gone")
    assert found.id == "gatepost.E030"
    assert "names 'newsroom.deciding.Gone', which cannot be imported" in found.msg


def test_other_layers_are_not_looked_at(settings):
    settings.CHANNEL_LAYERS = {
        "default": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
        "gone": {"BACKEND": "nowhere.Layer", "CONFIG": {"RENDER": {"*": "no.Such"}}},
    }
    assert [one for one in run_checks() if one.id[-3:-1] == "03"] == []


# And where nobody has read the warning


@pytest.fixture
def send(settings):
    settings.GATEPOST = {**settings.GATEPOST, "BACKEND": "gatepost.backends.locmem.Backend"}
    locmem.clear()

    def send(consumer, group="room", **event):
        layer = GatepostChannelLayer(RENDER={"*": consumer}, STRICT=True)
        async_to_sync(layer.group_send)(group, event)
        return [json.loads(call.frame) for call in locmem.calls()]

    yield send
    locmem.clear()


@pytest.mark.parametrize("consumer", [*READS, deciding.ByLoop], ids=lambda one: one.__name__)
def test_what_a_handler_would_decide_without_a_connection_reaches_nobody(send, consumer):
    event = {"private": True, "owner": 1, "sender": "x", "data": "secret"}
    with pytest.raises(RenderError, match=r"notify\(queryset, frame\)"):
        send(consumer, type="document", **event)
    assert locmem.calls() == []


def test_a_state_that_the_class_has_empty_by_default_is_no_answer(send):
    with pytest.raises(
        RenderError, match=r"said\(\) reads self\.muted, which only a connection has"
    ):
        send(deciding.ByDefault, type="said", by=1, data="x")


def test_a_group_that_connect_chooses_for_is_not_everyones(send):
    with pytest.raises(ImproperlyConfigured, match="its group 'members' is not everyone's"):
        send(deciding.Members, "members", type="document", data="secret")


def test_what_a_handler_sets_itself_it_reads_again(send):
    assert send(deciding.Harmless, type="document", data=1) == [{"type": "news", "data": 1}]
