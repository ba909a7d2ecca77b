#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Apache Traffic Server with proxy.config.ssl.async.handshake.enabled.

Usage: trafficserver_test.py LIBRARY PROVIDER CLIENT COUNTER"""

import http.server
import os
import subprocess
import sys
import threading

import servers

RECORDS = """\
CONFIG proxy.config.http.server_ports STRING %(port)d:ssl:ip-in=127.0.0.1
CONFIG proxy.config.ssl.async.handshake.enabled INT 1
CONFIG proxy.config.ssl.server.cert.path STRING %(folder)s
CONFIG proxy.config.ssl.server.private_key.path STRING %(folder)s
CONFIG proxy.config.ssl.server.multicert.filename STRING ssl_multicert.config
CONFIG proxy.config.ssl.session_cache INT 0
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.http.cache.http INT 0
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.crash_log_helper STRING
"""


class Hello(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


class Origin(http.server.ThreadingHTTPServer):
    """An origin that lets the proxy drop connections."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_):
        pass


def make_runroot(site):
    """A tree of its own for the server."""
    layout = servers.find_program("traffic_layout")
    root = site.path("ts")
    subprocess.run([layout, "init", "--path", root, "--force"], check=True, capture_output=True,
                   timeout=servers.dropin.PATIENCE)
    found = subprocess.run([layout, "info"], check=True, capture_output=True, text=True,
                           env=dict(os.environ, TS_RUNROOT=root)).stdout
    folders = dict(line.split(": ", 1) for line in found.splitlines() if ": " in line)
    return root, folders["SYSCONFDIR"].strip()


def main():
    program = servers.find_program("traffic_server")
    with servers.Site(servers.Files(*sys.argv[1:])) as site:
        origin = Origin(("127.0.0.1", 0), Hello)
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        root, settings = make_runroot(site)
        for kind in ("rsa", "ec"):
            certificate, _, _ = site.certificate(kind)
            port = servers.free_port()
            for name, text in {
                "records.config": RECORDS % {"port": port, "folder": site.folder},
                "ssl_multicert.config":
                    "dest_ip=* ssl_cert_name=%s.pem ssl_key_name=%s.key\n" % (kind, kind),
                "remap.config": "map / http://127.0.0.1:%d/\n" % origin.server_port,
                "storage.config": "",
            }.items():
                with open(os.path.join(settings, name), "w") as file:
                    file.write(text)
            site.start([program], TS_RUNROOT=root)
            site.wait_for_port(port)
            for version in ("1.2", "1.3"):
                site.expect_pauses(site.shake_hands(port, version, certificate))
            site.end(site.pids.pop())


main()
