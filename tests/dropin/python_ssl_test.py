#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A python `ssl` server with the library preloaded, in its usual mode and with libssl's jobs
on (SSL_MODE_ASYNC, in which the interpreter runs its SNI callback inside a job).

Usage: python_ssl_test.py LIBRARY"""

import ctypes
import socket
import ssl
import sys
import tempfile

import dropin

VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
DATA = bytes(range(256)) * 256


def switch_jobs_on(context):
    """Sets SSL_MODE_ASYNC, which python's module has no way to; its object holds the SSL_CTX
    pointer right behind the object's header."""
    ssl_ctx = ctypes.c_void_p.from_address(id(context) + object.__basicsize__)
    control = ctypes.CDLL("libssl.so.3").SSL_CTX_ctrl
    control.restype = ctypes.c_long
    control.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p)
    set_mode, mode_async = 33, 0x100
    if not control(ssl_ctx, set_mode, mode_async, None) & mode_async:
        sys.exit("SSL_MODE_ASYNC cannot be set")


def serve(certificate, key, mode):
    """Serves one connection of each version: echoes DATA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    current_job = ctypes.CDLL(None).ASYNC_get_current_job
    current_job.restype = ctypes.c_void_p
    in_job = []
    context.sni_callback = lambda *_: in_job.append(current_job() is not None)
    if mode == "jobs":
        switch_jobs_on(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print("ACCEPT 127.0.0.1:%d" % listener.getsockname()[1], flush=True)
        listener.settimeout(dropin.PATIENCE)
        for _ in VERSIONS:
            plain, _ = listener.accept()
            plain.settimeout(dropin.PATIENCE)
            with context.wrap_socket(plain, server_side=True) as connection:
                left = len(DATA)
                while left > 0:
                    received = connection.recv(left)
                    if not received:
                        sys.exit("the client sent too little")
                    connection.sendall(received)
                    left -= len(received)
                connection.unwrap()
    if in_job != [mode == "jobs"] * len(VERSIONS):
        sys.exit("SNI callbacks in a job: %s" % in_job)
    print("DONE", flush=True)
    sys.stdin.read()  # until the test has seen it


def echo(port, version, certificate):
    context = ssl.create_default_context(cafile=certificate)
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", port), dropin.PATIENCE) as plain, \
            context.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(DATA)
        received = b""
        while len(received) < len(DATA):
            part = connection.recv(len(DATA))
            if not part:
                break
            received += part
        if received != DATA:
            dropin.fail("the echo is not what was sent")
        connection.unwrap()


def main():
    library = sys.argv[1]
    dropin.skip_if_sanitized(library)
    for mode in ("plain", "jobs"):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = dropin.make_certificate(folder, "ec")
            command = [sys.executable, __file__, "serve", certificate, key, mode]
            with dropin.Server(library, folder, command) as server:
                port = server.port()
                for version in VERSIONS:
                    echo(port, version, certificate)
                    print("%s, %s: handshake and echo" % (mode, version.name))
                dropin.wait_for("the server's end", lambda: "DONE" in server.output(server.out))
            server.check_bindings()


if sys.argv[1] == "serve":
    serve(*sys.argv[2:])
else:
    main()
