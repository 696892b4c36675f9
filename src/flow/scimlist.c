/* Lists of SCIM resources: pages, filters, sorting. */
#include <string.h>

#include <apr_strings.h>

#include "scimcall.h"

#define PAGE_DEFAULT 100
#define PIECE 100                    /* resources that are in memory as rows at a time */
#define LIST_BYTES_MAX (16 * 1024 * 1024) /* of one answer, about: it may have fewer than were asked for (RFC 7644 3.4.2.4) */
#define SORT_BYTES_MAX (16 * 1024 * 1024) /* of what is kept of those that are sorted: all of it is in memory at once */

typedef struct range_t { int64_t start, count; } range_t; /* start from 0 */

typedef struct found_t {
    range_t range;     /* what the answer shows */
    bool sorted;       /* only then it is known what lies in the range */
    json_t *list;      /* full resources that lie in the range; or all that will be sorted, reduced (oks_scim_reduce) */
    int64_t total;     /* of all, whether they are in the list or not */
    apr_size_t bytes;  /* of those in the list */
    apr_size_t members; /* that a filter or an order has looked at, */
    apr_size_t stored;  /* and bytes of resources */
    oks_scim_work_t work;
} found_t;

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

static void append(found_t *found, json_t *resource)
{
    found->bytes += json_dumpb(resource, NULL, 0, JSON_COMPACT);
    json_array_append(found->list, resource);
}

static oks_err_t *append_reduced(found_t *found, const oks_scim_call_t *call, const json_t *resource)
{
    json_t *reduced;
    OKS_TRY(oks_scim_reduce(&reduced, resource, call->kind, oks_scim_call_param(call, "sortBy"), call->pool));
    append(found, oks_json_own(reduced, call->pool));
    if (found->bytes <= SORT_BYTES_MAX) return NULL;
    return oks_err(call->pool, OKS_R_SCIM_FILTER_TOO_MANY, "more than %d bytes to sort", SORT_BYTES_MAX);
}

/* The full resource of a row, with the members and groups that the filter and the order ask for. */
static oks_err_t *look_at(json_t **resource, found_t *found, const oks_scim_call_t *call, const void *row)
{
    oks_scim_call_t looking = *call;
    looking.looking = true;
    found->stored += strlen(call->kind == &oks_scim_user ? ((const oks_user_row_t *)row)->resource
                                                         : ((const oks_group_row_t *)row)->resource);
    if (found->stored > OKS_SCIM_SCAN_BYTES_MAX)
        return oks_err(call->pool, OKS_R_SCIM_FILTER_TOO_MANY, "more than %d bytes of resources", OKS_SCIM_SCAN_BYTES_MAX);
    OKS_TRY(oks_scim_call_full(resource, &looking, row));
    found->members += json_array_size(json_object_get(*resource, call->kind == &oks_scim_user ? "groups" : "members"));
    if (found->members <= OKS_SCIM_SCAN_MEMBERS_MAX) return NULL;
    return oks_err(call->pool, OKS_R_SCIM_FILTER_TOO_MANY, "more than %d members or groups", OKS_SCIM_SCAN_MEMBERS_MAX);
}

/* Counts a row that the filter lets through, and keeps its full resource where the answer shows it. */
static oks_err_t *keep(found_t *found, const oks_scim_call_t *call, const void *row, const oks_scim_filter_t *filter)
{
    json_t *resource;
    bool matches = true;
    if (filter || found->sorted) OKS_TRY(look_at(&resource, found, call, row));
    if (filter) OKS_TRY(oks_scim_filter_matches(&matches, filter, resource, &found->work));
    if (!matches) return NULL;
    const int64_t place = found->total++ - found->range.start;
    if (found->sorted) return append_reduced(found, call, resource);
    if (place < 0 || place >= found->range.count || found->bytes > LIST_BYTES_MAX) return NULL;
    OKS_TRY(oks_scim_call_full(&resource, call, row));
    append(found, resource);
    return NULL;
}

/* One row at a time: each may have many members. */
static oks_err_t *keep_all(found_t *found, const oks_scim_call_t *call, const apr_array_header_t *rows,
                           const oks_scim_filter_t *filter)
{
    oks_scim_call_t one = *call;
    apr_pool_create(&one.pool, call->pool);
    for (int i = 0; i < rows->nelts; i++) {
        apr_pool_clear(one.pool);
        OKS_TRY(keep(found, &one, APR_ARRAY_IDX(rows, i, const void *), filter));
    }
    return NULL;
}

/* By an index, when the filter is one comparison that has one. */
static oks_err_t *by_index(bool *done, found_t *found, const oks_scim_call_t *call, const oks_scim_filter_t *filter)
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
        return group ? keep(found, call, group, NULL) : NULL;
    }
    for (apr_size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        oks_user_row_t *user;
        if (strcmp(path, ways[i].path) != 0) continue;
        OKS_TRY(oks_directory_user(&user, directory, org, ways[i].by, text, call->pool));
        *done = user || ways[i].by != OKS_USER_EMAIL; /* other addresses than the one in the index are looked for one by one */
        if (user) return keep(found, call, user, NULL);
    }
    return NULL;
}

static oks_err_t *look_at_all(found_t *found, const oks_scim_call_t *call, const oks_scim_filter_t *filter)
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
        OKS_TRY(keep_all(found, &piece, rows, filter));
    }
    return NULL;
}

/* What the filter lets through, of one kind. */
static oks_err_t *select_matching(found_t *found, const oks_scim_call_t *call)
{
    oks_scim_filter_t *filter = NULL;
    oks_span_t text = oks_scim_call_param(call, "filter");
    bool done = false;
    if (text.len) OKS_TRY(oks_scim_filter_parse(&filter, call->kind, text, call->pool));
    if (filter) OKS_TRY(by_index(&done, found, call, filter));
    return done ? NULL : look_at_all(found, call, filter);
}

/* Without a filter and an order of its own the directory knows the range: piece by piece, until there are enough, or bytes. */
static oks_err_t *read_range(found_t *found, const oks_scim_call_t *call)
{
    apr_array_header_t *rows;
    int64_t total, at = 0;
    const range_t range = found->range;
    oks_scim_call_t piece = *call;
    apr_pool_create(&piece.pool, call->pool);
    found->total = range.start; /* as if those before it had been looked at */
    do {
        int64_t count = range.count - at < PIECE ? range.count - at : PIECE;
        apr_pool_clear(piece.pool);
        OKS_TRY(page_of(&rows, at ? NULL : &total, &piece, range.start + at, (int)count));
        OKS_TRY(keep_all(found, &piece, rows, NULL));
        at += rows->nelts;
    } while (rows->nelts == PIECE && at < range.count && found->bytes <= LIST_BYTES_MAX);
    found->total = total;
    return NULL;
}

static const oks_scim_kind_t *kind_of(const json_t *resource)
{
    const char *type = oks_json_string(json_object_get(resource, "meta"), "resourceType");
    return strcmp(type, oks_scim_group.name) == 0 ? &oks_scim_group : &oks_scim_user;
}

/* Puts those in the range in the place of the reduced ones. Who was deleted meanwhile is passed over. */
static oks_err_t *sort_and_read(found_t *found, const oks_scim_call_t *call)
{
    bool descending = oks_span_case_eq_z(oks_scim_call_param(call, "sortOrder"), "descending");
    json_t *all = found->list, *resource;
    const int64_t start = found->range.start, end = (int64_t)json_array_size(all);
    int64_t version;
    oks_scim_call_t one = *call;
    OKS_TRY(oks_scim_sort(all, call->kind, oks_scim_call_param(call, "sortBy"), descending, call->pool));
    apr_pool_create(&one.pool, call->pool);
    found->list = oks_json_own(json_array(), call->pool);
    found->bytes = 0;
    for (int64_t i = start; i < end && i - start < found->range.count && found->bytes <= LIST_BYTES_MAX; i++) {
        const json_t *each = json_array_get(all, (size_t)i);
        apr_pool_clear(one.pool);
        one.kind = kind_of(each);
        one.id = oks_json_string(each, "id");
        oks_err_t *err = oks_scim_call_find(&resource, &version, &one);
        if (err && err->reason == OKS_R_SCIM_RESOURCE_UNKNOWN) continue;
        OKS_TRY(err);
        append(found, resource);
    }
    return NULL;
}

static range_t range_of(const oks_scim_call_t *call)
{
    int64_t start = number(oks_scim_call_param(call, "startIndex"), 1, call->pool);
    int64_t count = number(oks_scim_call_param(call, "count"), PAGE_DEFAULT, call->pool);
    return (range_t){ start < 1 ? 0 : start - 1, count < 0 ? 0 : count > OKS_SCIM_PAGE_MAX ? OKS_SCIM_PAGE_MAX : count };
}

/* Each as its own kind. */
static void project_all(json_t *list, const oks_scim_call_t *call)
{
    oks_span_t wanted = oks_scim_call_param(call, "attributes"), unwanted = oks_scim_call_param(call, "excludedAttributes");
    json_t *each;
    size_t i;
    json_array_foreach(list, i, each) oks_scim_project(each, kind_of(each), wanted, unwanted, call->pool);
}

oks_err_t *oks_scim_call_list(oks_answer_t **answer, oks_scim_call_t *call)
{
    static const oks_scim_kind_t *const kinds[] = { &oks_scim_user, &oks_scim_group };
    found_t found = { .range = range_of(call), .sorted = oks_scim_call_param(call, "sortBy").len > 0,
                      .list = oks_json_own(json_array(), call->pool) };
    oks_scim_work_begin(&found.work, OKS_SCIM_SEARCH_WORK_MAX, call->pool);
    if (call->kind && !found.sorted && !oks_scim_call_param(call, "filter").len) {
        OKS_TRY(read_range(&found, call));
    } else if (call->kind) {
        OKS_TRY(select_matching(&found, call));
    } else { /* RFC 7644 3.4.2.1: users first */
        for (apr_size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            call->kind = kinds[i];
            OKS_TRY(select_matching(&found, call));
        }
    }
    if (found.sorted) OKS_TRY(sort_and_read(&found, call));
    project_all(found.list, call);
    *answer = oks_flow_answer(200, "scim.list", call->pool);
    oks_scim_call_set_body(*answer, oks_scim_list(json_incref(found.list), found.total, found.range.start + 1), call->pool);
    return NULL;
}
