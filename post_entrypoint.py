#!/usr/local/bin/python3 -I
"""What the Action runs last, however the job ended: stop the session that this step started."""

from clinder.action import post

post()
