"""What a machine can do to a server: a full or failing disk, a locked, broken or read-only database, a clock that jumps, restarts and
kills under load. No request is answered wrongly, no session and no acknowledged write is lost, and all goes on by itself afterwards."""

import concurrent.futures
import contextlib
import fcntl
import os
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import pytest

import harness
from test_org_dir import ACME, CONF as ORG_DIR_CONF, Site
from test_scim import AMELIA, CONF, Scim, code_of

LONG = bool(os.environ.get("OKTASSO_LONG"))  # ./t/run faults
VISITORS = [AMELIA, "john.doe@acme.example", "zoe.gruen@acme.example", "yamada.taro@acme.example"]
UNAVAILABLE = "directory.database.unavailable"


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """The library that shim.c makes."""
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    library.parent.chmod(0o755)
    subprocess.run(["cc", "-std=gnu11", "-D_GNU_SOURCE", "-shared", "-fPIC", "-O1", "-o", library, pathlib.Path(__file__).with_name("shim.c"), "-ldl"], check=True)
    return library


def arm(server, shim, folder):
    """Gives it the function that lets things go wrong in that folder: with(server.fault("full")) …"""
    file = server.dir / "fault"
    server.environment = harness.environment(shim, OKS_FAULT_FILE=str(file), OKS_FAULT_DIR=str(folder))

    @contextlib.contextmanager
    def fault(words):
        (server.dir / "fault.new").write_text(words)
        (server.dir / "fault.new").rename(file)
        yield
        file.unlink()
    server.fault = fault


@pytest.fixture
def faulty(httpd, shim):
    """faulty(conf): a server that can be let go wrong."""
    def make(conf=CONF, **options):
        server = httpd(conf, start=False, **options)
        server.expect("OKS0030", "OKS0031", r"flow\.idp\.unavailable", UNAVAILABLE.replace(".", r"\."))
        arm(server, shim, server.state)
        server.start()
        server.wait_for_metadata()
        return server
    return make


def whole(server):
    """SQLite's own check of the file, once nobody has it open."""
    server.stop()
    database = sqlite3.connect(server.state / "directory.db")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)] and database.execute("PRAGMA foreign_key_check").fetchall() == []
    database.close()


def served(ask):
    """The answer; a child that opens its first connection while the disk is full is refused, and another one answers."""
    answers = []
    harness.wait_until(lambda: answers.append(ask()) or answers[-1].status == 200, "an answer", 5)
    return answers[-1]


def names(server):
    found, start = set(), 1
    while True:
        page = served(lambda: Scim(server).get(f"/Users?count=1000&startIndex={start}&attributes=userName")).json()  # noqa: B023
        found |= {each["userName"] for each in page["Resources"]}
        start += 1000
        if start > page["totalResults"]:
            return found


def refused_for_now(answer):
    assert answer.status == 503 and answer["Retry-After"] and code_of(answer) == UNAVAILABLE, (answer.status, answer.text)


def create(server, name):
    return Scim(server).call("POST", "/Users", {"userName": name})


# ---- The disk ----

@pytest.mark.parametrize("words", ["full", "broken"])
def test_a_disk_that_takes_nothing(faulty, words):
    server = faulty()
    browser, _ = server.login(user=AMELIA)
    assert create(server, "before@acme.example").status == 201
    with server.fault(words):
        refused_for_now(create(server, "during@acme.example"))
        assert "before@acme.example" in names(server), "reading goes on"
        assert served(lambda: browser.get("/headers.json")), "and so do sessions"
        _, answer = server.login(user="john.doe@acme.example")
        assert (answer.status, answer.reason) == (503, UNAVAILABLE) and "session" not in str(answer.all("Set-Cookie")), "no half-made session"
    assert create(server, "after@acme.example").status == 201
    assert server.login(user="john.doe@acme.example")[1].status == 303
    assert {"before@acme.example", "after@acme.example"} <= names(server) and "during@acme.example" not in names(server)
    assert browser.get("/headers.json").status == 200
    whole(server)


def test_a_disk_that_is_full_now_and_then(faulty):
    """Creations from eight clients, while the disk fills and empties: what was acknowledged is there, and nobody is half there."""
    server = faulty()
    done = threading.Event()

    def work(number):
        told = []
        for i in range(10**6):
            if done.is_set():
                return told
            answer = create(server, f"u{number}-{i}@acme.example")
            assert answer.status in (201, 503), answer.text
            if answer.status == 201:
                told.append(f"u{number}-{i}@acme.example")
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        loads = [threads.submit(work, number) for number in range(8)]
        for _ in range(8):
            before = sum("scim.create" in line for line in server.verdicts())
            harness.wait_until(lambda: sum("scim.create" in line for line in server.verdicts()) > before + 20, "creations")
            with server.fault("full"):
                refused = sum("unavailable" in line for line in server.verdicts())
                harness.wait_until(lambda: sum("unavailable" in line for line in server.verdicts()) > refused + 2, "refusals")
        done.set()
        told = {name for load in loads for name in load.result()}
    assert len(told) > 100 and told <= names(server)
    for user in Scim(server).get("/Users?count=1000").json()["Resources"]:
        assert user["userName"] and user["id"] and user["active"] is True
    whole(server)


@pytest.mark.parametrize("nth", range(1, 13))
def test_each_single_write_that_fails(faulty, nth):
    """The nth write to the disk fails, once: the request that did it is refused, the next one works, and a login is whole or not at all."""
    server = faulty("StartServers 1\nMaxSpareThreads 50\n" + CONF)
    with server.fault(f"write={nth}"):
        answers = [create(server, f"n{i}@acme.example").status for i in range(6)]
        assert set(answers) <= {201, 503} and answers.count(503) <= 2, answers
    assert create(server, "then@acme.example").status == 201
    wanted = {f"n{i}@acme.example" for i, status in enumerate(answers) if status == 201}
    assert wanted <= names(server)
    assert server.login(user=AMELIA)[1].status == 303
    whole(server)


# ---- The database ----

def test_a_database_that_another_program_holds(faulty):
    server = faulty()
    browser, _ = server.login(user=AMELIA)
    other = sqlite3.connect(server.state / "directory.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused_for_now(create(server, "held@acme.example"))
    assert browser.get("/headers.json").status == 200 and Scim(server).get("/Users").status == 200
    other.execute("ROLLBACK")
    other.close()
    assert create(server, "held@acme.example").status == 201


def test_a_reload_while_another_program_holds_the_database(faulty):
    """As logrotate does it, each night: nothing is to be written, so nobody is waited for."""
    server = faulty()
    browser, _ = server.login(user=AMELIA)
    with contextlib.closing(sqlite3.connect(server.state / "directory.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        server.graceful()
        assert browser.get("/headers.json").status == 200
        other.execute("ROLLBACK")
    assert "OKS0068" not in server.log.read_text()
    server.expect("OKS0068")
    with server.fault("full"):
        server.graceful()
    harness.wait_until(lambda: create(server, "reloaded@acme.example").status == 201, "the new children")


def test_a_start_while_another_program_closes_the_database(faulty):
    """Whoever closes it last has it alone while what is in the log goes into the file: all of SQLite's SHARED bytes are locked."""
    server = faulty()
    browser, _ = server.login(user=AMELIA)
    server.stop()
    closing = (server.state / "directory.db").open("rb+")
    fcntl.lockf(closing, fcntl.LOCK_EX, 510, 0x40000002)
    threading.Timer(0.5, closing.close).start()
    server.start()
    assert browser.get("/headers.json").status == 200


def test_a_reload_that_finds_an_older_schema_held(faulty):
    """httpd goes on, nobody uses what is not up to date, and the next reload finds it free."""
    server = faulty()
    browser, _ = server.login(user=AMELIA)
    with contextlib.closing(sqlite3.connect(server.state / "directory.db", isolation_level=None)) as other:
        other.execute("UPDATE meta SET value = '3' WHERE name = 'schema_version'")
        other.execute("BEGIN IMMEDIATE")
        server.expect("OKS0068")
        server.graceful()
        other.execute("ROLLBACK")
    assert "OKS0068: restarted without the directory: " + UNAVAILABLE in server.log.read_text()
    harness.wait_until(lambda: browser.get("/headers.json").status == 503, "the new children")
    server.graceful()
    harness.wait_until(lambda: browser.get("/headers.json").status == 200, "the session")


def test_who_waits_to_write_is_answered(faulty):
    """However many wait for their turn: in a few seconds, not one after the other."""
    server = faulty("StartServers 1\n" + CONF)
    other = sqlite3.connect(server.state / "directory.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(12) as threads:
        answers = list(threads.map(lambda i: create(server, f"w{i}@acme.example"), range(12)))
    assert time.monotonic() - began < 15
    for answer in answers:
        refused_for_now(answer)
    other.execute("ROLLBACK")
    other.close()
    assert create(server, "w@acme.example").status == 201


def test_a_database_that_is_read_only(faulty):
    server = faulty()
    browser, _ = server.login(user=AMELIA)
    server.stop()
    files = list(server.state.glob("directory.db*"))
    for file in [*files, server.state]:
        os.chown(file, 0, 0) if os.geteuid() == 0 else file.chmod(0o400)
    (server.state / "directory.db").chmod(0o444)
    server.state.chmod(0o755)
    server.expect("OKS0020")
    said = start_or_not(server)
    if server.process.poll() is None:  # as root, httpd gives the file back to its User
        answer = browser.get("/headers.json")
        assert answer.status in (200, 503) and (answer.status == 200 or answer["Retry-After"])
        assert create(server, "r@acme.example").status in (201, 503)
    else:
        assert "OKS0020: cannot start: " in said


def start_or_not(server):
    """What the log says of it."""
    offset = server.log.stat().st_size
    server.process = subprocess.Popen([harness.HTTPD, "-f", str(server.file), "-D", "FOREGROUND"], env=server.environment, start_new_session=True)
    harness.wait_until(lambda: server.process.poll() is not None or "resuming normal operations" in server.log_since(offset), "a start, or none")
    return server.log_since(offset)


def damage(path, how):
    size = path.stat().st_size
    with path.open("r+b") as file:
        if how == "cut":
            file.truncate(size // 2)
        elif how == "pages":
            rng = random.Random(7)
            for at in range(4096, size, 4096):
                file.seek(at)
                file.write(rng.randbytes(512))
        else:
            file.write(b"this is no database at all; " * 40)


@pytest.mark.parametrize("how", ["cut", "pages", "header"])
def test_a_broken_database(faulty, how):
    """Nobody is let in by it: httpd does not start, or answers 503; and with the backup everything is there again."""
    server = faulty()
    browser, _ = server.login(user=AMELIA)
    for i in range(200):
        assert create(server, f"c{i}@acme.example").status == 201
    with contextlib.closing(sqlite3.connect(server.state / "directory.db")) as live, contextlib.closing(sqlite3.connect(server.dir / "backup.db")) as backup:
        live.backup(backup)
    whole(server)  # which leaves no log beside it: from that SQLite would mend what is damaged here
    damage(server.state / "directory.db", how)
    server.expect("OKS0020", "AH00020")
    said = start_or_not(server)
    if server.process.poll() is None:
        assert browser.get("/headers.json").status in (303, 503)
        refused_for_now(create(server, "later@acme.example"))
    else:
        assert "OKS0020: cannot start: " + UNAVAILABLE in said and said.count(UNAVAILABLE) == 1
    server.stop()
    for left in server.state.glob("directory.db*"):
        left.unlink()
    shutil.copy(server.dir / "backup.db", server.state / "directory.db")
    shutil.chown(server.state / "directory.db", server.state.stat().st_uid, server.state.stat().st_gid)
    server.start()
    server.wait_for_metadata()
    assert browser.get("/headers.json").status == 200 and len(names(server)) >= 200


def test_keys_that_cannot_be_read(faulty):
    server = faulty()
    server.stop()
    server.expect("OKS0020", "AH00020")
    for break_it in (lambda file: file.write_text("no key\n"), lambda file: file.write_text(""), lambda file: (file.unlink(), file.mkdir())):
        break_it(server.state / "session.keys")
        offset = server.log.stat().st_size
        done = subprocess.run([harness.HTTPD, "-f", str(server.file), "-D", "FOREGROUND"], env=server.environment, timeout=60, stderr=subprocess.DEVNULL)
        assert done.returncode != 0 and "OKS0020: cannot start: " in server.log_since(offset) and "session.keys" in server.log_since(offset)


def test_keys_that_cannot_be_written(faulty):
    """The first start on a full disk leaves nothing in the way of the next one."""
    server = faulty()
    server.stop()
    server.expect("OKS0020", "AH00020")
    (server.state / "session.keys").unlink()
    with server.fault("full"):
        done = subprocess.run([harness.HTTPD, "-f", str(server.file), "-D", "FOREGROUND"], env=server.environment, timeout=60, stderr=subprocess.DEVNULL)
    assert done.returncode != 0 and "session.keys" in server.log.read_text()
    server.start()
    assert server.login()[1].status == 303


def test_organizations_whose_directory_cannot_be_read_to_its_end(httpd, okta, shim):
    """They stay, and so does what is theirs."""
    claim = ACME + "OktaSSOEmailDomain acme.example\n"
    site = Site(httpd, okta, {"acme.conf": claim, "other.conf": ACME}, start=False)
    arm(site.server, shim, site.server.dir / "orgs")
    site.start()
    site.server.expect("OKS0037", "OKS0039")
    site.write("waiting.conf", claim)
    for _ in range(2):
        with site.server.fault("listing"):
            told = site.server.log.read_text().count("OKS0039")
            harness.wait_until(lambda: site.server.log_since(0).count("OKS0039") > told, "a look that fails")  # noqa: B023
        site.write("other.conf", ACME + "OktaSSOEnabled On\n")
    assert "gone with its file" not in site.server.log.read_text()
    found = site.server.browser().post("/sso/okta/login", {"organization": "a@acme.example"})
    assert "/sso/okta/login/acme" in found["Location"]


# ---- The clock ----

def test_a_clock_that_jumps(faulty):
    server = faulty(CONF.replace("</OktaSSOOrg>", "    OktaSSOSession lifetime=8h idle=2h\n</OktaSSOOrg>", 1))
    browser, _ = server.login(user=AMELIA)
    pending = server.browser()
    minted = server.okta.answer(server.start_login(pending, "/"), user=AMELIA)
    with server.fault("clock=3600"):
        assert browser.get("/headers.json").status == 200
        server.expect("saml|flow")
        late = pending.post("/sso/okta/acs/acme", harness.post_fields(minted))
        assert late.status in (303, 403) and not pending.session_cookie(), "an answer of an hour ago is none"
        assert create(server, "ahead@acme.example").status == 201
    assert browser.get("/headers.json").status == 200, "and back"
    with server.fault("clock=-3600"):
        answer = browser.get("/headers.json")
        assert answer.status in (200, 303), "a ticket of the future is not believed longer than one of now"
        assert create(server, "behind@acme.example").status == 201
    with server.fault("clock=32400"):
        assert browser.get("/headers.json").status == 303, "over"
    assert server.login(user=AMELIA)[1].status == 303
    assert create(server, "again@acme.example").status == 201


def test_a_clock_that_was_ahead_at_the_start_and_is_set_right(httpd, shim):
    """What is done in the background is not put off until that day has come."""
    server = httpd(CONF, start=False)
    server.expect("OKS0030", r"flow\.idp\.unavailable")
    arm(server, shim, server.state)
    server.okta.control(metadata={"status": 503})
    with server.fault("clock=86400"):
        server.start()
        harness.wait_until(lambda: "net.unreachable" in server.log_since(0), "a fetch that fails")
    server.okta.control(metadata={})
    server.wait_for_metadata()


# ---- What grows ----

def test_documents_that_no_organization_names_any_more(httpd, okta, shim):
    """Ten minutes later they are gone from the database: other servers may be told later, and an organization may be switched off."""
    def names(version, more=""):
        return f'OktaSSOIdPMetadata "{okta.metadata_url()}?v={version}"\n{more}'

    def documents():
        with contextlib.closing(sqlite3.connect(site.server.state / "directory.db")) as database:
            return {name.partition("?v=")[2] for name, in database.execute("SELECT name FROM documents WHERE name LIKE '%?v=%'")}
    site = Site(httpd, okta, {"acme.conf": names(1), "off.conf": names("off"), "goes.conf": names("goes")}, start=False,
                conf=ORG_DIR_CONF.replace('/orgs"', '/orgs" private'))
    site.server.expect("OKS0037", r"flow\.idp\.unavailable", "OKS0030")
    arm(site.server, shim, site.server.state)
    site.start()
    harness.wait_until(lambda: documents() == {"1", "off", "goes"}, "all of them")
    site.write("acme.conf", names(2))
    site.write("off.conf", names("off", "OktaSSOEnabled Off\n"))
    site.remove("goes.conf")
    harness.wait_until(lambda: "2" in documents(), "the new one")
    with site.server.fault("uptime=500"):
        time.sleep(3)
        assert documents() == {"1", "2", "off", "goes"}
    with site.server.fault("uptime=700"):
        harness.wait_until(lambda: documents() == {"2", "off"}, "the end of two")
        assert site.status("/sso/okta/login/acme")[0] == 303


def test_a_document_that_another_server_has_removed_is_fetched_again(faulty):
    """Where it named it no more, and this one does still: in a minute."""
    server = faulty()
    with contextlib.closing(sqlite3.connect(server.state / "directory.db", timeout=20)) as database, database:
        (key,), = database.execute("DELETE FROM documents WHERE name LIKE 'http%' RETURNING hash").fetchall()
        database.execute("UPDATE change_head SET seq = seq + 1")
        database.execute("INSERT INTO changes (seq, kind, hash, at) SELECT seq, 'document', ?, ? FROM change_head", (key, time.time_ns() // 1000))
    harness.wait_until(lambda: server.browser().get("/sso/okta/login/acme").status != 303, "the news")
    with server.fault("uptime=100"):
        server.wait_for_metadata()


# ---- Kills and restarts under load ----

class Load:
    """Visitors with sessions, and SCIM: each answer is judged."""

    def __init__(self, server):
        self.server, self.stopping, self.wrong, self.told, self.served = server, threading.Event(), [], [], 0
        self.browsers = [server.login(user=user)[0] for user in VISITORS]
        self.threads = [threading.Thread(target=self.visit, args=(browser,)) for browser in self.browsers]
        self.threads.append(threading.Thread(target=self.provision))

    def attempt(self, call):
        try:
            return call()
        except OSError:
            return None  # a killed child, or nobody who listens: no answer is no wrong answer
        except Exception as error:  # noqa: BLE001  (half an answer)
            return None if "IncompleteRead" in repr(error) or "BadStatusLine" in repr(error) or "RemoteDisconnected" in repr(error) else self.wrong.append(repr(error))

    def visit(self, browser):
        email = dict(browser.get("/headers.json").json())["X-Remote-Email"]
        while not self.stopping.is_set():
            answer = self.attempt(lambda: browser.get("/headers.json"))
            if answer is None:
                continue
            if answer.status != 200 or dict(answer.json())["X-Remote-Email"] != email:
                self.wrong.append((answer.status, answer.text[:200]))
            self.served += 1
            anonymous = self.attempt(lambda: self.server.browser().get("/headers.json"))
            if anonymous is not None and anonymous.status != 303:
                self.wrong.append(("anonymous", anonymous.status, anonymous.text[:200]))

    def provision(self):
        for i in range(10**6):
            if self.stopping.is_set():
                return
            answer = self.attempt(lambda: create(self.server, f"load{i}@acme.example"))
            if answer is not None and answer.status == 201:
                self.told.append(f"load{i}@acme.example")
            elif answer is not None and answer.status != 503:
                self.wrong.append((answer.status, answer.text[:200]))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in self.threads), "a worker is stuck"

    def judge(self):
        assert not self.wrong, self.wrong[:5]
        assert self.served > 20 and len(self.told) > 5
        assert set(self.told) <= names(self.server), "an acknowledged write is lost"
        assert all(browser.get("/headers.json").status == 200 for browser in self.browsers), "a session is lost"

    def more(self):
        """Waits until it has served some more."""
        served, told = self.served, len(self.told)
        harness.wait_until(lambda: self.served > served + 3 and len(self.told) > told or self.wrong, "requests")


def test_graceful_restarts_under_load(httpd):
    server = httpd(CONF)
    server.expect("OKS0030", r"flow\.idp\.unavailable", "AH00488", UNAVAILABLE)
    with Load(server) as load:
        for _ in range(200 if LONG else 12):
            server.graceful()
            load.more()
    load.judge()


def test_kills_under_load(httpd):
    """Children, one at a time and all at once, then the whole server: it starts again with everything that it had said."""
    server = httpd(CONF)
    server.expect("OKS0030", r"flow\.idp\.unavailable", "AH00052", "AH10392", "AH00098", "AH00051", UNAVAILABLE)
    rng = random.Random(11)
    with Load(server) as load:
        for i in range(60 if LONG else 6):
            load.more()
            children = server.children()
            for child in children if i % 3 == 2 else rng.sample(children, min(1, len(children))):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            load.more()
        for _ in range(10 if LONG else 2):
            load.more()
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait()
            (server.dir / "pid").unlink(missing_ok=True)
            harness.wait_until(lambda: not port_taken(server), "the port")
            server.start()
            server.wait_for_metadata()
            load.more()
    load.judge()
    whole(server)


def port_taken(server):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", server.port))
        except OSError:
            return True
    return False
