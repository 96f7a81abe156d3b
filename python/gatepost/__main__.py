"""``python -m gatepost``: runs the gateway's binary, as the command ``gatepost`` does.

Where the system can, this process *becomes* the gateway, so that a service manager or a Ctrl-C
reaches it directly.
"""

import os
import subprocess
import sys
from typing import NoReturn

from gatepost.program import binary


def main() -> NoReturn:
    """Run the binary with the arguments of this process; it ends with the binary's exit code."""
    try:
        program = str(binary.find())
    except binary.BinaryMissingError as error:
        sys.exit(f"error: {error}")
    command = [program, *sys.argv[1:]]
    if os.name == "posix":
        os.execv(program, command)  # noqa: S606 - no shell is wanted
    sys.exit(subprocess.call(command))  # noqa: S603 - the program is ours


if __name__ == "__main__":
    main()
