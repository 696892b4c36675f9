"""A cache that several visitors share: httpd's own, in front of everything, as CacheQuickHandler has it."""

from conftest import GUARDED

CONF = GUARDED + """
<Location "/free.html">
    OktaSSOUnauthorized pass
    Require all granted
</Location>
Header set Cache-Control "max-age=600"
CacheRoot "{dir}/cache"
CacheEnable disk "/"
CacheQuickHandler On
CacheHeader On
"""


def cached_server(httpd):
    server = httpd(CONF, start=False, modules=("cache", "cache_disk"))
    (server.dir / "cache").mkdir()
    (server.dir / "cache").chmod(0o777)
    (server.dir / "htdocs/free.html").write_text("for everybody\n")
    server.expect(r"OKS0001: refused .*flow\.idp\.unavailable")
    server.start()
    server.wait_for_metadata()
    return server


def found(answer):
    assert answer.status == 200
    return answer["X-Cache"].split()[0]


def test_a_page_of_a_signed_in_visitor_is_not_cached_for_others(httpd):
    server = cached_server(httpd)
    browser, _ = server.login()
    for path in ("/index.html", "/free.html"):
        answers = [browser.get(path) for _ in range(2)]
        assert [found(answer) for answer in answers] == ["MISS", "MISS"]
        assert sorted(answers[0].all("Cache-Control")) == ["max-age=600", "private"]
    assert server.browser().get("/index.html").status == 303


def test_the_cache_works_where_nobody_is_signed_in(httpd):
    server = cached_server(httpd)
    answers = [server.browser().get("/free.html") for _ in range(2)]
    assert [found(answer) for answer in answers] == ["MISS", "HIT"]
    assert "private" not in answers[0].all("Cache-Control")
