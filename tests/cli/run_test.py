# SPDX-License-Identifier: Apache-2.0
# asyncjob run is the program that it starts, or a clear refusal.
import os
import shutil
import signal
import ssl
import subprocess
import sys
import unittest

from support import ASYNCJOB, TIMEOUT, ProgramTest, handshake, libraries_of, threads_of


# Both ends in one process, with callbacks of Python's; a connection is given up in the middle.
HANDSHAKE_IN_MEMORY = """
import ssl, sys
names = []
server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server_context.load_cert_chain(*sys.argv[1:])
server_context.sni_callback = lambda connection, name, context: names.append(name)
client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
client_context.check_hostname = False
client_context.verify_mode = ssl.CERT_NONE
def handshake(turns):
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(down, up, server_hostname="localhost")
    ends = [client, server_context.wrap_bio(up, down, server_side=True)]
    for _ in range(turns):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                pass
    return client.version()
handshake(1)
print(handshake(4), names[-1])
"""


class BecomesTheProgram(ProgramTest):
    def test_exit_status_is_the_programs(self):
        self.expect(self.run_program("sh", "-c", "exit 7"), 7)

    def test_signals_reach_the_program(self):
        program = subprocess.Popen(
            [ASYNCJOB, "run", "--", "sh", "-c",
             "trap 'exit 9' TERM; echo up; while :; do sleep 0.1; done"],
            env=self.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        with program:
            self.assertEqual(program.stdout.readline(), b"up\n")
            os.kill(program.pid, signal.SIGTERM)
            self.assertEqual(program.wait(TIMEOUT), 9)

    def test_death_by_a_signal_is_seen_as_such(self):
        self.assertEqual(self.run_program("sh", "-c", "kill -KILL $$").returncode, -signal.SIGKILL)

    def test_standard_input_and_output_are_the_programs(self):
        result = self.run_program("cat", stdin="to and fro\n")
        self.assertEqual(result.stdout, "to and fro\n")
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)

    def test_arguments_arrive_as_they_are(self):
        arguments = ["--threads", "x", "--", "", "a b", "-h"]
        result = self.run_program(
            sys.executable, "-c", "import sys; print(sys.argv[1:])", *arguments)
        self.assertEqual(result.stdout.strip(), str(arguments))

    def test_scripts_run(self):
        script = self.write("script", "#!/bin/sh\nexit 3\n", 0o755)
        self.expect(self.run_program(script), 3)

    def test_the_line_names_what_was_set(self):
        result = self.run_program(
            "sh", "-c", "echo $LD_PRELOAD $OPENSSL_CONF", options=["--threads", "3"])
        preload, config = result.stdout.split()
        self.expect(result, 0, "LD_PRELOAD=" + preload, "OPENSSL_CONF=" + config, "threads = 3")

    def test_what_was_preloaded_before_stays_behind_the_libraries(self):
        self.env["LD_PRELOAD"] = "libz.so.1"
        result = self.run_program("sh", "-c", "echo $LD_PRELOAD")
        self.assertRegex(result.stdout, 
                         r"^/[^\s:]*/libasyncjob\.so[^\s:]*:/[^\s:]*/libasyncjob-ssl\.so[^\s:]*"
                         r":libz\.so\.1\n$")

    def test_the_library_for_libssl_can_be_left_out(self):
        for before, behind in [(None, ""), ("libz.so.1", ":libz.so.1")]:
            if before:
                self.env["LD_PRELOAD"] = before
            result = self.run_program("sh", "-c", "echo $LD_PRELOAD", options=["--no-ssl"])
            self.assertRegex(result.stdout, rf"^/[^\s:]*/libasyncjob\.so[^\s:]*{behind}\n$")
            self.assertNotIn("libasyncjob-ssl", result.stderr)

    def test_the_library_for_libssl_need_not_be_there_then(self):
        self.lose_ssl_library()
        # What is missing next.
        self.expect(self.run_program("true", options=["--no-ssl"]), 125, "offload.so is neither")


class Serves(ProgramTest):
    def test_s_server_with_workers_in_both_versions(self):
        with self.s_server() as (server, port):
            self.assertEqual(threads_of(server.pid), 1)
            self.assertEqual(handshake(port, ssl.TLSVersion.TLSv1_2), "TLSv1.2")
            self.assertEqual(handshake(port, ssl.TLSVersion.TLSv1_3), "TLSv1.3")
            # Workers start only when a signature leaves its job.
            self.assertEqual(threads_of(server.pid), 3)
            libraries = libraries_of(server.pid)
            for file in ("libasyncjob.so", "libasyncjob-ssl.so", "offload.so"):
                self.assertIn(file, libraries)

    def test_python_whose_libssl_comes_late(self):
        certificate = self.certificate()
        script = self.write("handshake.py", HANDSHAKE_IN_MEMORY)
        result = self.run_program("/usr/bin/python3", script, certificate[1], certificate[3])
        self.expect(result, 0)
        self.assertEqual(result.stdout, "TLSv1.3 localhost\n")


class Refuses(ProgramTest):
    def test_a_program_that_does_not_exist(self):
        self.expect(self.run_program("no-such-program"), 127, "'no-such-program'", "PATH")
        self.expect(self.run_program("./no-such-program"), 127, "no such file")

    def test_a_script_whose_interpreter_does_not_exist(self):
        script = self.write("script", "#!/no/interpreter\n", 0o755)
        self.expect(self.run_program(script), 126, "/no/interpreter", "which does not exist")

    def test_what_cannot_be_executed(self):
        self.expect(self.run_program(self.write("plain", "text", 0o644)), 126, "chmod +x")
        self.expect(self.run_program(self.folder), 126, "folder")
        self.expect(self.run_program(self.write("text", "text", 0o755)), 126, "#!")

    def test_a_statically_linked_program(self):
        self.expect(self.run_program(os.environ["CLI_STATIC"]), 125,
                    "statically linked", "libasyncjob.a")

    def test_a_program_for_another_cpu(self):
        program = os.path.join(self.folder, "foreign")
        shutil.copy(shutil.which("true"), program)
        with open(program, "r+b") as file:
            file.seek(18)
            file.write(b"\x16\x00")  # EM_S390
        self.expect(self.run_program(program), 125, "another CPU")

    def test_a_setuid_program_of_another_user(self):
        program = shutil.which("su")
        if os.getuid() == 0:
            program = os.path.join(self.folder, "setuid")
            shutil.copy(shutil.which("true"), program)
            os.chown(program, 65534, 65534)
            os.chmod(program, 0o4755)
        elif program is None:
            self.skipTest("there is no setuid program")
        self.expect(self.run_program(program), 125, "setuid", "ignores LD_PRELOAD")

    def test_to_go_without_the_library_for_libssl(self):
        self.lose_ssl_library()
        self.expect(self.run_program("true"), 125, "libasyncjob-ssl.so.0 is neither", "install it")

    def test_settings_in_the_providers_words(self):
        for option, value, words in [
            ("--threads", "0", "threads: '0' is not a number from 1 to 1024"),
            ("--threads", "many", "threads: 'many' is not a number"),
            ("--operations", "rsa-sing", "operations: 'rsa-sing' is not one of: all rsa-sign"),
            ("--operations", ",", "operations: the list is empty"),
            ("--inner", "no-such-one", "inner: the provider 'no-such-one' cannot be loaded"),
            ("--inner-config", "missing.cnf",
             f"inner_config: '{os.path.realpath(self.folder)}/missing.cnf'"),
        ]:
            with self.subTest(option=option, value=value):
                result = self.run_program("echo", "ran", options=[f"{option}={value}"])
                self.expect(result, 125, words)
                self.assertEqual(result.stdout, "")

    def test_a_command_line_without_a_program(self):
        self.expect(self.asyncjob("run"), 125, "behind --")
        self.expect(self.asyncjob("run", "--"), 125, "behind --")
        self.expect(self.asyncjob("run", "echo"), 125, "Put -- before")
        self.expect(self.asyncjob("run", "--thread", "--", "echo"), 125, "--thread")
        self.expect(self.asyncjob("walk"), 2, "'walk'")
        self.expect(self.asyncjob(), 2, "subcommand")

    def test_what_it_offers_it_lists(self):
        self.assertRegex(self.asyncjob("--version").stdout, r"^asyncjob \d+\.\d+\.\d+\n$")
        self.assertIn("Examples:", self.asyncjob("--help").stdout)
        self.expect(self.asyncjob("run", "--help"), 0)


if __name__ == "__main__":
    unittest.main()
