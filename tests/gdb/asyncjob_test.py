# SPDX-License-Identifier: Apache-2.0
"""tools/gdb/asyncjob.py in gdb: on a live process, on a core file of gcore and one of the kernel.
Programs come in GDB and GDB_JOBS, the library in GDB_LIBRARY, the script in GDB_SCRIPT. Exit status
77: gdb is absent or may not trace here."""

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

GDB = os.environ["GDB"]
JOBS = os.environ["GDB_JOBS"]
LIBRARY = os.environ["GDB_LIBRARY"]
SCRIPT = os.environ["GDB_SCRIPT"]
TIMEOUT = 120
# The library's innermost frames come first, and its outermost last.
OURS = re.compile(r"(ASYNC_|asyncjob_|asyncjob::)")
STACKS = {
    "deep": ["deepest", "deeper", "deep", "deep_job"],
    "often": ["often_job"],
    "elsewhere": ["wait_for_long", "elsewhere_job"],
    "outer": ["enter_inner", "outer_job"],
}
PLACES = {"deepest": "deep", "often_job": "often", "wait_for_long": "elsewhere"}


def gdb(folder, commands, *arguments, source=True, env=None):
    command = [GDB, "-nx", "-q", "-batch", "-ex", "set debuginfod enabled off",
               "-ex", "set width 0", "-ex", "set pagination off"]
    if source:
        command += ["-x", SCRIPT]
    for text in commands:
        command += ["-ex", text]
    result = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True,
                            timeout=TIMEOUT, check=False, stdin=subprocess.DEVNULL,
                            env={**os.environ, "LC_ALL": "C", **(env or {})})
    return result.stdout, result.stderr


def job_lines(text):
    """State, thread and number by the function that the job is in."""
    found = {}
    for row in re.finditer(r"^(\d+) +(0x[0-9a-f]+) +(\w+) +(\d+) \(LWP (\d+)\) +(\S+) +(.*)$", text,
                           re.MULTILINE):
        found[row[7].split(" ")[0]] = row
    return found


def functions(text):
    """Those of a backtrace, in order. The numbers must be 0, 1, 2..."""
    rows = re.findall(r"^#(\d+) +(?:0x[0-9a-f]+ in )?(.+?) \(", text, re.MULTILINE)
    if [int(number) for number, _ in rows] != list(range(len(rows))):
        raise AssertionError("frames are not numbered from 0:\n" + text)
    return [name for _, name in rows]


class AsyncjobTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.stopped = ["break stop_here", "run"]

    def expect_stack(self, text, own):
        """The job's own functions, between none or some of the library's, and the one at its
        entry; with a sanitizer there is another above that."""
        names = functions(text)
        theirs = [at for at, name in enumerate(names) if not OURS.match(name)] or [0]
        self.assertEqual(names[theirs[0]:theirs[-1] + 1], own, text)
        self.assertRegex(names[-1], r"^(asyncjob_context_|ASYNC_start_job)", text)
        self.assertNotRegex(text, "(?i)corrupt|stopped|cannot access|\\?\\?")

    def expect_all(self, arguments, before):
        """The list, and the backtrace of each job but the running one."""
        listing, errors = gdb(self.folder, [*before, "info async-jobs"], *arguments)
        rows = job_lines(listing)
        places = {**PLACES, "enter_inner": "outer", "-": "inner"}
        self.assertEqual(sorted(rows), sorted(places), listing + errors)
        states = {places[place]: row[3] for place, row in rows.items()}
        self.assertEqual(states, {"deep": "paused", "often": "paused", "elsewhere": "paused",
                                  "outer": "waiting", "inner": "running"})
        threads = {places[place]: row[5] for place, row in rows.items()}
        self.assertNotEqual(threads["elsewhere"], threads["deep"])
        self.assertEqual(len({threads[name] for name in ("deep", "often", "outer", "inner")}), 1)
        self.assertRegex(rows["deepest"][7], r"jobs\.c:\d+$")

        for place, name in places.items():
            out, errors = gdb(self.folder, [*before, "echo <<<\\n",
                                            f"async-job {rows[place][1]} bt"], *arguments)
            if name == "inner":
                self.assertRegex(errors, f"Job {rows[place][1]} is running.*Use thread 1, then bt")
            else:
                self.assertEqual(errors.count("async-job"), 0, errors)
                self.expect_stack(out.split("<<<\n")[1].split("[Inferior")[0], STACKS[name])

    def expect_paused(self, arguments, before):
        """The list and the backtraces where all jobs are paused and thread 1 is in no job."""
        rows = self.paused_rows(arguments, before)
        for place, name in PLACES.items():
            out, errors = gdb(self.folder, [*before, "echo <<<\\n",
                                            f"async-job {rows[place][1]} bt"], *arguments)
            self.assertEqual(errors.count("async-job"), 0, errors)
            self.expect_stack(out.split("<<<\n")[1].split("[Inferior")[0], STACKS[name])

    def paused_rows(self, arguments, before):
        listing, errors = gdb(self.folder, [*before, "info async-jobs"], *arguments)
        rows = job_lines(listing)
        self.assertEqual(sorted(rows), sorted(PLACES), listing + errors)
        self.assertEqual({row[3] for row in rows.values()}, {"paused"}, listing)
        return rows

    def test_live_process(self):
        self.expect_all(["--args", JOBS], self.stopped)

    def test_core_of_gcore(self):
        out, errors = gdb(self.folder, [*self.stopped, "gcore jobs.core"], "--args", JOBS,
                          "unguarded")
        self.assertIn("Saved corefile", out, errors)
        self.expect_all([JOBS, "jobs.core"], [])

    def kernel_core(self, *arguments):
        with open("/proc/sys/kernel/core_pattern", encoding="ascii") as file:
            pattern = file.read().strip()
        if "/" in pattern or "|" in pattern or "%" in pattern:
            self.skipTest(f"core files go elsewhere (kernel.core_pattern = {pattern})")
        if resource.getrlimit(resource.RLIMIT_CORE)[1] != resource.RLIM_INFINITY:
            self.skipTest("core files are limited in size here (RLIMIT_CORE)")
        limit = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        subprocess.run([JOBS, *arguments], cwd=self.folder, timeout=TIMEOUT, check=False,
                       stdin=subprocess.DEVNULL,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, limit))
        cores = [name for name in os.listdir(self.folder) if name.startswith(pattern)]
        self.assertEqual(len(cores), 1, os.listdir(self.folder))
        return cores[0]

    def test_core_of_the_kernel(self):
        self.expect_all([JOBS, self.kernel_core("abort")], [])

    def test_stopped_in_main(self):
        """Where gdb ends backtraces, unless told otherwise."""
        out, errors = gdb(self.folder, ["run", "echo <<<\\n", "bt"], "--args", JOBS, "main")
        self.assertEqual(functions(out.split("<<<\n")[1]), ["main"], out + errors)
        self.expect_paused(["--args", JOBS, "main"], ["run"])

    def test_core_of_gcore_in_main(self):
        out, errors = gdb(self.folder, ["run", "gcore jobs.core"], "--args", JOBS, "main",
                          "unguarded")
        self.assertIn("Saved corefile", out, errors)
        self.expect_paused([JOBS, "jobs.core"], [])

    def test_core_of_the_kernel_in_main(self):
        self.expect_paused([JOBS, self.kernel_core("main")], [])

    def test_stopped_at_the_entry(self):
        """As with jobs of libraries' constructors; and where gdb ends backtraces as well."""
        self.paused_rows(["--args", JOBS, "main"], ["run", "set $pc = (long)&_start"])

    def test_a_limit_is_for_the_job(self):
        before = ["run", "set backtrace limit 2"]
        rows = self.paused_rows(["--args", JOBS, "main"], before)
        for option in ("", " full"):
            out, errors = gdb(self.folder, [*before, "echo <<<\\n",
                                            f"async-job {rows['deepest'][1]} bt{option}"],
                              "--args", JOBS, "main")
            self.assertEqual(functions(out.split("<<<\n")[1]), ["deepest", "deeper"], out + errors)

    def test_settings_are_kept(self):
        names = ("past-main", "past-entry", "limit")
        for values in (("off", "off", "7"), ("on", "on", "unlimited"), ("off", "on", "unlimited")):
            commands = [f"set backtrace {name} {value}" for name, value in zip(names, values)]
            with self.subTest(values=values):
                out, errors = gdb(self.folder, [
                    *commands, *self.stopped, "info async-jobs", "async-job 1 bt", "async-job 5 bt",
                    "python exec('with unwinder.on(all_jobs()[0]):\\n 1 / 0')",
                    "echo <<<\\n", *(f"show backtrace {name}" for name in names)], "--args", JOBS)
                shown = re.findall(r" is (\w+)\.$", out.split("<<<\n")[1], re.MULTILINE)
                self.assertEqual(tuple(shown), values, out + errors)
                self.assertIn("ZeroDivisionError", errors)

    def test_the_process_goes_on_unchanged(self):
        numbers = [f"async-job {number} bt full" for number in range(1, 6)]
        out, errors = gdb(self.folder, [*self.stopped, "up", "info async-jobs", *numbers,
                                        "echo <<<\\n", "frame", "p $_thread", "continue"],
                          "--args", JOBS)
        after = out.split("<<<\n")[1]
        self.assertRegex(after, r"^#1 .* inner_job ", "the selected frame is kept: " + errors)
        self.assertIn("$1 = 1", after)
        self.assertIn("all jobs have ended as they should", out)
        self.assertIn("exited normally", out)

    def test_backtrace_of_the_running_job_ends_at_its_entry(self):
        out, errors = gdb(self.folder, [*self.stopped, "echo <<<\\n", "bt"], "--args", JOBS)
        text = out.split("<<<\n")[1]
        names = functions(text)
        self.assertEqual(names[:2], ["stop_here", "inner_job"], text + errors)
        self.assertEqual(len(names), 3, text)
        self.assertRegex(names[2], r"^(asyncjob_context_|ASYNC_start_job)")

    def test_errors_name_the_cause(self):
        for commands, arguments, error in (
                (["info async-jobs"], [JOBS], "There is no process and no core file"),
                ([*self.stopped, "async-job 77 bt"], [JOBS], "There is no job 77: see info"),
                ([*self.stopped, "async-job 1"], [JOBS], "Usage: async-job N bt"),
                ([*self.stopped, "async-job x bt"], [JOBS], "Usage: async-job N bt"),
                ([*self.stopped, "async-job 1 bt 3"], [JOBS], "Usage: async-job N bt"),
                ([*self.stopped, "info async-jobs 1"], [JOBS], "takes no argument"),
                (["starti", "info async-jobs"], [GDB], "libasyncjob is not loaded")):
            with self.subTest(commands=commands):
                out, errors = gdb(self.folder, commands, *arguments)
                self.assertIn(error, errors, out)

    def test_no_jobs_before_the_first(self):
        out, errors = gdb(self.folder, ["break main", "run", "info async-jobs"], JOBS)
        self.assertIn("No jobs.", out, errors)

    def test_library_without_debug_information(self):
        stripped = os.path.join(self.folder, "libasyncjob.so.0")
        subprocess.run(["strip", "-o", stripped, LIBRARY], check=True, timeout=TIMEOUT)
        out, errors = gdb(self.folder, [f"set environment LD_LIBRARY_PATH {self.folder}",
                                        *self.stopped, "info async-jobs"], JOBS)
        self.assertIn("libasyncjob has no debug information", errors, out)
        self.assertIn("RelWithDebInfo", errors)

    def test_core_file_without_the_jobs(self):
        """gcore reads up to the first guard, where it is one of madvise()."""
        gdb(self.folder, [*self.stopped, "gcore jobs.core"], "--args", JOBS)
        out, errors = gdb(self.folder, ["info async-jobs"], JOBS, "jobs.core")
        if len(job_lines(out)) < 5:
            self.assertIn("The memory of jobs is not in this core file", errors, out)


def obstacle():
    if not shutil.which(GDB):
        return "gdb is not installed (Debian package gdb)"
    with tempfile.TemporaryDirectory() as folder:
        out, errors = gdb(folder, ["python print('python here')"], source=False)
        if "python here" not in out:
            return "gdb has no Python: " + errors
        out, errors = gdb(folder, ["break main", "run"], JOBS, source=False)
        if "Breakpoint 1, " not in out:
            return "gdb cannot run a program here, as where ptrace is refused: " + errors
    return None


if __name__ == "__main__":
    if not os.path.exists(JOBS):
        sys.exit("no program to look at: " + JOBS)
    cause = obstacle()
    if cause:
        print("skipped: " + cause)
        sys.exit(77)
    unittest.main()
