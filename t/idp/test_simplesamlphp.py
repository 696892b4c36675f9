"""Logins against SimpleSAMLphp (Debian's package, PHP's built-in server), its sign-in form included."""

import html
import os
import re
import shutil
import subprocess

import pytest
import requests
from conftest import headers
from harness import free_port, wait_until

ROOT = "/usr/share/simplesamlphp"
ALGORITHM = "http://www.w3.org/2001/04/xmldsig-more#rsa-%s"


class SimpleSAMLphp:
    def __init__(self, directory, key, algorithm="sha256", **switches):
        self.dir, self.port = directory, free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        (directory / "metadata").mkdir()
        for file in key:
            shutil.copy(file, directory)
        settings = "".join(f"'{name}' => {value}, " for name, value in switches.items())
        self.write("config.php", f"""$config = ['baseurlpath' => '{self.url}', 'certdir' => '{directory}/', 'loggingdir' => '{directory}/',
            'datadir' => '{directory}/', 'tempdir' => '{directory}/', 'metadatadir' => '{directory}/metadata', 'secretsalt' => 'salt of a test',
            'auth.adminpassword' => 'admin of a test', 'technicalcontact_email' => 'a@acme.example', 'timezone' => 'UTC', 'debug' => [],
            'enable.saml20-idp' => true, 'module.enable' => ['exampleauth' => true, 'core' => true, 'saml' => true],
            'session.cookie.secure' => false, 'store.type' => 'phpsession', 'session.phpsession.savepath' => '{directory}',
            'logging.handler' => 'file', 'logging.level' => 5, 'theme.use' => 'default', 'language.default' => 'en',
            'metadata.sources' => [['type' => 'flatfile'], ['type' => 'xml', 'file' => '{directory}/sp.xml']]];""")
        self.write("authsources.php", """$config = ['test' => ['exampleauth:UserPass', 'zoe:secret' => ['uid' => ['zoe'],
            'email' => ['zoe@acme.example'], 'firstName' => ['Zoë'], 'lastName' => ['山田 & <Søn>'], 'groups' => ['Everyone', 'Admins']]]];""")
        self.write("metadata/saml20-idp-hosted.php", f"""$metadata['{self.url}idp'] = ['host' => '__DEFAULT__', 'privatekey' => 'idp.key',
            'certificate' => 'idp.crt', 'auth' => 'test', 'signature.algorithm' => '{ALGORITHM % algorithm}', {settings}];""")
        (directory / "sp.xml").write_text('<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata"/>')
        self.log = open(directory / "php.log", "wb")
        self.process = subprocess.Popen(["php", "-S", f"127.0.0.1:{self.port}", "-t", f"{ROOT}/www"], stdout=self.log, stderr=self.log,
                                        env={**os.environ, "SIMPLESAMLPHP_CONFIG_DIR": str(directory)})
        wait_until(self.answers, "SimpleSAMLphp")

    def write(self, name, php):
        (self.dir / name).write_text(f"<?php\n{php}\n")

    def answers(self):
        assert self.process.poll() is None, (self.dir / "php.log").read_text()
        try:
            return requests.get(self.url + "saml2/idp/metadata.php", timeout=20).status_code
        except requests.ConnectionError:
            return False

    def metadata(self):
        answer = requests.get(self.url + "saml2/idp/metadata.php", timeout=20)
        assert answer.ok and "EntityDescriptor" in answer.text, answer.text[:2000] + (self.dir / "php.log").read_text()[-2000:]
        return answer.text

    def sign_in(self, location):
        """What the browser would post to us after the person has signed in at `location`."""
        session = requests.Session()
        page = session.get(location, timeout=20)
        fields = dict(re.findall(r'name="(AuthState)" value="([^"]*)"', page.text))
        assert fields, page.text[:3000]
        fields = {"AuthState": html.unescape(fields["AuthState"]), "username": "zoe", "password": "secret"}
        page = session.post(page.url, data=fields, timeout=20)
        found = re.findall(r'name="(SAMLResponse|RelayState)" value="([^"]*)"', page.text)
        assert len(found) == 2, page.text[:3000]
        return {name: html.unescape(value) for name, value in found}

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


@pytest.fixture
def simplesamlphp(tmp_path, idp_key):
    made = []

    def make(**options):
        made.append(SimpleSAMLphp(tmp_path, idp_key, **options))
        return made[-1]
    yield make
    for idp in made:
        idp.stop()


@pytest.mark.parametrize("options,settings", [
    ({}, ""), ({"algorithm": "sha512"}, ""), ({"saml20.sign.response": "false", "saml20.sign.assertion": "true"}, ""),
    ({"saml20.sign.response": "true", "saml20.sign.assertion": "false"}, ""),
    ({"validate.authnrequest": "true", "redirect.validate": "true"}, "OktaSSOSignRequests On"),
    ({"assertion.encryption": "true"}, "OktaSSOSignRequests On"),
], ids=["default", "SHA-512", "Assertion signed", "Response signed", "it verifies our requests", "encrypted"])
def test_login(guarded, simplesamlphp, options, settings):
    idp = simplesamlphp(**options)
    site = guarded(idp.metadata(), settings)
    (idp.dir / "sp.xml").write_text(site.browser().get("/sso/okta/metadata/acme").text)  # as it is
    browser = site.browser()
    answer = browser.post("/sso/okta/acs/acme", idp.sign_in(site.start_login(browser, "/headers.json?a=1")))
    assert (answer.status, answer["Location"]) == (303, "/headers.json?a=1"), answer.reason
    seen = headers(browser)
    assert (seen["X-Remote-User"], seen["X-Remote-LastName"], seen["X-Remote-Groups"]) == ("zoe@acme.example", "山田 & Søn", "Everyone,Admins")


def test_its_cbc_without_a_signed_response_is_refused(guarded, simplesamlphp):
    """It has AES-CBC alone, which says nothing of who wrote it."""
    idp = simplesamlphp(**{"assertion.encryption": "true", "saml20.sign.response": "false", "saml20.sign.assertion": "true"})
    site = guarded(idp.metadata(), "OktaSSOSignRequests On")
    site.expect(r"xml\.encryption\.algorithm: without a signature around it, cipher .*aes128-cbc")
    (idp.dir / "sp.xml").write_text(site.browser().get("/sso/okta/metadata/acme").text)
    browser = site.browser()
    assert browser.post("/sso/okta/acs/acme", idp.sign_in(site.start_login(browser))).reason == "xml.encryption.algorithm"
