"""OktaSSOOrgDir: organizations that come, change and go while httpd runs."""

import base64
import json
import os
import re
import subprocess
import urllib.request

import harness
import pytest
from harness import post_fields, wait_until
from okta import oidc

CONF = """
OktaSSOOrgDir "{dir}/orgs"
<OktaSSOOrg fixed>
    OktaSSOIdPMetadata "{dir}/idp.xml"
    OktaSSOEmailDomain fixed.example
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg *
    Require valid-user
</Location>
<Location "/acme">
    OktaSSOOrg acme
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""
AMELIA = "amelia.earhart@acme.example"
PASTED = "<OktaSSOIdPMetadataXML>\n<EntityDescriptor/>\n"
ACME = 'OktaSSOIdPMetadata "{dir}/idp.xml"\nOktaSSOSPEntityID urn:acme\n'


class Site:
    def __init__(self, httpd, okta, files, conf=CONF, start=True):
        self.server, self.okta = httpd("", start=False), okta
        self.server.expect("OKS0042")  # a Location of an organization that comes later
        okta.control(apps=[vars(harness.config.default_app(f"http://127.0.0.1:{self.server.port}/sso/okta/acs/acme", audience="urn:acme"))])
        (self.server.dir / "idp.xml").write_bytes(urllib.request.urlopen(okta.metadata_url()).read())
        (self.server.dir / "orgs").mkdir()
        for name, text in files.items():
            self.write(name, text)
        self.server.configure(conf)
        if start:
            self.start()

    def start(self):
        """It listens before it has read the files: what comes then is no news."""
        self.server.start()
        self.told("resuming normal operations")

    def write(self, name, text, into="orgs"):
        """As an administrator should: beside it, then renamed. An hour old, so that nothing waits for it to settle. Returns when every
        child knows."""
        before = self.news()
        self.put(name, text, into)
        if self.server.process:
            wait_until(lambda: self.news() > before, f"the news of {name}")

    def news(self):
        return len(re.findall("OKS003[78]", self.server.log.read_text())) if self.server.log.exists() else 0

    def put(self, name, text, into="orgs"):
        fresh = self.server.dir / into / f".{name}.new"
        fresh.write_text(text.replace("{dir}", str(self.server.dir)))
        os.utime(fresh, (os.stat(fresh).st_mtime - 3600,) * 2)
        fresh.rename(self.server.dir / into / name)

    def remove(self, name):
        before = self.news()
        (self.server.dir / "orgs" / name).unlink()
        wait_until(lambda: self.news() > before, f"the news of {name}")

    def status(self, path, browser=None):
        answer = (browser or self.server.browser()).get(path)
        return answer.status, answer.reason

    def becomes(self, path, status, browser=None):
        wait_until(lambda: self.status(path, browser)[0] == status, f"{status} at {path}")

    def login(self):
        browser = self.server.browser()
        answer = browser.post("/sso/okta/acs/acme", post_fields(self.okta.answer(self.server.start_login(browser, "/acme"), user=AMELIA)))
        assert (answer.status, answer["Location"]) == (303, "/acme"), answer.reason
        return browser

    def header(self, browser, name):
        answer = browser.get("/acme/headers.json")
        return dict(answer.json()).get(name) if answer.status == 200 else answer.reason

    def told(self, text):
        wait_until(lambda: self.server.log.exists() and text in self.server.log_since(0), text)


def test_organizations_of_files(httpd, okta):
    site = Site(httpd, okta, {"acme.conf": ACME, "README": "not read", "Bad_Name.conf": "nor this", "x.conf.bak": "nor this",
                              ".#acme.conf": "nor this, an editor's"})
    site.server.expect("OKS0055")
    browser = site.login()
    assert site.header(browser, "X-Remote-Org") == "acme"
    assert dict(browser.get("/headers.json").json())["X-Remote-Org"] == "acme", "a Location of all organizations"


def test_one_comes_changes_and_goes(httpd, okta):
    site = Site(httpd, okta, {})
    assert site.status("/acme") == (404, "flow.org.unknown")
    site.write("acme.conf", ACME)
    site.becomes("/acme", 303)
    browser = site.login()
    assert site.header(browser, "X-Remote-Role") == "member"
    site.write("acme.conf", ACME + "OktaSSORole boss Everyone\nOktaSSOUserField firstName\n")
    wait_until(lambda: site.header(browser, "X-Remote-Role") == "boss", "the new role in the live session")
    assert site.header(browser, "X-Remote-User") == "Amelia"
    site.remove("acme.conf")
    site.becomes("/acme", 404, browser)
    assert site.status("/sso/okta/login/acme") == (404, "flow.org.unknown")
    site.write("acme.conf", ACME)
    wait_until(lambda: site.header(browser, "X-Remote-Role") == "member", "the session that goes on")


def test_a_bad_file_leaves_what_was_in_force(httpd, okta):
    site = Site(httpd, okta, {"acme.conf": ACME})
    site.server.expect("OKS0037")
    browser = site.login()
    site.write("acme.conf", ACME + "OktaSSOSession idle=soon\n")
    site.told(f"OKS0037: {site.server.dir}/orgs/acme.conf: line 3: OktaSSOSession")
    assert "what was in force before stays" in site.server.log.read_text()
    assert site.header(browser, "X-Remote-Org") == "acme"
    site.write("acme.conf", ACME + "OktaSSORole boss Everyone\n")
    wait_until(lambda: site.header(browser, "X-Remote-Role") == "boss", "the mended file")
    assert site.server.log.read_text().count("OKS0037") == 1, "told once"


def test_a_file_of_no_organizations_name_is_told_once(httpd, okta):
    site = Site(httpd, okta, {"BAD.conf": ACME})
    site.server.expect("OKS0055")
    for name in ("BAD", "Acme_Corp"):
        site.put(f"{name}.conf", ACME)
        site.told(f"OKS0055: {site.server.dir}/orgs/{name}.conf is of no organization: names have a-z, 0-9 and - alone: rename it")
    site.write("acme.conf", ACME)
    assert site.server.log.read_text().count("OKS0055") == 2


def test_a_file_that_becomes_readable_is_read(httpd, okta):
    """Its text and time are the same as before."""
    site = Site(httpd, okta, {"acme.conf": ACME}, start=False)
    site.server.expect("OKS0037")
    acme = site.server.dir / "orgs/acme.conf"
    acme.chmod(0)
    site.start()
    site.told(f"OKS0037: {acme}: the file {acme} cannot be read: Permission denied; the organization is unknown")
    acme.chmod(0o644)
    site.becomes("/acme", 303)
    site.told("OKS0038: the organization acme is in force as its file says")


@pytest.mark.parametrize("text, said", [
    ("LoadModule x modules/x.so", "line 1: only OktaSSO... settings"),
    ("Include /etc/passwd", "line 1: only OktaSSO... settings"),
    ("Define X y", "line 1: only OktaSSO... settings"),
    ("\ufeffOktaSSOEnabled On", "line 1: the file begins with a byte order mark: save it as UTF-8 without one"),
    (f"<OktaSSOOrg acme>\n{ACME}</OktaSSOOrg>", "line 1: leave <OktaSSOOrg ...> and </OktaSSOOrg> out: the file's name says whose settings these are"),
    (f"{ACME}</oktassoorg>", "line 3: leave <OktaSSOOrg ...> and </OktaSSOOrg> out"),
    ("<OktaSSOOrgs>", "line 1: only OktaSSO... settings"),
    ("<IfModule !x>\nOktaSSOEnabled On\n</IfModule>", "line 1: only OktaSSO... settings"),
    ("# fine\n\nOktaSSOPath /other", "OktaSSOPath"),
    ("OktaSSOOrgDir /tmp", "OktaSSOOrgDir"),
    ("OktaSSOOrg acme", "OktaSSOOrg cannot stand in"),
    ("OktaSSOIdPMetadata", "line 1: OktaSSOIdPMetadata takes one argument"),
    ("OktaSSOEnabled \\\nOn\nOktaSSOEnabled Off", "line 3: OktaSSOEnabled stands here and at"),
    ("OktaSSOEnabled On", "has no OktaSSOIdPMetadata"),
    ("OktaSSOEnabled On\x00", "a NUL byte"),
    ("#" * 600_000, "is longer than"),
    ("<OktaSSOIdPMetadataXML>\nLoadModule\n", "lacks its"),
    ('OktaSSOIdPMetadata "/nonexistent"', "cannot be read"),
    ('OktaSSOIdPIssuer "https://acme.okta.com"\nOktaSSOClientID c1\nOktaSSOClientSecret "exec:touch {dir}/ran"', "the secret stands there itself"),
    ('OktaSSOClientID c1\nOktaSSOClientSecret "file:/etc/passwd"', "the secret stands there itself"),
    ('OktaSSOClientID c1\nOktaSSOClientSecret "env:PATH"', "the secret stands there itself"),
    ('OktaSSOSPEntityID "urn:${PATH}"', "${...} cannot stand here"),
    ('OktaSSOSPEntityID \\\n"urn:$\\\n{PATH}"', "cannot stand here"),
    ('# a comment \\\n<OktaSSOIdPMetadataXML>\nOktaSSOSPEntityID "urn:${PATH}"', "cannot stand here"),
    # httpd's lines, not ours, say where pasted metadata begins and ends: Include acts while it is read.
    ("OktaSSOScope a \\\n<OktaSSOIdPMetadataXML>\nInclude {dir}/orgs/other.conf", "line 3: only OktaSSO... settings"),
    ("<OktaSSOIdPMetadataXML>x>\nInclude {dir}/orgs/other.conf\n</OktaSSOIdPMetadataXML>x>", "line 1: only OktaSSO... settings"),
    ("<OktaSSOIdPMetadataXML>\n\v</OktaSSOIdPMetadataXML>\nInclude {dir}/orgs/other.conf", "line 3: only OktaSSO... settings"),
    (PASTED + "</OktaSSOIdPMetadata\\\nXML>\nInclude {dir}/absent", "no backslash can stand at the end of such a line"),
    (ACME + "# x \\\n<OktaSSOIdPMetadataXML>\nInclude {dir}/absent", "line 5: only OktaSSO... settings"),
    (ACME + "# x \\\n<OktaSSOIdPMetadataXML>\n<OktaSSOIdPMetadataXML>\n</OktaSSOIdPMetadataXML>\nInclude {dir}/absent", "line 7: only OktaSSO... settings"),
    ("<OktaSSOIdPMetadataXML>junk\nInclude {dir}/absent", "line 1: only OktaSSO... settings"),
    ("<OktaSSOIdPMetadataXML junk>\nInclude {dir}/absent", "line 1: only OktaSSO... settings"),
    (PASTED + "</OktaSSOIdPMetadataXML>junk\n</OktaSSOIdPMetadataXML>\nInclude {dir}/absent", "only OktaSSO... settings"),
    (ACME + "OktaSSOScope a \\ \nInclude {dir}/absent", "line 3: no backslash can stand at the end"),
    (ACME + "OktaSSOScope a \\\r\n  Include\r\n\tInclude {dir}/absent", "line 5: only OktaSSO... settings"),
], ids=range(35))
def test_what_a_file_may_not_say(httpd, okta, text, said):
    site = Site(httpd, okta, {"other.conf": ACME, "acme.conf": text}, start=False)
    good, told = site.server.configtest()
    assert not good and said in told, told
    assert "absent" not in told, "read, and only then refused"
    site.server.expect("OKS0037")
    site.start()
    site.told("the organization is unknown")
    assert said in site.server.log.read_text()
    assert site.status("/acme") == (404, "flow.org.unknown") and site.status("/sso/okta/login/other")[0] == 303, "the others serve"


def test_a_pipe_that_a_file_names_holds_up_nobody(httpd, okta):
    """All look organizations up behind one lock: opening a pipe that nobody writes to would never end."""
    site = Site(httpd, okta, {"other.conf": ACME})
    site.server.expect("OKS0037")
    os.mkfifo(site.server.dir / "pipe", 0o644)
    site.write("acme.conf", 'OktaSSOIdPMetadata "{dir}/pipe"\n')
    site.told("pipe is no regular file")
    assert site.status("/acme") == (404, "flow.org.unknown") and site.status("/sso/okta/login/other")[0] == 303


def test_names_and_domains_belong_to_one(httpd, okta):
    site = Site(httpd, okta, {"acme.conf": ACME + "OktaSSOEmailDomain acme.example *.sub.example\n"})
    site.server.expect("OKS0037")
    site.write("fixed.conf", ACME)
    site.told("the organization fixed is defined in httpd's configuration, too")
    for name, domain in {"one": "acme.example", "two": "fixed.example", "three": "x.sub.example", "four": "*.example"}.items():
        site.write(f"{name}.conf", ACME + f"OktaSSOEmailDomain {domain}\n")
        site.told(f"{name}.conf: ")
        assert site.status(f"/sso/okta/login/{name}")[0] == 404
    site.write("acme.conf", ACME)

    def owner():
        return site.server.browser().post("/sso/okta/login", {"organization": "a@acme.example"})["Location"] or ""
    wait_until(lambda: all("/sso/okta/login/one" in owner() for _ in range(20)), "the one that waited, in every child")
    site.write("five.conf", ACME + "OktaSSOEmailDomain acme.example\n")
    site.told("five.conf: ")
    site.remove("one.conf")
    wait_until(lambda: all("/sso/okta/login/five" in owner() for _ in range(20)), "the next one, in every child")


def test_a_domain_that_two_claim_at_start_is_nobodys(httpd, okta):
    """A file's age is no title: whoever edits his own file would lose it to an intruder's."""
    claim = ACME + "OktaSSOEmailDomain acme.example\n"
    site = Site(httpd, okta, {"acme.conf": claim, "other.conf": ACME, "zed.conf": claim}, start=False)
    site.server.expect("OKS0037")
    os.utime(site.server.dir / "orgs/acme.conf", (1_000_000_000,) * 2)
    assert site.server.configtest()[0] is False
    site.start()
    site.told("acme.conf: one of its domains is claimed by zed, too")
    site.told("zed.conf: ")

    def owner():
        return site.server.browser().post("/sso/okta/login", {"organization": "a@acme.example"})["Location"] or ""

    def nobodys():
        return all(site.status(f"/sso/okta/login/{name}") == (404, "flow.org.unknown") for name in ("acme", "zed")) and owner() == ""
    assert nobodys() and site.status("/sso/okta/login/other")[0] == 303
    for name in ("zed", "acme"):  # an edit is no title either
        site.write(f"{name}.conf", claim + "OktaSSODefaultRole guest\n")
        assert nobodys()
    site.write("other.conf", ACME + "OktaSSODefaultRole guest\n")
    assert nobodys()
    site.remove("zed.conf")
    wait_until(lambda: all("/sso/okta/login/acme" in owner() for _ in range(20)), "the one that is left, in every child")


def test_a_name_belongs_to_one_virtual_host(httpd, okta):
    other = """
Listen 127.0.0.1:{other}
<VirtualHost 127.0.0.1:{other}>
    ServerName http://127.0.0.1:{other}
    OktaSSOOrgDir "{dir}/others"
    <OktaSSOOrg globex>
        OktaSSOIdPMetadata "{dir}/idp.xml"
    </OktaSSOOrg>
</VirtualHost>
"""
    port = harness.free_port()
    site = Site(httpd, okta, {"acme.conf": ACME}, conf=CONF + other.replace("{other}", str(port)), start=False)
    site.server.expect("OKS0037")
    pasted = f"<OktaSSOIdPMetadataXML>\n{(site.server.dir / 'idp.xml').read_text()}\n</OktaSSOIdPMetadataXML>\nOktaSSOSCIMToken sha256:{'ab' * 32}\n"
    others = site.server.dir / "others"
    others.mkdir()

    def there(name="acme"):
        return harness.Browser(port).get(f"/sso/okta/login/{name}").status == 303
    site.start()
    site.write("acme.conf", pasted, "others")
    site.told("others/acme.conf: the virtual host 127.0.0.1:0 has an organization acme, too")
    site.write("globex.conf", pasted)
    site.told(f"orgs/globex.conf: the virtual host 127.0.0.1:{port} has an organization globex, too")
    site.write("acme.conf", ACME + "OktaSSORole boss Everyone\n")
    assert site.header(site.login(), "X-Remote-Role") == "boss" and not there(), "the owner may change his"
    assert site.status("/sso/okta/login/globex")[0] == 404 and there("globex")
    site.server.graceful()
    wait_until(lambda: site.status("/sso/okta/login/acme")[0] == 404, "the new children, who cannot tell whose it was")
    assert not there()
    site.remove("acme.conf")
    wait_until(lambda: all(there() for _ in range(20)), "the one that waited, in every child")
    site.write("acme.conf", ACME)
    assert site.status("/sso/okta/login/acme")[0] == 404


KNOWN = "OktaSSOHeader X-Known none\nOktaSSOHeader X-Evil none\n" + CONF


def test_headers_are_fixed_at_start(httpd, okta):
    site = Site(httpd, okta, {"acme.conf": ACME + "OktaSSOHeader X-Known email\n", "early.conf": ACME + "OktaSSOHeader X-Early email\n"}, KNOWN)
    site.server.expect("OKS0037")
    browser = site.login()
    assert site.header(browser, "X-Known") == AMELIA
    site.write("acme.conf", ACME + "OktaSSOHeader X-New email\n")
    for name in ("Early", "New"):
        site.told(f"the header X-{name} is new: httpd's configuration must have it (OktaSSOHeader NAME none), so that requests are scrubbed of it")
    assert site.header(browser, "X-Known") == AMELIA
    site.write("acme.conf", ACME + "OktaSSOHeader X-Known name\n")
    wait_until(lambda: site.header(browser, "X-Known") == "Amelia Earhart", "another field under a known header")


def test_a_header_is_scrubbed_though_its_file_has_changed(httpd, okta):
    site = Site(httpd, okta, {"acme.conf": ACME + "OktaSSOHeader X-Known email\n"}, KNOWN)
    browser = site.login()
    for role in ("a" * 16, "b" * 64, "c" * 512, "d" * 4096):  # what the old file's names stood in is used again
        site.write("acme.conf", ACME + f"OktaSSODefaultRole {role}\n")
        wait_until(lambda: site.header(browser, "X-Remote-Role") == role, "the changed file")
    for _ in range(20):
        answer = browser.get("/acme/headers.json", headers={"X-Known": "forged"})
        assert answer.status == 200 and "forged" not in answer.text


TENANT = 'OktaSSOIdPMetadata "{dir}/idp.xml"\nOktaSSOSPEntityID urn:acme\nOktaSSOAttribute evil firstName\n'


@pytest.mark.parametrize("lines,said", [
    ("OktaSSOHeader X-Remote-Org evil\n", "line 4: OktaSSOHeader X-Remote-Org: a file can only take this header away (none): it holds the field org"),
    ("OktaSSOHeader x-remote-user name\n", "a file can only take this header away (none): it holds the field user"),
    ("OktaSSOHeader x_remote_user name\n", "x_remote_user and X-Remote-User are the same one for a backend"),
    ("OktaSSOHeader X-Site-Org evil\n", "a file can only take this header away (none): it holds the field org"),
    ("OktaSSOHeader X-Fixed-Role evil\n", "a file can only take this header away (none): it holds the field role"),
    ("OktaSSOHeader X-Here-User evil\n", "a file can only take this header away (none): it holds the field user"),
    ("OktaSSOAssertionHeader X-Site-Org\n", "a file can only take this header away (none): it holds the field org"),
    ("OktaSSOAttribute ORG firstName\n", "line 4: ORG and the built-in field org would be one variable, OKTASSO_ORG"),
    ("OktaSSOAttribute Role firstName\n", "Role and the built-in field role would be one variable, OKTASSO_ROLE"),
    ("OktaSSOHeader X-Signed firstName\n", "a file can only take this header away (none): it holds the field the signed identity"),
    ("OktaSSOClientID x\n", "OktaSSOClientSecret of httpd's configuration does not go to a provider that a file names: write it into the file"),
    ("OktaSSOHeader Content-Length none\n", "the header Content-Length belongs to HTTP itself, and all requests would lose it"),
    ("OktaSSOHeader transfer_encoding evil\n", "the header transfer_encoding belongs to HTTP itself"),
    ("OktaSSOAssertionHeader Authorization\n", "the header Authorization belongs to HTTP itself"),
    ("OktaSSOHeader X-Forwarded-For evil\n", "the header X-Forwarded-For is new: httpd's configuration must have it"),
    ("OktaSSOAssertionHeader none\nOktaSSOHeader X-Remote-Org none\nOktaSSOHeader X-Remote-User user\nOktaSSOHeader X-Evil evil\n", None),
])
def test_a_file_feeds_no_header_that_is_anothers(httpd, okta, lines, said):
    shared = "OktaSSOHeader X-Site-Org org\nOktaSSOAssertionHeader X-Signed\nOktaSSOClientSecret of-the-server\n"
    conf = shared + KNOWN.replace("fixed.example", "fixed.example\n    OktaSSOHeader X-Fixed-Role role", 1).replace(
        "    OktaSSOOrg *", "    OktaSSOOrg *\n    OktaSSOHeader X-Here-User user", 1)
    site = Site(httpd, okta, {"acme.conf": TENANT + lines}, conf)
    if said:
        site.server.expect("OKS0037")
        site.told(said)
        assert site.status("/sso/okta/login/acme") == (404, "flow.org.unknown")
        return
    browser = site.login()
    assert [site.header(browser, name) for name in ("X-Remote-Org", "X-Remote-User", "X-Evil")] == [None, AMELIA, "Amelia"]


SQUAT = """
OktaSSOIdPMetadata "{dir}/idp.xml"
<OktaSSOOrg acme>
    OktaSSOSPEntityID urn:acme
</OktaSSOOrg>
<Location "/fixed">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
<Location "/basic">
    AuthType Basic
    AuthName x
    AuthUserFile "{dir}/users"
    Require valid-user
</Location>
ProxyPass "/fixed/" "http://127.0.0.1:{backend}/"
ProxyPass "/basic/" "http://127.0.0.1:{backend}/"
"""


def test_a_file_that_claims_a_domain_locks_out_nobody_of_the_configuration(httpd, okta):
    claim = 'OktaSSOIdPMetadata "{dir}/idp.xml"\nOktaSSOEmailDomain acme.example\nOktaSSORequireSSO on\n'
    site = Site(httpd, okta, {"squatter.conf": claim}, 'OktaSSOOrgDir "{dir}/orgs"\n' + SQUAT, start=False)
    subprocess.run(["htpasswd", "-bc", site.server.dir / "users", AMELIA, "pass"], check=True, capture_output=True)
    site.start()
    browser, answer = site.server.login(path="/fixed/headers.json")
    assert answer.status == 303 and browser.get("/fixed/headers.json").status == 200
    token = base64.b64encode(f"{AMELIA}:pass".encode()).decode()
    assert site.server.browser().get("/basic/headers.json", headers={"Authorization": f"Basic {token}"}).status == 200


def test_slips_in_names_are_told(httpd, okta):
    site = Site(httpd, okta, {"acme.conf": ACME}, CONF + '<Location "/slip">\nOktaSSOOrg acmee\n</Location>\n')
    site.told("OKS0042: OktaSSOOrg acmee: there is no such organization yet")
    assert "OktaSSOOrg acme:" not in site.server.log.read_text()
    site.server.expect("OKS0055")
    (site.server.dir / "orgs/Acme_Two.conf").write_text(ACME)
    good, said = site.server.configtest()
    assert not good and "Acme_Two.conf is of no organization: names have a-z, 0-9 and - alone: rename it" in said


@pytest.mark.parametrize("mtime", [0, 1, 4102444800])
def test_a_file_of_any_age_is_read_and_goes(httpd, okta, mtime):
    site = Site(httpd, okta, {})
    before = site.news()
    fresh = site.server.dir / "orgs/.new"
    fresh.write_text(ACME.replace("{dir}", str(site.server.dir)))
    os.utime(fresh, (mtime, mtime))
    fresh.rename(site.server.dir / "orgs/acme.conf")
    wait_until(lambda: site.news() > before, "the news of it")
    site.becomes("/acme", 303)
    site.remove("acme.conf")
    assert site.status("/acme") == (404, "flow.org.unknown")


def test_a_directory_that_is_gone_takes_nobody_with_it(httpd, okta):
    site = Site(httpd, okta, {"acme.conf": ACME})
    site.server.expect("OKS0039")
    browser = site.login()
    (site.server.dir / "orgs").rename(site.server.dir / "away")
    site.told(f"OKS0039: OktaSSOOrgDir {site.server.dir}/orgs cannot be read: No such file or directory; what was in force stays")
    assert site.header(browser, "X-Remote-Org") == "acme"
    (site.server.dir / "away").rename(site.server.dir / "orgs")
    site.put("acme.conf", ACME + "OktaSSORole boss Everyone\n")
    wait_until(lambda: site.header(browser, "X-Remote-Role") == "boss", "the directory that is back")


def test_configtest_wants_the_directory(httpd):
    good, told = httpd('OktaSSOOrgDir "{dir}/nowhere"\n', start=False).configtest()
    assert not good and "OktaSSOOrgDir: the directory" in told and "/nowhere cannot be read: No such file or directory" in told


PRIVATE = CONF.replace('/orgs"', '/orgs" private')


def test_metadata_of_a_new_organization_is_fetched(httpd, okta):
    site = Site(httpd, okta, {}, conf=PRIVATE)
    site.server.expect(r"flow\.idp\.unavailable")
    site.write("acme.conf", f'OktaSSOIdPMetadata "{okta.metadata_url()}"\nOktaSSOSPEntityID urn:acme\n')
    site.becomes("/acme", 303)
    assert site.header(site.login(), "X-Remote-Org") == "acme"
    with oidc.started() as provider:
        site.write("globex.conf", f'OktaSSOIdPMetadata "{provider.issuer}"\nOktaSSOClientID {oidc.CLIENT}\nOktaSSOClientSecret "{oidc.SECRET}"\n')
        site.becomes("/sso/okta/login/globex", 303)
        browser = site.server.browser()
        fields = provider.approve(browser.get("/sso/okta/login/globex?return=/page")["Location"])
        assert browser.get("/sso/okta/callback/globex?" + oidc.urlencode(fields))["Location"] == "/page"
        assert site.server.browser().get(f"/sso/okta/login?iss={provider.issuer}").status == 303


def test_a_file_has_nothing_fetched_inside(httpd, okta):
    """SECURITY.md 27."""
    site = Site(httpd, okta, {})
    site.server.expect(r"flow\.idp\.unavailable", "OKS0030")
    with oidc.started() as provider:
        client = f'OktaSSOClientID {oidc.CLIENT}\nOktaSSOClientSecret "{oidc.SECRET}"\n'
        elsewhere = {**provider.discovery(), "issuer": "https://idp.example", "token_endpoint": "https://idp.example/token",
                     "authorization_endpoint": "https://idp.example/authorize", "jwks_uri": f"https://127.0.0.1:{provider.issuer.rpartition(':')[2]}/keys"}
        document = {key: value for key, value in elsewhere.items() if not str(value).startswith("http://")}
        (site.server.dir / "discovery.json").write_text(json.dumps(document))
        for name, text in {"saml": f'OktaSSOIdPMetadata "{okta.metadata_url()}"\n', "oidc": f'OktaSSOIdPMetadata "{provider.issuer}"\n' + client,
                           "keys": f'OktaSSOIdPMetadata "{site.server.dir}/discovery.json"\n' + client}.items():
            before = len(site.server.log.read_text())
            site.write(f"{name}.conf", text)
            wait_until(lambda: "net.address.refused" in site.server.log_since(0)[before:], "the refusal")
            assert site.status(f"/sso/okta/login/{name}") == (503, "flow.idp.unavailable")


def test_a_file_has_nothing_posted_inside(httpd, okta):
    """What its provider says of its own endpoints is no better: here of one that was known already."""
    site = Site(httpd, okta, {}, conf=PRIVATE)
    site.server.expect(r"flow\.idp\.unavailable", "OKS0030", r"net\.address\.refused")
    with oidc.started() as provider:
        site.write("globex.conf", f'OktaSSOIdPMetadata "{provider.issuer}"\nOktaSSOClientID {oidc.CLIENT}\nOktaSSOClientSecret "{oidc.SECRET}"\n')
        site.becomes("/sso/okta/login/globex", 303)
        site.server.configure(CONF)
        site.server.graceful()
        browser = site.server.browser()
        fields = provider.approve(browser.get("/sso/okta/login/globex?return=/page")["Location"])
        answer = browser.get("/sso/okta/callback/globex?" + oidc.urlencode(fields))
        assert (answer.status, answer.reason) == (503, "net.address.refused")
        site.server.configure(PRIVATE)
        site.server.graceful()
        fields = provider.approve(browser.get("/sso/okta/login/globex?return=/page")["Location"])
        assert browser.get("/sso/okta/callback/globex?" + oidc.urlencode(fields))["Location"] == "/page"


def test_configuration_is_fetched_whoever_names_the_same_url(httpd, okta):
    """One document for both: the administrator's word counts."""
    site = Site(httpd, okta, {"acme.conf": f'OktaSSOIdPMetadata "{okta.metadata_url()}"\n'}, conf=CONF + f"""
Listen 127.0.0.1:{(port := harness.free_port())}
<VirtualHost 127.0.0.1:{port}>
    <OktaSSOOrg inside>
        OktaSSOIdPMetadata "{okta.metadata_url()}"
    </OktaSSOOrg>
</VirtualHost>
""", start=False)
    site.server.expect(r"flow\.idp\.unavailable")
    site.start()
    wait_until(lambda: harness.Browser(port).get("/sso/okta/login/inside").status == 303, "its metadata")


def test_metadata_pasted_into_a_file(httpd, okta):
    site = Site(httpd, okta, {})
    xml = (site.server.dir / "idp.xml").read_text()
    site.write("acme.conf", f"<OktaSSOIdPMetadataXML>\n{xml}\n</OktaSSOIdPMetadataXML>\nOktaSSOSPEntityID urn:acme\n")
    site.becomes("/acme", 303)
    assert site.header(site.login(), "X-Remote-Org") == "acme"


def test_a_file_cannot_show_httpds_environment(httpd, okta):
    """By way of another file, in which ${VARIABLE} was not looked for."""
    site = Site(httpd, okta, {"fine.conf": ACME + 'OktaSSODefaultRole \\\n  "guest"\n'}, start=False)
    site.server.environment = {**site.server.environment, "DB_PASSWORD": "hunter2"}
    site.start()
    site.server.expect("OKS0037")
    included = site.server.dir / "included.txt"
    included.write_text('OktaSSOSPEntityID "urn:leak:${DB_PASSWORD}"\n')
    xml = (site.server.dir / "idp.xml").read_text()
    for name, text in {"closed": f"<OktaSSOIdPMetadataXML>\n{xml}\n</OktaSSOIdPMetadata\\\nXML>\nInclude {included}\n",
                       "opened": f'OktaSSOIdPMetadata "{{dir}}/idp.xml"\n# x \\\n<OktaSSOIdPMetadataXML>\nInclude {included}\n'}.items():
        site.write(f"{name}.conf", text)
        answer = site.server.browser().get(f"/sso/okta/metadata/{name}")
        assert (answer.status, answer.reason) == (404, "flow.org.unknown") and "hunter2" not in answer.text
    assert site.status("/sso/okta/login/fine")[0] == 303


def test_a_long_file_takes_no_more_memory_than_its_length(httpd, okta):
    site = Site(httpd, okta, {"acme.conf": ACME})
    site.server.expect("OKS0037")

    def children():
        """Their memory, in MiB."""
        return [int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read())[1]) >> 10 for pid in site.server.children()]
    before = children()
    site.write("long.conf", ACME + 999 * f"OktaSSORole role {'g' * 480}\n")
    assert all(site.status("/sso/okta/login/long")[0] == 303 for _ in range(20)), "in force, wherever it was asked for"
    assert max(children()) - min(before) < 24, (before, children())
    site.write("long.conf", ACME + 1001 * "OktaSSORole role group\n")
    site.told("line 1003: OktaSSORole stands on more than 1000 lines")


@pytest.mark.parametrize("text", [
    'OktaSSOIdPMetadata "{fifo}"', 'OktaSSOIdPMetadata "{fifo}"\nOktaSSOClientID c1', ACME + 'OktaSSOSPKey "{fifo}"\nOktaSSOSPCertificate "{fifo}"',
    'OktaSSOIdPSignOnURL "https://acme.okta.com"\nOktaSSOIdPIssuer urn:x\nOktaSSOIdPCertificate "{fifo}"',
    'OktaSSOIdPMetadata "https://acme.okta.com"\nOktaSSOClientID c1\nOktaSSOClientKey "{fifo}"'],
    ids=["metadata", "discovery", "key", "certificate", "client-key"])
def test_a_fifo_keeps_nobody_waiting(httpd, okta, text):
    site = Site(httpd, okta, {"acme.conf": ACME})
    site.server.expect("OKS0037")
    fifo = site.server.dir / "fifo"
    os.mkfifo(fifo)
    fifo.chmod(0o666)
    site.write("evil.conf", text.replace("{fifo}", str(fifo)))
    site.told(f"{fifo} is no regular file")
    assert all(site.status("/sso/okta/login/acme")[0] == 303 for _ in range(12)) and site.status("/sso/okta/login/evil")[0] == 404
    site.server.graceful()
    assert site.status("/sso/okta/login/acme")[0] == 303


def test_the_virtual_hosts_defaults_hold(httpd, okta):
    site = Site(httpd, okta, {"acme.conf": ACME}, conf="OktaSSORole boss Everyone\n" + CONF)
    assert site.header(site.login(), "X-Remote-Role") == "boss"


def test_require_sso_in_a_file_is_no_lesser(httpd, okta):
    conf = CONF + '<Location "/basic">\nAuthType Basic\nAuthName x\nAuthUserFile "{dir}/users"\nOktaSSOOrg acme\nRequire valid-user\n</Location>\n'
    site = Site(httpd, okta, {"acme.conf": ACME}, conf=conf, start=False)
    (site.server.dir / "users").write_text("ann:{SHA}dEy5qfs9VYN0TqPs6bTYGdkL3uI=\n")
    site.start()
    basic = {"Authorization": "Basic YW5uOmFubg=="}
    assert site.server.browser().get("/basic/x", headers=basic).status == 200
    site.server.expect(r"flow\.sso\.required")
    site.write("acme.conf", ACME + "OktaSSORequireSSO on\n")
    wait_until(lambda: site.server.browser().get("/basic/x", headers=basic).reason == "flow.sso.required", "the refusal")


def test_a_thousand_changes_under_load(httpd, okta):
    """Requests hold what they use: nothing is freed under them."""
    import concurrent.futures
    site = Site(httpd, okta, {"acme.conf": ACME})
    browser = site.login()
    done = []

    def ask():
        while not done:
            answer = site.server.browser_with(browser).get("/acme/headers.json")
            assert answer.status == 200, answer.status
        return True

    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask) for _ in range(4)]
        for number in range(12):
            site.write("acme.conf", ACME + f"OktaSSORole role{number} Everyone\n")
            wait_until(lambda: site.header(browser, "X-Remote-Role") == f"role{number}", "the change")
        done.append(True)
        assert all(each.result() for each in asking)
