"""Bad input at every door: a clear answer with a reason, bounded work, and nothing changed. Issue 2, last list."""

import base64
import re
import sqlite3
import string
import urllib.parse

import pytest

import harness
from conftest import GUARDED
from harness import post_fields, wait_until

AMELIA = "amelia.earhart@acme.example"
FORM = "application/x-www-form-urlencoded"
ACS = "/sso/okta/acs/acme"
CONF = """
OktaSSOIdPMetadata "{okta}"
<OktaSSOOrg globex>
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
<Location "/globex">
    OktaSSOOrg globex
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""


def rows(server):
    """How much the directory holds."""
    with sqlite3.connect(f"file:{server.state}/directory.db?mode=ro", uri=True, timeout=10) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in tables}


@pytest.fixture
def unchanged(site):
    before = rows(site)
    yield
    assert rows(site) == before


# ---- Forms ----

@pytest.mark.parametrize("path, wrong, allow", [
    (ACS, ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PROPFIND"], {"POST"}),
    ("/sso/okta/login/acme", ["PUT", "DELETE", "OPTIONS"], {"GET", "HEAD", "POST"}),
    ("/sso/okta/logout/acme", ["PUT", "PATCH"], {"GET", "HEAD", "POST"}),
    ("/sso/okta/metadata/acme", ["POST", "PUT"], {"GET", "HEAD"}),
    ("/sso/okta/session", ["POST", "DELETE"], {"GET", "HEAD"})])
def test_wrong_method(site, unchanged, path, wrong, allow):
    for method in wrong:
        answer = site.browser().request(method, path, body="" if method == "POST" else None)
        assert answer.status == 405, method
        assert set(re.split(r", *", answer["Allow"])) == allow
        if method != "HEAD":
            assert answer.reason == "flow.method.refused"


@pytest.mark.parametrize("body, headers, status, reason", [
    (None, {"Content-Type": FORM, "Content-Length": "0"}, 400, "flow.parameter.missing"),
    ("", {"Content-Type": FORM}, 400, "flow.parameter.missing"),
    ("", {}, 415, "flow.body.type"),
    ("SAMLResponse=x", {}, 415, "flow.body.type"),
    ("SAMLResponse=x", {"Content-Type": ""}, 415, "flow.body.type"),
    ("SAMLResponse=x", {"Content-Type": "text/plain"}, 415, "flow.body.type"),
    ("SAMLResponse=x", {"Content-Type": "multipart/form-data; boundary=b"}, 415, "flow.body.type"),
    ("SAMLResponse=x", {"Content-Type": FORM + "x"}, 415, "flow.body.type"),
    ("RelayState=x", {"Content-Type": FORM}, 400, "flow.parameter.missing"),
    ("SAMLResponse=", {"Content-Type": FORM}, 400, "flow.parameter.missing"),
    ("SAMLResponse=x&SAMLResponse=y", {"Content-Type": FORM}, 400, "base.form.repeated"),
    ("SAMLResponse=x&RelayState=a&RelayState=b", {"Content-Type": FORM}, 400, "base.form.repeated"),
    ("SAMLResponse=x&%53AMLResponse=y", {"Content-Type": FORM}, 400, "base.form.repeated"),
    ("SAMLResponse=%", {"Content-Type": FORM}, 400, "base.form.malformed"),
    ("SAMLResponse=%zz", {"Content-Type": FORM}, 400, "base.form.malformed"),
    ("&".join(f"p{i}=1" for i in range(2000)), {"Content-Type": FORM}, 400, "base.form.too_many"),
    ("SAMLResponse=!!!!", {"Content-Type": FORM}, 400, "base.base64.malformed"),
    ("SAMLResponse=abcde", {"Content-Type": FORM}, 400, "base.base64.malformed"),
    ("SAMLResponse=" + "A" * 600_000, {"Content-Type": FORM}, 413, "flow.body.too_large"),
])
def test_bad_forms(site, unchanged, body, headers, status, reason):
    site.expect(r"OKS0001: refused .*reason=(saml|base)")
    answer = site.browser().post(ACS, body, headers=headers)
    assert (answer.status, answer.reason) == (status, reason)
    assert not answer["Location"]


def test_content_type_with_a_charset(site, unchanged):
    answer = site.browser().post(ACS, "RelayState=x", headers={"Content-Type": FORM.upper() + "; charset=UTF-8"})
    assert answer.reason == "flow.parameter.missing"


@pytest.mark.parametrize("document, reason", [
    (b"", "flow.parameter.missing"), (b"\x00", "xml."), (b"no xml", "xml."), (b"<a>", "xml.document.malformed"),
    (b"<a/>", "saml.response"), (b"\xff\xfe<\x00a\x00/\x00>\x00", "xml."),
    (b'<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>', "xml.dtd.refused"),
    (b'<?xml version="1.0" encoding="ISO-8859-1"?><a/>', "xml.encoding.refused"),
    (b"<a>" * 5000 + b"</a>" * 5000, "xml.document.too_deep"),
    (b"<a " + b" ".join(b'x%d=""' % i for i in range(20000)) + b"/>", "xml."),
    (b"<a>" + b"<b/>" * 60000 + b"</a>", "xml.document.too_large"),
])
def test_bad_documents(site, unchanged, document, reason):
    site.expect(r"OKS0001: refused .*reason=(xml|saml)\.")
    answer = site.browser().post(ACS, {"SAMLResponse": base64.b64encode(document).decode()})
    assert answer.status in (400, 403, 413) and answer.reason.startswith(reason), answer.reason


def test_no_signature_takes_long_to_be_looked_at(site, unchanged):
    """Canonicalization looks each prefix of a PrefixList up among all namespaces that are declared, at each element."""
    names = [a + b for a in string.ascii_letters for b in string.ascii_letters]
    declared = "".join(f' xmlns:{name}="a:"' for name in names[:1000])
    prefixes = " ".join(string.ascii_letters) + " " + " ".join(f"_{c}" for c in string.ascii_letters)[:150]
    transform = '<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>' \
                '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"><i:InclusiveNamespaces ' \
                f'xmlns:i="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="{prefixes}"/></ds:Transform>'
    document = '<p:Response xmlns:p="urn:oasis:names:tc:SAML:2.0:protocol" ID="x" Version="2.0"><p:Status>' \
               '<p:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></p:Status>' \
               '<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>' \
               '<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>' \
               '<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/><ds:Reference URI="#x">' \
               f'<ds:Transforms>{transform}</ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/>' \
               '<ds:DigestValue>AAAA</ds:DigestValue></ds:Reference></ds:SignedInfo><ds:SignatureValue>AAAA</ds:SignatureValue>' \
               f'</ds:Signature><p:Extensions>{f"<a{declared}>" * 10}{"<a/>" * 9000}{"</a>" * 10}</p:Extensions>' \
               '<s:Assertion xmlns:s="urn:oasis:names:tc:SAML:2.0:assertion" ID="y"/></p:Response>'
    site.expect(r"OKS0001: refused .*reason=xml\.")
    answer = site.browser().post(ACS, {"SAMLResponse": base64.b64encode(document.encode()).decode()})
    assert answer.reason == "xml.document.too_large", "not xml.signature.invalid, after half a minute"


def test_ten_megabytes(site, unchanged):
    site.expect("AH00524|AH01382|AH02004|AH00569")
    for headers, body in [({"Content-Type": FORM}, b"SAMLResponse=" + b"A" * 10_000_000),
                          ({"Content-Type": FORM, "Content-Length": "10000000000"}, b"SAMLResponse=")]:
        browser = site.browser()
        try:
            answer = browser.post(ACS, body, headers=headers)
        except (BrokenPipeError, ConnectionResetError):
            continue                     # answered, and closed, before we had sent it all
        assert (answer.status, answer.reason) == (413, "flow.body.too_large")
    chunks = b"".join(b"%x\r\n%s\r\n" % (65536, b"A" * 65536) for _ in range(160)) + b"0\r\n\r\n"
    try:
        answer = site.browser().post(ACS, chunks, headers={"Content-Type": FORM, "Transfer-Encoding": "chunked"})
        assert (answer.status, answer.reason) == (413, "flow.body.too_large")
    except (BrokenPipeError, ConnectionResetError):
        pass
    assert site.browser().get("/sso/okta/metadata/acme").status == 200
    wait_until(lambda: "flow.body.too_large" in site.verdicts()[-2], "the verdict")


# ---- Responses that misbehave ----

EXACT = {
    "unsigned": "saml.response.unsigned",
    "response-signature-broken": "xml.signature.invalid", "assertion-signature-broken": "xml.signature.invalid",
    "signatures-broken": "xml.signature.invalid", "digests-broken": "xml.signature.invalid",
    "sha1": "xml.signature.algorithm", "hmac": "xml.signature.algorithm",
    "future": "saml.time.early", "other-audience": "saml.audience.mismatch", "other-recipient": "saml.recipient.mismatch",
    "other-destination": "saml.destination.mismatch", "other-issuer": "saml.issuer.mismatch",
    "status-error": "saml.status.not_success", "name-id-comment": "xml.comment.refused",
    # Restarted once; the cause stands in the log.
    "expired": "saml.time.expired", "no-in-response-to": "saml.response.unsolicited",
    "other-in-response-to": "saml.in_response_to.mismatch",
    # These are good enough: one signature is enough, and the NameID is an email.
    "response-unsigned": None, "assertion-unsigned": None, "no-attributes": None,
}
RESTARTED = {"expired", "no-in-response-to", "other-in-response-to"}


def test_every_preset_has_its_reason():
    assert set(EXACT) == set(harness.saml.PRESETS)


@pytest.mark.parametrize("preset", EXACT)
def test_misbehaviour(site, preset):
    reason = EXACT[preset]
    site.expect(rf"OKS0001: .*reason={reason}")
    before = rows(site)
    browser, answer = site.login(user=AMELIA, preset=preset)
    if reason is None:
        assert answer.status == 303 and browser.session_cookie()
        return
    assert not browser.session_cookie() and browser.get("/").status == 303
    verdict = next(line for line in reversed(site.verdicts()) if "login.start" not in line)
    assert f"reason={reason}" in verdict
    assert rows(site) == before, "nothing has changed"
    if preset in RESTARTED:
        assert answer.status == 303 and "/sso/okta/login/acme" in answer["Location"]
    else:
        assert (answer.status, answer.reason) == (403 if reason != "xml.comment.refused" else 400, reason)


def test_a_signature_of_another_key(site):
    site.expect(r"reason=xml\.signature\.invalid")
    browser, answer = site.login(key="wrong")
    assert (answer.status, answer.reason) == (403, "xml.signature.invalid")


# ---- Where to return to ----

@pytest.mark.parametrize("value", [
    "https://evil.example/", "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/%5Cevil.example",
    "/\t/evil.example", "/\n/evil.example", "\t//evil.example", " //evil.example", "javascript:alert(1)", "data:text/html,x",
    "http:evil.example", "https:/evil.example", "evil.example", "@evil.example", "/%09/evil.example", "/.//evil.example",
    "/..//evil.example", "/a/..//evil.example", "/a/../..//evil.example", "/%2e%2e//evil.example", "/%2F/evil.example",
    "/%2Fevil.example", "/\u0000", "/x\r\nSet-Cookie: a=b", "/x%0d%0aSet-Cookie:%20a=b", "?//evil.example", "#//evil.example",
    "//evil.example@127.0.0.1", "/;//evil.example", "\u2215\u2215evil.example", "/\u2028/evil.example", "/\x7f/evil.example",
    "http://127.0.0.1/", "/" + "a" * 20000])
def test_return_never_leaves(site, unchanged, value):
    """Refused, or a path of this site: judged as a browser would resolve it, after a whole login."""
    browser, _ = visitor_with_session(site)
    for path in ("/sso/okta/login/acme", "/sso/okta/logout/acme"):
        answer = site.browser().get(f"{path}?return=x" if len(value) > 7000 else path + "?return=" + urllib.parse.quote(value, safe=""))
        if answer.status in (303, 302):
            assert answer["Location"].startswith(site.okta.url) or stays(answer["Location"]), answer["Location"]
        else:
            assert (answer.status, answer.reason) == (400, "base.form.malformed" if "\0" in value else "base.return.refused")
    answer = browser.get("/sso/okta/login/acme?return=" + urllib.parse.quote(value[:4000], safe=""))
    assert answer.status == 400 or stays(answer["Location"])
    assert not answer.all("Set-Cookie")


def stays(location):
    """Browsers drop tab and newline, and take a backslash for a slash."""
    seen = re.sub(r"[\t\r\n]", "", location).replace("\\", "/").strip()
    return re.fullmatch(r"/(?!/)[\x21-\x7e]*", seen) and urllib.parse.urljoin("http://here.example/", seen).startswith(
        "http://here.example/")


_session = {}


def visitor_with_session(site):
    if site.port not in _session:
        browser, _ = site.login()
        _session[site.port] = browser.cookies
    browser = site.browser()
    browser.cookies = dict(_session[site.port])
    return browser, None


@pytest.fixture(autouse=True, scope="module")
def signed_in_first(shared):
    """So that a test that counts rows does not see this login."""
    visitor_with_session(shared)


def test_a_repeated_return_is_refused(site, unchanged):
    answer = site.browser().get("/sso/okta/login/acme?return=/a&return=/b")
    assert (answer.status, answer.reason) == (400, "base.form.repeated")


def test_an_odd_path_that_was_asked_for_cannot_redirect_elsewhere(site):
    for path in ("//evil.example/x", "/\\evil.example", "/%5c%5cevil.example", "///evil.example"):
        browser = site.browser()
        answer = browser.get(path)
        if answer.status != 303:
            continue
        done = browser.post(ACS, post_fields(site.okta.answer(answer["Location"], user=AMELIA)))
        assert done.status == 303 and stays(done["Location"]), (path, done["Location"])


# ---- Cookies and states ----

@pytest.mark.parametrize("cookie", [
    "", ";", "=", ";;;;", "oktasso-session-acme", "oktasso-session-acme=", "oktasso-session-acme=;", "oktasso-session-acme==",
    "oktasso-session-acme=" + "A" * 150, "oktasso-session-acme=" + "A" * 7000, "oktasso-session-acme=%00%00",
    "oktasso-session-acme=\"quoted\"", "oktasso-session-acme=\u00e4", " = ; oktasso-session-acme=x", "oktasso-session-acme=a=b=c",
    "oktasso-session-=x", "oktasso-session-../../acme=x", "oktasso-binding=x", "; ".join(["oktasso-session-acme=x"] * 300),
    "; ".join(f"c{i}={i}" for i in range(600))])
def test_garbage_cookies_are_no_session(site, unchanged, cookie):
    answer = site.browser().get("/", headers={"Cookie": cookie.encode("latin-1").decode("latin-1")})
    assert answer.status == 303
    assert site.browser().get("/sso/okta/session", headers={"Cookie": cookie}).status in (401, 404)


def test_every_changed_character_of_the_session_cookie(site, unchanged):
    browser, _ = visitor_with_session(site)
    good = browser.session_cookie()
    for i in range(0, len(good), 5):
        changed = good[:i] + ("A" if good[i] != "A" else "B") + good[i + 1:]
        assert site.browser().get("/", headers={"Cookie": f"oktasso-session-acme={changed}"}).status == 303, i
    for shorter in (good[:-1], good[1:], good + "A", good + "=", good.upper()):
        assert site.browser().get("/", headers={"Cookie": f"oktasso-session-acme={shorter}"}).status == 303


def test_a_duplicated_session_cookie_is_at_most_its_owner(site, unchanged):
    browser, _ = visitor_with_session(site)
    good = browser.session_cookie()
    for cookie in (f"oktasso-session-acme=bad; oktasso-session-acme={good}", f"oktasso-session-acme={good}; oktasso-session-acme=bad",
                   f"oktasso-session-acme={good}; oktasso-session-acme={good}"):
        answer = site.browser().get("/headers.json", headers={"Cookie": cookie})
        assert answer.status in (200, 303)
        if answer.status == 200:
            assert dict(answer.json())["X-Remote-User"] == AMELIA and "oktasso" not in answer.text


def test_the_cookie_of_one_organization_opens_no_other(site, unchanged):
    browser, _ = visitor_with_session(site)
    assert browser.get("/").status == 200
    good = browser.session_cookie()
    assert browser.get("/globex/").status == 303
    assert site.browser().get("/globex/", headers={"Cookie": f"oktasso-session-globex={good}"}).status == 303


def test_a_response_for_one_organization_is_none_for_another(site, unchanged):
    site.expect(r"reason=(saml|flow|xml)\.")
    browser = site.browser()
    minted = site.okta.answer(site.start_login(browser), user=AMELIA)
    answer = browser.post("/sso/okta/acs/globex", post_fields(minted))
    assert not [name for name in browser.cookies if "session" in name]
    assert answer.status == 403 and answer.reason in ("saml.destination.mismatch", "saml.audience.mismatch")


def test_the_state_of_another_browser(site, unchanged):
    site.expect(r"reason=flow\.(state\.foreign|login\.loop)")
    mine, victim = site.browser(), site.browser()
    minted = site.okta.answer(site.start_login(mine), user=AMELIA)
    for browser in (victim, site.browser()):
        browser.get("/x")                # has a binding cookie of its own
        answer = browser.post(ACS, post_fields(minted))
        assert not browser.session_cookie() and answer.status in (303, 403)
        assert "flow.state.foreign" in site.verdicts()[-1]
    bare = site.browser()
    assert bare.post(ACS, post_fields(minted)).status in (303, 403) and not bare.session_cookie()


@pytest.mark.parametrize("relay_state", ["", "garbage", "A" * 200, "/path", "https://evil.example/"])
def test_a_solicited_response_without_its_state(site, unchanged, relay_state):
    site.expect(r"reason=(saml|flow)\.")
    browser = site.browser()
    minted = site.okta.answer(site.start_login(browser), user=AMELIA)
    answer = browser.post(ACS, {"SAMLResponse": minted["SAMLResponse"], "RelayState": relay_state})
    assert not browser.session_cookie() and answer.status in (303, 403)
    assert "evil" not in urllib.parse.unquote(answer["Location"] or "")


def test_a_thousand_half_made_logins_grow_nothing(site, unchanged):
    browser = site.browser()
    size = (site.state / "directory.db").stat().st_size
    for i in range(1000):
        assert browser.get(f"/page/{i}").status == 303
    assert len(browser.cookies) == 1
    assert (site.state / "directory.db").stat().st_size == size


# ---- Expiry ----

SHORT = """
OktaSSOIdPMetadata "{okta}"
<OktaSSOOrg acme>
    OktaSSOSession %s
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""


def test_idle_expiry(httpd):
    server = httpd(SHORT % "lifetime=1h idle=2s")
    browser, _ = server.login()
    copy = dict(browser.cookies)
    assert browser.get("/").status == 200

    def expired():
        idle = server.browser()
        idle.cookies = dict(copy)        # without the re-issued ticket, it grows old
        return idle.get("/", navigate=False).status == 401 and idle
    idle = wait_until(expired, "the idle deadline")
    assert idle.get("/", navigate=False).reason == "flow.session.expired"
    assert idle.get("/").status == 303


def test_sliding_re_issue(httpd):
    server = httpd(SHORT % "lifetime=1h idle=3s")
    browser, _ = server.login()
    first = browser.session_cookie()
    start = harness.time.monotonic()

    def slid():
        assert browser.get("/").status == 200
        return browser.session_cookie() != first and harness.time.monotonic() - start > 4
    wait_until(slid, "a new ticket, and longer than the idle time")
    copy = server.browser()
    copy.cookies["oktasso-session-acme"] = first
    assert copy.get("/").status == 303, "the first ticket alone has expired"


def test_absolute_expiry(httpd):
    server = httpd(SHORT % "lifetime=2s idle=2s")
    browser, _ = server.login()
    assert browser.get("/").status == 200
    wait_until(lambda: browser.get("/", navigate=False).status == 401, "the last deadline, in spite of use")


# ---- Virtual hosts ----

TWO_HOSTS = """
OktaSSOIdPMetadata "{okta}"
<OktaSSOOrg acme>
</OktaSSOOrg>
<VirtualHost *:{port}>
    ServerName http://127.0.0.1:{port}
    <OktaSSOOrg acme>
    </OktaSSOOrg>
    <Location "/">
        AuthType OktaSSO
        OktaSSOOrg acme
        Require valid-user
    </Location>
</VirtualHost>
<VirtualHost *:{port}>
    ServerName http://other.example:{port}
    <OktaSSOOrg acme>
    </OktaSSOOrg>
    <Location "/">
        AuthType OktaSSO
        OktaSSOOrg acme
        Require valid-user
    </Location>
</VirtualHost>
"""


# Nothing of ours stands in them: what they have is the main server's.
SILENT_HOSTS = GUARDED + """
<VirtualHost *:{port}>
    ServerName http://127.0.0.1:{port}
</VirtualHost>
<VirtualHost *:{port}>
    ServerName http://other.example:{port}
</VirtualHost>
"""


@pytest.mark.parametrize("conf", [TWO_HOSTS, SILENT_HOSTS], ids=["their own", "silent"])
def test_the_cookie_of_another_virtual_host(httpd, conf):
    server = httpd(conf)
    server.expect(r"OKS0057: visitors sign in at http://other\.example")
    browser, _ = server.login()
    assert browser.get("/").status == 200
    assert browser.get("/", headers={"Host": f"other.example:{server.port}"}).status == 303
