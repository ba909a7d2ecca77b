# SPDX-License-Identifier: Apache-2.0
# ASYNCJOB_REPORT and asyncjob run --report: what is written, by whom, and when nothing is.
import json
import os
import shutil
import ssl
import stat
import subprocess
import unittest

from support import ASYNCJOB, ProgramTest, TIMEOUT, accepting_port, handshake

JOBS = os.environ["CLI_JOBS"]
NUMBERS = {"started", "finished", "cancelled", "refused", "live", "paused", "idle", "peak",
           "left_behind", "threads", "stack_high_water"}


class Report(ProgramTest):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.folder, "report.json")
        self.env["ASYNCJOB_REPORT"] = self.path

    def run_jobs(self, *arguments, program=JOBS, status=0):
        result = subprocess.run([program, *arguments], env=self.env, cwd=self.folder, text=True,
                                capture_output=True, timeout=TIMEOUT, check=False)
        self.assertEqual(result.returncode, status, result.stderr)
        return result

    def read(self, path=None, partial=False):
        with open(path or self.path, encoding="utf-8") as file:
            report = json.load(file)
        self.assertEqual(set(report), NUMBERS | {"program", "pid", "partial"})
        self.assertIs(report["partial"], partial)
        return report

    def expect_numbers(self, report, **numbers):
        self.assertEqual({name: report[name] for name in numbers}, numbers)

    def files(self):
        return sorted(os.listdir(self.folder))

    def test_has_the_numbers_of_what_the_program_did(self):
        self.assertEqual(self.run_jobs("finish", "5", "cancel", "3", "leave", "2",
                                       "refuse", "4").stderr, "")
        report = self.read()
        self.expect_numbers(report, program="cli_jobs", started=10, finished=8, cancelled=3,
                            refused=4, live=2, paused=2, peak=5, left_behind=0, threads=1)
        self.assertGreater(report["stack_high_water"], 0)
        self.assertEqual(self.files(), ["report.json"])

    def test_has_those_of_threads_that_have_ended(self):
        self.run_jobs("thread", "4", "finish", "1")
        self.expect_numbers(self.read(), started=5, finished=1, left_behind=4, live=0, peak=4)

    def test_is_written_where_the_program_was_started(self):
        self.env["ASYNCJOB_REPORT"] = "report.json"
        self.run_jobs("finish", "1", "chdir", "/")
        self.expect_numbers(self.read(), finished=1)

    def test_replaces_an_older_one_as_a_whole(self):
        self.write("report.json", "x" * 100000)
        self.run_jobs("finish", "1")
        self.expect_numbers(self.read(), finished=1)

    def test_each_process_has_its_own_where_the_name_has_its_number(self):
        self.env["ASYNCJOB_REPORT"] = os.path.join(self.folder, "r-%p-%%.json")
        self.run_jobs("finish", "2", "fork", "3", "finish", "4")
        reports = [self.read(os.path.join(self.folder, name)) for name in self.files()]
        self.assertEqual([f"r-{report['pid']}-%%.json" for report in reports], self.files())
        self.assertEqual(sorted(report["finished"] for report in reports), [5, 6])

    def test_of_one_name_is_that_of_the_process_that_ended_last(self):
        self.run_jobs("finish", "2", "fork", "3", "finish", "4")  # it waits for its child
        self.expect_numbers(self.read(), finished=6)

    def test_is_not_written_by_processes_that_use_no_jobs(self):
        self.run_jobs()
        self.assertEqual(self.files(), [])
        self.run_jobs("finish", "3")
        self.env["LD_PRELOAD"] = os.environ["CLI_LIBRARY"]
        self.run_jobs("-c", f"{JOBS} finish 7; true", program=shutil.which("sh"))
        self.expect_numbers(self.read(), finished=7)

    def test_is_not_written_by_a_child_that_uses_none_of_its_parents_jobs(self):
        self.run_jobs("finish", "2", "leave", "1", "fork-only", "1", "_exit", "0")
        self.assertEqual(self.files(), [])
        self.run_jobs("finish", "2", "fork", "1", "_exit", "0")
        self.expect_numbers(self.read(), finished=3)

    def test_is_written_by_a_child_that_only_resumes_a_job_of_its_parents(self):
        self.run_jobs("finish", "2", "fork-resume", "1", "_exit", "0")
        self.expect_numbers(self.read(), started=3, finished=2, paused=1)

    def test_has_the_name_of_a_program_that_overwrites_it(self):
        self.run_jobs("finish", "1", "title", "worker process 1 of 2")
        self.expect_numbers(self.read(), program="cli_jobs", finished=1)

    def test_is_written_on_the_stack_of_the_smallest_job(self):
        self.run_jobs("exit-in-job", "16384")
        self.expect_numbers(self.read(), started=1, finished=0, live=1)

    def test_of_an_exit_within_the_library_is_partial_or_said_not_to_be_written(self):
        # In the list of threads; and in that of the thread's jobs.
        result = self.run_jobs("finish", "1", "exit-in-stats", "1")
        self.assertIn("not written: the process ended within the library", result.stderr)
        self.assertEqual(self.files(), [])
        result = self.run_jobs("thread", "3", "cancel", "2", "leave", "2", "exit-in-lock", "1")
        self.assertEqual(result.stderr, "")
        self.expect_numbers(self.read(partial=True), started=3, finished=0, left_behind=3,
                            cancelled=2, threads=1, live=0)

    def test_is_not_written_by_what_ends_without_exit(self):
        for how, status in ("_exit", 0), ("abort", -6):
            self.run_jobs("finish", "1", how, "0", status=status)
            self.assertEqual(self.files(), [])

    def test_that_cannot_be_written_is_said_and_the_program_goes_on(self):
        self.env["ASYNCJOB_REPORT"] = os.path.join(self.folder, "none", "report.json")
        result = self.run_jobs("finish", "1")
        self.assertIn("ASYNCJOB_REPORT", result.stderr)
        self.assertIn("No such file or directory", result.stderr)
        self.env["ASYNCJOB_REPORT"] = "/tmp/" + "x" * 5000
        self.assertIn("name too long", self.run_jobs("finish", "1").stderr)

    def test_goes_into_a_pipe_or_device_which_stays_what_it_is(self):
        os.mkfifo(self.path)
        self.assertIn("No such device or address", self.run_jobs("finish", "1").stderr)
        reader = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            self.assertEqual(self.run_jobs("finish", "1").stderr, "")
            self.expect_numbers(json.loads(os.read(reader, 4096)), finished=1)
        finally:
            os.close(reader)
        self.assertTrue(stat.S_ISFIFO(os.stat(self.path).st_mode))
        self.assertEqual(self.files(), ["report.json"])
        self.env["ASYNCJOB_REPORT"] = "/dev/stderr"
        self.expect_numbers(json.loads(self.run_jobs("finish", "2").stderr), finished=2)

    def test_of_a_program_with_more_rights_is_not_written(self):
        if os.getuid() != 0:
            self.skipTest("only root can make a program of another user")
        os.chmod(self.folder, 0o777)
        program = os.path.join(self.folder, "setuid")
        shutil.copy(os.environ["CLI_JOBS_STATIC"], program)
        os.chown(program, 65534, 65534)
        self.run_jobs("finish", "1", program=program)
        self.assertIn("report.json", self.files())
        os.remove(self.path)
        os.chmod(program, 0o4755)
        self.run_jobs("finish", "1", program=program)
        self.assertNotIn("report.json", self.files())


class RunReport(ProgramTest):
    def test_of_openssl_s_server_counts_its_handshakes(self):
        server = subprocess.Popen(
            [ASYNCJOB, "run", "--threads", "2", "--report", "server.json", "--", "openssl",
             "s_server", "-async", "-naccept", "3", "-accept", "127.0.0.1:0",
             *self.certificate()],
            env=self.env, cwd=self.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        try:
            port = accepting_port(server)
            for version in [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3,
                            ssl.TLSVersion.TLSv1_3]:
                handshake(port, version)
            server.communicate(timeout=TIMEOUT)
        finally:
            server.kill()
            server.communicate()
        with open(os.path.join(self.folder, "server.json"), encoding="utf-8") as file:
            report = json.load(file)
        self.assertEqual(report["program"], "openssl")
        self.assertEqual(report["pid"], server.pid)
        self.assertGreaterEqual(report["finished"], 3)
        self.assertEqual(report["finished"], report["started"] - report["live"])
        self.assertEqual(report["paused"], 0)
        self.assertEqual(report["refused"], 0)

    def test_whose_folder_is_not_there_is_an_error_before_the_program_starts(self):
        result = self.run_program("echo", "ran", options=["--report", "none/report.json"])
        self.expect(result, 125, "--report", "none", "No such file or directory")
        self.assertEqual(result.stdout, "")

    def test_that_is_a_folder_or_empty_is_an_error(self):
        os.mkdir(os.path.join(self.folder, "there"))
        self.expect(self.run_program("echo", options=["--report", "there"]), 125, "is a folder")
        self.expect(self.run_program("echo", options=["--report", ""]), 125, "--report")


if __name__ == "__main__":
    unittest.main()
