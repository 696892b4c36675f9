"""Keycloak, from Maven Central: an identity provider for both protocols that nobody here wrote.

Fetched once into build/keycloak, checked against the digest below; where it cannot be fetched, its tests say so and are skipped.
"""

import hashlib
import html
import os
import re
import shutil
import subprocess

import pytest
import requests
from harness import ROOT, free_port, wait_until

VERSION = "26.5.6"
URL = f"https://repo1.maven.org/maven2/org/keycloak/keycloak-quarkus-dist/{VERSION}/keycloak-quarkus-dist-{VERSION}.tar.gz"
SHA256 = "fa3dd5df90b9ac006712c2f0991be4e8a6cb30ac538e0439ce2f45fc40f4c692"
HOME = ROOT / "build/keycloak"
PASSWORD = "secret of a test"
USER = {"username": "zoe", "email": "zoe@acme.example", "emailVerified": True, "firstName": "Zoë", "lastName": "山田 Søn", "enabled": True,
        "groups": ["Everyone", "Köln, Büro"], "credentials": [{"type": "password", "value": PASSWORD, "temporary": False}]}


def fetch():
    """The unpacked distribution; skips where the machine does not reach it."""
    if not shutil.which("java"):
        pytest.skip("no Java")
    unpacked = HOME / f"keycloak-{VERSION}"
    if unpacked.exists():
        return unpacked
    try:
        archive = requests.get(URL, timeout=(10, 120)).content
    except requests.RequestException as error:
        pytest.skip(f"Keycloak cannot be fetched: {error}")
    digest = hashlib.sha256(archive).hexdigest()
    assert digest == SHA256, f"what came from {URL} is {digest}"
    partial = HOME / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / "archive").write_bytes(archive)
    subprocess.run(["tar", "-xzf", "archive"], cwd=partial, check=True)
    (partial / unpacked.name).rename(unpacked)
    return unpacked


class Keycloak:
    def __init__(self, directory):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        home = directory / "keycloak"
        shutil.copytree(fetch(), home)
        self.log = open(directory / "keycloak.log", "w")
        self.process = subprocess.Popen(
            [home / "bin/kc.sh", "start-dev", "--http-host=127.0.0.1", f"--http-port={self.port}", "--log-level=warn"], stdout=self.log,
            stderr=self.log, start_new_session=True, env={**os.environ, "KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": PASSWORD})
        wait_until(self.answers, "Keycloak", deadline=240)
        self.admin("post", "", {"realm": "acme", "enabled": True, "sslRequired": "none", "users": [USER],
                                "groups": [{"name": name} for name in USER["groups"]]})

    def answers(self):
        assert self.process.poll() is None, "Keycloak ended: see keycloak.log"
        try:
            return requests.get(f"{self.url}/realms/master", timeout=20).ok
        except requests.ConnectionError:
            return False

    def admin(self, method, path, json=None, data=None):
        token = requests.post(f"{self.url}/realms/master/protocol/openid-connect/token", timeout=30, data={
            "grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": PASSWORD}).json()["access_token"]
        answer = requests.request(method, f"{self.url}/admin/realms{path}", json=json, data=data, timeout=30,
                                  headers={"Authorization": f"Bearer {token}"})
        assert answer.ok, (answer.status_code, answer.text)
        return answer

    def saml_metadata(self):
        return requests.get(f"{self.url}/realms/acme/protocol/saml/descriptor", timeout=30).text

    def sign_in(self, location):
        """The page or redirect after the person has typed the password at `location`."""
        session = requests.Session()
        for _ in range(3):
            page = session.get(location, timeout=30, allow_redirects=False)
            for cookie in session.cookies:
                cookie.secure = False  # browsers send it to loopback without TLS, too
            location = page.headers.get("Location")
            if not location:
                break
        action = re.search(r'<form[^>]*action="([^"]+)"', page.text)
        assert action, (page.status_code, re.sub(r'(?s)<(script|style|head).*?</\1>|<[^>]+>', ' ', page.text)[-600:])
        return session.post(html.unescape(action.group(1)), data={"username": "zoe", "password": PASSWORD}, timeout=30, allow_redirects=False)

    def stop(self):
        os.killpg(self.process.pid, 15)
        self.process.wait(60)
        self.log.close()
