/* Lists of SCIM resources: pages, filters, sorting. */
#include <string.h>

#include <apr_strings.h>

#include "scimcall.h"

#define PAGE_DEFAULT 100
#define PAGE_MAX 1000
#define PIECE 100                    /* resources that are in memory as rows at a time */
#define LIST_BYTES_MAX (16 * 1024 * 1024) /* of one answer, about: it may have fewer than were asked for (RFC 7644 3.4.2.4) */
#define MEMBER_BYTES 200             /* of one member, about */

static int64_t number(oks_span_t text, int64_t fallback, apr_pool_t *pool)
{
    char *end;
    if (!text.len || text.len > 18) return fallback;
    const char *digits = oks_span_dup(text, pool);
    apr_int64_t value = apr_strtoi64(digits, &end, 10);
    return *end ? fallback : value;
}

static oks_err_t *page_of(apr_array_header_t **rows, int64_t *total, const oks_scim_call_t *call, int64_t start, int count)
{
    return (call->kind == &oks_scim_user ? oks_directory_users : oks_directory_groups)(
        rows, total, call->flow->directory, call->caller->org->name, start, count, call->pool);
}

/* Adds the full resource of a row, when the filter lets it through. */
static oks_err_t *add_row(json_t *list, const oks_scim_call_t *call, const void *row, const oks_scim_filter_t *filter)
{
    json_t *resource;
    OKS_TRY(oks_scim_call_full(&resource, call, row));
    if (!filter || oks_scim_filter_matches(filter, resource, call->pool)) json_array_append(list, resource);
    return NULL;
}

/* By an index, when the filter is one comparison that has one. */
static oks_err_t *by_index(bool *done, json_t *list, const oks_scim_call_t *call, const oks_scim_filter_t *filter)
{
    static const struct { const char *path; oks_user_key_t by; } ways[] = {
        { "userName", OKS_USER_NAME }, { "id", OKS_USER_ID }, { "externalId", OKS_USER_EXTERNAL_ID },
        { "emails.value", OKS_USER_EMAIL },
    };
    oks_directory_t *directory = call->flow->directory;
    const char *path, *text, *org = call->caller->org->name;
    *done = false;
    if (!oks_scim_filter_is_equal(&path, &text, filter, call->pool)) return NULL;
    if (call->kind == &oks_scim_group) {
        oks_group_row_t *group;
        bool by_id = strcmp(path, "id") == 0;
        if (!by_id && strcmp(path, "displayName") != 0) return NULL;
        *done = true;
        OKS_TRY(oks_directory_group(&group, directory, org, by_id ? OKS_GROUP_ID : OKS_GROUP_NAME, text, call->pool));
        return group ? add_row(list, call, group, NULL) : NULL;
    }
    for (apr_size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        oks_user_row_t *user;
        if (strcmp(path, ways[i].path) != 0) continue;
        OKS_TRY(oks_directory_user(&user, directory, org, ways[i].by, text, call->pool));
        *done = user || ways[i].by != OKS_USER_EMAIL; /* other addresses than the one in the index are looked for one by one */
        if (user) return add_row(list, call, user, NULL);
    }
    return NULL;
}

static oks_err_t *look_at_all(json_t *list, const oks_scim_call_t *call, const oks_scim_filter_t *filter)
{
    apr_array_header_t *rows;
    int64_t total = 0;
    oks_scim_call_t piece = *call;
    apr_pool_create(&piece.pool, call->pool);
    for (int64_t start = 0; start == 0 || start < total; start += PIECE) {
        apr_pool_clear(piece.pool);
        OKS_TRY(page_of(&rows, start ? NULL : &total, &piece, start, PIECE));
        if (total > OKS_SCIM_SCAN_MAX)
            return oks_err(call->pool, OKS_R_SCIM_FILTER_TOO_MANY, "%" APR_INT64_T_FMT " of at most %d", (apr_int64_t)total,
                           OKS_SCIM_SCAN_MAX);
        for (int i = 0; i < rows->nelts; i++) OKS_TRY(add_row(list, &piece, APR_ARRAY_IDX(rows, i, const void *), filter));
    }
    return NULL;
}

/* What the filter lets through, in order. */
static oks_err_t *select_matching(json_t *list, const oks_scim_call_t *call, oks_span_t filter_text)
{
    oks_scim_filter_t *filter = NULL;
    oks_span_t sort_by = oks_scim_call_param(call, "sortBy");
    bool done = false;
    if (filter_text.len) OKS_TRY(oks_scim_filter_parse(&filter, call->kind, filter_text, call->pool));
    if (filter) OKS_TRY(by_index(&done, list, call, filter));
    if (!done) OKS_TRY(look_at_all(list, call, filter));
    if (!sort_by.len) return NULL;
    bool descending = oks_span_case_eq_z(oks_scim_call_param(call, "sortOrder"), "descending");
    return oks_scim_sort(list, call->kind, sort_by, descending, call->pool);
}

static void slice(json_t *list, int64_t start, int64_t count)
{
    for (size_t i = json_array_size(list); i-- > 0;)
        if ((int64_t)i < start || (int64_t)i >= start + count) json_array_remove(list, i);
}

typedef struct range_t { int64_t start, count; } range_t; /* start from 0 */

static range_t range_of(const oks_scim_call_t *call)
{
    int64_t start = number(oks_scim_call_param(call, "startIndex"), 1, call->pool);
    int64_t count = number(oks_scim_call_param(call, "count"), PAGE_DEFAULT, call->pool);
    return (range_t){ start < 1 ? 0 : start - 1, count < 0 ? 0 : count > PAGE_MAX ? PAGE_MAX : count };
}

static void project_all(json_t *list, const oks_scim_call_t *call, size_t first)
{
    oks_span_t wanted = oks_scim_call_param(call, "attributes"), unwanted = oks_scim_call_param(call, "excludedAttributes");
    for (size_t i = first; i < json_array_size(list); i++)
        oks_scim_project(json_array_get(list, i), call->kind, wanted, unwanted, call->pool);
}

/* Piece by piece, until there are enough of them, or bytes. */
static oks_err_t *add_page(int64_t *total, json_t *list, const oks_scim_call_t *call, const range_t *range)
{
    apr_array_header_t *rows;
    apr_size_t bytes = 0;
    int64_t at = 0;
    oks_scim_call_t piece = *call;
    apr_pool_create(&piece.pool, call->pool);
    do {
        int64_t count = range->count - at < PIECE ? range->count - at : PIECE;
        apr_pool_clear(piece.pool);
        OKS_TRY(page_of(&rows, at ? NULL : total, &piece, range->start + at, (int)count));
        for (int i = 0; i < rows->nelts; i++) {
            const void *row = APR_ARRAY_IDX(rows, i, const void *);
            if (bytes > LIST_BYTES_MAX) return NULL;
            OKS_TRY(add_row(list, &piece, row, NULL));
            const json_t *members = json_object_get(json_array_get(list, json_array_size(list) - 1), "members");
            const char *stored_text = call->kind == &oks_scim_user ? ((const oks_user_row_t *)row)->resource
                                                                   : ((const oks_group_row_t *)row)->resource;
            bytes += strlen(stored_text) + json_array_size(members) * MEMBER_BYTES;
        }
        at += rows->nelts;
    } while (rows->nelts == PIECE && at < range->count);
    return NULL;
}

static oks_err_t *list_of_kind(int64_t *total, json_t *list, const oks_scim_call_t *call, const range_t *range)
{
    oks_span_t filter = oks_scim_call_param(call, "filter");
    if (filter.len || oks_scim_call_param(call, "sortBy").len) {
        OKS_TRY(select_matching(list, call, filter));
        *total = (int64_t)json_array_size(list);
        slice(list, range->start, range->count);
    } else {
        OKS_TRY(add_page(total, list, call, range));
    }
    project_all(list, call, 0);
    return NULL;
}

/* Of users and groups together (RFC 7644 3.4.2.1): users first. */
static oks_err_t *list_of_all(int64_t *total, json_t *list, oks_scim_call_t *call, const range_t *range)
{
    static const oks_scim_kind_t *const kinds[] = { &oks_scim_user, &oks_scim_group };
    for (apr_size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t first = json_array_size(list);
        call->kind = kinds[i];
        OKS_TRY(select_matching(list, call, oks_scim_call_param(call, "filter")));
        project_all(list, call, first);
    }
    *total = (int64_t)json_array_size(list);
    slice(list, range->start, range->count);
    return NULL;
}

oks_err_t *oks_scim_call_list(oks_answer_t **answer, oks_scim_call_t *call)
{
    const range_t range = range_of(call);
    json_t *list = oks_json_own(json_array(), call->pool);
    int64_t total;
    if (call->kind) OKS_TRY(list_of_kind(&total, list, call, &range));
    else OKS_TRY(list_of_all(&total, list, call, &range));
    *answer = oks_flow_answer(200, "scim.list", call->pool);
    oks_scim_call_set_body(*answer, oks_scim_list(json_incref(list), total, range.start + 1), call->pool);
    return NULL;
}
