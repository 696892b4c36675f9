"""What an OpenID Connect login costs: ours and mod_auth_openidc's, against the same provider, in one run.

Callbacks whose codes are there beforehand: the token request, the ID token, userinfo and the session. Instructions (callgrind) decide:
CPU time is also shown, and in it what the kernel does to put our session on disk before we answer, which the other keeps in memory.
"""

import statistics

import harness
from okta import oidc
from saml_login import LOGINS, ONE_CHILD, ROUNDS, WARM_UP, cpu

COUNTED = 100
OURS = """
<Location "/private">
    AuthType OktaSSO
    OktaSSOOrg acme
    OktaSSOIdPMetadata "{issuer}"
    OktaSSOClientID 0oaclient0standin0697
    OktaSSOClientSecret "a secret of the stand-in"
    OktaSSOScope openid email
    Require valid-user
</Location>
"""
RIVAL = """
OIDCProviderMetadataURL {issuer}/.well-known/openid-configuration
OIDCClientID 0oaclient0standin0697
OIDCClientSecret "a secret of the stand-in"
OIDCProviderTokenEndpointAuth client_secret_basic
OIDCRedirectURI /private/callback
OIDCCryptoPassphrase "of the bench"
OIDCPKCEMethod S256
OIDCScope "openid email"
<Location "/private">
    AuthType openid-connect
    Require valid-user
</Location>
"""


def approved(server, provider, **user):
    """(browser, the path of the callback)"""
    browser = server.browser()
    answer = browser.get("/private")
    assert answer.status in (302, 303), (answer.status, answer.text[:300])
    asked = provider.request(answer["Location"])
    fields = provider.grant(asked, {**oidc.USER, **user})
    path = asked["redirect_uri"].split(str(server.port), 1)[1]
    return browser, f"{path}?{oidc.urlencode(fields)}"


def finish(browser, path):
    answer = browser.get(path)
    assert answer.status in (302, 303) and answer["Location"].endswith("/private"), (answer.status, answer.text[:300])


def of_login(server, provider):
    logins = [approved(server, provider) for _ in range(LOGINS)]
    before = cpu(server)
    for login in logins:
        finish(*login)
    return (cpu(server) - before) / LOGINS


def prepare(server, provider, start, warm_up):
    (server.dir / "htdocs/private").write_text("a page\n")
    server.own()
    start()
    harness.wait_until(lambda: server.browser().get("/private").status in (302, 303), "the provider's documents")
    for _ in range(warm_up):
        finish(*approved(server, provider))


def instructions(make, conf, which, provider):
    """Of one callback: a run with callbacks, less one of the same logins without."""
    totals = []
    for callbacks in (0, COUNTED):
        server = make(conf, which)
        prepare(server, provider, server.start_counted, 5)
        logins = [approved(server, provider) for _ in range(COUNTED)]
        for login in logins[:callbacks]:
            finish(*login)
        totals.append(server.end_counted())
    return (totals[1] - totals[0]) / COUNTED


def run(make):
    confs, times, counts = {"ours": OURS, "mod_auth_openidc": RIVAL}, {"ours": [], "mod_auth_openidc": []}, {}
    with oidc.started() as provider:
        confs = {which: conf.replace("{issuer}", provider.issuer) for which, conf in confs.items()}
        for which, conf in confs.items():
            counts[which] = instructions(make, conf, which, provider)
        servers = {which: make(ONE_CHILD + conf, which) for which, conf in confs.items()}
        for server in servers.values():
            prepare(server, provider, server.start, WARM_UP)
        for _ in range(ROUNDS):
            for which, server in servers.items():
                times[which].append(of_login(server, provider))
        for server in servers.values():
            server.end()
    ours, rival = (statistics.median(times[which]) / 1000 for which in times)
    print(f"an OpenID Connect login (the callback): ours {counts['ours']:,.0f} instructions, mod_auth_openidc {counts['mod_auth_openidc']:,.0f} "
          f"(ours {counts['ours'] / counts['mod_auth_openidc']:.2f} of it, target 0.50); CPU time with the kernel's {ours:,.0f} µs and "
          f"{rival:,.0f} µs ({ours / rival:.2f})")
    return counts["ours"] <= counts["mod_auth_openidc"] / 2
