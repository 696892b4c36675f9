"""Each directive: what it does when it comes from another layer, and what configtest says when it is wrong."""

import os
import re
import subprocess
import urllib.request

import pytest

import harness

LOCATION = """
<Location "/">
    AuthType OktaSSO
    OktaSSOOrg acme
    Require valid-user
</Location>
ProxyPass "/" "http://127.0.0.1:{backend}/"
"""
METADATA = '    OktaSSOIdPMetadata "{okta}"\n'
ORG = f"<OktaSSOOrg acme>\n{METADATA}</OktaSSOOrg>\n"


def headers(browser, path="/headers.json"):
    answer = browser.get(path)
    assert answer.status == 200, (answer.status, answer.reason)
    return {name: value for name, value in answer.json() if name.startswith("X-")}


# ---- configtest: file, line and the mend ----

WRONG = {
    "org nowhere defined": (LOCATION, "organization acme has no OktaSSOIdPMetadata"),
    "bad org name": ("<OktaSSOOrg Acme_Corp>\n</OktaSSOOrg>\n", 'write 1 to 63 of a-z, 0-9 and -'),
    "bad org name in a Location": ('<Location "/">\nOktaSSOOrg Acme_Corp\n</Location>\n', "is no organization name"),
    "any organization of none": ('<Location "/">\nOktaSSOOrg *\n</Location>\n', "OktaSSOOrg *: there is no organization here: define one by <OktaSSOOrg NAME>"),
    "any organization of none in the virtual host": (
        '<VirtualHost 127.0.0.1:1>\n<Location "/">\nOktaSSOOrg *\n</Location>\n</VirtualHost>\n'
        f"<VirtualHost 127.0.0.1:2>\n{ORG}</VirtualHost>\n", "OktaSSOOrg *: there is no organization here"),
    "two sections": (ORG + ORG, "merge the two sections"),
    "two Locations that disagree": (
        f'<Location "/a">\nOktaSSOOrg acme\n{METADATA}OktaSSOUserField email\n</Location>\n'
        '<Location "/b">\nOktaSSOOrg acme\nOktaSSOUserField name\n</Location>\n', "OktaSSOUserField of the organization acme differs"),
    "two Locations that disagree in a line": (
        f'<Location "/a">\nOktaSSOOrg acme\n{METADATA}OktaSSORole boss a\nOktaSSORole boss b\n</Location>\n'
        '<Location "/b">\nOktaSSOOrg acme\nOktaSSORole boss a\nOktaSSORole boss c\n</Location>\n', "OktaSSORole of the organization acme differs"),
    "two Locations that disagree in the number of lines": (
        f'<Location "/a">\nOktaSSOOrg acme\n{METADATA}OktaSSORole boss a\n</Location>\n'
        '<Location "/b">\nOktaSSOOrg acme\nOktaSSORole boss a\nOktaSSORole boss b\n</Location>\n', "OktaSSORole of the organization acme differs"),
    "a foreign directive in a section": ("<OktaSSOOrg acme>\nRequire all granted\n</OktaSSOOrg>\n", "cannot stand in <OktaSSOOrg>"),
    "a setting without its organization": ('<Location "/">\nOktaSSOSession idle=1h\n</Location>\n', "needs OktaSSOOrg NAME in the same section"),
    "OktaSSOOrg outside a Location": ("OktaSSOOrg acme\n", "belongs into a <Location>"),
    "OktaSSOIdPMetadata unreadable": ('<OktaSSOOrg acme>\nOktaSSOIdPMetadata "/nowhere/idp.xml"\n</OktaSSOOrg>\n', "/nowhere/idp.xml cannot be read"),
    "OktaSSOIdPMetadata no file": ('<OktaSSOOrg acme>\nOktaSSOIdPMetadata "/dev/zero"\n</OktaSSOOrg>\n', "/dev/zero is no regular file"),
    "OktaSSOIdPMetadata no metadata": ('<OktaSSOOrg acme>\nOktaSSOIdPMetadata "/etc/passwd"\n</OktaSSOOrg>\n', "is not usable"),
    "OktaSSOIdPMetadata over http": ('<OktaSSOOrg acme>\nOktaSSOIdPMetadata "http://acme.okta.com/x"\n</OktaSSOOrg>\n', "must be an https URL"),
    "OktaSSOSPEntityID": ("OktaSSOSPEntityID acme\n", "write https://... or urn:..."),
    "OktaSSOAttribute": ("OktaSSOAttribute email\n", "OktaSSOAttribute email mail"),
    "OktaSSOAttribute role": ("OktaSSOAttribute role r\n", "see OktaSSOUserField and OktaSSORole"),
    "OktaSSOAttribute of a built-in field's name": ("OktaSSOAttribute ORG o\n", "ORG and the built-in field org would be one variable, OKTASSO_ORG"),
    "OktaSSOAttribute of another field's name": ("OktaSSOAttribute dept d\nOktaSSOAttribute Dept e\n", "Dept and the field dept would be one variable"),
    "OktaSSOHeader unknown field": (ORG + "OktaSSOHeader X-Dept department\n", 'the field "department" is not known'),
    "OktaSSOHeader colliding": ("OktaSSOHeader X-Dept name\nOktaSSOHeader X_Dept email\n", "are the same one for a backend"),
    "OktaSSOHeader of a default one's other spelling": ("OktaSSOHeader X_Remote_User email\n",
                                                        "X_Remote_User and X-Remote-User are the same one for a backend: write X-Remote-User"),
    "OktaSSOHeader name": ('OktaSSOHeader "X Dept" name\n', "is no header name"),
    "OktaSSOUserField": (ORG + "OktaSSOUserField nickname\n", 'the field "nickname" is not known'),
    "OktaSSOSession": ("OktaSSOSession idle=8\n", "write a whole number and a unit, such as 90s, 15m, 8h or 7d"),
    "OktaSSOSession order": ("OktaSSOSession lifetime=1h idle=2h\n", "idle is longer than lifetime"),
    "OktaSSOClockSkew": ("OktaSSOClockSkew 1h\n", "mend the clock"),
    "OktaSSOUnauthorized": ("OktaSSOUnauthorized maybe\n", "takes auto, redirect, 401 or pass"),
    "OktaSSOEnabled": ("OktaSSOEnabled maybe\n", "OktaSSOEnabled must be On or Off"),
    "OktaSSODefaultRole": ("OktaSSODefaultRole\n", "OktaSSODefaultRole takes one argument"),
    "OktaSSORole": ("OktaSSORole admin\n", 'OktaSSORole admin "Okta-Admins"'),
    "OktaSSOEmailDomain": ("OktaSSOEmailDomain acme\n", "write acme.com"),
    "OktaSSOPath": ("OktaSSOPath /sso_okta\n", "OktaSSOPath takes a path such as /sso/okta"),
    "OktaSSOBaseURL": ("OktaSSOBaseURL http://app.example.com\n", "must be https"),
    "OktaSSOBaseURL path": ("OktaSSOBaseURL https://app.example.com/\n", "scheme, host and port alone"),
    "OktaSSOStateDir in a virtual host": ("<VirtualHost 127.0.0.1:1>\nOktaSSOStateDir /tmp\n</VirtualHost>\n", "belongs into the server config"),
    "OktaSSOKeys nowhere": ("OktaSSOKeys file:/nowhere/keys\n", "there is no file /nowhere/keys"),
    "a misspelled directive in a section": ("<OktaSSOOrg acme>\nOktaSSOEmailDomains acme.com\n</OktaSSOOrg>\n", "perhaps misspelled"),
    "OktaSSODirectory": ("OktaSSODirectory mysql:x\n", "sqlite3:/ABSOLUTE/PATH"),
    "OktaSSOKeys": ("OktaSSOKeys secret\n", "file:PATH or exec:COMMAND"),
    "a setting twice": ("OktaSSOClockSkew 1m\nOktaSSOClockSkew 2m\n", "keep one of them"),
    "OktaSSOOrgDir": ("OktaSSOOrgDir /tmp everywhere\n", "OktaSSOOrgDir takes a directory, and then private or nothing"),
    "Require okta-group": ('<Location "/">\nRequire okta-group\n</Location>\n', "take one name or more"),
    "Require okta-attribute": ('<Location "/">\nRequire okta-attribute department\n</Location>\n', "a field and one value or more"),
}


@pytest.mark.parametrize("case", WRONG)
def test_configtest_tells_file_line_and_mend(httpd, case):
    conf, wanted = WRONG[case]
    server = httpd(conf, start=False)
    server.expect("OKS0011")
    ok, said = server.configtest()
    assert not ok and wanted in said, said
    assert f"{server.file}:" in said or f"of {server.file}" in said, said


def test_organizations_of_virtual_hosts_are_among_any(httpd):
    ok, said = httpd(f'<Location "/">\nOktaSSOOrg *\n</Location>\n<VirtualHost 127.0.0.1:1>\n{ORG}</VirtualHost>\n', start=False).configtest()
    assert ok, said


OPEN = '<Location "/">\nOktaSSOOrg acme\n%s</Location>\n'
CLOSED = '<Location "/other">\nAuthType OktaSSO\nOktaSSOOrg acme\nRequire valid-user\n</Location>\n'
ASKS_NOBODY = r"OKS0056: \S+/httpd\.conf:\d+: OktaSSOOrg acme asks nobody to sign in: the whole configuration has no %s: write it into this section"


@pytest.mark.parametrize("conf, missing", [
    (OPEN % "", "AuthType OktaSSO and no Require valid-user"),
    (OPEN % "Require valid-user\n", "AuthType OktaSSO"),
    (OPEN % "AuthType OktaSSO\n", "Require valid-user"),
    (OPEN % "AuthType OktaSSO\nRequire all granted\n<RequireAll>\nRequire ip 127.0.0.1\nRequire not env internal\n</RequireAll>\n", "Require valid-user"),
    ("<Directory \"/srv\">\nAllowOverride None\n</Directory>\n" + OPEN % "", "AuthType OktaSSO and no Require valid-user"),
    ("<VirtualHost 127.0.0.1:1>\nInclude {dir}/httpd-open.conf\n</VirtualHost>\n", "AuthType OktaSSO and no Require valid-user")])
def test_a_location_that_is_open_to_everybody_is_told(httpd, conf, missing):
    server = httpd(ORG + conf, start=False)
    (server.dir / "httpd-open.conf").write_text(OPEN % "")
    ok, said = server.configtest()
    assert ok and re.search(ASKS_NOBODY.replace("httpd", "httpd[a-z-]*") % missing, said), said


def test_a_location_that_is_open_to_everybody_is_told_at_start(httpd):
    server = httpd(ORG + OPEN % "", metadata=False, start=False)
    server.expect(ASKS_NOBODY % "AuthType OktaSSO and no Require valid-user", r"flow\.idp\.unavailable")
    server.start()
    server.wait_for_metadata()
    assert server.browser().get("/").status == 200
    assert server.log.read_text().count("OKS0056") == 1


@pytest.mark.parametrize("conf", [
    CLOSED, CLOSED + OPEN % "", "", OPEN % "AuthType Basic\nAuthName x\nAuthUserFile x\nRequire user ann\n",
    '<If "true">\nAuthType OktaSSO\n<RequireAll>\nRequire okta-role member\n</RequireAll>\n</If>\n' + OPEN % "",
    '<Directory "/srv">\nAllowOverride AuthConfig\n</Directory>\n' + OPEN % "",
    '<Directory "/srv">\nAllowOverrideList AuthType Require\n</Directory>\n' + OPEN % "",
    "<Macro closed>\nAuthType OktaSSO\nRequire valid-user\n</Macro>\n" + OPEN % "Use closed\n",
    "<Macro unused>\n" + OPEN % "" + "</Macro>\n", OPEN % "AuthType OktaSSO\nOktaSSOUnauthorized pass\n",
    "<VirtualHost 127.0.0.1:1>\n" + CLOSED + "</VirtualHost>\n" + OPEN % ""])
def test_no_alarm_where_somebody_may_be_asked(httpd, conf):
    server = httpd(ORG + conf, start=False, modules=["macro"])
    ok, said = server.configtest()
    assert ok and "OKS0056" not in said, said


# ---- Layers ----

def test_server_defaults_section_and_location_come_together(httpd):
    server = httpd('OktaSSORole admin "Okta-Admins"\nOktaSSOAttribute nick displayName firstName\nOktaSSOHeader X-Nick nick\n'
                   "OktaSSODefaultRole guest\n" + ORG + LOCATION)
    browser, _ = server.login()
    assert headers(browser)["X-Remote-Role"] == "admin" and headers(browser)["X-Nick"] == "Amelia"
    browser, _ = server.login(user="john.doe@acme.example")
    assert headers(browser)["X-Remote-Role"] == "guest"


def test_the_section_wins_over_the_server(httpd):
    server = httpd("OktaSSOUserField name\nOktaSSODefaultRole outer\nOktaSSORole outer Engineering\n"
                   f'<OktaSSOOrg acme>\n{METADATA}OktaSSOUserField firstName\nOktaSSORole inner "Okta-Admins"\n</OktaSSOOrg>\n' + LOCATION)
    browser, _ = server.login()
    assert (headers(browser)["X-Remote-User"], headers(browser)["X-Remote-Role"]) == ("Amelia", "inner")


def test_a_location_has_headers_and_manners_of_its_own(httpd):
    server = httpd(ORG + LOCATION + '<Location "/api">\nOktaSSOUnauthorized 401\nOktaSSOHeader X-Remote-Email none\n'
                   'OktaSSOHeader X-Who email\n</Location>\n<Location "/api/all">\nOktaSSOHeader X-Everybody groups\n</Location>\n')
    assert server.browser().get("/api/x").status == 401
    assert server.browser().get("/x").status == 303
    browser, _ = server.login()
    assert "X-Who" not in headers(browser) and "X-Remote-Email" in headers(browser)
    api, nested = headers(browser, "/api/headers.json"), headers(browser, "/api/all/headers.json")
    assert "X-Remote-Email" not in api and api["X-Who"] == "amelia.earhart@acme.example" and "X-Everybody" not in api
    assert nested["X-Who"] == api["X-Who"] and nested["X-Everybody"].startswith("Everyone")
    # what any Location may set is scrubbed in all of them
    answer = browser.get("/headers.json", headers={"X_Who": "evil", "x-everybody": "evil"})
    assert "evil" not in answer.text


def test_a_virtual_host_has_path_url_and_organizations_of_its_own(httpd):
    server = httpd(ORG + "<VirtualHost 127.0.0.1:{port}>\nOktaSSOPath /auth\nOktaSSOBaseURL https://app.example.com\n"
                   "OktaSSOSPEntityID urn:acme:app\n" + LOCATION + "</VirtualHost>\n", metadata=False)
    server.expect("flow.idp.unavailable")
    metadata = server.browser().get("/auth/metadata/acme").text
    assert 'entityID="urn:acme:app"' in metadata and 'Location="https://app.example.com/auth/acs/acme"' in metadata
    assert "EntityDescriptor" not in server.browser().get("/sso/okta/metadata/acme").text  # no own URL any more


def test_the_base_url_of_the_server_is_no_virtual_hosts(httpd):
    """Nothing of ours stands in the virtual host."""
    server = httpd("OktaSSOBaseURL https://app.example.com\n" + ORG + "<VirtualHost 127.0.0.1:{port}>\nServerName http://127.0.0.1:{port}\n"
                   "</VirtualHost>\n")
    assert f'Location="http://127.0.0.1:{server.port}/sso/okta/acs/acme"' in server.browser().get("/sso/okta/metadata/acme").text


GLOBEX = """
OktaSSOKeys file:own.keys
<OktaSSOOrg globex>
    OktaSSOIdPMetadata "https://acme.okta.com"
    OktaSSOClientID c1
    OktaSSOClientSecret "file:globex.secret"
    OktaSSOEnabled Off
</OktaSSOOrg>
"""


def test_files_of_keys_and_secrets_lie_below_server_root(httpd):
    server = httpd(GLOBEX, start=False)
    (server.dir / "own.keys").write_text("ab" * 32 + "\n")
    (server.dir / "own.keys").chmod(0o600)
    (server.dir / "globex.secret").write_text("secret\n")
    assert server.configtest()[0]
    server.start()
    assert not (server.state / "session.keys").exists()


@pytest.mark.parametrize("mode, good", [(0o600, True), (0o640, True), (0o644, False), (0o660, False), (0o606, False)])
def test_a_file_of_keys_that_others_can_read(httpd, mode, good):
    server = httpd("OktaSSOKeys file:own.keys\n", start=False)
    server.expect("OKS0011", "OKS0020", "AH00020", "AH00016")
    (server.dir / "own.keys").write_text("ab" * 32 + "\n")
    (server.dir / "own.keys").chmod(mode)
    if good:
        assert server.configtest()[0]
        server.start()
        return
    wanted = f"crypto.keys.malformed: {server.dir}/own.keys: others can read it, and with it be anybody: chmod 600"
    assert os.geteuid() != 0 or wanted in server.configtest()[1]
    done = subprocess.run([harness.HTTPD, "-f", str(server.file), "-k", "start"], capture_output=True, timeout=60, env=harness.environment())
    assert done.returncode != 0 and f"OKS0020: cannot start: {wanted}" in server.log.read_text()


def test_a_file_of_keys_is_read_to_its_end_or_not_at_all(httpd):
    server = httpd(GLOBEX.replace("file:own.keys", 'file:{dir}/own.keys').replace("file:globex.secret", "s"), start=False)
    (server.dir / "own.keys").write_text("ab" * 32 + "\n# " + "x" * 5000 + "\n" + "cd" * 32 + "\n")
    (server.dir / "own.keys").chmod(0o600)
    server.expect("OKS0020", "AH00020")
    done = subprocess.run([harness.HTTPD, "-f", str(server.file), "-X"], env=server.environment, timeout=60, stderr=subprocess.DEVNULL)
    assert done.returncode != 0 and "own.keys is longer than 4096 bytes" in server.log.read_text()


def test_disabled_is_unknown(httpd):
    server = httpd(ORG.replace("</", "OktaSSOEnabled Off\n</") + LOCATION, metadata=False)
    for path in ("/sso/okta/login/acme", "/sso/okta/metadata/acme", "/"):
        answer = server.browser().get(path)
        assert (answer.status, answer.reason) == (404, "flow.org.unknown")


def test_email_domains(httpd):
    server = httpd(ORG.replace("</", "OktaSSOEmailDomain ACME.example acme.test\n</") + LOCATION)
    assert server.login()[1].status == 303
    server.expect("flow.email.domain")
    answer = server.login(user="eve@evil.example")[1]
    assert (answer.status, answer.reason) == (403, "flow.email.domain")
    assert server.verdicts()[-1].endswith('flow.email.domain: "eve@evil.example", wanted acme.example, acme.test')


def test_a_user_field_that_is_empty_is_no_user(httpd):
    server = httpd("OktaSSOAttribute employee employeeNumber\nOktaSSOUserField employee\n" + ORG + LOCATION)
    server.expect("flow.user.empty")
    assert server.login()[1].reason == "flow.user.empty"
    assert server.verdicts()[-1].endswith("flow.user.empty: field employee; map it in Okta: employeeNumber = user.employeeNumber")


def test_clock_skew(httpd):
    server = httpd(ORG.replace("</", "OktaSSOClockSkew 0s\n</") + LOCATION)
    server.expect("saml.time.early")
    assert server.login(clock_offset=60, not_before=0)[1].reason == "saml.time.early"
    assert server.login()[1].status == 303


def test_session_limits(httpd):
    server = httpd(ORG.replace("</", "OktaSSOSession lifetime=2s idle=1s\n</") + LOCATION)
    browser, _ = server.login()
    assert browser.get("/headers.json").status == 200
    harness.wait_until(lambda: browser.get("/headers.json", cookies=True).status == 303, "the last deadline")
    answer = browser.get("/headers.json", navigate=False)
    assert answer.json()["error"] in ("flow.session.expired", "directory.session.absent")


@pytest.mark.skipif("libtsan" in os.environ.get("OKTASSO_PRELOAD", ""), reason="ThreadSanitizer in /bin/sh of exec: ends it")
def test_keys_and_directory_from_elsewhere(httpd, tmp_path):
    key = "ab" * 32
    server = httpd(f"OktaSSOKeys \"exec:echo {key}\"\nOktaSSODirectory sqlite3:{{dir}}/state/elsewhere.db\n" + ORG + LOCATION, start=False)
    os.chmod(server.dir, 0o777)  # SQLite makes files beside the database
    server.expect("flow.idp.unavailable")
    server.start()
    server.wait_for_metadata()
    assert server.login()[1].status == 303
    assert (server.state / "elsewhere.db").stat().st_size > 0 and not (server.state / "session.keys").exists()


def test_metadata_from_a_file(httpd, okta):
    server = httpd(start=False)
    (server.dir / "idp.xml").write_bytes(urllib.request.urlopen(okta.metadata_url()).read())
    server.configure(ORG.replace("{okta}", "{dir}/idp.xml") + LOCATION)
    assert server.configtest()[0]
    server.start()
    assert server.login()[1].status == 303
    assert oct((server.state / "session.keys").stat().st_mode)[-3:] == "600"


def test_a_state_directory_comes_with_its_parents(httpd):
    """Which httpd's User passes through."""
    server = httpd(ORG + LOCATION, start=False)
    server.file.write_text(server.file.read_text().replace(f'OktaSSOStateDir "{server.state}"', f'OktaSSOStateDir "{server.dir}/some/where/state"'))
    server.start()
    server.expect(r"flow\.idp\.unavailable")
    server.wait_for_metadata()
    browser, answer = server.login()
    assert answer.status == 303 and headers(browser)
    assert (server.dir / "some/where/state").stat().st_mode & 0o777 == 0o700 and (server.dir / "some").stat().st_mode & 0o777 == 0o755


def run_once(server):
    """Until it serves; what the log has got meanwhile."""
    offset = server.log.stat().st_size if server.log.exists() else 0
    server.start()
    harness.wait_until(lambda: "resuming normal operations" in server.log_since(offset), "the start")
    server.stop()
    return server.log_since(offset)


def test_a_slash_at_the_end_of_a_state_directory(httpd):
    server = httpd("", start=False)
    server.head = server.head.replace(f'"{server.state}"', f'"{server.state}/"')
    server.configure("")
    run_once(server)
    assert server.state.stat().st_mode & 0o777 == 0o700 and (server.state / "session.keys").exists()


def test_a_first_start_is_told_once(httpd):
    """At a level that is always logged: a misspelled path begins with new keys and nobody in the database."""
    server = httpd("", start=False, loglevel="warn")
    said = run_once(server)
    assert said.count("OKS0050") == 1 and "[oktasso:notice]" in said
    assert f"made anew: {server.state}/session.keys, {server.state}/directory.db: users, sessions and SCIM tokens of other ones" in said
    assert "OKS0050" not in run_once(server)
    (server.state / "session.keys").unlink()
    assert f"OKS0050: made anew: {server.state}/session.keys: users" in run_once(server)


def test_what_keeps_httpd_from_starting_is_told_at_once(httpd):
    """Before it leaves the terminal, with an exit status."""
    server = httpd(ORG + LOCATION, start=False)
    server.expect("OKS0020", "AH00020", "AH00016")
    (server.dir / "broken.keys").write_text("no key\n")
    (server.dir / "broken.keys").chmod(0o600)
    server.configure(f'OktaSSOKeys "file:{server.dir}/broken.keys"\n' + ORG + LOCATION)
    done = subprocess.run([harness.HTTPD, "-f", str(server.file), "-k", "start"], capture_output=True, timeout=60, env=harness.environment())
    assert done.returncode != 0 and not (server.dir / "pid").exists()
    assert "OKS0020: cannot start: " in server.log.read_text()


def test_a_key_file_that_never_ends_is_told(httpd):
    server = httpd(ORG + LOCATION, start=False)
    os.mkfifo(server.dir / "keys")
    server.configure(f'OktaSSOKeys "file:{server.dir}/keys"\n' + ORG + LOCATION)
    server.expect("OKS0020", "AH00020", "AH00016")
    done = subprocess.run([harness.HTTPD, "-f", str(server.file), "-k", "start"], capture_output=True, timeout=60, env=harness.environment())
    assert done.returncode != 0 and f"{server.dir}/keys is no regular file" in server.log.read_text()
