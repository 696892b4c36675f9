"""What a SAML login costs: ours, mod_auth_mellon's, and xmlsec1's command line for parsing and verifying alone.

All three get Responses of the same stand-in, key and size, with the Response signed. CPU time of all of httpd's processes, interleaved
in one run: the Responses are there beforehand, and what is measured are their POSTs, one after another.
"""

import base64
import pathlib
import re
import resource
import statistics
import subprocess
import urllib.request

import harness

LOGINS, ROUNDS, WARM_UP = 40, 5, 20
EXK = {"oktasso": None, "mellon": "exkmellon0standin697"}
ONE_CHILD = "StartServers 1\nServerLimit 1\nMaxRequestWorkers 25\n"  # an idle child that wakes up and goes to sleep again is no login
OURS = """
<Location "/private">
    AuthType OktaSSO
    OktaSSOOrg acme
    OktaSSOIdPMetadata "{dir}/idp.xml"
    Require valid-user
</Location>
"""
MELLON = """
MellonCacheSize 100
<LocationMatch "^/(mellon|private)">
    Require all granted
    MellonEnable info
    MellonEndpointPath /mellon
    MellonSPPrivateKeyFile "{dir}/sp.key"
    MellonSPCertFile "{dir}/sp.crt"
    MellonIdPMetadataFile "{dir}/idp.xml"
    MellonSecureCookie Off
    MellonCookieSameSite Lax
</LocationMatch>
<Location "/private">
    AuthType Mellon
    MellonEnable auth
    Require valid-user
</Location>
"""


def application(server, which):
    base = f"http://127.0.0.1:{server.port}"
    if which == "oktasso":
        return vars(harness.config.default_app(f"{base}/sso/okta/acs/acme"))
    return vars(harness.config.default_app(f"{base}/mellon/postResponse", audience=f"{base}/mellon/metadata", exk=EXK[which], name="mellon_1",
                                           label="Mellon", name_id_format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient"))


def prepare(server, okta, which):
    """The identity provider's metadata, and our key."""
    okta.control(apps=[application(server, which)])
    (server.dir / "idp.xml").write_bytes(urllib.request.urlopen(okta.metadata_url(EXK[which])).read())
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=sp", "-days", "1000", "-keyout",
                    server.dir / "sp.key", "-out", server.dir / "sp.crt"], check=True, capture_output=True)
    (server.dir / "sp.key").chmod(0o644)
    (server.dir / "htdocs/private").write_text("a page\n")


def start(server):
    """(browser, the redirect to the identity provider)"""
    browser = server.browser()
    answer = browser.get("/private")
    if (answer["Location"] or "").startswith(f"http://127.0.0.1:{server.port}/"):  # mellon's own first step
        answer = browser.get(answer["Location"].split(str(server.port), 1)[1])
    assert answer.status == 303, (answer.status, answer.text[:300])
    return browser, answer["Location"]


def answered(server, okta, which):
    """(browser, what the identity provider answers it)"""
    browser, location = start(server)
    return browser, okta.answer(location, user="amelia.earhart@acme.example", sign="response", **({"app": EXK[which]} if EXK[which] else {}))


def finish(browser, minted, which):
    answer = browser.post("/sso/okta/acs/acme" if which == "oktasso" else "/mellon/postResponse", harness.post_fields(minted))
    assert answer.status == 303, (answer.status, answer.text[:300])


def cpu(server):
    """Nanoseconds of all threads of all processes so far."""
    tasks = [task for pid in [server.process.pid, *server.children()] for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def of_login(server, okta, which):
    """CPU time of one POST, and a Response of the kind."""
    logins = [answered(server, okta, which) for _ in range(LOGINS)]
    before = cpu(server)
    for browser, minted in logins:
        finish(browser, minted, which)
    return (cpu(server) - before) / LOGINS, minted["SAMLResponse"]


def of_xmlsec1(directory, response):
    """CPU time of parsing and verifying the same Response once, by another's program."""
    (directory / "response.xml").write_bytes(base64.b64decode(response))
    metadata = (directory / "idp.xml").read_text()
    lines = re.search(r"X509Certificate>([^<]+)<", metadata).group(1)
    (directory / "idp.crt").write_text(f"-----BEGIN CERTIFICATE-----\n{lines.strip()}\n-----END CERTIFICATE-----\n")
    spent = []
    for count in (1, 1 + 10 * LOGINS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        said = subprocess.run(["xmlsec1", "--verify", "--repeat", str(count), "--enabled-key-data", "x509,rsa", "--pubkey-cert-pem", directory / "idp.crt",
                               "--id-attr:ID", "urn:oasis:names:tc:SAML:2.0:protocol:Response", directory / "response.xml"], capture_output=True, text=True)
        assert said.returncode == 0 and "OK" in said.stdout + said.stderr, said.stderr[-500:]
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return (spent[1] - spent[0]) / (10 * LOGINS) * 1e9


def run(make, okta):
    """Prints the three, and whether the targets are met."""
    servers = {which: make(ONE_CHILD + conf, which) for which, conf in (("oktasso", OURS), ("mellon", MELLON))}
    times = {"oktasso": [], "mellon": [], "xmlsec1": []}
    for which, server in servers.items():
        prepare(server, okta, which)
        server.start()
        for _ in range(WARM_UP):  # each child opens its connections and parses the metadata once
            finish(*answered(server, okta, which), which)
    for _ in range(ROUNDS):
        for which, server in servers.items():
            okta.control(apps=[application(server, which)])
            spent, response = of_login(server, okta, which)
            times[which].append(spent)
            if which == "oktasso":
                times["xmlsec1"].append(of_xmlsec1(server.dir, response))
    for server in servers.values():
        server.end()
    ours, mellon, xmlsec1 = (statistics.median(times[which]) / 1000 for which in ("oktasso", "mellon", "xmlsec1"))
    print(f"CPU time of a SAML login (the POST): ours {ours:,.0f} µs, mod_auth_mellon {mellon:,.0f} µs (ours {ours / mellon:.2f} of it, target 0.50), "
          f"xmlsec1 parsing and verifying alone {xmlsec1:,.0f} µs (ours {ours / xmlsec1:.2f} times, target 1.50)")
    return ours <= mellon / 2 and ours <= 1.5 * xmlsec1
