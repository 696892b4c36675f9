"""OpenID Connect against Keycloak: the ways to ask, to prove who we are, and to sign, each in a login."""

import html
import json
import re

import harness
import pytest
from conftest import headers
from jwcrypto import jwk

CONF = """
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    OktaSSOIdPMetadata "{issuer}"
    OktaSSOClientID app
    OktaSSOScope openid profile email
    {settings}
    Require valid-user
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""
SECRET = 'OktaSSOClientSecret "hunter2 & more"'
KEY = 'OktaSSOClientKey "{dir}/client.pem"'
GROUPS = {"name": "groups", "protocol": "openid-connect", "protocolMapper": "oidc-group-membership-mapper",
          "config": {"claim.name": "groups", "full.path": "false", "userinfo.token.claim": "true", "id.token.claim": "false"}}


def register(keycloak, site, attributes, jwks):
    """The client, as an administrator registers it; the one of the test before goes."""
    for known in keycloak.admin("get", "/acme/clients?clientId=app").json():
        keycloak.admin("delete", f"/acme/clients/{known['id']}")
    client = {"clientId": "app", "redirectUris": [f"http://127.0.0.1:{site.port}/sso/okta/callback/acme"], "protocolMappers": [GROUPS],
              "secret": "hunter2 & more", "attributes": {"pkce.code.challenge.method": "S256", **attributes}}
    if jwks:
        client["clientAuthenticatorType"] = "client-jwt"
        client["attributes"].update({"use.jwks.string": "true", "jwks.string": jwks})
    keycloak.admin("post", "/acme/clients", client)


def log_in(keycloak, site):
    browser = site.browser()
    page = keycloak.sign_in(site.start_login(browser, "/headers.json?a=1"))
    if page.status_code == 302:
        return browser, browser.get(page.headers["Location"].split(str(site.port), 1)[1])
    fields = {name: html.unescape(value) for name, value in re.findall(r'NAME="(\w+)" VALUE="([^"]*)"', page.text, re.I)}
    assert {"code", "state"} <= set(fields), (page.status_code, re.sub(r'(?s)<(script|style|head).*?</\1>|<[^>]+>', ' ', page.text)[-600:])
    return browser, browser.post("/sso/okta/callback/acme", fields)


@pytest.mark.parametrize("settings, attributes", [
    (SECRET, {}), (SECRET + " post", {}), (SECRET + "\n OktaSSOResponseMode form_post", {}),
    (SECRET + "\n OktaSSOPAR On", {"require.pushed.authorization.requests": "true"}),
    (SECRET, {"id.token.signed.response.alg": "ES256"}), (SECRET, {"id.token.signed.response.alg": "PS256"}),
    (SECRET, {"id.token.signed.response.alg": "EdDSA"}), (SECRET, {"user.info.response.signature.alg": "RS256"}), (KEY, {}),
], ids=["basic", "post", "form_post", "PAR", "ES256", "PS256", "EdDSA", "signed userinfo", "private_key_jwt"])
def test_login(keycloak, unconfigured, settings, attributes):
    site = unconfigured
    jwks = ""
    if settings == KEY:
        key = jwk.JWK.generate(kty="RSA", size=2048)
        (site.dir / "client.pem").write_bytes(key.export_to_pem(private_key=True, password=None))
        jwks = json.dumps({"keys": [{**json.loads(key.export_public()), "kid": key.thumbprint(), "use": "sig", "alg": "RS256"}]})
    site.configure(CONF.replace("{issuer}", f"{keycloak.url}/realms/acme/.well-known/openid-configuration").replace("{settings}", settings))
    site.expect(r"flow\.idp\.unavailable")
    register(keycloak, site, attributes, jwks)
    site.start()
    harness.wait_until(lambda: site.browser().get("/sso/okta/login/acme").status == 303, "discovery")
    browser, answer = log_in(keycloak, site)
    assert (answer.status, answer["Location"]) == (303, "/headers.json?a=1"), (answer.reason, site.verdicts()[-1])
    seen = headers(browser)
    assert (seen["X-Remote-User"], seen["X-Remote-FirstName"], seen["X-Remote-LastName"]) == ("zoe@acme.example", "Zoë", "山田 Søn")
    assert sorted(seen["X-Remote-Groups"].split(",")) == ["Everyone", "Köln%2C Büro"]
