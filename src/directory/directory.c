/* Schema, sessions, documents, the change log and background work. */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "directory_private.h"

#define CHANGES_KEPT apr_time_from_sec(600)
#define FOLLOW_MAX OKS_COUNTERS /* changes that are read one by one: more of them move about every counter */
#define SWEEP_ROUNDS_MAX 20 /* of one sweep: so a follower waits about a second for it at most */

/* ---- Schema ---- */

oks_err_t *oks_conn_version(int *version, oks_conn_t *conn, apr_pool_t *pool)
{
    const char *value;
    OKS_TRY(oks_conn_value(&value, conn, oks_directory_version_sql, pool));
    *version = value ? atoi(value) : 0;
    return NULL;
}

static oks_err_t *migrate(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    int version;
    if (oks_conn_dialect(conn)->migrate_lock) OKS_TRY(oks_conn_run(conn, oks_conn_dialect(conn)->migrate_lock, pool));
    OKS_TRY(oks_conn_run(conn, oks_directory_meta_table, pool));
    OKS_TRY(oks_conn_version(&version, conn, pool));
    if (version > OKS_SCHEMA_VERSION)
        return oks_err(pool, OKS_R_DIRECTORY_SCHEMA_NEWER, "schema version %d, known %d: install the module that wrote it, or "
                       "restore the backup of before", version, OKS_SCHEMA_VERSION);
    const bool folded = version && version < OKS_KEYS_UNFOLDED;
    for (; version < OKS_SCHEMA_VERSION; version++)
        for (const char *const *sql = oks_directory_migrations[version]; *sql; sql++) OKS_TRY(oks_conn_run(conn, *sql, pool));
    return folded ? oks_directory_unfold_keys(conn, pool) : NULL;
}

oks_err_t *oks_directory_migrate(oks_directory_t *directory, apr_pool_t *pool)
{
    return oks_directory_bare(directory, migrate, NULL, pool);
}

/* ---- The change log ---- */

static const char *const change_names[] = { "session", "user", "document" };

/* As many rows at once as one statement takes; *done of them. */
static oks_err_t *log_in_bulk(int *done, oks_conn_t *conn, oks_change_t kind, const apr_array_header_t *keys, const char *now,
                              apr_pool_t *pool)
{
    const char *args[4 * OKS_ROWS_AT_ONCE];
    oks_rows_t *head;
    *done = 0;
    if (keys->nelts < OKS_ROWS_AT_ONCE) return NULL;
    OKS_TRY(oks_conn_select(&head, conn, OKS_S_CHANGE_HEAD, NULL, 0, pool));
    apr_dbd_row_t *row = oks_conn_row(conn, head, pool);
    const int64_t last = row ? oks_conn_number(conn, row, 0) : 0;
    while (row && (row = oks_conn_row(conn, head, pool)) != NULL) { } /* to its end */
    for (; *done + OKS_ROWS_AT_ONCE <= keys->nelts; *done += OKS_ROWS_AT_ONCE) {
        for (int i = 0; i < OKS_ROWS_AT_ONCE; i++) {
            const char **arg = args + 4 * i;
            arg[0] = oks_directory_number(last - *done - i, pool);
            arg[1] = change_names[kind];
            arg[2] = APR_ARRAY_IDX(keys, *done + i, const char *);
            arg[3] = now;
        }
        OKS_TRY(oks_conn_query(NULL, conn, OKS_S_CHANGES_INSERT, args, sizeof args / sizeof args[0], pool));
    }
    return NULL;
}

/* Session and user ids are their own key; a document's is a hash. Who writes so many rows removes as many that nobody reads one by
 * one any more: so the log stays small, however fast it is written. */
oks_err_t *oks_change_log_all(oks_conn_t *conn, oks_change_t kind, const apr_array_header_t *keys, apr_pool_t *pool)
{
    const char *now = oks_directory_number(apr_time_now(), pool);
    int done;
    if (!keys->nelts) return NULL;
    OKS_TRY(oks_conn_query(NULL, conn, OKS_S_CHANGE_NEXT, OKS_ARGS(oks_directory_number(keys->nelts, pool)), pool));
    OKS_TRY(oks_conn_query(NULL, conn, OKS_S_CHANGES_FORGET, OKS_ARGS(oks_directory_number(FOLLOW_MAX + keys->nelts, pool),
                                                                      oks_directory_number(FOLLOW_MAX, pool)), pool));
    OKS_TRY(log_in_bulk(&done, conn, kind, keys, now, pool));
    for (int i = done; i < keys->nelts; i++)
        OKS_TRY(oks_conn_query(NULL, conn, OKS_S_CHANGE_INSERT,
                               OKS_ARGS(oks_directory_number(i, pool), change_names[kind], APR_ARRAY_IDX(keys, i, const char *),
                                        now), pool));
    return NULL;
}

oks_err_t *oks_change_log(oks_conn_t *conn, oks_change_t kind, const char *key, apr_pool_t *pool)
{
    apr_array_header_t *one = apr_array_make(pool, 1, sizeof key);
    APR_ARRAY_PUSH(one, const char *) = key;
    return oks_change_log_all(conn, kind, one, pool);
}

const char *oks_document_hash(const char *key, apr_pool_t *pool)
{
    return oks_directory_hash("document", key, pool);
}

/* ---- Sessions ---- */

typedef struct session_work_t {
    const oks_id_t *id;
    apr_time_t now;
    oks_session_t *session;
} session_work_t;

static oks_err_t *read_session(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    session_work_t *work = baton;
    oks_rows_t *results;
    OKS_TRY(oks_conn_select(&results, conn, OKS_S_SESSION_READ, OKS_ARGS(oks_directory_id(work->id, pool)), pool));
    apr_dbd_row_t *row = oks_conn_row(conn, results, pool);
    if (!row) return oks_err(pool, OKS_R_DIRECTORY_SESSION_ABSENT, NULL);
    oks_session_t *s = apr_pcalloc(pool, sizeof *s);
    s->id = *work->id;
    OKS_TRY(oks_conn_id(&s->user, conn, row, OKS_C_SESSION_COLUMNS + OKS_C_USER_ID, pool));
    s->org = apr_pstrdup(pool, oks_conn_text(conn, row, OKS_C_ORG));
    s->vhost = apr_pstrdup(pool, oks_conn_text(conn, row, OKS_C_VHOST));
    s->protocol = apr_pstrdup(pool, oks_conn_text(conn, row, OKS_C_PROTOCOL));
    s->subject_format = apr_pstrdup(pool, oks_conn_text(conn, row, OKS_C_SUBJECT_FORMAT));
    s->session_index = apr_pstrdup(pool, oks_conn_text_or_null(conn, row, OKS_C_SESSION_INDEX));
    s->authn_context = apr_pstrdup(pool, oks_conn_text_or_null(conn, row, OKS_C_AUTHN_CONTEXT));
    s->authn_instant = oks_conn_number(conn, row, OKS_C_AUTHN_INSTANT);
    s->created = oks_conn_number(conn, row, OKS_C_CREATED);
    s->expires = oks_conn_number(conn, row, OKS_C_EXPIRES);
    int64_t active = oks_conn_number(conn, row, OKS_C_SESSION_COLUMNS + OKS_C_USER_ACTIVE);
    oks_profile_t *profile;
    OKS_TRY(oks_profile_decode(&profile, conn, row, OKS_C_SESSION_COLUMNS, pool));
    s->profile = profile;
    if (s->expires <= work->now) return oks_err(pool, OKS_R_DIRECTORY_SESSION_ABSENT, "expired");
    if (!active) return oks_err(pool, OKS_R_DIRECTORY_USER_INACTIVE, NULL);
    OKS_TRY(oks_profile_add_pushed(profile, conn, oks_directory_id(&s->user, pool), pool));
    work->session = s;
    return NULL;
}

oks_err_t *oks_directory_session(oks_session_t **session, oks_directory_t *directory, const oks_id_t *id,
                                 apr_time_t now, apr_pool_t *pool)
{
    session_work_t work = { .id = id, .now = now };
    OKS_TRY(oks_directory_read(directory, read_session, &work, pool));
    *session = work.session;
    return NULL;
}

oks_err_t *oks_session_delete(oks_conn_t *conn, const oks_id_t *session, apr_pool_t *pool)
{
    const char *id = oks_directory_id(session, pool);
    int rows;
    OKS_TRY(oks_conn_query(&rows, conn, OKS_S_SESSION_DELETE, OKS_ARGS(id), pool));
    return rows ? oks_change_log(conn, OKS_CHANGE_SESSION, id, pool) : NULL;
}

static oks_err_t *end_session(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    return oks_session_delete(conn, baton, pool);
}

oks_err_t *oks_directory_session_end(oks_directory_t *directory, const oks_id_t *id, apr_pool_t *pool)
{
    oks_id_t copy = *id;
    OKS_TRY(oks_directory_write(directory, end_session, &copy, pool));
    oks_counter_add(oks_directory_counters(directory), oks_counter_of_session(id));
    return NULL;
}

/* ---- Documents ---- */

typedef struct document_work_t {
    const char *key;
    const oks_document_t *put;
    bool keep;             /* a copy that is there stays */
    oks_document_t *found;
    bool changed;
} document_work_t;

static oks_err_t *read_document(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    document_work_t *work = baton;
    oks_rows_t *results;
    OKS_TRY(oks_conn_select(&results, conn, OKS_S_DOCUMENT_READ, OKS_ARGS(oks_document_hash(work->key, pool)), pool));
    apr_dbd_row_t *row = oks_conn_row(conn, results, pool);
    work->found = NULL;
    if (!row) return NULL;
    oks_document_t *document = apr_pcalloc(pool, sizeof *document);
    const char *etag = oks_conn_text_or_null(conn, row, 1);
    document->etag = etag ? apr_pstrdup(pool, etag) : NULL;
    document->fetched = oks_conn_number(conn, row, 2);
    if (oks_base64_decode(&document->content, oks_span_z(apr_pstrdup(pool, oks_conn_text(conn, row, 0))), pool))
        return oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "a broken document");
    work->found = document;
    return NULL;
}

static oks_err_t *write_document(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    document_work_t *work = baton;
    const char *hash = oks_document_hash(work->key, pool);
    OKS_TRY(read_document(conn, work, pool));
    if (work->keep && work->found) return NULL;
    work->changed = !work->found || !oks_span_eq(work->found->content, work->put->content);
    OKS_TRY(oks_conn_query(NULL, conn, OKS_S_DOCUMENT_WRITE,
                           OKS_ARGS(hash, work->key, oks_base64_encode(work->put->content, pool), work->put->etag,
                                    oks_directory_number(work->put->fetched, pool)), pool));
    return work->changed ? oks_change_log(conn, OKS_CHANGE_DOCUMENT, hash, pool) : NULL;
}

oks_err_t *oks_directory_document(oks_document_t **document, oks_directory_t *directory, const char *key, apr_pool_t *pool)
{
    document_work_t work = { .key = key };
    OKS_TRY(oks_directory_read(directory, read_document, &work, pool));
    *document = work.found;
    return NULL;
}

static oks_err_t *put_document(oks_directory_t *directory, const char *key, const oks_document_t *document, bool keep,
                               apr_pool_t *pool)
{
    document_work_t work = { .key = key, .put = document, .keep = keep };
    OKS_TRY(oks_directory_write(directory, write_document, &work, pool));
    if (work.changed) oks_counter_add(oks_directory_counters(directory), oks_counter_of_document(key));
    return NULL;
}

oks_err_t *oks_directory_document_put(oks_directory_t *directory, const char *key, const oks_document_t *document,
                                      apr_pool_t *pool)
{
    return put_document(directory, key, document, false, pool);
}

oks_err_t *oks_directory_document_keep(oks_directory_t *directory, const char *key, const oks_document_t *document,
                                       apr_pool_t *pool)
{
    return put_document(directory, key, document, true, pool);
}

static oks_err_t *remove_document(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    document_work_t *work = baton;
    const char *hash = oks_document_hash(work->key, pool);
    int rows;
    OKS_TRY(oks_conn_query(&rows, conn, OKS_S_DOCUMENT_DELETE, OKS_ARGS(hash), pool));
    work->changed = rows > 0;
    return work->changed ? oks_change_log(conn, OKS_CHANGE_DOCUMENT, hash, pool) : NULL;
}

oks_err_t *oks_directory_document_remove(oks_directory_t *directory, const char *key, apr_pool_t *pool)
{
    document_work_t work = { .key = key };
    OKS_TRY(oks_directory_write(directory, remove_document, &work, pool));
    if (work.changed) oks_counter_add(oks_directory_counters(directory), oks_counter_of_document(key));
    return NULL;
}

/* ---- Background work ---- */

typedef struct follow_work_t {
    int64_t *sequence;
    oks_counters_t *counters;
} follow_work_t;

/* The changes above *work->sequence up to `last`: how many there are. The first bytes of an id or hash lead to its counter: see
 * cache.c. */
static oks_err_t *read_changes(int64_t *read, const follow_work_t *work, int64_t last, oks_conn_t *conn, apr_pool_t *pool)
{
    oks_rows_t *results;
    *read = 0;
    if (last <= *work->sequence || last - *work->sequence > FOLLOW_MAX) return NULL;
    OKS_TRY(oks_conn_select(&results, conn, OKS_S_CHANGES_BETWEEN,
                            OKS_ARGS(oks_directory_number(*work->sequence, pool), oks_directory_number(last, pool)), pool));
    for (apr_dbd_row_t *row; (row = oks_conn_row(conn, results, pool)) != NULL; ++*read) {
        oks_id_t id;
        oks_span_t hash = oks_span_z(oks_conn_text(conn, row, 0));
        if (hash.len >= 2 * OKS_ID_LEN && oks_hex_decode_into(id.bytes, OKS_ID_LEN, oks_span(hash.ptr, 2 * OKS_ID_LEN)))
            oks_counter_add(work->counters, oks_counter_of_session(&id));
    }
    return NULL;
}

/* The numbers have no gaps. So a missing row was swept before it was read here, by a server that was faster; and a number that goes
 * back is another database's, of a backup perhaps. What changed is not known then, and nothing in memory counts as true. */
static oks_err_t *follow(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    const follow_work_t *work = baton;
    const char *head;
    int64_t read;
    OKS_TRY(oks_conn_value(&head, conn, oks_directory_sql[OKS_S_CHANGE_HEAD], pool));
    int64_t last = head ? apr_strtoi64(head, NULL, 10) : 0;
    OKS_TRY(read_changes(&read, work, last, conn, pool));
    if (read != last - *work->sequence)
        for (uint32_t i = 0; i < OKS_COUNTERS; i++) oks_counter_add(work->counters, i);
    *work->sequence = last;
    return NULL;
}

oks_err_t *oks_directory_follow(oks_directory_t *directory, int64_t *sequence, apr_pool_t *pool)
{
    follow_work_t work = { .sequence = sequence, .counters = oks_directory_counters(directory) };
    return oks_directory_read(directory, follow, &work, pool);
}

typedef struct sweep_work_t {
    const char *expired, *old; /* until then */
    bool more;
} sweep_work_t;

static oks_err_t *sweep(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    sweep_work_t *work = baton;
    int sessions, claims, changes;
    OKS_TRY(oks_conn_query(&sessions, conn, OKS_S_SWEEP_SESSIONS, OKS_ARGS(work->expired), pool));
    OKS_TRY(oks_conn_query(&claims, conn, OKS_S_SWEEP_CLAIMS, OKS_ARGS(work->expired), pool));
    /* Locks the log: who writes it removes from it, too. */
    OKS_TRY(oks_conn_query(NULL, conn, OKS_S_CHANGE_NEXT, OKS_ARGS("0"), pool));
    OKS_TRY(oks_conn_query(&changes, conn, OKS_S_SWEEP_CHANGES, OKS_ARGS(work->old), pool));
    work->more = sessions >= OKS_SWEEP_ROWS || claims >= OKS_SWEEP_ROWS || changes >= OKS_SWEEP_ROWS;
    return NULL;
}

/* Each round lets others write before the next one. */
oks_err_t *oks_directory_sweep(bool *more, oks_directory_t *directory, apr_time_t now, apr_pool_t *pool)
{
    sweep_work_t work = { .expired = oks_directory_number(now, pool), .old = oks_directory_number(now - CHANGES_KEPT, pool),
                          .more = true };
    for (int round = 0; work.more && round < SWEEP_ROUNDS_MAX; round++) OKS_TRY(oks_directory_write(directory, sweep, &work, pool));
    *more = work.more;
    return NULL;
}
