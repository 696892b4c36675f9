"""A real httpd for a test: its own directory and port, its error log read to the end, stopped by process id."""

import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "t"))

from okta import backend, client, config, keys, saml  # noqa: E402,F401  (the stand-in, for the tests)

MODULE = pathlib.Path(os.environ.get("OKTASSO_MODULE", ROOT / "build/test/mod_oktasso.so"))
HTTPD = next((path for path in ("/usr/sbin/apache2", "/usr/sbin/httpd") if os.path.exists(path)), "apache2")
MODULES = "unixd log_config watchdog authn_core authz_core authz_user authz_host authn_file auth_basic proxy " \
          "proxy_http env setenvif headers rewrite alias dir mime include ssl unique_id".split()
LIBEXEC = pathlib.Path("/usr/lib/apache2/modules")
NAVIGATION = {"Accept": "text/html,application/xhtml+xml", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
DEADLINE = 20
PATIENCE = 30  # seconds for one answer

# warn and worse, and a child that crashed, which is a notice to httpd; what it says about every start of a test server is not news.
LOUD = re.compile(r"\[\w*:(warn|error|crit|alert|emerg)\]|exit signal")
# httpd's own words about the machine: no ServerName, no session cache, a mod_ssl built against a newer patch level of OpenSSL;
# and of its event MPM about a keep-alive or lingering connection that a stop has closed under it.
USUAL = re.compile(r"AH0309[23]: process_(socket|lingering_close): apr_pollset_add failure|AH00558|AH00112|AH01873|AH01882|AH01906|AH01909|AH02292")


def wait_until(condition, what, deadline=DEADLINE):
    end = time.monotonic() + deadline
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline} s for {what}")
        time.sleep(0.02)
    return value


def environment(*libraries, **more):
    """Of httpd: under a sanitizer its library comes first (./t/run sanitized)."""
    preload = " ".join([os.environ.get("OKTASSO_PRELOAD", ""), *map(str, libraries)]).strip()
    return {**os.environ, **({"LD_PRELOAD": preload} if preload else {}), **more}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def __getitem__(self, name):
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    @property
    def reason(self):
        """The reason code of a refusal, from the page or the JSON."""
        if (self["Content-Type"] or "").startswith("application/json"):
            body = self.json()
            return body.get("error") if isinstance(body, dict) else None
        found = re.search(r"<dt>Reason</dt><dd>([a-z0-9_.]+)</dd>", self.text)
        return found and found.group(1)


class Browser:
    """One visitor: cookies by name (values as the server set them), no redirects followed by itself."""

    def __init__(self, port, tls=False):
        self.port, self.tls, self.cookies = port, tls, {}

    def request(self, method, path, headers=None, body=None, cookies=True, navigate=True, raw_headers=()):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest(method, path, skip_host="Host" in (headers or {}), skip_accept_encoding=True)
            sent = dict(NAVIGATION if navigate else {})
            if isinstance(body, dict):
                body = urllib.parse.urlencode(body)
                sent["Content-Type"] = "application/x-www-form-urlencoded"
            sent.update(headers or {})
            if cookies and self.cookies and "Cookie" not in sent:
                sent["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
            data = body.encode() if isinstance(body, str) else body
            if data is not None and "Content-Length" not in sent and "Transfer-Encoding" not in sent:
                sent["Content-Length"] = str(len(data))
            for key, value in [*sent.items(), *raw_headers]:
                if value is not None:
                    connection.putheader(key, value)
            connection.endheaders(data)
            response = connection.getresponse()
            answer = Answer(response.status, response.getheaders(), response.read())
        finally:
            connection.close()
        if cookies:
            for cookie in answer.all("Set-Cookie"):
                name, _, rest = cookie.partition("=")
                value = rest.split(";")[0]
                if value and "Max-Age=0" not in rest:
                    self.cookies[name] = value
                else:
                    self.cookies.pop(name, None)
        return answer

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body=body, **options)

    def session_cookie(self, org="acme"):
        return next((v for k, v in self.cookies.items() if k.endswith(f"oktasso-session-{org}")), None)


def post_fields(minted):
    return {k: minted[k] for k in ("SAMLResponse", "RelayState") if minted.get(k) is not None}


class Httpd:
    """`conf` may use {port}, {dir}, {okta} (metadata URL of the first app) and {backend}."""

    def __init__(self, conf, okta=None, backend_port=None, state=None, mpm="event", modules=(), loglevel="warn oktasso:info"):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="oktasso-test-"))
        self.dir.chmod(0o755)
        self.port = free_port()
        self.okta = okta
        self.expected = []
        self.judged = 0                  # bytes of the log that are judged already
        self.last_words = set()          # of children as they were ended
        self.process = None
        self.environment = environment()
        self.values = {"port": self.port, "dir": self.dir, "backend": backend_port,
                       "okta": okta.metadata_url() if okta else None}
        self.state = pathlib.Path(state) if state else self.dir / "state"
        (self.dir / "htdocs").mkdir()
        (self.dir / "htdocs/index.html").write_text("the start page\n")
        self.log = self.dir / "error.log"
        loads = "".join(f"LoadModule {m}_module {LIBEXEC}/mod_{m}.so\n" for m in [f"mpm_{mpm}", *MODULES, *modules]
                        if (LIBEXEC / f"mod_{m}.so").exists())
        user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
        self.head = (f'ServerRoot "{self.dir}"\nServerName http://127.0.0.1:{self.port}\nPidFile "{self.dir}/pid"\n'
                     f'DefaultRuntimeDir "{self.dir}"\nErrorLog "{self.log}"\nLogLevel {loglevel}\n'
                     f'Listen 127.0.0.1:{self.port}\nDocumentRoot "{self.dir}/htdocs"\n{user}{loads}TypesConfig /dev/null\n'
                     f'LoadModule oktasso_module "{MODULE}"\nOktaSSOStateDir "{self.state}"\n')
        self.file = self.dir / "httpd.conf"
        self.configure(conf)

    def configure(self, conf):
        for key, value in self.values.items():
            conf = conf.replace("{" + key + "}", str(value))
        self.file.write_text(self.head + conf)

    def configtest(self):
        """(ok, what it said)"""
        done = subprocess.run([HTTPD, "-f", str(self.file), "-t"], capture_output=True, text=True, timeout=60, env=self.environment)
        said = done.stdout + done.stderr + (self.log.read_text() if self.log.exists() else "")
        return done.returncode == 0, said

    def expect(self, *patterns):
        """Announces log lines at warn or above."""
        self.expected += patterns

    def start(self, *tool):
        """`tool`: a command that runs httpd, as one process."""
        mode = ["-X"] if tool else ["-D", "FOREGROUND"]
        # A session of its own: prefork ends its whole process group, the tests included.
        self.process = subprocess.Popen([*tool, HTTPD, "-f", str(self.file), *mode], env=self.environment, start_new_session=True)
        wait_until(self.answers, "httpd to answer")
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("httpd ended: " + (self.log.read_text() if self.log.exists() else "no log"))
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def wait_for_metadata(self, org="acme"):
        """Until a login can start: the metadata was fetched."""
        wait_until(lambda: Browser(self.port).get(f"/sso/okta/login/{org}").status == 303, "metadata")

    def graceful(self):
        """A graceful restart; returns when the new generation runs."""
        offset = self.log.stat().st_size if self.log.exists() else 0
        self.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: "resuming normal operations" in self.log_since(offset), "the graceful restart")

    def children(self):
        out = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout
        return [int(pid) for pid in out.split()]

    def stop(self):
        if self.process and self.process.poll() is None:
            offset = self.log.stat().st_size if self.log.exists() else 0
            self.process.terminate()
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            # Told to end at once, httpd's event MPM closes sockets that its workers may just have freed: that crash is its own.
            self.last_words |= {line for line in self.log_since(offset).splitlines() if "exit signal" in line}

    def kill(self):
        """All of it: children outlive a parent that was killed or crashed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE)

    def log_since(self, offset):
        return self.log.read_bytes()[offset:].decode(errors="replace") if self.log.exists() else ""

    def loud_lines(self):
        lines = self.log_since(self.judged).splitlines()
        stack = re.compile(r"^ *#\d+ 0x|AddressSanitizer|^(freed|previously allocated|allocated) by thread")
        return [line for line in lines if (LOUD.search(line) or stack.search(line) or "runtime error" in line)
                and not USUAL.search(line) and line not in self.last_words and not any(re.search(p, line) for p in self.expected)]

    def verdicts(self):
        return [line for line in self.log.read_text(errors="replace").splitlines() if "OKS0001" in line]

    @contextlib.contextmanager
    def judge(self):
        """One test on a server that several use: its log lines are its own."""
        self.expected.clear()
        self.judged = self.log.stat().st_size if self.log.exists() else 0
        yield self
        loud = self.loud_lines()
        self.judged = self.log.stat().st_size if self.log.exists() else 0
        assert not loud, "log lines that the test did not announce:\n" + "\n".join(loud)

    def close(self):
        self.stop()
        status = self.process.returncode if self.process else 0
        if status < 0:
            self.kill()
        loud = self.loud_lines()
        shutil.rmtree(self.dir, ignore_errors=True)
        assert status >= 0 or -status in (signal.SIGKILL, signal.SIGTERM), f"httpd ended with status {status}"
        assert not loud, "log lines that the test did not announce:\n" + "\n".join(loud)

    # ---- a login, without a browser ----

    def browser(self):
        return Browser(self.port)

    def browser_with(self, other):
        """Another browser with the same cookies."""
        browser = Browser(self.port)
        browser.cookies = dict(other.cookies)
        return browser

    def start_login(self, browser, path="/"):
        """The redirect to the identity provider."""
        answer = browser.get(path)
        assert answer.status == 303, (answer.status, answer.reason, answer.text[:300])
        return answer["Location"]

    def login(self, browser=None, path="/", acs="/sso/okta/acs/acme", **fields):
        """(browser, answer of the ACS)"""
        browser = browser or self.browser()
        fields.setdefault("user", "amelia.earhart@acme.example")
        minted = self.okta.answer(self.start_login(browser, path), **fields)
        return browser, browser.post(acs, post_fields(minted))
