"""README's check of OktaSSOAssertionHeader in JavaScript, as it stands there."""

import json
import re
import subprocess

import harness

CONF = """
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    OktaSSOIdPMetadata "{okta}"
    OktaSSOAssertionHeader X-Remote-Assertion
    Require valid-user
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""
ASK = """
import { identity } from "./identity.mjs";
try { console.log(JSON.stringify(await identity({ "x-remote-assertion": process.argv[2] }))); }
catch (error) { console.log(JSON.stringify({ refused: error.code })); }
"""


def test_the_readme_check_in_javascript(npm, backend_port, tmp_path):
    with harness.client.started(tmp_path, apps=[harness.config.default_app("http://127.0.0.1:1/sso/okta/acs/acme")]) as okta:
        server = harness.Httpd(CONF, okta=okta, backend_port=backend_port)
        try:
            okta.control(apps=[vars(harness.config.default_app(f"http://127.0.0.1:{server.port}/sso/okta/acs/acme"))])
            server.expect(r"flow\.idp\.unavailable")
            server.start()
            server.wait_for_metadata()
            browser, _ = server.login()
            token = dict(browser.get("/headers.json").json())["X-Remote-Assertion"]
            code = re.search(r"```js\n(.*?)```", (harness.ROOT / "README.md").read_text(), re.S).group(1)
            (npm / "identity.mjs").write_text(code.replace("https://app.example.com", f"http://127.0.0.1:{server.port}"))
            (npm / "ask.mjs").write_text(ASK)
            said = [json.loads(subprocess.run(["node", "ask.mjs", value], cwd=npm, capture_output=True, text=True, check=True, timeout=60).stdout)
                    for value in (token, token[:-8] + "AAAAAAAA")]
            assert said[0]["email"] == "amelia.earhart@acme.example" and said[0]["org"] == "acme"
            assert said[1] == {"refused": "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"}
        finally:
            server.close()
