/* URLs: the return-URL policy and absolute addresses. No block-list, no regular expression (SECURITY.md 5). */
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include "oktasso/base.h"

static const char digits[] = "0123456789ABCDEF";

static bool unreserved(char c)
{
    return oks_is_letter(c) || oks_is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

const char *oks_url_encode(const char *text, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, strlen(text) * 3 + 1), *p = out;
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (unreserved(*text)) {
            *p++ = (char)c;
        } else {
            *p++ = '%', *p++ = digits[c >> 4], *p++ = digits[c & 15];
        }
    }
    *p = '\0';
    return out;
}

/* Is this path segment "." or "..", also when its dots are percent-encoded? */
static bool dot_segment(oks_span_t segment)
{
    apr_size_t dots = 0, i = 0;
    while (i < segment.len) {
        if (segment.ptr[i] == '.') i++;
        else if (i + 2 < segment.len && apr_cstr_casecmpn(segment.ptr + i, "%2e", 3) == 0) i += 3;
        else return false;
        dots++;
    }
    return dots == 1 || dots == 2;
}

static bool has_dot_segment(oks_span_t path)
{
    oks_span_t segment;
    while (oks_span_next(&segment, &path, '/'))
        if (dot_segment(segment)) return true;
    return false;
}

/* Copies one character of the path re-encoded; the number of bytes read, 0 when it may not be there. */
static apr_size_t copy_encoded(char **p, oks_span_t raw, apr_size_t i)
{
    unsigned char c = (unsigned char)raw.ptr[i];
    if (c == '%') {
        int high = i + 2 < raw.len ? oks_hex_value(raw.ptr[i + 1]) : -1, low = high < 0 ? -1 : oks_hex_value(raw.ptr[i + 2]);
        unsigned byte = (unsigned)(high * 16 + low);
        if (low < 0 || byte < 0x20 || byte == 0x7f || byte == '\\') return 0;
        *(*p)++ = '%', *(*p)++ = digits[byte >> 4], *(*p)++ = digits[byte & 15];
        return 3;
    }
    if (c < 0x20 || c == 0x7f || c == '\\') return 0;
    if (unreserved(raw.ptr[i]) || strchr("!$&'()*+,;=:@/?", c)) {
        *(*p)++ = (char)c;
    } else {
        *(*p)++ = '%', *(*p)++ = digits[c >> 4], *(*p)++ = digits[c & 15];
    }
    return 1;
}

oks_err_t *oks_return_path(const char **path, oks_span_t raw, apr_pool_t *pool)
{
    if (raw.len < 1 || raw.len > OKS_RETURN_MAX || raw.ptr[0] != '/')
        return oks_err(pool, OKS_R_BASE_RETURN_REFUSED, "not a path of at most %d bytes", OKS_RETURN_MAX);
    if (raw.len > 1 && (raw.ptr[1] == '/' || raw.ptr[1] == '\\'))
        return oks_err(pool, OKS_R_BASE_RETURN_REFUSED, "starts with two slashes: another host");
    char *out = apr_palloc(pool, raw.len * 3 + 1), *p = out;
    const char *query = NULL;
    for (apr_size_t i = 0; i < raw.len && raw.ptr[i] != '#';) {
        if (raw.ptr[i] == '?' && !query) query = p;
        apr_size_t n = copy_encoded(&p, raw, i);
        if (!n) return oks_err(pool, OKS_R_BASE_RETURN_REFUSED, "a character that no path has, at byte %" APR_SIZE_T_FMT, i);
        i += n;
    }
    *p = '\0';
    if (p - out > OKS_RETURN_MAX)
        return oks_err(pool, OKS_R_BASE_RETURN_REFUSED, "longer than %d bytes when encoded", OKS_RETURN_MAX);
    if (has_dot_segment(oks_span(out, (apr_size_t)((query ? query : p) - out))))
        return oks_err(pool, OKS_R_BASE_RETURN_REFUSED, "a dot segment");
    *path = out;
    return NULL;
}

/* host or host:port; false when malformed. */
static bool split_authority(oks_url_t *url, oks_span_t authority, apr_pool_t *pool)
{
    oks_span_t host = authority, port = { NULL, 0 };
    bool literal = authority.len && authority.ptr[0] == '[';
    const char *end = literal ? memchr(authority.ptr, ']', authority.len) : NULL;
    if (literal && !end) return false;
    const char *from = literal ? end : authority.ptr;
    const char *colon = authority.len ? memchr(from, ':', authority.len - (apr_size_t)(from - authority.ptr)) : NULL;
    if (colon) {
        host.len = (apr_size_t)(colon - authority.ptr);
        port = oks_span(colon + 1, authority.len - host.len - 1);
        if (port.len < 1 || port.len > 5) return false;
        url->port = 0;
        for (apr_size_t i = 0; i < port.len; i++) {
            if (!oks_is_digit(port.ptr[i])) return false;
            url->port = url->port * 10 + (port.ptr[i] - '0');
        }
        if (url->port < 1 || url->port > 65535) return false;
    }
    if (literal) {
        if (host.ptr + host.len != end + 1) return false;
        host = oks_span(host.ptr + 1, host.len - 2);
    }
    if (host.len < 1 || host.len > 255) return false;
    char *copy = oks_span_dup(host, pool);
    for (char *p = copy; *p; p++) {
        if (!(literal ? oks_hex_value(*p) >= 0 || strchr(":.", *p) : oks_is_letter(*p) || oks_is_digit(*p) || strchr("-._", *p)))
            return false;
        *p = oks_lower(*p);
    }
    url->host = copy;
    return true;
}

oks_err_t *oks_url_parse(oks_url_t *url, oks_span_t text, apr_pool_t *pool)
{
    oks_span_t rest;
    memset(url, 0, sizeof *url);
    if (text.len > 8 && apr_cstr_casecmpn(text.ptr, "https://", 8) == 0) {
        url->scheme = "https", url->port = 443;
        rest = oks_span(text.ptr + 8, text.len - 8);
    } else if (text.len > 7 && apr_cstr_casecmpn(text.ptr, "http://", 7) == 0) {
        url->scheme = "http", url->port = 80;
        rest = oks_span(text.ptr + 7, text.len - 7);
    } else {
        return oks_err(pool, OKS_R_BASE_URL_MALFORMED, "neither http:// nor https://");
    }
    for (apr_size_t i = 0; i < rest.len; i++) {
        unsigned char c = (unsigned char)rest.ptr[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"<>\\^`{|}#", c))
            return oks_err(pool, OKS_R_BASE_URL_MALFORMED, "a character that no URL has");
    }
    apr_size_t host_len = 0;
    while (host_len < rest.len && rest.ptr[host_len] != '/' && rest.ptr[host_len] != '?') host_len++;
    if (!split_authority(url, oks_span(rest.ptr, host_len), pool))
        return oks_err(pool, OKS_R_BASE_URL_MALFORMED, "no usable host and port");
    oks_span_t path = oks_span(rest.ptr + host_len, rest.len - host_len);
    url->path = path.len && path.ptr[0] == '/' ? oks_span_dup(path, pool)
                                               : apr_pstrcat(pool, "/", oks_span_dup(path, pool), NULL);
    return NULL;
}

bool oks_url_is_loopback(const oks_url_t *url)
{
    apr_size_t len = strlen(url->host);
    if (strcmp(url->host, "localhost") == 0 || strcmp(url->host, "::1") == 0) return true;
    if (len > 10 && strcmp(url->host + len - 10, ".localhost") == 0) return true;
    if (strncmp(url->host, "127.", 4) != 0) return false;
    return strspn(url->host, "0123456789.") == len; /* 127.evil.example is a name, not an address */
}

bool oks_url_is_secure(const oks_url_t *url)
{
    return strcmp(url->scheme, "https") == 0 || oks_url_is_loopback(url);
}
