"""OktaSSOAssertionHeader: what the backend gets, and that README's check of it works."""

import json
import re
import subprocess

import jwt
import pytest

import harness
from conftest import GUARDED

CONF = GUARDED.replace("    Require", "    OktaSSOAssertionHeader X-Remote-Assertion\n    Require") + """
<Location "/plain">
    Require all granted
    AuthType None
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""
AMELIA = "amelia.earhart@acme.example"


def received(browser, path="/headers.json", **options):
    return [value for name, value in browser.get(path, **options).json() if re.sub("[^a-z0-9]", "", name.lower()) == "xremoteassertion"]


def readme(language):
    return re.search(rf"```{language}\n(.*?)```", (harness.ROOT / "README.md").read_text(), re.S).group(1)


def python_check(site):
    """README's own lines, for this site."""
    scope = {}
    exec(readme("python").replace("https://app.example.com", f"http://127.0.0.1:{site.port}"), scope)
    return scope["identity"]


def test_the_readme_check_in_python(site):
    browser, _ = site.login()
    token = received(browser)[0]
    claims = python_check(site)({"X-Remote-Assertion": token})
    assert (claims["email"], claims["user"], claims["org"], claims["role"]) == (AMELIA, AMELIA, "acme", "member")
    assert claims["groups"] == ["Everyone", "Engineering", "Okta-Admins"] and claims["exp"] - claims["iat"] == 60
    assert len(claims["sub"]) == 32 and jwt.get_unverified_header(token)["alg"] == "ES256"
    with pytest.raises(jwt.InvalidSignatureError):
        python_check(site)({"X-Remote-Assertion": token[:-8] + "AAAAAAAA"})


def test_one_token_for_many_requests(site):
    browser, _ = site.login()
    tokens = {received(browser)[0] for _ in range(40)}
    assert len(tokens) <= 2 * len(site.children()), "a child signs once in half a minute"


def test_nobody_brings_one_from_outside(site):
    forged = {"X-Remote-Assertion": "forged", "x_remote-ASSERTION": "forged"}
    browser, _ = site.login()
    assert len(received(browser, headers=forged)) == 1 and received(browser, headers=forged)[0] != "forged"
    assert received(site.browser(), "/plain/headers.json", headers=forged) == []


def test_keys_are_public_and_nothing_else(site):
    answer = site.browser().get("/sso/okta/jwks")
    assert answer.status == 200 and answer["Content-Type"] == "application/jwk-set+json" and answer["Cache-Control"] == "public, max-age=900"
    for key in answer.json()["keys"]:
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"} and key["alg"] == "ES256"
    assert site.browser().post("/sso/okta/jwks", {}).status == 405
    assert site.browser().get("/sso/okta/jwks/acme").reason == "flow.path.unknown"


def test_keys_stay_over_a_restart(httpd):
    server = httpd(CONF)
    before = server.browser().get("/sso/okta/jwks").json()
    server.stop()
    server.start()
    assert server.browser().get("/sso/okta/jwks").json() == before


def test_no_request_without_a_signature(httpd):
    """Their document in the directory is damaged."""
    server = httpd(CONF)
    browser, _ = server.login()
    assert received(browser)
    server.stop()
    subprocess.run(["sqlite3", str(server.state / "directory.db"), "UPDATE documents SET content = 'broken' WHERE name LIKE 'assertion-keys:%'"],
                   check=True)
    server.start()
    server.expect(r"directory\.database\.unavailable")
    assert browser.get("/headers.json").reason == "directory.database.unavailable"


def test_it_merges_and_none_takes_it_away(httpd):
    server = httpd("OktaSSOAssertionHeader X-Signed\n" + GUARDED + 'ProxyPass "/" "http://127.0.0.1:{backend}/"\n')
    browser, _ = server.login()
    assert "X-Signed" in dict(browser.get("/headers.json").json())
    server.configure("OktaSSOAssertionHeader X-Signed\n" + GUARDED.replace("    Require", "    OktaSSOAssertionHeader none\n    Require")
                     + 'ProxyPass "/" "http://127.0.0.1:{backend}/"\n')
    server.stop()
    server.start()
    assert "X-Signed" not in dict(browser.get("/headers.json").json())


@pytest.mark.parametrize("line, said", [
    ("OktaSSOAssertionHeader X-Remote-User", "this header has the field user already"),
    ("OktaSSOAssertionHeader x-remote-email", "this header has the field email already"),
    ("OktaSSOAssertionHeader x_remote_email", "x_remote_email and X-Remote-Email are the same one for a backend"),
    ('OktaSSOAssertionHeader "a b"', "is no header name"),
])
def test_configtest(httpd, line, said):
    good, text = httpd(GUARDED.replace("    Require", f"    {line}\n    Require"), start=False).configtest()
    assert not good and said in text, text


def test_the_names_are_those_of_json_web_keys(site):
    json.loads(json.dumps(site.browser().get("/sso/okta/jwks").json()))
    client = jwt.PyJWKClient(f"http://127.0.0.1:{site.port}/sso/okta/jwks")
    assert len(client.get_signing_keys()) == 1
