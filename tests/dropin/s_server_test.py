#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The distribution's `openssl s_server -async` with the library preloaded: TLS 1.2 and 1.3,
RSA and EC, data both ways; optionally with an engine that pauses in each signature.

Usage: s_server_test.py LIBRARY [ENGINE]"""

import subprocess
import sys
import tempfile

import dropin


def talk(server, port, version, certificate):
    """A handshake of s_client, a line to the server, and its answer."""
    question, answer = "question over " + version, "answer over " + version
    client = subprocess.Popen(
        ["openssl", "s_client", "-quiet", "-no_ign_eof", "-connect", "127.0.0.1:%d" % port,
         "-servername", "localhost", "-" + version, "-CAfile", certificate,
         "-verify_return_error"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        client.stdin.write(question + "\n")
        client.stdin.flush()
        dropin.wait_for("the question at the server",
                        lambda: client.poll() is not None or
                        question in server.output(server.out))
        server.process.stdin.write((answer + "\n").encode())
        server.process.stdin.flush()
        if client.stdout.readline() != answer + "\n":
            dropin.fail("the client did not get the answer: " + client.stderr.read())
        client.communicate(timeout=dropin.PATIENCE)
        if client.returncode != 0:
            dropin.fail("s_client ended with %d" % client.returncode)
    finally:
        client.kill()
        client.wait()


def main():
    library, *engine = sys.argv[1:]
    dropin.skip_if_sanitized(library)
    for kind in ("rsa", "ec"):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = dropin.make_certificate(folder, kind)
            command = ["openssl", "s_server", "-async", "-accept", "127.0.0.1:0",
                       "-cert", certificate, "-key", key]
            if engine:
                command += ["-engine", engine[0]]
            with dropin.Server(library, folder, command) as server:
                port = server.port()
                for version in ("tls1_2", "tls1_3"):
                    talk(server, port, version, certificate)
                    print("%s, %s: handshake and data" % (kind, version))
                said = server.output(server.err)
            if engine and (said.count("pausing_engine: paused\n") != 2 or "did not" in said):
                dropin.fail("not one paused signature for each of two handshakes:\n" + said)
            server.check_bindings()


main()
