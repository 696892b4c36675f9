"""The servers that test_net.c talks to: plain HTTP and HTTPS on 127.0.0.1, at ports that the system chooses.

Started as `net_server.py DIR`: writes its authority to DIR/ca.pem, says "HTTP-PORT HTTPS-PORT HTTP-PORT" on stdout, and serves
until its standard input closes, so that it never outlives the test.
"""
import datetime
import gzip
import ipaddress
import os
import socketserver
import ssl
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MAX = 1024 * 1024
PORTS = {}
HELD = []


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def send(self, body, status=200, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def redirect(self, to, status=302):
        self.send(b"moved", status, [("Location", to), ("Set-Cookie", "a=b; Path=/")])

    def do_POST(self):
        self.posted = self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self):
        path, _, query = self.path.partition("?")
        try:
            getattr(self, "on_" + path.strip("/").split("/")[0].replace("-", "_"))(path, query)
        except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
            self.close_connection = True

    def on_ok(self, path, query):
        self.send(b"hello", headers=[("Content-Type", "application/xml; charset=utf-8"), ("ETag", '"v1"')])

    def on_echo(self, path, query):
        self.send((self.requestline + "\n" + str(self.headers)).encode() + getattr(self, "posted", b""))

    def on_keep(self, path, query):
        """Which connection this is; it stays open."""
        body = b"%d" % self.client_address[1]
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def on_age(self, path, query):
        _, _, control, retry = path.split("/")
        self.send(b"x", headers=[("Cache-Control", urllib.parse.unquote(control)), ("Retry-After", retry)])

    def on_hold(self, path, query):
        """Silent until the client hangs up."""
        HELD.append(path)
        self.rfile.read(1)

    def on_held(self, path, query):
        self.send(b"%d" % len(HELD))

    def on_etag(self, path, query):
        if self.headers.get("If-None-Match") == '"v1"':
            self.send(b"", 304, [("ETag", '"v1"')])
        else:
            self.on_ok(path, query)

    def on_odd_etag(self, path, query):
        self.send(b"x", headers=[("ETag", '"a\x01b"'), ("Content-Type", "a\x02b")])

    def on_status(self, path, query):
        self.send(b"sorry", int(path.split("/")[2]))

    def on_empty(self, path, query):
        self.send(b"")

    def on_gzip(self, path, query):
        self.send(gzip.compress(b"hello"), headers=[("Content-Encoding", "gzip")])

    def on_gzip_broken(self, path, query):
        self.send(b"this is no gzip", headers=[("Content-Encoding", "gzip")])

    def on_bomb(self, path, query):
        self.send(gzip.compress(bytes(64 * MAX)), headers=[("Content-Encoding", "gzip")])

    def on_exact(self, path, query):
        self.send(b"x" * MAX)

    def on_huge_said(self, path, query):
        self.send(b"x" * (MAX + 1))

    def on_huge_chunked(self, path, query):
        """Without Content-Length, and without an end."""
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while True:
            self.wfile.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")

    def on_many_headers(self, path, query):
        self.send(b"x", headers=[("X-%d" % i, "y" * 1000) for i in range(80)])

    def on_slow(self, path, query):
        time.sleep(20)

    def on_drip(self, path, query):
        """Never silent, never finished: only a limit on the whole helps."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(200):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.1)

    def on_truncated(self, path, query):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"too short")
        self.close_connection = True

    def on_garbage(self, path, query):
        self.wfile.write(b"\x00\xff\x16garbage and no HTTP\r\n\r\n")
        self.close_connection = True

    def on_hang_up(self, path, query):
        self.close_connection = True

    def on_chain(self, path, query):
        """/chain/3 needs three redirects to the page."""
        left = int(path.split("/")[2])
        if left:
            self.redirect("/chain/%d" % (left - 1), [301, 302, 303, 307, 308][left % 5])
        else:
            self.on_echo(path, query)

    def on_loop(self, path, query):
        self.redirect("/loop")

    def on_slow_chain(self, path, query):
        time.sleep(0.4)
        self.redirect("/slow-chain")

    def on_fragment(self, path, query):
        self.redirect("/ok#part")

    def on_no_location(self, path, query):
        self.send(b"where to?", 302)

    def on_to(self, path, query):
        """/to/NAME: redirects that may not be followed."""
        http, https = PORTS["http"], PORTS["https"]
        self.redirect({
            "host": "http://localhost:%d/ok" % http,
            "other": "http://127.0.0.2:%d/ok" % http,
            "port": "http://127.0.0.1:%d/ok" % https,
            "https": "https://127.0.0.1:%d/ok" % http,
            "http": "http://127.0.0.1:%d/ok" % http,
            "userinfo": "http://u:p@127.0.0.1:%d/ok" % http,
            "double": "//127.0.0.2:%d/ok" % http,
            "file": "file:///etc/passwd",
            "gopher": "gopher://127.0.0.1:%d/ok" % http,
            "nothing": "http://",
        }[path.split("/")[2]])


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    context = None

    def get_request(self):
        connection, address = super().get_request()
        connection.settimeout(30)
        if self.context:
            # The handshake waits for the handler's thread: a client that does not shake hands blocks nobody else.
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request, client_address):
        pass


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, issuer_key, extensions):
    now = datetime.datetime.utcnow()
    builder = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2)))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def make_context(directory):
    """TLS for 127.0.0.1 and inward.example (and not for localhost), signed by an authority of this run."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = certificate("test_net authority", authority_key, "test_net authority", authority_key,
                            [(x509.BasicConstraints(ca=True, path_length=0), True)])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    leaf = certificate("127.0.0.1", key, "test_net authority", authority_key,
                       [(x509.SubjectAlternativeName([address, x509.DNSName("inward.example")]), False)])
    pem = serialization.Encoding.PEM
    with open(os.path.join(directory, "leaf.pem"), "wb") as out:
        out.write(leaf.public_bytes(pem))
        out.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    with open(os.path.join(directory, "ca.pem"), "wb") as out:
        out.write(authority.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(directory, "leaf.pem"))
    return context


def main():
    plain, secure, other = (Server(("127.0.0.1", 0), Handler) for _ in range(3))
    secure.context = make_context(sys.argv[1])
    PORTS.update(http=plain.server_address[1], https=secure.server_address[1])
    for server in (plain, secure, other):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print(PORTS["http"], PORTS["https"], other.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
