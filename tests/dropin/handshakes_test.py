#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the example tls_handshakes, maybe under LD_PRELOAD, and checks its table: whose jobs
they were, and that all connections were paused at the same time.

Usage: handshakes_test.py PROGRAM PROVIDER PRELOAD|- OPTIONS...
PROVIDER is the start of the name of the library that must have provided the jobs."""

import os
import re
import subprocess
import sys

import dropin

CONNECTIONS = 1000
PAUSES = 2


def main():
    program, provider, preload, *options = sys.argv[1:]
    environment = dict(os.environ)
    if preload != "-":
        dropin.skip_if_sanitized(preload)
        environment["LD_PRELOAD"] = preload
    done = subprocess.run([program, "--connections", str(CONNECTIONS), "--pauses", str(PAUSES),
                           *options], env=environment, stdout=subprocess.PIPE, text=True)
    print(done.stdout)
    if done.returncode != 0:
        dropin.fail("it ended with %d" % done.returncode)
    table = dict(re.findall(r"^  (\S.*?)  +(\S+)", done.stdout, re.MULTILINE))
    if not os.path.basename(table["ASYNC from"]).startswith(provider):
        dropin.fail("the jobs are those of " + table["ASYNC from"])
    wanted = {"handshakes": CONNECTIONS, "failed": 0, "right replies": CONNECTIONS,
              "pauses": CONNECTIONS * PAUSES, "peak paused jobs": CONNECTIONS}
    wrong = {name: table[name] for name, number in wanted.items() if table[name] != str(number)}
    if wrong:
        dropin.fail("not as it should be: %s" % wrong)


main()
