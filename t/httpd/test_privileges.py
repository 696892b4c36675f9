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


# ---- The state directory ----

def foreign(server, folder="foreign", owner=0):
    """A directory with content; the server's state directory from now on."""
    state = server.dir / folder
    state.mkdir()
    (state / "httpd.conf").write_text("# of somebody else\n")
    os.chown(state, owner, owner)
    server.head = server.head.replace(f'"{server.state}"', f'"{state}"')
    server.state = state
    server.configure(CONF)
    server.expect("OKS0011", "OKS0020", "AH00020", "AH00016")
    return state


@pytest.mark.parametrize("by", ["start", "configtest"])
def test_a_directory_of_somebody_else_is_not_given_to_the_user(httpd, by):
    server = httpd(CONF, start=False)
    state = foreign(server)
    failed, said = start(server) if by == "start" else (not server.configtest()[0], server.configtest()[1])
    assert failed and f"httpd.state.unusable: the state directory {state} belongs to root and is no empty directory: name one of httpd's own, such as " \
        f"OktaSSOStateDir {state}/oktasso; or, if nothing else uses it, chown -h www-data {state}" in said
    assert state.stat().st_uid == 0 and [each.name for each in state.iterdir()] == ["httpd.conf"]


def test_a_link_for_a_state_directory_gives_nothing_away(httpd):
    """Even an empty one: whoever owns the directory above may have made the link."""
    server = httpd(CONF, start=False)
    state = foreign(server)
    (state / "httpd.conf").unlink()
    state.rename(server.dir / "elsewhere")
    state.symlink_to(server.dir / "elsewhere")
    status, said = start(server)
    assert status != 0 and "httpd.state.unusable" in said and (server.dir / "elsewhere").stat().st_uid == 0


def test_a_state_directory_that_is_empty_is_taken(httpd):
    """Such as a file system that was just made."""
    server = httpd(CONF, start=False)
    (server.state / "lost+found").mkdir(parents=True)
    server.expect(r"flow\.idp\.unavailable", "OKS0030")
    assert server.configtest()[0] and server.state.stat().st_uid == 0, "configtest only looks"
    server.start()
    harness.wait_until(lambda: "resuming normal operations" in server.log_since(0), "the start")
    assert server.state.stat().st_uid != 0 and (server.state / "lost+found").stat().st_uid == 0


@pytest.mark.parametrize("by", ["start", "configtest"])
def test_a_state_directory_of_the_user_before(stopped, by):
    before = stopped.state.stat().st_uid
    stopped.head = stopped.head.replace("User www-data", "User nobody")
    stopped.configure(CONF)
    stopped.expect("OKS0011")
    failed, said = start(stopped) if by == "start" else (not stopped.configtest()[0], stopped.configtest()[1])
    assert failed and f"the state directory {stopped.state} belongs to www-data, and httpd's User is nobody: chown -h nobody {stopped.state}/ " \
        f"{stopped.state}/directory.db*" in said
    assert stopped.state.stat().st_uid == before
    for each in (stopped.state, *stopped.state.glob("directory.db*")):
        harness.shutil.chown(each, "nobody")
    stopped.start()


@pytest.mark.parametrize("by", ["start", "configtest"])
def test_a_database_that_the_user_cannot_open(stopped, by):
    database = stopped.state / "directory.db"
    os.chown(database, 0, 0)
    stopped.expect("OKS0011")
    failed, said = start(stopped) if by == "start" else (not stopped.configtest()[0], stopped.configtest()[1])
    assert failed and f"httpd.state.unusable: www-data cannot open the database {database}: chown -h www-data it and its directory, and let www-data " \
        "pass all directories above" in said


def test_a_state_directory_behind_one_that_the_user_cannot_pass(httpd):
    server = httpd(CONF, start=False)
    (server.dir / "closed").mkdir(mode=0o700)
    state = foreign(server, "closed/state")
    (state / "httpd.conf").unlink()
    status, said = start(server)
    assert status != 0 and f"www-data cannot open the database {state}/directory.db" in said
