"""Several servers over one directory in PostgreSQL: issue 6, point 9."""

import concurrent.futures
import json
import socket
import subprocess
import time

import harness
import postgres
import pytest
import test_scim
import test_tokens
from harness import post_fields, wait_until
from test_scim import AMELIA, OTHER_TOKEN, PATCH_OP, Scim

CONF = 'OktaSSODirectory "{spec}"\nOktaSSOBaseURL http://127.0.0.1:{base}\nOktaSSOKeys "file:{keys}"\n' + test_scim.CONF.replace(
    "<OktaSSOOrg pending>", "<OktaSSOOrg pending>\nOktaSSOEnabled Off")

pytestmark = postgres.needed


@pytest.fixture(scope="module")
def database():
    with postgres.started() as running:
        yield running


@pytest.fixture
def two(httpd, okta, database, tmp_path):
    """two(): servers that share the directory, the keys and the outside URL."""
    keys = tmp_path / "session.keys"
    servers = []
    for _ in range(2):
        server = httpd("", start=False)
        server.expect(r"flow\.idp\.unavailable")
        base = servers[0].port if servers else server.port
        if not servers:
            probe = httpd("", start=False)  # makes a key file
            probe.start()
            wait_until(lambda probe=probe: (probe.state / "session.keys").exists() and (probe.state / "session.keys").read_bytes(), "keys")
            probe.stop()
            keys.write_bytes((probe.state / "session.keys").read_bytes())
            keys.chmod(0o600)
        server.configure(CONF.replace("{spec}", database.spec).replace("{base}", str(base)).replace("{keys}", str(keys)))
        okta.control(apps=[vars(harness.config.default_app(f"http://127.0.0.1:{base}/sso/okta/acs/acme"))])
        server.start()
        server.wait_for_metadata()
        servers.append(server)
    return servers


def sign_in(server, user=AMELIA):
    browser = server.browser()
    answer = browser.post("/sso/okta/acs/acme", post_fields(server.okta.answer(server.start_login(browser, "/headers.json"), user=user)))
    assert answer.status == 303 and browser.session_cookie(), answer.reason
    return browser


def on(server, browser):
    """The same cookies, at the other server."""
    other = server.browser()
    other.cookies = dict(browser.cookies)
    return other


def test_a_deactivation_here_ends_the_session_there(two):
    here, there = two
    browser = sign_in(here)
    other = on(there, browser)
    assert other.get("/headers.json").status == 200, "one session, both servers"
    scim = Scim(here)
    user = scim.find(f'userName eq "{AMELIA}"')[0]["id"]
    group = Scim(there).make_group("From there", [user])["id"]
    assert "From there" in dict(browser.get("/headers.json").json())["X-Remote-Groups"] or wait_until(
        lambda: "From there" in dict(browser.get("/headers.json").json())["X-Remote-Groups"], "the group that the other server wrote")
    before = time.monotonic()
    scim.patch(f"/Users/{user}", {"op": "replace", "value": {"active": False}})
    assert browser.get("/headers.json").status == 303, "at once where it was told"
    wait_until(lambda: other.get("/headers.json").status == 303, "the end on the other server")
    assert time.monotonic() - before < 10, "seconds, not minutes"
    scim.patch(f"/Users/{user}", {"op": "replace", "value": {"active": True}})
    scim.call("DELETE", f"/Groups/{group}")


def test_replays_are_seen_by_the_other_server(two):
    here, there = two
    browser = here.browser()
    fields = post_fields(here.okta.answer(here.start_login(browser, "/headers.json"), user=AMELIA))
    assert browser.post("/sso/okta/acs/acme", fields)["Location"] == "/headers.json"
    thief = on(there, browser)
    thief.cookies = {name: value for name, value in thief.cookies.items() if "session" not in name}
    assert thief.post("/sso/okta/acs/acme", fields).status == 303 and not thief.session_cookie()
    assert "directory.claim.used" in there.verdicts()[-1]


def test_scim_as_on_sqlite(two):
    scim, other = Scim(two[0]), Scim(two[1])
    user = scim.make(title="O'Brien & Söhne; DROP TABLE users")
    assert other.get(f"/Users/{user['id']}").json() == {**user, "meta": {**user["meta"]}}
    two[1].expect(r"scim\.resource\.(taken|unknown)")
    assert other.call("POST", "/Users", {"userName": user["userName"].upper()}).status == 409
    group = scim.make_group(members=[user["id"]])
    other.patch(f"/Groups/{group['id']}", {"op": "replace", "path": "members", "value": []})
    assert scim.members(group["id"]) == []
    assert other.call("DELETE", f"/Users/{user['id']}").status == 204
    two[0].expect(r"scim\.resource\.unknown")
    assert scim.get(f"/Users/{user['id']}").status == 404


def test_sessions_go_on_while_the_database_is_away_and_everything_comes_back(two, database):
    here, _ = two
    for server in two:
        server.expect(r"directory\.database\.unavailable", "OKS0030")
    browser = sign_in(here)
    assert browser.get("/headers.json").status == 200
    warm = {pid for pid in here.children()}
    assert warm
    for _ in range(60):
        browser.get("/headers.json")  # each child has the record in memory
    database.stop()
    answers = [browser.get("/headers.json") for _ in range(10)]
    assert {answer.status for answer in answers} <= {200, 503} and 200 in {answer.status for answer in answers}
    refused = Scim(here).get("/Users")
    assert refused.status == 503 and refused["Retry-After"]
    stranger = here.browser()
    location = stranger.get("/x")
    assert location.status in (303, 503)
    database.start()
    wait_until(lambda: Scim(here).get("/Users").status == 200, "the database that is back")
    assert browser.get("/headers.json").status == 200 and sign_in(here).get("/headers.json").status == 200


def test_a_restart_while_the_database_is_away(two, database):
    """httpd serves other things, too: it goes on, and what needs the database waits for it."""
    here, there = two
    for server in two:
        server.expect(r"directory\.database\.unavailable", "OKS0030", "OKS0068")
    browser = sign_in(here)
    database.stop()
    here.graceful()
    assert "OKS0068: restarted without the directory: directory.database.unavailable" in here.log.read_text()
    wait_until(lambda: browser.get("/headers.json").status == 503, "the new children")
    there.stop()
    there.expect("OKS0020", "AH00020")
    said = subprocess.run([harness.HTTPD, "-f", str(there.file), "-D", "FOREGROUND"], env=there.environment, timeout=60, capture_output=True)
    assert said.returncode != 0 and "OKS0020: cannot start: directory.database.unavailable" in there.log.read_text(), "a start needs it"
    database.start()
    wait_until(lambda: browser.get("/headers.json").status == 200, "the database that is back")


def test_after_the_grace_nobody_is_believed(httpd, okta, database):
    server = httpd("", start=False)
    server.expect(r"flow\.idp\.unavailable", r"directory\.database\.unavailable", "OKS0030")
    server.configure("OktaSSODirectoryGrace 5s\n" + CONF.replace("{spec}", database.spec).replace("{base}", str(server.port)).replace(
        'OktaSSOKeys "file:{keys}"', ""))
    okta.control(apps=[vars(harness.config.default_app(f"http://127.0.0.1:{server.port}/sso/okta/acs/acme"))])
    server.start()
    server.wait_for_metadata()
    browser = sign_in(server)
    for _ in range(60):
        browser.get("/headers.json")
    database.stop()
    assert browser.get("/headers.json").status in (200, 503)
    wait_until(lambda: {browser.get("/headers.json").status for _ in range(12)} == {503}, "the end of the grace")
    answer = browser.get("/headers.json")
    assert answer.reason == "directory.database.unavailable" and answer["Retry-After"] and browser.session_cookie()
    database.start()
    wait_until(lambda: browser.get("/headers.json").status == 200, "the database that is back")


def test_members_of_one_organization_do_not_hold_up_another(two):
    """Whatever one PATCH names: who writes meanwhile waits for a moment, not for a statement for each of its values."""
    here, _ = two
    scim = Scim(here, "globex", OTHER_TOKEN)
    group = scim.make_group()["id"]
    values = ["a"] * 10_000 + [f"{i:032x}" for i in range(10_000)]
    raw = json.dumps({"schemas": [PATCH_OP], "Operations": [{"op": "add", "path": "members", "value": values}]})
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        told = thread.submit(lambda: scim.call("PATCH", f"/Groups/{group}", raw=raw).status)
        while not told.done():
            assert sign_in(here).session_cookie()
        assert told.result() == 200 and scim.members(group) == []


def test_a_lock_that_others_hold_is_no_broken_connection(two, database):
    """Who waits in vain has waited once, and the connections stay."""
    here, _ = two
    scim = Scim(here)
    user = scim.make()["id"]

    def connections():
        return set(database.query("SELECT pid FROM pg_stat_activity WHERE application_name <> 'psql' AND client_port > 0").split())
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        held = thread.submit(database.query, "SELECT pg_advisory_lock(7301491), pg_sleep(6)")
        wait_until(lambda: database.query("SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND granted") == "1", "the lock")
        for server in two:
            server.expect(r"directory\.database\.unavailable", "OKS0030")
        there, before = connections(), time.monotonic()
        answer = scim.patch(f"/Users/{user}", {"op": "replace", "path": "title", "value": "x"})
        assert answer.status == 503 and time.monotonic() - before < 5, "not twice"
        assert there and there <= connections(), "none was closed"
        held.result()
    assert scim.patch(f"/Users/{user}", {"op": "replace", "path": "title", "value": "x"}).status == 200


def test_a_database_that_never_says_a_word(httpd):
    """It is given up after seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = httpd(f'OktaSSODirectory "pgsql:host=127.0.0.1 port={silent.getsockname()[1]} dbname=x user=x"\n', start=False)
        server.expect("OKS0020", "AH00020")
        done = subprocess.run([harness.HTTPD, "-f", str(server.file), "-D", "FOREGROUND"], env=server.environment, timeout=20, capture_output=True)
    said = done.stderr.decode() + (server.log.read_text() if server.log.exists() else "")
    assert done.returncode != 0 and "OKS0020: cannot start: directory.database.unavailable" in said


@pytest.mark.parametrize("line", ["OktaSSODirectoryGrace 1s", "OktaSSODirectoryGrace 2h", "OktaSSODirectoryGrace long"])
def test_configtest_of_the_grace(httpd, line):
    good, said = httpd(line + "\n", start=False).configtest()
    assert not good and "OktaSSODirectoryGrace" in said


def test_configtest(httpd):
    good, said = httpd('OktaSSODirectory "mysql:host=x"\n', start=False).configtest()
    assert not good and "OktaSSODirectory takes sqlite3:/ABSOLUTE/PATH or pgsql:CONNINFO" in said


def test_oktassoctl(two, database):
    """A token made beside them opens both servers, and ends on both."""
    token = test_tokens.new(two[0], spec=database.spec)
    assert [Scim(server, token=token).get("/Users").status for server in two] == [200, 200]
    listed = test_tokens.run(two[0], "scim-token", "list", "acme", spec=database.spec).stdout.splitlines()[1]
    test_tokens.run(two[0], "scim-token", "revoke", "acme", listed.split()[0], spec=database.spec)
    for server in two:
        server.expect(r"scim\.token\.wrong")
    assert [Scim(server, token=token).get("/Users").status for server in two] == [401, 401]
