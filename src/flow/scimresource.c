/* SCIM resources and the directory's rows: the one becomes the other, when it is shown and when it is written. */
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include "scimcall.h"

const char *oks_scim_call_etag(int64_t version, apr_pool_t *pool)
{
    return apr_psprintf(pool, "W/\"%" APR_INT64_T_FMT "\"", (apr_int64_t)version);
}

/* ---- Full resources ---- */

static const char *location_of(const oks_scim_call_t *call, const oks_scim_kind_t *kind, const char *id)
{
    return apr_pstrcat(call->pool, call->base, "/", kind->endpoint, "/", id, NULL);
}

static void add_meta(const oks_scim_call_t *call, json_t *resource, const oks_scim_kind_t *kind, const char *id, apr_time_t created,
                     apr_time_t updated, int64_t version)
{
    apr_pool_t *pool = call->pool;
    json_object_set_new(resource, "id", json_string(id));
    json_t *schemas = json_pack("[s]", kind->schema);
    if (kind->extension && json_object_get(resource, kind->extension)) json_array_append_new(schemas, json_string(kind->extension));
    json_object_set_new(resource, "schemas", schemas);
    json_object_set_new(resource, "meta",
                        json_pack("{s:s, s:s, s:s, s:s, s:s}", "resourceType", kind->name,
                                  "created", oks_time_format(created, pool), "lastModified", oks_time_format(updated, pool),
                                  "location", location_of(call, kind, id), "version", oks_scim_call_etag(version, pool)));
}

/* Pairs of id and name, as references to resources of `kind`. */
static json_t *references(const oks_scim_call_t *call, const apr_array_header_t *pairs, const oks_scim_kind_t *kind)
{
    json_t *list = json_array();
    for (int i = 0; i < pairs->nelts; i++) {
        const char **pair = (const char **)pairs->elts + 2 * i;
        const char *type = kind == &oks_scim_user ? "User" : "direct";
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "value", pair[0], "display", pair[1], "type", type,
                                              "$ref", location_of(call, kind, pair[0])));
    }
    return list;
}

/* Does the text hold the name of an attribute, in any case (RFC 7643 2.1)? */
static bool mentions(oks_span_t text, const char *name)
{
    for (apr_size_t len = strlen(name); text.len >= len; text.ptr++, text.len--)
        if (apr_cstr_casecmpn(text.ptr, name, len) == 0) return true;
    return false;
}

bool oks_scim_call_asks(const oks_scim_call_t *call, const char *name)
{
    return mentions(oks_scim_call_param(call, "filter"), name) || mentions(oks_scim_call_param(call, "sortBy"), name);
}

/* Groups and members cost a look of their own: is it wanted, by an answer that shows them or by a filter that asks of them? */
static bool is_wanted(const oks_scim_call_t *call, const char *name)
{
    oks_span_t shown = oks_scim_call_param(call, "attributes"), unshown = oks_scim_call_param(call, "excludedAttributes"), word;
    if (call->kind == &oks_scim_user ? call->asks_groups : call->asks_members) return true;
    if (call->looking) return false;
    while (oks_span_next(&word, &unshown, ','))
        if (oks_span_case_eq_z(oks_span_trim(word), name)) return false;
    return !shown.len || mentions(shown, name);
}

static oks_err_t *stored(json_t **resource, const char *text, apr_pool_t *pool)
{
    *resource = oks_json_own(json_loads(text, 0, NULL), pool);
    return json_is_object(*resource) ? NULL : oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "a resource that cannot be read");
}

/* Of somebody who only signed in, what is known from there. */
static void fill_in(json_t *resource, const oks_user_row_t *row)
{
    if (*row->first_name || *row->last_name)
        json_object_set_new(resource, "name", json_pack("{s:s, s:s}", "givenName", row->first_name, "familyName", row->last_name));
    if (*row->name) json_object_set_new(resource, "displayName", json_string(row->name));
    if (*row->email)
        json_object_set_new(resource, "emails", json_pack("[{s:s, s:b}]", "value", row->email, "primary", 1));
}

/* What a client may change of it. */
static oks_err_t *own_part(json_t **resource, const oks_user_row_t *row, apr_pool_t *pool)
{
    OKS_TRY(stored(resource, row->resource, pool));
    if (!json_object_size(*resource)) fill_in(*resource, row);
    json_object_set_new(*resource, "userName", json_string(row->user_name));
    json_object_set_new(*resource, "active", json_boolean(row->active));
    if (row->external_id) json_object_set_new(*resource, "externalId", json_string(row->external_id));
    return NULL;
}

static oks_err_t *full_user(json_t **resource, const oks_scim_call_t *call, const oks_user_row_t *row)
{
    apr_array_header_t *groups;
    OKS_TRY(own_part(resource, row, call->pool));
    if (!call->made && is_wanted(call, "groups")) {
        OKS_TRY(oks_directory_groups_of(&groups, call->flow->directory, row->id, call->pool));
        if (groups->nelts) json_object_set_new(*resource, "groups", references(call, groups, &oks_scim_group));
    }
    add_meta(call, *resource, &oks_scim_user, row->id, row->created, row->updated, row->version);
    return NULL;
}

static oks_err_t *full_group(json_t **resource, const oks_scim_call_t *call, const oks_group_row_t *row)
{
    apr_array_header_t *members;
    OKS_TRY(stored(resource, row->resource, call->pool));
    json_object_set_new(*resource, "displayName", json_string(row->display_name));
    if (is_wanted(call, "members")) {
        OKS_TRY(oks_directory_members(&members, call->flow->directory, row->id, call->pool));
        json_object_set_new(*resource, "members", references(call, members, &oks_scim_user));
    }
    add_meta(call, *resource, &oks_scim_group, row->id, row->created, row->updated, row->version);
    return NULL;
}

oks_err_t *oks_scim_call_full(json_t **resource, const oks_scim_call_t *call, const void *row)
{
    return call->kind == &oks_scim_user ? full_user(resource, call, row) : full_group(resource, call, row);
}

oks_err_t *oks_scim_call_find(json_t **resource, int64_t *version, const oks_scim_call_t *call)
{
    oks_user_row_t *user = NULL;
    oks_group_row_t *group = NULL;
    oks_directory_t *directory = call->flow->directory;
    const char *org = call->caller->org->name;
    if (call->kind == &oks_scim_user) OKS_TRY(oks_directory_user(&user, directory, org, OKS_USER_ID, call->id, call->pool));
    else OKS_TRY(oks_directory_group(&group, directory, org, OKS_GROUP_ID, call->id, call->pool));
    if (!user && !group) return oks_err(call->pool, OKS_R_SCIM_RESOURCE_UNKNOWN, NULL);
    *version = user ? user->version : group->version;
    return user ? full_user(resource, call, user) : full_group(resource, call, group);
}

/* ---- Writing ---- */

typedef struct edit_t {
    oks_scim_call_t *call;
    json_t *body;
    bool patch;
} edit_t;

static oks_err_t *check_version(const oks_scim_call_t *call, int64_t version)
{
    const char *wanted = call->request->if_match, *now = oks_scim_call_etag(version, call->pool);
    if (!*wanted || strcmp(wanted, "*") == 0 || strcmp(wanted, now) == 0) return NULL;
    return oks_err(call->pool, OKS_R_SCIM_VERSION_MISMATCH, "now %s", now);
}

/* Its keys sorted, so that the directory sees when nothing has changed. */
static oks_err_t *text_of(const char **text, const json_t *resource, apr_pool_t *pool)
{
    char *dumped = json_dumps(resource, JSON_COMPACT | JSON_SORT_KEYS);
    *text = dumped ? apr_pstrdup(pool, dumped) : NULL;
    free(dumped);
    if (!*text) return oks_err(pool, OKS_R_INTERNAL, "out of memory for a resource");
    if (strlen(*text) <= OKS_SCIM_RESOURCE_MAX) return NULL;
    return oks_err(pool, OKS_R_SCIM_VALUE_INVALID, "the resource: more than %d bytes", OKS_SCIM_RESOURCE_MAX);
}

static oks_err_t *check_domain(const oks_scim_call_t *call, const char *email)
{
    const bool foreign = oks_flow_other_owner(call->flow, call->caller->org, email, call->pool) != NULL;
    if (!foreign && (!*email || oks_flow_domain_allowed(call->caller->org, oks_span_z(email)))) return NULL;
    return oks_err(call->pool, OKS_R_SCIM_VALUE_INVALID, "emails: the domain is %s",
                   foreign ? "another organization's" : "not one of OktaSSOEmailDomain");
}

/* What headers show follows from what was pushed. */
static oks_err_t *fill_user(oks_user_row_t *row, const oks_scim_call_t *call, json_t *resource)
{
    apr_pool_t *pool = call->pool;
    const json_t *active = json_object_get(resource, "active");
    const char *external_id = oks_json_string(resource, "externalId");
    const char *email = oks_user_email(resource, oks_json_string(resource, "userName"));
    const bool was_active = row->active;
    OKS_TRY(oks_user_said_email(&row->said_before, row, pool));
    row->user_name = apr_pstrdup(pool, oks_json_string(resource, "userName"));
    row->external_id = external_id && *external_id ? apr_pstrdup(pool, external_id) : NULL;
    if (active) row->active = json_is_true(active);
    /* A login may have brought another address since: it stays until SCIM says a new one. */
    const bool same = row->version && strcmp(email, row->said_before) == 0; /* a new user's never is */
    if (row->active && (!same || !was_active)) OKS_TRY(check_domain(call, email));
    row->said_email = apr_pstrdup(pool, email);
    if (!same) row->email = row->said_email;
    oks_user_names(row, resource, pool);
    json_object_del(resource, "active"); /* these have columns of their own */
    json_object_del(resource, "externalId");
    return text_of(&row->resource, resource, pool);
}

static oks_err_t *change_user(oks_user_row_t *row, const edit_t *edit, apr_pool_t *pool)
{
    json_t *resource, *wanted = edit->body;
    if (edit->patch) {
        OKS_TRY(own_part(&wanted, row, pool));
        OKS_TRY(oks_scim_patch(wanted, &oks_scim_user, edit->body, pool));
    }
    OKS_TRY(oks_scim_read(&resource, &oks_scim_user, wanted, pool)); /* after a PATCH: still a user? */
    return fill_user(row, edit->call, resource);
}

/* A PUT, as Okta's custom apps send it, of somebody's whole profile, which that person may have edited. */
static bool switches_off(const edit_t *edit)
{
    const json_t *active = edit->patch ? NULL : oks_scim_member(edit->body, "active");
    return json_is_false(active) || oks_span_case_eq_z(oks_span_z(json_string_value(active)), "false");
}

static oks_err_t *edit_user(oks_user_row_t *row, void *baton, apr_pool_t *pool)
{
    const edit_t *edit = baton;
    const oks_user_row_t before = *row;
    const bool was_active = row->active;
    OKS_TRY(check_version(edit->call, row->version));
    oks_err_t *err = change_user(row, edit, pool);
    /* Whoever is switched off is, whatever is wrong with what came along (SECURITY.md 33): that stays as it was. */
    if (err && (!row->version || oks_reason_info(err->reason)->http_status != 400 || !switches_off(edit))) return err;
    if (err) *row = before, row->active = false;
    edit->call->user = row->user_name;
    edit->call->event = was_active == row->active ? NULL : row->active ? "scim.activate" : "scim.deactivate";
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
    json_object_set_new(before, "displayName", json_string(row->display_name));
    OKS_TRY(oks_scim_patch_group(before, members, edit->body, pool));
    for (int i = 0; i < members->nelts; i++) {
        const oks_scim_members_t *change = &APR_ARRAY_IDX(members, i, oks_scim_members_t);
        note_members(row, ops[change->op], change->ids);
    }
    return oks_scim_read(resource, &oks_scim_group, before, pool);
}

/* RFC 7644 3.5.1: what a PUT does not name may be cleared; members that nobody speaks of stay, as Okta wants it. */
static oks_err_t *put_group(json_t **resource, oks_group_row_t *row, const edit_t *edit, apr_pool_t *pool)
{
    apr_array_header_t *ids;
    const json_t *said = oks_scim_member(edit->body, "members");
    OKS_TRY(oks_scim_read(resource, &oks_scim_group, edit->body, pool));
    json_object_del(*resource, "members");
    if (!said) return NULL;
    OKS_TRY(oks_scim_member_ids(&ids, said, pool));
    note_members(row, OKS_MEMBERS_REPLACE, ids);
    return NULL;
}

static oks_err_t *edit_group(oks_group_row_t *row, void *baton, apr_pool_t *pool)
{
    const edit_t *edit = baton;
    json_t *resource;
    OKS_TRY(check_version(edit->call, row->version));
    if (!row->version) row->role = edit->call->caller->org->group_default_role;
    OKS_TRY((edit->patch ? patch_group : put_group)(&resource, row, edit, pool));
    row->display_name = apr_pstrdup(pool, oks_json_string(resource, "displayName"));
    edit->call->group = row->display_name;
    return text_of(&row->resource, resource, pool);
}

/* The directory's words are about signing in. */
static oks_err_t *as_scim(oks_err_t *err, apr_pool_t *pool)
{
    if (!err) return NULL;
    if (err->reason == OKS_R_DIRECTORY_USER_UNKNOWN) return oks_err(pool, OKS_R_SCIM_RESOURCE_UNKNOWN, NULL);
    if (err->reason == OKS_R_DIRECTORY_USER_CONFLICT)
        return oks_err(pool, OKS_R_SCIM_RESOURCE_TAKEN, "%s", err->detail ? err->detail : "");
    return err;
}

oks_err_t *oks_scim_call_write(json_t **resource, int64_t *version, oks_scim_call_t *call, json_t *body, bool patch)
{
    edit_t edit = { .call = call, .body = body, .patch = patch };
    oks_directory_t *directory = call->flow->directory;
    const char *org = call->caller->org->name;
    const apr_time_t now = call->request->now;
    if (call->kind == &oks_scim_user) {
        oks_user_row_t *row;
        OKS_TRY(as_scim(oks_directory_user_edit(&row, directory, org, call->id, edit_user, &edit, now, call->pool), call->pool));
        *version = row->version;
        return full_user(resource, call, row);
    }
    oks_group_row_t *row;
    OKS_TRY(as_scim(oks_directory_group_edit(&row, directory, org, call->id, edit_group, &edit, now, call->pool), call->pool));
    *version = row->version;
    return full_group(resource, call, row);
}

static oks_err_t *may_delete_user(oks_user_row_t *row, void *call, apr_pool_t *pool)
{
    ((oks_scim_call_t *)call)->user = row->user_name;
    return check_version(call, row->version);
}

static oks_err_t *may_delete_group(oks_group_row_t *row, void *call, apr_pool_t *pool)
{
    ((oks_scim_call_t *)call)->group = row->display_name;
    return check_version(call, row->version);
}

oks_err_t *oks_scim_call_delete(oks_scim_call_t *call)
{
    oks_directory_t *directory = call->flow->directory;
    const char *org = call->caller->org->name;
    return as_scim(call->kind == &oks_scim_user
        ? oks_directory_user_delete(directory, org, call->id, may_delete_user, call, call->request->now, call->pool)
        : oks_directory_group_delete(directory, org, call->id, may_delete_group, call, call->pool), call->pool);
}
