"""Bad input at every door: a clear answer with its reason, bounded work, and nothing changed."""

import http.client
import os
import re
import sqlite3
import urllib.request

import pytest

from conftest import SMALLEST
from harness import post_fields, wait_until

ACS = "/sso/okta/acs/acme"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def rows(server, table):
    with sqlite3.connect(f"file:{server.state}/directory.db?mode=ro", uri=True) as db:
        return db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.mark.parametrize("method, path, options, status, reason, loud", [
    ("GET", ACS, {}, 405, "flow.method.refused", False),
    ("DELETE", "/sso/okta/session", {}, 405, "flow.method.refused", False),
    ("POST", "/sso/okta/metadata/acme", {"body": {"a": "b"}}, 405, "flow.method.refused", False),
    ("POST", ACS, {}, 415, "flow.body.type", False),
    ("POST", ACS, {"body": "SAMLResponse=x"}, 415, "flow.body.type", False),
    ("POST", ACS, {"body": "{}", "headers": {"Content-Type": "application/json"}}, 415, "flow.body.type", False),
    ("POST", ACS, {"body": {}, "headers": FORM}, 400, "flow.parameter.missing", False),
    ("POST", ACS, {"body": {"SAMLResponse": ""}}, 400, "flow.parameter.missing", False),
    ("POST", ACS, {"body": {"SAMLResponse": "!!"}}, 400, "base.base64.malformed", False),
    ("POST", ACS, {"body": "SAMLResponse=%zz", "headers": FORM}, 400, "base.form.malformed", False),
    ("POST", ACS, {"body": "a=1&" * 40, "headers": FORM}, 400, "base.form.too_many", False),
    ("POST", ACS, {"body": "SAMLResponse=x&SAMLResponse=y", "headers": FORM}, 400, "base.form.repeated", True),
    ("POST", ACS, {"body": {"SAMLResponse": "YWJj"}}, 400, "xml.document.malformed", True),
    ("POST", ACS, {"body": {"SAMLResponse": "A" * 400_000}}, 413, "saml.response.too_large", True),
    ("POST", "/sso/okta/acs/globex", {"body": {"SAMLResponse": "YWJj"}}, 404, "flow.org.unknown", False),
    ("GET", "/sso/okta/acs/../../etc/passwd%00", {}, 404, None, False),
    ("GET", "/sso/okta/nothing/acme", {}, 404, "flow.path.unknown", False),
    ("GET", "/sso/okta", {}, 404, "flow.path.unknown", False),
    ("GET", "/sso/okta/session", {}, 401, "flow.session.none", False),
    ("GET", "/sso/okta/login/acme?return=//evil.example/", {}, 400, "base.return.refused", False),
    ("GET", "/sso/okta/login/acme?return=/%5c/evil.example/", {}, 400, "base.return.refused", False),
    ("GET", "/sso/okta/login/acme?return=https://evil.example/", {}, 400, "base.return.refused", False),
    ("GET", "/sso/okta/logout/acme?return=javascript:alert(1)", {}, 400, "base.return.refused", False),
    ("GET", "/sso/okta/login/acme?return=/a&return=/b", {}, 400, "base.form.repeated", True),
    ("GET", "/sso/okta/login/acme?again=cookie", {}, 403, "flow.login.loop", True),
])
def test_bad_requests(site, method, path, options, status, reason, loud):
    if loud:
        site.expect(reason)
    site.expect(r"AH10244|AH00026")  # httpd's own word on a path that leaves the root
    answer = site.browser().request(method, path, **options)
    if reason:
        assert (answer.status, answer.reason) == (status, reason), answer.text[:300]
        assert answer["Cache-Control"] == "no-store"
        assert not re.search(r"<p[^>]*></p>", answer.text)
    else:
        assert answer.status in (400, 404)
    if status == 405:
        assert answer["Allow"]


@pytest.mark.parametrize("path, leads", [(ACS, True), ("/sso/okta/acs/globex", False), ("/sso/okta/acs", False)])
def test_an_acs_in_the_address_bar_leads_to_the_login(site, path, leads):
    """Whoever reloads the page of a failed login."""
    answer = site.browser().get(path)
    assert (answer.status, answer.reason) == (405, "flow.method.refused")
    assert "This address is a step of signing in and cannot be opened by itself." in answer.text
    assert (f'href="http://127.0.0.1:{site.port}/sso/okta/login/acme"' in answer.text) == leads


def test_a_body_of_ten_megabytes(site):
    try:
        answer = site.browser().post(ACS, {"SAMLResponse": "A" * 10_000_000})
        assert (answer.status, answer.reason) == (413, "flow.body.too_large")
    except (BrokenPipeError, ConnectionResetError):
        pass  # httpd had answered and closed before everything was sent
    assert site.browser().get("/sso/okta/metadata/acme").status == 200


def test_a_body_that_ends_early(site):
    connection = http.client.HTTPConnection("127.0.0.1", site.port)
    connection.putrequest("POST", ACS)
    for name, value in {**FORM, "Content-Length": "100", "Connection": "close"}.items():
        connection.putheader(name, value)
    connection.endheaders(b"SAMLResponse=")
    connection.sock.shutdown(1)
    answer = connection.getresponse()
    assert answer.status == 400 and b"flow.body.broken" in answer.read()


@pytest.mark.parametrize("cookie", [
    "oktasso-session-acme=", "oktasso-session-acme=AAAA", "oktasso-session-acme=" + "A" * 4000, "oktasso-session-acme=%00; =;;=,",
    "oktasso-session-acme=a; oktasso-session-acme=b", "oktasso-session-acme", "oktasso-binding=" + "x" * 43, "=", ";" * 200,
])
def test_garbage_cookies_are_no_session(site, cookie):
    answer = site.browser().get("/headers.json", headers={"Cookie": cookie}, navigate=False)
    assert (answer.status, answer.json()["error"]) == (401, "flow.session.none")


def test_a_thousand_half_made_logins_grow_nothing(site):
    before = [rows(site, table) for table in ("users", "sessions", "claims")]
    browser = site.browser()
    for number in range(1000):
        assert browser.get(f"/page{number}").status == 303
    assert [rows(site, table) for table in ("users", "sessions", "claims")] == before
    assert [name for name in browser.cookies] == ["oktasso-binding"]


def test_states_are_of_one_browser_and_one_time(site):
    """flow.state.foreign restarts once, and then is a page."""
    site.expect("flow.login.loop")
    minted = site.okta.answer(site.start_login(site.browser(), "/deep?x=1"), user="john.doe@acme.example")
    other = site.browser()
    answer = other.post(ACS, post_fields(minted))
    assert answer.status == 303 and "/sso/okta/login/acme?again=1&return=%2Fdeep%3Fx%3D1" in answer["Location"]
    assert "flow.state.foreign" in site.verdicts()[-1]
    answer = other.get(answer["Location"].split(str(site.port), 1)[1])
    minted = site.okta.answer(answer["Location"], user="john.doe@acme.example")
    answer = site.browser().post(ACS, post_fields(minted))
    assert (answer.status, answer.reason) == (403, "flow.login.loop")
    assert other.post(ACS, post_fields(minted))["Location"] == "/deep?x=1"


def test_an_unasked_response_starts_a_login_of_our_own(site):
    browser = site.browser()
    answer = browser.post(ACS, post_fields(site.okta.mint(user="john.doe@acme.example")))
    assert answer.status == 303 and "/sso/okta/login/acme?again=cookie" in answer["Location"]
    assert "saml.response.unsolicited" in site.verdicts()[-1] and not browser.session_cookie()
    answer = browser.get(answer["Location"].split(str(site.port), 1)[1])
    assert answer.status == 303 and "SAMLRequest=" in answer["Location"]


TWO = """
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{okta}"
    %s
</OktaSSOOrg>
<OktaSSOOrg globex>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOEmailDomain globex.example
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
"""


@pytest.mark.parametrize("lines,email,reason", [
    ("OktaSSOEmailDomain acme.example", "x@evil.example", "flow.email.domain"), ("", "x@globex.example", "flow.email.foreign"),
    ("OktaSSOProvisioning off", "x@acme.example", "directory.user.unknown"), ("", "x@acme.example", "directory.subject.changed"),
    ("", "x@acme.example", "directory.user.inactive"), ("OktaSSORequireVerifiedEmail On", "x@acme.example", "flow.email.unverified")])
def test_an_account_that_is_refused_is_told_how_to_use_another(httpd, lines, email, reason):
    """As "Sign in again" brings the same one, for as long as the session at Okta goes on."""
    server = httpd(TWO % lines)
    server.expect(reason)

    def sign_in(name_id):
        return server.login(name_id=name_id, attributes={"email": [email]})[1]

    if reason == "directory.subject.changed":
        assert sign_in("00uFirst").status == 303
    if reason == "directory.user.inactive":
        assert sign_in("00uLater").status == 303
        with sqlite3.connect(server.state / "directory.db") as db:
            db.execute("UPDATE users SET active = 0")
    answer = sign_in("00uLater")
    assert (answer.status, answer.reason) == (403, reason) and ">Sign in again</a>" in answer.text
    told = "To use another account, sign out at your identity provider first." in answer.text
    assert told == (reason != "flow.email.unverified")


def test_without_metadata_the_page_says_so(httpd):
    server = httpd('<Location "/">\nAuthType OktaSSO\nOktaSSOOrg acme\nOktaSSOIdPMetadata "http://127.0.0.1:1/none"\n'
                   "Require valid-user\n</Location>\n", metadata=False)
    server.expect("OKS0030", "flow.idp.unavailable")
    answer = server.browser().get("/")
    assert (answer.status, answer.reason) == (503, "flow.idp.unavailable") and answer["Retry-After"]


def test_a_database_that_fails_is_not_an_empty_one(httpd):
    """SECURITY.md 9: 503, the cookie stays, and all is well when the database is. Nobody is sent to sign in, though the metadata, which
    is in a file, is there."""
    server = httpd(SMALLEST.replace("{okta}", "{dir}/metadata.xml"), start=False)
    (server.dir / "metadata.xml").write_bytes(urllib.request.urlopen(server.okta.metadata_url(), timeout=20).read())
    browser = server.start().browser()
    server.login(browser)
    assert browser.get("/headers.json").status == 200
    server.expect("directory.database.unavailable", "OKS0030")
    server.stop()
    database = server.state / "directory.db"
    server.start()  # no record in memory yet
    wait_until(lambda: server.browser().get("/sso/okta/nothing").status == 404, "the start")
    database.rename(server.state / "away")
    os.mkdir(database)
    answers = []
    wait_until(lambda: answers.append(server.browser_with(browser).get("/headers.json")) or answers[-1].status == 503, "the loss to be seen", 5)
    assert {each.status for each in answers} <= {200, 503}
    answer = answers[-1]
    assert answer.reason == "directory.database.unavailable" and answer["Retry-After"] and not answer["Set-Cookie"]
    os.rmdir(database)
    (server.state / "away").rename(database)
    wait_until(lambda: browser.get("/headers.json").status == 200, "recovery")
