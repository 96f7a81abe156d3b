"""Warns, once for each group, that its events may reach nobody.

``layer`` asks about groups that the project has not mapped. In Channels a consumer's ``connect()``
joins them; here they are the gateway's groups of those names, which may be empty. That is the
likeliest mistake in a migration, and without a warning it would be silent.
"""

import logging

from gatepost import conf
from gatepost.channels.names import meant_for_a_user

logger = logging.getLogger("gatepost")

#: How many are said: names may be made of anything.
MOST = 20

_USER = (
    "events of group %r go to the gateway's group of that name. If it means the user %s, write"
    " %r: 'user:{}' into GROUPS in the CONFIG of GatepostChannelLayer; if not, %r: 'group:%s'."
)
_GROUP = (
    "events of group %r go to the users in Django's group of that name, if there is one. If"
    " connect() joins some users to it, let GATEPOST['GROUPS'] say whom, or name them:"
    " notify(queryset, frame). If it joins every connection, write %r: 'everyone' into GROUPS in"
    " the CONFIG of GatepostChannelLayer; if all is as it should be, %r: 'group:%s'."
)


class Hints:
    """The hints of one layer."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def about(self, group: str) -> None:
        """Say what to write for a group, unless that was said or the project has thought of it."""
        meant = meant_for_a_user(group)
        if meant is not None:
            pattern, user = meant
            self._say(pattern, _USER, group, user, pattern, pattern, pattern.replace("*", "{}"))
        elif conf.value("GROUPS") is None:
            self._say(group, _GROUP, group, group, group, group)

    def _say(self, key: str, sentence: str, *of: str) -> None:
        if key not in self._said and len(self._said) < MOST:
            self._said.add(key)
            logger.warning(sentence, *of)
