"""OktaSSOAuditLog: what was decided, as lines of JSON."""

import hashlib
import json
import re
import subprocess

import harness
from test_scim import AMELIA, CONF, TOKEN, Scim


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_every_decision_is_a_line(httpd):
    server = httpd('OktaSSOAuditLog "{dir}/audit.log"\n' + CONF, start=False)
    server.expect("OKS0030", r"flow\.idp\.unavailable", r"scim\.token\.wrong")
    server.start()
    server.wait_for_metadata()
    log = server.dir / "audit.log"
    _, answer = server.login(user=AMELIA)
    assert answer.status == 303
    done = [line for line in lines(log) if line["event"] == "login.done"][-1]
    assert (done["org"], done["user"], done["status"], done["client"]) == ("acme", AMELIA, 303, "127.0.0.1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", done["time"]) and done["server"] and "reason" not in done
    assert f"request={done['request']}" in next(line for line in server.verdicts() if "login.done" in line), "the same as in the error log"
    made = Scim(server).make(userName="ada@acme.example")
    Scim(server).call("DELETE", f"/Users/{made['id']}")
    Scim(server, token="guessed-token").get("/Users")
    created, deleted, refused = lines(log)[-3:]
    assert (created["event"], created["user"], deleted["event"], deleted["user"]) == ("scim.create", "ada@acme.example", "scim.delete", "ada@acme.example")
    assert (refused["event"], refused["reason"], refused["status"], refused["org"]) == ("scim.refused", "scim.token.wrong", 401, "acme")
    assert "guessed-token" not in log.read_text()
    assert created["token"] == hashlib.sha256(TOKEN.encode()).hexdigest()[:12], "which token did it"
    Scim(server).make_group("Admins")
    assert (lines(log)[-1]["event"], lines(log)[-1]["group"]) == ("scim.create", "Admins")
    user = Scim(server).make()["id"]
    for active, event in ((False, "scim.deactivate"), (True, "scim.activate")):
        Scim(server).patch(f"/Users/{user}", {"op": "replace", "value": {"active": active}})
        assert lines(log)[-1]["event"] == event
    Scim(server).make(userName='a"\n\\,ü\x9b\u202e@acme.example')
    assert lines(log)[-1]["user"] == 'a"\n\\,ü\x9b\u202e@acme.example', "one line, whatever the name is"
    assert all(32 <= byte < 127 for byte in log.read_bytes().replace(b"\n", b"")), "and nothing that a terminal acts upon"
    Scim(server).make(userName="\u0001" * 7000)
    assert len(log.read_bytes().splitlines()[-1]) < 4096, "a pipe takes it at once"
    assert len(lines(log)) == len(server.verdicts())
    assert log.stat().st_mode & 0o007 == 0, "it names people: not for everybody"


def test_who_signed_out_and_of_which_organization(httpd):
    server = httpd('OktaSSOAuditLog "{dir}/audit.log"\n' + CONF, start=False)
    server.expect("OKS0030", r"flow\.idp\.unavailable")
    server.start()
    server.wait_for_metadata()
    browser, _ = server.login(user=AMELIA)
    for path, event, user in (("logout/acme", "logout", AMELIA), ("logout/acme", "logout", None), ("pem/acme", "pem", None), ("metadata?connection=acme", "metadata", None)):
        assert browser.get(f"/sso/okta/{path}").status == 200
        line = lines(server.dir / "audit.log")[-1]
        assert (line["event"], line["org"], line.get("user")) == (event, "acme", user)
        assert f"OKS0001: {event} status=200 org=acme {f'user={user} ' if user else ''}request=" in server.verdicts()[-1]


def test_a_virtual_host_has_its_own_and_a_program_may_read(httpd):
    other = harness.free_port()
    server = httpd(f"OktaSSOAuditLog audit.log\nListen 127.0.0.1:{other}\n<VirtualHost 127.0.0.1:{other}>\nServerName http://127.0.0.1:{other}\n"
                   'OktaSSOAuditLog "|$/bin/cat >> {dir}/piped.log"\n</VirtualHost>\n' + CONF, start=False)
    server.expect("OKS0030", r"flow\.idp\.unavailable")
    server.start()
    server.wait_for_metadata()
    harness.Browser(other).get("/sso/okta/login/nobody")
    piped = harness.wait_until(lambda: lines(server.dir / "piped.log"), "the program's file")
    assert piped[-1]["reason"] == "flow.org.unknown"
    assert all(line["server"].endswith(str(server.port)) for line in lines(server.dir / "audit.log"))
    server.expect("AH00488")  # httpd's word for the program that it has ended
    server.graceful()
    before = len(lines(server.dir / "audit.log"))
    server.browser().get("/sso/okta/login/nobody")
    assert len(lines(server.dir / "audit.log")) == before + 1


def test_configtest(httpd):
    for line, said in (("OktaSSOAuditLog", "takes one argument"), ('OktaSSOAuditLog "|"', "takes a file or"),
                       ("OktaSSOAuditLog /nowhere/audit.log", "there is no directory /nowhere/")):
        good, text = httpd(line + "\n", start=False).configtest()
        assert not good and said in text, text


def test_a_log_that_cannot_be_opened_keeps_httpd_from_starting(httpd):
    server = httpd('OktaSSOAuditLog "{dir}/htdocs"\n' + CONF, start=False)
    server.expect("OKS0040", "AH00019")
    done = subprocess.run([harness.HTTPD, "-f", str(server.file), "-k", "start"], capture_output=True, text=True, timeout=60, env=harness.environment())
    assert done.returncode != 0, "told while there is a terminal"
    said = done.stderr + (server.log.read_text() if server.log.exists() else "")
    assert f"OKS0040: OktaSSOAuditLog {server.dir}/htdocs cannot be opened" in said
