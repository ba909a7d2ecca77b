#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""HAProxy under clients that reset the connection during the handshake, by its recipe: its memory
and its fds are afterwards what they were after the first tenth. To see that the test would find a
loss, the same again without libasyncjob-ssl.so, which must grow.

Usage: haproxy_reset_test.py PROGRAM LIBRARY PROVIDER CLIENT COUNTER [RESETS]"""

import os
import re
import socket
import ssl
import struct
import sys
import threading
import time

import recipes
import servers

CONFIGURATION = "/etc/haproxy/haproxy.cfg"
CLIENTS = 4
AT_A_TIME = 8

# A lost job is 12 KiB and more. With none lost the memory goes up by some pages when more
# connections than before come together, which handshakes, many at a time, forestall.
MOST_GROWTH = 128  # KiB
MOST_FDS = 0


def client_context(version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    return context


def client_hello(context):
    out = ssl.MemoryBIO()
    try:
        context.wrap_bio(ssl.MemoryBIO(), out).do_handshake()
    except ssl.SSLWantReadError:
        return out.read()
    raise AssertionError("a handshake without a peer")


CONTEXTS = [client_context(version) for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)]
HELLOS = [client_hello(context) for context in CONTEXTS]
# Seconds from the hello to the reset: before the server has read it, while it signs, and as it
# has signed or not.
WAITS = [0, 0.0005, 0.001, 0.003]


def shake_hands(port, context):
    with socket.create_connection(("127.0.0.1", port), servers.dropin.PATIENCE) as client:
        context.wrap_socket(client).close()


def reset_some(port, count, failures):
    """Connections that are reset after their hello. HAProxy keeps each until its signature is
    there, so that now and then a whole handshake, behind them all in the provider's queue, bounds
    how many there are."""
    try:
        for number in range(count):
            if number % AT_A_TIME == 0:
                shake_hands(port, CONTEXTS[number // AT_A_TIME % 2])
            with socket.create_connection(("127.0.0.1", port), servers.dropin.PATIENCE) as client:
                client.sendall(HELLOS[number % 2])
                time.sleep(WAITS[number // 2 % len(WAITS)])
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError as error:
        failures.append(error)


def reset(port, count):
    failures = []
    clients = [threading.Thread(target=reset_some, args=(port, count // CLIENTS, failures))
               for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    if failures:
        servers.dropin.fail("a client failed: %s" % failures[0])


def memory(pid):
    """Resident KiB that are not a file's."""
    with open("/proc/%d/status" % pid) as status:
        return int(re.search(r"^RssAnon:\s*(\d+) kB$", status.read(), re.MULTILINE).group(1))


def fds(pid):
    return len(os.listdir("/proc/%d/fd" % pid))


def at_rest(pid):
    """Memory and fds when all connections have ended: nothing changes for a while."""
    def state():
        time.sleep(0.3)
        return memory(pid), fds(pid)
    states = [state()]

    def steady():
        states.append(state())
        return states[-1][1] == states[-2][1] and abs(states[-1][0] - states[-2][0]) < 8
    servers.dropin.wait_for("HAProxy to come to rest", steady)
    return states[-1]


def run(site, port, certificate, resets):
    """What the worker has gained in the last nine tenths: KiB and fds."""
    site.wait_for_port(port)
    worker = servers.descendants(site.pids[0])[-1]
    for version in ("1.2", "1.3"):
        site.shake_hands(port, version, certificate, 500, 2 * CLIENTS * AT_A_TIME)
    reset(port, resets // 10)
    memory_before, fds_before = at_rest(worker)
    pauses = site.pauses()
    start = time.monotonic()
    reset(port, resets - resets // 10)
    seconds = time.monotonic() - start
    memory_after, fds_after = at_rest(worker)
    paused = site.pauses() - pauses
    print("  %d resets, %d pauses in %.1f s: memory %d -> %d KiB, fds %d -> %d" %
          (resets, paused, seconds, memory_before, memory_after, fds_before, fds_after))
    if not servers.alive(worker):
        servers.dropin.fail("HAProxy has ended:\n" + site.read("server.log"))
    site.expect_pauses(paused, resets)
    return memory_after - memory_before, fds_after - fds_before


def main():
    files = sys.argv[1:6]
    resets = int(sys.argv[6]) if len(sys.argv) > 6 else 10000
    servers.find_program("haproxy")
    recipe = recipes.load("HAProxy")
    command, = recipe.commands
    with servers.Site(servers.Files(*files)) as site:
        origin = servers.Origin()
        certificate = site.certificate("rsa", "/etc/haproxy")

        def start(command, **environment):
            port = servers.free_port()
            site.install(recipe, CONFIGURATION, {
                "global\n": "global\n    nbthread 1\n",
                "bind :443 ": "bind 127.0.0.1:%d " % port,
                "127.0.0.1:8080": "127.0.0.1:%d" % origin.server_port,
                # No idle connections to the origin, whose fds come and go.
                "defaults\n": "defaults\n    option httpclose\n"})
            site.start(command, **environment)
            return port

        port = start(command)
        growth, more_fds = run(site, port, certificate, resets)
        if growth > MOST_GROWTH or more_fds > MOST_FDS:
            servers.dropin.fail("it has grown by %d KiB and %d fds" % (growth, more_fds))
        site.shake_hands(port, "1.3", certificate, 100)
        site.end_all()

        print("  and without libasyncjob-ssl.so:")
        site.install_openssl_cnf(recipes.load("By hand"))
        _, _, arguments = command.partition("-- ")
        port = start("OPENSSL_CONF=/etc/asyncjob/openssl.cnf LD_PRELOAD=%s %s" %
                     (site.files.library, arguments))
        growth, _ = run(site, port, certificate, resets // 5)
        if growth < 10 * MOST_GROWTH:
            servers.dropin.fail("it has grown by %d KiB only, so the test shows nothing" % growth)


main()
