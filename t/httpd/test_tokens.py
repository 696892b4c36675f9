"""SCIM tokens that oktassoctl makes, beside those of the configuration; and the forms in which they come."""

import concurrent.futures
import contextlib
import os
import re
import sqlite3
import subprocess
import time

import pytest

import harness
from test_scim import CONF, OTHER_TOKEN, TOKEN, Scim, code_of, refused

CTL = harness.MODULE.parent / "oktassoctl"


def run(server, *words, code=0, spec=None):
    """What it says on both outputs."""
    done = subprocess.run([CTL, "--directory", spec or f"sqlite3:{server.state}/directory.db", *words], capture_output=True, text=True,
                          timeout=60, env=harness.environment())
    assert done.returncode == code, done.stdout + done.stderr
    return done


def new(server, *options, org="acme", spec=None):
    return run(server, "scim-token", "new", org, *options, spec=spec).stdout.strip()


def tokens(server, org="acme"):
    return run(server, "scim-token", "list", org).stdout.splitlines()[1:]


@pytest.fixture(scope="module")
def shared(okta_dir, backend_port):
    import conftest
    with conftest.running_okta(okta_dir) as okta, conftest.servers(okta, backend_port) as make:
        server = make(CONF, start=False)
        server.expect(r"flow\.idp\.unavailable", "OKS0030")
        server.start()
        server.wait_for_metadata()
        yield server


@pytest.fixture
def site(shared):
    with shared.judge():
        shared.expect("OKS0030", r"flow\.idp\.unavailable")
        yield shared
    for line in tokens(shared):
        run(shared, "scim-token", "revoke", "acme", line.split()[0])


def test_a_token_is_made_used_listed_and_revoked(site):
    token = new(site, "--label", "Okta, main app")
    assert re.fullmatch(r"oktasso_scim_[A-Za-z0-9_-]{43}", token)
    [line] = tokens(site)
    assert "Okta, main app" in line and "never" in line and token not in line
    scim = Scim(site, token=token)
    assert scim.get("/Users").status == 200 and scim.make()["id"]
    [line] = tokens(site)
    assert "never" not in line, "its last use is told"
    second = new(site)
    assert len(tokens(site)) == 2 and Scim(site, token=second).get("/Users").status == 200, "several are good at once"
    assert Scim(site).get("/Users").status == 200, "and so is the configuration's"
    said = run(site, "scim-token", "revoke", "acme", line.split()[0])
    assert "has ended" in said.stderr
    refused(site, scim.get("/Users"), 401, "scim.token.wrong")
    assert Scim(site, token=second).get("/Users").status == 200


def test_a_token_is_kept_as_its_hash_and_opens_one_organization(site):
    token = new(site)
    assert Scim(site, token=token).get("/Users").status == 200
    assert all(token.encode() not in file.read_bytes() for file in site.state.iterdir() if file.is_file())
    assert token not in site.log.read_text()
    refused(site, Scim(site, "globex", token).get("/Users"), 401, "scim.token.wrong")
    answer = site.browser().get(f"/sso/okta/scim/acme/v2/Users?access_token={token}", navigate=False)
    assert answer.status == 401 and code_of(answer) == "scim.token.missing", "never in a query"
    site.expect(r"scim\.token\.missing")


def test_a_token_ends_with_its_owner(site):
    owner = Scim(site).make(userName="owner@acme.example")
    token = new(site, "--owner", "Owner@Acme.example")
    scim = Scim(site, token=token)
    assert scim.get("/Users").status == 200 and "owner@acme.example" in tokens(site)[0]
    Scim(site).patch(f"/Users/{owner['id']}", {"op": "replace", "value": {"active": False}})
    refused(site, scim.get("/Users"), 401, "scim.token.wrong")
    assert "inactive: the token has ended" in tokens(site)[0]
    Scim(site).patch(f"/Users/{owner['id']}", {"op": "replace", "value": {"active": True}})
    assert scim.get("/Users").status == 200
    Scim(site).call("DELETE", f"/Users/{owner['id']}")
    refused(site, scim.get("/Users"), 401, "scim.token.wrong")
    Scim(site).make(userName="owner@acme.example")
    refused(site, scim.get("/Users"), 401, "scim.token.wrong")


def test_an_owner_is_somebody_who_is_there(site):
    owner = Scim(site).make(userName="gone@acme.example", active=False)
    assert "no active user gone@acme.example" in run(site, "scim-token", "new", "acme", "--owner", "gone@acme.example", code=1).stderr
    Scim(site).call("DELETE", f"/Users/{owner['id']}")


def test_a_label_in_the_database_is_shown_escaped(site):
    new(site, "--label", "plain")
    with contextlib.closing(sqlite3.connect(site.state / "directory.db")) as database, database:
        database.execute("UPDATE scim_tokens SET label = 'a' || char(27) || ']0;x' || char(10) || 'b'")
    assert "\x1b" not in run(site, "scim-token", "list", "acme").stdout and len(tokens(site)) == 1


def test_reading_waits_for_no_writer(site):
    """The last use is noted once a minute, and where it cannot be, reading goes on."""
    scim = Scim(site, token=new(site))
    with contextlib.closing(sqlite3.connect(site.state / "directory.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with concurrent.futures.ThreadPoolExecutor(10) as threads:
            times = [time.monotonic()]
            for _ in range(2):
                assert list(threads.map(lambda _: scim.get("/Users?count=1").status, range(10))) == [200] * 10
                times.append(time.monotonic())
            assert times[2] - times[1] < times[1] - times[0] - 1, "one of them has tried, two seconds long, and no other does"
        other.execute("ROLLBACK")


def test_httpd_writes_on_after_it(httpd):
    """Run by root while nobody has the database open: the files that SQLite makes beside it are httpd's all the same."""
    server = httpd(CONF, start=False)
    server.expect("OKS0030", r"flow\.idp\.unavailable")
    server.start()
    server.wait_for_metadata()
    server.stop()
    token = new(server)
    server.start()
    server.wait_for_metadata()
    assert Scim(server, token=token).make()["id"]
    assert os.geteuid() != 0 or {file.stat().st_uid for file in server.state.glob("directory.db*")} == {server.state.stat().st_uid}


def test_an_organization_that_nobody_has_heard_of(httpd):
    """Perhaps misspelled; but in a directory that is all new, everybody is."""
    server = httpd("", start=False)
    server.start()
    harness.wait_until(lambda: "resuming normal operations" in server.log_since(0), "the start")
    said = [run(server, "scim-token", "new", org).stderr for org in ("acme", "acme", "acmee", "acmee")]
    assert [f"no user, group or token of {org} in the directory yet, only of others: is the name right?" in text
            for org, text in zip(("acme", "acme", "acmee", "acmee"), said)] == [False, False, True, False]
    doubt = "There is no user, group or token of nobody in the directory yet, only of others: is the name right?"
    listed = run(server, "scim-token", "list", "nobody")
    assert doubt in listed.stderr and listed.stdout.startswith("ID") and not run(server, "scim-token", "list", "acme").stderr
    said = run(server, "user", "relink-all", "nobody", code=1).stderr
    assert "nobody has nobody to relink in the directory (directory.user.unknown)" in said and doubt in said and "next login" not in said
    assert doubt in run(server, "user", "relink", "nobody", "ann@acme.example", code=1).stderr
    assert "only of others" not in run(server, "user", "relink-all", "acme", code=1).stderr, "seen, though without users"


@pytest.mark.skipif(os.geteuid() != 0, reason="of servers that root starts")
def test_somebody_who_may_not(site):
    done = subprocess.run([CTL, "--directory", f"{site.state}/directory.db", "scim-token", "list", "acme"], capture_output=True, text=True,
                          timeout=60, env=harness.environment(), user=65534, group=65534, extra_groups=[])
    assert done.returncode == 1 and done.stderr == f"oktassoctl: {site.state}/directory.db: Permission denied\n" \
        "it is for root and for httpd's User: run oktassoctl as one of them\n"


@pytest.mark.parametrize("words, code, said", [
    ((), 2, "usage: oktassoctl"), (("token", "new"), 2, "oktassoctl: no such command: token new; see oktassoctl help\n"),
    (("scim-token",), 2, "oktassoctl: scim-token wants one of: new, list, revoke\n"), (("user", "new", "acme"), 2, "user wants one of: relink, relink-all\n"),
    (("scim-token", "new"), 2, "oktassoctl: scim-token new wants ORG\n"), (("user", "relink", "acme"), 2, "oktassoctl: user relink wants ORG NAME\n"),
    (("scim-token", "new", "acme", "globex"), 2, "oktassoctl: scim-token new wants ORG; too much: globex\n"),
    (("scim-token", "new", "acme", "--colour", "red"), 2, "invalid option: --colour"),
    (("scim-token", "new", "acme", "--label"), 2, "missing argument: --label"), (("scim-token", "new", "Acme_Corp"), 2, "Acme_Corp is no organization name"),
    (("scim-token", "new", "acme", "--label", "a\nb"), 2, "a label is text"), (("scim-token", "new", "acme", "--label", "x" * 65), 2, "a label is text"),
    (("scim-token", "new", "acme", "--owner", "nobody"), 1, "acme has no active user nobody in the directory (directory.user.unknown)"),
    (("scim-token", "revoke", "acme", "0123456789ab"), 1, "acme has no token 0123456789ab"),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else None)
def test_what_it_refuses(site, words, code, said):
    done = run(site, *words, code=code)
    assert said in done.stderr and not done.stdout, done.stderr
    assert ("usage:" in done.stderr) == (not words or "option" in said or "argument" in said), "the whole of it only to who has named no command"
    assert not tokens(site)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")
@pytest.mark.parametrize("words", [("scim-token", "new", "acme"), ("scim-token", "list", "acme")])
def test_what_could_not_be_shown_is_no_success(site, words):
    with open("/dev/full", "w") as full:
        done = subprocess.run([CTL, "--directory", f"sqlite3:{site.state}/directory.db", *words], stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=60, env=harness.environment())
    assert done.returncode == 1 and "could not be shown" in done.stderr


def test_help_and_other_directories(site, tmp_path):
    for word in ("help", "--help"):
        shown = run(site, word)
        assert shown.stdout.startswith("usage: oktassoctl") and not shown.stderr
    assert run(site, "--version").stdout.startswith("oktassoctl ")
    assert run(site, "scim-token", "list", "acme", spec=f"{site.state}/directory.db").stdout.startswith("ID"), "a path alone"
    absent = run(site, "scim-token", "list", "acme", spec=f"sqlite3:{tmp_path}/none.db", code=1)
    assert "No such file" in absent.stderr and "--directory" in absent.stderr and not list(tmp_path.iterdir())
    assert "no such kind of directory" in run(site, "scim-token", "list", "acme", spec="mysql:x", code=1).stderr
    (tmp_path / "empty.db").touch()
    assert "schema version 0, wanted" in run(site, "scim-token", "list", "acme", spec=f"sqlite3:{tmp_path}/empty.db", code=1).stderr
    (tmp_path / "broken.db").write_text("this is no database, whatever its name says" * 100)
    assert "not a database" in run(site, "scim-token", "list", "acme", spec=f"sqlite3:{tmp_path}/broken.db", code=1).stderr


# ---- The bare form, and how much a request may have ----

def bare(server, value):
    return server.browser().get("/sso/okta/scim/acme/v2/Users", headers={"Authorization": value}, navigate=False)


def test_the_bare_form_is_an_option(httpd, site):
    refused(site, bare(site, TOKEN), 401, "scim.token.missing")
    server = httpd(CONF.replace("    OktaSSOIdP", "    OktaSSOSCIM On bare-token\n    OktaSSOIdP", 1))
    server.expect("OKS0030", r"flow\.idp\.unavailable", "scim.token")
    assert bare(server, TOKEN).status == 200 and bare(server, f"Bearer {TOKEN}").status == 200
    assert bare(server, new(server)).status == 200
    for wrong, reason in ((OTHER_TOKEN, "wrong"), (f"Basic {TOKEN}", "missing"), ("", "missing"), ("Bearer ", "wrong"), ("Bearer", "wrong")):
        answer = bare(server, wrong)
        assert answer.status == 401 and code_of(answer) == f"scim.token.{reason}", wrong


def test_max_body(httpd):
    server = httpd(CONF.replace("    OktaSSOIdP", "    OktaSSOSCIM On max-body=64K\n    OktaSSOIdP", 1))
    server.expect("OKS0030", r"flow\.idp\.unavailable", "flow.body.too_large", "AH01588")
    scim = Scim(server)
    assert scim.call("POST", "/Users", raw='{"userName": "fits@acme.example"' + " " * 65000 + "}").status == 201
    answer = scim.call("POST", "/Users", raw='{"userName": "too-long@acme.example"' + " " * 66000 + "}")
    assert (answer.status, code_of(answer)) == (413, "flow.body.too_large")
    answer = scim.call("POST", "/Users", raw=(b"%x\r\n%s\r\n0\r\n\r\n" % (66000, b" " * 66000)).decode(), headers={"Transfer-Encoding": "chunked"})
    assert (answer.status, code_of(answer)) == (413, "flow.body.too_large"), "without a Content-Length, too"
    server.configure(CONF.replace("    OktaSSOIdP", "    OktaSSOSCIM On max-body=64K\n    OktaSSOIdP", 1) + "LimitRequestBody 1000\n")
    server.graceful()
    harness.wait_until(lambda: scim.call("POST", "/Users", raw='{"userName": "a@acme.example"' + " " * 2000 + "}").status == 413,
                       "the new configuration, in which httpd's own limit counts as well")


@pytest.mark.parametrize("line, said", [
    ("OktaSSOSCIM maybe", "OktaSSOSCIM takes On or Off"), ("OktaSSOSCIM", "OktaSSOSCIM takes On or Off"),
    ("OktaSSOSCIM Off bare-token", "OktaSSOSCIM takes On or Off"), ("OktaSSOSCIM On naked", "OktaSSOSCIM takes On or Off"),
    ("OktaSSOSCIM On max-body=63K", "max-body from 64K to 64M"), ("OktaSSOSCIM On max-body=65M", "max-body from 64K to 64M"),
    ("OktaSSOSCIM On max-body=100000", "max-body from 64K to 64M"), ("OktaSSOSCIM On max-body=9999999999M", "max-body from 64K to 64M"),
    ("OktaSSOSCIM On max-body=-1M", "max-body from 64K to 64M"),
])
def test_configtest(httpd, line, said):
    good, text = httpd(f"<OktaSSOOrg acme>\n{line}\n</OktaSSOOrg>\n", start=False).configtest()
    assert not good and said in text, text


def test_guessing_is_limited(httpd):
    server = httpd(CONF)
    server.expect(r"scim\.token", "OKS0030", r"flow\.idp\.unavailable")
    scim = Scim(server, token="guess")
    answers = [scim.get("/Users").status for _ in range(22)]
    assert answers[0] == 401 and answers[-1] == 429
    answer = scim.get("/Users")
    assert (answer.status, code_of(answer)) == (429, "scim.token.limited") and int(answer["Retry-After"]) > 0
    assert Scim(server, "globex", "guess").get("/Users").status == 401, "each organization has its own"
    assert Scim(server).get("/Users").status == 200, "a valid token is no guess"


def test_guesses_of_one_network_count_together(httpd):
    """Whoever has a /64 of IPv6 has as many addresses as wanted."""
    server = httpd("RemoteIPHeader X-Test-Client\n" + CONF, start=False, modules=("remoteip",))
    server.start()
    server.expect(r"scim\.token", "OKS0030", r"flow\.idp\.unavailable")
    scim = Scim(server, token="guess")
    answers = [scim.get("/Users", headers={"X-Test-Client": f"2001:db8:0:1::{i}"}).status for i in range(22)]
    assert answers[0] == 401 and answers[-1] == 429
    assert scim.get("/Users", headers={"X-Test-Client": "2001:db8:0:2::1"}).status == 401
