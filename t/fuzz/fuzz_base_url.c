/* The return-URL policy, and absolute URLs of documents and settings. */
#include <apr_strings.h>

#include "fuzz.h"

void fuzz_start(apr_pool_t *pool)
{
}

/* SECURITY.md 5: whatever a browser makes of it, it stays on this origin. */
static bool return_path(oks_span_t input, apr_pool_t *pool)
{
    const char *path, *again;
    if (oks_return_path(&path, input, pool)) return false;
    HOLDS(path[0] == '/' && path[1] != '/' && strlen(path) <= OKS_RETURN_MAX);
    for (const char *p = path; *p; p++) HOLDS(*p > ' ' && *p < 0x7f && *p != '\\' && *p != '#' && *p != '"' && *p != '<');
    const char *query = path + strcspn(path, "?"), *dots = strstr(path, "/../");
    HOLDS(!dots || dots > query);
    HOLDS(!oks_return_path(&again, oks_span_z(path), pool) && strcmp(again, path) == 0);
    return true;
}

static bool absolute(oks_span_t input, apr_pool_t *pool)
{
    oks_url_t url, again;
    if (oks_url_parse(&url, input, pool)) return false;
    HOLDS(!strcmp(url.scheme, "https") || !strcmp(url.scheme, "http"));
    HOLDS(*url.host && !strpbrk(url.host, "@/\\?#[]% ABCDEFGHIJKLMNOPQRSTUVWXYZ") && url.port >= 1 && url.port <= 65535);
    HOLDS(url.path[0] == '/' && !strpbrk(url.path, "#\\\"<> \r\n"));
    bool literal = strchr(url.host, ':');
    const char *text = apr_psprintf(pool, literal ? "%s://[%s]:%d%s" : "%s://%s:%d%s", url.scheme, url.host, url.port, url.path);
    HOLDS(!oks_url_parse(&again, oks_span_z(text), pool) && again.port == url.port);
    HOLDS(!strcmp(again.host, url.host) && !strcmp(again.path, url.path) && !strcmp(again.scheme, url.scheme));
    HOLDS(oks_url_is_loopback(&url) == oks_url_is_loopback(&again));
    return true;
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    bool path = return_path(input, pool), url = absolute(input, pool);
    HOLDS(!path || !url);
    return path || url;
}
