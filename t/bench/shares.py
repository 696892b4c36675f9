"""Where the instructions of a login go: of the request that ends it, the parts by the functions that do them (callgrind, inclusive)."""

import re
import subprocess

import oidc_login
import saml_login

LOGINS = 60
# What counts as what: functions that are not called from one another.
SAML = {"parsing XML": ["oks_xml_parse"], "verifying signatures": ["oks_xml_verify"], "one transaction": ["oks_directory_login"],
        "sealing and opening": ["oks_seal", "oks_unseal_into", "oks_unseal"]}
OPENID = {"asking the provider": ["oks_net_send"], "verifying the token": ["oks_jws_verify"], "one transaction": ["oks_directory_login"],
          "sealing and opening": ["oks_seal", "oks_unseal_into", "oks_unseal"]}


def inclusive(server):
    """{function: instructions with all that it calls}, of the process that served."""
    costs = {}
    for path in server.dir.glob("callgrind.*"):
        said = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", path], capture_output=True, text=True).stdout
        for count, name in re.findall(r"^ *([\d,]+) \([ \d.]+%\) .*?:(\w+)", said, re.M):
            costs[name] = max(costs.get(name, 0), int(count.replace(",", "")))
    return costs


def show(what, whole, costs, parts):
    total = costs[whole]
    shares = {part: sum(costs.get(name, 0) for name in names) / total for part, names in parts.items()}
    told = ", ".join(f"{part} {share:.0%}" for part, share in sorted(shares.items(), key=lambda each: -each[1]))
    print(f"{what}: {total / LOGINS:,.0f} instructions: {told}, the rest {1 - sum(shares.values()):.0%}")
    return 1 - sum(shares.values())


def run(make, okta, provider):
    server = make(saml_login.OURS)
    saml_login.prepare(server, okta, "oktasso")
    server.own()
    server.start_counted()
    for _ in range(LOGINS):
        saml_login.finish(*saml_login.answered(server, okta, "oktasso"), "oktasso")
    server.stop()
    rest = show("a SAML login (the POST)", "oks_flow_serve_acs", inclusive(server), SAML)
    server.end()
    server = make(oidc_login.OURS.replace("{issuer}", provider.issuer))
    oidc_login.prepare(server, provider, server.start_counted, 0)
    for _ in range(LOGINS):
        oidc_login.finish(*oidc_login.approved(server, provider))
    server.stop()
    show("an OpenID Connect login (the callback)", "oks_flow_serve_callback", inclusive(server), OPENID)
    server.end()
    return rest < 0.25
