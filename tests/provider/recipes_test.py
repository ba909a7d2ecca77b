#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""README.md and asyncjob-provider(7) have the same recipes, one for each server, and they keep
HAProxy's rule. That the recipes work is for the servers' own tests.

Usage: recipes_test.py"""

import re

import recipes
import servers

TITLES = ["By hand", "HAProxy", "Apache Traffic Server", "openssl s_server", "nginx",
          "A key in a device"]


def main():
    found = recipes.load_all()
    if list(found) != TITLES:
        servers.dropin.fail("there are recipes for %s" % list(found))
    for title, recipe in found.items():
        if not recipe.commands:
            servers.dropin.fail("%s: no command" % title)
    whole, frontend = map(int, re.findall(
        r"^    maxconn (\d+)$", found["HAProxy"].files["/etc/haproxy/haproxy.cfg"], re.MULTILINE))
    if 10 * whole != 16 * frontend:
        servers.dropin.fail("global maxconn is %d, the frontend's %d" % (whole, frontend))


main()
