/* Names of organizations, addresses of people, names of header fields. */
#include <stdlib.h>
#include <string.h>

#include "oktasso/base.h"

#define LOCAL_PART_MAX 64 /* RFC 5321 4.5.3.1.1 */
#define LABEL_MAX 63      /* RFC 1035 2.3.4 */

bool oks_org_name_ok(oks_span_t name)
{
    if (name.len < 1 || name.len > OKS_ORG_NAME_MAX) return false;
    for (apr_size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
    }
    return name.ptr[0] != '-' && name.ptr[name.len - 1] != '-';
}

static bool domain_ok(oks_span_t domain)
{
    oks_span_t label;
    if (!domain.len) return false;
    while (oks_span_next(&label, &domain, '.')) {
        if (label.len < 1 || label.len > LABEL_MAX || label.ptr[0] == '-' || label.ptr[label.len - 1] == '-') return false;
        for (apr_size_t i = 0; i < label.len; i++) {
            char c = label.ptr[i];
            if ((unsigned char)c < 0x80 && !oks_is_letter(c) && !oks_is_digit(c) && c != '-') return false;
        }
    }
    return true;
}

bool oks_email_ok(oks_span_t email)
{
    if (email.len > OKS_EMAIL_MAX || !oks_value_ok(email)) return false; /* nothing that is there and cannot be seen */
    oks_span_t domain = oks_email_domain(email);
    apr_size_t local = email.len - domain.len - 1;
    if (!domain.len || local < 1 || local > LOCAL_PART_MAX) return false;
    for (apr_size_t i = 0; i < local; i++) {
        unsigned char c = (unsigned char)email.ptr[i];
        if (c <= ' ' || c == 0x7f || strchr("\"(),:;<>[\\]@", c)) return false;
    }
    return domain_ok(domain);
}

oks_span_t oks_email_domain(oks_span_t email)
{
    const char *at = email.len ? memchr(email.ptr, '@', email.len) : NULL;
    if (!at) return oks_span(NULL, 0);
    return oks_span(at + 1, email.len - (apr_size_t)(at + 1 - email.ptr));
}

bool oks_domain_matches(oks_span_t domain, const char *pattern)
{
    if (strncmp(pattern, "*.", 2) != 0) return oks_span_case_eq_z(domain, pattern);
    apr_size_t below = strlen(pattern + 1); /* with its dot */
    return domain.len > below && oks_span_case_eq_z(oks_span(domain.ptr + domain.len - below, below), pattern + 1);
}

static int by_text(const void *one, const void *other)
{
    return strcmp(*(const char *const *)one, *(const char *const *)other);
}

const char *oks_find_repeated(apr_array_header_t *texts)
{
    const char **text = (const char **)texts->elts;
    qsort(text, (size_t)texts->nelts, sizeof *text, by_text);
    for (int i = 1; i < texts->nelts; i++)
        if (strcmp(text[i - 1], text[i]) == 0) return text[i];
    return NULL;
}

const char *oks_header_fold(const char *name, apr_pool_t *pool)
{
    char *out = apr_palloc(pool, strlen(name) + 1), *p = out;
    for (; *name; name++)
        if (oks_is_letter(*name) || oks_is_digit(*name)) *p++ = oks_lower(*name);
    *p = '\0';
    return out;
}

bool oks_header_name_ok(const char *name)
{
    bool letter = false;
    apr_size_t len = strlen(name);
    if (len < 1 || len > OKS_HEADER_NAME_MAX) return false;
    for (; *name; name++) {
        if (oks_is_letter(*name)) letter = true;
        else if (!oks_is_digit(*name) && !strchr("!#$%&'*+-.^_`|~", *name)) return false;
    }
    return letter;
}
