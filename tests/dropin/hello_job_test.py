#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the example hello_job and checks what it prints. Usage: hello_job_test.py PROGRAM"""

import subprocess
import sys

EXPECTED = """\
job:  who is there? I wait.
main: the job paused; this thread is free for other work.
job:  hello, world!
main: finished, the job returned 5.
"""

done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True, timeout=30)
if done.returncode != 0 or done.stdout != EXPECTED:
    sys.exit("it ended with %d and printed:\n%s" % (done.returncode, done.stdout))
