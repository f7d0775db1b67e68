#!/usr/local/bin/python3 -I
"""The Action's first step: start a session and hand it to the job."""

import os
import signal

for number in (signal.SIGINT, signal.SIGTERM):  # during the imports: nothing has begun that would have to be ended
    if signal.getsignal(number) is not signal.SIG_IGN:
        signal.signal(number, lambda number, _: os._exit(128 + number))

from clinder.action import main  # noqa: E402

main()
