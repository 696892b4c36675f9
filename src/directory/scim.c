/* Users, groups and members as SCIM keeps them; and what of them a session shows. */
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "directory_private.h"
#include "oktasso/crypto.h"

static const char *copy(oks_conn_t *conn, apr_dbd_row_t *row, int column, apr_pool_t *pool)
{
    return apr_pstrdup(pool, oks_conn_text(conn, row, column));
}

static const char *copy_or_null(oks_conn_t *conn, apr_dbd_row_t *row, int column, apr_pool_t *pool)
{
    return apr_pstrdup(pool, oks_conn_text_or_null(conn, row, column));
}

static oks_err_t *new_id(const char **id, apr_pool_t *pool)
{
    oks_id_t made;
    OKS_TRY(oks_random_bytes(made.bytes, OKS_ID_LEN, pool));
    *id = oks_directory_id(&made, pool);
    return NULL;
}

static void touch(oks_directory_t *directory, const char *user)
{
    oks_id_t id;
    if (oks_hex_decode_into(id.bytes, OKS_ID_LEN, oks_span_z(user)))
        oks_counter_add(oks_directory_counters(directory), oks_counter_of_user(&id));
}

/* ---- Rows ---- */

static void *user_row(oks_conn_t *conn, apr_dbd_row_t *row, apr_pool_t *pool)
{
    oks_user_row_t *made = apr_pcalloc(pool, sizeof *made);
    made->id = copy(conn, row, OKS_C_RESOURCE_ID, pool);
    made->active = oks_conn_number(conn, row, OKS_C_RESOURCE_ACTIVE) != 0;
    made->user_name = copy(conn, row, OKS_C_RESOURCE_USER_NAME, pool);
    made->external_id = copy_or_null(conn, row, OKS_C_RESOURCE_EXTERNAL_ID, pool);
    made->resource = copy(conn, row, OKS_C_RESOURCE_JSON, pool);
    made->email = copy(conn, row, OKS_C_RESOURCE_EMAIL, pool);
    made->first_name = copy(conn, row, OKS_C_RESOURCE_FIRST_NAME, pool);
    made->last_name = copy(conn, row, OKS_C_RESOURCE_LAST_NAME, pool);
    made->name = copy(conn, row, OKS_C_RESOURCE_NAME, pool);
    made->version = oks_conn_number(conn, row, OKS_C_RESOURCE_VERSION);
    made->created = oks_conn_number(conn, row, OKS_C_RESOURCE_CREATED);
    made->updated = oks_conn_number(conn, row, OKS_C_RESOURCE_UPDATED);
    made->subject = copy(conn, row, OKS_C_RESOURCE_SUBJECT, pool);
    made->subject_key = copy(conn, row, OKS_C_RESOURCE_SUBJECT_KEY, pool);
    made->said_email = made->said_before = made->email;
    return made;
}

static void *group_row(oks_conn_t *conn, apr_dbd_row_t *row, apr_pool_t *pool)
{
    oks_group_row_t *made = apr_pcalloc(pool, sizeof *made);
    made->id = copy(conn, row, OKS_C_GROUP_ID, pool);
    made->display_name = copy(conn, row, OKS_C_GROUP_NAME, pool);
    made->resource = copy(conn, row, OKS_C_GROUP_JSON, pool);
    made->role = copy_or_null(conn, row, OKS_C_GROUP_ROLE, pool);
    made->version = oks_conn_number(conn, row, OKS_C_GROUP_VERSION);
    made->created = oks_conn_number(conn, row, OKS_C_GROUP_CREATED);
    made->updated = oks_conn_number(conn, row, OKS_C_GROUP_UPDATED);
    made->members = apr_array_make(pool, 2, sizeof(oks_member_change_t));
    return made;
}

/* Whatever a client takes for an id: bytes that are no text are not for a database. */
static bool is_id(const char *text)
{
    unsigned char bytes[OKS_ID_LEN];
    return oks_hex_decode_into(bytes, OKS_ID_LEN, oks_span_z(text));
}

/* ---- Reading users ---- */

/* *deleted: *row was deleted. */
static oks_err_t *find_user(oks_user_row_t **row, bool *deleted, oks_conn_t *conn, const char *org, oks_user_key_t by,
                            const char *key, apr_pool_t *pool)
{
    static const oks_statement_t statements[] = { OKS_S_RESOURCE_BY_ID, OKS_S_RESOURCE_BY_USER_NAME, OKS_S_RESOURCE_BY_EXTERNAL_ID,
                                                  OKS_S_RESOURCE_BY_EMAIL };
    oks_rows_t *results;
    const char *hashed = by == OKS_USER_ID ? key : by == OKS_USER_EXTERNAL_ID ? oks_directory_hash("external", key, pool)
                                                                              : oks_user_name_key(key, pool);
    *row = NULL;
    *deleted = false;
    if (by == OKS_USER_ID && !is_id(key)) return NULL;
    OKS_TRY(oks_conn_select(&results, conn, statements[by], OKS_ARGS(org, hashed), pool));
    for (apr_dbd_row_t *found; (found = oks_conn_row(conn, results, pool)) != NULL;)
        if (!*row) {
            *deleted = oks_conn_number(conn, found, OKS_C_RESOURCE_DELETED) != 0;
            *row = user_row(conn, found, pool);
        }
    return NULL;
}

typedef struct user_work_t {
    const char *org, *key;
    oks_user_key_t by;
    oks_user_row_t *row;
    oks_user_edit_fn *edit;
    void *baton;
    apr_time_t now;
    bool made, changed; /* made: there is no record to change yet */
    apr_array_header_t *absorbed; /* ids: records that were the same user's, or had this user's subject */
} user_work_t;

static oks_err_t *read_user(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    user_work_t *work = baton;
    bool deleted;
    OKS_TRY(find_user(&work->row, &deleted, conn, work->org, work->by, work->key, pool));
    if (deleted) work->row = NULL;
    return NULL;
}

oks_err_t *oks_directory_user(oks_user_row_t **row, oks_directory_t *directory, const char *org, oks_user_key_t by, const char *key,
                              apr_pool_t *pool)
{
    user_work_t work = { .org = org, .key = key, .by = by };
    OKS_TRY(oks_directory_read(directory, read_user, &work, pool));
    *row = work.row;
    return NULL;
}

/* ---- Pages ---- */

typedef struct page_work_t {
    const char *org;
    oks_statement_t count_by, page_by;
    void *(*read)(oks_conn_t *conn, apr_dbd_row_t *row, apr_pool_t *pool);
    int64_t start, *total;
    int count;
    apr_array_header_t *rows;
} page_work_t;

static oks_err_t *read_page(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    page_work_t *work = baton;
    oks_rows_t *results;
    if (work->total) {
        OKS_TRY(oks_conn_select(&results, conn, work->count_by, OKS_ARGS(work->org), pool));
        for (apr_dbd_row_t *row; (row = oks_conn_row(conn, results, pool)) != NULL;) *work->total = oks_conn_number(conn, row, 0);
    }
    work->rows = apr_array_make(pool, 16, sizeof(void *));
    if (!work->count || (work->total && work->start >= *work->total)) return NULL;
    const char *count = oks_directory_number(work->count, pool), *start = oks_directory_number(work->start, pool);
    OKS_TRY(oks_conn_select(&results, conn, work->page_by, OKS_ARGS(work->org, count, start), pool));
    for (apr_dbd_row_t *row; (row = oks_conn_row(conn, results, pool)) != NULL;)
        APR_ARRAY_PUSH(work->rows, void *) = work->read(conn, row, pool);
    return NULL;
}

static oks_err_t *page(apr_array_header_t **rows, int64_t *total, oks_directory_t *directory, page_work_t *work, apr_pool_t *pool)
{
    work->total = total;
    OKS_TRY(oks_directory_read(directory, read_page, work, pool));
    *rows = work->rows;
    return NULL;
}

oks_err_t *oks_directory_users(apr_array_header_t **rows, int64_t *total, oks_directory_t *directory, const char *org,
                               int64_t start, int count, apr_pool_t *pool)
{
    page_work_t work = { .org = org, .count_by = OKS_S_RESOURCE_COUNT, .page_by = OKS_S_RESOURCE_PAGE, .read = user_row,
                         .start = start, .count = count };
    return page(rows, total, directory, &work, pool);
}

oks_err_t *oks_directory_groups(apr_array_header_t **rows, int64_t *total, oks_directory_t *directory, const char *org,
                                int64_t start, int count, apr_pool_t *pool)
{
    page_work_t work = { .org = org, .count_by = OKS_S_GROUP_COUNT, .page_by = OKS_S_GROUP_PAGE, .read = group_row,
                         .start = start, .count = count };
    return page(rows, total, directory, &work, pool);
}

/* ---- Writing users ---- */

/* The name or the address may be another one's: looked at when it is a new one. What was deleted gives that away, and no more:
 * its subject and externalId go on refusing who signs in by them. */
static oks_err_t *check_free(oks_conn_t *conn, const user_work_t *work, oks_user_key_t by, const char *key, const char *before,
                             apr_pool_t *pool)
{
    oks_user_row_t *other;
    bool deleted;
    if (!*key || strcmp(key, before) == 0) return NULL;
    OKS_TRY(find_user(&other, &deleted, conn, work->org, by, key, pool));
    if (!other || strcmp(other->id, work->row->id) == 0) return NULL;
    if (deleted) {
        OKS_TRY(oks_conn_query(NULL, conn, by == OKS_USER_NAME ? OKS_S_DELETED_FREE_USER_NAME : OKS_S_DELETED_FREE_EMAIL,
                               OKS_ARGS(work->org, oks_user_name_key(key, pool)), pool));
        return oks_conn_query(NULL, conn, OKS_S_DELETED_PURGE, OKS_ARGS(other->id), pool);
    }
    return oks_err(pool, OKS_R_DIRECTORY_USER_CONFLICT, "%s", by == OKS_USER_NAME ? "userName" : "emails");
}

/* The same; but whoever is deactivated is, whatever else came along (SECURITY.md 33): what is another one's stays as it was. */
static oks_err_t *settle_key(oks_conn_t *conn, const user_work_t *work, oks_user_key_t by, const char **key, const char *before,
                             apr_pool_t *pool)
{
    oks_err_t *err = check_free(conn, work, by, *key, before, pool);
    bool may_stay = !work->row->active && (by != OKS_USER_NAME || *before); /* nobody is made without a name */
    if (!err || !may_stay || err->reason != OKS_R_DIRECTORY_USER_CONFLICT) return err;
    *key = before;
    return NULL;
}

static oks_err_t *write_user(oks_conn_t *conn, const user_work_t *work, apr_pool_t *pool)
{
    const oks_user_row_t *row = work->row;
    const char *active = row->active ? "1" : "0", *now = oks_directory_number(work->now, pool);
    const char *name_key = oks_user_name_key(row->user_name, pool);
    const char *email_key = *row->email ? oks_user_name_key(row->email, pool) : NULL;
    const char *external_key = row->external_id ? oks_directory_hash("external", row->external_id, pool) : NULL;
    if (work->made)
        return oks_conn_query(NULL, conn, OKS_S_RESOURCE_INSERT,
                              OKS_ARGS(active, row->user_name, name_key, row->external_id, external_key, row->resource, row->email,
                                       email_key, row->first_name, row->last_name, row->name, now, row->id, work->org, now), pool);
    return oks_conn_query(NULL, conn, OKS_S_RESOURCE_UPDATE,
                          OKS_ARGS(active, row->user_name, name_key, row->external_id, external_key, row->resource, row->email,
                                   email_key, row->first_name, row->last_name, row->name, now, row->id), pool);
}

static bool same_row(const oks_user_row_t *a, const oks_user_row_t *b)
{
    const char *a_external = a->external_id ? a->external_id : "", *b_external = b->external_id ? b->external_id : "";
    return a->active == b->active && !strcmp(a->user_name, b->user_name) && !strcmp(a_external, b_external) &&
           !strcmp(a->resource, b->resource) && !strcmp(a->email, b->email) && !strcmp(a->first_name, b->first_name) &&
           !strcmp(a->last_name, b->last_name) && !strcmp(a->name, b->name);
}

static bool is_pushed(const oks_user_row_t *row)
{
    return strcmp(row->resource, "{}") != 0;
}

const char *oks_user_email(const json_t *resource, const char *user_name)
{
    json_t *emails = json_object_get(resource, "emails"), *each, *chosen = json_array_get(emails, 0);
    size_t i;
    json_array_foreach(emails, i, each)
        if (json_is_true(json_object_get(each, "primary"))) chosen = each;
    const char *said = chosen ? oks_json_string(chosen, "value") : user_name;
    return said && oks_email_ok(oks_span_z(said)) ? said : "";
}

static const char *name_of(const json_t *object, const char *name, apr_pool_t *pool)
{
    const char *text = oks_json_string(object, name);
    return text ? oks_name_sanitize(text, pool) : "";
}

void oks_user_names(oks_user_row_t *row, const json_t *resource, apr_pool_t *pool)
{
    const json_t *name = json_object_get(resource, "name");
    row->first_name = name_of(name, "givenName", pool);
    row->last_name = name_of(name, "familyName", pool);
    row->name = name_of(resource, "displayName", pool);
    if (!*row->name) row->name = name_of(name, "formatted", pool);
    if (!*row->name) row->name = oks_full_name(row->first_name, row->last_name, pool);
}

static oks_err_t *read_resource(json_t **resource, const oks_user_row_t *row, apr_pool_t *pool)
{
    *resource = oks_json_own(json_loads(row->resource, 0, NULL), pool);
    return *resource ? NULL : oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "a resource that cannot be read");
}

oks_err_t *oks_user_said_email(const char **email, const oks_user_row_t *row, apr_pool_t *pool)
{
    json_t *resource;
    OKS_TRY(read_resource(&resource, row, pool));
    *email = is_pushed(row) ? apr_pstrdup(pool, oks_user_email(resource, row->user_name)) : row->email;
    return NULL;
}

static bool is_named(const oks_user_row_t *row, const char *name, apr_pool_t *pool)
{
    return oks_same_name(row->user_name, name, pool) || (row->external_id && !strcmp(row->external_id, name));
}

/* Does SCIM call the user so? */
static bool is_called(const oks_user_row_t *row, const char *name, apr_pool_t *pool)
{
    return is_named(row, name, pool) || oks_same_name(row->said_email, name, pool);
}

/* It was a name of the user's, and SCIM says another one now. Silence says nothing. */
static bool is_given_up(const oks_user_row_t *before, const oks_user_row_t *row, const char *subject, apr_pool_t *pool)
{
    return oks_same_name(before->user_name, subject, pool) ||
           (*row->said_email && oks_same_name(row->said_before, subject, pool)) ||
           (row->external_id && before->external_id && !strcmp(before->external_id, subject));
}

/* An Okta id that SCIM does not call the user by, where it says another one. Or an address where it says others, of who was not
 * SCIM's so far. Names of other forms say nothing. */
static bool is_of_another(const oks_user_row_t *before, const oks_user_row_t *row, const char *subject)
{
    if (oks_is_okta_id(subject)) return row->external_id && oks_is_okta_id(row->external_id);
    if (is_pushed(before)) return false;
    return oks_email_ok(oks_span_z(subject)) && (*row->said_email || oks_email_ok(oks_span_z(row->user_name)));
}

/* What they brought, and their sessions. */
static oks_err_t *forget_logins(oks_conn_t *conn, const char *id, apr_pool_t *pool)
{
    OKS_TRY(oks_conn_query(NULL, conn, OKS_S_ASSERTED_FORGET, OKS_ARGS(id), pool));
    return oks_conn_query(NULL, conn, OKS_S_SESSIONS_DELETE_OF_USER, OKS_ARGS(id), pool);
}

/* The record is found by no subject. */
static oks_err_t *keep_away(oks_conn_t *conn, const char *id, apr_pool_t *pool)
{
    return oks_conn_query(NULL, conn, OKS_S_SUBJECT_DENY, OKS_ARGS(oks_denied_key(id, pool), id), pool);
}

/* The record is found by the subject no more, but remembers it. Who was switched off keeps the key of what they were denied. */
static oks_err_t *deny(oks_conn_t *conn, const user_work_t *work, const char *subject, apr_pool_t *pool)
{
    const char *key = oks_denied_key(oks_directory_hash(OKS_SUBJECT, subject, pool), pool);
    oks_rows_t *results;
    bool closed = false;
    OKS_TRY(oks_conn_select(&results, conn, OKS_S_USER_BY_SUBJECT, OKS_ARGS(work->org, key), pool));
    for (apr_dbd_row_t *found; (found = oks_conn_row(conn, results, pool)) != NULL;)
        closed = !oks_conn_number(conn, found, OKS_C_USER_ACTIVE);
    if (closed && work->row->active) return keep_away(conn, work->row->id, pool);
    OKS_TRY(oks_conn_query(NULL, conn, OKS_S_SUBJECT_FREE, OKS_ARGS(work->org, key), pool));
    return oks_conn_query(NULL, conn, OKS_S_SUBJECT_DENY, OKS_ARGS(key, work->row->id), pool);
}

/* A subject is not for ever: somebody else may have it now, and may have come by it before SCIM said so. Or it is of another one,
 * who came by the user's address. The sessions, groups and own fields that it brought may be of somebody else as well. From then on
 * the user gets in by what SCIM says alone, and has its address. */
static oks_err_t *deny_subject(oks_conn_t *conn, const user_work_t *work, const oks_user_row_t *before, apr_pool_t *pool)
{
    oks_user_row_t *row = work->row;
    const char *subject = before->subject;
    const bool asserted = !strcmp(before->subject_key, oks_directory_hash(OKS_SUBJECT, subject, pool));
    if (!asserted || is_called(row, subject, pool)) return NULL; /* a local account's name is nothing of SCIM's */
    if (!is_given_up(before, row, subject, pool) && !is_of_another(before, row, subject)) return NULL;
    row->email = row->said_email;
    OKS_TRY(deny(conn, work, subject, pool));
    return forget_logins(conn, row->id, pool);
}

/* SCIM has written this record, too, and says now that its subject is of another user, who came by the address, and may have
 * brought another one since. */
static oks_err_t *expel(oks_conn_t *conn, const user_work_t *work, oks_user_row_t *other, apr_pool_t *pool)
{
    const user_work_t theirs = { .org = work->org, .row = other, .now = work->now };
    const char *brought = other->email;
    json_t *resource;
    OKS_TRY(keep_away(conn, other->id, pool));
    OKS_TRY(forget_logins(conn, other->id, pool));
    OKS_TRY(read_resource(&resource, other, pool));
    other->email = apr_pstrdup(pool, oks_user_email(resource, other->user_name));
    oks_user_names(other, resource, pool);
    oks_err_t *err = check_free(conn, &theirs, OKS_USER_EMAIL, other->email, brought, pool);
    if (err && err->reason != OKS_R_DIRECTORY_USER_CONFLICT) return err;
    if (err) other->email = "";
    OKS_TRY(write_user(conn, &theirs, pool));
    APR_ARRAY_PUSH(work->absorbed, const char *) = other->id;
    return oks_change_log(conn, OKS_CHANGE_USER, other->id, pool);
}

/* Who signed in before SCIM said the name: a record whose subject is this user's userName or externalId is this user's. Left to
 * itself, it would go on when the user is deactivated; and so would one of a subject that was this user's until it was denied. A
 * new user takes such a record over. Its groups are those of who SCIM took it for. */
static oks_err_t *absorb(oks_conn_t *conn, user_work_t *work, apr_pool_t *pool)
{
    oks_user_row_t *row = work->row;
    const char *denied = oks_is_denied(row->subject_key) && !row->active ? row->subject : "";
    const char *names[] = { row->external_id ? row->external_id : "", row->user_name, denied };
    work->absorbed = apr_array_make(pool, 2, sizeof(const char *));
    for (apr_size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        oks_rows_t *results;
        oks_user_row_t *other = NULL;
        if (!*names[i]) continue;
        OKS_TRY(oks_conn_select(&results, conn, OKS_S_RESOURCE_BY_SUBJECT,
                                OKS_ARGS(work->org, oks_directory_hash(OKS_SUBJECT, names[i], pool)), pool));
        for (apr_dbd_row_t *found; (found = oks_conn_row(conn, results, pool)) != NULL;) other = user_row(conn, found, pool);
        if (!other || !strcmp(other->id, row->id)) continue;
        if (is_pushed(other)) { /* whose own name it is, too, stays: a deactivation may say a userName that is another one's */
            const bool by_denied = names[i] == denied;
            if (by_denied) OKS_TRY(oks_user_said_email(&other->said_email, other, pool));
            if (!(by_denied ? is_called : is_named)(other, names[i], pool)) OKS_TRY(expel(conn, work, other, pool));
            continue;
        }
        const bool same = oks_same_name(other->user_name, row->user_name, pool);
        if (work->made) {
            if (!same) OKS_TRY(oks_conn_query(NULL, conn, OKS_S_MEMBERS_DELETE_OF_USER, OKS_ARGS(other->id), pool));
            row->id = other->id, row->created = other->created, row->version = other->version;
            work->made = false;
            continue;
        }
        OKS_TRY(oks_conn_query(NULL, conn, OKS_S_TOKENS_MOVE, OKS_ARGS(row->id, other->id), pool));
        if (same) OKS_TRY(oks_conn_query(NULL, conn, OKS_S_MEMBERS_MOVE, OKS_ARGS(row->id, other->id), pool));
        OKS_TRY(oks_conn_query(NULL, conn, OKS_S_USER_DELETE, OKS_ARGS(other->id), pool)); /* with its sessions and memberships */
        OKS_TRY(oks_change_log(conn, OKS_CHANGE_USER, other->id, pool));
        APR_ARRAY_PUSH(work->absorbed, const char *) = other->id;
    }
    return *denied ? deny(conn, work, denied, pool) : NULL;
}

/* Of who was switched off, all; of who has another name, those of the local account that had led here. */
static oks_err_t *end_sessions(oks_conn_t *conn, const user_work_t *work, const oks_user_row_t *before, apr_pool_t *pool)
{
    const oks_user_row_t *row = work->row;
    const bool renamed = !oks_same_name(before->user_name, row->user_name, pool) || !oks_same_name(before->email, row->email, pool);
    if (!row->active) return oks_conn_query(NULL, conn, OKS_S_SESSIONS_DELETE_OF_USER, OKS_ARGS(row->id), pool);
    return renamed ? oks_conn_query(NULL, conn, OKS_S_SESSIONS_DELETE_OF_ACCOUNT, OKS_ARGS(row->id), pool) : NULL;
}

static oks_err_t *edit_user(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    user_work_t *work = baton;
    bool deleted = false;
    work->made = !work->key;
    if (!work->made) OKS_TRY(find_user(&work->row, &deleted, conn, work->org, OKS_USER_ID, work->key, pool));
    if (!work->made && (!work->row || deleted)) return oks_err(pool, OKS_R_DIRECTORY_USER_UNKNOWN, NULL);
    if (work->made) {
        work->row = apr_pcalloc(pool, sizeof *work->row);
        *work->row = (oks_user_row_t){ .active = true, .user_name = "", .resource = "{}", .email = "", .first_name = "",
                                       .last_name = "", .name = "", .said_email = "", .said_before = "", .subject = "",
                                       .subject_key = "", .created = work->now };
        OKS_TRY(new_id(&work->row->id, pool));
    }
    const oks_user_row_t before = *work->row;
    OKS_TRY(work->edit(work->row, work->baton, pool));
    work->changed = work->made || !same_row(&before, work->row);
    if (!work->changed) return NULL;
    /* Whom SCIM sees is changed, not made again (RFC 7644 3.3); so a new name is looked at before anybody is taken over. */
    if (!work->key) OKS_TRY(check_free(conn, work, OKS_USER_NAME, work->row->user_name, "", pool));
    OKS_TRY(absorb(conn, work, pool));
    if (work->key) OKS_TRY(settle_key(conn, work, OKS_USER_NAME, &work->row->user_name, before.user_name, pool));
    OKS_TRY(deny_subject(conn, work, &before, pool));
    OKS_TRY(settle_key(conn, work, OKS_USER_EMAIL, &work->row->email, before.email, pool));
    OKS_TRY(write_user(conn, work, pool));
    work->row->version++;
    work->row->updated = work->now;
    OKS_TRY(end_sessions(conn, work, &before, pool));
    return work->made ? NULL : oks_change_log(conn, OKS_CHANGE_USER, work->row->id, pool);
}

static void touch_absorbed(oks_directory_t *directory, const user_work_t *work)
{
    for (int i = 0; work->absorbed && i < work->absorbed->nelts; i++)
        touch(directory, APR_ARRAY_IDX(work->absorbed, i, const char *));
}

oks_err_t *oks_directory_user_edit(oks_user_row_t **row, oks_directory_t *directory, const char *org, const char *id,
                                   oks_user_edit_fn *edit, void *baton, apr_time_t now, apr_pool_t *pool)
{
    user_work_t work = { .org = org, .key = id, .edit = edit, .baton = baton, .now = now };
    OKS_TRY(oks_directory_write(directory, edit_user, &work, pool));
    if (work.changed) touch(directory, work.row->id);
    touch_absorbed(directory, &work);
    *row = work.row;
    return NULL;
}

/* ---- Members ---- */

typedef struct group_work_t {
    const char *org, *key;
    oks_group_key_t by;
    oks_group_row_t *row;
    oks_group_edit_fn *edit;
    void *baton;
    apr_time_t now;
    apr_hash_t *touched; /* ids of users whose groups are others now */
} group_work_t;

static void touch_user(group_work_t *work, const char *user)
{
    apr_hash_set(work->touched, user, APR_HASH_KEY_STRING, user);
}

/* Once, when all is done. */
static oks_err_t *log_touched(oks_conn_t *conn, const group_work_t *work, apr_pool_t *pool)
{
    apr_array_header_t *users = apr_array_make(pool, (int)apr_hash_count(work->touched) + 1, sizeof(const char *));
    for (apr_hash_index_t *i = apr_hash_first(pool, work->touched); i; i = apr_hash_next(i))
        APR_ARRAY_PUSH(users, const char *) = apr_hash_this_key(i);
    return oks_change_log_all(conn, OKS_CHANGE_USER, users, pool);
}

/* A row of OKS_S_MEMBERS_AMONG: does it make a difference? Who is nobody of the organization is passed over. */
static bool may_change(oks_conn_t *conn, apr_dbd_row_t *row, const char *org, bool add)
{
    const bool is_member = oks_conn_number(conn, row, OKS_C_AMONG_IS_MEMBER) != 0;
    if (!add) return is_member;
    return !is_member && !strcmp(oks_conn_text(conn, row, OKS_C_AMONG_ORG), org) &&
           !oks_conn_number(conn, row, OKS_C_AMONG_DELETED) && oks_conn_text_or_null(conn, row, OKS_C_AMONG_USER_NAME_KEY);
}

/* So many at once. */
static oks_err_t *put_members(oks_conn_t *conn, group_work_t *work, apr_hash_t *users, bool add, apr_pool_t *pool)
{
    const char *args[1 + OKS_ROWS_AT_ONCE] = { work->row->id };
    const apr_size_t nargs = sizeof args / sizeof args[0];
    apr_pool_t *piece;
    apr_pool_create(&piece, pool);
    for (apr_hash_index_t *i = apr_hash_first(pool, users); i;) {
        oks_rows_t *results;
        apr_size_t n = 1;
        apr_pool_clear(piece);
        for (; n < nargs && i; i = apr_hash_next(i)) args[n++] = apr_hash_this_key(i);
        while (n < nargs) args[n++] = NULL;
        OKS_TRY(oks_conn_select(&results, conn, OKS_S_MEMBERS_AMONG, args, nargs, piece));
        n = 1;
        for (apr_dbd_row_t *row; (row = oks_conn_row(conn, results, piece)) != NULL;)
            if (may_change(conn, row, work->org, add)) touch_user(work, args[n++] = copy(conn, row, OKS_C_AMONG_ID, pool));
        const bool any = n > 1;
        while (n < nargs) args[n++] = NULL;
        if (any) OKS_TRY(oks_conn_query(NULL, conn, add ? OKS_S_MEMBERS_INSERT : OKS_S_MEMBERS_DELETE, args, nargs, piece));
    }
    apr_pool_destroy(piece);
    return NULL;
}

static oks_err_t *pairs_of(apr_array_header_t **pairs, oks_conn_t *conn, oks_statement_t statement, const char *key,
                           apr_pool_t *pool)
{
    oks_rows_t *results;
    *pairs = apr_array_make(pool, 8, sizeof(const char *[2]));
    OKS_TRY(oks_conn_select(&results, conn, statement, OKS_ARGS(key), pool));
    for (apr_dbd_row_t *row; (row = oks_conn_row(conn, results, pool)) != NULL;) {
        const char **pair = apr_array_push(*pairs);
        pair[0] = copy(conn, row, 0, pool);
        pair[1] = copy(conn, row, 1, pool);
    }
    return NULL;
}

/* What several changes come to, one after the other. */
typedef struct membership_t {
    bool alone;            /* nobody stays but those in `in` */
    apr_hash_t *in, *out;  /* ids; what cannot be one is nobody's */
} membership_t;

static membership_t sum_up(const apr_array_header_t *changes, apr_pool_t *pool)
{
    membership_t sum = { false, apr_hash_make(pool), apr_hash_make(pool) };
    for (int i = 0; i < changes->nelts; i++) {
        const oks_member_change_t *change = &APR_ARRAY_IDX(changes, i, oks_member_change_t);
        apr_hash_t *to = change->op == OKS_MEMBERS_REMOVE ? sum.out : sum.in, *from = to == sum.in ? sum.out : sum.in;
        if (change->op == OKS_MEMBERS_REPLACE || !change->ids) {
            sum.alone = true;
            apr_hash_clear(sum.in);
            apr_hash_clear(sum.out);
        }
        for (int k = 0; change->ids && k < change->ids->nelts; k++) {
            const char *id = APR_ARRAY_IDX(change->ids, k, const char *);
            if (!is_id(id)) continue;
            apr_hash_set(to, id, APR_HASH_KEY_STRING, id);
            apr_hash_set(from, id, APR_HASH_KEY_STRING, NULL);
        }
    }
    return sum;
}

/* The difference alone is written, so that nobody who stays loses anything. */
static oks_err_t *change_members(oks_conn_t *conn, group_work_t *work, apr_pool_t *pool)
{
    apr_array_header_t *now;
    membership_t sum = sum_up(work->row->members, pool);
    if (sum.alone) OKS_TRY(pairs_of(&now, conn, OKS_S_MEMBERS_OF_GROUP, work->row->id, pool));
    for (int i = 0; sum.alone && i < now->nelts; i++) {
        const char *id = ((const char **)now->elts)[2 * i];
        if (apr_hash_get(sum.in, id, APR_HASH_KEY_STRING)) apr_hash_set(sum.in, id, APR_HASH_KEY_STRING, NULL);
        else apr_hash_set(sum.out, id, APR_HASH_KEY_STRING, id);
    }
    OKS_TRY(put_members(conn, work, sum.out, false, pool));
    return put_members(conn, work, sum.in, true, pool);
}

/* Everybody in it, when its name is another one, or it is gone. */
static oks_err_t *touch_members(oks_conn_t *conn, group_work_t *work, apr_pool_t *pool)
{
    apr_array_header_t *now;
    OKS_TRY(pairs_of(&now, conn, OKS_S_MEMBERS_OF_GROUP, work->row->id, pool));
    for (int i = 0; i < now->nelts; i++) touch_user(work, ((const char **)now->elts)[2 * i]);
    return NULL;
}

static void touch_all(oks_directory_t *directory, const group_work_t *work, apr_pool_t *pool)
{
    for (apr_hash_index_t *i = apr_hash_first(pool, work->touched); i; i = apr_hash_next(i)) touch(directory, apr_hash_this_key(i));
}

static oks_err_t *delete_user(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    user_work_t *work = baton;
    bool deleted;
    OKS_TRY(find_user(&work->row, &deleted, conn, work->org, OKS_USER_ID, work->key, pool));
    if (!work->row || deleted) return oks_err(pool, OKS_R_DIRECTORY_USER_UNKNOWN, NULL);
    OKS_TRY(work->edit(work->row, work->baton, pool));
    work->row->active = false;
    OKS_TRY(absorb(conn, work, pool));
    OKS_TRY(oks_conn_query(NULL, conn, OKS_S_MEMBERS_DELETE_OF_USER, OKS_ARGS(work->key), pool));
    OKS_TRY(oks_conn_query(NULL, conn, OKS_S_SESSIONS_DELETE_OF_USER, OKS_ARGS(work->key), pool));
    OKS_TRY(oks_conn_query(NULL, conn, OKS_S_RESOURCE_DELETE, OKS_ARGS(oks_directory_number(work->now, pool), work->key), pool));
    return oks_change_log(conn, OKS_CHANGE_USER, work->key, pool);
}

oks_err_t *oks_directory_user_delete(oks_directory_t *directory, const char *org, const char *id, oks_user_edit_fn *check,
                                     void *baton, apr_time_t now, apr_pool_t *pool)
{
    user_work_t work = { .org = org, .key = id, .edit = check, .baton = baton, .now = now };
    OKS_TRY(oks_directory_write(directory, delete_user, &work, pool));
    touch(directory, id);
    touch_absorbed(directory, &work);
    return NULL;
}

/* ---- Groups ---- */

static const char *group_key(const char *name, apr_pool_t *pool)
{
    return oks_directory_hash("group", oks_fold_key(name, pool), pool);
}

static oks_err_t *find_group(oks_group_row_t **row, oks_conn_t *conn, const char *org, oks_group_key_t by, const char *key,
                             apr_pool_t *pool)
{
    oks_rows_t *results;
    *row = NULL;
    if (by == OKS_GROUP_ID && !is_id(key)) return NULL;
    OKS_TRY(oks_conn_select(&results, conn, by == OKS_GROUP_ID ? OKS_S_GROUP_BY_ID : OKS_S_GROUP_BY_NAME,
                            OKS_ARGS(org, by == OKS_GROUP_ID ? key : group_key(key, pool)), pool));
    for (apr_dbd_row_t *found; (found = oks_conn_row(conn, results, pool)) != NULL;)
        if (!*row) *row = group_row(conn, found, pool);
    return NULL;
}

static oks_err_t *read_group(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    group_work_t *work = baton;
    return find_group(&work->row, conn, work->org, work->by, work->key, pool);
}

oks_err_t *oks_directory_group(oks_group_row_t **row, oks_directory_t *directory, const char *org, oks_group_key_t by,
                               const char *key, apr_pool_t *pool)
{
    group_work_t work = { .org = org, .key = key, .by = by };
    OKS_TRY(oks_directory_read(directory, read_group, &work, pool));
    *row = work.row;
    return NULL;
}

static oks_err_t *write_group(oks_conn_t *conn, group_work_t *work, const oks_group_row_t *before, apr_pool_t *pool)
{
    oks_group_row_t *row = work->row, *other;
    const char *now = oks_directory_number(work->now, pool), *key = group_key(row->display_name, pool);
    OKS_TRY(find_group(&other, conn, work->org, OKS_GROUP_NAME, row->display_name, pool));
    if (other && strcmp(other->id, row->id) != 0) return oks_err(pool, OKS_R_DIRECTORY_USER_CONFLICT, "displayName");
    if (!before->version)
        OKS_TRY(oks_conn_query(NULL, conn, OKS_S_GROUP_INSERT,
                               OKS_ARGS(row->display_name, key, row->resource, row->role, now, row->id, work->org, now), pool));
    else
        OKS_TRY(oks_conn_query(NULL, conn, OKS_S_GROUP_UPDATE,
                               OKS_ARGS(row->display_name, key, row->resource, now, row->id), pool));
    row->version++;
    row->updated = work->now;
    if (before->version && strcmp(before->display_name, row->display_name) != 0) OKS_TRY(touch_members(conn, work, pool));
    return NULL;
}

static oks_err_t *edit_group(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    group_work_t *work = baton;
    work->touched = apr_hash_make(pool);
    if (work->key) {
        OKS_TRY(find_group(&work->row, conn, work->org, OKS_GROUP_ID, work->key, pool));
        if (!work->row) return oks_err(pool, OKS_R_DIRECTORY_USER_UNKNOWN, NULL);
    } else {
        work->row = apr_pcalloc(pool, sizeof *work->row);
        *work->row = (oks_group_row_t){ .display_name = "", .resource = "{}", .created = work->now,
                                        .members = apr_array_make(pool, 2, sizeof(oks_member_change_t)) };
        OKS_TRY(new_id(&work->row->id, pool));
    }
    const oks_group_row_t before = *work->row;
    OKS_TRY(work->edit(work->row, work->baton, pool));
    bool changed = !before.version || strcmp(before.display_name, work->row->display_name) ||
                   strcmp(before.resource, work->row->resource);
    if (!changed && !work->row->members->nelts) return NULL;
    OKS_TRY(write_group(conn, work, &before, pool));
    OKS_TRY(change_members(conn, work, pool));
    return log_touched(conn, work, pool);
}

oks_err_t *oks_directory_group_edit(oks_group_row_t **row, oks_directory_t *directory, const char *org, const char *id,
                                    oks_group_edit_fn *edit, void *baton, apr_time_t now, apr_pool_t *pool)
{
    group_work_t work = { .org = org, .key = id, .edit = edit, .baton = baton, .now = now };
    OKS_TRY(oks_directory_write(directory, edit_group, &work, pool));
    touch_all(directory, &work, pool);
    *row = work.row;
    return NULL;
}

static oks_err_t *delete_group(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    group_work_t *work = baton;
    work->touched = apr_hash_make(pool);
    OKS_TRY(find_group(&work->row, conn, work->org, OKS_GROUP_ID, work->key, pool));
    if (!work->row) return oks_err(pool, OKS_R_DIRECTORY_USER_UNKNOWN, NULL);
    OKS_TRY(work->edit(work->row, work->baton, pool));
    OKS_TRY(touch_members(conn, work, pool));
    OKS_TRY(log_touched(conn, work, pool));
    return oks_conn_query(NULL, conn, OKS_S_GROUP_DELETE, OKS_ARGS(work->key, work->org), pool);
}

oks_err_t *oks_directory_group_delete(oks_directory_t *directory, const char *org, const char *id, oks_group_edit_fn *check,
                                      void *baton, apr_pool_t *pool)
{
    group_work_t work = { .org = org, .key = id, .edit = check, .baton = baton };
    OKS_TRY(oks_directory_write(directory, delete_group, &work, pool));
    touch_all(directory, &work, pool);
    return NULL;
}

/* ---- Who is in what ---- */

typedef struct pairs_work_t {
    oks_statement_t statement;
    const char *key;
    apr_array_header_t *pairs;
} pairs_work_t;

static oks_err_t *read_pairs(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    pairs_work_t *work = baton;
    return pairs_of(&work->pairs, conn, work->statement, work->key, pool);
}

static oks_err_t *pairs(apr_array_header_t **out, oks_directory_t *directory, oks_statement_t statement, const char *key,
                        apr_pool_t *pool)
{
    pairs_work_t work = { .statement = statement, .key = key };
    OKS_TRY(oks_directory_read(directory, read_pairs, &work, pool));
    *out = work.pairs;
    return NULL;
}

oks_err_t *oks_directory_members(apr_array_header_t **out, oks_directory_t *directory, const char *group, apr_pool_t *pool)
{
    return pairs(out, directory, OKS_S_MEMBERS_OF_GROUP, group, pool);
}

oks_err_t *oks_directory_groups_of(apr_array_header_t **out, oks_directory_t *directory, const char *user, apr_pool_t *pool)
{
    return pairs(out, directory, OKS_S_GROUPS_OF_USER, user, pool);
}

/* A session shows both: the groups that the login said, then those that SCIM has pushed and the login did not name. */
oks_err_t *oks_profile_add_pushed(oks_profile_t *profile, oks_conn_t *conn, const char *user, apr_pool_t *pool)
{
    oks_rows_t *results;
    OKS_TRY(oks_conn_select(&results, conn, OKS_S_GROUPS_OF_USER, OKS_ARGS(user), pool));
    for (apr_dbd_row_t *row; (row = oks_conn_row(conn, results, pool)) != NULL;) {
        const char *name = oks_group_sanitize(oks_conn_text(conn, row, 1), pool), *role = oks_conn_text(conn, row, 2);
        bool known = false;
        for (int i = 0; i < profile->groups->nelts && !known; i++)
            known = strcmp(APR_ARRAY_IDX(profile->groups, i, const char *), name) == 0;
        known = known || !*name || profile->groups->nelts >= OKS_PROFILE_GROUPS_MAX;
        if (!known) APR_ARRAY_PUSH(profile->groups, const char *) = name;
        if (*role && !profile->pushed_role) profile->pushed_role = apr_pstrdup(pool, role);
    }
    return NULL;
}
