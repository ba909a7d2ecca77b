# SPDX-License-Identifier: Apache-2.0
# What the tests of the program share: running it in an environment of its own, and a TLS
# server under it. The program's path comes in ASYNCJOB, small programs of ours in
# CLI_STATIC and CLI_TATTLER.
import contextlib
import os
import re
import select
import shutil
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

ASYNCJOB = os.environ["ASYNCJOB"]
TIMEOUT = 60


def default_properties(query):
    """A configuration that sets them."""
    return f"openssl_conf = i\n[i]\nalg_section = a\n[a]\ndefault_properties = {query}\n"


# One that cannot be combined with ours.
OTHER_CHOICE = default_properties("?provider=tpm2")


class ProgramTest(unittest.TestCase):
    """Each test has a folder, self.folder, and an environment, self.env, of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.env = {
            name: value
            for name, value in os.environ.items()
            if name not in ("OPENSSL_CONF", "OPENSSL_MODULES", "LD_PRELOAD", "XDG_RUNTIME_DIR")
        }
        self.env["TMPDIR"] = self.folder

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def lose_ssl_library(self):
        """The program runs on a copy of the library that lies beside nothing."""
        library = os.path.join(os.path.dirname(ASYNCJOB), "..", "src", "libasyncjob.so.0")
        shutil.copy(library, self.folder)
        self.env["LD_LIBRARY_PATH"] = self.folder

    def asyncjob(self, *arguments, stdin=""):
        return subprocess.run(
            [ASYNCJOB, *arguments], input=stdin, env=self.env, cwd=self.folder,
            capture_output=True, text=True, timeout=TIMEOUT, check=False)

    def run_program(self, *program, options=(), stdin=""):
        return self.asyncjob("run", *options, "--", *program, stdin=stdin)

    def expect(self, result, status, *words):
        """The exit status, and words that one line on stderr must have."""
        self.assertEqual(result.returncode, status, result.stderr + result.stdout)
        for word in words:
            self.assertIn(word, result.stderr)

    def user_config(self, text):
        """Makes it the configuration that OPENSSL_CONF names."""
        self.env["OPENSSL_CONF"] = self.write("user.cnf", text)

    def certificate(self):
        key = os.path.join(self.folder, "key.pem")
        certificate = os.path.join(self.folder, "cert.pem")
        config = self.write("req.cnf", "[req]\ndistinguished_name = dn\n[dn]\n")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
             "-keyout", key, "-out", certificate],
            check=True, capture_output=True, timeout=TIMEOUT,
            env=dict(self.env, OPENSSL_CONF=config))
        return ["-cert", certificate, "-key", key]

    @contextlib.contextmanager
    def s_server(self, *options):
        """openssl s_server -async under `asyncjob run`; gives the process and its port."""
        server = subprocess.Popen(
            [ASYNCJOB, "run", "--threads", "2", "--", "openssl", "s_server", "-async", "-accept",
             "127.0.0.1:0", *self.certificate(), *options],
            env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            yield server, accepting_port(server)
        finally:
            server.kill()
            server.communicate()


def accepting_port(server):
    """The port in the server's line "ACCEPT 127.0.0.1:PORT"."""
    output = b""
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        ready, _, _ = select.select([server.stdout], [], [], 1)
        if not ready:
            continue
        chunk = os.read(server.stdout.fileno(), 4096)
        if not chunk:
            break
        output += chunk
        if match := re.search(rb"ACCEPT 127\.0\.0\.1:(\d+)", output):
            return int(match.group(1))
    raise AssertionError("the server does not accept: " + output.decode(errors="replace"))


def handshake(port, version):
    """The protocol that was agreed on, with a client that speaks `version` alone."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = version
    context.maximum_version = version
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as connection:
        with context.wrap_socket(connection) as tls:
            return tls.version()


def threads_of(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def libraries_of(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        return maps.read()
