"""What belongs to httpd's User, who serves strangers, is not root's to open: links and pipes in the state directory lead nowhere."""

import os
import pathlib
import subprocess

import harness
import pytest
import test_tokens
from test_scim import CONF

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="of servers that root starts")
UNAVAILABLE = r"directory\.database\.unavailable"


@pytest.fixture
def stopped(httpd, tmp_path):
    """A server that ran once, and a file that is root's alone."""
    server = httpd(CONF, start=False)
    server.expect("OKS0030", r"flow\.idp\.unavailable", "OKS0020", "AH00020", "AH00016")
    server.start()
    server.wait_for_metadata()
    server.stop()
    target = tmp_path / "root-only"
    target.write_bytes(b"root's alone\n")
    target.chmod(0o600)
    server.target = target
    return server


def start(server):
    done = subprocess.run([harness.HTTPD, "-f", str(server.file), "-k", "start"], capture_output=True, text=True, timeout=60, env=server.environment)
    return done.returncode, server.log.read_text()


def replace_database(server):
    for file in server.state.glob("directory.db*"):
        file.unlink()
    (server.state / "directory.db").symlink_to(server.target)


def test_a_link_for_a_database(stopped):
    replace_database(stopped)
    before = stopped.target.stat()
    status, said = start(stopped)
    after = stopped.target.stat()
    assert status != 0 and "OKS0020: cannot start" in said
    assert (after.st_uid, after.st_mode, after.st_mtime) == (0, before.st_mode, before.st_mtime) and stopped.target.read_bytes() == b"root's alone\n"


def test_a_link_for_a_database_and_oktassoctl(stopped):
    stopped.target.write_bytes(b"")
    replace_database(stopped)
    assert "Permission denied" in test_tokens.run(stopped, "scim-token", "list", "acme", code=1).stderr
    assert stopped.target.read_bytes() == b"" and [each.name for each in stopped.target.parent.iterdir()] == ["root-only"]


@pytest.mark.parametrize("what", ["a link", "a pipe", "another user's"])
def test_something_else_for_the_keys(stopped, what):
    keys = stopped.state / "session.keys"
    text = keys.read_text()
    keys.unlink()
    if what == "a link":
        stopped.target.write_text(text)
        keys.symlink_to(stopped.target)
    elif what == "a pipe":
        os.mkfifo(keys)
    else:
        keys.write_text(text)
        os.chown(keys, 65534, 65534)
    status, said = start(stopped)
    assert status != 0 and "session.keys: no file of the user that starts httpd" in said


@pytest.fixture
def in_group_root():
    """As root's sign-in makes it: group root is one of its further groups, too."""
    groups = os.getgroups()
    os.setgroups([0])
    yield
    os.setgroups(groups)


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_file_of_an_organization_is_read_as_children_read_it(httpd, in_group_root, mode):
    orgs = pathlib.Path(harness.tempfile.mkdtemp(prefix="oktasso-test-"))
    try:
        orgs.chmod(0o755)
        metadata = orgs / "root-only.xml"
        metadata.write_bytes((harness.ROOT / "t/vectors/okta/metadata.xml").read_bytes())
        metadata.chmod(mode)
        (orgs / "acme.conf").write_text(f'OktaSSOIdPMetadata "{metadata}"\n')
        good, said = httpd(f'OktaSSOOrgDir "{orgs}"\n', start=False).configtest()
        assert not good and f"{metadata} cannot be read" in said
        metadata.chmod(0o644)
        assert httpd(f'OktaSSOOrgDir "{orgs}"\n', start=False).configtest()[0]
    finally:
        harness.shutil.rmtree(orgs)
