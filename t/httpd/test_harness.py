"""Tripwires: the harness fails a test when it should. Each of these failures is provoked."""

import os

import pytest


def loud(httpd, conf, **options):
    """What closing a server says that nobody announced."""
    server = httpd(conf, start=False, **options)
    server.start()
    server.browser().get("/")
    with pytest.raises(AssertionError, match="did not announce") as failed:
        server.close()
    server.log = server.dir / "gone"  # judged: the fixture closes it again
    return str(failed.value)


def test_an_unannounced_warning_fails(httpd):
    said = loud(httpd, '<Location "/">\n AuthType OktaSSO\n OktaSSOOrg acme\n OktaSSOIdPMetadata "https://127.0.0.1:1/none"\n'
                       ' Require valid-user\n</Location>\n')
    assert "flow.idp.unavailable" in said


def test_an_announced_pattern_admits_no_other_line(httpd):
    server = httpd('RewriteEngine On\nRewriteRule ^/loop /loop?again [N]\n', start=False)
    server.expect("some other line")
    server.start()
    assert server.browser().get("/loop").status == 500
    with pytest.raises(AssertionError, match="did not announce"):
        server.close()
    server.log = server.dir / "gone"


def test_a_server_that_cannot_start_fails(httpd):
    server = httpd("Listen 999.1.1.1:1\n", start=False)
    with pytest.raises(AssertionError, match="httpd ended"):
        server.start()


@pytest.mark.skipif("OKTASSO_PRELOAD" not in os.environ, reason="only where ./t/run sanitized runs the suite")
def test_the_sanitizer_is_there(shared):
    maps = [open(f"/proc/{pid}/maps").read() for pid in shared.children()]
    assert maps and all("libasan" in text or "libtsan" in text for text in maps)
