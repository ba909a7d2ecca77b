# SPDX-License-Identifier: Apache-2.0
"""ASYNCJOB_TRACE: what the file has, whose it is, and when there is none. The program, jobs.c, comes
in TRACE_JOBS, and linked statically in TRACE_JOBS_STATIC."""

import collections
import concurrent.futures
import json
import os
import select
import shutil
import struct
import subprocess
import tempfile
import threading
import time
import unittest

JOBS = os.environ["TRACE_JOBS"]
TIMEOUT = 120
CAPACITY = 64 * 1024


class Trace:
    """A file, checked as a whole: its structure, the nesting on each thread, each job's life."""

    def __init__(self, test, path):
        with open(path, encoding="utf-8") as file:
            whole = json.load(file)
        test.assertEqual(set(whole), {"displayTimeUnit", "traceEvents", "otherData"})
        self.other = whole["otherData"]
        test.assertEqual(set(self.other), {"program", "pid", "clock", "events", "dropped"})
        self.events = whole["traceEvents"]
        test.assertEqual({event["pid"] for event in self.events}, {self.other["pid"]})
        test.assertLessEqual({event["ph"] for event in self.events}, set("MBEbenis"))
        self.threads = {event["tid"]: event["args"]["name"] for event in self.events
                        if event["ph"] == "M" and event["name"] == "thread_name"}
        test.assertEqual([event["args"]["name"] for event in self.events
                          if event.get("name") == "process_name"], [self.other["program"]])
        self.check_threads(test)
        self.check_jobs(test)

    def check_threads(self, test):
        self.deepest = 0
        for tid in self.threads:
            last, stack = 0, []
            for event in self.of(tid=tid):
                if event["ph"] == "M":
                    continue
                test.assertGreaterEqual(event["ts"], last, event)
                last = event["ts"]
                if event["ph"] == "B":
                    stack.append(event["args"]["job"])
                    self.deepest = max(self.deepest, len(stack))
                elif event["ph"] == "E":
                    test.assertTrue(stack, event)
                    stack.pop()
            test.assertEqual(stack, [], "slices that do not end")

    def check_jobs(self, test):
        """b, n..., e, b, n..., e: each in its time, whichever thread it is from."""
        lives = collections.defaultdict(list)
        for event in self.events:
            if event["ph"] in "ben":
                test.assertEqual(event["cat"], "job")
                lives[event["id"]].append(event)
        self.left = 0
        for life in lives.values():
            life.sort(key=lambda event: event["ts"])  # stable
            lives_now = False
            for event in life:
                if event["ph"] == "b":
                    test.assertFalse(lives_now, event)
                    lives_now = True
                    began = event
                else:
                    test.assertTrue(lives_now, event)
                    if event["ph"] == "e":
                        test.assertEqual(event["name"], began["name"])
                        lives_now = False
            self.left += lives_now

    def of(self, **wanted):
        return [event for event in self.events
                if all(event.get(key) == value for key, value in wanted.items())]

    def count(self, **wanted):
        return len(self.of(**wanted))

    def counts(self):
        """What has happened to jobs."""
        return {"start": self.count(ph="b"), "finish": self.count(ph="e"),
                **{name: self.count(ph="n", name=name)
                   for name in ("pause", "resume", "cancel", "wake")}}


class TraceTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, "trace.json")
        self.env = {**os.environ, "ASYNCJOB_TRACE": self.path}

    def run_jobs(self, *arguments, program=JOBS, status=0, errors="", user=None):
        result = subprocess.run([program, *arguments], env=self.env, cwd=self.folder, text=True,
                                capture_output=True, timeout=TIMEOUT, check=False, user=user)
        self.assertEqual(result.returncode, status, result.stderr)
        if errors is not None:
            self.assertEqual(result.stderr, errors)
        return result

    def trace(self, *arguments, path=None, **more):
        self.run_jobs(*arguments, **more)
        return Trace(self, path or self.path)

    def need_forks(self):
        if os.environ["TRACE_FORKS"] == "no":
            self.skipTest("in the child of a fork TSan takes fibers for other threads")

    def files(self):
        return sorted(os.listdir(self.folder))

    def expect(self, trace, **numbers):
        wanted = {name: numbers.get(name, 0) for name in trace.counts()}
        self.assertEqual(trace.counts(), wanted)
        self.assertEqual(trace.left, wanted["start"] - wanted["finish"])
        self.assertEqual(trace.other["events"], sum(wanted.values()))
        self.assertEqual(trace.other["dropped"], 0)
        # A slice from each start or resume on.
        self.assertEqual(trace.count(ph="B"), wanted["start"] + wanted["resume"])
        self.assertEqual(trace.count(ph="i", name="cancel"), wanted["cancel"])
        self.assertEqual(trace.count(ph="i", name="wake"), wanted["wake"])

    def test_has_what_the_program_did(self):
        trace = self.trace("simple", "3", "args", "4", "finish", "5", "cancel", "6", "leave", "2",
                           "pauses", "40")
        self.expect(trace, start=21, finish=19, pause=53, resume=51, cancel=6)
        self.assertEqual(self.files(), ["trace.json"])
        self.assertEqual(trace.other["program"], "trace_jobs")
        self.assertEqual(list(trace.threads.values()), ["trace_jobs"])
        names = collections.Counter(event["name"] for event in trace.of(ph="b"))
        self.assertEqual(names, {"simple_job": 7, "pausing_job": 13, "long_job": 1})
        slices = collections.Counter(event["name"] for event in trace.of(ph="B"))
        self.assertEqual(slices, {"simple_job": 7, "pausing_job": 13 + 11, "long_job": 41})
        self.assertTrue(all(int(event["args"]["job"], 16) for event in trace.of(ph="B")))

    def test_has_the_same_with_shared_control_words(self):
        trace = self.trace("share-fp", "1", "finish", "5", "pauses", "40")
        self.expect(trace, start=6, finish=6, pause=45, resume=45)

    def test_nests_the_slices_of_nested_jobs(self):
        trace = self.trace("nest", "50")
        self.expect(trace, start=50, finish=50, pause=50, resume=50)
        self.assertEqual(trace.deepest, 50)

    def test_cancel_is_followed_by_the_last_resume(self):
        trace = self.trace("cancel", "1")
        job = trace.of(ph="b")[0]["id"]
        self.assertEqual([event["name"] for event in trace.of(id=job) if event["ph"] == "n"],
                         ["pause", "cancel", "resume"])

    def test_wakes_are_the_wakers_and_come_before_the_resume(self):
        trace = self.trace("wake", "20")
        self.expect(trace, start=20, finish=20, pause=20, resume=20, wake=20)
        waker = [tid for tid, name in trace.threads.items() if name == "waker ?1?"]
        self.assertEqual(len(waker), 1)
        wakes = trace.of(ph="i", name="wake")
        self.assertEqual({wake["tid"] for wake in wakes}, set(waker))
        self.assertEqual(len({wake["args"]["job"] for wake in wakes}), 20)
        for wake in wakes:
            resumes = trace.of(ph="n", name="resume", id=wake["args"]["job"])
            self.assertEqual(len(resumes), 1)
            self.assertNotEqual(resumes[0]["tid"], wake["tid"])
            self.assertLessEqual(wake["ts"], resumes[0]["ts"])

    def test_has_all_threads_by_name(self):
        trace = self.trace("threads", "8", "finish", "1")
        self.expect(trace, start=25, finish=25, pause=25, resume=25)
        self.assertEqual(sorted(trace.threads.values()),
                         ["trace_jobs"] + [f"worker-{i}" for i in range(8)])
        for tid, name in trace.threads.items():
            self.assertEqual(trace.count(tid=tid, ph="b"), 1 if name == "trace_jobs" else 3)

    def test_drops_the_oldest_events_and_counts_them(self):
        resumes = 70000
        trace = self.trace("simple", "2", "leave", "1", "pauses", str(resumes))
        all_events = 4 + 2 + 2 + 2 * resumes
        kept = CAPACITY - 1
        self.assertEqual(trace.other["events"], kept)
        self.assertEqual(trace.other["dropped"], all_events - kept)
        dropped = trace.of(ph="i", name="dropped")
        self.assertEqual([event["args"]["events"] for event in dropped], [all_events - kept])
        # The start is gone; the job and the first slice begin where the trace does.
        lost = [event for event in trace.events if event.get("args", {}).get("lost")]
        self.assertEqual([event["ph"] for event in lost], ["b", "B"])
        self.assertEqual({event["name"] for event in lost}, {"long_job"})
        self.assertEqual({event["ts"] for event in lost}, {dropped[0]["ts"]})
        self.assertEqual(trace.count(ph="e"), 1)

    def test_is_balanced_when_it_begins_within_nested_jobs(self):
        # 50 jobs enter each other, then so many others that all but the last ends are gone.
        trace = self.trace("nest", "50", "pauses", str((CAPACITY - 30) // 2))
        self.assertGreater(trace.other["dropped"], 100)
        lost = [event for event in trace.of(ph="B") if event["args"].get("lost")]
        self.assertGreater(len(lost), 10)
        self.assertEqual({event["name"] for event in lost}, {"nested_job"})

    def test_keeps_rings_of_ended_threads_and_reuses_the_oldest(self):
        trace = self.trace("one-by-one", "200", "finish", "1")
        # 64 rings, of which the last is the main thread's if it came last.
        self.assertEqual(len(trace.threads), 64)
        self.assertEqual(trace.other["events"] + trace.other["dropped"], 201 * 4)
        self.assertEqual(trace.other["events"], 64 * 4)

    def test_keeps_the_rings_of_threads_that_live(self):
        trace = self.trace("finish", "1", "one-by-one", "70", "finish", "1")
        self.assertEqual(trace.count(tid=trace.other["pid"], ph="b"), 2)
        self.assertGreater(trace.other["dropped"], 0)
        trace = self.trace("threads", "70")
        self.expect(trace, start=210, finish=210, pause=210, resume=210)
        self.assertEqual(len(trace.threads), 70)

    def test_is_whole_while_other_threads_go_on(self):
        for _ in range(5):
            trace = self.trace("busy", "4")
            self.assertEqual(len(trace.threads), 4)

    def test_of_an_exit_in_a_job_ends_its_slice(self):
        trace = self.trace("exit-in-job", "1")
        self.expect(trace, start=1)

    def test_of_a_child_is_beside_its_parents(self):
        self.need_forks()
        trace = self.trace("finish", "2", "fork", "3")
        self.expect(trace, start=2, finish=2, pause=2, resume=2)
        parent, child = self.files()
        trace = Trace(self, os.path.join(self.folder, child))
        self.assertEqual((parent, child), ("trace.json", f"trace.json.{trace.other['pid']}"))
        self.expect(trace, start=3, finish=3, pause=3, resume=3)

    def test_has_the_process_in_its_name(self):
        self.need_forks()
        self.env["ASYNCJOB_TRACE"] = os.path.join(self.folder, "t-%p.json")
        self.run_jobs("finish", "2", "fork", "3")
        traces = [Trace(self, os.path.join(self.folder, name)) for name in self.files()]
        self.assertEqual([f"t-{trace.other['pid']}.json" for trace in traces], self.files())
        self.assertEqual(sorted(trace.count(ph="b") for trace in traces), [2, 3])

    def test_of_a_child_that_was_forked_in_a_job_begins_in_it(self):
        self.need_forks()
        self.run_jobs("fork-in-job", "1")
        child = Trace(self, os.path.join(self.folder, self.files()[1]))
        # It goes on with the job, whose start is its parent's, behind another one; it exits there.
        self.assertEqual(child.counts(), {"start": 2, "finish": 1, "pause": 1, "resume": 1,
                                          "cancel": 0, "wake": 0})
        self.assertEqual(child.other["dropped"], 0)
        self.assertEqual([event["args"].get("lost", False) for event in child.of(ph="B")],
                         [True, False, False])
        self.expect(Trace(self, self.path), start=1, finish=1, pause=1, resume=1)

    def test_is_not_written_by_processes_without_jobs_or_without_an_exit(self):
        self.run_jobs()
        self.run_jobs("finish", "1", "_exit", "1")
        self.run_jobs("finish", "1", "abort", "1", status=-6)
        self.assertEqual(self.files(), [])

    def test_is_written_by_a_debugger_of_a_process_that_would_not(self):
        if os.environ["TRACE_PROBES"] == "untested" or shutil.which("gdb") is None:
            self.skipTest("no gdb, or a build that it is not to run")
        result = subprocess.run(
            ["gdb", "-nx", "-q", "-batch", "-ex", "set debuginfod enabled off", "-ex",
             "break _exit", "-ex", "run", "-ex", "call (void)'asyncjob::trace::write'()", "-ex",
             "shell cp trace.json first.json", "-ex", "continue", "--args", JOBS, "finish", "2",
             "leave", "1", "_exit", "1"],
            env=self.env, cwd=self.folder, text=True, capture_output=True, timeout=TIMEOUT,
            check=False, stdin=subprocess.DEVNULL)
        if "ptrace: Operation not permitted" in result.stderr:
            self.skipTest("gdb may not trace here")
        self.assertIn("exited normally", result.stdout, result.stderr)
        trace = Trace(self, os.path.join(self.folder, "first.json"))
        self.expect(trace, start=3, finish=2, pause=3, resume=2)

    def test_is_off_unless_asked_for(self):
        for value in (None, ""):
            self.env.pop("ASYNCJOB_TRACE")
            if value is not None:
                self.env["ASYNCJOB_TRACE"] = value
            self.run_jobs("finish", "1", "threads", "2", "wake", "1")
            self.assertEqual(self.files(), [])
            self.env["ASYNCJOB_TRACE"] = ""

    def test_that_cannot_be_written_is_said_once_and_the_program_goes_on(self):
        self.env["ASYNCJOB_TRACE"] = os.path.join(self.folder, "none", "trace.json")
        self.run_jobs("finish", "2", "threads", "4", errors="asyncjob: ASYNCJOB_TRACE: "
                      f"{self.env['ASYNCJOB_TRACE']}: No such file or directory\n")
        # Not when all is lost.
        self.assertIn("No such file", self.run_jobs("finish", "1", "_exit", "1", errors=None).stderr)
        self.env["ASYNCJOB_TRACE"] = "/tmp/" + "x" * 5000
        self.assertIn("name too long", self.run_jobs("finish", "1", errors=None).stderr)

    def test_that_meets_a_full_device_is_said_and_the_program_goes_on(self):
        self.env["ASYNCJOB_TRACE"] = "/dev/full"
        self.run_jobs("finish", "1", errors="asyncjob: ASYNCJOB_TRACE: /dev/full: "
                      "No space left on device\n")

    def test_goes_through_a_pipe_however_slow(self):
        os.mkfifo(self.path)
        with open(os.path.join(self.folder, "out.json"), "wb") as out:
            with subprocess.Popen(["cat", self.path], stdout=out) as reader:
                try:
                    self.run_jobs("pauses", "5000")
                    self.assertEqual(reader.wait(TIMEOUT), 0)
                finally:
                    reader.kill()
        trace = Trace(self, os.path.join(self.folder, "out.json"))
        self.expect(trace, start=1, finish=1, pause=5000, resume=5000)

    def test_is_written_while_another_thread_forks_in_the_loader(self):
        # The names of functions wait for the loader, the thread has it and forks, and a fork waits
        # for what the library holds.
        self.need_forks()
        os.mkfifo(self.path)
        pipe = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, pipe)
        with subprocess.Popen([JOBS, "simple", "3000", "finish", "1", "fork-in-loader", "1"],
                              env=self.env, cwd=self.folder, stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            kill = threading.Timer(30, process.kill)
            kill.start()
            try:
                select.select([pipe], [], [], TIMEOUT)  # it exits, and has more than fits into it
                process.stdin.write(b"1")
                process.stdin.flush()
                self.assertEqual(process.stdout.read(2), b"in")
                os.set_blocking(pipe, True)
                with open(os.dup(pipe), "rb") as reader, \
                        concurrent.futures.ThreadPoolExecutor() as pool:
                    whole = pool.submit(reader.read)
                    time.sleep(0.3)  # it looks for pausing_job by then, most likely
                    process.stdin.write(b"2")
                    process.stdin.flush()
                    trace = json.loads(whole.result())
                self.assertEqual((process.wait(), process.stderr.read()), (0, b""))
            finally:
                kill.cancel()
                process.kill()
        self.assertEqual(trace["otherData"]["events"], 2 * 3000 + 4)

    def test_leaves_what_stands_for_standard_output_as_it_is(self):
        link = os.path.join(self.folder, "stdout")  # as /dev has it
        os.symlink("/proc/self/fd/1", link)
        self.env["ASYNCJOB_TRACE"] = link
        with open(self.path, "w+", encoding="utf-8") as out:
            for number in (1, 2):
                subprocess.run([JOBS, "finish", str(number)], env=self.env, cwd=self.folder,
                               stdout=out, timeout=TIMEOUT, check=True)
            out.seek(0)
            traces = out.read()
        self.assertEqual(os.readlink(link), "/proc/self/fd/1")
        self.assertEqual(self.files(), ["stdout", "trace.json"])
        decoder = json.JSONDecoder()
        _, end = decoder.raw_decode(traces)
        second, _ = decoder.raw_decode(traces[end:].lstrip())
        self.assertEqual(second["otherData"]["events"], 8)

    def test_replaces_an_older_one_as_a_whole(self):
        with open(self.path, "w", encoding="utf-8") as file:
            file.write("x" * 100000)
        self.expect(self.trace("simple", "1"), start=1, finish=1)
        self.assertEqual(self.files(), ["trace.json"])

    def test_is_for_the_user_alone_as_it_has_addresses(self):
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        for _ in range(2):
            self.run_jobs("simple", "1")
            self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
            os.chmod(self.path, 0o644)  # an older one's mode goes with it

    def copy_of_static_program(self, name):
        if os.getuid() != 0 or os.environ["TRACE_PROBES"] == "untested":
            self.skipTest("only root can make a program of another user; LSan does not run in one")
        os.chmod(self.folder, 0o777)
        program = os.path.join(self.folder, name)
        shutil.copy(os.environ["TRACE_JOBS_STATIC"], program)
        return program

    def test_of_a_program_with_more_rights_is_not_written(self):
        program = self.copy_of_static_program("setuid")
        os.chown(program, 65534, 65534)
        self.run_jobs("finish", "1", program=program)
        self.assertIn("trace.json", self.files())
        os.remove(self.path)
        os.chmod(program, 0o4755)
        self.run_jobs("finish", "1", program=program)
        self.assertEqual(self.files(), ["setuid"])

    def test_of_a_program_with_capabilities_is_not_written(self):
        program = self.copy_of_static_program("capable")
        net_bind_service = 1 << 10
        version_2, effective = 0x02000000, 1
        self.run_jobs("finish", "1", program=program, user=65534)
        self.assertEqual(self.files(), ["capable", "trace.json"])
        os.remove(self.path)
        try:
            os.setxattr(program, "security.capability", struct.pack(
                "<5I", version_2 | effective, net_bind_service, 0, 0, 0))
            self.run_jobs("finish", "1", program=program, user=65534)
        except OSError as error:
            self.skipTest(f"no capabilities here: {error}")
        self.assertEqual(self.files(), ["capable"])


if __name__ == "__main__":
    unittest.main()
