"""What a Location demands of a login: asked for, checked in the answer, checked at each request, and never a loop."""

import urllib.parse

import pytest
from harness import post_fields, saml

PASSWORD = saml.PASSWORD_TRANSPORT
STRONG, PHISHING_RESISTANT = "urn:okta:loa:2fa:any", "phr"
MINUTE, HOUR = 60, 3600

CONF = f"""
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{{okta}}"
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
<Location "/force">
    OktaSSOForceAuthn On
</Location>
<Location "/strong">
    OktaSSOAuthnContext {STRONG} {PHISHING_RESISTANT}
</Location>
<Location "/strong/inner">
    OktaSSOMaxAuthnAge 10m
</Location>
<Location "/strong/free">
    OktaSSOAuthnContext none
</Location>
<Location "/fresh">
    OktaSSOMaxAuthnAge 30m
</Location>
<Location "/optional">
    OktaSSOAuthnContext {STRONG}
    OktaSSOUnauthorized pass
</Location>
<Location "/never">
    OktaSSOMaxAuthnAge 30m
    OktaSSOUnauthorized 401
</Location>
ProxyPass "/" "http://127.0.0.1:{{backend}}/"
"""


def asked(site, location):
    """What the AuthnRequest asks for: (ForceAuthn, contexts, NameIDPolicy)."""
    request, _ = saml.request_of_location(location)
    return request.force_authn, request.authn_contexts, request.name_id_policy


def answer(site, browser, location, **fields):
    return browser.post("/sso/okta/acs/acme", post_fields(site.okta.answer(location, user="amelia.earhart@acme.example", **fields)))


def status(browser, path):
    return browser.get(f"{path}/headers.json").status


# ---- Asking ----

@pytest.mark.parametrize("path,wanted", [
    ("/", (False, [], None)), ("/force/x", (True, [], None)), ("/strong/x", (False, [STRONG, PHISHING_RESISTANT], None)),
    ("/fresh/x", (False, [], None)), ("/strong/inner/x", (False, [STRONG, PHISHING_RESISTANT], None)), ("/strong/free/x", (False, [], None)),
])
def test_a_login_asks_for_what_its_location_demands_and_for_nothing_else(site, path, wanted):
    assert asked(site, site.start_login(site.browser(), path)) == wanted


def test_what_was_asked_for_and_came_signs_in(site):
    for path, fields in (("/force/x", {}), ("/strong/x", {"authn_context": PHISHING_RESISTANT}), ("/fresh/x", {"authn_age": 25 * MINUTE})):
        browser, done = site.login(path=path, **fields)
        assert (done.status, done["Location"]) == (303, path)
        assert status(browser, path[:-2]) == 200


# ---- An answer that is not what was asked for: a page, no session, no loop ----

@pytest.mark.parametrize("path,fields,reason", [
    ("/strong/x", {}, "flow.authn.insufficient"),
    ("/strong/x", {"authn_context": STRONG.upper()}, "flow.authn.insufficient"),
    ("/strong/x", {"authn_context": STRONG + "x"}, "flow.authn.insufficient"),
    ("/strong/x", {"edit_assertion": [["<saml2:AuthnContextClassRef>" + PASSWORD + "</saml2:AuthnContextClassRef>", ""]]}, "flow.authn.insufficient"),
    ("/force/x", {"authn_age": 10 * MINUTE}, "flow.authn.too_old"),
    ("/force/x", {"authn_age": -10 * MINUTE}, "flow.authn.too_old"),
    ("/force/x", {"edit_assertion": [["AuthnInstant=", "SessionInstant="]]}, "flow.authn.too_old"),
])
def test_an_answer_that_does_not_meet_the_demand_is_refused(site, path, fields, reason):
    site.expect(reason)
    browser, done = site.login(path=path, **fields)
    assert (done.status, done.reason) == (403, reason)
    assert not browser.session_cookie()
    assert f'href="{path}"' in done.text  # where the visitor wanted to go: that asks again
    assert asked(site, site.start_login(browser, path))


def test_an_old_session_at_okta_is_asked_again_once_with_force(site):
    site.expect("flow.authn.too_old")
    browser = site.browser()
    location = site.start_login(browser, "/fresh/x")
    assert not asked(site, location)[0]
    again = answer(site, browser, location, authn_age=2 * HOUR)
    assert again.status == 303 and asked(site, again["Location"])[0] and not browser.session_cookie()
    refused = answer(site, browser, again["Location"], authn_age=2 * HOUR)
    assert (refused.status, refused.reason) == (403, "flow.authn.too_old")
    done = answer(site, browser, again["Location"])
    assert (done.status, done["Location"]) == (303, "/fresh/x") and status(browser, "/fresh") == 200


# ---- Stepping up ----

def test_a_weak_session_is_sent_to_okta_once_more(site):
    browser, _ = site.login()
    weak = browser.session_cookie()
    assert status(browser, "") == 200
    location = site.start_login(browser, "/strong/x")
    assert asked(site, location) == (False, [STRONG, PHISHING_RESISTANT], None)
    assert answer(site, browser, location, authn_context=STRONG)["Location"] == "/strong/x"
    assert browser.session_cookie() != weak
    assert status(browser, "/strong") == 200 and status(browser, "") == 200
    assert "reason=flow.authn.weak" not in "".join(line for line in site.verdicts() if "status=200" in line)


def test_a_refused_step_up_leaves_the_session_that_was_there(site):
    site.expect("flow.authn.insufficient")
    browser, _ = site.login()
    before = browser.session_cookie()
    assert answer(site, browser, site.start_login(browser, "/strong/x")).reason == "flow.authn.insufficient"
    assert browser.session_cookie() == before and status(browser, "") == 200 and status(browser, "/strong") == 303


def test_an_old_login_is_asked_for_again_with_force(site):
    browser, _ = site.login(authn_age=HOUR)
    assert status(browser, "") == 200
    location = site.start_login(browser, "/fresh/x")
    assert asked(site, location)[0]
    assert answer(site, browser, location)["Location"] == "/fresh/x"
    assert status(browser, "/fresh") == 200


def test_the_tolerance_counts(site):
    browser, _ = site.login(authn_age=31 * MINUTE)  # 30 minutes, and two of OktaSSOClockSkew
    assert status(browser, "/fresh") == 200
    browser, _ = site.login(authn_age=33 * MINUTE)
    assert status(browser, "/fresh") == 303


def test_a_login_of_the_future_never_counts_as_fresh(site):
    browser, _ = site.login(authn_age=-HOUR)
    assert status(browser, "") == 200 and status(browser, "/fresh") == 303


def test_force_starts_logins_and_forces_no_request(site):
    browser, _ = site.login(authn_age=HOUR)
    assert status(browser, "/force") == 200


def test_nested_locations_demand_both(site):
    browser, _ = site.login(authn_context=STRONG, authn_age=20 * MINUTE)
    assert status(browser, "/strong") == 200 and status(browser, "/strong/inner") == 303
    location = site.start_login(browser, "/strong/inner/x")
    assert asked(site, location) == (True, [STRONG, PHISHING_RESISTANT], None)
    assert answer(site, browser, location, authn_context=STRONG).status == 303 and status(browser, "/strong/inner") == 200


def test_an_inner_location_lifts_the_demand(site):
    browser, _ = site.login()
    assert status(browser, "/strong/free") == 200 and status(browser, "/strong") == 303


# ---- Programs, and optional sign-in ----

@pytest.mark.parametrize("path,fields,reason", [("/strong/api", {}, "flow.authn.weak"), ("/fresh/api", {"authn_age": HOUR}, "flow.authn.stale")])
def test_a_program_gets_401_and_where_to_step_up(site, path, fields, reason):
    browser, _ = site.login(**fields)
    refused = browser.get(path, navigate=False)
    assert (refused.status, refused.reason) == (401, reason)
    assert refused["WWW-Authenticate"] == 'OktaSSO realm="acme"'
    url = urllib.parse.urlsplit(refused.json()["login_url"])
    started = browser.get(f"{url.path}?{url.query}")
    assert started.status == 303
    assert asked(site, started["Location"]) == (path == "/fresh/api", [STRONG, PHISHING_RESISTANT] if path == "/strong/api" else [], None)
    assert answer(site, browser, started["Location"], authn_context=STRONG)["Location"] == path
    assert browser.get(path.replace("api", "headers.json"), navigate=False).status == 200
    assert browser.get(f"{url.path}?{url.query}")["Location"] == path  # met already: no login


def test_where_nobody_is_redirected_the_page_links_to_the_step_up(site):
    browser, _ = site.login(authn_age=HOUR)
    page = browser.get("/never/x")
    assert (page.status, page.reason) == (401, "flow.authn.stale") and "&amp;demand=" in page.text


@pytest.mark.parametrize("demand", ["x", "AAAA" * 20])
def test_a_demand_that_is_not_ours_is_none(site, demand):
    started = site.browser().get(f"/sso/okta/login/acme?return=/x&demand={demand}")
    assert started.status == 303 and asked(site, started["Location"]) == (False, [], None)


def test_optional_sign_in_goes_on_without_a_login_that_is_too_weak(site):
    browser, _ = site.login()
    answer_of = browser.get("/optional/headers.json")
    assert answer_of.status == 200 and "amelia" not in answer_of.text
    browser, _ = site.login(authn_context=STRONG)
    assert "amelia" in browser.get("/optional/headers.json").text


def test_a_restarted_login_keeps_the_demand(site):
    site.expect("saml.in_response_to.mismatch")
    browser = site.browser()
    first, second = site.start_login(browser, "/strong/x"), site.start_login(browser, "/strong/x")
    mixed = {**post_fields(site.okta.answer(first, user="amelia.earhart@acme.example")), "RelayState": saml.request_of_location(second)[1]}
    restart = browser.post("/sso/okta/acs/acme", mixed)
    assert restart.status == 303 and "again=1" in restart["Location"] and "&demand=" in restart["Location"]
    url = urllib.parse.urlsplit(restart["Location"])
    assert asked(site, browser.get(f"{url.path}?{url.query}")["Location"])[1] == [STRONG, PHISHING_RESISTANT]


def test_an_ordinary_login_does_not_open_the_location(site):
    """A RelayState of another Location, or none at all, gets nobody past the demand."""
    browser = site.browser()
    weak = site.start_login(browser, "/x")
    assert answer(site, browser, weak).status == 303
    assert status(browser, "/strong") == 303 and browser.get("/strong/x", navigate=False).reason == "flow.authn.weak"


# ---- As settings of an organization ----

def test_an_organization_demands_it_everywhere(httpd):
    server = httpd(f'<OktaSSOOrg acme>\nOktaSSOIdPMetadata "{{okta}}"\nOktaSSOForceAuthn On\nOktaSSOMaxAuthnAge 1h\n'
                   f'OktaSSOAuthnContext {STRONG}\nOktaSSONameIDFormat {saml.UNSPECIFIED}\n</OktaSSOOrg>\n'
                   '<Location "/">\nAuthType OktaSSO\nOktaSSOOrg acme\nRequire valid-user\n</Location>\n'
                   '<Location "/plain">\nOktaSSOForceAuthn Off\nOktaSSOMaxAuthnAge none\nOktaSSOAuthnContext none\n</Location>\n'
                   'ProxyPass "/" "http://127.0.0.1:{backend}/"\n')
    for path, wanted in (("/", (True, [STRONG], saml.UNSPECIFIED)), ("/sso/okta/login/acme?return=/", (True, [STRONG], saml.UNSPECIFIED)),
                         ("/plain/", (False, [], saml.UNSPECIFIED))):
        assert asked(server, server.start_login(server.browser(), path)) == wanted
    browser, _ = server.login(path="/plain/")
    assert status(browser, "/plain") == 200 and status(browser, "") == 303


def test_no_demand_is_sent_that_nobody_wrote(httpd):
    server = httpd()
    assert asked(server, server.start_login(server.browser())) == (False, [], None)


WRONG = {
    "OktaSSOForceAuthn": ("OktaSSOForceAuthn always\n", "OktaSSOForceAuthn must be On or Off"),
    "OktaSSOAuthnContext": ("OktaSSOAuthnContext\n", "takes one authentication context or more"),
    "OktaSSOAuthnContext blank": ('OktaSSOAuthnContext "a b"\n', "is no URI"),
    "OktaSSOAuthnContext many": ("OktaSSOAuthnContext a b c d e f g h i\n", "more than 8 contexts"),
    "OktaSSOAuthnContext long": ("OktaSSOAuthnContext urn:" + 600 * "x" + "\n", "or 512 bytes"),
    "OktaSSOMaxAuthnAge": ("OktaSSOMaxAuthnAge 30\n", "write a whole number and a unit"),
    "OktaSSOMaxAuthnAge short": ("OktaSSOMaxAuthnAge 5s\n", "at least 1m"),
    "OktaSSONameIDFormat": ("OktaSSONameIDFormat email\n", "takes a URI"),
    "OktaSSOForceAuthn twice": ('<Location "/a">\nOktaSSOForceAuthn On\nOktaSSOForceAuthn Off\n</Location>\n', "keep one of them"),
}


@pytest.mark.parametrize("case", WRONG)
def test_configtest_tells_what_is_wrong(httpd, case):
    conf, wanted = WRONG[case]
    server = httpd(conf, start=False)
    ok, said = server.configtest()
    assert not ok and wanted in said, said
