#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The example https_server with the provider, under real clients: 10,000 requests, 200 at a time,
each on a connection of its own (ab), and 10,000 on connections that are kept (curl).

Usage: https_server_test.py PROGRAM PROVIDER"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "dropin"))
import dropin  # noqa: E402

REQUESTS = 10000
AT_A_TIME = 200
CLIENT_PATIENCE = 250

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


def client(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=CLIENT_PATIENCE)
    if done.returncode != 0:
        dropin.fail("%s ended with %d:\n%s" % (command[0], done.returncode,
                                               done.stdout + done.stderr[-2000:]))
    return done.stdout


def threads_of(pid):
    return len(os.listdir("/proc/%d/task" % pid))


def main():
    program, provider = sys.argv[1:]
    for name in ("ab", "curl"):
        if shutil.which(name) is None:
            print("skipped: no", name)
            sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = dropin.make_certificate(folder, "rsa")
        conf, out = os.path.join(folder, "openssl.cnf"), os.path.join(folder, "out")
        with open(conf, "w") as file:
            file.write(OPENSSL_CNF % provider)
        with open(out, "w") as file:
            server = subprocess.Popen([program, certificate, key], stdout=file,
                                      env=dict(os.environ, OPENSSL_CONF=conf))
        try:
            def find_url():
                with open(out) as file:
                    return re.search(r"https://127\.0\.0\.1:(\d+)/", file.read())
            port = dropin.wait_for("the server", find_url)[1]
            url = "https://localhost:%s/" % port
            trusted = ("curl", "--silent", "--show-error", "--fail", "--cacert", certificate,
                       "--noproxy", "*", "--resolve", "localhost:%s:127.0.0.1" % port)
            if client(*trusted, url) != "hello\n":
                dropin.fail("curl got something else")
            if client(*trusted, "--http1.0", url) != "hello\n":
                dropin.fail("curl got something else by HTTP/1.0")
            refused = client(*trusted[:3], *trusted[4:], "--data", "x", "--write-out",
                             "%{http_code}", "--output", os.devnull, url)
            if refused != "405":
                dropin.fail("a POST got " + refused)

            # Each request is a handshake, and a signature of the provider's.
            report = client("ab", "-q", "-n", str(REQUESTS), "-c", str(AT_A_TIME), "-s", "120",
                            "https://127.0.0.1:%s/" % port)
            counts = {name: int(number) for name, number in
                      re.findall(r"^([A-Z][\w -]+):\s+(\d+)", report, re.M)}
            if counts.get("Complete requests") != REQUESTS or counts.get("Failed requests") != 0 \
                    or counts.get("Concurrency Level") != AT_A_TIME \
                    or "Non-2xx responses" in counts:
                dropin.fail("ab reports:\n" + report)
            # One thread serves; the others are the provider's, which come with its first work.
            if threads_of(server.pid) != 3:
                dropin.fail("%d threads, not 1 and 2 that sign" % threads_of(server.pid))

            codes = client(*trusted, "--parallel", "--parallel-immediate", "--parallel-max",
                           str(AT_A_TIME), "--output", os.devnull, "--write-out",
                           "%{http_code}\\n", url + "?[1-%d]" % REQUESTS).split()
            if codes.count("200") != REQUESTS:
                dropin.fail("%d of curl's %d requests were replied to" %
                            (codes.count("200"), REQUESTS))

            server.send_signal(signal.SIGTERM)
            if server.wait(dropin.PATIENCE) != 0:
                dropin.fail("the server ended with %d" % server.returncode)
        finally:
            if server.poll() is None:
                server.kill()
                server.wait()
        with open(out) as file:
            served = int(re.search(r"(\d+) requests", file.read())[1])
        if served < 2 * REQUESTS + 3:
            dropin.fail("it says that it has served %d requests" % served)


main()
