#!/usr/local/bin/python3 -I
"""What the Action runs first: start a session and hand it to the job."""

import os
import signal

for number in (signal.SIGINT, signal.SIGTERM):  # until clinder.action takes them over: nothing has begun yet
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, lambda number, _: os._exit(128 + number))

from clinder.action import main  # noqa: E402

main()
