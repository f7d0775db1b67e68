#!/usr/local/bin/python3 -I
"""What the Action runs first: start a session and hand it to the job."""

from clinder.action import main

main()
