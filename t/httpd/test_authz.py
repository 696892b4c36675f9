"""Require lines: who may, who may not, and that a refusal is a 403 page and no loop. Issue 2, point 6."""

import re

import pytest

import harness

AMELIA, JOHN, ZOE = "amelia.earhart@acme.example", "john.doe@acme.example", "zoe.gruen@acme.example"

LINES = {
    "valid": "Require valid-user",
    "user": f"Require user {AMELIA} somebody@else.example",
    "org": "Require okta-org acme",
    "other-org": "Require okta-org globex",
    "orgs": "Require okta-org globex acme",
    "group": "Require okta-group Engineering",
    "groups": 'Require okta-group Support "Köln, Büro"',
    "part": "Require okta-group Engineer ngineering engineering",
    "role": "Require okta-role admin",
    "roles": "Require okta-role owner member",
    "attribute": 'Require okta-attribute department "Flight School"',
    "attribute-group": "Require okta-attribute groups Sales",
    "attribute-email": f"Require okta-attribute email {ZOE}",
    "absent": "Require okta-attribute nothing x y",
    "all": "<RequireAll>\nRequire okta-group Engineering\nRequire okta-role admin\n</RequireAll>",
    "not": "<RequireAll>\nRequire valid-user\nRequire not okta-group Sales\n</RequireAll>",
    "any": "<RequireAny>\nRequire okta-group Sales\nRequire okta-role admin\n</RequireAny>",
    "denied": "Require all denied",
    "ip-and-user": "<RequireAll>\nRequire ip 10.9.8.7\nRequire valid-user\n</RequireAll>",
}
CONF = """
OktaSSOIdPMetadata "{okta}"
<OktaSSOOrg acme>
    OktaSSORole admin Okta-Admins
    OktaSSORole owner Nobody
    OktaSSOAttribute department department dept
    OktaSSOAttribute nothing nothing
</OktaSSOOrg>
<OktaSSOOrg globex>
</OktaSSOOrg>
""" + "".join(f"""
<Location "/{name}">
    AuthType OktaSSO
    OktaSSOOrg acme
    {line}
</Location>
ProxyPass "/{name}" "http://127.0.0.1:{{backend}}"
""" for name, line in LINES.items())


@pytest.fixture(scope="module")
def browsers(shared):
    made = {}
    for user, extra in ((AMELIA, {"department": "Flight School"}), (JOHN, {"dept": "Sales"}), (ZOE, {})):
        made[user] = shared.browser()
        location = shared.start_login(made[user], "/valid/")
        minted = shared.okta.answer(location, user=user, attributes_merge=extra)
        assert made[user].post("/sso/okta/acs/acme", harness.post_fields(minted)).status == 303
    return made


@pytest.mark.parametrize("line, allowed", [
    ("valid", {AMELIA, JOHN, ZOE}), ("user", {AMELIA}), ("org", {AMELIA, JOHN, ZOE}), ("other-org", set()),
    ("orgs", {AMELIA, JOHN, ZOE}), ("group", {AMELIA, ZOE}), ("groups", {ZOE}), ("part", set()), ("role", {AMELIA}),
    ("roles", {JOHN, ZOE}), ("attribute", {AMELIA}), ("attribute-group", {JOHN}), ("attribute-email", {ZOE}),
    ("absent", set()), ("all", {AMELIA}), ("not", {AMELIA, ZOE}), ("any", {AMELIA, JOHN})])
def test_who_may(site, browsers, line, allowed):
    site.expect(r"AH01631: user \S+: authorization failure")
    assert site.browser().get(f"/{line}/").status == 303, "without a session: to the sign-in"
    for user, browser in browsers.items():
        answer = browser.get(f"/{line}/headers.json")
        if user in allowed:
            assert answer.status == 200 and dict(answer.json())["X-Remote-User"] == user
        else:
            assert (answer.status, answer.reason) == (403, "httpd.request.denied"), user
            assert not answer["Location"] and not answer["WWW-Authenticate"]


def test_the_refusal_is_a_page_or_json(site, browsers):
    site.expect(r"AH01631")
    page = browsers[JOHN].get("/role/")
    assert page["Content-Type"] == "text/html; charset=utf-8" and "default-src 'none'" in page["Content-Security-Policy"]
    assert "<h1>You may not see this page</h1>\n<p>You are signed in, but your account is not among those" in page.text
    answer = browsers[JOHN].get("/role/", navigate=False, headers={"Accept": "*/*"})
    assert answer.status == 403 and answer.json()["error"] == "httpd.request.denied"
    assert f"user={JOHN}" in site.verdicts()[-1] and "status=403" in site.verdicts()[-1]
    assert site.verdicts()[-1].endswith('reason=httpd.request.denied: has groups "Everyone", "Sales"; role member'), "what it was judged by"
    assert "Sales" not in page.text + answer.text, "for the log alone"
    assert browsers[JOHN].get("/valid/").status == 200, "the session goes on"


def test_of_many_groups_the_log_has_the_first(site):
    site.expect("AH01631")
    browser = site.browser()
    groups = [f"Team {number:03}" for number in range(400)]
    minted = site.okta.answer(site.start_login(browser, "/valid/"), user=JOHN, attributes_merge={"groups": groups})
    assert browser.post("/sso/okta/acs/acme", harness.post_fields(minted)).status == 303
    assert browser.get("/role/", navigate=False).reason == "httpd.request.denied"
    said = site.verdicts()[-1].partition("has groups ")[2]
    assert said.startswith('"Team 000", "Team 001", ') and said.endswith("...; role member") and len(said) < 450, said


@pytest.mark.parametrize("line", ["denied", "ip-and-user"])
def test_what_httpd_refuses_to_everybody(site, browsers, line):
    site.expect(r"AH0163[01]")
    assert site.browser().get(f"/{line}/").status == 403
    answer = browsers[AMELIA].get(f"/{line}/")
    assert answer.status == 403 and not answer["Location"]


OWN_URLS = """
OktaSSOIdPMetadata "{okta}"
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    %s
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""


@pytest.mark.parametrize("line", ["Require valid-user", "Require user somebody@else.example", "Require okta-group Nobody",
                                  "<RequireAll>\nRequire valid-user\nRequire ip 127.0.0.1\n</RequireAll>"])
def test_own_urls_need_no_user(httpd, line):
    server = httpd(OWN_URLS % line)
    browser = server.browser()
    assert browser.get("/sso/okta/metadata/acme").status == 200
    assert browser.get("/sso/okta/session").reason == "flow.session.none"
    minted = server.okta.answer(server.start_login(browser, "/x"), user=AMELIA)
    assert browser.post("/sso/okta/acs/acme", harness.post_fields(minted)).status == 303
    assert browser.get("/sso/okta/session").status == 200
    assert browser.get("/sso/okta/logout/acme").status == 200


@pytest.mark.parametrize("line", ["Require ip 10.9.8.7", "Require all denied",
                                  "<RequireAll>\nRequire valid-user\nRequire ip 10.9.8.7\n</RequireAll>"])
def test_own_urls_honour_require_ip(httpd, line):
    server = httpd(OWN_URLS % line, metadata=False)
    server.expect(r"AH01630: client denied by server configuration", "OKS0056: .* the whole configuration has no Require valid-user")
    for path in ("/sso/okta/metadata/acme", "/sso/okta/session", "/sso/okta/login/acme"):
        assert server.browser().get(path).status == 403
    assert server.browser().post("/sso/okta/acs/acme", {"SAMLResponse": "x"}).status == 403


@pytest.mark.parametrize("line, mend", [
    ("Require okta-group", "one name or more"), ("Require okta-org", "one name or more"),
    ("Require okta-role", "one name or more"), ("Require okta-attribute department", "a field and one value or more")])
def test_incomplete_lines_are_told_at_configtest(httpd, line, mend):
    server = httpd(OWN_URLS % line, start=False, metadata=False)
    ok, said = server.configtest()
    assert not ok and mend in said and f"{server.file}" in said


@pytest.mark.parametrize("line, mend", [
    ("Require okta-org acmee", "Require okta-org acmee: there is no organization of that name"),
    ("Require okta-org acme globex", "Require okta-org globex: there is no organization"),
    ('Require okta-attribute departmnt "Engineering"', "Require okta-attribute departmnt: no organization has such a field")])
def test_names_that_nobody_has_are_told_at_configtest(httpd, line, mend):
    server = httpd(OWN_URLS % line, start=False, metadata=False)
    ok, said = server.configtest()
    assert not ok and "OKS0011" in said and mend in said and f"{server.file}:" in said


ROLES = "OktaSSOGroupDefaultRole editor\n<OktaSSOOrg acme>\nOktaSSORole admin Okta-Admins\n</OktaSSOOrg>\n"


def test_roles_that_nobody_gives_are_told_as_a_warning(httpd):
    server = httpd(ROLES + OWN_URLS % "Require okta-role admin Admn", start=False, metadata=False)
    ok, said = server.configtest()
    assert ok and said.count("OKS0058") == 1, said
    assert re.search(r"OKS0058: \S+/httpd\.conf:\d+: Require okta-role Admn: no organization gives such a role: is it misspelled, or OktaSSORole Admn GROUP missing\?", said)
    server.expect("OKS0058")
    server.start()
    harness.wait_until(lambda: "resuming normal operations" in server.log_since(0), "the start")
    assert server.log.read_text().count("OKS0058") == 1


@pytest.mark.parametrize("roles, line", [
    (ROLES, "Require okta-role admin editor member"), ("OktaSSODefaultRole guest\n", "Require not okta-role guest\nRequire okta-org acme"),
    ('OktaSSOOrgDir "{dir}/htdocs"\n', "Require okta-role tomorrow")])
def test_roles_that_somebody_gives_are_not(httpd, roles, line):
    ok, said = httpd(roles + OWN_URLS % f"<RequireAll>\n{line}\n</RequireAll>", start=False, metadata=False).configtest()
    assert ok and "OKS0058" not in said, said


@pytest.mark.parametrize("line", ["Require okta-org acme", "Require okta-attribute email x@acme.example", "Require okta-attribute team blue"])
def test_names_that_somebody_has_are_not(httpd, line):
    server = httpd(OWN_URLS % line + "<OktaSSOOrg acme>\nOktaSSOAttribute team team\n</OktaSSOOrg>\n", start=False, metadata=False)
    assert server.configtest()[0]


def test_names_are_not_judged_where_organizations_have_files(httpd):
    """They may come at any time."""
    server = httpd('OktaSSOOrgDir "{dir}/orgs"\n' + OWN_URLS % "Require okta-org tomorrow", start=False, metadata=False)
    (server.dir / "orgs").mkdir()
    assert server.configtest()[0]


def test_auth_type_without_an_organization(httpd):
    server = httpd('OktaSSOIdPMetadata "{okta}"\n<OktaSSOOrg acme>\n</OktaSSOOrg>\n'
                   '<Location "/">\nAuthType OktaSSO\nRequire valid-user\n</Location>')
    server.expect(r"httpd\.org\.unset: AuthType OktaSSO without OktaSSOOrg NAME at /")
    answer = server.browser().get("/")
    assert (answer.status, answer.reason) == (500, "httpd.org.unset")
