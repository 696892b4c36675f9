/* /scim/{org}/v2: SCIM 2.0 (RFC 7644) over the directory. What the room scim reads and changes is JSON; what the directory keeps
 * are rows; here the one becomes the other. Every answer is SCIM's JSON. */
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#include "flow_private.h"
#include "oktasso/scim.h"

#define SCIM "/scim/"
#define SCIM_LEN (sizeof SCIM - 1)
#define PAGE_DEFAULT 100
#define PAGE_MAX 1000
#define PIECE 100                    /* resources that are in memory as rows at a time */
#define LIST_BYTES_MAX (16 * 1024 * 1024) /* of one answer, about: it may have fewer than were asked for (RFC 7644 3.4.2.4) */
#define MEMBER_BYTES 200             /* of one member, about */

typedef struct scim_t {
    const oks_flow_t *flow;
    const oks_scim_caller_t *caller;
    const oks_org_t *org;       /* the caller's */
    const oks_request_t *request;
    const oks_scim_kind_t *kind;
    const char *id;             /* of one resource; NULL: all of them */
    const char *base;           /* URL up to /v2 */
    bool made;                  /* just now: it is in no group */
    const char *user, *group;   /* whom a write is about, for the log, */
    const char *event;          /* and what came of it, where that is more than a change */
    apr_array_header_t *params; /* of the query; of a search, of its body */
    apr_pool_t *pool;
} scim_t;

/* ---- Answers ---- */

static const char *scim_type(oks_reason_t reason)
{
    switch (reason) {
    case OKS_R_SCIM_VALUE_INVALID: return "invalidValue";
    case OKS_R_SCIM_BODY_MALFORMED:
    case OKS_R_BASE_JSON_MALFORMED:
    case OKS_R_BASE_JSON_TOO_LARGE: return "invalidSyntax";
    case OKS_R_SCIM_FILTER_INVALID: return "invalidFilter";
    case OKS_R_SCIM_FILTER_TOO_MANY: return "tooMany";
    case OKS_R_SCIM_PATH_INVALID: return "invalidPath";
    case OKS_R_SCIM_TARGET_NONE: return "noTarget";
    case OKS_R_SCIM_ATTRIBUTE_READ_ONLY: return "mutability";
    case OKS_R_SCIM_RESOURCE_TAKEN: return "uniqueness";
    default: return NULL;
    }
}

static void set_body(oks_answer_t *answer, json_t *body, apr_pool_t *pool)
{
    const char *text = oks_json_text(body, pool);
    answer->content_type = OKS_SCIM_MEDIA_TYPE;
    answer->body = text ? text : "{}";
}

oks_answer_t *oks_flow_scim_error(int status, apr_pool_t *pool)
{
    oks_answer_t *answer = oks_flow_answer(status, "scim.refused", pool);
    set_body(answer, json_pack("{s:[s], s:s, s:s}", "schemas", OKS_SCIM_MESSAGE "Error", "status", apr_psprintf(pool, "%d", status),
                               "detail", "The web server refuses this request."), pool);
    return answer;
}

oks_answer_t *oks_flow_scim_refuse(const oks_err_t *err, const oks_scim_caller_t *caller, apr_pool_t *pool)
{
    const oks_reason_info_t *info = oks_reason_info(err->reason);
    oks_answer_t *answer = oks_flow_answer(info->http_status, "scim.refused", pool);
    const char *more = err->detail && info->http_status < 500 && info->http_status != 401 ? err->detail : "";
    /* The reason's code in the text: RFC 7644 3.12 has no member for it, and clients that are strict refuse one. */
    json_t *body = json_pack("{s:[s], s:s, s:s}", "schemas", OKS_SCIM_MESSAGE "Error", "status",
                             apr_psprintf(pool, "%d", info->http_status), "detail",
                             apr_pstrcat(pool, info->visitor, *more ? " " : "", more, " [", info->code, "]", NULL));
    if (scim_type(err->reason)) json_object_set_new(body, "scimType", json_string(scim_type(err->reason)));
    set_body(answer, body, pool);
    answer->err = err;
    answer->org = caller->org ? caller->org->name : NULL;
    answer->token = caller->token;
    if (info->http_status == 401) apr_table_setn(answer->headers, "WWW-Authenticate", "Bearer realm=\"SCIM\"");
    return answer;
}

static const char *etag_of(int64_t version, apr_pool_t *pool)
{
    return apr_psprintf(pool, "W/\"%" APR_INT64_T_FMT "\"", (apr_int64_t)version);
}

static oks_span_t param(const scim_t *s, const char *name)
{
    oks_span_t value;
    return oks_form_get(&value, s->params, name, s->pool) ? oks_span(NULL, 0) : value;
}

/* Takes `resource`. */
static oks_answer_t *show(const scim_t *s, int status, const char *event, json_t *resource, int64_t version)
{
    oks_answer_t *answer = oks_flow_answer(status, event, s->pool);
    const char *location = oks_json_string(json_object_get(resource, "meta"), "location");
    if (location) apr_table_set(answer->headers, status == 201 ? "Location" : "Content-Location", location);
    apr_table_setn(answer->headers, "ETag", etag_of(version, s->pool));
    oks_scim_project(resource, s->kind, param(s, "attributes"), param(s, "excludedAttributes"), s->pool);
    set_body(answer, resource, s->pool);
    return answer;
}

/* ---- Full resources ---- */

static const char *location_of(const scim_t *s, const oks_scim_kind_t *kind, const char *id)
{
    return apr_pstrcat(s->pool, s->base, "/", kind->endpoint, "/", id, NULL);
}

static void add_meta(const scim_t *s, json_t *resource, const oks_scim_kind_t *kind, const char *id, apr_time_t created,
                     apr_time_t updated, int64_t version)
{
    json_object_set_new(resource, "id", json_string(id));
    json_t *schemas = json_pack("[s]", kind->schema);
    if (kind->extension && json_object_get(resource, kind->extension)) json_array_append_new(schemas, json_string(kind->extension));
    json_object_set_new(resource, "schemas", schemas);
    json_object_set_new(resource, "meta", json_pack("{s:s, s:s, s:s, s:s, s:s}", "resourceType", kind->name, "created",
                                                    oks_time_format(created, s->pool), "lastModified", oks_time_format(updated,
                                                            s->pool),
                                                    "location", location_of(s, kind, id), "version", etag_of(version, s->pool)));
}

/* Pairs of id and name, as references to resources of `kind`. */
static json_t *references(const scim_t *s, const apr_array_header_t *pairs, const oks_scim_kind_t *kind)
{
    json_t *list = json_array();
    for (int i = 0; i < pairs->nelts; i++) {
        const char **pair = (const char **)pairs->elts + 2 * i;
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "value", pair[0], "display", pair[1], "type",
                                              kind == &oks_scim_user ? "User" : "direct", "$ref", location_of(s, kind, pair[0])));
    }
    return list;
}

/* Will an answer show that attribute? Then it is worth a look. */
static bool is_shown(const scim_t *s, const char *name)
{
    oks_span_t wanted = param(s, "attributes"), unwanted = param(s, "excludedAttributes"), word;
    while (oks_span_next(&word, &unwanted, ','))
        if (oks_span_case_eq_z(oks_span_trim(word), name)) return false;
    return !wanted.len || memmem(wanted.ptr, wanted.len, name, strlen(name)) != NULL;
}

/* Of somebody who only signed in, what is known from there. */
static void fill_in(json_t *resource, const oks_user_row_t *row)
{
    if (!json_object_get(resource, "name") && (*row->first_name || *row->last_name))
        json_object_set_new(resource, "name", json_pack("{s:s, s:s}", "givenName", row->first_name, "familyName", row->last_name));
    if (!json_object_get(resource, "displayName") && *row->name) json_object_set_new(resource, "displayName",
                                                                                     json_string(row->name));
    if (!json_object_get(resource, "emails") && *row->email)
        json_object_set_new(resource, "emails", json_pack("[{s:s, s:b}]", "value", row->email, "primary", 1));
}

static oks_err_t *stored(json_t **resource, const char *text, apr_pool_t *pool)
{
    *resource = json_loads(text, 0, NULL);
    if (json_is_object(*resource)) return NULL;
    json_decref(*resource);
    return oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "a resource that cannot be read");
}

/* Owned by the caller. */
static oks_err_t *full_user(json_t **resource, const scim_t *s, const oks_user_row_t *row)
{
    apr_array_header_t *groups;
    OKS_TRY(stored(resource, row->resource, s->pool));
    if (!json_object_size(*resource)) fill_in(*resource, row);
    json_object_set_new(*resource, "userName", json_string(row->user_name));
    json_object_set_new(*resource, "active", json_boolean(row->active));
    if (row->external_id) json_object_set_new(*resource, "externalId", json_string(row->external_id));
    if (!s->made && is_shown(s, "groups")) {
        oks_err_t *err = oks_directory_groups_of(&groups, s->flow->directory, row->id, s->pool);
        if (err) json_decref(*resource);
        OKS_TRY(err);
        if (groups->nelts) json_object_set_new(*resource, "groups", references(s, groups, &oks_scim_group));
    }
    add_meta(s, *resource, &oks_scim_user, row->id, row->created, row->updated, row->version);
    return NULL;
}

static oks_err_t *full_group(json_t **resource, const scim_t *s, const oks_group_row_t *row)
{
    apr_array_header_t *members;
    OKS_TRY(stored(resource, row->resource, s->pool));
    json_object_set_new(*resource, "displayName", json_string(row->display_name));
    if (is_shown(s, "members")) {
        oks_err_t *err = oks_directory_members(&members, s->flow->directory, row->id, s->pool);
        if (err) json_decref(*resource);
        OKS_TRY(err);
        json_object_set_new(*resource, "members", references(s, members, &oks_scim_user));
    }
    add_meta(s, *resource, &oks_scim_group, row->id, row->created, row->updated, row->version);
    return NULL;
}

static oks_err_t *full(json_t **resource, const scim_t *s, const void *row)
{
    return s->kind == &oks_scim_user ? full_user(resource, s, row) : full_group(resource, s, row);
}

/* ---- Lists ---- */

static int64_t number(oks_span_t text, int64_t fallback, apr_pool_t *pool)
{
    char *end;
    if (!text.len || text.len > 18) return fallback;
    const char *digits = oks_span_dup(text, pool);
    apr_int64_t value = apr_strtoi64(digits, &end, 10);
    return *end ? fallback : value;
}

static oks_err_t *page_of(apr_array_header_t **rows, int64_t *total, const scim_t *s, int64_t start, int count)
{
    return (s->kind == &oks_scim_user ? oks_directory_users : oks_directory_groups)(rows, total, s->flow->directory, s->org->name,
                                                                                    start, count, s->pool);
}

/* Adds the full resource of a row, when the filter lets it through. */
static oks_err_t *add_row(json_t *list, const scim_t *s, const void *row, const oks_scim_filter_t *filter)
{
    json_t *resource;
    OKS_TRY(full(&resource, s, row));
    if (filter && !oks_scim_filter_matches(filter, resource, s->pool)) json_decref(resource);
    else json_array_append_new(list, resource);
    return NULL;
}

/* By an index, when the filter is one comparison that has one. */
static oks_err_t *by_index(bool *done, json_t *list, const scim_t *s, const oks_scim_filter_t *filter)
{
    static const struct { const char *path; oks_user_key_t by; } ways[] = {
        { "userName", OKS_USER_NAME }, { "id", OKS_USER_ID }, { "externalId", OKS_USER_EXTERNAL_ID }, { "emails.value",
                OKS_USER_EMAIL },
    };
    const char *path, *text;
    *done = false;
    if (!oks_scim_filter_is_equal(&path, &text, filter, s->pool)) return NULL;
    if (s->kind == &oks_scim_group) {
        oks_group_row_t *group;
        if (strcmp(path, "displayName") != 0 && strcmp(path, "id") != 0) return NULL;
        *done = true;
        OKS_TRY(oks_directory_group(&group, s->flow->directory, s->org->name, *path == 'i' ? OKS_GROUP_ID : OKS_GROUP_NAME, text,
                                    s->pool));
        return group ? add_row(list, s, group, NULL) : NULL;
    }
    for (apr_size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        oks_user_row_t *user;
        if (strcmp(path, ways[i].path) != 0) continue;
        OKS_TRY(oks_directory_user(&user, s->flow->directory, s->org->name, ways[i].by, text, s->pool));
        *done = user || ways[i].by != OKS_USER_EMAIL; /* other addresses than the one in the index are looked for one by one */
        if (user) return add_row(list, s, user, NULL);
    }
    return NULL;
}

static oks_err_t *look_at_all(json_t *list, const scim_t *s, const oks_scim_filter_t *filter)
{
    apr_array_header_t *rows;
    int64_t total = 0;
    scim_t piece = *s;
    apr_pool_create(&piece.pool, s->pool);
    for (int64_t start = 0; start == 0 || start < total; start += PIECE) {
        apr_pool_clear(piece.pool);
        OKS_TRY(page_of(&rows, start ? NULL : &total, &piece, start, PIECE));
        if (total > OKS_SCIM_SCAN_MAX)
            return oks_err(s->pool, OKS_R_SCIM_FILTER_TOO_MANY, "%" APR_INT64_T_FMT " of at most %d", (apr_int64_t)total,
                           OKS_SCIM_SCAN_MAX);
        for (int i = 0; i < rows->nelts; i++) OKS_TRY(add_row(list, &piece, APR_ARRAY_IDX(rows, i, const void *), filter));
    }
    return NULL;
}

/* What the filter lets through, in order. */
static oks_err_t *select_matching(json_t *list, const scim_t *s, oks_span_t filter_text)
{
    oks_scim_filter_t *filter = NULL;
    oks_span_t sort_by = param(s, "sortBy");
    bool done = false;
    if (filter_text.len) OKS_TRY(oks_scim_filter_parse(&filter, s->kind, filter_text, s->pool));
    if (filter) OKS_TRY(by_index(&done, list, s, filter));
    if (!done) OKS_TRY(look_at_all(list, s, filter));
    return sort_by.len ? oks_scim_sort(list, s->kind, sort_by, oks_span_case_eq_z(param(s, "sortOrder"), "descending"), s->pool)
        : NULL;
}

static void slice(json_t *list, int64_t start, int64_t count)
{
    for (size_t i = json_array_size(list); i-- > 0;)
        if ((int64_t)i < start || (int64_t)i >= start + count) json_array_remove(list, i);
}

typedef struct range_t { int64_t start, count; } range_t; /* start from 0 */

static range_t range_of(const scim_t *s)
{
    int64_t start = number(param(s, "startIndex"), 1, s->pool), count = number(param(s, "count"), PAGE_DEFAULT, s->pool);
    return (range_t){ start < 1 ? 0 : start - 1, count < 0 ? 0 : count > PAGE_MAX ? PAGE_MAX : count };
}

static void show_list(oks_answer_t **answer, const scim_t *s, json_t *list, int64_t total, int64_t start)
{
    *answer = oks_flow_answer(200, "scim.list", s->pool);
    set_body(*answer, oks_scim_list(json_incref(list), total, start + 1), s->pool);
}

static void project_all(json_t *list, const scim_t *s, size_t first)
{
    for (size_t i = first; i < json_array_size(list); i++)
        oks_scim_project(json_array_get(list, i), s->kind, param(s, "attributes"), param(s, "excludedAttributes"), s->pool);
}

/* Piece by piece, until there are enough of them, or bytes. */
static oks_err_t *add_page(int64_t *total, json_t *list, const scim_t *s, const range_t *range)
{
    apr_array_header_t *rows;
    apr_size_t bytes = 0;
    int64_t at = 0;
    scim_t piece = *s;
    apr_pool_create(&piece.pool, s->pool);
    do {
        int64_t count = range->count - at < PIECE ? range->count - at : PIECE;
        apr_pool_clear(piece.pool);
        OKS_TRY(page_of(&rows, at ? NULL : total, &piece, range->start + at, (int)count));
        for (int i = 0; i < rows->nelts; i++) {
            const void *row = APR_ARRAY_IDX(rows, i, const void *);
            if (bytes > LIST_BYTES_MAX) return NULL;
            OKS_TRY(add_row(list, &piece, row, NULL));
            const json_t *members = json_object_get(json_array_get(list, json_array_size(list) - 1), "members");
            const char *stored_text = s->kind == &oks_scim_user ? ((const oks_user_row_t *)row)->resource
                                                                : ((const oks_group_row_t *)row)->resource;
            bytes += strlen(stored_text) + json_array_size(members) * MEMBER_BYTES;
        }
        at += rows->nelts;
    } while (rows->nelts == PIECE && at < range->count);
    return NULL;
}

static oks_err_t *serve_list(oks_answer_t **answer, const scim_t *s)
{
    const range_t range = range_of(s);
    oks_span_t filter = param(s, "filter");
    json_t *list = oks_json_own(json_array(), s->pool);
    int64_t total;
    if (filter.len || param(s, "sortBy").len) {
        OKS_TRY(select_matching(list, s, filter));
        total = (int64_t)json_array_size(list);
        slice(list, range.start, range.count);
    } else {
        OKS_TRY(add_page(&total, list, s, &range));
    }
    project_all(list, s, 0);
    show_list(answer, s, list, total, range.start);
    return NULL;
}

/* Of users and groups together (RFC 7644 3.4.2.1): users first. */
static oks_err_t *serve_list_of_all(oks_answer_t **answer, scim_t *s)
{
    static const oks_scim_kind_t *const kinds[] = { &oks_scim_user, &oks_scim_group };
    const range_t range = range_of(s);
    json_t *list = oks_json_own(json_array(), s->pool);
    for (apr_size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t first = json_array_size(list);
        s->kind = kinds[i];
        OKS_TRY(select_matching(list, s, param(s, "filter")));
        project_all(list, s, first);
    }
    int64_t total = (int64_t)json_array_size(list);
    slice(list, range.start, range.count);
    show_list(answer, s, list, total, range.start);
    return NULL;
}

/* ---- Writing ---- */

typedef struct edit_t {
    scim_t *s;
    json_t *body;
    bool patch;
} edit_t;

static oks_err_t *check_version(const scim_t *s, int64_t version)
{
    const char *wanted = s->request->if_match;
    if (!*wanted || strcmp(wanted, "*") == 0 || strcmp(wanted, etag_of(version, s->pool)) == 0) return NULL;
    return oks_err(s->pool, OKS_R_SCIM_VERSION_MISMATCH, "now %s", etag_of(version, s->pool));
}

/* The stored text, and what has a column of its own, taken out of the canonical resource. */
static oks_err_t *text_of(const char **text, json_t *resource, apr_pool_t *pool)
{
    char *dumped = json_dumps(resource, JSON_COMPACT | JSON_SORT_KEYS);
    *text = dumped ? apr_pstrdup(pool, dumped) : NULL;
    free(dumped);
    if (!*text) return oks_err(pool, OKS_R_INTERNAL, "out of memory for a resource");
    if (strlen(*text) <= OKS_SCIM_RESOURCE_MAX) return NULL;
    return oks_err(pool, OKS_R_SCIM_VALUE_INVALID, "the resource: more than %d bytes", OKS_SCIM_RESOURCE_MAX);
}

static const char *email_of(const json_t *resource, const char *user_name)
{
    json_t *emails = json_object_get(resource, "emails"), *each, *chosen = json_array_get(emails, 0);
    size_t i;
    json_array_foreach(emails, i, each)
        if (json_is_true(json_object_get(each, "primary"))) chosen = each;
    const char *value = chosen ? oks_json_string(chosen, "value") : user_name;
    return value && oks_email_ok(oks_span_z(value)) ? value : "";
}

static oks_err_t *check_domain(const scim_t *s, const char *email)
{
    const bool foreign = oks_flow_other_owner(s->flow, s->org, email, s->pool) != NULL;
    if (!foreign && (!*email || oks_flow_domain_allowed(s->org, oks_span_z(email)))) return NULL;
    return oks_err(s->pool, OKS_R_SCIM_VALUE_INVALID, "emails: the domain is %s",
                   foreign ? "another organization's" : "not one of OktaSSOEmailDomain");
}

static const char *name_of(const json_t *object, const char *name, apr_pool_t *pool)
{
    const char *text = oks_json_string(object, name);
    return text ? oks_name_sanitize(text, pool) : "";
}

/* Is it the address that SCIM said last; of somebody who only signed in, the record's? Of a new user it never is. */
static oks_err_t *is_same_email(bool *same, const oks_user_row_t *row, const char *email, apr_pool_t *pool)
{
    json_t *resource;
    *same = false;
    if (!row->version) return NULL;
    OKS_TRY(stored(&resource, row->resource, pool));
    oks_json_own(resource, pool);
    *same = strcmp(email, json_object_size(resource) ? email_of(resource, row->user_name) : row->email) == 0;
    return NULL;
}

/* What headers show follows from what was pushed. */
static oks_err_t *fill_user(oks_user_row_t *row, const scim_t *s, json_t *resource)
{
    apr_pool_t *pool = s->pool;
    const json_t *active = json_object_get(resource, "active"), *name = json_object_get(resource, "name");
    const char *external_id = oks_json_string(resource, "externalId");
    const char *email = email_of(resource, oks_json_string(resource, "userName"));
    const bool was_active = row->active;
    bool same;
    OKS_TRY(is_same_email(&same, row, email, pool));
    row->user_name = apr_pstrdup(pool, oks_json_string(resource, "userName"));
    row->external_id = external_id && *external_id ? apr_pstrdup(pool, external_id) : NULL;
    if (active) row->active = json_is_true(active);
    /* A login may have brought another address since: it stays until SCIM says a new one. */
    if (row->active && (!same || !was_active)) OKS_TRY(check_domain(s, email));
    if (!same) row->email = apr_pstrdup(pool, email);
    row->first_name = name_of(name, "givenName", pool);
    row->last_name = name_of(name, "familyName", pool);
    row->name = name_of(resource, "displayName", pool);
    if (!*row->name) row->name = name_of(name, "formatted", pool);
    if (!*row->name) row->name = oks_flow_full_name(row->first_name, row->last_name, pool);
    json_object_del(resource, "active");
    json_object_del(resource, "externalId");
    return text_of(&row->resource, resource, pool);
}

/* As a client sees it, less what is ours: what a PATCH begins with. */
static oks_err_t *editable_user(json_t **resource, const scim_t *s, const oks_user_row_t *row)
{
    OKS_TRY(stored(resource, row->resource, s->pool));
    oks_json_own(*resource, s->pool);
    if (!json_object_size(*resource)) fill_in(*resource, row);
    json_object_set_new(*resource, "userName", json_string(row->user_name));
    json_object_set_new(*resource, "active", json_boolean(row->active));
    if (row->external_id) json_object_set_new(*resource, "externalId", json_string(row->external_id));
    return NULL;
}

static oks_err_t *edit_user(oks_user_row_t *row, void *baton, apr_pool_t *pool)
{
    const edit_t *edit = baton;
    json_t *resource;
    OKS_TRY(check_version(edit->s, row->version));
    if (edit->patch) {
        json_t *before;
        OKS_TRY(editable_user(&before, edit->s, row));
        OKS_TRY(oks_scim_patch(before, &oks_scim_user, edit->body, pool));
        OKS_TRY(oks_scim_read(&resource, &oks_scim_user, before, pool)); /* still a user? */
    } else {
        OKS_TRY(oks_scim_read(&resource, &oks_scim_user, edit->body, pool));
    }
    const bool was_active = row->active;
    OKS_TRY(fill_user(row, edit->s, resource));
    edit->s->user = row->user_name;
    edit->s->event = was_active == row->active ? NULL : row->active ? "scim.activate" : "scim.deactivate";
    return NULL;
}

static void note_members(oks_group_row_t *row, oks_member_op_t op, const apr_array_header_t *ids)
{
    APR_ARRAY_PUSH(row->members, oks_member_change_t) = (oks_member_change_t){ op, ids };
}

static oks_err_t *patch_group(json_t **resource, oks_group_row_t *row, const edit_t *edit, apr_pool_t *pool)
{
    static const oks_member_op_t ops[] = { OKS_MEMBERS_ADD, OKS_MEMBERS_REMOVE, OKS_MEMBERS_REPLACE };
    apr_array_header_t *members = apr_array_make(pool, 4, sizeof(oks_scim_members_t));
    json_t *before;
    OKS_TRY(stored(&before, row->resource, pool));
    oks_json_own(before, pool);
    json_object_set_new(before, "displayName", json_string(row->display_name));
    OKS_TRY(oks_scim_patch_group(before, members, edit->body, pool));
    for (int i = 0; i < members->nelts; i++) {
        const oks_scim_members_t *change = &APR_ARRAY_IDX(members, i, oks_scim_members_t);
        note_members(row, ops[change->op], change->ids);
    }
    return oks_scim_read(resource, &oks_scim_group, before, pool);
}

static oks_err_t *edit_group(oks_group_row_t *row, void *baton, apr_pool_t *pool)
{
    const edit_t *edit = baton;
    json_t *resource;
    apr_array_header_t *ids;
    OKS_TRY(check_version(edit->s, row->version));
    if (!row->version) row->role = edit->s->org->group_default_role;
    if (edit->patch) {
        OKS_TRY(patch_group(&resource, row, edit, pool));
    } else {
        OKS_TRY(oks_scim_read(&resource, &oks_scim_group, edit->body, pool));
        /* RFC 7644 3.5.1: what a PUT does not name may be cleared; members that nobody speaks of stay, as Okta wants it. */
        const json_t *said = oks_scim_member(edit->body, "members");
        if (said) {
            OKS_TRY(oks_scim_member_ids(&ids, said, pool));
            note_members(row, OKS_MEMBERS_REPLACE, ids);
        }
        json_object_del(resource, "members");
    }
    row->display_name = apr_pstrdup(pool, oks_json_string(resource, "displayName"));
    edit->s->group = row->display_name;
    return text_of(&row->resource, resource, pool);
}

/* The directory's words are about signing in. */
static oks_err_t *as_scim(oks_err_t *err, apr_pool_t *pool)
{
    if (!err) return NULL;
    if (err->reason == OKS_R_DIRECTORY_USER_UNKNOWN) return oks_err(pool, OKS_R_SCIM_RESOURCE_UNKNOWN, NULL);
    if (err->reason == OKS_R_DIRECTORY_USER_CONFLICT) return oks_err(pool, OKS_R_SCIM_RESOURCE_TAKEN, "%s", err->detail ?
                                                                     err->detail : "");
    return err;
}

static oks_err_t *read_json(json_t **body, const scim_t *s)
{
    const char *type = s->request->content_type;
    oks_span_t media = oks_span(type, strcspn(type, ";"));
    media = oks_span_trim(media);
    if (!oks_span_case_eq_z(media, OKS_SCIM_MEDIA_TYPE) && !oks_span_case_eq_z(media, "application/json"))
        return oks_err(s->pool, OKS_R_SCIM_BODY_TYPE, "\"%s\"", oks_log_escape(oks_span_z(type), 60, s->pool));
    OKS_TRY(oks_json_parse(body, s->request->body, s->org->scim_body_max, s->pool));
    return oks_scim_check_names(*body, s->pool);
}

static oks_err_t *serve_write(oks_answer_t **answer, scim_t *s)
{
    edit_t edit = { .s = s, .patch = strcmp(s->request->method, "PATCH") == 0 };
    json_t *resource;
    int64_t version;
    oks_err_t *err;
    s->made = !s->id;
    OKS_TRY(read_json(&edit.body, s));
    if (s->made && s->kind == &oks_scim_user && s->org->provisioning == OKS_PROVISIONING_OFF)
        return oks_err(s->pool, OKS_R_DIRECTORY_USER_UNKNOWN, "OktaSSOProvisioning off");
    if (s->kind == &oks_scim_user) {
        oks_user_row_t *row;
        err = oks_directory_user_edit(&row, s->flow->directory, s->org->name, s->id, edit_user, &edit, s->request->now, s->pool);
        if (!err) err = full_user(&resource, s, row);
        version = err ? 0 : row->version;
    } else {
        oks_group_row_t *row;
        err = oks_directory_group_edit(&row, s->flow->directory, s->org->name, s->id, edit_group, &edit, s->request->now, s->pool);
        if (!err) err = full_group(&resource, s, row);
        version = err ? 0 : row->version;
    }
    OKS_TRY(as_scim(err, s->pool));
    const char *event = s->made ? "scim.create" : s->event ? s->event : edit.patch ? "scim.patch" : "scim.replace";
    *answer = show(s, s->made ? 201 : 200, event, resource, version);
    return NULL;
}

static oks_err_t *find_one(json_t **resource, int64_t *version, const scim_t *s)
{
    oks_user_row_t *user = NULL;
    oks_group_row_t *group = NULL;
    if (s->kind == &oks_scim_user) OKS_TRY(oks_directory_user(&user, s->flow->directory, s->org->name, OKS_USER_ID, s->id,
                                                              s->pool));
    else OKS_TRY(oks_directory_group(&group, s->flow->directory, s->org->name, OKS_GROUP_ID, s->id, s->pool));
    if (!user && !group) return oks_err(s->pool, OKS_R_SCIM_RESOURCE_UNKNOWN, NULL);
    *version = user ? user->version : group->version;
    return user ? full_user(resource, s, user) : full_group(resource, s, group);
}

static oks_err_t *serve_read(oks_answer_t **answer, const scim_t *s)
{
    json_t *resource;
    int64_t version;
    OKS_TRY(find_one(&resource, &version, s));
    if (strcmp(s->request->if_none_match, etag_of(version, s->pool)) == 0) {
        json_decref(resource);
        *answer = oks_flow_answer(304, "scim.read", s->pool);
        return NULL;
    }
    *answer = show(s, 200, "scim.read", resource, version);
    return NULL;
}

static oks_err_t *may_delete_user(oks_user_row_t *row, void *s, apr_pool_t *pool)
{
    ((scim_t *)s)->user = row->user_name;
    return check_version(s, row->version);
}

static oks_err_t *may_delete_group(oks_group_row_t *row, void *s, apr_pool_t *pool)
{
    ((scim_t *)s)->group = row->display_name;
    return check_version(s, row->version);
}

static oks_err_t *serve_delete(oks_answer_t **answer, scim_t *s)
{
    oks_directory_t *directory = s->flow->directory;
    oks_err_t *err = s->kind == &oks_scim_user
        ? oks_directory_user_delete(directory, s->org->name, s->id, may_delete_user, s, s->request->now, s->pool)
        : oks_directory_group_delete(directory, s->org->name, s->id, may_delete_group, s, s->pool);
    OKS_TRY(as_scim(err, s->pool));
    *answer = oks_flow_answer(204, "scim.delete", s->pool);
    return NULL;
}

/* ---- Who may ask ---- */

/* Users are pushed so that they can sign in: none is made before anybody can. Who is there can be deactivated at any time. */
static oks_err_t *check_connection(const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request, apr_pool_t *pool)
{
    const oks_saml_idp_t *idp;
    oks_provider_t at;
    if (strcmp(request->method, "POST") != 0) return NULL;
    oks_err_t *err = org->oidc ? oks_flow_provider(&at, flow, org, request->now, pool)
                               : oks_flow_idp(&idp, flow, org, request->now, pool);
    if (!err || err->reason == OKS_R_DIRECTORY_UNAVAILABLE) return err;
    return oks_err_from(pool, OKS_R_SCIM_SSO_ABSENT, APR_SUCCESS, err, NULL);
}

/* ---- Finding what to do ---- */

static oks_err_t *allow(const scim_t *s, const char *methods, oks_answer_t **answer)
{
    oks_span_t word, rest = oks_span_z(methods);
    while (oks_span_next(&word, &rest, ','))
        if (oks_span_eq_z(oks_span_trim(word), s->request->method)) return NULL;
    oks_err_t *err = oks_err(s->pool, OKS_R_SCIM_METHOD_REFUSED, "%s", methods);
    *answer = oks_flow_scim_refuse(err, s->caller, s->pool);
    apr_table_setn((*answer)->headers, "Allow", methods);
    return err;
}

static oks_err_t *serve_document(oks_answer_t **answer, const scim_t *s, json_t *document)
{
    if (!document) return oks_err(s->pool, OKS_R_SCIM_RESOURCE_UNKNOWN, NULL);
    *answer = oks_flow_answer(200, "scim.describe", s->pool);
    set_body(*answer, document, s->pool);
    return NULL;
}

static oks_err_t *too_long(const char *name, apr_pool_t *pool)
{
    return oks_err(pool, OKS_R_SCIM_VALUE_INVALID, "%s: more than %d bytes", name, OKS_SCIM_FILTER_MAX);
}

static oks_err_t *join(const char **text, json_t *names, apr_pool_t *pool)
{
    apr_array_header_t *parts = apr_array_make(pool, 8, sizeof(const char *));
    apr_size_t size = 0, i;
    json_t *each;
    json_array_foreach(names, i, each) {
        if (!json_is_string(each)) continue;
        size += json_string_length(each) + 1;
        if (size > OKS_SCIM_FILTER_MAX) return too_long("attributes", pool);
        APR_ARRAY_PUSH(parts, const char *) = json_string_value(each);
    }
    *text = apr_array_pstrcat(pool, parts, ',');
    return NULL;
}

/* RFC 7644 3.4.3: what a query would say, in a body. */
static oks_err_t *serve_search(oks_answer_t **answer, scim_t *s)
{
    static const char *const names[] = { "filter", "sortBy", "sortOrder", "startIndex", "count", "attributes",
                                         "excludedAttributes" };
    json_t *body;
    const char *query = "";
    OKS_TRY(read_json(&body, s));
    for (apr_size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_t *value = oks_scim_member(body, names[i]);
        const char *text = json_is_string(value) ? json_string_value(value) : "";
        if (json_is_integer(value)) text = apr_psprintf(s->pool, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        if (json_is_array(value)) OKS_TRY(join(&text, value, s->pool));
        if (strlen(text) > OKS_SCIM_FILTER_MAX) return too_long(names[i], s->pool);
        query = apr_pstrcat(s->pool, query, *query ? "&" : "", names[i], "=", oks_url_encode(text, s->pool), NULL);
    }
    OKS_TRY(oks_form_parse(&s->params, oks_span_z(query), s->pool));
    return s->kind ? serve_list(answer, s) : serve_list_of_all(answer, s);
}

static oks_err_t *serve_resources(oks_answer_t **answer, scim_t *s)
{
    const char *method = s->request->method;
    if (s->id && strcasecmp(s->id, ".search") == 0) {
        OKS_TRY(allow(s, "POST", answer));
        return serve_search(answer, s);
    }
    OKS_TRY(allow(s, s->id ? "GET, HEAD, PUT, PATCH, DELETE" : "GET, HEAD, POST", answer));
    if (strcmp(method, "DELETE") == 0) return serve_delete(answer, s);
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) return (s->id ? serve_read : serve_list)(answer, s);
    return serve_write(answer, s);
}

static oks_err_t *serve_endpoint(oks_answer_t **answer, scim_t *s, oks_span_t endpoint)
{
    bool users = oks_span_case_eq_z(endpoint, "Users");
    if (users || oks_span_case_eq_z(endpoint, "Groups")) {
        s->kind = users ? &oks_scim_user : &oks_scim_group;
        return serve_resources(answer, s);
    }
    if (oks_span_case_eq_z(endpoint, ".search") && !s->id) {
        OKS_TRY(allow(s, "POST", answer));
        return serve_search(answer, s);
    }
    bool schemas = oks_span_case_eq_z(endpoint, "Schemas"), types = oks_span_case_eq_z(endpoint, "ResourceTypes");
    bool config = oks_span_case_eq_z(endpoint, "ServiceProviderConfig") && !s->id;
    if (oks_span_case_eq_z(endpoint, "Me") || oks_span_case_eq_z(endpoint, "Bulk"))
        return oks_err(s->pool, OKS_R_SCIM_PATH_UNSUPPORTED, NULL);
    if (!schemas && !types && !config) return oks_err(s->pool, OKS_R_SCIM_PATH_UNKNOWN, NULL);
    OKS_TRY(allow(s, "GET, HEAD", answer));
    if (param(s, "filter").len) return oks_err(s->pool, OKS_R_SCIM_FILTER_INVALID, "there is none here (RFC 7644 4)");
    if (config) return serve_document(answer, s, oks_scim_service_provider_config(s->base));
    return serve_document(answer, s, (schemas ? oks_scim_schemas : oks_scim_resource_types)(s->base, s->id));
}

oks_err_t *oks_flow_scim_admits(oks_scim_caller_t *caller, const oks_flow_t *flow, const oks_request_t *request, apr_pool_t *pool)
{
    oks_span_t org = oks_span(NULL, 0), path = oks_span_z(request->local_path + SCIM_LEN);
    *caller = (oks_scim_caller_t){ NULL, NULL };
    oks_span_next(&org, &path, '/');
    OKS_TRY(oks_flow_find_org(&caller->org, flow, org, pool));
    if (caller->org->scim_off) return oks_err(pool, OKS_R_FLOW_ORG_UNKNOWN, "OktaSSOSCIM Off");
    OKS_TRY(oks_flow_scim_authorize(&caller->token, flow, caller->org, request, pool));
    return check_connection(flow, caller->org, request, pool);
}

/* "{org}/v2/Users/{id}" */
static oks_err_t *dispatch(oks_answer_t **answer, scim_t *s, oks_span_t path)
{
    oks_span_t org = oks_span(NULL, 0), version = org, endpoint = org;
    oks_span_next(&org, &path, '/');
    oks_span_next(&version, &path, '/');
    oks_span_next(&endpoint, &path, '/');
    if (!oks_span_eq_z(version, "v2") || memchr(path.ptr ? path.ptr : "", '/', path.len)) return oks_err(s->pool,
            OKS_R_SCIM_PATH_UNKNOWN, NULL);
    s->id = path.len ? oks_span_dup(path, s->pool) : NULL;
    s->base = apr_pstrcat(s->pool, s->request->base_url, s->flow->path, "/scim/", s->org->name, "/v2", NULL);
    OKS_TRY(oks_form_parse(&s->params, s->request->query, s->pool));
    return serve_endpoint(answer, s, endpoint);
}

bool oks_flow_is_scim(const char *local_path)
{
    return strncmp(local_path, SCIM, SCIM_LEN) == 0;
}

oks_answer_t *oks_flow_serve_scim(const oks_flow_t *flow, const oks_scim_caller_t *caller, const oks_request_t *request,
                                  apr_pool_t *pool)
{
    oks_answer_t *answer = NULL;
    scim_t s = { .flow = flow, .caller = caller, .org = caller->org, .request = request, .pool = pool };
    oks_err_t *err = dispatch(&answer, &s, oks_span_z(request->local_path + SCIM_LEN));
    if (err && !answer) answer = oks_flow_scim_refuse(err, caller, pool);
    answer->org = s.org->name;
    answer->token = caller->token;
    answer->user = s.user;
    answer->group = s.group;
    return answer;
}
