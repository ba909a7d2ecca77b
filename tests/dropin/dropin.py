# SPDX-License-Identifier: Apache-2.0
"""What the drop-in tests share: skips, certificates, servers under LD_PRELOAD, and which
library the loader bound each ASYNC_* symbol to."""

import glob
import os
import re
import subprocess
import sys
import time

PATIENCE = 30  # seconds for anything that should take less than one


def fail(message):
    print("FAILED:", message, file=sys.stderr)
    sys.exit(1)


def skip_if_sanitized(library):
    """A library with AddressSanitizer cannot be preloaded into a program without it."""
    symbols = subprocess.run(["nm", "-D", library], capture_output=True, text=True, check=True)
    if "__asan_init" in symbols.stdout:
        print("skipped: a library with AddressSanitizer cannot be preloaded")
        sys.exit(77)


def make_certificate(folder, kind):
    """A self-signed certificate for localhost; kind is "rsa" or "ec". Returns its file and
    its key's."""
    certificate, key = (os.path.join(folder, kind + end) for end in (".pem", ".key"))
    new_key = ["rsa:2048"] if kind == "rsa" else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-newkey", *new_key, "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    return certificate, key


def wait_for(what, condition):
    """Waits until condition() is true, and returns its value."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    fail("waited in vain for " + what)


class Server:
    """A server under LD_PRELOAD=library, in a `with`: its output goes to files, and so do the
    loader's bindings, all of which it makes at the start."""

    def __init__(self, library, folder, command):
        self.library = library
        self.folder = folder
        self.out = os.path.join(folder, "server.out")
        self.err = os.path.join(folder, "server.err")
        self.command = command

    def __enter__(self):
        environment = dict(os.environ, LD_PRELOAD=self.library, LD_BIND_NOW="1",
                           LD_DEBUG="bindings",
                           LD_DEBUG_OUTPUT=os.path.join(self.folder, "bindings"))
        with open(self.out, "w") as out, open(self.err, "w") as err:
            self.process = subprocess.Popen(self.command, env=environment, stdout=out, stderr=err,
                                            stdin=subprocess.PIPE)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def output(self, file):
        if self.process.poll() is not None:
            fail("the server ended with %d:\n%s" % (self.process.returncode, open(self.err).read()))
        with open(file, errors="replace") as text:
            return text.read()

    def port(self):
        """The port, from a line "ACCEPT host:port"."""
        found = wait_for("the server", lambda: re.search(r"^ACCEPT \S+:(\d+)$",
                                                         self.output(self.out), re.MULTILINE))
        return int(found.group(1))

    def check_bindings(self):
        """Each ASYNC_* symbol that libssl references is bound to the library, and nobody's to
        another."""
        bindings = []
        for file in glob.glob(os.path.join(glob.escape(self.folder), "bindings.*")):
            with open(file, errors="replace") as text:
                bindings += re.findall(
                    r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: normal symbol `(ASYNC_\w+)'",
                    text.read())
        elsewhere = {binding for binding in bindings
                     if os.path.realpath(binding[1]) != os.path.realpath(self.library)}
        if elsewhere:
            fail("bound to another library: %s" % sorted(elsewhere))
        libssl = {file for file, _, _ in bindings if "libssl" in os.path.basename(file)}
        if len(libssl) != 1:
            fail("no bindings of libssl (or of two): %s" % libssl)
        listing = subprocess.run(["nm", "-D", "--undefined-only", libssl.pop()],
                                 capture_output=True, text=True, check=True).stdout
        wanted = set(re.findall(r"\b(ASYNC_\w+)", listing))
        bound = {symbol for file, _, symbol in bindings if "libssl" in os.path.basename(file)}
        if not wanted or bound != wanted:
            fail("libssl's references and bindings differ: %s" % sorted(wanted ^ bound))
        print("all %d ASYNC_* references of libssl are bound to %s" %
              (len(wanted), os.path.basename(self.library)))
