import json
import logging
from contextlib import contextmanager, suppress
from urllib.parse import urlencode

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client

import fakes
from gatepost import Everyone, Group, Session, backends, notify, recheck, revoke
from gatepost.outbox import pages, pruning
from gatepost.outbox.models import Item, Sequencer, now
from gatepost.sending.publishing import revoke_now

OUTBOX = "/_gatepost/outbox/"
HEADERS = {
    "host": "localhost",
    "address": "127.0.0.1",
    "scheme": "https",
}

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _outbox(gateway, settings):
    settings.GATEPOST = {**settings.GATEPOST, "OUTBOX": True}
    gateway.script.extend([lambda handler: fakes.respond(handler, 202, b"{}")] * 50)


class Abort(Exception):
    pass


@contextmanager
def rolled_back():
    """A transaction, or a savepoint, that is rolled back."""
    with suppress(Abort), transaction.atomic():
        yield
        raise Abort


class Puller:
    """Pulls as a gateway does, and keeps its cursor."""

    def __init__(self):
        self.client = Client()
        self.cursor = None
        self.page = None

    def ask(self, **query):
        target = f"{OUTBOX}?{urlencode(query)}" if query else OUTBOX
        return self.client.get(target, headers=fakes.signed_fields("GET", target, **HEADERS))

    def pull(self, **query):
        said = self.ask(**{**(self.cursor or {}), **query})
        assert said.status_code == 200, said.content
        self.page = said.json()
        self.cursor = {name: self.page[of] for name, of in _CURSOR.items()}
        return self.page["items"]

    def frames(self, **query):
        return [item["publication"]["frame"] for item in self.pull(**query)]


_CURSOR = {"after": "next", "uid": "uid", "epoch": "epoch"}


@pytest.fixture
def puller():
    """A gateway that has begun."""
    puller = Puller()
    assert puller.pull() == []
    return puller


def test_what_is_published_is_pulled_when_its_transaction_has_committed(puller):
    with transaction.atomic():
        notify(42, {"n": 1})
        notify(Everyone, {"n": 2})
    assert puller.frames() == [{"n": 1}, {"n": 2}]
    assert [item.seq for item in Item.objects.order_by("id")] == [1, 2]
    assert puller.frames() == []


def test_what_is_rolled_back_is_never_pulled(puller):
    with rolled_back():
        notify(42, "rolled back")
    with transaction.atomic():
        notify(42, "before")
        with rolled_back():
            notify(42, "rolled back with the savepoint")
        notify(42, "after")
    assert puller.frames() == ["before", "after"]
    assert puller.page["next"] == 2


def test_gateways_are_woken_once_a_transaction_after_its_commit(gateway):
    with transaction.atomic():
        notify(42, 1)
        with transaction.atomic():
            notify(42, 2)
        with rolled_back():
            notify(42, 3)
        assert gateway.calls == []
    assert [call.path for call in gateway.calls] == ["/v1/wake"]
    assert gateway.calls[0].signature_holds
    with rolled_back():
        notify(42, 4)
    assert len(gateway.calls) == 1


def test_a_wake_in_a_savepoint_that_is_rolled_back_does_not_swallow_the_next(gateway):
    with transaction.atomic():
        with rolled_back():
            notify(42, 1)
        notify(42, 2)
    assert [call.path for call in gateway.calls] == ["/v1/wake"]


def test_every_gateway_is_woken_and_one_that_is_away_harms_nobody(gateway, settings, puller):
    settings.GATEPOST = {**settings.GATEPOST, "URL": ["http://127.0.0.1:9", gateway.url]}
    notify(42, 1)
    assert [call.path for call in gateway.calls] == ["/v1/wake"]
    assert puller.frames() == [1]


def test_a_gateway_that_does_not_pull_is_logged(gateway, caplog):
    gateway.script[:] = [fakes.problem(409, "this gateway pulls no transactional outbox")]
    notify(42, 1)
    assert "pulls no transactional outbox" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


def test_a_frame_is_handed_out_byte_for_byte(puller):
    notify(42, {"text": "grüße \U0001f600 \x00 </script>", "n": 1.50})
    stored = Item.objects.get().body
    raw = puller.ask(**puller.cursor).content.decode()
    assert stored[stored.index('"frame":') : -1] in raw
    assert puller.frames() == [{"text": "grüße \U0001f600 \x00 </script>", "n": 1.5}]


def test_options_and_id_arrive(puller):
    notify(Group("staff"), "x", id="order-7", key="k", exclude="c0ffee", socket="/ws/a/")
    (item,) = puller.pull()
    assert item["publication"] == {
        "to": {"group": "staff"},
        "id": "order-7",
        "key": "k",
        "exclude": "c0ffee",
        "socket": "/ws/a/",
        "frame": "x",
    }
    assert item["at"] <= now()


def test_a_time_to_live_runs_while_it_is_stored(puller):
    notify(42, "still wanted", ttl=60)
    notify(42, "not any more", ttl="1h")
    Item.objects.filter(body__contains="not any").update(expires=now() - 1)
    wanted, expired = puller.pull()
    assert 50_000 < int(wanted["publication"]["ttl"].removesuffix("ms")) <= 60_000
    assert expired["skipped"] == "expired"
    assert "publication" not in expired


def test_revocations_and_rechecks_keep_their_place(puller, user):
    with transaction.atomic():
        notify(user, 1)
        revoke(user, reason="banned")
        recheck(user)
        notify(user, 2)
    pk = user._meta.pk.value_to_string(user)
    kinds = [next(k for k in item if k not in ("seq", "uid", "at")) for item in puller.pull()]
    assert kinds == ["publication", "revocation", "recheck", "publication"]
    assert puller.page["items"][1]["revocation"]["user"] == pk
    assert puller.page["items"][2]["recheck"] == {"user": pk}


def test_the_same_cursor_gets_the_same_items_again(puller):
    notify(42, 1)
    cursor = dict(puller.cursor)
    first = puller.pull()
    puller.cursor = cursor
    assert puller.pull() == first


def test_a_page_ends_at_its_limit_and_says_that_there_is_more(puller):
    for n in range(5):
        notify(42, n)
    assert puller.frames(limit=2) == [0, 1]
    assert puller.page["more"]
    assert puller.frames(limit=2) == [2, 3]
    assert puller.page["more"]
    assert puller.frames(limit=2) == [4]
    assert not puller.page["more"]


def test_a_page_ends_when_it_is_full(puller, settings):
    settings.GATEPOST = {**settings.GATEPOST, "FRAME_SIZE": 600_002}
    for n in range(3):
        notify(42, f"{n}" * 600_000)
    assert len(puller.pull()) == 1
    assert puller.page["more"]
    assert len(puller.pull()) == 1


def test_a_frame_that_no_gateway_takes_is_in_nobodys_way(puller, settings):
    settings.GATEPOST = {**settings.GATEPOST, "FRAME_SIZE": 3_000_002}
    notify(42, "x" * 3_000_000)
    notify(42, "small")
    (large,) = puller.pull(size=1000)
    assert large["skipped"] == "too-large"
    assert puller.frames(size=1000) == ["small"]


def test_two_gateways_get_everything_each(puller):
    other = Puller()
    other.pull()
    notify(42, 1)
    assert puller.frames() == [1]
    notify(42, 2)
    assert other.frames() == [1, 2]
    assert puller.frames() == [2]


def test_a_new_gateway_begins_with_what_nobody_has_pulled(puller):
    notify(42, "before")
    puller.pull()
    notify(42, "nobody has it")
    new = Puller()
    assert new.pull() == []
    assert new.page["more"]
    assert new.frames() == ["nobody has it"]


def test_another_epoch_is_told_and_the_newest_number_is_given(puller):
    notify(42, 1)
    puller.pull()
    Sequencer.objects.update(epoch="another")
    notify(42, 2)
    assert puller.pull() == []
    assert puller.page["reset"] == "another-epoch"
    assert (puller.page["next"], puller.page["epoch"]) == (2, "another")
    notify(42, 3)
    assert puller.frames() == [3]


def test_a_restored_database_is_told_even_when_it_has_counted_past_the_gateway(puller):
    for n in range(3):
        notify(42, n)
    puller.pull()
    # The backup was made after the first.
    Item.objects.filter(seq__gt=1).delete()
    Sequencer.objects.update(value=1)
    assert puller.pull() == []
    assert "restored" in puller.page["reset"]
    behind = {"after": 3, "uid": "x" * 32, "epoch": puller.cursor["epoch"]}
    for n in range(5):
        notify(42, n)
    assert puller.pull(**behind) == []
    assert "restored" in puller.page["reset"]
    assert puller.page["next"] == 6


def test_what_is_committed_before_a_break_is_told_does_not_come_after_it(puller):
    puller.cursor["epoch"] = "of the database before"
    for n in range(5):
        notify(42, n)
    assert puller.pull(limit=2) == []
    assert (puller.page["reset"], puller.page["next"]) == ("another-epoch", 5)
    notify(42, "afterwards")
    assert puller.frames() == ["afterwards"]


def test_what_another_gateway_numbers_meanwhile_does_not_come_after_a_break(puller, monkeypatch):
    puller.cursor["epoch"] = "of the database before"
    notify(42, "restored")
    waiting = pages.numbering.waiting

    def another_is_faster(using):
        pages.numbering.number(using, 500)
        return waiting(using)

    monkeypatch.setattr(pages.numbering, "waiting", another_is_faster)
    assert puller.pull() == []
    assert (puller.page["reset"], puller.page["next"]) == ("another-epoch", 1)
    assert puller.pull() == []


def test_what_is_old_is_pruned_but_not_the_newest_nor_what_nobody_has(puller, settings):
    behind = Puller()
    behind.pull()
    for n in range(4):
        notify(42, n)
    puller.pull()
    notify(42, "nobody has it")
    Item.objects.update(created=1)
    assert pruning.prune("default", 60) == 3
    assert list(Item.objects.order_by("id").values_list("seq", flat=True)) == [4, None]
    assert puller.frames() == ["nobody has it"]
    assert behind.pull() == []
    assert "pruned" in behind.page["reset"]


def test_pulls_prune_by_themselves(puller, monkeypatch):
    pruning._throttle.clear()
    monkeypatch.setattr(pages, "_FULL", 1)
    notify(42, 1)
    notify(42, 2)
    puller.pull()
    Item.objects.update(created=1)
    puller.pull()
    pruning._throttle.clear()
    puller.pull()
    assert [item.seq for item in Item.objects.all()] == [2]


def test_only_the_gateway_may_pull(puller):
    notify(42, "secret")
    answer = Client().get(OUTBOX)
    assert answer.status_code == 403
    assert b"secret" not in answer.content
    assert Client().post(OUTBOX).status_code == 405
    for query in ({"after": "-1"}, {"after": "1"}, {"limit": "0"}, {"after": "9" * 19}):
        assert puller.ask(**query).status_code == 400
    assert puller.pull()


def test_a_logout_does_not_wait_for_the_outbox(gateway):
    with rolled_back():
        revoke_now(Session("s" * 32), reason="logged out")
    assert [call.path for call in gateway.calls] == ["/v1/revoke"]
    assert not Item.objects.exists()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", []])
def test_a_logout_that_no_gateway_heard_of_is_stored(settings, puller, url):
    settings.GATEPOST = {**settings.GATEPOST, "URL": url}
    revoke_now(Session("s" * 32), reason="logged out")
    (item,) = puller.pull()
    assert item["revocation"]["reason"] == "logged out"
    assert len(item["revocation"]["session"]) == 64


def test_without_the_app_it_is_said_what_to_install(settings, monkeypatch):
    monkeypatch.setattr(backends, "_made", {})
    settings.INSTALLED_APPS = [a for a in settings.INSTALLED_APPS if a != "gatepost.outbox"]
    with pytest.raises(ImproperlyConfigured, match=r"gatepost\.outbox"):
        notify(42, 1)


def test_the_command_says_what_is_stored(puller, capsys):
    notify(42, 1)
    puller.pull()
    notify(42, 2)
    call_command("gateway_outbox", "stats", "--json")
    said = json.loads(capsys.readouterr().out)
    assert (said["oldest"], said["newest"], said["stored"], said["not_pulled"]) == (1, 1, 1, 1)
    call_command("gateway_outbox", "stats")
    assert "not pulled" in capsys.readouterr().out


def test_the_command_replays_publications_with_other_ids(puller, capsys):
    notify(Everyone, 1, id="order-7")
    revoke(42)
    notify(42, 2, ttl=60)
    puller.pull()
    call_command("gateway_outbox", "replay", "1", "3")
    assert "1 publications" in capsys.readouterr().out
    (again,) = puller.pull()
    assert again["publication"] == {"to": {"everyone": True}, "frame": 1}
    with pytest.raises(CommandError):
        call_command("gateway_outbox", "replay", "3", "1")


def test_the_command_prunes(puller, capsys):
    notify(42, 1)
    notify(42, 2)
    puller.pull()
    call_command("gateway_outbox", "prune", "--keep", "0")
    assert "1 items deleted" in capsys.readouterr().out
