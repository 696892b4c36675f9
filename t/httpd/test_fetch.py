"""Outgoing requests: whose certificates are trusted, how long one waits, through which proxy."""

import contextlib
import pathlib
import socket
import subprocess
import threading

import harness
import pytest
from harness import wait_until

CONF = """
{server}
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{url}"
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
"""


def serve(httpd, url, settings, ca=""):
    server = httpd("", start=False)
    (server.dir / "ca.pem").write_text(ca)  # children read it, as httpd's User
    server.configure(CONF.replace("{server}", settings).replace("{url}", url))
    server.expect(r"flow\.idp\.unavailable", "OKS0030")
    return server.start()


@pytest.fixture
def tls_okta(tmp_path):
    pair = (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem"))
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-out", pair[0], "-keyout", pair[1]], check=True, capture_output=True)
    apps = [harness.config.default_app("http://127.0.0.1:1/sso/okta/acs/acme")]
    with harness.client.started(tmp_path / "okta", apps=apps, tls=pair) as running:
        yield running, pair[0]


def test_a_ca_of_ones_own(httpd, tls_okta):
    okta, certificate = tls_okta
    url = f"{okta.url}/app/exkacme0standin0a697/sso/saml/metadata"
    trusting = serve(httpd, url, f'OktaSSOCAFile "{{dir}}/ca.pem"', pathlib.Path(certificate).read_text())
    trusting.wait_for_metadata()
    doubting = serve(httpd, url, "")
    wait_until(lambda: "net.tls.failed" in doubting.log_since(0), "the refusal of a certificate that nobody knows")
    assert doubting.browser().get("/").reason == "flow.idp.unavailable"


@contextlib.contextmanager
def listener(talk):
    """One that `talk`s to each connection; the connections seen."""
    server, seen = socket.create_server(("127.0.0.1", 0)), []

    def run():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                seen.append(connection)
                talk(connection, seen)
    threading.Thread(target=run, daemon=True).start()
    yield server.getsockname()[1], seen
    server.close()


def test_a_silent_peer_is_given_up(httpd):
    with listener(lambda connection, seen: None) as (port, seen):
        server = serve(httpd, f"http://127.0.0.1:{port}/metadata", "OktaSSOHTTPTimeout 200ms")
        wait_until(lambda: "net.timeout" in server.log_since(0), "the time limit")
        assert seen and server.browser().get("/").reason == "flow.idp.unavailable"  # and nobody waits for it


def answering(status, body):
    head = f"HTTP/1.1 {status} X\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"

    def talk(connection, seen):
        connection.recv(4096)
        connection.sendall((head + body).encode())
        connection.close()
    return talk


@pytest.mark.parametrize("settings, told", [
    ("", "saml.metadata.malformed: an HTML page and no metadata: copy the Metadata URL from the Sign On tab of the app in Okta"),
    ("OktaSSOClientID x\nOktaSSOClientSecret y", "base.json.malformed: an HTML page and no discovery document: write Okta's own domain")])
def test_a_sign_on_page_is_no_metadata(httpd, settings, told):
    with listener(answering(200, "\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>")) as (port, _):
        server = serve(httpd, f"http://127.0.0.1:{port}/app/exk1/sso/saml", settings)
        wait_until(lambda: "OKS0030" in server.log_since(0), "the failure")
        assert told in server.log_since(0)


def test_through_a_proxy(httpd, okta):
    asked = []

    def talk(connection, seen):
        asked.append(connection.recv(4096).decode())
        connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.close()
    with listener(talk) as (port, _):
        server = serve(httpd, "https://acme.okta.example/metadata", f"OktaSSOHTTPProxy http://127.0.0.1:{port}")
        wait_until(lambda: asked, "the proxy to be asked")
        assert asked[0].startswith("CONNECT acme.okta.example:443 ")
        wait_until(lambda: "OKS0030" in server.log_since(0), "the failure")


@pytest.mark.parametrize("line,wanted", [
    ("OktaSSOHTTPTimeout 5", "write a whole number and a unit"), ("OktaSSOHTTPTimeout 2h", "from 100ms to 60s"),
    ("OktaSSOHTTPProxy proxy:3128", "write http://HOST:PORT"), ("OktaSSOCAFile /nowhere.pem", "there is no file /nowhere.pem"),
    ("OktaSSOCAFile htdocs/index.html", "index.html holds no certificate in PEM: if it is DER, make one by openssl x509 -inform DER"),
    ("<VirtualHost 127.0.0.1:1>\nOktaSSOHTTPTimeout 5s\n</VirtualHost>", "belongs into the server config")])
def test_configtest(httpd, line, wanted):
    server = httpd(line + "\n", start=False)
    ok, said = server.configtest()
    assert not ok and wanted in said and str(server.file) in said, said
