"""A user model that shares nothing with Django's but its base, in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

SCRIPT = """
import django
django.setup()
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from project.people.models import Membership, Team

call_command("migrate", run_syncdb=True, verbosity=0)
ann, bob = (get_user_model().objects.create(username=name) for name in ("ann", "bob"))
team, other = (Team.objects.create(name=name) for name in ("red", "blue"))
{work}
"""


@pytest.fixture
def after(gateway):
    """Runs lines with such users, and returns what the gateway was told."""

    def after(*lines):
        ran = subprocess.run(
            [sys.executable, "-c", SCRIPT.replace("{work}", "\n".join(lines))],
            env={
                **os.environ,
                "PYTHONPATH": f"{HERE.parent}:{HERE}",
                "DJANGO_SETTINGS_MODULE": "project.settings",
                "TEST_USER_MODEL": "people.Member",
                "GATEPOST_URL": gateway.url,
            },
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, ran.stderr
        told = [(call.path.removeprefix("/v1/"), json.loads(call.body)) for call in gateway.calls]
        gateway.calls.clear()
        return told

    return after


def test_memberships_are_followed_however_they_are_written(after):
    ann = ("recheck", {"user": "1"})
    assert (
        after(
            "ann.groups.add(team)",
            "ann.groups.clear()",
            "one = Membership.objects.create(member=ann, team=team)",
            "one.team = other",
            "one.save()",
            "one.delete()",
        )
        == [ann] * 5
    )


def test_a_group_is_followed_by_its_name_and_its_memberships_are_no_calls(after):
    join = "[Membership.objects.create(member=one, team=team) for one in (ann, bob)]"
    one, two = ("recheck", {"user": "1"}), ("recheck", {"user": "2"})
    red = ("recheck", {"group": "red"})
    assert after(join, "team.delete()") == [one, two, red]
    assert after(join, "Team.objects.filter(name='red').delete()") == [one, two, red]
    assert after(join, "team.name = 'green'", "team.save()", "team.save()") == [one, two, red]
    gone = ("revoke", {"user": "1", "code": 4001, "reason": "account deleted"})
    assert after(join, "ann.delete()") == [one, two, gone]


def test_whether_somebody_is_active_may_depend_on_any_field(after):
    left = ("revoke", {"user": "1", "code": 4001, "reason": "account deactivated"})
    assert after(
        "ann.left_at = timezone.now()",
        "ann.save(update_fields=['left_at'])",
        "ann.left_at = None",
        "ann.save(update_fields=['left_at'])",
        "ann.points += 1",
        "ann.save(update_fields=['points'])",
        "ann.save()",
    ) == [left, ("recheck", {"user": "1"}), ("recheck", {"user": "1"})]


def test_a_save_costs_no_query(after):
    after(
        "with CaptureQueriesContext(connection) as queries: ann.save()",
        "assert len(queries) == 1, queries.captured_queries",
    )
