#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`openssl s_server -async` with the provider, one connection at a time: it waits for the
job's fd. (With -www it sleeps for a second at each pause, with -rev it takes a pause for a
failure.)

Usage: s_server_test.py LIBRARY PROVIDER CLIENT COUNTER"""

import sys

import servers

COUNT = 200


def main():
    program = servers.find_program("openssl")
    with servers.Site(servers.Files(*sys.argv[1:])) as site:
        for kind in ("rsa", "ec"):
            certificate, key, _ = site.certificate(kind)
            port = servers.free_port()
            site.start([program, "s_server", "-async", "-accept", "127.0.0.1:%d" % port,
                        "-cert", certificate, "-key", key])
            site.wait_for_port(port)
            for version in ("1.2", "1.3"):
                site.expect_pauses(site.shake_hands(port, version, certificate, COUNT,
                                                    at_a_time=1, echo=True), COUNT)


main()
