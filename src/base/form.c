/* Forms and cookies: (pointer, length) slices; nothing is written into the input (SECURITY.md 3, 4). */
#include <string.h>

#include "oktasso/base.h"

static bool decode(oks_span_t *out, oks_span_t text, apr_pool_t *pool)
{
    char *copy = apr_palloc(pool, text.len + 1), *p = copy;
    for (apr_size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < text.len ? oks_hex_value(text.ptr[i + 1]) : -1, low = high < 0 ? -1 : oks_hex_value(text.ptr[i + 2]);
            if (low < 0) return false;
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '\0') return false;
        *p++ = c;
    }
    *p = '\0';
    *out = oks_span(copy, (apr_size_t)(p - copy));
    return true;
}

oks_err_t *oks_form_parse(apr_array_header_t **params, oks_span_t text, apr_pool_t *pool)
{
    apr_array_header_t *list = apr_array_make(pool, 4, sizeof(oks_param_t));
    oks_span_t field;
    if (!text.len) text = oks_span(NULL, 0);
    while (oks_span_next(&field, &text, '&')) {
        if (!field.len) continue;
        if (list->nelts == OKS_FORM_FIELDS_MAX) return oks_err(pool, OKS_R_BASE_FORM_TOO_MANY, "more than %d", OKS_FORM_FIELDS_MAX);
        oks_span_t name, value = field;
        oks_param_t *param = apr_array_push(list);
        oks_span_next(&name, &value, '=');
        if (!decode(&param->name, name, pool) || !decode(&param->value, value, pool))
            return oks_err(pool, OKS_R_BASE_FORM_MALFORMED, "field %d", list->nelts);
    }
    *params = list;
    return NULL;
}

oks_err_t *oks_form_get(oks_span_t *value, const apr_array_header_t *params, const char *name, apr_pool_t *pool)
{
    *value = oks_span(NULL, 0);
    for (int i = 0; i < params->nelts; i++) {
        const oks_param_t *param = &APR_ARRAY_IDX(params, i, oks_param_t);
        if (!oks_span_eq_z(param->name, name)) continue;
        if (value->ptr) return oks_err(pool, OKS_R_BASE_FORM_REPEATED, "%s", name);
        *value = param->value;
    }
    return NULL;
}

bool oks_cookie_get(oks_span_t *value, oks_span_t header, const char *name)
{
    oks_span_t pair;
    bool found = false;
    apr_size_t len = strlen(name);
    while (oks_span_next(&pair, &header, ';')) {
        pair = oks_span_trim(pair);
        if (pair.len <= len || pair.ptr[len] != '=' || memcmp(pair.ptr, name, len) != 0) continue;
        if (found) return false;
        *value = oks_span_trim(oks_span(pair.ptr + len + 1, pair.len - len - 1));
        found = true;
    }
    return found;
}
