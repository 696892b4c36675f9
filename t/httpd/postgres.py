"""A PostgreSQL of its own for a test: on a free port of the loopback interface, without any password, in a directory that goes."""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import harness
import pytest

once = pytest.mark.skipif("OKTASSO_PRELOAD" in os.environ, reason="a sanitizer has seen our side of it with SQLite; test_postgres.py has the rest")
needed = pytest.mark.skipif(not list(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")), reason="PostgreSQL is not installed")


class Postgres:
    def __init__(self):
        self.programs = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="oktasso-postgres-"))
        self.port = harness.free_port()
        self.as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"] if os.geteuid() == 0 else []
        if self.as_user:
            shutil.chown(self.dir, "postgres", "postgres")
        self.run("initdb", "-D", str(self.dir / "data"), "-U", "oktasso", "-A", "trust", "--no-sync")
        self.process = None

    def run(self, program, *arguments):
        return subprocess.run([*self.as_user, str(self.programs / program), *arguments], check=True, capture_output=True, text=True, timeout=120)

    @property
    def spec(self):
        return f"pgsql:host=127.0.0.1 port={self.port} user=oktasso dbname=postgres"

    def start(self):
        command = [str(self.programs / "postgres"), "-D", str(self.dir / "data"), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c",
                   f"unix_socket_directories={self.dir}"]
        self.process = subprocess.Popen([*self.as_user, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.wait_until(self.answers, "PostgreSQL")

    def answers(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            return self.query("SELECT 1") == "1"

    def query(self, sql):
        return self.run("psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "oktasso", "-d", "postgres", "-Atc", sql).stdout.strip()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(2)  # fast: ends the sessions that are there
            self.process.wait(60)

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


@contextlib.contextmanager
def started():
    server = Postgres()
    try:
        server.start()
        yield server
    finally:
        server.close()
