/* What is made of foreign text before it goes into a header, a page or a log line. */
#include <apr_strings.h>

#include "fuzz.h"

#define LOG_MAX 40

void fuzz_start(apr_pool_t *pool)
{
}

static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f) return true;
    return false;
}

static void check_sanitized(const char *text, const char *again)
{
    HOLDS(oks_utf8_ok(oks_span_z(text)) && !has_control(text));
    HOLDS(strcmp(text, again) == 0);
    HOLDS(!*text || (text[0] != ' ' && text[strlen(text) - 1] != ' '));
}

static void check_email(oks_span_t input, apr_pool_t *pool)
{
    oks_span_t domain = oks_email_domain(input);
    HOLDS(domain.len && domain.len < input.len && input.len <= OKS_EMAIL_MAX && oks_utf8_ok(input));
    HOLDS(!has_control(oks_span_dup(input, pool)));
    HOLDS(oks_domain_matches(domain, oks_span_dup(domain, pool)));
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    const char *text = oks_span_dup(input, pool), *name = oks_name_sanitize(text, pool), *value = oks_value_sanitize(text, pool);
    check_sanitized(name, oks_name_sanitize(name, pool));
    check_sanitized(value, oks_value_sanitize(value, pool));
    HOLDS(!strpbrk(name, "<>\"\\:;=`#"));
    HOLDS(!strpbrk(oks_html_escape(text, pool), "<>\"'"));
    const char *line = oks_log_escape(input, LOG_MAX, pool);
    HOLDS(!has_control(line) && strlen(line) <= 4 * LOG_MAX + 3 && oks_utf8_ok(oks_span_z(line)));
    const char *url = oks_url_encode(text, pool);
    HOLDS(strspn(url, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%") == strlen(url));
    const char *folded = oks_header_fold(text, pool);
    HOLDS(!oks_header_name_ok(text) || strcmp(folded, oks_header_fold(folded, pool)) == 0);
    if (oks_utf8_ok(input)) HOLDS(oks_utf8_ok(oks_span_z(oks_fold_key(text, pool))));
    if (oks_value_ok(input)) HOLDS(!strcmp(oks_value_sanitize(text, pool), oks_span_dup(oks_span_trim(oks_span_z(text)), pool)));
    if (!oks_email_ok(input)) return false;
    HOLDS(!strcmp(oks_value_sanitize(text, pool), text));
    check_email(input, pool);
    return true;
}
