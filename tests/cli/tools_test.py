# SPDX-License-Identifier: Apache-2.0
# asyncjob doctor and asyncjob bench.
import json
import os
import unittest

from support import OTHER_CHOICE, ProgramTest


# A section for the provider with a setting that it refuses.
OWN = "openssl_conf = i\n[i]\nproviders = p\n[p]\noffload = o\n[o]\nthreads = none\n"


class Doctor(ProgramTest):
    def diagnose(self, *program):
        """The exit status and the verdict and finding of each subject."""
        result = self.asyncjob("doctor", *(["--", *program] if program else []))
        lines = [line.split(None, 2) for line in result.stdout.splitlines()]
        return result.returncode, {subject: (verdict, text) for verdict, subject, text in lines}

    def provider(self):
        """The file that doctor says it has loaded."""
        return self.diagnose()[1]["provider"][1].split(": ")[0]

    def expect_finding(self, found, subject, verdict, *words):
        self.assertEqual(found[subject][0], verdict, found)
        for word in words:
            self.assertIn(word, found[subject][1])

    def test_this_machine_runs_jobs_and_the_provider(self):
        status, found = self.diagnose()
        self.assertEqual(status, 0, found)
        self.expect_finding(found, "jobs", "ok", "ran and paused")
        self.expect_finding(found, "provider", "ok", "paused")
        self.expect_finding(found, "OpenSSL", "ok", "OpenSSL 3.")
        self.expect_finding(found, "configuration", "ok")
        for subject in ("kernel", "CPUs", "library", "ssl-library", "guard"):
            self.assertIn(subject, found)

    def test_a_configuration_by_hand_is_loaded_as_it_stands(self):
        by_hand = "openssl_conf = i\n[i]\nproviders = p\n[p]\noffload = o\n[o]\n%sactivate = 1\n"
        for module in ("", "module = /nowhere/offload.so\n"):
            self.user_config(by_hand % module)
            status, found = self.diagnose()
            self.assertEqual(status, 1, found)
            self.expect_finding(found, "configuration", "ok", "with the provider added")
            self.expect_finding(found, "by-hand", "fail", "offload.so", "module = ")
        self.user_config(by_hand % ("module = %s\n" % self.provider()))
        status, found = self.diagnose()
        self.assertEqual(status, 0, found)
        self.expect_finding(found, "by-hand", "ok", "by itself")
        self.user_config(OWN.replace("none", "3"))  # names it, activates nothing
        status, found = self.diagnose()
        self.assertEqual(status, 0, found)
        self.assertNotIn("by-hand", found)

    def test_openssl_binds_and_asks_for_async(self):
        status, found = self.diagnose("openssl")
        self.assertEqual(status, 0, found)
        self.expect_finding(found, "libssl", "ok", "ASYNC_")
        self.expect_finding(found, "teardown", "ok", "libasyncjob-ssl.so")
        self.expect_finding(found, "async", "ok", "-async")

    def test_a_program_without_openssl_is_a_warning(self):
        status, found = self.diagnose("/bin/true")
        self.assertEqual(status, 0, found)
        self.expect_finding(found, "OpenSSL", "warn", "libssl.so")

    def test_a_program_with_libssl_that_never_asks_is_a_warning(self):
        status, found = self.diagnose(os.environ["CLI_TATTLER"])
        self.assertEqual(status, 0, found)
        self.expect_finding(found, "libssl", "ok")
        self.expect_finding(found, "teardown", "warn", "SSL_free()")
        self.expect_finding(found, "async", "warn", "in place")

    def test_a_missing_library_for_libssl_fails(self):
        self.lose_ssl_library()
        status, found = self.diagnose("openssl")
        self.assertEqual(status, 1, found)
        self.expect_finding(found, "ssl-library", "fail", "libasyncjob-ssl.so.0 is neither")
        self.assertNotIn("teardown", found)

    def test_the_program_is_not_run(self):
        self.env["TATTLE"] = os.path.join(self.folder, "ran")
        self.diagnose(os.environ["CLI_TATTLER"])
        self.assertFalse(os.path.exists(self.env["TATTLE"]))
        self.run_program(os.environ["CLI_TATTLER"])
        self.assertTrue(os.path.exists(self.env["TATTLE"]))

    def test_a_statically_linked_program_fails(self):
        status, found = self.diagnose(os.environ["CLI_STATIC"])
        self.assertEqual(status, 1)
        self.expect_finding(found, "program", "fail", "statically linked")

    def test_a_missing_program_fails(self):
        status, found = self.diagnose("no-such-program")
        self.assertEqual(status, 1)
        self.expect_finding(found, "program", "fail", "PATH")

    def test_a_configuration_that_cannot_be_combined_fails(self):
        for text, word in [("[broken\n", "line 1"), (OTHER_CHOICE, "--inner"), (OWN, "'none'")]:
            with self.subTest(text=text):
                self.user_config(text)
                status, found = self.diagnose()
                self.assertEqual(status, 1, found)
                self.expect_finding(found, "configuration", "fail", "user.cnf", word)
                self.expect_finding(found, "provider", "ok")


class Bench(ProgramTest):
    def test_both_libraries_are_measured_and_told_apart(self):
        result = self.asyncjob("bench", "--json", "figures.json")
        self.expect(result, 0)
        self.assertIn("pause and resume", result.stdout)
        with open(os.path.join(self.folder, "figures.json"), encoding="utf-8") as file:
            figures = json.load(file)
        self.assertIn("libasyncjob.so", figures["asyncjob"]["file"])
        self.assertIn("libcrypto.so", figures["libcrypto"]["file"])
        self.assertEqual(sorted(figures["operations"]),
                         ["current_job", "pause_resume", "start_finish", "whole_life"])
        for name, row in figures["operations"].items():
            self.assertAlmostEqual(row["ratio"], row["libcrypto_ns"] / row["asyncjob_ns"],
                                   delta=0.05 * row["ratio"], msg=name)

    def test_a_file_that_cannot_be_written_fails_at_once(self):
        result = self.asyncjob("bench", "--json", "/no/such/folder/file")
        self.expect(result, 1, "'/no/such/folder/file' cannot be written: No such file")
        self.assertEqual(result.stdout, "")

    def test_a_preloaded_libcrypto_is_not_taken_for_ours(self):
        self.env["LD_PRELOAD"] = "libcrypto.so.3"
        self.expect(self.asyncjob("bench", "--measure", "ours"), 1, "libcrypto.so.3", "LD_PRELOAD")


if __name__ == "__main__":
    unittest.main()
