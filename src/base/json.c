/* JSON from others: jansson, behind a look at its size, depth and bytes. */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "oktasso/json.h"

static void *allocate(size_t size)
{
    void *memory = malloc(size);
    if (!memory) abort();
    return memory;
}

void oks_json_init(void)
{
    json_set_alloc_funcs(allocate, free);
}

static apr_status_t release(void *json)
{
    json_decref(json);
    return APR_SUCCESS;
}

/* Before it takes many times its size in memory. What is too much, or NULL. */
static const char *too_much(oks_span_t text)
{
    int depth = 0, containers = 0, values = 0;
    bool in_string = false;
    for (apr_size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (in_string && c == '\\') i++;
        else if (c == '"') in_string = !in_string;
        else if (in_string) continue;
        else if (c == '[' || c == '{') depth++, containers++;
        else if (c == ']' || c == '}') depth--;
        else if (c == ',') values++;
        if (depth > OKS_JSON_DEPTH_MAX) return "levels";
        if (containers > OKS_JSON_CONTAINERS_MAX) return "arrays and objects";
        if (values > OKS_JSON_VALUES_MAX) return "values";
    }
    return NULL;
}

/* What and where, but not what stands there, which jansson says after "near": it may be a password or a token (SECURITY.md 34). */
static oks_err_t *malformed(const json_error_t *error, apr_pool_t *pool)
{
    const char *near = strstr(error->text, " near '");
    apr_size_t len = near ? (apr_size_t)(near - error->text) : strlen(error->text);
    return oks_err(pool, OKS_R_BASE_JSON_MALFORMED, "%s, line %d, column %d", oks_log_escape(oks_span(error->text, len), 120, pool),
                   error->line, error->column);
}

oks_err_t *oks_json_parse(json_t **object, oks_span_t text, apr_size_t max, apr_pool_t *pool)
{
    json_error_t error;
    if (text.len > max) return oks_err(pool, OKS_R_BASE_JSON_TOO_LARGE, "more than %" APR_SIZE_T_FMT " bytes", max);
    if (!oks_utf8_ok(text)) return oks_err(pool, OKS_R_BASE_JSON_MALFORMED, "not UTF-8");
    const char *excess = too_much(text);
    if (excess) return oks_err(pool, OKS_R_BASE_JSON_TOO_LARGE, "too many %s", excess);
    json_t *json = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &error);
    if (!json) return malformed(&error, pool);
    apr_pool_cleanup_register(pool, json, release, apr_pool_cleanup_null);
    if (!json_is_object(json)) return oks_err(pool, OKS_R_BASE_JSON_MALFORMED, "not an object");
    *object = json;
    return NULL;
}

json_t *oks_json_own(json_t *json, apr_pool_t *pool)
{
    if (json) apr_pool_cleanup_register(pool, json, release, apr_pool_cleanup_null);
    return json;
}

const char *oks_json_string(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static const char *dump(json_t *json, size_t how, apr_pool_t *pool)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | how) : NULL;
    const char *copy = text ? apr_pstrdup(pool, text) : NULL;
    free(text);
    json_decref(json);
    return copy;
}

const char *oks_json_text(json_t *json, apr_pool_t *pool)
{
    return dump(json, 0, pool);
}

const char *oks_json_ascii(json_t *json, apr_pool_t *pool)
{
    return dump(json, JSON_ENSURE_ASCII, pool);
}
