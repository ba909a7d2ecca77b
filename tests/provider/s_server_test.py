#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The recipes for `openssl s_server -async`, by `asyncjob run` and by hand, one connection at a
time: it waits for the job's fd.

Usage: s_server_test.py PROGRAM LIBRARY PROVIDER CLIENT COUNTER"""

import sys

import recipes
import servers

COUNT = 200


def main():
    servers.find_program("openssl")
    by_run, by_hand = recipes.load("openssl s_server"), recipes.load("By hand")
    with servers.Site(servers.Files(*sys.argv[1:])) as site:
        site.install_openssl_cnf(by_hand)
        library = site.files.preload
        for recipe, kind, more in ((by_run, "rsa", {}), (by_run, "ec", {}),
                                   (by_hand, "rsa", library)):
            command, = recipe.commands
            certificate = site.certificate(kind, "/etc/ssl")
            port = servers.free_port()
            site.start(command, {"-accept 443 ": "-accept 127.0.0.1:%d " % port, **more}, kind)
            site.wait_for_port(port)
            for version in ("1.2", "1.3"):
                site.expect_pauses(site.shake_hands(port, version, certificate, COUNT,
                                                    at_a_time=1, echo=True), COUNT)
            site.end_all()


main()
