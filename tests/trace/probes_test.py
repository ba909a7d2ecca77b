# SPDX-License-Identifier: Apache-2.0
"""The static probes (USDT): that the library has those of asyncjob(1), and that gdb stops at each
of them with the right arguments, on the short ways and on the long ones. The program, jobs.c,
comes in TRACE_JOBS, linked statically in TRACE_JOBS_STATIC, the library in TRACE_LIBRARY;
TRACE_PROBES says whether it was built with them."""

import collections
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

JOBS = os.environ["TRACE_JOBS"]
HAS_PROBES = os.environ["TRACE_PROBES"]
TIMEOUT = 120
# Sizes of the arguments, as the notes have them.
PROBES = {"start": ["8", "8"], "resume": ["8"], "pause": ["8"], "finish": ["8", "-4"],
          "cancel": ["8"], "wake": ["8"]}


def run(*command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False,
                          stdin=subprocess.DEVNULL, **more)


def notes(path):
    """Pairs of a name and its arguments' sizes, of all places."""
    text = run("readelf", "-n", path, env={**os.environ, "LC_ALL": "C"}).stdout
    found = re.findall(r"Provider: asyncjob\n +Name: (\w+)\n.*\n +Arguments: (.*)\n", text)
    return [(name, [argument.split("@")[0] for argument in arguments.split()])
            for name, arguments in found]


class ProbesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_all_are_there_with_the_same_arguments_at_each_place(self):
        for path in os.environ["TRACE_LIBRARY"], os.environ["TRACE_JOBS_STATIC"]:
            found = notes(path)
            self.assertEqual({name for name, _ in found}, set(PROBES) if HAS_PROBES else set())
            for name, sizes in found:
                self.assertEqual(sizes, PROBES[name], name)

    def hits(self, *arguments, env=None):
        """What gdb has seen: names and arguments; and the functions' addresses."""
        if not HAS_PROBES or HAS_PROBES == "untested":
            self.skipTest("no probes in this build, or a sanitizer's")
        if shutil.which("gdb") is None:
            self.skipTest("no gdb")
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "probes.py")
        result = run("gdb", "-nx", "-q", "-batch", "-ex", "set debuginfod enabled off", "-x",
                     script, "--args", JOBS, *arguments, env={**os.environ, **(env or {})})
        if "ptrace: Operation not permitted" in result.stderr:
            self.skipTest("gdb may not trace here")
        self.assertIn("exited normally", result.stdout, result.stderr)
        rows = [line.split() for line in result.stdout.splitlines()]
        functions = {row[1]: int(row[2]) for row in rows if row[:1] == ["FUNCTION"]}
        found = [(row[1], [int(value) for value in row[2:]]) for row in rows
                 if row[:1] == ["PROBE"]]
        return found, functions

    def check_lives(self, found, functions, ends):
        """Each job's probes in their order; `ends` counts functions and results."""
        addresses = {address: name for name, address in functions.items()}
        functions_of, states, seen = {}, {}, collections.Counter()
        for name, values in found:
            job = values[0]
            if name == "start":
                self.assertNotIn(job, states)
                functions_of[job] = addresses[values[1]]
                states[job] = "running"
            elif name == "pause":
                self.assertEqual(states[job], "running")
                states[job] = "paused"
            elif name == "resume":
                self.assertEqual(states[job], "paused")
                states[job] = "running"
            elif name == "finish":
                self.assertEqual(states.pop(job), "running")
                seen[functions_of[job], values[1]] += 1
            elif name == "cancel":
                self.assertEqual(states[job], "paused")
            else:
                self.assertIn(job, functions_of)  # the waker may be seen late
        self.assertEqual(states, {})
        self.assertEqual(seen, ends)

    def expect_counts(self, found, **numbers):
        self.assertEqual(collections.Counter(name for name, _ in found), numbers)

    def check_program(self, *before):
        found, functions = self.hits(*before, "simple", "2", "args", "2", "finish", "3", "pauses",
                                     "40", "cancel", "2", "wake", "1", "nest", "3")
        self.expect_counts(found, start=14, finish=14, pause=49, resume=49, cancel=2, wake=1)
        self.check_lives(found, functions, {
            ("simple_job", 7): 4, ("pausing_job", 41): 3, ("long_job", 3): 1,
            ("pausing_job", 40): 2, ("waiting_job", 1): 1, ("nested_job", 41): 3})

    def test_are_hit_on_the_short_ways(self):
        self.check_program()

    def test_are_hit_on_the_short_ways_that_share_control_words(self):
        self.check_program("share-fp", "1")

    def test_are_hit_on_the_long_ways_as_the_trace_has_it(self):
        path = os.path.join(self.folder, "trace.json")
        found, _ = self.hits("simple", "2", "args", "2", "finish", "3", "pauses", "40", "cancel",
                             "2", "nest", "3", env={"ASYNCJOB_TRACE": path})
        with open(path, encoding="utf-8") as file:
            events = json.load(file)["traceEvents"]
        names = {"b": "start", "e": "finish"}
        self.assertEqual(
            [(name, values[0]) for name, values in found],
            [(names.get(event["ph"], event["name"]), int(event["id"], 16)) for event in events
             if event["ph"] in "ben"])


if __name__ == "__main__":
    unittest.main()
