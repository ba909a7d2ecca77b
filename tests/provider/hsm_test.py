#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The recipe for a key in a device, with a stand-in for a hardware security module: SoftHSM2
through pkcs11-provider, wrapped by offload, in HAProxy; the key never leaves the token. By
`asyncjob run` and by hand, with RSA and ECDSA keys.

Usage: hsm_test.py PROGRAM LIBRARY PROVIDER CLIENT COUNTER"""

import glob
import os
import shutil
import subprocess
import sys

import recipes
import servers

FOLDER = "/etc/asyncjob"


def need_file(*patterns):
    if not any(map(glob.glob, patterns)):
        print("skipped: none of", *patterns)
        sys.exit(77)


def set_up(site, script, **environment):
    ended = subprocess.run(["sh", "-e", "-c", site.relocate(script)], capture_output=True,
                           text=True, timeout=servers.dropin.PATIENCE,
                           env=dict(os.environ, **environment))
    if ended.returncode != 0:
        servers.dropin.fail("%s%s%s" % (script, ended.stdout, ended.stderr))


def main():
    for program in ("haproxy", "softhsm2-util", "pkcs11-tool"):
        servers.find_program(program)
    need_file("/usr/lib/softhsm/libsofthsm2.so")
    need_file("/usr/lib/*/ossl-modules/pkcs11.so", "/usr/lib64/ossl-modules/pkcs11.so")
    recipe, haproxy = recipes.load("A key in a device"), recipes.load("HAProxy")
    script, run, by_hand = recipe.commands
    with servers.Site(servers.Files(*sys.argv[1:])) as site:
        origin = servers.Origin()
        for kind, key_type in (("rsa", "rsa:2048"), ("ec", "EC:prime256v1")):
            tokens = site.path(kind + "-tokens")
            os.mkdir(tokens)
            softhsm = site.write("softhsm2.conf", "directories.tokendir = %s\nlog.level = ERROR\n" %
                                 tokens)
            site.install(recipe, FOLDER + "/device.cnf", {})
            site.install(recipe, FOLDER + "/uri.cnf", {})
            site.install_openssl_cnf(recipe)
            os.makedirs(site.relocate("/etc/haproxy"), exist_ok=True)
            set_up(site, servers.replace(script, {"rsa:2048": key_type}), SOFTHSM2_CONF=softhsm)
            certificate = shutil.copy(site.relocate(FOLDER + "/site.crt"), site.path(kind + ".pem"))
            for command, more in ((run, {}), (by_hand, site.files.preload)):
                port = servers.free_port()
                site.install(haproxy, "/etc/haproxy/haproxy.cfg", {
                    "global\n": "global\n    nbthread 1\n",
                    "bind :443 ": "bind 127.0.0.1:%d " % port,
                    "127.0.0.1:8080": "127.0.0.1:%d" % origin.server_port})
                site.start(command, more, SOFTHSM2_CONF=softhsm)
                site.wait_for_port(port)
                for version in ("1.2", "1.3"):
                    site.expect_pauses(site.shake_hands(port, version, certificate))
                site.end_all()


main()
