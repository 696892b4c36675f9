import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "httpd"))
import harness  # noqa: E402
import npm  # noqa: E402
from keycloak import Keycloak  # noqa: E402

CONF = """
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{dir}/idp.xml"
    {settings}
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""


@pytest.fixture(scope="session")
def backend_port():
    port = harness.free_port()
    child = subprocess.Popen([sys.executable, str(harness.ROOT / "t/okta/backend.py"), "--listen", f"127.0.0.1:{port}", "--quiet"],
                             stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    yield port
    child.terminate()
    child.wait(10)


@pytest.fixture
def guarded(backend_port):
    """guarded(idp_metadata, settings): a started httpd that trusts this identity provider."""
    servers = []

    def make(idp_metadata, settings=""):
        server = harness.Httpd("", backend_port=backend_port)
        servers.append(server)
        server.configure(CONF.replace("{settings}", settings))
        (server.dir / "idp.xml").write_text(idp_metadata)
        return server.start()
    yield make
    for server in servers:
        server.close()


@pytest.fixture
def unconfigured(backend_port):
    """A server that the test configures and starts."""
    server = harness.Httpd("", backend_port=backend_port)
    yield server
    server.close()


@pytest.fixture(scope="session")
def idp_key(tmp_path_factory):
    """(key file, certificate file)"""
    directory = tmp_path_factory.mktemp("idp")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=idp", "-days", "1000", "-keyout",
                    directory / "idp.key", "-out", directory / "idp.crt"], check=True, capture_output=True)
    return directory / "idp.key", directory / "idp.crt"


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory):
    made = Keycloak(tmp_path_factory.mktemp("keycloak"))
    yield made
    made.stop()


def headers(browser, path="/headers.json"):
    answer = browser.get(path)
    assert answer.status == 200, (answer.status, answer.reason)
    # http.client reads header values as Latin-1, as WSGI says; the backend got UTF-8
    return {name: value.encode("latin-1", "ignore").decode("utf-8", "replace") if not value.isascii() and "Ã" in value else value
            for name, value in answer.json() if name.startswith("X-Remote-")}


@pytest.fixture(scope="session", name="npm")
def npm_packages():
    """A directory with the packages of package.json and our programs beside them."""
    return npm.installed()
