#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""HAProxy with ssl-mode-async, as master and worker or as a daemon, with one thread or two:
TLS 1.2 and 1.3, RSA and ECDSA certificates.

Usage: haproxy_test.py LIBRARY PROVIDER CLIENT COUNTER master-worker|daemon THREADS"""

import os
import sys

import servers

# HAProxy does not count the providers' fds: global maxconn is 1.6 times the frontend's.
CONFIGURATION = """\
global
    maxconn 1600
    nbthread %(threads)d
    ssl-mode-async
    pidfile %(pidfile)s
    log stderr local0

defaults
    mode http
    maxconn 1000
    timeout connect 10s
    timeout client 30s
    timeout server 30s

frontend rsa
    bind 127.0.0.1:%(rsa_port)d ssl crt %(rsa)s
    http-request return status 200 content-type text/plain string "hello"

frontend ec
    bind 127.0.0.1:%(ec_port)d ssl crt %(ec)s
    http-request return status 200 content-type text/plain string "hello"
"""


def main():
    *files, mode, threads = sys.argv[1:]
    program = servers.find_program("haproxy")
    with servers.Site(servers.Files(*files)) as site:
        kinds = {kind: site.certificate(kind) for kind in ("rsa", "ec")}
        ports = {kind: servers.free_port() for kind in kinds}
        configuration = site.write("haproxy.cfg", CONFIGURATION % {
            "threads": int(threads), "pidfile": site.path("pid"), "rsa": kinds["rsa"][2],
            "ec": kinds["ec"][2], "rsa_port": ports["rsa"], "ec_port": ports["ec"]})
        daemon = mode == "daemon"
        site.start([program, "-D" if daemon else "-W", "-f", configuration], daemon=daemon)
        if daemon:
            servers.dropin.wait_for("the pid file", lambda: os.path.exists(site.path("pid")))
            site.pids += map(int, site.read("pid").split())
        for kind in kinds:
            site.wait_for_port(ports[kind])
        for kind, (certificate, _, _) in kinds.items():
            for version in ("1.2", "1.3"):
                site.expect_pauses(site.shake_hands(ports[kind], version, certificate))
        if not all(map(servers.alive, site.pids)):
            servers.dropin.fail("HAProxy has ended:\n" + site.read("server.log"))


main()
