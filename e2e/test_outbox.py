"""The transactional outbox: nothing lost, nothing doubled, in order, counted on both sides.

Real databases, real Django processes that write, two real gateways of which one is killed, and
real sockets that keep what arrives.
"""

import pytest

from harness.database import MariaDb, Postgres, Sqlite
from harness.ledger import Ledger
from harness.resumer import RESYNC as TOLD
from harness.wait import wait_until

WRITERS = 6
TRANSACTIONS = 60
RESYNC = {"gatepost": "resync"}


@pytest.fixture(scope="module", params=[Sqlite, Postgres, MariaDb])
def ledger(request):
    """A site on one of the databases."""
    running = Ledger(request.param())
    try:
        yield running.start()
    finally:
        running.stop()


def test_six_writers_two_gateways_and_kill_9(ledger):
    first, second = ledger.gateways
    always = second.listen(ledger.session)
    before = first.listen(ledger.session)

    writers = [ledger.write(number, TRANSACTIONS) for number in range(WRITERS)]
    before.wait_for(100, "while everybody writes")
    first.kill()
    taken = first.cursor()
    got = len(before.wait_until_closed())
    first.start()
    after = first.listen(ledger.session)
    for writer in writers:
        assert writer.wait(patience=120) == 0, writer.output()
    committed = len(ledger.count()["entries"])
    always.wait_for(committed, "everything that was committed")
    wait_until(lambda: first.cursor() == second.cursor() == committed, "both have taken it all")
    after.wait_for(committed - taken, "what came after the kill")

    counted = ledger.count()
    # In Django: each entry that was committed has one frame and one number, without gaps.
    assert sorted(counted["frames"]) == counted["entries"]
    assert counted["numbers"] == list(range(1, committed + 1))
    assert counted["waiting"] == 0
    # At a socket that was open all the time: each of them, once, in that order; each writer's own
    # order is kept in it.
    assert always.entries() == counted["frames"]
    for writer in range(WRITERS):
        own = [number for by, number in counted["frames"] if by == writer]
        assert own == sorted(own)
    # At the gateway that was killed: it went on exactly behind the last that it had taken. (A frame
    # that it had taken but not yet written to its socket died with that socket.)
    assert before.entries() == counted["frames"][:got]
    assert after.entries() == counted["frames"][taken:]
    # Not more than the item that was under way at that moment could be there twice.
    assert got <= taken + 1
    for listener in (always, after):
        listener.close()


def test_what_is_committed_while_a_gateway_is_down_waits_for_its_clients(ledger):
    first, second = ledger.gateways
    always = second.listen(ledger.session)
    first.kill()
    taken = first.cursor()

    assert ledger.write(10, 20).wait(patience=60) == 0
    written = len([1 for by, _ in ledger.count()["entries"] if by == 10])
    always.wait_for(written, "at the other gateway")
    first.start()
    after = first.listen(ledger.session)
    after.wait_for(written, "what was committed meanwhile")

    assert after.entries() == always.entries() == ledger.count()["frames"][taken:]
    for listener in (always, after):
        listener.close()


def test_who_resumes_over_restarts_is_told_of_each_and_loses_nothing_else(ledger):
    gateway, _ = ledger.gateways
    client = gateway.resume(ledger.session)
    before = len(ledger.count()["frames"])
    taken = [write_over_a_restart(ledger, client, number) - before for number in range(3)]
    # What the gateway took before it was killed may have died with it; what comes now has not.
    assert ledger.write(60, 5).wait(patience=60) == 0
    counted = wait_until(lambda: all_taken(ledger, gateway), "all is taken")
    written = counted["frames"][before:]
    last = {"type": "entry", "writer": written[-1][0], "number": written[-1][1]}
    client.wait_for(lambda: client.heard[-1] == last, "the last that was committed")
    client.close()

    places = {entry: place for place, entry in enumerate(written)}
    spans = [[]]
    for said in client.heard:
        if said == TOLD:
            spans.append([])
        else:
            spans[-1].append(places[said["writer"], said["number"]])
    # Told of each restart, once; and it came back more often than that.
    assert len(spans) == 4
    assert client.returns > 3
    # Between two such words nothing is missing, and nothing comes twice.
    for span in filter(None, spans):
        assert span == list(range(span[0], span[-1] + 1))
    # Over a restart nothing is lost that the gateway had not taken yet.
    for span, had in zip(spans, [0, *taken], strict=True):
        assert not span or span[0] <= had


def write_over_a_restart(ledger, client, restart):
    """What the gateway had taken when it was killed in the middle of it."""
    gateway, _ = ledger.gateways
    heard, returns = len(client.heard), client.returns
    writers = [ledger.write(30 + 10 * restart + number, 20) for number in range(WRITERS)]
    client.wait_for(lambda: len(client.heard) > heard + 10, "while everybody writes")
    client.drop()
    client.wait_for(lambda: client.returns > returns, "back by itself")
    gateway.kill()
    taken = gateway.cursor()
    gateway.start()
    client.wait_for(lambda: client.heard.count(TOLD) > restart, "it is told")
    for writer in writers:
        assert writer.wait(patience=120) == 0, writer.output()
    return taken


def all_taken(ledger, gateway):
    """What is in the database, if the gateway has it all."""
    counted = ledger.count()
    return not counted["waiting"] and gateway.cursor() == counted["numbers"][-1] and counted


def test_a_restored_database_is_told_to_every_client(ledger):
    ledger.database.back_up()
    listeners = [gateway.listen(ledger.session) for gateway in ledger.gateways]
    assert ledger.write(20, 5).wait(patience=60) == 0
    lost = len([1 for by, _ in ledger.count()["entries"] if by == 20])
    for listener in listeners:
        listener.wait_for(lost, "before the database is restored")

    ledger.django.stop()
    ledger.database.restore()
    # The restored database counts past the cursors of the gateways before they ask it again.
    assert ledger.write(21, 15).wait(patience=60) == 0
    ledger.start_django()
    for listener in listeners:
        listener.wait_for(lost + 1, "after the database was restored")
        assert listener.frames[lost] == RESYNC
    newest = ledger.count()["numbers"][-1]
    wait_until(
        lambda: all(gateway.cursor() == newest for gateway in ledger.gateways),
        "the gateways have jumped",
    )
    assert ledger.write(22, 5).wait(patience=60) == 0
    expected = [pair for pair in ledger.count()["frames"] if pair[0] == 22]
    for listener in listeners:
        listener.wait_for(lost + 1 + len(expected), "what is written afterwards")
        assert listener.frames[lost + 1 :] == [
            {"type": "entry", "writer": writer, "number": number} for writer, number in expected
        ]
        listener.close()
