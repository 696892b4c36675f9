"""The examples of conf.d/reference.md and README.md are configurations that httpd takes."""

import pathlib
import re
import shutil
import subprocess
import tempfile

import harness
import pytest

SERVER = ("OktaSSOPath", "OktaSSOBaseURL", "OktaSSOPageTemplate", "OktaSSOStateDir", "OktaSSODirectory", "OktaSSOKeys", "OktaSSOHTTPTimeout",
          "OktaSSOCertificateOverlap", "OktaSSODirectoryGrace", "OktaSSOOrgDir", "OktaSSOAuditLog")
METADATA = 'OktaSSOIdPMetadata "https://acme.okta.com/app/exk1/sso/saml/metadata"\n'


def blocks(name):
    """(heading, example) of a document's indented blocks; those of README are the ones with directives of ours."""
    found, heading = [], ""
    for part in re.split(r"(?m)^(?=#{2,3} )", (harness.ROOT / name).read_text()):
        heading = part.splitlines()[0].strip("# ")
        found += [(heading, block) for block in re.findall(r"(?m)(?:^    .*\n|^\n(?=    ))+", part) if "OktaSSO" in block]
    return found


EXAMPLES = blocks("conf.d/reference.md") + blocks("README.md")


@pytest.fixture(scope="module")
def files():
    """What the examples name, where httpd's User may read it."""
    place = pathlib.Path(tempfile.mkdtemp(prefix="oktasso-test-"))
    place.chmod(0o755)
    for key, certificate in (("sp.key", "sp.crt"), ("client.pem", "ca.pem"), ("other.key", "okta-acme.cert")):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=t", "-keyout", place / key, "-out",
                        place / certificate], check=True, capture_output=True)
    (place / "acme.secret").write_text("secret\n")
    (place / "users").write_text("")
    (place / "session.keys").write_text("ab" * 32 + "\n")
    (place / "session.keys").chmod(0o600)
    (place / "page.html").write_text("<!DOCTYPE html>\n<body>{{content}}")
    (place / "orgs").mkdir()
    (place / "orgs/acme.conf").write_text(METADATA)
    yield place
    shutil.rmtree(place)


def wrapped(block, files):
    text = re.sub(r"(?m)^ {4}", "", block).replace("/etc/apache2/", f"{files}/").replace("/srv/oktasso", str(files))
    text = re.sub(r"(?m)^LoadModule .*\n|^# .*\n", "", text).replace("0oa1...", "0oa1").replace("modules/", "")
    if text.lstrip().startswith(("<OktaSSOOrg ", "<Location", "<VirtualHost")):
        outer = "" if re.search("OktaSSOIdP|<OktaSSOOrg acme", text) else METADATA.join(("<OktaSSOOrg acme>\n", "</OktaSSOOrg>\n"))
        return outer + text
    if text.lstrip().startswith(SERVER):
        return text if "OktaSSOOrgDir" not in text else text.split("\n\n")[0]
    if "<?xml" in text:
        xml = (harness.ROOT / "t/vectors/okta/metadata.xml").read_text()
        text = re.sub(r"(?s)(<OktaSSOIdPMetadataXML>\n).*(</OktaSSO)", lambda match: match.group(1) + xml + "\n" + match.group(2), text)
    own = re.search(r"OktaSSOIdP(Metadata|SignOnURL)|MetadataXML", text)
    return f"<OktaSSOOrg acme>\n{'' if own else METADATA}{text}</OktaSSOOrg>\n"


@pytest.mark.parametrize("heading, block", EXAMPLES, ids=[f"{i} {heading[:40]}" for i, (heading, _) in enumerate(EXAMPLES)])
def test_example(httpd, files, heading, block):
    server = httpd(wrapped(block, files), start=False, modules=("rewrite",))
    good, said = server.configtest()
    assert good, said + "\n" + wrapped(block, files)


def test_every_directive_has_an_example():
    shown = "\n".join(block for _, block in blocks("conf.d/reference.md"))
    directives = set(re.findall(r"`<?(OktaSSO\w+)", "\n".join(re.findall(r"(?m)^### .*", (harness.ROOT / "conf.d/reference.md").read_text()))))
    assert len(directives) > 45 and not {name for name in directives if name not in shown}
