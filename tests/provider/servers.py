# SPDX-License-Identifier: Apache-2.0
"""What the tests under real servers share: an openssl.cnf with the provider, certificates,
servers with the library preloaded, the client, and the number of pauses."""

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "dropin"))
import dropin  # noqa: E402

HANDSHAKES = 2000
AT_A_TIME = 50
CLIENT_PATIENCE = 240

CONFIGURATION = """\
openssl_conf = openssl_init

[openssl_init]
providers = providers
alg_section = algorithms

[algorithms]
default_properties = ?provider=%s

[providers]
offload = offload_provider
default = default_provider

[offload_provider]
module = %s
activate = 1
%s

[default_provider]
activate = 1
"""


def find_program(name):
    """The path of a server's program; skips the test where there is none."""
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        print("skipped: no", name)
        sys.exit(77)
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def alive(pid):
    try:
        with open("/proc/%d/stat" % pid) as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid):
    found = []
    for task in sorted(os.listdir("/proc/%d/task" % pid)) if alive(pid) else []:
        try:
            with open("/proc/%d/task/%s/children" % (pid, task)) as children:
                for child in map(int, children.read().split()):
                    found += [child] + descendants(child)
        except OSError:
            pass
    return found


class Files:
    """What the build made: the library, the provider, the client, the counter."""

    def __init__(self, library, provider, client, counter):
        self.library, self.provider, self.client, self.counter = (
            os.path.abspath(path) for path in (library, provider, client, counter))
        dropin.skip_if_sanitized(library)


class Site:
    """A folder with a server's files, in a `with`."""

    def __init__(self, files):
        self.files = files

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="asyncjob-", dir="/tmp")
        self.folder = self.temporary.name
        os.chmod(self.folder, 0o755)
        self.pids = []
        self.configure("operations = rsa-sign rsa-decrypt ecdsa-sign")
        self.count_file = self.path("pauses")
        with open(self.count_file, "wb") as count:
            count.write(bytes(8))
        os.chmod(self.count_file, 0o666)
        return self

    def __exit__(self, *_):
        for pid in self.pids:
            self.end(pid)
        self.temporary.cleanup()

    def configure(self, options, preferred="offload"):
        self.write("openssl.cnf", CONFIGURATION % (preferred, self.files.provider, options))

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), errors="replace") as file:
            return file.read()

    def pauses(self):
        with open(self.count_file, "rb") as count:
            return struct.unpack("=Q", count.read(8))[0]

    def certificate(self, kind):
        """A certificate's file, its key's, and one with both."""
        certificate, key = dropin.make_certificate(self.folder, kind)
        both = self.write(kind + "-both.pem", self.read(kind + ".pem") + self.read(kind + ".key"))
        return certificate, key, both

    def environment(self, **more):
        return dict(os.environ, OPENSSL_CONF=self.path("openssl.cnf"),
                    LD_PRELOAD=self.files.counter + ":" + self.files.library,
                    COUNT_PAUSES_FILE=self.count_file, **more)

    def start(self, command, name="server", daemon=False, **environment):
        """Starts a server; its output goes to NAME.log. A daemon's first process ends."""
        with open(self.path(name + ".log"), "w") as log:
            process = subprocess.Popen(command, env=self.environment(**environment), stdout=log,
                                       stderr=log,
                                       stdin=subprocess.DEVNULL if daemon else subprocess.PIPE)
        if daemon:
            if process.wait(dropin.PATIENCE) != 0:
                dropin.fail("%s ended with %d:\n%s" %
                            (command[0], process.returncode, self.read(name + ".log")))
        else:
            self.pids.append(process.pid)
            self.process = process
        return process

    def wait_for_port(self, port, name="server"):
        def ready():
            for pid in self.pids:
                if not alive(pid):
                    dropin.fail("the server has ended:\n" + self.read(name + ".log"))
            return accepts(port)
        dropin.wait_for("port %d; its log:\n%s" % (port, self.read(name + ".log")), ready)

    def end(self, pid):
        """Ends a process and what it has started."""
        family = [pid] + descendants(pid)
        for signal_number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
            for member in family:
                try:
                    os.kill(member, signal_number)
                except ProcessLookupError:
                    pass
            end = time.monotonic() + seconds
            while any(map(alive, family)) and time.monotonic() < end:
                time.sleep(0.05)
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass
            if not any(map(alive, family)):
                return
            if signal_number == signal.SIGTERM:
                print("note: %s did not end at SIGTERM" % family)

    def shake_hands(self, port, version, certificate, count=HANDSHAKES, at_a_time=AT_A_TIME,
                    echo=False):
        """Full handshakes, none of which may fail; returns how often jobs paused meanwhile."""
        before = self.pauses()
        command = [self.files.client, str(port), str(count), str(at_a_time), version, certificate]
        client = subprocess.run(command + (["echo"] if echo else []), capture_output=True,
                                text=True, timeout=CLIENT_PATIENCE)
        said = re.match(r"started \d+ handshakes (\d+) replies (\d+) seconds ([\d.]+)",
                        client.stdout)
        if client.returncode != 0 or not said:
            dropin.fail("TLS %s: %s%s\nthe server said:\n%s" %
                        (version, client.stdout, client.stderr, self.read("server.log")[-4000:]))
        paused = self.pauses() - before
        print("  TLS %s, %s: %s handshakes in %s s, %d pauses" %
              (version, os.path.basename(certificate), said.group(1), said.group(3), paused))
        return paused

    def expect_pauses(self, paused, count=HANDSHAKES):
        """A worker may be done before the job pauses, but not always."""
        if paused < count // 10:
            dropin.fail("only %d pauses in %d handshakes" % (paused, count))

    def expect_provider(self):
        """The server has loaded the provider."""
        for pid in [self.pids[0]] + descendants(self.pids[0]):
            with open("/proc/%d/maps" % pid) as maps:
                if self.files.provider not in maps.read():
                    dropin.fail("process %d has not loaded the provider" % pid)
