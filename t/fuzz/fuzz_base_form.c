/* A query of the Redirect binding, or a form's body. */
#include <apr_strings.h>

#include "fuzz.h"

void fuzz_start(apr_pool_t *pool)
{
}

/* "%XX" of every byte. */
static const char *encoded(oks_span_t text, apr_pool_t *pool)
{
    const char *hex = oks_hex_encode(text, pool);
    char *out = apr_palloc(pool, text.len * 3 + 1), *p = out;
    for (; *hex; hex += 2) *p++ = '%', *p++ = hex[0], *p++ = hex[1];
    *p = '\0';
    return out;
}

static const char *written(const apr_array_header_t *params, apr_pool_t *pool)
{
    const char *text = "";
    for (int i = 0; i < params->nelts; i++) {
        const oks_param_t *param = &APR_ARRAY_IDX(params, i, oks_param_t);
        text = apr_pstrcat(pool, text, encoded(param->name, pool), "=", encoded(param->value, pool), "&", NULL);
    }
    return text;
}

static int count_of(const apr_array_header_t *params, oks_span_t name)
{
    int count = 0;
    for (int i = 0; i < params->nelts; i++) count += oks_span_eq(APR_ARRAY_IDX(params, i, oks_param_t).name, name);
    return count;
}

static void check_param(const apr_array_header_t *params, const oks_param_t *param, apr_pool_t *pool)
{
    oks_span_t value;
    HOLDS(!param->value.len || !memchr(param->value.ptr, '\0', param->value.len));
    oks_err_t *err = oks_form_get(&value, params, oks_span_dup(param->name, pool), pool);
    /* A name that occurs twice is never last-wins (SECURITY.md 4). */
    if (count_of(params, param->name) > 1) HOLDS(err && err->reason == OKS_R_BASE_FORM_REPEATED);
    else HOLDS(!err && oks_span_eq(value, param->value));
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    apr_array_header_t *params, *again;
    if (oks_form_parse(&params, input, pool)) return false;
    HOLDS(params->nelts <= OKS_FORM_FIELDS_MAX);
    for (int i = 0; i < params->nelts; i++) check_param(params, &APR_ARRAY_IDX(params, i, oks_param_t), pool);
    HOLDS(!oks_form_parse(&again, oks_span_z(written(params, pool)), pool) && again->nelts == params->nelts);
    for (int i = 0; i < params->nelts; i++) {
        const oks_param_t *one = &APR_ARRAY_IDX(params, i, oks_param_t), *other = &APR_ARRAY_IDX(again, i, oks_param_t);
        HOLDS(oks_span_eq(one->name, other->name) && oks_span_eq(one->value, other->value));
    }
    return params->nelts > 0;
}
