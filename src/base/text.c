/* Text that goes out: header values, HTML, log lines. Unicode by utf8proc. */
#include <stdlib.h>
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>
#include <utf8proc.h>

#include "oktasso/base.h"

#define ZERO_WIDTH_NON_JOINER 0x200C
#define ZERO_WIDTH_JOINER 0x200D
#define RIGHT_SINGLE_QUOTE 0x2019
#define MIDDLE_DOT 0x00B7

bool oks_utf8_ok(oks_span_t text)
{
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text.ptr;
    utf8proc_ssize_t left = (utf8proc_ssize_t)text.len;
    while (left > 0) {
        utf8proc_int32_t c;
        if (*p && *p < 0x80) { /* nearly all of most documents */
            p++, left--;
            continue;
        }
        utf8proc_ssize_t n = utf8proc_iterate(p, left, &c);
        if (n < 1 || c == 0) return false;
        p += n, left -= n;
    }
    return true;
}

bool oks_is_html(oks_span_t document)
{
    static const char *const starts[] = { "<!doctype html", "<html" };
    document = oks_span_trim(oks_span_skip_mark(document));
    for (apr_size_t i = 0; i < sizeof starts / sizeof starts[0]; i++)
        if (document.len >= strlen(starts[i]) && apr_cstr_casecmpn(document.ptr, starts[i], strlen(starts[i])) == 0) return true;
    return false;
}

/* By category as well: some of class 0 are composed of others (U+0F73). */
static bool is_mark(utf8proc_int32_t c)
{
    const utf8proc_property_t *property = utf8proc_get_property(c);
    return property->combining_class ||
           (property->category >= UTF8PROC_CATEGORY_MN && property->category <= UTF8PROC_CATEGORY_ME);
}

/* Does it have more combining marks in a row than anybody writes? To order them takes their number squared. */
static bool has_marks_without_end(const char *text)
{
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text;
    int marks = 0;
    utf8proc_int32_t c;
    for (utf8proc_ssize_t n; *p && (n = utf8proc_iterate(p, -1, &c)) > 0; p += n) {
        marks = c >= 0x80 && is_mark(c) ? marks + 1 : 0;
        if (marks > OKS_MARKS_MAX) return true;
    }
    return false;
}

/* utf8proc allocates with malloc: into the pool, or `fallback` when the text is not UTF-8. */
static const char *map_utf8(const char *text, utf8proc_option_t options, const char *fallback, apr_pool_t *pool)
{
    utf8proc_uint8_t *mapped = NULL;
    utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)text, 0, &mapped, options | UTF8PROC_NULLTERM);
    if (n < 0) return fallback;
    char *copy = apr_pstrmemdup(pool, (const char *)mapped, (apr_size_t)n);
    free(mapped);
    return copy;
}

/* The same with its marks composed, for text that somebody may have written. */
static const char *compose(const char *text, utf8proc_option_t options, const char *fallback, apr_pool_t *pool)
{
    return has_marks_without_end(text) ? fallback : map_utf8(text, UTF8PROC_STABLE | UTF8PROC_COMPOSE | options, fallback, pool);
}

bool oks_is_ascii(oks_span_t text)
{
    unsigned char bits = 0;
    for (apr_size_t i = 0; i < text.len; i++) bits |= (unsigned char)text.ptr[i];
    return bits < 0x80;
}

const char *oks_fold_key(const char *text, apr_pool_t *pool)
{
    if (oks_is_ascii(oks_span_z(text))) return oks_lower_key(text, pool); /* the same, for a fraction of the time */
    return compose(text, UTF8PROC_CASEFOLD, text, pool);
}

bool oks_same_name(const char *one, const char *other, apr_pool_t *pool)
{
    return strcmp(oks_lower_key(one, pool), oks_lower_key(other, pool)) == 0;
}

const char *oks_lower_key(const char *text, apr_pool_t *pool)
{
    char *out = apr_pstrdup(pool, text);
    for (char *p = out; *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p += 'a' - 'A';
    return out;
}

static bool is_letter(utf8proc_int32_t c)
{
    utf8proc_category_t category = utf8proc_category(c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ME; /* letters and marks */
}

static bool name_keeps(utf8proc_int32_t c)
{
    utf8proc_category_t category = utf8proc_category(c);
    if (is_letter(c) || category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL) return true;
    if (c == RIGHT_SINGLE_QUOTE || c == MIDDLE_DOT) return true;
    return c < 0x80 && c > 0 && strchr("._-@+'&,()/", (int)c) != NULL;
}

const char *oks_name_sanitize(const char *text, apr_pool_t *pool)
{
    const utf8proc_uint8_t *in = (const utf8proc_uint8_t *)compose(text, 0, "", pool);
    utf8proc_uint8_t *out = apr_palloc(pool, strlen((const char *)in) + 1), *p = out;
    utf8proc_int32_t before = 0, c;
    bool blank = false;
    for (utf8proc_ssize_t n; *in && (n = utf8proc_iterate(in, -1, &c)) > 0; in += n) {
        utf8proc_int32_t next = 0;
        if (c == ZERO_WIDTH_JOINER || c == ZERO_WIDTH_NON_JOINER) {
            if (in[n]) utf8proc_iterate(in + n, -1, &next);
            if (blank || !is_letter(before) || !is_letter(next)) continue;
        } else if (c == '\t' || utf8proc_category(c) == UTF8PROC_CATEGORY_ZS) {
            blank = true;
            continue;
        } else if (!name_keeps(c)) {
            continue;
        }
        if (blank && p > out) *p++ = ' ';
        blank = false;
        p += utf8proc_encode_char(c, p);
        before = c;
    }
    *p = '\0';
    /* Once more: what stood between a letter and its mark may be gone. */
    return compose((const char *)out, 0, "", pool);
}

const char *oks_full_name(const char *first_name, const char *last_name, apr_pool_t *pool)
{
    return oks_span_dup(oks_span_trim(oks_span_z(apr_pstrcat(pool, first_name, " ", last_name, NULL))), pool);
}

static bool value_drops(utf8proc_int32_t c)
{
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP: return true;
    default: return false;
    }
}

bool oks_value_ok(oks_span_t text)
{
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text.ptr;
    utf8proc_ssize_t left = (utf8proc_ssize_t)text.len, n;
    for (utf8proc_int32_t c; left > 0; p += n, left -= n) {
        n = utf8proc_iterate(p, left, &c);
        if (n < 1 || value_drops(c) || (c != ' ' && utf8proc_category(c) == UTF8PROC_CATEGORY_ZS)) return false;
    }
    return true;
}

/* `instead` of each character that is none for a header, and of each byte that is no UTF-8. */
static const char *sanitize(const char *text, oks_span_t instead, apr_pool_t *pool)
{
    const utf8proc_uint8_t *in = (const utf8proc_uint8_t *)text;
    char *out = apr_palloc(pool, strlen(text) * (instead.len ? instead.len : 1) + 1), *p = out;
    while (*in) {
        utf8proc_int32_t c;
        utf8proc_ssize_t n = utf8proc_iterate(in, -1, &c);
        oks_span_t put = n < 1 || value_drops(c) ? instead : oks_span((const char *)in, (apr_size_t)n);
        if (put.len) memcpy(p, put.ptr, put.len), p += put.len;
        in += n < 1 ? 1 : n;
    }
    return oks_span_dup(oks_span_trim(oks_span(out, (apr_size_t)(p - out))), pool);
}

const char *oks_value_sanitize(const char *text, apr_pool_t *pool)
{
    return sanitize(text, oks_span(NULL, 0), pool);
}

const char *oks_group_sanitize(const char *text, apr_pool_t *pool)
{
    return sanitize(text, oks_span_z("\xEF\xBF\xBD"), pool);
}

const char *oks_loose_key(const char *text, apr_pool_t *pool)
{
    const char *in = map_utf8(text, UTF8PROC_STABLE | UTF8PROC_COMPAT | UTF8PROC_DECOMPOSE | UTF8PROC_STRIPMARK |
                              UTF8PROC_CASEFOLD | UTF8PROC_IGNORE | UTF8PROC_LUMP, text, pool);
    char *out = apr_palloc(pool, strlen(in) + 1), *p = out;
    for (; *in; in++)
        if ((unsigned char)*in > ' ') *p++ = *in;
    *p = '\0';
    return out;
}

const char *oks_html_escape(const char *text, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, strlen(text) * 6 + 1), *p = out;
    for (; *text; text++) {
        const char *entity = *text == '&' ? "&amp;" : *text == '<' ? "&lt;" : *text == '>' ? "&gt;"
                           : *text == '"' ? "&quot;" : *text == '\'' ? "&#39;" : NULL;
        if (entity) p += strlen(strcpy(p, entity));
        else *p++ = *text;
    }
    *p = '\0';
    return out;
}

const char *oks_log_escape(oks_span_t text, apr_size_t max, apr_pool_t *pool)
{
    apr_size_t len = text.len < max ? text.len : max;
    char *out = apr_palloc(pool, len * 4 + 1), *p = out;
    for (apr_size_t i = 0; i < len;) {
        utf8proc_int32_t c;
        const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text.ptr + i;
        utf8proc_ssize_t n = utf8proc_iterate(at, (utf8proc_ssize_t)(len - i), &c);
        if (n < 1 || c < ' ' || c == '\\' || value_drops(c)) {
            n = n < 1 ? 1 : n;
            for (utf8proc_ssize_t k = 0; k < n; k++) p += apr_snprintf(p, 5, "\\x%02x", at[k]);
        } else {
            memcpy(p, at, (size_t)n), p += n;
        }
        i += (apr_size_t)n;
    }
    *p = '\0';
    return len < text.len ? apr_pstrcat(pool, out, "...", NULL) : out;
}
