#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A TLS server with the provider whose limits are lowered under load (RLIMIT_NOFILE, RLIMIT_AS):
connections may be refused or dropped, none gets a byte that is wrong, the server lives, and when
the limit is raised again every connection is served, as at the beginning.

Usage: limits_test.py nofile|as SERVER PROVIDER"""

import os
import random
import re
import resource
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "dropin"))
import dropin  # noqa: E402

CLIENTS = 24
SECONDS_UNDER_LIMIT = 4
CLIENT_PATIENCE = 10

OPENSSL_CNF = """\
openssl_conf = init
[init]
providers = providers
alg_section = algorithms
[algorithms]
default_properties = ?provider=offload
[providers]
offload = offload_section
default = default_section
[offload_section]
module = %s
activate = 1
threads = 2
[default_section]
activate = 1
"""


class Counts:
    def __init__(self):
        self.lock = threading.Lock()
        self.served = self.refused = 0
        self.wrong = []


def talk(port, context, seed, counts):
    """One connection: some messages and their echoes."""
    source = random.Random(seed)
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=CLIENT_PATIENCE) as plain, \
                context.wrap_socket(plain, server_hostname="localhost") as stream:
            for _ in range(3):
                message = source.randbytes(source.randint(1, 40000))
                stream.sendall(message)
                got = b""
                while len(got) < len(message):
                    part = stream.recv(65536)
                    if not part:
                        raise ConnectionError("dropped")
                    got += part
                    if not message.startswith(got):
                        with counts.lock:
                            counts.wrong.append("seed %d: wrong at byte %d" % (seed, len(got)))
                        return
            with counts.lock:
                counts.served += 1
    except (OSError, ssl.SSLError):
        with counts.lock:
            counts.refused += 1


def hammer(port, context, go_on):
    """CLIENTS threads, as long as go_on(number) is true."""
    counts, numbers, lock = Counts(), [0], threading.Lock()

    def client():
        while True:
            with lock:
                number = numbers[0]
                numbers[0] += 1
            if not go_on(number):
                return
            talk(port, context, number, counts)
    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if counts.wrong:
        dropin.fail("; ".join(counts.wrong[:5]))
    return counts


def lowered(kind, pid):
    """The limit that is just above what the idle server has."""
    if kind == "nofile":
        return resource.RLIMIT_NOFILE, len(os.listdir("/proc/%d/fd" % pid)) + 9
    with open("/proc/%d/statm" % pid) as statm:
        return resource.RLIMIT_AS, (int(statm.read().split()[0]) + 20) * resource.getpagesize()


def main():
    kind, program, provider = sys.argv[1], *map(os.path.abspath, sys.argv[2:])
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = dropin.make_certificate(folder, "rsa")
        conf, out = os.path.join(folder, "openssl.cnf"), os.path.join(folder, "out")
        with open(conf, "w") as file:
            file.write(OPENSSL_CNF % provider)
        context = ssl.create_default_context(cafile=certificate)
        with open(out, "w") as file:
            # One arena, so that the address space is not taken ahead.
            server = subprocess.Popen([program, certificate, key], stdout=file,
                                      env=dict(os.environ, OPENSSL_CONF=conf,
                                               GLIBC_TUNABLES="glibc.malloc.arena_max=1"))
        try:
            def find_port():
                with open(out) as file:
                    return re.search(r"port (\d+)", file.read())
            port = int(dropin.wait_for("the server", find_port)[1])

            def expect_service(when, count):
                counts = hammer(port, context, lambda number: number < count)
                if counts.served != count:
                    dropin.fail("%s: %d of %d connections were served" %
                                (when, counts.served, count))

            # The threads of the provider are there, and little else: jobs are yet to be made.
            expect_service("at first", CLIENTS if kind == "nofile" else 1)
            limit, value = lowered(kind, server.pid)

            def fds():
                return len(os.listdir("/proc/%d/fd" % server.pid))
            idle = fds()
            before = resource.prlimit(server.pid, limit)
            for _ in range(2):
                resource.prlimit(server.pid, limit, (value, before[1]))
                end = time.monotonic() + SECONDS_UNDER_LIMIT / 2
                counts = hammer(port, context, lambda _: time.monotonic() < end)
                print("%s %d: %d connections served, %d refused" %
                      (kind, value, counts.served, counts.refused))
                if server.poll() is not None:
                    dropin.fail("the server ended with %d" % server.returncode)
                resource.prlimit(server.pid, limit, before)
                expect_service("with room again", 10 * CLIENTS)
            dropin.wait_for("the server to close all that it has opened", lambda: fds() <= idle)
            server.send_signal(signal.SIGTERM)
            if server.wait(dropin.PATIENCE) != 0:
                dropin.fail("the server ended with %d" % server.returncode)
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()
        with open(out) as file:
            said = re.search(r"connections (\d+) pauses (\d+) without room (\d+)", file.read())
        print("the server says:", said[0])
        if int(said[2]) < CLIENTS:
            dropin.fail("jobs paused only %s times" % said[2])
        if int(said[3]) == 0:
            dropin.fail("the limit was not reached")


main()
