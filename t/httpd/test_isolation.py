"""What one organization has is worth nothing in another: issue 5, points 2 and 6. Both trust the same identity provider and key, and
the same people come."""

import re
import subprocess
import urllib.request

import pytest

import harness
from harness import post_fields

CONF = """
{outer}
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{dir}/idp.xml"
    OktaSSOSPEntityID urn:one:audience
    {acme}
</OktaSSOOrg>
<OktaSSOOrg globex>
    OktaSSOIdPMetadata "{dir}/idp.xml"
    OktaSSOSPEntityID urn:one:audience
    OktaSSORole boss Everyone
</OktaSSOOrg>
<Location "/acme">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
<Location "/globex">
    AuthType OktaSSO
    OktaSSOOrg globex
    Require valid-user
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""
ORGS = {"acme": "exkacme0standin0a697", "globex": "exkglobex0000000a697"}
AMELIA = "amelia.earhart@acme.example"


def started(httpd, okta, acme="", outer=""):
    server = httpd("", start=False)
    server.values.update(acme=acme, outer=outer)
    apps = [vars(harness.config.default_app(f"http://127.0.0.1:{server.port}/sso/okta/acs/{org}", audience="urn:one:audience", exk=exk,
                                            name=f"{org}_1", entity_id="http://www.okta.com/one")) for org, exk in ORGS.items()]
    okta.control(apps=apps)
    metadata = urllib.request.urlopen(okta.metadata_url(ORGS["acme"])).read()
    (server.dir / "idp.xml").write_bytes(metadata)
    server.configure(CONF)
    return server.start()


@pytest.fixture
def site(httpd, okta):
    return started(httpd, okta)


def answer_of(site, browser, org, **fields):
    """The identity provider's answer to a login of that organization, by acme's key."""
    location = site.start_login(browser, f"/{org}/headers.json")
    return post_fields(site.okta.mint(app=ORGS["acme"], user=AMELIA, in_response_to=request_id(location),
                                      acs=f"http://127.0.0.1:{site.port}/sso/okta/acs/{org}", **fields)
                       ) | {"RelayState": relay_state(location)}


def request_id(location):
    return harness.saml.request_of_location(location)[0].id


def relay_state(location):
    return harness.saml.request_of_location(location)[1]


def sign_in(site, browser, org):
    answer = browser.post(f"/sso/okta/acs/{org}", answer_of(site, browser, org))
    assert (answer.status, answer["Location"]) == (303, f"/{org}/headers.json"), (answer.reason, site.verdicts()[-1])


def seen(browser, org):
    answer = browser.get(f"/{org}/headers.json")
    return dict(answer.json()) if answer.status == 200 else None


def test_two_organizations_side_by_side_with_the_same_person(site):
    browser = site.browser()
    sign_in(site, browser, "acme")
    assert browser.get("/globex/headers.json").status == 303, "a session of acme opens nothing of globex"
    sign_in(site, browser, "globex")
    assert [seen(browser, org)["X-Remote-Org"] for org in ORGS] == list(ORGS)
    assert [seen(browser, org)["X-Remote-Role"] for org in ORGS] == ["member", "boss"]
    assert browser.get("/sso/okta/logout/globex").status == 200
    assert seen(browser, "acme") and not seen(browser, "globex")


def test_a_cookie_under_another_name_is_none(site):
    browser = site.browser()
    sign_in(site, browser, "acme")
    thief = site.browser()
    thief.cookies = {name.replace("-acme", "-globex"): value for name, value in browser.cookies.items()}
    assert thief.get("/globex/headers.json").status == 303


def test_a_response_of_one_is_refused_by_the_other(site):
    site.expect(r"saml\.(destination|recipient)\.mismatch")
    browser = site.browser()
    fields = answer_of(site, browser, "acme")
    answer = browser.post("/sso/okta/acs/globex", fields)
    assert answer.reason in ("saml.destination.mismatch", "saml.recipient.mismatch") and not browser.session_cookie("globex")


def test_a_relay_state_of_one_starts_nothing_in_the_other(site):
    """Signed for globex and by its identity provider, but with what acme's login left in the browser."""
    site.expect(r"saml\.in_response_to\.mismatch", r"flow\.state\.foreign", r"flow\.login\.loop")
    browser = site.browser()
    of_acme = answer_of(site, browser, "acme")
    of_globex = answer_of(site, browser, "globex")
    answer = browser.post("/sso/okta/acs/globex", {**of_globex, "RelayState": of_acme["RelayState"]})
    assert answer.status == 303 and not browser.session_cookie("globex")
    assert "login.restart" in site.verdicts()[-1]


def test_the_same_address_is_another_user_in_another_organization(site):
    browser = site.browser()
    for org in ORGS:
        sign_in(site, browser, org)
    database = site.state / "directory.db"

    def query(sql):
        return subprocess.run(["sqlite3", str(database), sql], check=True, capture_output=True, text=True).stdout.split()

    assert query("SELECT org FROM users ORDER BY org") == ["acme", "globex"]
    assert len(set(query("SELECT id FROM users"))) == 2
    query("UPDATE users SET active = 0 WHERE org = 'acme'")
    site.expect(r"directory\.user\.inactive")
    refused = site.browser()
    assert refused.post("/sso/okta/acs/acme", answer_of(site, refused, "acme")).reason == "directory.user.inactive"
    other = site.browser()
    sign_in(site, other, "globex")
    assert seen(other, "globex")["X-Remote-User"] == AMELIA


@pytest.mark.parametrize("mode", ["jit", "scim", "off"])
def test_who_creates_records(httpd, okta, mode):
    site = started(httpd, okta, f"OktaSSOProvisioning {mode}")
    browser = site.browser()
    answer = browser.post("/sso/okta/acs/acme", answer_of(site, browser, "acme"))
    if mode == "jit":
        assert answer.status == 303
    else:
        site.expect(r"directory\.user\.unknown")
        assert (answer.status, answer.reason) == (403, "directory.user.unknown") and not browser.session_cookie("acme")
    sign_in(site, site.browser(), "globex")


def test_records_that_are_there_stay_and_nobody_joins(httpd, okta):
    site = started(httpd, okta)
    sign_in(site, site.browser(), "acme")
    site.values["acme"] = "OktaSSOProvisioning off"
    site.configure(CONF)
    site.stop()
    site.start()
    sign_in(site, site.browser(), "acme")


def test_provisioning_merges_from_server_to_section(httpd, okta):
    site = started(httpd, okta, acme="OktaSSOProvisioning jit", outer="OktaSSOProvisioning off")
    sign_in(site, site.browser(), "acme")
    site.expect(r"directory\.user\.unknown")
    browser = site.browser()
    assert browser.post("/sso/okta/acs/globex", answer_of(site, browser, "globex")).reason == "directory.user.unknown", "inherited"


def test_provisioning_takes_one_of_three_words(httpd):
    good, said = httpd("<OktaSSOOrg acme>\nOktaSSOProvisioning maybe\n</OktaSSOOrg>\n", start=False).configtest()
    assert not good and "OktaSSOProvisioning takes jit, scim or off" in said


VHOSTS = """
<VirtualHost 127.0.0.1:1>
    ServerName one.example
    {one}
</VirtualHost>
<VirtualHost 127.0.0.1:2>
    ServerName two.example
    {two}
</VirtualHost>
"""
SECTION = '<OktaSSOOrg acme>\nOktaSSOIdPMetadata "https://%s/app/%s/sso/saml/metadata"\n</OktaSSOOrg>\n'


OIDC = '<OktaSSOOrg acme>\nOktaSSOIdPMetadata "%s"\nOktaSSOClientID x\nOktaSSOClientSecret y\n</OktaSSOOrg>\n'


def in_virtual_hosts(httpd, one, two):
    """What configtest says of the two; "files": a section of theirs as a file in an OktaSSOOrgDir."""
    server = httpd("", start=False)
    (server.dir / "link").symlink_to(server.dir / "one")
    for name, text in (("one", one), ("two", two)):
        if text.startswith("files "):
            (server.dir / name).mkdir()
            (server.dir / name / "acme.conf").write_text("\n".join(text.split("\n")[1:-2]))
            text = f'OktaSSOOrgDir "{server.dir}/{name}"'
        server.values[name] = text.replace("{dir}", str(server.dir))
    server.configure(VHOSTS)
    return server.configtest()


@pytest.mark.parametrize("one, two, good", [
    (SECTION % ("acme.okta.com", "exk1"), SECTION % ("ACME.okta.com", "exk2"), True),
    (SECTION % ("acme.okta.com", "exk1"), SECTION % ("acme-too.okta.com", "exk2"), False),
    (OIDC % "acme.okta.com", OIDC % "https://ACME.okta.com", True),
    (OIDC % "acme.okta.com", OIDC % "acme-too.okta.com", False),
    (OIDC % "acme.okta.com", SECTION % ("acme-too.okta.com", "exk2"), False)], ids=["same", "other", "domains-same", "domains-other", "mixed"])
def test_a_name_is_one_organization_in_all_virtual_hosts(httpd, one, two, good):
    ok, said = in_virtual_hosts(httpd, one, two)
    assert ok == good, said
    assert good or re.search(r"/httpd\.conf:\d+: the organization acme is at \S+ here and at \S+ in the virtual host \S+ \(\S+/httpd\.conf:\d+\): "
                             "they share one directory of users, in which a name is one organization's: take two names", said)


@pytest.mark.parametrize("one, two", [
    (SECTION % ("acme.okta.com", "exk1"), "files " + SECTION % ("acme.okta.com", "exk2")),
    ("files " + SECTION % ("acme.okta.com", "exk1"), SECTION % ("acme.okta.com", "exk2")),
    ("files " + SECTION % ("acme.okta.com", "exk1"), "files " + SECTION % ("acme.okta.com", "exk2"))], ids=["file-second", "file-first", "two-files"])
def test_a_file_has_no_name_of_another_virtual_host(httpd, one, two):
    """Whatever it says of its identity provider: its token for SCIM opens the users of that name."""
    ok, said = in_virtual_hosts(httpd, one, two)
    assert not ok and re.search(r"has an organization acme, too \(\S+/(httpd\.conf:\d+|(one|two)/acme\.conf)\): ", said), said
    assert "in which a name is one organization's: take two names" in said


@pytest.mark.parametrize("name", ["one//", "link"])
def test_one_directory_of_files_is_the_same_organizations_in_two_virtual_hosts(httpd, name):
    ok, said = in_virtual_hosts(httpd, "files " + SECTION % ("acme.okta.com", "exk1"), f'OktaSSOOrgDir "{{dir}}/{name}"')
    assert ok, said
