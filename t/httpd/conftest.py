import contextlib
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import harness  # noqa: E402
import openid  # noqa: E402

GUARDED = """
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    OktaSSOIdPMetadata "{okta}"
    Require valid-user
</Location>
"""
SMALLEST = GUARDED + 'ProxyPass "/" "http://127.0.0.1:{backend}/"\n'


@pytest.fixture(scope="session")
def backend_port():
    """The sample backend; GET /headers.json answers with what it received."""
    port = harness.free_port()
    child = subprocess.Popen([sys.executable, str(harness.ROOT / "t/okta/backend.py"), "--listen", f"127.0.0.1:{port}",
                              "--quiet"], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()
    yield port
    child.terminate()
    child.wait(10)


@pytest.fixture(scope="session")
def okta_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("okta")


@contextlib.contextmanager
def running_okta(directory):
    app = harness.config.default_app("http://127.0.0.1:1/sso/okta/acs/acme")
    with harness.client.started(directory, apps=[app]) as running:
        yield running


@contextlib.contextmanager
def servers(okta, backend_port):
    with contextlib.ExitStack() as stack:
        def make(conf=SMALLEST, start=True, metadata=True, org="acme", base=None, **options):
            server = harness.Httpd(conf, okta=okta, backend_port=backend_port, **options)
            stack.callback(server.close)
            base = base or f"http://127.0.0.1:{server.port}"
            okta.control(apps=[vars(harness.config.default_app(f"{base}/sso/okta/acs/{org}"))])
            if start:
                server.expect(r"OKS0001: refused .*flow\.idp\.unavailable") if metadata else None
                server.start()
                if metadata:
                    server.wait_for_metadata(org)
            return server
        yield make


@pytest.fixture
def okta(okta_dir):
    """A stand-in for Okta. Its app's ACS is set when a server starts (see `httpd`)."""
    with running_okta(okta_dir) as running:
        yield running


@pytest.fixture
def httpd(okta, backend_port):
    """httpd(conf=SMALLEST, **options): a started server whose metadata is there; closed, and its log judged, at the end."""
    with servers(okta, backend_port) as make:
        yield make


@pytest.fixture(scope="module")
def shared(okta_dir, backend_port, request):
    """One server for a file's tests, with the file's CONF (or the smallest set-up), and its own stand-in."""
    with running_okta(okta_dir) as okta, servers(okta, backend_port) as make:
        yield make(getattr(request.module, "CONF", SMALLEST))


@pytest.fixture
def site(shared):
    """The shared server; the log lines of a test are judged when it ends."""
    shared.okta.control(clear=True)
    with shared.judge():
        yield shared


@pytest.fixture
def provider():
    """A stand-in that speaks OpenID Connect."""
    with openid.oidc.started() as running:
        yield running


@pytest.fixture
def globex(httpd, provider):
    """globex(settings): a server with one organization of OpenID Connect whose documents are there."""
    def make(settings=openid.SECRET, **options):
        server = openid.configured(httpd("", start=False, **options), provider, settings)
        server.start()
        server.wait_for_metadata("globex")
        return server
    return make


@pytest.fixture(scope="module")
def one_globex(okta_dir, backend_port):
    with running_okta(okta_dir) as okta, servers(okta, backend_port) as make, openid.oidc.started() as running:
        server = openid.configured(make("", start=False), running).start()
        server.wait_for_metadata("globex")
        yield server, running


@pytest.fixture
def kept(one_globex):
    """(server, provider) that the tests of a file share; the provider behaves again, and the log lines are the test's own."""
    server, running = one_globex
    running.change.clear()
    with server.judge():
        yield server, running
