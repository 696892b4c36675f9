#!/usr/bin/python3
"""A sample application behind httpd: t/okta/backend.py --listen 127.0.0.1:PORT [--org acme]

It has no sign-in of its own: it believes the X-Remote-* headers, because httpd with mod_oktasso alone can reach it.
Any path and method gives the page; /headers.json gives the request as it arrived, duplicates kept.
"""

import argparse
import html
import json
import signal
import sys
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_MAX = 16 * 1024 * 1024
ROWS = [("X-Remote-User", "User"), ("X-Remote-Email", "Email"), ("X-Remote-FirstName", "First name"),
        ("X-Remote-LastName", "Last name"), ("X-Remote-Name", "Name"), ("X-Remote-Groups", "Groups"),
        ("X-Remote-Role", "Role"), ("X-Remote-Org", "Organization")]

STYLE = """
:root { --ink: #14231f; --soft: #5a6b66; --line: #d9e3df; --back: #f2f6f4; --card: #fff; --accent: #0b7a5c;
        --tint: #e5f4ee; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6efec; --soft: #96a8a2; --line: #283833; --back: #0e1613; --card: #16211d; --accent: #5fd0ab;
          --tint: #193029; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
       font: 16px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, "Noto Sans", "Noto Sans CJK JP", sans-serif; }
header { background: var(--card); border-bottom: 1px solid var(--line); }
header div, main { max-width: 56rem; margin: 0 auto; padding: 0 1.25rem; }
header div { display: flex; align-items: center; justify-content: space-between; gap: 1rem; min-height: 4rem; }
.brand { font-weight: 680; letter-spacing: -.015em; }
.brand span { color: var(--accent); }
main { padding-top: 2.5rem; padding-bottom: 3rem; }
h1 { font-size: 1.75rem; line-height: 1.2; letter-spacing: -.02em; margin: 0 0 .3rem; }
h2 { font-size: 1.05rem; margin: 0 0 .9rem; }
p { color: var(--soft); margin: 0 0 1.75rem; }
a { color: var(--accent); }
.button { text-decoration: none; font-weight: 600; border: 1px solid var(--line); border-radius: 9px;
          padding: .45rem .9rem; white-space: nowrap; }
.button:hover { background: var(--tint); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 1.5rem;
          margin-bottom: 1.25rem; box-shadow: 0 1px 2px rgb(0 0 0 / .03), 0 10px 28px rgb(0 0 0 / .04); }
table { width: 100%; border-collapse: collapse; font-size: .925rem; }
th, td { text-align: left; vertical-align: top; padding: .55rem 0; border-top: 1px solid var(--line); }
tr:first-child th, tr:first-child td { border-top: 0; }
th { width: 15rem; font-weight: 500; color: var(--soft); padding-right: 1rem; }
td { overflow-wrap: anywhere; }
code { font: .88em ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.chip { display: inline-block; background: var(--tint); color: var(--accent); border-radius: 99px;
        padding: .1rem .65rem; margin: 0 .3rem .3rem 0; font-size: .85rem; }
.none { color: var(--soft); font-style: italic; }
@media (max-width: 36rem) { th { width: 8.5rem; } }
"""


def utf8(value):
    """http.server reads headers as ISO 8859-1; what httpd sends is UTF-8."""
    return value.encode("latin-1").decode("utf-8", "replace")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "backend"
    sys_version = ""
    timeout = 60

    def pairs(self):
        return [[name, utf8(value)] for name, value in self.headers.items()]

    def one(self, name):
        """The header when it is there exactly once; twice would mean that somebody got one past httpd."""
        values = self.headers.get_all(name) or []
        return utf8(values[0]) if len(values) == 1 else ""

    def handle_any(self):
        body = self.read_body()
        if body is None:
            return
        path = urllib.parse.urlsplit(self.path).path
        if path.endswith("/headers.json"):
            answer = {"method": self.command, "target": self.path, "headers": self.pairs(), "body_bytes": len(body)}
            # The list alone is what most tests want.
            value = answer if "full" in urllib.parse.urlsplit(self.path).query else answer["headers"]
            return self.reply(json.dumps(value, ensure_ascii=False) + "\n", "application/json")
        self.reply(self.page(), "text/html; charset=utf-8")

    def __getattr__(self, name):
        # Every method is served, do_PROPFIND too; http.server looks them up by name.
        if name.startswith("do_"):
            return self.handle_any
        raise AttributeError(name)

    def read_body(self):
        if "chunked" in (self.headers.get("Transfer-Encoding") or "").lower():
            return self.read_chunked()
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_MAX:
            self.close_connection = True
            self.send_error(413)
            return None
        return self.rfile.read(length)

    def read_chunked(self):
        body = b""
        while True:
            size = int(self.rfile.readline(1024).split(b";")[0], 16)
            if size == 0:
                while self.rfile.readline(8192).strip():
                    pass
                return body
            body += self.rfile.read(size)
            self.rfile.readline(16)
            if len(body) > BODY_MAX:
                self.close_connection = True
                self.send_error(413)
                return None

    def page(self):
        user, name = self.one("X-Remote-User"), self.one("X-Remote-Name")
        org = self.one("X-Remote-Org") or self.server.org
        leave = f"/sso/okta/logout/{urllib.parse.quote(org)}"
        rows = "".join(f"<tr><th>{label}<br><code>{header}</code></th><td>{self.cell(header)}</td></tr>"
                       for header, label in ROWS)
        raw = "".join(f"<tr><th><code>{html.escape(name)}</code></th><td><code>{html.escape(value)}</code></td></tr>"
                      for name, value in self.pairs())
        greeting = f"Hello, {html.escape(name or user)}" if user else "Hello, stranger"
        told = ("httpd told this application who you are; it has no sign-in of its own." if user else
                "No X-Remote-User came with this request: you are not signed in.")
        link = (f'<a class="button" id="signout" href="{html.escape(leave)}">Sign out</a>' if user else
                f'<a class="button" id="signin" href="/sso/okta/login/{html.escape(org)}?return=/">Sign in</a>')
        return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sample application</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>{STYLE}</style></head><body>
<header><div><span class="brand">Sample <span>application</span></span>{link}</div></header>
<main><h1 id="hello">{greeting}</h1><p>{told}</p>
<section><h2>Who you are</h2><table id="identity">{rows}</table></section>
<section><h2>The request, as it arrived</h2><table id="headers"><tr><th>Request line</th>
<td><code id="request">{html.escape(self.command)} {html.escape(self.path)}</code></td></tr>{raw}</table></section>
</main></body></html>"""

    def cell(self, header):
        values = self.headers.get_all(header) or []
        if len(values) != 1:
            return f'<span class="none">{"absent" if not values else "refused: more than once"}</span>'
        value = utf8(values[0])
        if header == "X-Remote-Groups":
            # A comma inside a name is percent-encoded (DESIGN.md section 4).
            return "".join(f'<span class="chip">{html.escape(group.strip().replace("%2C", ",").replace("%25", "%"))}'
                           "</span>" for group in value.split(","))
        return html.escape(value)

    def reply(self, text, kind):
        data = text.encode("utf-8")
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format, *args):
        if not self.server.quiet:
            sys.stderr.write(f"backend: {format % args}\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address, org="acme", quiet=True):
        super().__init__(address, Handler)
        self.org, self.quiet = org, quiet


def main():
    parser = argparse.ArgumentParser(description="A sample application behind httpd")
    parser.add_argument("--listen", default="127.0.0.1:0", metavar="HOST:PORT")
    parser.add_argument("--org", default="acme")
    parser.add_argument("--quiet", action="store_true")
    args = parser.parse_args()
    host, _, port = args.listen.rpartition(":")
    server = Server((host or "127.0.0.1", int(port)), args.org, args.quiet)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()
    print(f"ready http://{host or '127.0.0.1'}:{server.server_address[1]}", flush=True)
    stop.wait()
    server.shutdown()
    server.server_close()


if __name__ == "__main__":
    main()
