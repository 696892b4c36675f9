"""SECURITY.md rule 1: what a client sends under one of our names never reaches anything behind httpd, on any path."""

import socket

import pytest

import harness
from conftest import SMALLEST

NAMES = ["X-Remote-User", "x_remote_USER", "X.Remote.User", "XRemoteUser", "x-remote-user", "X--Remote__User", "X!Remote~User",
         "X-Remote-Email", "X-Remote-FirstName", "X_Remote_LastName", "X-Remote-Name", "X-Remote-Groups", "X-Remote-Role",
         "x-remote-org", "X-Our-Special", "x_our_special", "X-In-Location"]
FORGED = [(name, "forged-value") for name in NAMES] + [("X-Remote-User", "forged-value-again")]

CONF = """
OktaSSOIdPMetadata "{okta}"
<OktaSSOOrg acme>
    OktaSSOHeader X-Our-Special name
</OktaSSOOrg>
<Location "/app">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
<Location "/location">
    AuthType OktaSSO
    OktaSSOOrg acme
    OktaSSOHeader X-In-Location email
    Require valid-user
</Location>
<Location "/optional">
    AuthType OktaSSO
    OktaSSOOrg acme
    OktaSSOUnauthorized pass
    Require valid-user
</Location>
<Location "/guarded">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
ProxyPass "/app" "http://127.0.0.1:{backend}"
ProxyPass "/location" "http://127.0.0.1:{backend}"
ProxyPass "/optional" "http://127.0.0.1:{backend}"
ProxyPass "/open" "http://127.0.0.1:{backend}"
ProxyPass "/errors" "http://127.0.0.1:{backend}"
ErrorDocument 404 /errors/headers.json
RewriteEngine On
RewriteRule "^/redirected/app$" "/app/headers.json" [PT]
RewriteRule "^/proxied$" "http://127.0.0.1:{backend}/headers.json" [P]
<Directory "{dir}/htdocs">
    Options +Includes
    AllowOverride FileInfo
    Require all granted
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
    RewriteEngine On
    RewriteRule "^internal$" "/open/headers.json" [L]
    RewriteRule "^internal-app$" "/app/headers.json" [L]
    RewriteRule "^guarded/app$" "/app/headers.json" [L]
    RewriteRule "^guarded/open$" "/open/headers.json" [L]
</Directory>
<VirtualHost *:*>
    ServerName other.example
    ProxyPass "/" "http://127.0.0.1:{backend}/"
</VirtualHost>
"""
CONF = CONF.replace("<VirtualHost *:*>", "<VirtualHost 127.0.0.1:1>")


@pytest.fixture(scope="module")
def signed_in(shared):
    """The cookies of somebody who is signed in, made once."""
    browser = shared.browser()
    minted = shared.okta.answer(browser.get("/app/").headers and shared.start_login(browser, "/app/"),
                                user="amelia.earhart@acme.example")
    assert browser.post("/sso/okta/acs/acme", harness.post_fields(minted)).status == 303
    return browser.cookies


def visitor(site, cookies=None):
    browser = site.browser()
    browser.cookies = dict(cookies or {})
    return browser


def assert_clean(answer, status=200):
    assert answer.status == status, (answer.status, answer.text[:200])
    assert b"forged-value" not in answer.body


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "PROPFIND", "PUT"])
@pytest.mark.parametrize("path", ["/open/headers.json", "/optional/headers.json", "/proxied"])
def test_forged_headers_go_where_nobody_is_signed_in(site, method, path):
    answer = visitor(site).request(method, path, raw_headers=FORGED, body="x" if method != "GET" else None)
    assert_clean(answer)
    assert not [name for name, _ in answer.json() if name.lower().startswith(("x-remote", "x_remote", "x.remote"))]


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("path", ["/app/headers.json", "/location/headers.json", "/optional/headers.json"])
def test_each_header_once_where_somebody_is(site, signed_in, method, path):
    answer = visitor(site, signed_in).request(method, path, raw_headers=FORGED, body="x" if method == "POST" else None)
    assert_clean(answer)
    names = [name.lower() for name, _ in answer.json()]
    assert len(names) == len(set(names)), "a header twice"
    got = {name.lower(): value for name, value in answer.json()}
    assert got["x-remote-user"] == "amelia.earhart@acme.example"
    assert got["x-our-special"] == "Amelia Earhart"
    assert got.get("x-in-location") == (got["x-remote-email"] if path.startswith("/location") else None)


def test_a_header_that_the_site_set_early_gives_way(httpd):
    """Nothing stands beside what the check has found, whoever put it there."""
    site = httpd(SMALLEST + "RequestHeader set x-remote_Role early-value early\n")
    browser, _ = site.login()
    sent = [(name, value) for name, value in browser.get("/headers.json").json() if name.lower().replace("_", "-") == "x-remote-role"]
    assert sent == [("X-Remote-Role", "member")]


def test_forged_headers_do_not_sign_anybody_in(site):
    for path in ("/app/headers.json", "/location/headers.json"):
        assert visitor(site).get(path, raw_headers=FORGED).status == 303
        assert visitor(site).request("OPTIONS", path, raw_headers=FORGED).status == 401


def test_error_documents(site, signed_in):
    for cookies in ({}, signed_in):
        answer = visitor(site, cookies).get("/nothing-here", raw_headers=FORGED)
        assert_clean(answer, answer.status)
        assert answer.json(), "the backend wrote the error page"


def test_internal_redirects(site, signed_in):
    for cookies in ({}, signed_in):
        assert_clean(visitor(site, cookies).get("/internal", raw_headers=FORGED))
    assert visitor(site).get("/internal-app", raw_headers=FORGED).status == 303
    for path in ("/internal-app", "/redirected/app", "/guarded/app"):
        answer = visitor(site, signed_in).get(path, raw_headers=FORGED)
        assert_clean(answer)
        names = [name.lower() for name, _ in answer.json()]
        assert names.count("x-remote-user") == names.count("x-our-special") == 1
    answer = visitor(site, signed_in).get("/guarded/open", raw_headers=FORGED)
    assert_clean(answer)
    assert "x-remote" not in answer.text.lower(), "nothing is left of the identity of the request before"


def test_sub_requests(site, signed_in):
    page = site.dir / "htdocs/page.shtml"
    page.write_text('open <!--#include virtual="/open/headers.json" --> app <!--#include virtual="/app/headers.json" -->\n')
    answer = visitor(site, signed_in).get("/page.shtml", raw_headers=FORGED)
    assert_clean(answer)
    opened, _, app = answer.text.partition(" app ")
    assert "X-Remote-User" not in opened, "the identity of a sub-request is its own"
    assert app.count('"X-Remote-User"') == 1
    site.expect(r"AH01426: unable to include|mod_include|include")
    answer = visitor(site).get("/page.shtml", raw_headers=FORGED)
    assert_clean(answer)
    assert "X-Remote-User" not in answer.text


# Two organizations that one visitor has sessions of, and a page of the first that shows CGI programs of both and of nobody.
TENANTS = """
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{okta}"
    OktaSSODefaultRole admin
    OktaSSOAttribute dept dept
    OktaSSOHeader X-Dept dept
</OktaSSOOrg>
<OktaSSOOrg globex>
    OktaSSOIdPMetadata "{okta}"
    OktaSSODefaultRole none
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
<Location "/admins">
    Require expr "reqenv('OKTASSO_ROLE') == 'admin' || req('X-Remote-Role') == 'admin'"
</Location>
ScriptSock "{dir}/cgisock"
<Directory "{dir}/htdocs">
    Options +Includes +ExecCGI
    AllowOverride None
    AddHandler cgi-script .cgi
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
    RewriteEngine On
    RewriteRule "^acme/to/(.*)$" "/$1" [L]
</Directory>
"""
CGI = "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\n'\nenv | grep -E 'REMOTE_USER|OKTASSO|AUTH|HTTP_X_' | sort\n"
AMELIA = "amelia.earhart@acme.example"


def put(site, path, text, mode=0o755):
    file = site.dir / "htdocs" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def sign_in(site, browser, org, **attributes):
    harness.wait_until(lambda: site.browser().get(f"/sso/okta/login/{org}").status == 303, "metadata")
    site.okta.control(apps=[vars(harness.config.default_app(f"http://127.0.0.1:{site.port}/sso/okta/acs/{org}"))])
    login = site.start_login(browser, f"/sso/okta/login/{org}?return=/x")
    fields = harness.post_fields(site.okta.answer(login, user=AMELIA, attributes=attributes))
    assert browser.post(f"/sso/okta/acs/{org}", fields).status == 303


def variables(text):
    pairs = [line.split("=", 1) for line in text.splitlines() if "=" in line]
    assert len(pairs) == len({name for name, _ in pairs}), "a variable twice: " + text
    return dict(pairs)


def test_no_part_of_a_page_sees_what_is_left_of_its_identity(httpd):
    site = httpd(TENANTS, start=False, modules=("cgid",))
    parts = ("acme/x.cgi", "globex/x.cgi", "public/x.cgi", "admins/x.cgi")
    put(site, "acme/page.shtml", "\n-----\n".join(f'<!--#include virtual="/{part}" -->' for part in parts), 0o644)
    for part in parts:
        put(site, part, CGI)
    put(site, "admins/x.cgi", "#!/bin/sh\nprintf 'Content-Type: text/plain\\n\\nSEEN=1\\n'\n")
    site.expect(r"flow\.idp\.unavailable", r"AH01630", r"unable to include")
    browser = site.start().browser()
    sign_in(site, browser, "acme", dept=["Finance"], email=["amelia@acme.example"])
    sign_in(site, browser, "globex", email=["amelia@globex.example"])
    shown = browser.get("/acme/page.shtml")
    assert shown.status == 200
    acme, globex, public, admins = (variables(part) for part in shown.text.split("-----"))
    assert (acme["REMOTE_USER"], acme["HTTP_X_DEPT"], acme["OKTASSO_ROLE"]) == ("amelia@acme.example", "Finance", "admin")
    assert globex == variables(browser.get("/globex/x.cgi").text), "as if asked for by itself"
    assert globex["OKTASSO_ORG"] == globex["HTTP_X_REMOTE_ORG"] == "globex" and "OKTASSO_DEPT" not in globex
    assert (public, admins) == ({}, {})
    # Nor does a Location that a page of hers leads to.
    assert browser.get("/admins/x.cgi").status == browser.get("/acme/to/admins/x.cgi").status == 403
    led = variables(browser.get("/acme/to/public/x.cgi").text)
    assert not [name for name in led if not name.startswith("REDIRECT_")], led
    assert variables(browser.get("/acme/to/globex/x.cgi").text)["HTTP_X_REMOTE_ORG"] == "globex"


@pytest.mark.parametrize("connection", [
    "X-Remote-User", "close, X-Remote-User", "x-remote-user ,X-Remote-Groups", "X_Remote_User, x-remote-email",
    '"X-Remote-User"', "X-Remote-User,,X-Remote-Role", "foo X-Remote-User", "foo;X-Remote-Email", "x\tX-Remote-Role", '"x"X-Remote-User',
    "close X-Remote-User X-Remote-Email"])
def test_connection_cannot_take_our_headers_away(site, signed_in, connection):
    answer = visitor(site, signed_in).get("/app/headers.json", raw_headers=[("Connection", connection)])
    assert answer.status == 200
    got = {name for name, _ in answer.json()}
    assert {"X-Remote-User", "X-Remote-Email", "X-Remote-Groups", "X-Remote-Role"} <= got


def test_two_connection_headers(site, signed_in):
    answer = visitor(site, signed_in).get("/app/headers.json", raw_headers=[
        ("Connection", "close"), ("Connection", "X-Remote-User"), ("connection", "X-Remote-Role")])
    assert {"X-Remote-User", "X-Remote-Role"} <= {name for name, _ in answer.json()}


@pytest.mark.parametrize("path", ["/app/headers.json", "/open/headers.json"])
def test_trailers_are_no_headers(site, signed_in, path):
    cookie = "; ".join(f"{name}={value}" for name, value in signed_in.items())
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as client:
        client.sendall((f"POST {path} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
                        "Trailer: X-Remote-User\r\n\r\n1\r\nx\r\n0\r\nX-Remote-User: forged-value\r\nX-Remote-Nick: forged-value\r\n\r\n").encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 200 ") and b"forged-value" not in answer


@pytest.mark.parametrize("where, named", [("%s", "the server configuration"), ("<VirtualHost 127.0.0.1:1>\n%s</VirtualHost>\n", "the virtual host of {file}:")],
                         ids=["server", "virtual host"])
def test_merged_trailers_are_refused_at_configtest(httpd, where, named):
    server = httpd(where % "MergeTrailers On\n", start=False)
    server.expect("OKS0011")
    ok, said = server.configtest()
    assert not ok and "write MergeTrailers Off here" in said and f"MergeTrailers On in {named.format(file=server.file)}" in said, said


@pytest.mark.parametrize("path", ["/app/headers.json", "/open/headers.json", "/optional/headers.json", "/errors-please"])
def test_our_cookies_stay_here_and_others_go_on(site, signed_in, path):
    ours = "; ".join(f"{k}={v}" for k, v in signed_in.items())
    cookie = f"first=1; {ours}; __Host-oktasso-session-acme=x; oktasso-restart=1; middle=a=b; __Host-other=2; oktas=3"
    answer = visitor(site).get(path, headers={"Cookie": cookie})
    assert answer.status in (200, 404)
    sent = [value for name, value in answer.json() if name == "Cookie"]
    assert len(sent) == 1
    pairs = [pair.strip() for pair in sent[0].split(";")]
    assert pairs == ["first=1", "middle=a=b", "__Host-other=2", "oktas=3"]


def test_no_cookie_header_when_only_ours_came(site, signed_in):
    answer = visitor(site, signed_in).get("/app/headers.json")
    assert "Cookie" not in [name for name, _ in answer.json()]
    answer = visitor(site).get("/open/headers.json", raw_headers=[
        ("Cookie", "a=1"), ("Cookie", "oktasso-session-acme=x"), ("Cookie", "b=2")])
    assert "oktasso" not in answer.text and "a=1" in answer.text and "b=2" in answer.text


def test_other_headers_are_left_alone(site, signed_in):
    mine = [("X-Remote", "1"), ("X-Remote-Users", "2"), ("Remote-User", "3"), ("X-Forwarded-User", "4")]
    answer = visitor(site, signed_in).get("/app/headers.json", raw_headers=mine)
    assert [list(pair) for pair in mine if list(pair) in answer.json()] == [list(pair) for pair in mine]
