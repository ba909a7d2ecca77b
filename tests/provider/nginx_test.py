#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The recipe for nginx, which has no asynchronous mode: it works synchronously through the
provider, though it clears its workers' environment, and never pauses.

Usage: nginx_test.py PROGRAM LIBRARY PROVIDER CLIENT COUNTER"""

import sys

import recipes
import servers

# In place of the distribution's nginx.conf.
AROUND = """\
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
    include %(folder)s/etc/nginx/conf.d/*.conf;
}
"""


def main():
    servers.find_program("nginx")
    recipe = recipes.load("nginx")
    command, = recipe.commands
    with servers.Site(servers.Files(*sys.argv[1:])) as site:
        origin = servers.Origin()
        around = site.write("/etc/nginx/nginx.conf", AROUND % {"folder": site.folder})
        for kind in ("rsa", "ec"):
            certificate = site.certificate(kind, "/etc/nginx")
            port = servers.free_port()
            site.install(recipe, "/etc/nginx/conf.d/site.conf", {
                "listen 443 ": "listen 127.0.0.1:%d " % port,
                "127.0.0.1:8080": "127.0.0.1:%d" % origin.server_port})
            site.start(command, {"-- nginx": "-- nginx -p %s -c %s -e stderr" %
                                             (site.folder, around)}, kind)
            site.wait_for_port(port)
            site.expect_loaded(all)
            for version in ("1.2", "1.3"):
                if site.shake_hands(port, version, certificate) != 0:
                    servers.dropin.fail("nginx has jobs now")
            site.end_all()


main()
