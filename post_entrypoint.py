#!/usr/local/bin/python3 -I
"""What the Action runs last, however the job ended: stop the session that this step started."""

import signal

for number in (
    signal.SIGINT,
    signal.SIGTERM,
):  # a job that is cancelled: this step ends in time, and nothing follows it
    signal.signal(number, signal.SIG_IGN)

from clinder.action import post  # noqa: E402

post()
