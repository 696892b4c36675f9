/* One operation of a PATCH: the first line is its word and path, "remove emails[type eq \"work\"].value", the rest its value. */
#include "fuzz.h"
#include "samples.h"

static json_t *user;

void fuzz_start(apr_pool_t *pool)
{
    user = sample_user(pool);
}

/* SECURITY.md 32: a filtered remove that matches nothing removes nothing. */
static void check_remove(oks_span_t path, const json_t *after, apr_pool_t *pool)
{
    oks_scim_filter_t *filter;
    oks_scim_work_t work;
    bool matches;
    const char *close = path.len ? memrchr(path.ptr, ']', path.len) : NULL;
    if (!close) return;
    path.len = (apr_size_t)(close + 1 - path.ptr);
    oks_scim_work_begin(&work, OKS_SCIM_SEARCH_WORK_MAX, pool);
    if (oks_scim_filter_parse(&filter, &oks_scim_user, path, pool)) return;
    if (oks_scim_filter_matches(&matches, filter, user, &work) || matches) return;
    HOLDS(json_equal(user, after));
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    json_t *read, *value = NULL, *resource = oks_json_own(json_deep_copy(user), pool);
    oks_span_t op, path = fuzz_line(&input);
    if (!oks_span_next(&op, &path, ' ') || !oks_utf8_ok(op) || !oks_utf8_ok(path)) return false;
    if (input.len) value = oks_json_own(json_loadb(input.ptr, input.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL), pool);
    json_t *message = oks_json_own(json_pack("{s:[{s:s%, s:s%, s:O*}]}", "Operations", "op", op.ptr, op.len, "path", path.ptr ?
                                             path.ptr : "", path.len, "value", value), pool);
    if (!message || oks_scim_patch(resource, &oks_scim_user, message, pool)) return false;
    if (oks_span_case_eq_z(op, "remove")) check_remove(path, resource, pool);
    if (oks_scim_read(&read, &oks_scim_user, resource, pool)) return false;
    sample_reads_again(read, &oks_scim_user, pool);
    return true;
}
