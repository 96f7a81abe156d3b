"""Offers, once for a project, to have this machine trust the local CA.

The answer is remembered before anything is done, so that a Ctrl-C at the question, or at sudo's, is
an answer too.
"""

import os
import subprocess
from collections.abc import Callable

from gatepost import state
from gatepost.devserver.plan import Plan

#: The file in ``.gatepost/`` that says that it was offered.
_OFFERED = "trust"

_QUESTION = """
  Browsers do not know the local CA that this gateway's certificate is of, and will warn.
  Have Chromium, Firefox and the system trust it? (`gatepost trust`; for the system it asks sudo)
  [y/N] """


def offer(decided: Plan, ask: Callable[[str], str] | None) -> None:
    """Ask by ``ask``, which is None where nobody would answer, and do what the answer says."""
    if ask is None or "local CA" not in decided.effective().get("mode", ""):
        return
    folder = state.make(decided.folder)
    if (folder / _OFFERED).exists():
        return
    os.close(state.write(folder / _OFFERED, "offered\n"))
    try:
        is_wanted = ask(_QUESTION).strip().lower() in ("y", "yes")
    except EOFError:
        is_wanted = False
    except KeyboardInterrupt:
        raise SystemExit(0) from None
    if not is_wanted:
        decided.notes.append("not trusted; `gatepost trust` does it, `--show` for phones")
        return
    command = [str(decided.binary), "trust", "--config", str(decided.config)]
    environment = {**os.environ, **decided.environment}
    # What it could not do it says itself, and the gateway serves all the same.
    subprocess.run(command, env=environment, check=False)  # noqa: S603 - the gateway's own binary
