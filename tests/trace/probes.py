# SPDX-License-Identifier: Apache-2.0
"""Run in gdb by probes_test.py: a line for each probe that is hit, with its arguments."""

import gdb

FUNCTIONS = ("simple_job", "pausing_job", "long_job", "nested_job", "waiting_job")


class Probe(gdb.Breakpoint):
    def __init__(self, probe):
        super().__init__(f"-probe-stap asyncjob:{probe}")
        self.probe = probe

    def stop(self):
        count = int(gdb.parse_and_eval("$_probe_argc"))
        values = [str(int(gdb.parse_and_eval(f"$_probe_arg{at}"))) for at in range(count)]
        print("PROBE", self.probe, *values, flush=True)
        return False


gdb.execute("break main")
gdb.execute("run")
for name in FUNCTIONS:
    print("FUNCTION", name, int(gdb.parse_and_eval(f"(long)&{name}")), flush=True)
for name in ("start", "resume", "pause", "finish", "cancel", "wake"):
    Probe(name)
gdb.execute("continue")
