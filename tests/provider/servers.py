# SPDX-License-Identifier: Apache-2.0
"""What the tests under real servers share: the recipes' files and commands with what must differ
here, certificates, an origin, the client, and the number of pauses."""

import http.server
import os
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "dropin"))
import dropin  # noqa: E402

HANDSHAKES = 2000
AT_A_TIME = 50
CLIENT_PATIENCE = 240

# ECDSA on P-256 costs less than handing it over, so the provider has to be asked to.
ECDSA_TOO = "--operations rsa-sign,rsa-decrypt,ecdsa-sign"


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


class Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.wait()
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


class Origin(http.server.ThreadingHTTPServer):
    """The server behind a proxy, on threads of this process. Proxies may drop connections.
    It replies when it has got `reply_at` requests."""

    daemon_threads = True
    request_queue_size = 1024

    def __init__(self, reply_at=1):
        super().__init__(("127.0.0.1", 0), Hello)
        self.missing = reply_at
        self.arrived = threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def wait(self):
        with self.arrived:
            self.missing -= 1
            if self.missing == 0:
                self.arrived.notify_all()
            self.arrived.wait_for(lambda: self.missing <= 0, dropin.PATIENCE)

    def handle_error(self, *_):
        pass


def replace(text, replacements):
    """Each must be of use: a recipe that changes must not leave its test behind."""
    for old, new in replacements.items():
        if old not in text:
            dropin.fail("'%s' is not in the recipe:\n%s" % (old, text))
        text = text.replace(old, new)
    return text


class Files:
    """What the build made: the program, the library, the provider, the client, the counter."""

    def __init__(self, program, library, provider, client, counter):
        self.program, self.library, self.provider, self.client, self.counter = (
            os.path.abspath(path) for path in (program, library, provider, client, counter))
        dropin.skip_if_sanitized(library)
        # What stands in LD_PRELOAD, and in its place here.
        ssl_library = os.path.join(os.path.dirname(self.library), "..", "ssl", "libasyncjob-ssl.so")
        self.preload = {"libasyncjob.so:libasyncjob-ssl.so": self.library + ":" + ssl_library}


class Site:
    """A folder with a server's files, in a `with`."""

    def __init__(self, files):
        self.files = files

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix="asyncjob-", dir="/tmp")
        self.folder = self.temporary.name
        os.chmod(self.folder, 0o755)
        self.pids = []
        self.count_file = self.path("pauses")
        with open(self.count_file, "wb") as count:
            count.write(bytes(8))
        os.chmod(self.count_file, 0o666)
        return self

    def __exit__(self, *_):
        self.end_all()
        self.temporary.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        """`name` may be a recipe's: /etc is in this folder."""
        path = self.relocate(name) if name.startswith("/") else self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def relocate(self, text):
        return text.replace("/etc/", self.folder + "/etc/")

    def install(self, recipe, name, replacements):
        """Writes a recipe's file where the recipe's command will find it."""
        return self.write(name, replace(self.relocate(recipe.files[name]), replacements))

    def install_openssl_cnf(self, recipe):
        """The configuration by hand, with the provider that is not installed."""
        self.install(recipe, "/etc/asyncjob/openssl.cnf", {
            "/usr/local/lib/ossl-modules/offload.so": self.files.provider})

    def read(self, name):
        with open(self.path(name), errors="replace") as file:
            return file.read()

    def pauses(self):
        with open(self.count_file, "rb") as count:
            return struct.unpack("=Q", count.read(8))[0]

    def certificate(self, kind, folder):
        """Makes site.crt, site.key and site.pem in a recipe's folder; returns one to trust."""
        certificate, key = dropin.make_certificate(self.folder, kind)
        texts = {"crt": self.read(certificate), "key": self.read(key)}
        texts["pem"] = texts["crt"] + texts["key"]
        for name, text in texts.items():
            self.write("%s/site.%s" % (folder, name), text)
        return certificate

    def environment(self, **more):
        """Of a shell whose user has installed asyncjob, and counts pauses."""
        path = [os.path.dirname(self.files.program), os.environ["PATH"], "/usr/sbin"]
        return dict(os.environ, PATH=":".join(path), XDG_RUNTIME_DIR=self.folder,
                    LD_AUDIT=self.files.counter, COUNT_PAUSES_FILE=self.count_file, **more)

    def start(self, command, replacements={}, kind="rsa", daemon=False, **environment):
        """Starts a server by a recipe's command, for certificates of that kind; its output goes
        to server.log. A daemon's first process ends."""
        if kind == "ec":
            command = replace(command, {"asyncjob run": "asyncjob run " + ECDSA_TOO})
        command = replace(self.relocate(command), replacements)
        words = shlex.split(command.replace("\\\n", ""))
        print("  $", " ".join(words))
        if "=" in words[0]:
            words.insert(0, "env")
        with open(self.path("server.log"), "w") as log:
            process = subprocess.Popen(words, env=self.environment(**environment), stdout=log,
                                       stderr=log, cwd=self.folder,
                                       stdin=subprocess.DEVNULL if daemon else subprocess.PIPE)
        if daemon:
            if process.wait(dropin.PATIENCE) != 0:
                dropin.fail("%s ended with %d:\n%s" %
                            (words, process.returncode, self.read("server.log")))
        else:
            self.pids.append(process.pid)
            self.process = process
        return process

    def wait_for_port(self, port):
        """Waits for the server, which then has the library and the provider."""
        def ready():
            for pid in self.pids:
                if not alive(pid):
                    dropin.fail("the server has ended:\n" + self.read("server.log"))
            return accepts(port)
        dropin.wait_for("port %d; its log:\n%s" % (port, self.read("server.log")), ready)
        self.expect_loaded(any)

    def expect_loaded(self, how):
        """Any or all of the server's processes have the library and the provider. HAProxy's
        master starts itself anew, and may not have come that far."""
        def loaded(pid):
            with open("/proc/%d/maps" % pid) as file:
                maps = file.read()
            return all(os.path.realpath(path) in maps
                       for path in (self.files.library, self.files.provider))
        if not how(map(loaded, self.pids + descendants(self.pids[0]))):
            dropin.fail("the server has not loaded the library and the provider:\n" +
                        self.read("server.log"))

    def end_all(self):
        while self.pids:
            self.end(self.pids.pop())

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
