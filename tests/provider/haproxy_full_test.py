#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The rule for HAProxy's maxconn: as many connections at a time as the recipe's frontend takes,
each with a wait fd of the provider and a connection to the origin, and none fails.

Usage: haproxy_full_test.py PROGRAM LIBRARY PROVIDER CLIENT COUNTER"""

import re
import resource
import sys

import recipes
import servers

CONFIGURATION = "/etc/haproxy/haproxy.cfg"


def main():
    servers.find_program("haproxy")
    # For the client's and the origin's ends; HAProxy sets its own limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    recipe = recipes.load("HAProxy")
    command, = recipe.commands
    count = int(re.search(r"^frontend .*\n +maxconn (\d+)$", recipe.files[CONFIGURATION],
                          re.MULTILINE).group(1))
    with servers.Site(servers.Files(*sys.argv[1:])) as site:
        origin = servers.Origin(reply_at=count)
        certificate = site.certificate("rsa", "/etc/haproxy")
        port = servers.free_port()
        site.install(recipe, CONFIGURATION, {
            "bind :443 ": "bind 127.0.0.1:%d " % port,
            "127.0.0.1:8080": "127.0.0.1:%d" % origin.server_port})
        site.start(command)
        site.wait_for_port(port)
        site.expect_pauses(site.shake_hands(port, "1.3", certificate, count, count), count)


main()
