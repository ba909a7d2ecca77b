#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HAProxy on one thread under handshakes, synchronous and started by `asyncjob run`: plain
requests' latency and handshakes per second, first with RSA-4096 on the CPU, then with a device
that takes 5 ms for a signature. The servers take turns, a slice of time each."""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

INTERVAL_MS = 2
DEVICE_WORKERS = 16
PATIENCE = 30
SYNCHRONOUS, ASYNCHRONOUS = "synchronous", "asynchronous"

HAPROXY = """\
global
    maxconn 1600
    nbthread 1
%(mode)s
defaults
    mode http
    maxconn 1000
    timeout connect 10s
    timeout client 30s
    timeout server 30s
frontend tls
    bind 127.0.0.1:%(tls)d ssl crt %(pem)s
    http-request return status 200 content-type text/plain string "hello"
frontend plain
    bind 127.0.0.1:%(plain)d
    http-request return status 200 content-type text/plain string "hello"
"""

# The device's time is what counts, so the signature that stands for it is a cheap one, with a key
# that OpenSSL takes at this security level only.
DEVICE_BITS = 1024
CHEAP_KEYS = """\
openssl_conf = init
[init]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
CipherString = DEFAULT@SECLEVEL=0
"""

DEVICE = CHEAP_KEYS + """\
[init]
providers = providers
alg_section = algorithms
[algorithms]
default_properties = ?provider=demo-device
[providers]
demo-device = device
default = default_section
[device]
activate = 1
module = %s
microseconds = 5000
[default_section]
activate = 1
"""

# The device knows its keys by no URI of its own, so offload must be preferred for all keys.
PREFER_OFFLOAD = CHEAP_KEYS + """\
[init]
alg_section = algorithms
[algorithms]
default_properties = ?provider=offload
"""


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--programs",
        metavar="DIR",
        default=os.path.dirname(os.path.abspath(__file__)),
        help="where handshakes and plain_stream are, in a build's bench/servers",
    )
    parser.add_argument("--slices", type=int, default=5, metavar="N", help="for each server")
    parser.add_argument("--seconds", type=float, default=2, metavar="S", help="of each slice")
    parser.add_argument("--bits", type=int, default=4096, help="of the key on the CPU")
    parser.add_argument("--concurrent", type=int, default=16, metavar="N", help="handshakes")
    parser.add_argument(
        "--device-concurrent",
        type=int,
        default=32,
        metavar="N",
        help="handshakes with the device: more than its workers, as some are on their way",
    )
    parser.add_argument("--tls", choices=("1.2", "1.3"), default="1.3", help="version")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def run(*command, **environment):
    """The standard output of a program; ends this one if it fails."""
    result = subprocess.run(
        command, capture_output=True, text=True, env=dict(os.environ, **environment)
    )
    if result.returncode != 0:
        sys.exit(f"haproxy.py: {' '.join(command)}:\n{result.stdout[-500:]}{result.stderr}")
    return result.stdout


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(text)
    return file.name


def make_key(folder, bits):
    """The files of a certificate, and of it with its key."""
    certificate, key = (os.path.join(folder, f"{bits}.{end}") for end in ("crt", "key"))
    run(
        *("openssl", "req", "-x509", "-nodes", "-newkey", f"rsa:{bits}", "-days", "2"),
        *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
        *("-keyout", key, "-out", certificate),
    )
    with open(certificate, encoding="ascii") as one, open(key, encoding="ascii") as other:
        return certificate, write(folder, f"{bits}.pem", one.read() + other.read())


class Server:
    """HAProxy, in a `with`."""

    def __init__(self, folder, name, key, before=(), workers=0, **environment):
        self.name = name
        self.certificate, pem = key
        self.workers = workers
        self.tls, self.plain = free_ports(2)
        self.log = os.path.join(folder, name + ".log")
        self.client_configuration = os.path.join(folder, "client.cnf")
        mode = "    ssl-mode-async" if before else ""
        values = {"mode": mode, "pem": pem, "tls": self.tls, "plain": self.plain}
        configuration = write(folder, name + ".cfg", HAPROXY % values)
        self.command = [*before, "haproxy", "-db", "-f", configuration]
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=folder, **environment)

    def __enter__(self):
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + PATIENCE
        while not self.accepts():
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                self.fail("did not start")
            time.sleep(0.02)
        return self

    def __exit__(self, *_):
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.process.send_signal(number)
            try:
                self.process.wait(5)
                return
            except subprocess.TimeoutExpired:
                pass

    def accepts(self):
        try:
            socket.create_connection(("127.0.0.1", self.plain), timeout=1).close()
            return True
        except OSError:
            return False

    def fail(self, what):
        with open(self.log, errors="replace", encoding="utf-8") as log:
            sys.exit(f"haproxy.py: the server {self.name} {what}:\n{log.read()}")

    def check(self):
        """The work is done where it should be: the workers start with the first of it."""
        threads = len(os.listdir(f"/proc/{self.process.pid}/task"))
        if threads != 1 + self.workers:
            self.fail(f"has {threads} threads, not {1 + self.workers}")


def measure(programs, server, load, seconds):
    """One slice: {figure: value}."""
    concurrent, version = load
    storm = subprocess.Popen(
        [programs["storm"], str(server.tls), f"{seconds}s", str(concurrent), version]
        + [server.certificate],
        env=dict(os.environ, OPENSSL_CONF=server.client_configuration),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        output = run(programs["stream"], str(server.plain), str(seconds), str(INTERVAL_MS))
        said, _ = storm.communicate(timeout=PATIENCE)
    finally:
        storm.kill()
        storm.wait()
    if storm.returncode != 0:
        server.fail("failed handshakes: " + said)
    latencies = sorted(float(line) / 1000 for line in output.split())
    percentiles = statistics.quantiles(latencies, n=100, method="inclusive")
    return {
        "handshakes/s": int(re.search(r"in time (\d+)", said).group(1)) / seconds,
        "plain p50, ms": percentiles[49],
        "plain p99, ms": percentiles[98],
        "plain max, ms": latencies[-1],
    }


def summarise(values):
    """Median and spread: the interquartile range as a part of the median."""
    median = statistics.median(values)
    if len(values) < 2:
        return {"median": median, "spread": 0.0, "values": values}
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "spread": (high - low) / median if median else 0.0, "values": values}


def compare(programs, servers, concurrent, arguments):
    """{figure: {mode: summary}} of two servers, by slices in turn."""
    load = (concurrent, arguments.tls)
    for server in servers.values():
        measure(programs, server, load, 0.3)
        server.check()
    slices = {mode: [] for mode in servers}
    for turn in range(arguments.slices):
        for mode in list(servers)[:: 1 if turn % 2 == 0 else -1]:
            slices[mode].append(measure(programs, servers[mode], load, arguments.seconds))
    return {
        figure: {
            mode: summarise([one[figure] for one in taken]) for mode, taken in slices.items()
        }
        for figure in slices[SYNCHRONOUS][0]
    }


def print_table(cases):
    lines = [("private key", "figure", SYNCHRONOUS, ASYNCHRONOUS, "spread", "ratio")]
    for case, figures in cases.items():
        for figure, by_mode in figures.items():
            ours, theirs = by_mode[ASYNCHRONOUS], by_mode[SYNCHRONOUS]
            above, below = (theirs, ours) if "ms" in figure else (ours, theirs)
            ratio = above["median"] / below["median"]
            lines.append((case, figure, f"{theirs['median']:.2f}", f"{ours['median']:.2f}",
                          f"{100 * max(theirs['spread'], ours['spread']):.0f} %", f"{ratio:.2f}"))
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, tuple("-" * width for width in widths))
    for line in lines:
        cells = [cell.ljust(width) if at < 2 else cell.rjust(width)
                 for at, (cell, width) in enumerate(zip(line, widths))]
        print("| " + " | ".join(cells) + " |")


def main():
    arguments = parse_arguments()
    os.environ["PATH"] += ":/usr/sbin"
    if shutil.which("haproxy") is None:
        print("skipped: no haproxy")
        sys.exit(77)
    build = os.path.join(os.path.abspath(arguments.programs), "..", "..")
    programs = {
        "storm": os.path.join(arguments.programs, "handshakes"),
        "stream": os.path.join(arguments.programs, "plain_stream"),
        "asyncjob": os.path.normpath(os.path.join(build, "cli", "asyncjob")),
        "device": os.path.normpath(os.path.join(build, "cli", "demo", "offload-demo-device.so")),
    }
    start = [programs["asyncjob"], "run"]
    cpus = len(os.sched_getaffinity(0))
    cases = {}
    with tempfile.TemporaryDirectory(prefix="asyncjob-", dir="/tmp") as folder:
        device = write(folder, "device.cnf", DEVICE % programs["device"])
        prefer = write(folder, "prefer.cnf", PREFER_OFFLOAD)
        write(folder, "client.cnf", CHEAP_KEYS)

        key = make_key(folder, arguments.bits)
        before = [*start, "--threads", str(cpus), "--"]
        with Server(folder, "sync", key) as sync, \
                Server(folder, "async", key, before, cpus) as with_jobs:
            cases[f"RSA-{arguments.bits}, {cpus} workers, {arguments.concurrent} at a time"] = \
                compare(programs, {SYNCHRONOUS: sync, ASYNCHRONOUS: with_jobs},
                        arguments.concurrent, arguments)

        key = make_key(folder, DEVICE_BITS)
        before = [*start, "--inner", "demo-device", "--inner-config", device,
                  "--threads", str(DEVICE_WORKERS), "--"]
        with Server(folder, "device-sync", key, OPENSSL_CONF=device) as sync, \
                Server(folder, "device-async", key, before, DEVICE_WORKERS,
                       OPENSSL_CONF=prefer) as with_jobs:
            cases[f"5 ms device, {DEVICE_WORKERS} workers, "
                  f"{arguments.device_concurrent} at a time"] = \
                compare(programs, {SYNCHRONOUS: sync, ASYNCHRONOUS: with_jobs},
                        arguments.device_concurrent, arguments)

    version = run("haproxy", "-v").splitlines()[0]
    openssl = run("openssl", "version").strip()
    machine = os.uname()
    for what, text in (
        ("server", f"{version}, nbthread 1"),
        ("library", openssl),
        ("machine", f"{machine.sysname} {machine.release} {machine.machine}, {cpus} CPUs"),
        ("load", f"full handshakes, TLS {arguments.tls}; a plain request each {INTERVAL_MS} ms"),
        ("medians of", f"{arguments.slices} slices of {arguments.seconds:g} s in turn"),
    ):
        print(f"{what + ':':<11} {text}")
    print()
    print_table(cases)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"haproxy": version, "openssl": openssl, "cases": cases}, file, indent=1)


if __name__ == "__main__":
    main()
