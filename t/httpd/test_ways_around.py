"""Ways around the guard that lead over other modules: own URLs, sub-requests, users that others put there, `*`."""

import http.client
import re
import ssl
import subprocess
import urllib.parse
import urllib.request

import harness
import pytest

LOCATION = """
<Location "{path}">
    AuthType OktaSSO
    OktaSSOOrg acme
    OktaSSOIdPMetadata "{dir}/idp.xml"
    Require valid-user
</Location>
"""
GUARD = LOCATION.replace("{path}", "/")
AMELIA = "amelia.earhart@acme.example"
PROXY = 'ProxyPass "/" "http://127.0.0.1:{backend}/"\n'


def serve(httpd, conf, first=False, **options):
    """`first`: our module is loaded before the others, not after them as README has it."""
    server = httpd(conf, start=False, **options)
    (server.dir / "idp.xml").write_bytes(urllib.request.urlopen(server.okta.metadata_url()).read())
    if first:
        ours = next(line for line in server.head.splitlines(True) if "oktasso_module" in line)
        rest = server.head.replace(ours, "")
        at = rest.index("LoadModule")
        server.head = rest[:at] + ours + rest[at:]
        server.configure(conf)
    return server


# ---- Our own URLs need no session; what becomes another URL does ----

ESCAPED = ["/sso/okta/..%2f..%2f{to}", "/sso/okta/x/..%2f..%2f..%2f{to}", "/sso/okta/%2e%2e%2f%2e%2e%2f{to}"]


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("url", ESCAPED)
def test_an_escaped_slash_leads_to_no_backend(httpd, url, first):
    browser = serve(httpd, "AllowEncodedSlashes On\n" + GUARD + PROXY, first).start().browser()
    answer = browser.get(url.format(to="headers.json"))
    assert answer.status == 303 and "SAMLRequest=" in answer["Location"], answer.text[:300]
    assert browser.get("/sso/okta/login/acme").status == 303, "own URLs are ours"


@pytest.mark.parametrize("first", [False, True])
def test_nor_under_another_auth_type(httpd, first):
    basic = '<Location "/basic">\nAuthType Basic\nAuthName x\nAuthUserFile "{dir}/none"\nRequire valid-user\n</Location>\n'
    conf = "AllowEncodedSlashes On\n" + LOCATION.replace("{path}", "/okta") + basic + PROXY
    browser = serve(httpd, conf, first).start().browser()
    assert browser.get("/sso/okta/..%2f..%2fbasic/headers.json").status == 401


@pytest.mark.parametrize("first", [False, True])
def test_nor_to_what_a_rewrite_rule_of_a_location_proxies(httpd, first):
    conf = ("AllowEncodedSlashes On\n" + GUARD +
            '<Location "/cgi">\nRewriteEngine On\nRewriteRule .* http://127.0.0.1:{backend}/headers.json [P]\n</Location>\n')
    browser = serve(httpd, conf, first).start().browser()
    assert browser.get("/sso/okta/..%2f..%2fcgi/x").status == 303


@pytest.mark.parametrize("first", [False, True])
def test_nor_to_a_dav_repository(httpd, first):
    conf = 'AllowEncodedSlashes On\nDavLockDB "{dir}/locks/lock"\n' + GUARD + '<Location "/dav">\nDAV On\n</Location>\n'
    server = serve(httpd, conf, first, modules=("dav", "dav_fs"))
    for folder in (server.dir / "locks", server.dir / "htdocs/dav"):
        folder.mkdir()
        folder.chmod(0o777)
    browser = server.start().browser()
    answer = browser.request("PUT", "/sso/okta/..%2f..%2fdav/new.txt", body="of nobody", navigate=False)
    assert answer.status == 401 and answer.reason == "flow.session.none"
    assert not list((server.dir / "htdocs/dav").iterdir())


@pytest.mark.parametrize("rule", ['RewriteRule "^" "/front.html" [L]', 'RewriteRule "^" "http://127.0.0.1:{backend}/headers.json" [P]',
                                  "SetHandler server-status", 'RewriteRule "^" "-" [H=server-status]'])
def test_a_rule_for_all_urls_does_not_serve_ours(httpd, rule):
    """A front controller, in a Location, with conditions that leave some of our URLs out."""
    rules = ('    RewriteEngine On\n    RewriteCond %{REQUEST_URI} !^/(sso/okta/(login|acs|metadata)|front)\n    ' if "Rewrite" in rule else "    ")
    server = serve(httpd, GUARD.replace("</Location>", rules + rule + "\n</Location>"), modules=("status",))
    (server.dir / "htdocs/front.html").write_text("the application\n")
    browser = server.start().browser()
    answer = browser.get("/sso/okta/nothing")
    assert answer.status == 404 and answer.reason == "flow.path.unknown", answer.text[:300]
    assert browser.get("/elsewhere").status == 303


# ---- A sub-request asks whether the visitor may; a challenge is a no ----

PARTS = """
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{dir}/idp.xml"
</OktaSSOOrg>
<LocationMatch "\\.html$|^/secret">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</LocationMatch>
<Directory "{dir}/htdocs">
    Options +Includes +MultiViews
    AddType text/html .shtml .html
    AddOutputFilter INCLUDES .shtml
    Require all granted
</Directory>
"""


@pytest.mark.parametrize("binding", ["Redirect", "POST"])
def test_sub_requests_of_nobody_get_nothing(httpd, okta, binding):
    server = serve(httpd, PARTS, modules=("negotiation",))
    metadata = urllib.request.urlopen(okta.metadata_url()).read().decode()
    other = {"Redirect": "POST", "POST": "Redirect"}[binding]
    (server.dir / "idp.xml").write_text(re.sub(rf"<[\w:]*SingleSignOnService[^>]*HTTP-{other}[^>]*/>", "", metadata))
    pages = server.dir / "htdocs"
    for folder in ("app", "secret"):
        (pages / folder).mkdir()
    for page in ("app/index.html", "neg.html", "secret/x.txt"):
        (pages / page).write_text("GUARDED\n")
    (pages / "public.shtml").write_text('public <!--#include virtual="/neg.html" --> <!--#include virtual="/secret/x.txt" -->\n')
    server.expect(r"AH00687", r"unable to include")
    browser = server.start().browser()
    for path in ("/app/", "/neg", "/public.shtml"):
        assert "GUARDED" not in browser.get(path).text, path
    assert browser.get("/app/").status == 401
    assert browser.get("/public.shtml").status == 200
    if binding == "POST":
        return
    server.login(browser=browser, path="/neg.html")
    for path in ("/app/", "/neg.html", "/public.shtml"):
        assert "GUARDED" in browser.get(path).text, path


# ---- Under our AuthType nobody else says who the visitor is ----

TLS = """
SSLEngine On
SSLCertificateFile "{dir}/s.crt"
SSLCertificateKeyFile "{dir}/s.key"
"""
CERTIFICATE = TLS + "SSLVerifyClient optional_no_ca\nSSLUserName SSL_CLIENT_S_DN_CN\n"
TOLD = "RequestHeader set X-Env-User expr=%{REMOTE_USER}"


def over_tls(httpd, conf, **options):
    """(server, get): `get` has a certificate of CN=admin that nobody verified."""
    server = serve(httpd, conf, **options)
    server.head = server.head.replace("ServerName http://", "ServerName https://")
    server.configure(conf)
    for name, subject in (("s", "127.0.0.1"), ("c", "admin")):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", server.dir / f"{name}.key", "-out",
                        server.dir / f"{name}.crt", "-subj", f"/CN={subject}", "-days", "2"], capture_output=True, check=True)
    server.expect(r"AH01906", r"AH01909")  # mod_ssl of a certificate for a test
    server.start()
    context = ssl._create_unverified_context()
    context.load_cert_chain(server.dir / "c.crt", server.dir / "c.key")

    def get(path, headers=None, method="GET", body=None):
        connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=context, timeout=10)
        connection.request(method, path, body, {**harness.NAVIGATION, **(headers or {})})
        answer = connection.getresponse()
        got = harness.Answer(answer.status, answer.getheaders(), answer.read())
        connection.close()
        return got
    return server, get


def guarded(*lines):
    location = LOCATION.replace("{path}", "/okta").replace("Require valid-user", "\n    ".join(["Require valid-user", *lines]))
    return CERTIFICATE + location + 'ProxyPass "/okta" "http://127.0.0.1:{backend}"\n'


def cookies_of(answer):
    return "; ".join(cookie.split(";")[0] for cookie in answer.all("Set-Cookie"))


def users(answer):
    assert answer.status == 200, answer.text[:300]
    return {name: value for name, value in answer.json() if name in ("X-Env-User", "X-Remote-User")}


def test_a_certificate_that_nobody_verified_names_nobody(httpd):
    _, get = over_tls(httpd, guarded())
    assert get("/okta/headers.json").status == 303


@pytest.mark.parametrize("first", [False, True])
def test_nor_beside_a_session_that_is_optional(httpd, first):
    server, get = over_tls(httpd, guarded("OktaSSOUnauthorized pass", TOLD), first=first)
    acs = f"https://127.0.0.1:{server.port}/sso/okta/acs/acme"
    server.okta.control(apps=[vars(harness.config.default_app(acs))])
    assert users(get("/okta/headers.json")) == {"X-Env-User": ""}
    login = get("/sso/okta/login/acme?return=/okta/")
    fields = harness.post_fields(server.okta.answer(login["Location"], user=AMELIA))
    form = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookies_of(login)}
    signed_in = get("/sso/okta/acs/acme", form, "POST", urllib.parse.urlencode(fields))
    assert signed_in.status == 303, signed_in.reason
    assert users(get("/okta/headers.json", {"Cookie": cookies_of(signed_in)})) == {"X-Env-User": AMELIA, "X-Remote-User": AMELIA}


@pytest.mark.parametrize("first", [False, True])
def test_nor_where_any_host_may_enter(httpd, first):
    """Satisfy Any asks no more once the address is good."""
    conf = guarded("Satisfy Any", "Allow from 127.0.0.1", TOLD)
    _, get = over_tls(httpd, conf, first=first, modules=("access_compat",))
    assert users(get("/okta/headers.json")) == {"X-Env-User": ""}


# ---- Of `*` the visitor chooses the organization, and does not open the Location with it ----

def test_an_organizations_own_pass_opens_no_location_of_any_organization(httpd):
    conf = ('<OktaSSOOrg acme>\n    OktaSSOIdPMetadata "{dir}/idp.xml"\n    OktaSSOUnauthorized pass\n</OktaSSOOrg>\n'
            '<Location "/">\n    AuthType OktaSSO\n    OktaSSOOrg *\n    Require valid-user\n</Location>\n')
    server = serve(httpd, conf)
    server.start()
    browser, _ = server.login(path="/sso/okta/login/acme")
    assert browser.get("/").status == 200
    kept = dict(browser.cookies)
    assert browser.post("/sso/okta/logout/acme", {}).status == 200
    browser.cookies.update(kept)  # what somebody has copied
    assert browser.get("/").status == 303
