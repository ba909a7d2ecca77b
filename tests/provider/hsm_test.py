#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a hardware security module: SoftHSM2 through pkcs11-provider, wrapped by
offload, in HAProxy; the key never leaves the token.

Usage: hsm_test.py LIBRARY PROVIDER CLIENT COUNTER"""

import base64
import glob
import os
import subprocess
import sys

import servers

PIN = "1234"

INNER = """\
openssl_conf = openssl_init

[openssl_init]
providers = providers
alg_section = algorithms

[algorithms]
default_properties = ?provider=default

[providers]
pkcs11 = pkcs11_provider
default = default_provider

[pkcs11_provider]
module = %(provider)s
pkcs11-module-path = %(softhsm)s
pkcs11-module-token-pin = file:%(pin)s
pkcs11-module-quirks = no-deinit
activate = 1

[default_provider]
activate = 1
"""

HAPROXY = """\
global
    maxconn 1600
    nbthread 1
    ssl-mode-async

defaults
    mode http
    maxconn 1000
    timeout connect 10s
    timeout client 30s
    timeout server 30s

frontend tls
    bind 127.0.0.1:%(port)d ssl crt %(both)s
    http-request return status 200 content-type text/plain string "hello"
"""


def find_file(*patterns):
    for pattern in patterns:
        for file in glob.glob(pattern):
            return file
    print("skipped: none of", *patterns)
    sys.exit(77)


def uri_pem(uri):
    """The file that stands for a key in a token: programs read it as they read a key."""
    def element(tag, content):
        assert len(content) < 128
        return bytes([tag, len(content)]) + content
    der = element(0x30, element(0x1a, b"PKCS#11 Provider URI v1.0") +
                  element(0x0c, uri.encode()))
    return ("-----BEGIN PKCS#11 PROVIDER URI-----\n" + base64.encodebytes(der).decode() +
            "-----END PKCS#11 PROVIDER URI-----\n")


def main():
    haproxy = servers.find_program("haproxy")
    softhsm_util = servers.find_program("softhsm2-util")
    pkcs11_tool = servers.find_program("pkcs11-tool")
    softhsm = find_file("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so")
    provider = find_file("/usr/lib/*/ossl-modules/pkcs11.so", "/usr/lib64/ossl-modules/pkcs11.so")
    with servers.Site(servers.Files(*sys.argv[1:])) as site:
        os.mkdir(site.path("tokens"))
        softhsm_conf = site.write(
            "softhsm2.conf", "directories.tokendir = %s\nlog.level = ERROR\n" % site.path("tokens"))
        pin = site.write("pin", PIN)
        inner = site.write("inner.cnf",
                           INNER % {"provider": provider, "softhsm": softhsm, "pin": pin})
        # The device has its own keys alone: TLS's ephemeral keys are not made in it. And SoftHSM
        # uses OpenSSL itself, whose calls must not come back to it.
        site.configure("inner = pkcs11\ninner_config = %s\nthreads = 4" % inner, "default")
        environment = dict(os.environ, SOFTHSM2_CONF=softhsm_conf)

        def run(*command, **more):
            ended = subprocess.run(command, capture_output=True, text=True,
                                   timeout=servers.dropin.PATIENCE,
                                   env=dict(environment, **more))
            if ended.returncode != 0:
                servers.dropin.fail("%s: %s%s" % (" ".join(command), ended.stdout, ended.stderr))
            return ended.stdout

        run(softhsm_util, "--init-token", "--free", "--label", "test", "--pin", PIN, "--so-pin",
            PIN)
        for number, kind, key_type in (("01", "rsa", "rsa:2048"), ("02", "ec", "EC:prime256v1")):
            run(pkcs11_tool, "--module", softhsm, "--login", "--pin", PIN, "--keypairgen",
                "--key-type", key_type, "--label", kind, "--id", number)
            key = site.write(kind + ".key", uri_pem("pkcs11:token=test;object=%s;type=private" %
                                                    kind))
            certificate = site.path(kind + ".pem")
            # With pkcs11-provider itself.
            run("openssl", "req", "-x509", "-new", "-key", key, "-days", "2", "-subj",
                "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", certificate,
                OPENSSL_CONF=inner)
            both = site.write(kind + "-both.pem", site.read(kind + ".pem") +
                              site.read(kind + ".key"))
            port = servers.free_port()
            configuration = site.write("haproxy.cfg", HAPROXY % {"port": port, "both": both})
            site.start([haproxy, "-W", "-f", configuration], SOFTHSM2_CONF=softhsm_conf)
            site.wait_for_port(port)
            for version in ("1.2", "1.3"):
                site.expect_pauses(site.shake_hands(port, version, certificate))
            site.end(site.pids.pop())


main()
