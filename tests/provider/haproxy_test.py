#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The recipe for HAProxy, as master and worker or as a daemon, with one thread or two: TLS 1.2
and 1.3, RSA and ECDSA certificates.

Usage: haproxy_test.py PROGRAM LIBRARY PROVIDER CLIENT COUNTER master-worker|daemon THREADS"""

import os
import sys

import recipes
import servers

CONFIGURATION = "/etc/haproxy/haproxy.cfg"


def main():
    *files, mode, threads = sys.argv[1:]
    servers.find_program("haproxy")
    recipe = recipes.load("HAProxy")
    command, = recipe.commands
    daemon = mode == "daemon"
    with servers.Site(servers.Files(*files)) as site:
        origin = servers.Origin()
        for kind in ("rsa", "ec"):
            certificate = site.certificate(kind, "/etc/haproxy")
            port = servers.free_port()
            site.install(recipe, CONFIGURATION, {
                "global\n": "global\n    nbthread %s\n" % threads,
                "bind :443 ": "bind 127.0.0.1:%d " % port,
                "127.0.0.1:8080": "127.0.0.1:%d" % origin.server_port})
            pid_file = site.path(kind + ".pid")
            site.start(command, {"-W": "-D -p " + pid_file} if daemon else {}, kind, daemon)
            if daemon:
                servers.dropin.wait_for("the pid file", lambda: os.path.exists(pid_file))
                site.pids += map(int, site.read(pid_file).split())
            site.wait_for_port(port)
            for version in ("1.2", "1.3"):
                site.expect_pauses(site.shake_hands(port, version, certificate))
            if not all(map(servers.alive, site.pids)):
                servers.dropin.fail("HAProxy has ended:\n" + site.read("server.log"))
            site.end_all()


main()
