#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The recipe for Apache Traffic Server: TLS 1.2 and 1.3, RSA and ECDSA certificates.

Usage: trafficserver_test.py PROGRAM LIBRARY PROVIDER CLIENT COUNTER"""

import os
import subprocess
import sys

import recipes
import servers

FOLDER = "/etc/trafficserver"

# What the tests want besides: full handshakes on one thread, and nothing of this machine's.
MORE_RECORDS = """\
CONFIG proxy.config.ssl.session_cache INT 0
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.crash_log_helper STRING
"""


def make_runroot(site):
    """A tree of its own for the server; its settings are in the recipe's folder."""
    layout = servers.find_program("traffic_layout")
    root = site.path("ts")
    subprocess.run([layout, "init", "--path", root, "--force"], check=True, capture_output=True,
                   timeout=servers.dropin.PATIENCE)
    found = subprocess.run([layout, "info"], check=True, capture_output=True, text=True,
                           env=dict(os.environ, TS_RUNROOT=root)).stdout
    folders = dict(line.split(": ", 1) for line in found.splitlines() if ": " in line)
    os.makedirs(site.path("etc"))
    os.symlink(folders["SYSCONFDIR"].strip(), site.relocate(FOLDER))
    return root


def main():
    servers.find_program("traffic_server")
    recipe = recipes.load("Apache Traffic Server")
    command, = recipe.commands
    with servers.Site(servers.Files(*sys.argv[1:])) as site:
        origin = servers.Origin()
        root = make_runroot(site)
        for kind in ("rsa", "ec"):
            certificate = site.certificate(kind, FOLDER)
            port = servers.free_port()
            records = site.install(recipe, FOLDER + "/records.config",
                                   {" 443:ssl": " %d:ssl:ip-in=127.0.0.1" % port})
            with open(records, "a") as file:
                file.write(MORE_RECORDS)
            site.install(recipe, FOLDER + "/ssl_multicert.config", {})
            site.install(recipe, FOLDER + "/remap.config",
                         {"127.0.0.1:8080": "127.0.0.1:%d" % origin.server_port})
            site.write(FOLDER + "/storage.config", "")
            site.start(command, kind=kind, TS_RUNROOT=root)
            site.wait_for_port(port)
            for version in ("1.2", "1.3"):
                site.expect_pauses(site.shake_hands(port, version, certificate))
            site.end_all()


main()
