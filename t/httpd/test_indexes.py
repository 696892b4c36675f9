"""DirectoryIndex, FallbackResource, MultiViews: the handler gets the identity that what it serves was judged by."""

import pytest

from conftest import running_okta, servers
from test_local import AMELIA, basic, started
from test_scrub import CGI, TENANTS, put, sign_in, variables

CONF = TENANTS + """
<LocationMatch "^/(acme/theirs|open)/index\\\\.cgi$">
    AuthType OktaSSO
    OktaSSOOrg globex
    Require valid-user
</LocationMatch>
<Location "/acme/optional/index.cgi">
    OktaSSOOrg globex
    OktaSSOUnauthorized pass
</Location>
<Location "/acme/named/index.cgi">
    OktaSSOHeader X-Named email
</Location>
<Location "/acme/free/index.cgi">
    AuthType None
    Require all granted
</Location>
<Location "/acme/front">
    FallbackResource /front.cgi
</Location>
<Location "/acme/edited">
    RequestHeader set X-Dept "of the site"
</Location>
<Directory "{dir}/htdocs">
    Options +MultiViews
    MultiviewsMatch Handlers
    DirectoryIndex index.cgi
    <Files "index.cgi">
        SetEnv ANYTHING 1
    </Files>
</Directory>
<Directory "{dir}/htdocs/open/nested">
    DirectoryIndex index
</Directory>
<Location "/open/nested/index.cgi">
    AuthType OktaSSO
    OktaSSOOrg globex
    Require valid-user
</Location>
"""
PAGES = ["acme/index.cgi", "acme/theirs/index.cgi", "acme/optional/index.cgi", "acme/named/index.cgi", "acme/free/index.cgi",
         "acme/edited/index.cgi", "open/index.cgi", "open/nested/index.cgi", "front.cgi"]


@pytest.fixture(scope="module")
def browsers(okta_dir, backend_port):
    """One with sessions of both organizations, one with acme's alone, one of nobody."""
    with running_okta(okta_dir) as okta, servers(okta, backend_port) as make:
        site = make(CONF, start=False, modules=("cgid", "negotiation"))
        for page in PAGES:
            put(site, page, CGI)
        site.expect(r"flow\.idp\.unavailable", r"AH00687|AH00690")
        both, one, nobody = site.start().browser(), site.browser(), site.browser()
        for browser in (both, one):
            sign_in(site, browser, "acme", dept=["Finance"], email=["amelia@acme.example"])
        sign_in(site, both, "globex", email=["amelia@globex.example"])
        yield both, one, nobody


def seen(browser, path):
    answer = browser.get(path)
    assert answer.status == 200, (path, answer.status, answer.reason)
    return variables(answer.text)


ACME = {"REMOTE_USER": "amelia@acme.example", "HTTP_X_REMOTE_ORG": "acme", "HTTP_X_DEPT": "Finance", "OKTASSO_ROLE": "admin"}


def assert_acme(got):
    assert {name: got.get(name) for name in ACME} == ACME


@pytest.mark.parametrize("path, index", [
    ("/acme/theirs/", "/acme/theirs/index.cgi"), ("/acme/theirs/index", "/acme/theirs/index.cgi"),
    ("/acme/optional/", "/acme/optional/index.cgi"), ("/acme/named/", "/acme/named/index.cgi"), ("/acme/", "/acme/index.cgi"),
    ("/acme/index", "/acme/index.cgi"), ("/open/", "/open/index.cgi"), ("/open/index", "/open/index.cgi"),
    ("/open/nested/", "/open/nested/index.cgi")])
def test_the_identity_is_that_of_the_page_itself(browsers, path, index):
    both, one, nobody = browsers
    wanted = seen(both, index)
    acmes = index in ("/acme/index.cgi", "/acme/named/index.cgi")
    assert (wanted["AUTH_TYPE"], wanted["OKTASSO_ORG"]) == ("OktaSSO", "acme" if acmes else "globex")
    assert seen(both, path) == wanted
    assert nobody.get(path).status in (303, 401, 404), "mod_negotiation finds nothing that one may see"


def test_a_session_of_the_directory_alone_is_none_of_the_page(browsers):
    _, one, _ = browsers
    for path in ("/acme/theirs/", "/open/"):
        assert one.get(path).status == 401
    assert seen(one, "/acme/optional/") == seen(one, "/acme/optional/index.cgi") == {}, "nor where its own is optional"


def test_an_unguarded_page_knows_who_came_through_the_guard_of_its_directory(browsers):
    both, one, nobody = browsers
    for browser in (both, one):
        assert_acme(seen(browser, "/acme/front/any/page"))
        assert_acme(seen(browser, "/acme/free/"))
    assert seen(both, "/front.cgi") == seen(both, "/acme/free/index.cgi") == {}
    assert nobody.get("/acme/front/any/page").status == nobody.get("/acme/free/").status == 303


def test_what_the_site_makes_of_our_headers_stays(browsers):
    both, _, _ = browsers
    got = seen(both, "/acme/edited/")
    assert got["HTTP_X_DEPT"] == "of the site" == seen(both, "/acme/edited/index.cgi")["HTTP_X_DEPT"]


PASSWORDS = """
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{okta}"
    OktaSSOLocalProvider file
</OktaSSOOrg>
<Location "/">
    AuthUserFile "{dir}/users"
</Location>
<Files "guarded.cgi">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Files>
ScriptSock "{dir}/cgisock"
<Directory "{dir}/htdocs">
    Options +Includes +ExecCGI +MultiViews
    MultiviewsMatch Handlers
    DirectoryIndex guarded.cgi
    AddHandler cgi-script .cgi
    AddType text/html .shtml
    AddOutputFilter INCLUDES .shtml
    CGIPassAuth On
</Directory>
"""


def test_no_password_reaches_a_page_that_is_found_or_put_together(httpd):
    site = started(httpd, conf=PASSWORDS, okta=False, modules=("cgid", "negotiation"))
    put(site, "guarded.cgi", CGI)
    put(site, "page.shtml", '<!--#include virtual="/guarded.cgi" -->', 0o644)
    for path in ("/guarded.cgi", "/", "/guarded", "/page.shtml"):
        answer = site.browser().get(path, headers=basic(AMELIA, "local-1"), navigate=False)
        got = variables(answer.text)
        assert (answer.status, got.get("REMOTE_USER"), got.get("OKTASSO_ORG")) == (200, AMELIA, "acme"), path
        assert "HTTP_AUTHORIZATION" not in got, path
