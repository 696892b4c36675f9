"""Tripwires: the harness fails a test when it should. Each of these failures is provoked."""

import contextlib
import http.client
import os
import pathlib
import signal
import subprocess

import harness
import pytest

PRELOAD = os.environ.get("OKTASSO_PRELOAD", "")


def fails(server, match):
    """Closing it fails; what that says."""
    with pytest.raises(AssertionError, match=match) as failed:
        server.close()
    server.log, server.process = server.dir / "gone", None  # judged: the fixture closes it again
    return str(failed.value)


def test_an_unannounced_warning_fails(httpd):
    server = httpd('<Location "/">\n AuthType OktaSSO\n OktaSSOOrg acme\n OktaSSOIdPMetadata "https://127.0.0.1:1/none"\n'
                   ' Require valid-user\n</Location>\n', start=False).start()
    server.browser().get("/")
    assert "flow.idp.unavailable" in fails(server, "did not announce")


def test_an_announced_pattern_admits_no_other_line(httpd):
    server = httpd('RewriteEngine On\nRewriteRule ^/loop /loop?again [N]\n', start=False)
    server.expect("some other line")
    server.start()
    assert server.browser().get("/loop").status == 500
    fails(server, "did not announce")


def test_a_server_that_cannot_start_fails(httpd):
    server = httpd("Listen 999.1.1.1:1\n", start=False)
    with pytest.raises(AssertionError, match="httpd ended"):
        server.start()


def test_a_server_that_crashes_as_it_ends_fails(httpd):
    server = httpd("", start=False).start()
    server.process.send_signal(signal.SIGABRT)
    server.process.wait(harness.DEADLINE)
    fails(server, f"httpd ended with status -{signal.SIGABRT:d}")


# ---- A child that breaks ----

@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """build(flag…): the module that broken.c makes."""
    def make(*flags):
        module = tmp_path_factory.mktemp("broken") / "broken.so"
        module.parent.chmod(0o755)
        said = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
                for command in (["pkg-config", "--cflags", "apr-1"], ["apxs", "-q", "INCLUDEDIR"])]
        subprocess.run(["cc", *said[0], f"-I{said[1][0]}", "-shared", "-fPIC", "-g", *flags, "-o", module,
                        pathlib.Path(__file__).with_name("broken.c")], check=True)
        return module
    return make


def breaks(httpd, module, what, said, **environment):
    """It fails with that in the log."""
    server = httpd(f'LoadModule broken_module "{module}"\n<Location "/">\n SetHandler broken\n</Location>\n', start=False)
    server.environment.update(environment)
    server.start()
    with contextlib.suppress(http.client.HTTPException, OSError):  # a child that is gone answers nothing
        server.browser().get(f"/?{what}")
    harness.wait_until(lambda: said in server.log_since(0), said)
    assert said in fails(server, "did not announce")


def test_a_child_that_crashes_fails(httpd, build):
    plain = {name: f"{os.environ.get(name, '')}:handle_segv=0" for name in ("ASAN_OPTIONS", "TSAN_OPTIONS")}  # ./t/run sanitized, tsan
    breaks(httpd, build(), "crash", "exit signal Segmentation fault", **plain)


def sanitizers():
    """The libraries, as ./t/run sanitized preloads them; None: this compiler has none."""
    named = [subprocess.run(["cc", f"-print-file-name={name}.so"], capture_output=True, text=True, check=True).stdout.strip()
             for name in ("libasan", "libubsan")]
    return named if all(map(os.path.exists, named)) else None


@pytest.mark.parametrize("what, said", [("memory", "heap-buffer-overflow"), ("arithmetic", "runtime error: signed integer overflow")])
def test_what_a_sanitizer_finds_in_a_child_fails(httpd, build, what, said):
    if "tsan" in PRELOAD:
        pytest.skip("another sanitizer is loaded")
    libraries = sanitizers()
    if not libraries:
        pytest.skip("the compiler has no sanitizers")
    module = build("-fsanitize=address,undefined")
    breaks(httpd, module, what, said, LD_PRELOAD=PRELOAD or " ".join(libraries), ASAN_OPTIONS="detect_leaks=0")


@pytest.mark.skipif(not PRELOAD, reason="only where ./t/run sanitized runs the suite")
def test_the_sanitizer_is_there(shared):
    maps = [open(f"/proc/{pid}/maps").read() for pid in shared.children()]
    assert maps and all("libasan" in text or "libtsan" in text for text in maps)
