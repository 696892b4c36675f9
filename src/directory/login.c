/* A sign-in: claim, user and session in one transaction; and profiles as text. */
#include <string.h>

#include <apr_strings.h>

#include "directory_private.h"
#include "oktasso/json.h"

#define OKTA_ID_PREFIX "00u"
#define OKTA_ID_LEN 20

/* ---- Profiles as text ---- */

oks_err_t *oks_profile_encode(const char **groups, const char **extra, const oks_profile_t *profile, apr_pool_t *pool)
{
    json_t *list = json_array(), *pairs = json_array();
    for (int i = 0; i < profile->groups->nelts; i++)
        json_array_append_new(list, json_string(APR_ARRAY_IDX(profile->groups, i, const char *)));
    const apr_array_header_t *entries = profile->extra ? apr_table_elts(profile->extra) : NULL;
    for (int i = 0; entries && i < entries->nelts; i++) {
        const apr_table_entry_t *entry = &APR_ARRAY_IDX(entries, i, apr_table_entry_t);
        json_array_append_new(pairs, json_pack("[ss]", entry->key, entry->val));
    }
    *groups = oks_json_text(list, pool);
    *extra = oks_json_text(pairs, pool);
    return *groups && *extra ? NULL : oks_err(pool, OKS_R_INTERNAL, "out of memory for a profile");
}

oks_err_t *oks_profile_decode(oks_profile_t **profile, oks_conn_t *conn, apr_dbd_row_t *row, int first,
                              apr_pool_t *pool)
{
    oks_profile_t *p = apr_pcalloc(pool, sizeof *p);
    json_t *groups = json_loads(oks_conn_text(conn, row, first + OKS_C_GROUPS), 0, NULL), *group;
    json_t *extra = json_loads(oks_conn_text(conn, row, first + OKS_C_EXTRA), 0, NULL), *pair;
    size_t i;
    p->subject = apr_pstrdup(pool, oks_conn_text(conn, row, first + OKS_C_SUBJECT));
    p->email = apr_pstrdup(pool, oks_conn_text(conn, row, first + OKS_C_EMAIL));
    p->first_name = apr_pstrdup(pool, oks_conn_text(conn, row, first + OKS_C_FIRST_NAME));
    p->last_name = apr_pstrdup(pool, oks_conn_text(conn, row, first + OKS_C_LAST_NAME));
    p->name = apr_pstrdup(pool, oks_conn_text(conn, row, first + OKS_C_NAME));
    p->groups = apr_array_make(pool, 8, sizeof(const char *));
    p->extra = apr_table_make(pool, 4);
    bool ok = json_is_array(groups) && json_is_array(extra);
    json_array_foreach(groups, i, group)
        if (json_is_string(group)) APR_ARRAY_PUSH(p->groups, const char *) = apr_pstrdup(pool, json_string_value(group));
    json_array_foreach(extra, i, pair) {
        const char *name = json_string_value(json_array_get(pair, 0)), *value = json_string_value(json_array_get(pair, 1));
        if (name && value) apr_table_set(p->extra, name, value);
    }
    json_decref(groups);
    json_decref(extra);
    *profile = p;
    return ok ? NULL : oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "a user record that cannot be read");
}

/* ---- The sign-in ---- */

const char *oks_user_name_key(const char *user_name, apr_pool_t *pool)
{
    return oks_directory_hash("email", oks_lower_key(user_name, pool), pool);
}

typedef struct login_work_t {
    const oks_login_t *login;
    const char *subject_key, *email_key; /* email_key: NULL when there is no address */
    const char *user_name_key;           /* of a record that no one but logins writes; NULL: SCIM does not see it */
    const char *groups, *extra;
    oks_id_t user;
    bool user_renamed, user_changed;
    bool met_deleted;                    /* on the way to somebody who is there */
} login_work_t;

/* Whom a refusal is about, for the log. */
static const char *who(const login_work_t *work, apr_pool_t *pool)
{
    const oks_profile_t *profile = work->login->profile;
    return oks_log_escape(oks_span_z(*profile->email ? profile->email : profile->subject), OKS_EMAIL_MAX, pool);
}

typedef struct found_t {
    bool present, active, same; /* same: nothing of the profile would change */
    bool deleted;               /* what SCIM has left of somebody */
    bool pushed;                /* SCIM has written it */
    bool renamed;               /* its userName, which was its address, is not any longer */
    bool relinked;              /* it would get another subject, or its first one */
    bool stranger;              /* and has one that the identity provider calls somebody: perhaps another person */
    const char *okta_id;        /* of another person, as SCIM says; or NULL */
    const char *external_key;   /* "" when SCIM gave no externalId; what was deleted keeps it */
    oks_id_t id;
} found_t;

static bool same_profile(const login_work_t *work, oks_conn_t *conn, apr_dbd_row_t *row)
{
    const oks_profile_t *profile = work->login->profile;
    return !strcmp(oks_conn_text(conn, row, OKS_C_SUBJECT), profile->subject) &&
           !strcmp(oks_conn_text(conn, row, OKS_C_EMAIL), profile->email) &&
           !strcmp(oks_conn_text(conn, row, OKS_C_FIRST_NAME), profile->first_name) &&
           !strcmp(oks_conn_text(conn, row, OKS_C_LAST_NAME), profile->last_name) &&
           !strcmp(oks_conn_text(conn, row, OKS_C_NAME), profile->name) &&
           !strcmp(oks_conn_text(conn, row, OKS_C_GROUPS), work->groups) &&
           !strcmp(oks_conn_text(conn, row, OKS_C_EXTRA), work->extra);
}

const char *oks_denied_key(const char *hash, apr_pool_t *pool)
{
    return apr_pstrcat(pool, OKS_DENIED, hash, NULL);
}

bool oks_is_denied(const char *subject_key)
{
    return strncmp(subject_key, OKS_DENIED, sizeof OKS_DENIED - 1) == 0;
}

static bool same_address(const char *one, const char *other, apr_pool_t *pool)
{
    return oks_email_ok(oks_span_z(one)) && oks_same_name(one, other, pool);
}

bool oks_is_okta_id(const char *text)
{
    const apr_size_t prefix_len = sizeof OKTA_ID_PREFIX - 1;
    if (strlen(text) != OKTA_ID_LEN || strncmp(text, OKTA_ID_PREFIX, prefix_len) != 0) return false;
    for (text += prefix_len; oks_is_letter(*text) || oks_is_digit(*text);) text++;
    return !*text;
}

static void compare_subjects(found_t *found, const login_work_t *work, oks_conn_t *conn, apr_dbd_row_t *row, apr_pool_t *pool)
{
    const char *subject = oks_conn_text(conn, row, OKS_C_SUBJECT), *key = oks_conn_text(conn, row, OKS_C_SUBJECT_KEY);
    const char *external = oks_conn_text(conn, row, OKS_C_USER_EXTERNAL_ID), *now = work->login->profile->subject;
    const bool asserted = !strcmp(key, oks_directory_hash(OKS_SUBJECT, subject, pool)) && !work->login->account_kind;
    found->relinked = !work->subject_key || strcmp(key, work->subject_key) != 0;
    found->stranger = asserted && found->relinked && !same_address(subject, now, pool);
    if (oks_is_denied(key) && !work->login->account_kind)
        found->stranger = !same_address(now, oks_conn_text(conn, row, OKS_C_EMAIL), pool);
    if (!work->login->account_kind && oks_is_okta_id(now) && oks_is_okta_id(external) && strcmp(now, external) != 0)
        found->okta_id = apr_pstrdup(pool, external);
}

static oks_err_t *find(found_t *found, const login_work_t *work, oks_conn_t *conn, oks_statement_t by, const char *key,
                       apr_pool_t *pool)
{
    oks_rows_t *results;
    memset(found, 0, sizeof *found);
    if (!key) return NULL;
    OKS_TRY(oks_conn_select(&results, conn, by, OKS_ARGS(work->login->org, key), pool));
    apr_dbd_row_t *row = oks_conn_row(conn, results, pool);
    if (!row) return NULL;
    found->present = true;
    found->active = oks_conn_number(conn, row, OKS_C_USER_ACTIVE) != 0;
    found->pushed = oks_conn_number(conn, row, OKS_C_USER_PUSHED) != 0;
    compare_subjects(found, work, conn, row, pool);
    const char *name_key = oks_conn_text_or_null(conn, row, OKS_C_USER_NAME_KEY);
    found->renamed = !found->pushed && name_key && work->user_name_key && strcmp(name_key, work->user_name_key) != 0;
    found->same = !found->relinked && !found->renamed && same_profile(work, conn, row);
    found->external_key = apr_pstrdup(pool, oks_conn_text(conn, row, OKS_C_USER_EXTERNAL_KEY));
    found->deleted = oks_conn_number(conn, row, OKS_C_USER_DELETED) != 0;
    OKS_TRY(oks_conn_id(&found->id, conn, row, OKS_C_USER_ID, pool));
    while ((row = oks_conn_row(conn, results, pool)) != NULL)
        if (!oks_conn_number(conn, row, OKS_C_USER_DELETED))
            return oks_err(pool, OKS_R_DIRECTORY_USER_CONFLICT, "%s", who(work, pool));
    return NULL;
}

/* The userName of somebody whom SCIM has not pushed. */
static const char *login_name(const oks_profile_t *profile)
{
    return *profile->email ? profile->email : profile->subject;
}

static oks_err_t *create_user(login_work_t *work, oks_conn_t *conn, apr_pool_t *pool)
{
    const oks_login_t *login = work->login;
    const oks_profile_t *p = login->profile;
    const char *now = oks_directory_number(login->now, pool);
    int rows;
    if (login->provisioning != OKS_PROVISIONING_JIT) return oks_err(pool, OKS_R_DIRECTORY_USER_UNKNOWN, "%s", who(work, pool));
    work->user = login->new_user;
    OKS_TRY(oks_conn_query(&rows, conn, OKS_S_USER_INSERT,
                           OKS_ARGS(p->subject, work->subject_key, p->email, work->email_key, p->first_name, p->last_name,
                                    p->name, work->groups, work->extra, now, oks_directory_id(&work->user, pool),
                                    login->org, login_name(p), work->user_name_key, now), pool));
    return rows ? NULL : oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "the user record was made by somebody else just now");
}

static oks_err_t *update_user(login_work_t *work, oks_conn_t *conn, apr_pool_t *pool)
{
    const oks_profile_t *p = work->login->profile;
    const char *id = oks_directory_id(&work->user, pool), *org = work->login->org;
    if (work->met_deleted) {
        OKS_TRY(oks_conn_query(NULL, conn, OKS_S_DELETED_FREE_SUBJECT, OKS_ARGS(org, work->subject_key), pool));
        OKS_TRY(oks_conn_query(NULL, conn, OKS_S_DELETED_FREE_EMAIL, OKS_ARGS(org, work->email_key), pool));
    }
    OKS_TRY(oks_conn_query(NULL, conn, OKS_S_USER_UPDATE,
                           OKS_ARGS(p->subject, work->subject_key, p->email, work->email_key, p->first_name, p->last_name,
                                    p->name, work->groups, work->extra, oks_directory_number(work->login->now, pool), id), pool));
    if (work->user_renamed) { /* nobody's address is the name of who had it before */
        OKS_TRY(oks_conn_query(NULL, conn, OKS_S_DELETED_FREE_USER_NAME, OKS_ARGS(org, work->user_name_key), pool));
        OKS_TRY(oks_conn_query(NULL, conn, OKS_S_USER_RENAME, OKS_ARGS(login_name(p), work->user_name_key, id), pool));
    }
    work->user_changed = true;
    return oks_change_log(conn, OKS_CHANGE_USER, id, pool);
}

/* By SCIM, of the person that it deleted: with the same externalId, or neither has one. An address names who has it. */
static bool is_made_anew(const found_t *found, const found_t *deleted, const oks_profile_t *profile, apr_pool_t *pool)
{
    return found->pushed && (!strcmp(found->external_key, deleted->external_key) ||
                             same_address(profile->subject, profile->email, pool));
}

/* What leads to a record: who signed in before, by the subject; whom SCIM has pushed, by userName or by externalId, which is Okta's
 * user id and so the `sub` of OpenID Connect; and the email address. All that lead to somebody lead to one, or it is refused.
 * A record of another subject is somebody else's, unless SCIM says that this subject is its own; so is one whose externalId is
 * another user id of Okta's, whether that user has signed in or not.
 * A subject that SCIM has denied is new again, but for who was switched off since.
 * What was deleted gives its address to somebody, and its subject to whom SCIM has made anew, or else stands for itself
 * (SECURITY.md 33). */
static oks_err_t *find_user(found_t *found, login_work_t *work, oks_conn_t *conn, apr_pool_t *pool)
{
    const bool local = work->login->account_kind != NULL; /* its name is no identity provider's */
    const char *subject = local ? "" : work->login->profile->subject;
    const struct { oks_statement_t by; const char *key; bool of_subject, of_deleted; } ways[] = {
        { OKS_S_USER_BY_SUBJECT, work->subject_key, false, !local },
        { OKS_S_USER_BY_USER_NAME, *subject ? oks_user_name_key(subject, pool) : NULL, true, true },
        { OKS_S_USER_BY_EXTERNAL_ID, *subject ? oks_directory_hash("external", subject, pool) : NULL, true, true },
        { OKS_S_USER_BY_USER_NAME, work->email_key, false, false },
        { OKS_S_USER_BY_EMAIL, work->email_key, false, false },
    };
    bool vouched = false;
    found_t next, gone = { .present = false }, self = gone, denied; /* self: who signs in was deleted */
    OKS_TRY(find(&denied, work, conn, OKS_S_USER_BY_SUBJECT, *subject ? oks_denied_key(work->subject_key, pool) : NULL, pool));
    memset(found, 0, sizeof *found);
    for (apr_size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        OKS_TRY(find(&next, work, conn, ways[i].by, ways[i].key, pool));
        if (!next.present) continue;
        if (next.deleted) {
            if (!gone.present) gone = next;
            if (ways[i].of_deleted) self = next;
            continue;
        }
        if (found->present && memcmp(&next.id, &found->id, sizeof next.id) != 0)
            return oks_err(pool, OKS_R_DIRECTORY_USER_CONFLICT, "%s", who(work, pool));
        *found = next;
        vouched = vouched || (ways[i].of_subject && next.pushed);
    }
    found->stranger = found->stranger && !vouched;
    work->met_deleted = gone.present;
    if (!found->present || (self.present && !vouched && !is_made_anew(found, &self, work->login->profile, pool)))
        *found = gone;
    if (denied.present && !denied.active && !vouched &&
        !(found->present && is_made_anew(found, &denied, work->login->profile, pool)))
        *found = denied;
    return NULL;
}

static oks_err_t *refuse_stranger(const found_t *found, const login_work_t *work, apr_pool_t *pool)
{
    const char *now = oks_log_escape(oks_span_z(work->login->profile->subject), OKS_EMAIL_MAX, pool);
    if (found->okta_id)
        return oks_err(pool, OKS_R_DIRECTORY_SUBJECT_CHANGED, "%s, now \"%s\", and SCIM says externalId \"%s\": if it is one"
                       " person, Okta must push the user again", who(work, pool), now, found->okta_id);
    return oks_err(pool, OKS_R_DIRECTORY_SUBJECT_CHANGED, "%s, now \"%s\": if it is one person, oktassoctl user relink %s %s",
                   who(work, pool), now, work->login->org, who(work, pool));
}

static oks_err_t *settle_user(login_work_t *work, oks_conn_t *conn, apr_pool_t *pool)
{
    found_t found;
    OKS_TRY(find_user(&found, work, conn, pool));
    if (!found.present) return create_user(work, conn, pool);
    if (!found.active) /* nothing resurrects (SECURITY.md 33) */
        return oks_err(pool, OKS_R_DIRECTORY_USER_INACTIVE, "%s", who(work, pool));
    if (found.okta_id || found.stranger) return refuse_stranger(&found, work, pool);
    work->user = found.id;
    work->user_renamed = found.renamed;
    if (found.same || work->login->keep_profile) return NULL;
    /* A session shows what the record says: none goes on as that of another subject. */
    if (found.relinked)
        OKS_TRY(oks_conn_query(NULL, conn, OKS_S_SESSIONS_DELETE_OF_USER, OKS_ARGS(oks_directory_id(&work->user, pool)), pool));
    return update_user(work, conn, pool);
}

typedef struct relink_work_t {
    const char *org, *name;
    int count;
} relink_work_t;

static oks_err_t *relink(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    relink_work_t *work = baton;
    const char *key = work->name ? oks_user_name_key(work->name, pool) : NULL;
    if (!key) return oks_conn_query(&work->count, conn, OKS_S_USERS_RELINK, OKS_ARGS(work->org), pool);
    return oks_conn_query(&work->count, conn, OKS_S_USER_RELINK, OKS_ARGS(work->org, key, key), pool);
}

oks_err_t *oks_directory_relink(int *count, oks_directory_t *directory, const char *org, const char *name, apr_pool_t *pool)
{
    relink_work_t work = { .org = org, .name = name };
    OKS_TRY(oks_directory_write(directory, relink, &work, pool));
    *count = work.count;
    return NULL;
}

/* Kept for ever: that somebody has come through the identity provider. */
static const char *first_login_key(const char *org, apr_pool_t *pool)
{
    return oks_directory_hash("first login", org, pool);
}

static oks_err_t *note_first_login(const oks_login_t *login, oks_conn_t *conn, apr_pool_t *pool)
{
    if (login->account_kind) return NULL;
    return oks_conn_query(NULL, conn, OKS_S_CLAIM_INSERT,
                          OKS_ARGS(first_login_key(login->org, pool), oks_directory_number(INT64_MAX, pool)), pool);
}

static oks_err_t *read_first_login(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    const char **key = baton;
    oks_rows_t *results;
    OKS_TRY(oks_conn_select(&results, conn, OKS_S_CLAIM_READ, OKS_ARGS(*key), pool));
    if (!oks_conn_row(conn, results, pool)) *key = NULL;
    return NULL;
}

oks_err_t *oks_directory_has_login(bool *has, oks_directory_t *directory, const char *org, apr_pool_t *pool)
{
    const char *key = first_login_key(org, pool);
    OKS_TRY(oks_directory_read(directory, read_first_login, &key, pool));
    *has = key != NULL;
    return NULL;
}

static oks_err_t *claim(const login_work_t *work, oks_conn_t *conn, apr_pool_t *pool)
{
    const oks_login_t *login = work->login;
    int rows;
    OKS_TRY(oks_conn_query(&rows, conn, OKS_S_CLAIM_INSERT,
                           OKS_ARGS(oks_directory_hash(login->org, login->claim, pool),
                                    oks_directory_number(login->claim_until, pool)), pool));
    return rows ? NULL : oks_err(pool, OKS_R_DIRECTORY_CLAIM_USED, NULL);
}

static oks_err_t *write_login(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    login_work_t *work = baton;
    const oks_login_t *login = work->login;
    OKS_TRY(claim(work, conn, pool));
    OKS_TRY(settle_user(work, conn, pool));
    if (login->replaces) OKS_TRY(oks_session_delete(conn, login->replaces, pool));
    OKS_TRY(note_first_login(login, conn, pool));
    const char *index_key = login->session_index ? oks_directory_hash(login->org, login->session_index, pool) : NULL;
    return oks_conn_query(NULL, conn, OKS_S_SESSION_INSERT,
                          OKS_ARGS(oks_directory_id(&login->session, pool), oks_directory_id(&work->user, pool), login->org,
                                   login->vhost, login->protocol, login->subject_format ? login->subject_format : "",
                                   login->session_index, index_key, login->authn_context,
                                   oks_directory_number(login->authn_instant, pool), oks_directory_number(login->now, pool),
                                   oks_directory_number(login->expires, pool)), pool);
}

oks_err_t *oks_directory_login(oks_id_t *user, oks_directory_t *directory, const oks_login_t *login, apr_pool_t *pool)
{
    const oks_profile_t *profile = login->profile;
    login_work_t work = { .login = login };
    if (*profile->subject) /* byte for byte (SECURITY.md 25) */
        work.subject_key = oks_directory_hash(login->account_kind ? login->account_kind : OKS_SUBJECT, profile->subject, pool);
    if (*profile->email) work.user_name_key = work.email_key = oks_user_name_key(profile->email, pool);
    else if (!login->account_kind) work.user_name_key = oks_user_name_key(profile->subject, pool);
    OKS_TRY(oks_profile_encode(&work.groups, &work.extra, profile, pool));
    OKS_TRY(oks_directory_write(directory, write_login, &work, pool));
    if (login->replaces) oks_counter_add(oks_directory_counters(directory), oks_counter_of_session(login->replaces));
    if (work.user_changed) oks_counter_add(oks_directory_counters(directory), oks_counter_of_user(&work.user));
    *user = work.user;
    return NULL;
}
