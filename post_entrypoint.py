#!/usr/local/bin/python3 -I
"""The Action's last step, after any end of the job: stop the session of the first step."""

import signal

# A job may be cancelled now. This step ends in time by itself, and no step follows.
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)

from clinder.action import post  # noqa: E402

post()
