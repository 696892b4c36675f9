"""SCIM against PyPI's scim2-tester: discovery, every method, and PATCH of each attribute that our schemas name."""

import hashlib
import re
import subprocess

import harness
import pytest

PACKAGES = ["scim2-cli==0.6.0", "scim2-tester==0.5.2"]
TOKEN = "a-token-for-the-tester"
CONF = f"""
<OktaSSOOrg acme>
    OktaSSOIdPMetadata "{{dir}}/idp.xml"
    OktaSSOSCIMToken sha256:{hashlib.sha256(TOKEN.encode()).hexdigest()}
</OktaSSOOrg>
"""
# `active` is always true or false here; and members are users that exist, which the tester's are not.
KNOWN = {"did not remove attribute 'active'", "unexpected value for 'members'"}


@pytest.fixture(scope="session")
def scim2():
    """The program, in an environment of its own."""
    place = harness.ROOT / "build/scim2"
    try:
        subprocess.run(["/usr/bin/python3", "-m", "venv", place], check=True, capture_output=True, timeout=120)
        subprocess.run([place / "bin/pip", "install", "-q", *PACKAGES], check=True, capture_output=True, timeout=300)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"scim2-tester cannot be installed: {error}")
    return place / "bin/scim2"


def test_all_that_the_tester_asks(scim2, backend_port):
    server = harness.Httpd(CONF, backend_port=backend_port)
    try:
        (server.dir / "idp.xml").write_bytes((harness.ROOT / "t/vectors/okta/metadata.xml").read_bytes())
        server.start()
        done = subprocess.run([scim2, "--url", f"http://127.0.0.1:{server.port}/sso/okta/scim/acme/v2", "--header", f"Authorization: Bearer {TOKEN}",
                               "test"], capture_output=True, text=True, timeout=300)
        results = re.split(r"(?m)^(?=(?:SUCCESS|ERROR|CRITICAL|SKIPPED|COMPLIANT|DEVIATION|ACCEPTABLE)\b)", done.stdout)
        bad = [each for each in results if each.startswith(("ERROR", "CRITICAL", "DEVIATION")) and not any(known in each for known in KNOWN)]
        assert sum(each.startswith("SUCCESS") for each in results) > 120, done.stdout[-2000:] + done.stderr[-2000:]
        assert not bad, "\n".join(bad)
    finally:
        server.close()
