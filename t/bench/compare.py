"""What a protected request with a live session of 20 groups costs, by us and by the rivals, above what bare httpd takes for the same
file of 1 KB: instructions by callgrind (each request by itself, the dear tenth left out: it opens what stays open), throughput and latency by wrk, interleaved in
one run. The servers log and look for no .htaccess, as Debian's do."""

import contextlib
import dataclasses
import http.client
import re
import statistics
import subprocess
import typing

import harness
import oidc_login
import saml_login

GROUPS = [f"Group {number:02d}" for number in range(20)]
ATTRIBUTES = {"email": "amelia.earhart@acme.example", "firstName": "Amelia", "lastName": "Earhart", "groups": GROUPS}
COUNT = 200
ROUNDS, SECONDS = 25, 1  # many: a turn is off by a tenth on a machine that has neighbours
FILE = "/private/file.txt"
AS_DEBIAN = r"""
<Directory />
    Options FollowSymLinks
    AllowOverride None
</Directory>
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" combined
CustomLog "{dir}/access.log" combined
"""
FORM_SESSION = """
    AuthType Form
    AuthName private
    AuthFormProvider file
    AuthUserFile "{dir}/users"
    Session On
    SessionCookieName session path=/
    SessionCryptoPassphrase "of the bench"
    Require valid-user
"""
FORM = f"""
<Location "/private">{FORM_SESSION}</Location>
<Location "/sign-in">
    SetHandler form-login-handler
    AuthFormLoginSuccessLocation "{FILE}"{FORM_SESSION}</Location>
"""


class Scene(typing.NamedTuple):
    """The stand-ins that a guard's server is tried with."""
    make: typing.Callable       # make(conf, modules, ours): a server
    okta: typing.Any
    provider: typing.Any


@dataclasses.dataclass
class Guard:
    name: str
    conf: str
    sign_in: typing.Callable    # sign_in(server, scene): the Cookie header
    modules: tuple = ()
    ours: bool = False
    prepare: typing.Callable = lambda server, scene: None

    def server(self, scene):
        server = scene.make(AS_DEBIAN + self.conf.replace("{issuer}", scene.provider.issuer), self.modules, self.ours)
        (server.dir / "htdocs/private").mkdir()
        (server.dir / "htdocs/private/file.txt").write_text("x" * 1024)
        self.prepare(server, scene)
        server.own()
        return server


def cookies(browser):
    return "; ".join(f"{name}={value}" for name, value in browser.cookies.items() if "binding" not in name)


def by_saml(which):
    def prepare(server, scene):
        (server.dir / "htdocs/private/file.txt").rename(server.dir / "file.txt")
        (server.dir / "htdocs/private").rmdir()
        saml_login.prepare(server, scene.okta, which)
        (server.dir / "htdocs/private").unlink()
        (server.dir / "htdocs/private").mkdir()
        (server.dir / "file.txt").rename(server.dir / "htdocs/private/file.txt")

    def sign_in(server, scene):
        scene.okta.control(apps=[saml_login.application(server, which)])
        browser, location = saml_login.start(server)
        app = {"app": saml_login.EXK[which]} if saml_login.EXK[which] else {}
        saml_login.finish(browser, scene.okta.answer(location, user="amelia.earhart@acme.example", sign="response", attributes=ATTRIBUTES, **app), which)
        return cookies(browser)
    return {"prepare": prepare, "sign_in": sign_in}


def by_openid(server, scene):
    harness.wait_until(lambda: server.browser().get("/private").status in (302, 303), "the provider's documents")
    browser, path = oidc_login.approved(server, scene.provider, groups=GROUPS)
    oidc_login.finish(browser, path)
    return cookies(browser)


def write_users(server, scene):
    subprocess.run(["htpasswd", "-bcs", server.dir / "users", "amelia", "secret"], check=True, capture_output=True)


def by_form(server, scene):
    browser = server.browser()
    answer = browser.post("/sign-in", {"httpd_username": "amelia", "httpd_password": "secret"})
    assert answer.status == 302, (answer.status, answer.text[:300])
    return cookies(browser)


OPEN = '<Location "/">\n    Require all granted\n</Location>\n'
NAMES = ["User", "Email", "FirstName", "LastName", "Name", "Groups", "Role", "Org"]
# What we do for the backend, without asking who it is.
HEADERS = "".join(f'RequestHeader set X-Remote-{name} "a value"\nSetEnv OKTASSO_{name} "a value"\n' for name in NAMES) + "Header always set Cache-Control private\n"


def other_cookie(server, scene):
    """As long as ours."""
    return "other-session-acme=" + "A" * 117


BARE = Guard("bare httpd", OPEN, other_cookie)
UNASKED = Guard("mod_headers and mod_env alone", HEADERS + OPEN, other_cookie)
SAML = Guard("mod_oktasso, SAML", saml_login.OURS, ours=True, **by_saml("oktasso"))
OPENID = Guard("mod_oktasso, OpenID Connect", oidc_login.OURS, by_openid, ours=True)
RIVALS = [
    Guard("mod_auth_openidc, shared memory", oidc_login.RIVAL + "OIDCSessionType server-cache\nOIDCCacheType shm\n", by_openid, ("auth_openidc",)),
    Guard("mod_auth_openidc, cookie", oidc_login.RIVAL + "OIDCSessionType client-cookie\n", by_openid, ("auth_openidc",)),
    Guard("mod_auth_mellon", saml_login.MELLON, modules=("auth_mellon",), **by_saml("mellon")),
    Guard("mod_auth_form, mod_session_crypto", FORM, by_form, ("request", "session", "session_cookie", "session_crypto", "auth_form"), prepare=write_users),
]
GUARDS = [BARE, UNASKED, SAML, OPENID, *RIVALS]


def requests(server, cookie, count):
    connection = http.client.HTTPConnection("127.0.0.1", server.port)
    for _ in range(count):
        connection.request("GET", FILE, headers={"Cookie": cookie, "Accept": "text/html"})
        answer = connection.getresponse()
        assert answer.status == 200 and len(answer.read()) == 1024
    connection.close()


def instructions(guard, scene):
    """Of one request, of those after the sign-in."""
    server = guard.server(scene)
    server.start_counted(each=True)
    requests(server, guard.sign_in(server, scene), COUNT)
    counts = sorted(server.counted_each()[-COUNT:])
    server.end()
    return statistics.mean(counts[:COUNT * 9 // 10])


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def load(server, cookie):
    """Requests a second, and the milliseconds of the median and of one in a hundred."""
    said = subprocess.run(["wrk", "-t1", "-c8", f"-d{SECONDS}s", "--latency", "-H", f"Cookie: {cookie}", f"http://127.0.0.1:{server.port}{FILE}"],
                          capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in said, said
    half, rare = (milliseconds(re.search(rf"(?m)^ +{part}% +(\S+)$", said).group(1)) for part in (50, 99))
    return float(re.search(r"Requests/sec: +([\d.]+)", said).group(1)), half, rare


def throughput(guards, scene):
    """For each guard the medians of what load() says, of rounds in which each has its turn; the rate in parts of the first guard's in
    the same round."""
    running = []
    with contextlib.ExitStack() as stack:
        for guard in guards:
            server = guard.server(scene)
            stack.callback(server.end)
            server.start_under(single=False)
            running.append((server, guard.sign_in(server, scene)))
        rounds = [[load(server, cookie) for server, cookie in running] for _ in range(ROUNDS)]
    shares = [[(rate / turn[0][0], half, rare) for rate, half, rare in turn] for turn in rounds]
    return [tuple(map(statistics.median, zip(*turns))) for turns in zip(*shares)]


def run(scene):
    counted = [instructions(guard, scene) for guard in GUARDS]
    loaded = throughput(GUARDS, scene)
    print(f"{'':34} {'instructions':>12} {'added':>10} {'throughput':>10} {'p50 ms':>8} {'p99 ms':>8}")
    for guard, count, (share, half, rare) in zip(GUARDS, counted, loaded):
        print(f"{guard.name:34} {count:12,.0f} {count - counted[0]:10,.0f} {share:10.2f} {half:8.2f} {rare:8.2f}")
    ours = [count for guard, count in zip(GUARDS, counted) if guard.ours]
    return max(ours) <= min(counted[-len(RIVALS):])
