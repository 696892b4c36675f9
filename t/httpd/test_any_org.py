"""OktaSSOOrg *: a Location that any organization of the virtual host may enter."""

import urllib.parse

import harness
import pytest
from harness import post_fields

CONF = """
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOEmailDomain acme.example
</OktaSSOOrg>
<OktaSSOOrg globex>
    OktaSSOIdPMetadata "{okta}"
    OktaSSORole boss Everyone
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg *
    Require valid-user
</Location>
<Location "/globex">
    OktaSSOOrg globex
</Location>
<Location "/open">
    OktaSSOUnauthorized pass
</Location>
<Location "/named">
    Require okta-org acme
</Location>
<Location "/closed">
    AuthType None
    Require all granted
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""
AMELIA = "amelia.earhart@acme.example"


def path_of(site, answer):
    return answer["Location"].partition(str(site.port))[2]


def choose(site, browser, org, path="/headers.json"):
    """From the protected page by the sign-in page to the session of that organization."""
    app = harness.config.default_app(f"http://127.0.0.1:{site.port}/sso/okta/acs/{org}")
    site.okta.control(apps=[vars(app)])
    asked = browser.get("/sso/okta/login?return=" + path)
    assert asked.status == 200 and 'name="organization"' in asked.text
    to_login = browser.post("/sso/okta/login", {"organization": org, "return": path})
    to_okta = browser.get(path_of(site, to_login))
    if to_okta["Location"] == path:
        return  # signed in there before
    answer = browser.post(f"/sso/okta/acs/{org}", post_fields(site.okta.answer(
        to_okta["Location"], user=AMELIA, attributes={"email": [f"amelia@{org}.example"]})))
    assert (answer.status, answer["Location"]) == (303, path), answer.reason


def org_of(browser, path="/headers.json"):
    answer = browser.get(path)
    return dict(answer.json()).get("X-Remote-Org") if answer.status == 200 else answer.status


def test_who_has_no_session_is_asked_for_the_organization(site):
    browser = site.browser()
    answer = browser.get("/page?a=1")
    assert answer.status == 303
    assert answer["Location"] == f"http://127.0.0.1:{site.port}/sso/okta/login?return=" + urllib.parse.quote("/page?a=1", safe="")
    told = site.browser().get("/page", navigate=False)
    assert (told.status, told.reason) == (401, "flow.session.none") and "/sso/okta/login?return=" in told.json()["login_url"]
    assert told["WWW-Authenticate"] == 'OktaSSO realm=""'


def test_any_organization_enters_and_the_last_choice_counts(site):
    browser = site.browser()
    choose(site, browser, "acme")
    assert org_of(browser) == "acme" and org_of(browser, "/globex/headers.json") == 303
    choose(site, browser, "globex")
    assert org_of(browser) == "globex"
    assert org_of(browser, "/globex/headers.json") == "globex"
    choose(site, browser, "acme")
    assert org_of(browser) == "acme"
    browser.get("/sso/okta/logout/acme")
    assert org_of(browser) == "globex", "the session that is left"
    browser.get("/sso/okta/logout/globex")
    assert org_of(browser) == 303


def test_a_link_of_another_site_switches_nobody(site):
    browser = site.browser()
    choose(site, browser, "globex")
    choose(site, browser, "acme")
    link = "/sso/okta/login?organization=globex&return=/headers.json"
    assert "Continue" in browser.get(link, headers={"Sec-Fetch-Site": "cross-site"}).text
    assert org_of(browser) == "acme"
    assert browser.get(link, headers={"Sec-Fetch-Site": "same-origin"}).status == 303
    assert org_of(browser) == "globex"


def test_require_lines_judge_the_visitors_organization(site):
    site.expect("httpd.request.denied", "AH01631")
    browser = site.browser()
    choose(site, browser, "globex")
    answer = browser.get("/named/x")
    assert (answer.status, answer.reason) == (403, "httpd.request.denied") and "org=globex" in site.verdicts()[-1]


def test_optional_sign_in(site):
    browser = site.browser()
    assert org_of(browser, "/open/headers.json") is None
    choose(site, browser, "acme")
    assert org_of(browser, "/open/headers.json") == "acme"


@pytest.mark.parametrize("cookies", [{"oktasso-session-acme": "A" * 150}, {"oktasso-session-nosuch": "x"}, {"oktasso-session-": "x"},
                                     {"oktasso-org": "acme"}, {"oktasso-org": "*"}, {f"oktasso-session-a{i}": "x" for i in range(300)}])
def test_cookies_that_are_no_session(site, cookies):
    browser = site.browser()
    browser.cookies = cookies
    assert browser.get("/page").status == 303


def test_a_session_of_another_name_is_none(site):
    browser = site.browser()
    choose(site, browser, "acme")
    thief = site.browser()
    thief.cookies = {"oktasso-session-globex": browser.session_cookie("acme")}
    assert thief.get("/page").status == 303


def test_another_auth_type_is_no_way_around(httpd):
    server = httpd(CONF.replace("OktaSSORole boss", "OktaSSORequireSSO on\n    OktaSSOBreakGlass ops\n    OktaSSOLocalProvider file\n    OktaSSORole boss").replace(
        'AuthType None\n    Require all granted', 'AuthType Basic\n    AuthName x\n    AuthUserFile "{dir}/users"\n    AuthBasicProvider file'),
        start=False)
    (server.dir / "users").write_text("ann:{SHA}dEy5qfs9VYN0TqPs6bTYGdkL3uI=\n")
    server.expect(r"flow\.sso\.required", "OKS0059")
    server.start()
    answer = server.browser().get("/closed/x", headers={"Authorization": "Basic YW5uOmFubg=="})
    assert (answer.status, answer.reason) == (403, "flow.sso.required")


@pytest.mark.parametrize("conf, said", [
    ('<Location "/">\nOktaSSOOrg *\nOktaSSOIdPMetadata "https://acme.okta.com/m"\n</Location>', "needs OktaSSOOrg NAME in the same section"),
    ("OktaSSOOrg *\n", "belongs into a <Location>"),
    ("<OktaSSOOrg *>\n</OktaSSOOrg>", "is no organization name"),
])
def test_configtest(httpd, conf, said):
    good, text = httpd(conf, start=False).configtest()
    assert not good and said in text, text
