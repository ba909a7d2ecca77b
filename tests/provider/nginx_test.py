#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""nginx, which has no asynchronous mode: it works synchronously through the provider, though
it clears its workers' environment, and never pauses.

Usage: nginx_test.py LIBRARY PROVIDER CLIENT COUNTER"""

import sys

import servers

CONFIGURATION = """\
daemon off;
worker_processes 2;
error_log stderr;
pid %(folder)s/pid;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path %(folder)s/body;
    proxy_temp_path %(folder)s/proxy;
    fastcgi_temp_path %(folder)s/fastcgi;
    uwsgi_temp_path %(folder)s/uwsgi;
    scgi_temp_path %(folder)s/scgi;
    ssl_protocols TLSv1.2 TLSv1.3;
    server {
        listen 127.0.0.1:%(rsa_port)d ssl;
        ssl_certificate %(folder)s/rsa.pem;
        ssl_certificate_key %(folder)s/rsa.key;
        location / { return 200 "hello"; }
    }
    server {
        listen 127.0.0.1:%(ec_port)d ssl;
        ssl_certificate %(folder)s/ec.pem;
        ssl_certificate_key %(folder)s/ec.key;
        location / { return 200 "hello"; }
    }
}
"""


def main():
    program = servers.find_program("nginx")
    with servers.Site(servers.Files(*sys.argv[1:])) as site:
        kinds = {kind: site.certificate(kind) for kind in ("rsa", "ec")}
        ports = {kind: servers.free_port() for kind in kinds}
        configuration = site.write("nginx.conf", CONFIGURATION % {
            "folder": site.folder, "rsa_port": ports["rsa"], "ec_port": ports["ec"]})
        site.start([program, "-p", site.folder, "-c", configuration, "-e", "stderr"])
        for kind, (certificate, _, _) in kinds.items():
            site.wait_for_port(ports[kind])
            for version in ("1.2", "1.3"):
                if site.shake_hands(ports[kind], version, certificate) != 0:
                    servers.dropin.fail("nginx has jobs now")
        site.expect_provider()


main()
