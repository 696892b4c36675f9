"""/login without an organization: the chooser; how the pages look; email domains."""

import re
import urllib.parse

import pytest

from conftest import SMALLEST

CONF = """
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOEmailDomain acme.example *.acme.example
</OktaSSOOrg>
<OktaSSOOrg globex>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOEmailDomain globex.example
</OktaSSOOrg>
<OktaSSOOrg closed>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOEmailDomain closed.example
    OktaSSOEnabled Off
</OktaSSOOrg>
Redirect "/login/sso" "/sso/okta/login"
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
ProxyPass "/login/sso" "!"
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""
CHOOSER = "/sso/okta/login"


def choose(site, typed, **options):
    browser = site.browser()
    return browser, browser.post(CHOOSER, {"organization": typed, "return": "/page?x=1"}, **options)


@pytest.mark.parametrize("typed,org", [
    ("acme", "acme"), ("Globex", "globex"), ("  acme ", "acme"), ("zoe@acme.example", "acme"), ("zoe@ACME.Example", "acme"),
    ("zoe@eu.acme.example", "acme"), ("zoe@globex.example", "globex")])
def test_a_name_or_an_address_leads_to_the_organization(site, typed, org):
    browser, answer = choose(site, typed)
    assert (answer.status, answer["Location"]) == (
        303, f"http://127.0.0.1:{site.port}/sso/okta/login/{org}?return=%2Fpage%3Fx%3D1")
    assert browser.cookies == {"oktasso-org": org}
    assert "Max-Age=31536000" in answer["Set-Cookie"] and "HttpOnly" in answer["Set-Cookie"]


@pytest.mark.parametrize("typed", ["nosuch", "closed", "zoe@nowhere.example", "zoe@closed.example", "zoe@", "@", "a@b@acme.example",
                                   "x" * 5000, "\x00", "zoe@" + "a." * 2000 + "acme.example", "<script>", "z@xacme.example",
                                   "z@acme.example.evil.example"])
def test_unknown_and_switched_off_answer_alike(site, typed):
    if "\x00" in typed:
        assert choose(site, typed)[1].reason == "base.form.malformed"
        return
    browser, answer = choose(site, typed)
    assert answer.status == 404 and not browser.cookies
    assert "No organization with single sign-on is known here" in answer.text and 'role="alert"' in answer.text
    shown = re.search(r'name="organization" type="text" value="([^"]*)"', answer.text).group(1)
    assert shown in (typed.replace("<", "&lt;").replace(">", "&gt;"), "")
    other = choose(site, "nosuch")[1].text
    assert answer.text.replace(f'value="{shown}"', "") == other.replace('value="nosuch"', "")
    assert any("flow.org.unknown" in line for line in site.verdicts())


def test_the_form_asks_and_remembers(site):
    browser = site.browser()
    answer = browser.get(CHOOSER + "?return=/page")
    assert answer.status == 200
    assert "<form method=\"post\" action=\"/sso/okta/login\">" in answer.text
    assert '<input type="hidden" name="return" value="/page">' in answer.text
    assert '<label for="organization">' in answer.text and 'id="organization"' in answer.text
    assert "script" not in answer.text and "form-action" not in answer["Content-Security-Policy"]
    assert browser.post(CHOOSER, {"organization": "globex"}).status == 303
    assert 'value="globex"' in browser.get(CHOOSER).text
    browser.cookies["oktasso-org"] = '"><script>'
    assert "<script" not in browser.get(CHOOSER).text


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("typed", ["globex", "zoe@globex.example", "nosuch"])
def test_another_site_does_not_choose(site, method, typed):
    """Of `*` it would switch the visitor to another organization's session."""
    browser = site.browser()
    browser.cookies["oktasso-org"] = "acme"
    query = "?" + urllib.parse.urlencode({"organization": typed, "return": "/page"}) if method == "GET" else ""
    form = {"organization": typed, "return": "/page"} if method == "POST" else None
    answer = browser.request(method, CHOOSER + query, body=form, headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status, answer["Set-Cookie"]) == (200, None)
    assert f'name="organization" type="text" value="{typed}"' in answer.text and 'name="return" value="/page"' in answer.text
    assert "login.choose " in site.verdicts()[-1]
    answer = browser.request(method, CHOOSER + query, body=form, headers={"Sec-Fetch-Site": "same-origin"})
    assert browser.cookies["oktasso-org"] == ("acme" if typed == "nosuch" else "globex")


def test_a_program_gets_json(site):
    answer = choose(site, "nosuch", navigate=False)[1]
    assert (answer.status, answer.reason) == (404, "flow.org.unknown")


def test_return_stays_on_this_site(site):
    browser = site.browser()
    refused = browser.get(CHOOSER + "?return=https://evil.example/")
    assert refused.reason == "base.return.refused" and f'href="http://127.0.0.1:{site.port}{CHOOSER}">Sign in<' in refused.text
    assert browser.post(CHOOSER, {"organization": "acme", "return": "//evil.example"}).reason == "base.return.refused"


def test_the_alias_of_other_systems(site):
    answer = site.browser().get("/login/sso")
    assert (answer.status, answer["Location"]) == (302, f"http://127.0.0.1:{site.port}/sso/okta/login")


# ---- Domains at configtest ----

@pytest.mark.parametrize("first,second,said", [
    ("acme.com", "acme.com", "OktaSSOEmailDomain acme.com: the organization"),
    ("acme.com", "ACME.com", "OktaSSOEmailDomain acme.com: the organization"),
    ("*.acme.com", "eu.acme.com", "OktaSSOEmailDomain eu.acme.com lies below *.acme.com of the organization one"),
    ("*.acme.com", "*.eu.acme.com", "OktaSSOEmailDomain *.eu.acme.com lies below *.acme.com of the organization one"),
    ("eu.acme.com", "*.acme.com", "OktaSSOEmailDomain eu.acme.com lies below *.acme.com of the organization two")])
def test_a_domain_belongs_to_one_organization(httpd, first, second, said):
    conf = "".join(f'<OktaSSOOrg {name}>\nOktaSSOIdPMetadata "{{okta}}"\nOktaSSOEmailDomain {domain}\n</OktaSSOOrg>\n'
                   for name, domain in (("one", first), ("two", second)))
    good, output = httpd(conf, start=False, metadata=False).configtest()
    assert not good and said in output and "httpd.conf:" in output


def test_neighbouring_domains_are_fine(httpd):
    conf = "".join(f'<OktaSSOOrg {name}>\nOktaSSOIdPMetadata "{{okta}}"\nOktaSSOEmailDomain {domain}\n</OktaSSOOrg>\n'
                   for name, domain in (("one", "acme.com"), ("two", "*.acme.com"), ("three", "xacme.com")))
    good, output = httpd(conf, start=False, metadata=False).configtest()
    assert good, output


@pytest.mark.parametrize("domain", ["*", "*.", "*.com.", "*acme.com", "a.*.com", "*.*.com", "com"])
def test_no_domain(httpd, domain):
    good, output = httpd(SMALLEST + f'<OktaSSOOrg one>\nOktaSSOIdPMetadata "{{okta}}"\nOktaSSOEmailDomain {domain}\n</OktaSSOOrg>\n',
                         start=False, metadata=False).configtest()
    assert not good and "is no domain" in output


# ---- The look ----

FRAME = '<!DOCTYPE html>\n<title>{{title}}</title><link rel="stylesheet" href="/our.css"><body>{{logo}}<div id="ours">{{content}}</div>'


def look(httpd, directives, template=FRAME):
    server = httpd(SMALLEST + directives, start=False, metadata=False)
    (server.dir / "frame.html").write_text(template)
    server.configure(SMALLEST + directives)
    return server


def test_a_template_and_a_logo(httpd):
    server = look(httpd, 'OktaSSOPageTemplate "{dir}/frame.html"\nOktaSSOLogo "/logo.svg"\n').start()
    answer = server.browser().get(CHOOSER)
    assert answer.text.startswith('<!DOCTYPE html>\n<title>Sign in</title><link') and '<div id="ours"><h1>Sign in</h1>' in answer.text
    assert '<img class="logo" alt="" src="/logo.svg">' in answer.text and "<style>" not in answer.text
    policy = answer["Content-Security-Policy"]
    assert "style-src 'sha256-" in policy and "'self'; font-src 'self'; img-src 'self'" in policy and "script" not in policy
    assert '<div id="ours"><h1>Not found</h1>' in server.browser().get("/sso/okta/login/nosuch").text


def test_a_logo_alone_and_a_virtual_host_of_its_own(httpd):
    server = look(httpd, """
OktaSSOLogo "/logo.svg"
<VirtualHost *:{port}>
    ServerName http://127.0.0.1:{port}
</VirtualHost>
<VirtualHost *:{port}>
    ServerName http://other.example:{port}
    OktaSSOPageTemplate frame.html
</VirtualHost>
""", FRAME + "{{style}}").start()
    server.expect(r"OKS0057: visitors sign in at http://other\.example")
    plain = server.browser().get(CHOOSER)
    assert 'src="/logo.svg"' in plain.text and "<style>" in plain.text and "img-src 'self'" in plain["Content-Security-Policy"]
    other = server.browser().get(f"http://other.example:{server.port}{CHOOSER}")
    assert 'src="/logo.svg"' in other.text and '<div id="ours">' in other.text and "<style>" in other.text


@pytest.mark.parametrize("template,said", [
    ("no place", "{{content}} must stand there once"), ("{{content}}{{content}}", "{{content}} must stand there once"),
    ("{{content}}{{style}}{{style}}", "{{style}} once at most"), ("{{content}}\udcff", "no UTF-8"),
    ("{{content}}" + " " * 256 * 1024, "longer than")], ids=["none", "twice", "styles", "bytes", "long"])
def test_templates_that_are_refused(httpd, template, said):
    server = look(httpd, "OktaSSOPageTemplate frame.html\n")
    (server.dir / "frame.html").write_bytes(template.encode("utf-8", "surrogateescape"))
    good, output = server.configtest()
    assert not good and said in output and "OktaSSOPageTemplate" in output


@pytest.mark.parametrize("line,said", [
    ("OktaSSOPageTemplate nosuch.html", "cannot be read"), ('OktaSSOLogo "https://evil.example/x.png"', "the path of a picture"),
    ('OktaSSOLogo "//evil.example/x.png"', "the path of a picture")])
def test_looks_that_are_refused(httpd, line, said):
    good, output = look(httpd, line + "\n").configtest()
    assert not good and said in output
