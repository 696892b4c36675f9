"""Servers with organizations of OpenID Connect, and logins to them without a browser."""

import urllib.parse

import harness  # noqa: F401  (the path of the stand-in)
from okta import oidc

CONF = """
<OktaSSOOrg globex>
    OktaSSOIdPMetadata "{issuer}"
    OktaSSOClientID 0oaclient0standin0697
    {settings}
</OktaSSOOrg>
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg globex
    Require valid-user
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""
SECRET = f'OktaSSOClientSecret "{oidc.SECRET}"'
CALLBACK = "/sso/okta/callback/globex"


def configured(server, provider, settings=SECRET, conf=CONF):
    server.configure(conf.replace("{issuer}", provider.issuer).replace("{settings}", settings))
    server.expect(r"flow\.idp\.unavailable")
    return server


def call_back(server, browser, fields, path=CALLBACK):
    return browser.get(f"{path}?{urllib.parse.urlencode(fields)}")


def log_in(server, provider, browser=None, path="/headers.json?a=b", **user):
    browser = browser or server.browser()
    return browser, call_back(server, browser, provider.approve(server.start_login(browser, path), **user))


def refused(server, answer, reason, *logged):
    assert answer.reason == reason, (answer.status, answer.reason, answer["Location"])
    server.expect(reason.replace(".", r"\."), *logged)
