"""Clean up behind tests that were killed: end their server and remove its folder, once the tests are gone.

    python janitor.py FOLDER   reads lines from its standard input: the number of the server's process, 0 for none,
                               or -1 when the tests are through with it

The input ends when the process of the tests ends, however it ends, and that is the sign to begin.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from contextlib import suppress

END = -1


def main() -> None:
    """Wait for the end of the tests, then clean up."""
    for press in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # meant for the tests, whose end is waited for
        signal.signal(press, signal.SIG_IGN)
    server = 0
    for line in iter(sys.stdin.readline, ""):
        server = int(line)
        if server == END:  # not the end of the input: a forked child may hold the other end of it
            break
    if server > 0:
        with suppress(ProcessLookupError):
            os.kill(server, signal.SIGKILL)  # its children notice, and go as well
    shutil.rmtree(sys.argv[1], ignore_errors=True)


if __name__ == "__main__":
    main()
