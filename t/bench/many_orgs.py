"""What many organizations cost: start-up, memory of a child, and the instructions of a lookup, in the configuration and in files."""

import pathlib
import re
import time
import urllib.request

import harness

MANY = 10_000
START_TARGET, BYTES_TARGET = 5.0, 8 * 1024
ORG = ('OktaSSOIdPMetadata "https://org-{0}.okta.com/app/exk{0}/sso/saml/metadata"\nOktaSSOEmailDomain org-{0}.example\n'
       'OktaSSORole admin "Admins {0}"\nOktaSSOEnabled {1}\n')
LOCATION = """
StartServers 1
ServerLimit 1
MaxRequestWorkers 25
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{dir}/idp.xml"
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
"""


def conf_of(server, count, how, enabled="On"):
    """`count` organizations beside acme."""
    org = ORG.replace("{1}", enabled)
    if how == "configuration":
        return LOCATION + "".join(f"<OktaSSOOrg org-{i}>\n{org.format(i)}</OktaSSOOrg>\n" for i in range(count))
    folder = server.dir / "orgs"
    folder.mkdir(exist_ok=True)
    for i in range(count):
        (folder / f"org-{i}.conf").write_text(org.format(i))
    return 'OktaSSOOrgDir "{dir}/orgs"\n' + LOCATION


def resident_bytes(pid):
    """Of the child alone and of what it shares with its parent: what it would cost by itself."""
    return 1024 * int(re.search(r"^VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M).group(1))


def prepared(make, okta, count, how, enabled="On"):
    server = make(LOCATION)
    okta.control(apps=[vars(harness.config.default_app(f"http://127.0.0.1:{server.port}/sso/okta/acs/acme"))])
    (server.dir / "idp.xml").write_bytes(urllib.request.urlopen(okta.metadata_url()).read())
    server.configure(conf_of(server, count, how, enabled))
    server.own()
    return server


def started(make, okta, count, how):
    """(seconds until it answers, bytes of a child)"""
    server = prepared(make, okta, count, how)
    before = time.monotonic()
    server.start()
    known = server.browser().get(f"/sso/okta/login/{'org-0' if count else 'acme'}").status
    seconds = time.monotonic() - before
    assert known in (303, 503), known
    size = max(resident_bytes(pid) for pid in server.children())
    server.end()
    return seconds, size


def lookups(make, okta, count, how):
    """Instructions of a request that finds an organization by its name and is refused: it is switched off."""
    totals = []
    for requests in (50, 550):
        server = prepared(make, okta, count, how, enabled="Off")
        server.start_counted()
        browser = server.browser()
        for i in range(requests):
            assert browser.get(f"/sso/okta/metadata/org-{i % count}").status == 404
        totals.append(server.end_counted())
    return (totals[1] - totals[0]) / 500


def run(make, okta):
    good = True
    for how in ("configuration", "files"):
        none, many = started(make, okta, 0, how), started(make, okta, MANY, how)
        each = (many[1] - none[1]) / MANY
        few, all_of_them = lookups(make, okta, 10, how), lookups(make, okta, MANY, how)
        good = good and many[0] <= START_TARGET and each <= BYTES_TARGET and all_of_them <= 1.1 * few
        print(f"{MANY:,} organizations in {how}: start {many[0]:.2f} s (target {START_TARGET:.0f}), {each:,.0f} bytes of a child each (target "
              f"{BYTES_TARGET:,}), a lookup among 10 {few:,.0f} instructions, among {MANY:,} {all_of_them:,.0f}")
    return good
