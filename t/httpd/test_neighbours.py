"""Beside other modules, other MPMs and other protocols: each still works, and so do we."""

import json
import re
import socket
import subprocess
import threading
import urllib.request

import harness
import pytest
from harness import LIBEXEC, post_fields

AMELIA = "amelia.earhart@acme.example"
OURS = """
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    OktaSSOIdPMetadata "{dir}/idp.xml"
    Require valid-user
</Location>
"""
PROXY = 'ProxyPass "/mellon" "!"\nProxyPass "/private" "!"\nProxyPass "/oidc" "!"\nProxyPass "/" "http://127.0.0.1:{backend}/"\n'


def serve(httpd, okta, conf, **options):
    server = httpd(start=False, **options)
    server.configure(conf)
    (server.dir / "idp.xml").write_bytes(urllib.request.urlopen(okta.metadata_url()).read())
    return server


def x_headers(browser):
    return {name: value for name, value in browser.get("/headers.json").json() if name.startswith("X-")}


# ---- MPMs ----

@pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
def test_every_mpm(httpd, okta, mpm):
    server = serve(httpd, okta, OURS + PROXY, mpm=mpm).start()
    browser, answer = server.login(path="/headers.json")
    assert answer.status == 303 and x_headers(browser)["X-Remote-User"] == AMELIA
    server.graceful()
    assert x_headers(browser)["X-Remote-User"] == AMELIA
    assert browser.post("/sso/okta/logout/acme", {}).status == 200 and browser.get("/headers.json").status == 303


# ---- Modules that use the same libraries ----

NEIGHBOURS = """
<LocationMatch "^/(mellon|private)">
    AuthType none
    Require all granted
    MellonEnable info
    MellonEndpointPath /mellon
    MellonSPPrivateKeyFile "{dir}/sp.key"
    MellonSPCertFile "{dir}/sp.crt"
    MellonIdPMetadataFile "{dir}/mellon-idp.xml"
    MellonSecureCookie Off
    MellonCookieSameSite Lax
</LocationMatch>
<Location "/private">
    AuthType Mellon
    MellonEnable auth
    Require valid-user
</Location>
OIDCProviderIssuer https://op.example
OIDCProviderAuthorizationEndpoint https://op.example/authorize
OIDCProviderJwksUri https://op.example/jwks
OIDCClientID client
OIDCClientSecret secret
OIDCRedirectURI /redirect_uri
OIDCCryptoPassphrase of-a-test
<LocationMatch "^/(redirect_uri|oidc)">
    AuthType openid-connect
    Require valid-user
</LocationMatch>
"""
MODULES = ("auth_mellon", "auth_openidc", "xml2enc")
RESTARTS = 50


def mellon_login(server, okta):
    """Through the neighbour, at the stand-in's second application."""
    browser = server.browser()
    answer = browser.get("/private/page")
    while answer.status == 303 and answer["Location"].startswith(f"http://127.0.0.1:{server.port}/"):
        answer = browser.get(answer["Location"].split(str(server.port), 1)[1])
    assert answer.status == 303, (answer.status, answer.text[:300])
    minted = okta.answer(answer["Location"], user=AMELIA, app="exkmellon0standin697")
    answer = browser.post("/mellon/postResponse", post_fields(minted))
    assert answer.status == 303, (answer.status, answer.text[:300])
    return browser.get("/private/page").status


@pytest.mark.skipif(not all((LIBEXEC / f"mod_{name}.so").exists() for name in MODULES), reason="not all neighbours are installed")
def test_neighbours_over_many_graceful_restarts(httpd, okta):
    server = serve(httpd, okta, OURS + NEIGHBOURS + PROXY, modules=MODULES)
    server.expect(r"auth_openidc:warn")
    make_key(server)
    base = f"http://127.0.0.1:{server.port}"
    ours = vars(harness.config.default_app(f"{base}/sso/okta/acs/acme"))
    theirs = vars(harness.config.default_app(f"{base}/mellon/postResponse", audience=f"{base}/mellon/metadata", exk="exkmellon0standin697",
                                             name="mellon_1", label="Mellon",
                                             name_id_format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient"))
    okta.control(apps=[ours, theirs])
    (server.dir / "mellon-idp.xml").write_bytes(urllib.request.urlopen(okta.metadata_url("exkmellon0standin697")).read())
    (server.dir / "htdocs/private").mkdir()
    (server.dir / "htdocs/private/page").write_text("a page behind mellon\n")
    server.start()
    old, _ = server.login(path="/headers.json")
    for turn in range(RESTARTS):
        server.graceful()
        assert x_headers(old)["X-Remote-User"] == AMELIA
        if turn % 10 == 0:
            assert mellon_login(server, okta) == 200
            browser, answer = server.login(path="/headers.json")
            assert answer.status == 303 and x_headers(browser)["X-Remote-User"] == AMELIA
            answer = server.browser().get("/oidc")
            assert answer.status == 302 and answer["Location"].startswith("https://op.example/authorize?")


# ---- mod_shib: a daemon beside httpd, and the same libraries for XML and TLS ----

SHIB = """
LoadModule mod_shib /usr/lib/apache2/modules/mod_shib.so
ShibConfig "{dir}/shibboleth2.xml"
ShibCompatValidUser On
<Location "/Shibboleth.sso">
    AuthType none
    Require all granted
</Location>
<Location "/private">
    AuthType shibboleth
    ShibRequestSetting requireSession 1
    Require shib-session
</Location>
ProxyPass "/Shibboleth.sso" "!"
"""
SHIBBOLETH2 = """<SPConfig xmlns="urn:mace:shibboleth:3.0:native:sp:config" clockSkew="180">
  <OutOfProcess logger="{dir}/console.logger"/>
  <InProcess logger="{dir}/console.logger"/>
  <UnixListener address="{dir}/shibd.sock"/>
  <ApplicationDefaults entityID="https://shib.example/sp" homeURL="http://127.0.0.1:{port}/">
    <Sessions lifetime="28800" timeout="3600" relayState="ss:mem" checkAddress="false" handlerSSL="false" cookieProps="http">
      <SSO entityID="{issuer}">SAML2</SSO>
    </Sessions>
    <MetadataProvider type="XML" validate="false" path="{dir}/shib-idp.xml"/>
    <AttributeExtractor type="XML" validate="false" path="/etc/shibboleth/attribute-map.xml"/>
    <CredentialResolver type="File" key="{dir}/sp.key" certificate="{dir}/sp.crt"/>
  </ApplicationDefaults>
  <SecurityPolicyProvider type="XML" validate="true" path="/etc/shibboleth/security-policy.xml"/>
  <ProtocolProvider type="XML" validate="true" reloadChanges="false" path="/etc/shibboleth/protocols.xml"/>
</SPConfig>
"""


def make_key(server):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=neighbour", "-days", "1000", "-keyout",
                    server.dir / "sp.key", "-out", server.dir / "sp.crt"], check=True, capture_output=True)
    for name in ("sp.key", "sp.crt"):
        (server.dir / name).chmod(0o644)


@pytest.fixture
def shib(httpd, okta):
    """httpd with both modules, and shibd."""
    server = serve(httpd, okta, OURS + SHIB + PROXY)
    make_key(server)
    theirs = vars(harness.config.default_app(f"http://127.0.0.1:{server.port}/Shibboleth.sso/SAML2/POST", audience="https://shib.example/sp",
                                             exk="exkshib0standin4x697", name="shib_1", label="Shib"))
    okta.control(apps=[vars(harness.config.default_app(f"http://127.0.0.1:{server.port}/sso/okta/acs/acme")), theirs])
    metadata = urllib.request.urlopen(okta.metadata_url("exkshib0standin4x697")).read()
    (server.dir / "shib-idp.xml").write_bytes(metadata)
    (server.dir / "console.logger").write_text("log4j.rootCategory=WARN, console\nlog4j.appender.console=org.apache.log4j.ConsoleAppender\n"
                                               "log4j.appender.console.layout=org.apache.log4j.BasicLayout\n")
    issuer = re.search(rb'entityID="([^"]+)"', metadata).group(1).decode()
    (server.dir / "shibboleth2.xml").write_text(SHIBBOLETH2.format(dir=server.dir, port=server.port, issuer=issuer))
    (server.dir / "htdocs/private").mkdir()
    (server.dir / "htdocs/private/page").write_text("a page behind Shibboleth\n")
    with open(server.dir / "shibd.log", "w") as log:
        daemon = subprocess.Popen(["shibd", "-F", "-f", "-c", server.dir / "shibboleth2.xml", "-p", server.dir / "shibd.pid"], stdout=log, stderr=log)
    harness.wait_until((server.dir / "shibd.sock").exists, "shibd")
    (server.dir / "shibd.sock").chmod(0o777)
    yield server
    daemon.terminate()
    daemon.wait(20)


def shib_login(server, okta):
    browser = server.browser()
    answer = browser.get("/private/page")
    assert answer.status in (302, 303), (answer.status, answer.text[:300])
    minted = okta.answer(answer["Location"], user=AMELIA, app="exkshib0standin4x697")
    answer = browser.post("/Shibboleth.sso/SAML2/POST", post_fields(minted))
    assert answer.status == 302, (answer.status, answer.text[:600])
    return browser.get("/private/page").status


@pytest.mark.skipif(not (LIBEXEC / "mod_shib.so").exists(), reason="mod_shib is not installed")
def test_mod_shib_over_many_graceful_restarts(shib, okta):
    shib.start()
    old, _ = shib.login(path="/headers.json")
    for turn in range(RESTARTS):
        shib.graceful()
        assert x_headers(old)["X-Remote-User"] == AMELIA
        if turn % 10 == 0:
            assert shib_login(shib, okta) == 200
            browser, answer = shib.login(path="/headers.json")
            assert answer.status == 303 and x_headers(browser)["X-Remote-User"] == AMELIA


# ---- Protocols ----

def test_http2(httpd, okta):
    server = serve(httpd, okta, "Protocols h2c http/1.1\n" + OURS + PROXY, modules=("http2",)).start()
    browser, _ = server.login()
    url = f"http://127.0.0.1:{server.port}/headers.json"

    def curl(*options):
        done = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-w", "\n%{http_version} %{http_code}", *options, url],
                              capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.rsplit("\n", 1)
    assert curl("-H", "Accept: text/html", "-H", "Sec-Fetch-Mode: navigate")[1] == "2 303"
    assert curl("-H", "Accept: application/json")[1] == "2 401"
    body, status = curl("-H", f"Cookie: oktasso-session-acme={browser.session_cookie()}", "-H", "x-remote-user: evil", "-H", "X_Remote_Email: evil")
    seen = dict(json.loads(body))
    assert status == "2 200" and seen["X-Remote-User"] == AMELIA and "evil" not in body and "oktasso" not in body


class WebSocketBackend:
    """Keeps the request's head, answers 101 and sends back what it gets."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port, self.head = self.socket.getsockname()[1], ""
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        connection, _ = self.socket.accept()
        with connection:
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(4096)
            self.head = data.decode("latin-1")
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
            while piece := connection.recv(4096):
                connection.sendall(piece)


def upgrade(server, *lines):
    client = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    head = ["GET /ws HTTP/1.1", "Host: x", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", *lines]
    client.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(4096)
        assert piece, data
        data += piece
    return client, data.decode("latin-1")


def test_websocket(httpd, okta):
    backend = WebSocketBackend()
    server = serve(httpd, okta, OURS + f'ProxyPass "/ws" "ws://127.0.0.1:{backend.port}/ws" upgrade=websocket\n', modules=("proxy_wstunnel",)).start()
    client, head = upgrade(server, "Connection: Upgrade")
    client.close()
    assert head.startswith("HTTP/1.1 401 ") and not backend.head
    browser, _ = server.login()
    client, head = upgrade(server, "Connection: Upgrade, X-Remote-User", f"Cookie: oktasso-session-acme={browser.session_cookie()}; own=1", "X-Remote-Email: evil")
    with client:
        assert head.startswith("HTTP/1.1 101 ")
        client.sendall(b"ping")
        assert client.recv(16) == b"ping"
        client.shutdown(socket.SHUT_WR)
        assert client.recv(16) == b"", "the tunnel has ended: a stop of httpd in its middle closes the socket that a worker waits for"
    assert f"X-Remote-User: {AMELIA}" in backend.head and "evil" not in backend.head and "oktasso-" not in backend.head and "own=1" in backend.head
