/* Slices of bytes that somebody else owns. */
#include <string.h>

#include <apr_strings.h>

#include "oktasso/base.h"

oks_span_t oks_span(const char *ptr, apr_size_t len)
{
    return (oks_span_t){ ptr, len };
}

oks_span_t oks_span_z(const char *text)
{
    return (oks_span_t){ text, text ? strlen(text) : 0 };
}

bool oks_span_eq(oks_span_t a, oks_span_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool oks_span_eq_z(oks_span_t a, const char *text)
{
    return text && oks_span_eq(a, oks_span_z(text));
}

bool oks_span_case_eq_z(oks_span_t a, const char *text)
{
    if (!text || strlen(text) != a.len) return false;
    for (apr_size_t i = 0; i < a.len; i++)
        if (oks_lower(a.ptr[i]) != oks_lower(text[i])) return false;
    return true;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

oks_span_t oks_span_trim(oks_span_t span)
{
    while (span.len && blank(span.ptr[0])) span.ptr++, span.len--;
    while (span.len && blank(span.ptr[span.len - 1])) span.len--;
    return span;
}

oks_span_t oks_span_skip_mark(oks_span_t span)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8 */
    const apr_size_t len = sizeof mark - 1;
    return span.len >= len && memcmp(span.ptr, mark, len) == 0 ? oks_span(span.ptr + len, span.len - len) : span;
}

char *oks_span_dup(oks_span_t span, apr_pool_t *pool)
{
    return span.len ? apr_pstrmemdup(pool, span.ptr, span.len) : apr_pstrdup(pool, "");
}

bool oks_span_next(oks_span_t *piece, oks_span_t *rest, char separator)
{
    if (!rest->ptr) return false;
    const char *end = rest->len ? memchr(rest->ptr, separator, rest->len) : NULL;
    if (!end) {
        *piece = *rest;
        *rest = oks_span(NULL, 0);
        return true;
    }
    *piece = oks_span(rest->ptr, (apr_size_t)(end - rest->ptr));
    *rest = oks_span(end + 1, rest->len - piece->len - 1);
    return true;
}
