"""Files of OktaSSOOrgDir that nobody in his right mind would write: what a fuzz target would do, were httpd's parser a library. Each
is in force or refused with a line in the log; httpd and the other organizations go on. The same files at each run."""

import random
import re

from harness import wait_until
from test_org_dir import ACME, Site

ROUNDS, FILES = 6, 60
SCIM = f"OktaSSOSCIMToken sha256:{'ab' * 32} one\n"
SEEDS = [
    ACME,
    ACME + "OktaSSORole boss Everyone \"Some Group\"\nOktaSSODefaultRole guest\nOktaSSOSession lifetime=8h idle=1h\n",
    ACME + "# of a partner\nOktaSSOEmailDomain a{n}.example *.b{n}.example\nOktaSSORequireSSO members\nOktaSSOProvisioning scim\n" + SCIM,
    ACME + "OktaSSOAttribute email! mail \\\n  email\nOktaSSOUserField firstName\nOktaSSOIdPInitiated off\nOktaSSOClockSkew 90s\n",
    ACME + "OktaSSOAlgorithms rsa-sha256 rsa-sha512\nOktaSSOForceAuthn On\nOktaSSOAuthnContext urn:a urn:b\nOktaSSOMaxAuthnAge 1h\n",
    ACME + "OktaSSOUnauthorized redirect\nOktaSSONameIDFormat none\nOktaSSOGroupDefaultRole staff\nOktaSSOEnabled On\n",
    'OktaSSOIdPMetadata "http://127.0.0.1:1/metadata"\nOktaSSOClientID c1\nOktaSSOClientSecret "a secret" post\nOktaSSOScope openid email\n',
    "<OktaSSOIdPMetadataXML>\n{xml}\n</OktaSSOIdPMetadataXML>\nOktaSSOSPEntityID urn:acme\n",
]
PIECES = ['"', "'", "\\", "\\\n", "\n", "\r\n", "\0", "<", ">", "</", "<If true>", "</If>", "${PATH}", "${", "%{ENV:PATH}", "#", "\ufeff", "\t", " ",
          "Include /etc/passwd\n", "Define X y\n", "LoadModule x y\n", "<OktaSSOIdPMetadataXML>\n", "</OktaSSOIdPMetadataXML>\n",
          "<OktaSSOOrg x>\n", "</OktaSSOOrg>\n", "OktaSSOPath /x\n", "OktaSSOOrg *\n", "OktaSSOEnabled Off\n", "OktaSSOHeader X-Y email\n",
          "*", "..", "/", "-1", "0", "99999999999999999999", "none", "!", "=", "a" * 9000, "\\" * 3000, '"' * 500, "é\u0301\u202e", "\x7f\x01"]


def mutate(text, rng):
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        at, way = rng.randrange(len(text) + 1), rng.randrange(6)
        lines = text.splitlines(keepends=True)
        if way == 0:
            text = text[:at] + rng.choice(PIECES) + text[at:]
        elif way == 1:
            text = text[:at] + text[at + rng.randrange(1, 20):]
        elif way == 2 and lines:
            text = text[:at] + rng.choice(lines) + text[at:]
        elif way == 3 and lines:
            rng.shuffle(lines)
            text = "".join(lines)
        elif way == 4 and at < len(text):
            text = text[:at] + chr(rng.randrange(256)) + text[at + 1:]
        else:
            words = re.split(r"(\s+)", text)
            words[rng.randrange(len(words))] = rng.choice(PIECES)
            text = "".join(words)
    return text


def last_words(log, name):
    """What the log last said of it: "force", "refused" or None."""
    said = re.findall(rf"OKS0037: \S*/{name}\.conf: .*|OKS0038: the organization {name} is in force", log)
    return said and ("force" if "OKS0038" in said[-1] else "refused")


def is_disabled(text):
    return re.search(r"OktaSSOEnabled\s*(\\\n\s*)?[\"']?off", text, re.I)


def test_hostile_files(httpd, okta):
    rng = random.Random("OktaSSOOrgDir")
    site = Site(httpd, okta, {"acme.conf": ACME})
    site.server.expect("OKS0037", r"flow\.idp\.unavailable", "OKS0030", "AH00111")
    browser = site.login()
    xml = (site.server.dir / "idp.xml").read_text()
    outcomes = {"force": 0, "refused": 0}
    for batch in range(ROUNDS):
        files = {}
        for i in range(FILES):
            seed = rng.choice(SEEDS).replace("{xml}", xml).replace("{n}", f"{batch}-{i}")
            files[f"m{batch}-{i}"] = mutate(seed, rng) if i else seed
        for name, text in files.items():
            site.put(f"{name}.conf", text)
        wait_until(lambda: all(last_words(site.server.log.read_text(errors="replace"), name) for name in files),
                   "a word about each file")
        log = site.server.log.read_text(errors="replace")
        for name, text in files.items():
            outcome = last_words(log, name)
            outcomes[outcome] += 1
            status, reason = site.status(f"/sso/okta/login/{name}")
            unknown = (status, reason) == (404, "flow.org.unknown")
            assert unknown == (outcome == "refused") or is_disabled(text), (name, outcome, status, reason, text[:2000])
        assert site.header(browser, "X-Remote-Org") == "acme" and site.status("/sso/okta/login/fixed")[0] == 303
        assert site.server.process.poll() is None and "exit signal" not in log
    assert min(outcomes.values()) > FILES / 2, outcomes
