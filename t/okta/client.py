"""Starts a stand-in for a test and talks to it. Standard library only; no proxy is ever used."""

import contextlib
import dataclasses
import json
import pathlib
import subprocess
import sys
import threading
import urllib.error
import urllib.request

from . import config
from .okta import Okta, Server

PROGRAM = pathlib.Path(__file__).resolve().parent / "okta.py"
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class ControlError(Exception):
    """The stand-in refused a command: a misspelt switch, an unknown user."""


class Client:
    """A running stand-in; `url` is where it answers, `idp` the object itself when it runs in this process."""

    def __init__(self, url, idp=None):
        self.url = url
        self.idp = idp

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, headers={"Content-Type": "application/json"})
        try:
            with _opener.open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise ControlError(f"{error.code}: {error.read().decode()}") from error

    def control(self, **command):
        """next={…}, always={…}, metadata={…}, roll={…}, apps=[…], users=[…], sign_out=True, clear=True, …"""
        return self.call("/_control", command)

    def status(self):
        return self.call("/_control")

    def mint(self, **fields):
        """SAMLResponse, RelayState, acs, id, assertion_id, xml. Fields: user, app, in_response_to, preset, key and
        all of saml.Options."""
        return self.call("/_mint", fields)

    def answer(self, location, **fields):
        """The Response to the AuthnRequest in the URL to which a service provider redirected."""
        return self.mint(location=location, **fields)

    def app(self, exk=None):
        apps = self.status()["apps"]
        return apps[exk] if exk else next(iter(apps.values()))

    def metadata_url(self, exk=None):
        return self.app(exk)["metadata_url"]


@contextlib.contextmanager
def started(state_dir, apps=(), users=None, listen=("127.0.0.1", 0), tls=None, base_url=None):
    """A stand-in in threads of this process, on a free port of the loopback interface."""
    idp = Okta(state_dir, "http://127.0.0.1", apps, config.default_users() if users is None else users)
    server = Server(listen, idp, tls, quiet=True)
    local = f"{'https' if tls else 'http'}://{server.server_address[0]}:{server.server_address[1]}"
    idp.base_url = base_url or local
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield Client(local, idp)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@contextlib.contextmanager
def process(state_dir, *arguments, apps=(), listen="127.0.0.1:0"):
    """A stand-in in a process of its own."""
    command = [sys.executable, str(PROGRAM), "--listen", listen, "--state", str(state_dir), "--quiet", *arguments]
    if apps:
        pathlib.Path(state_dir).mkdir(parents=True, exist_ok=True)
        file = pathlib.Path(state_dir) / "config.json"
        file.write_text(json.dumps({"apps": [dataclasses.asdict(app) for app in apps]}))
        command += ["--config", str(file)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        ready = child.stdout.readline()
        if not ready.startswith("ready "):
            raise RuntimeError(f"the stand-in did not start: {ready!r}")
        yield Client(ready.split()[1])
    finally:
        child.terminate()
        child.wait(10)
        child.stdout.close()
