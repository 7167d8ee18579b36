#!/usr/bin/env python3
# SPDX-License-Identifier: BSL-1.0
"""From SIGUSR1 to the user's action in Python, as a handler given to python-daemon runs: PROGRAM CHANNEL"""

import mmap
import os
import signal
import sys
import time

descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
os.ftruncate(descriptor, 24)
channel = memoryview(mmap.mmap(descriptor, 24)).cast("q")  # acted_at, actions, ready


def act(_number, _frame):
    channel[0] = time.monotonic_ns()
    channel[1] += 1


signal.signal(signal.SIGUSR1, act)
channel[2] = 1
while True:
    signal.pause()
