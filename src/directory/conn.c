/* Connections: a bounded pool of them, statements prepared once each; every failure is directory.database.unavailable. */
#include <string.h>

#include <apr_portable.h>
#include <apr_strings.h>
#include <apr_thread_cond.h>
#include <apr_thread_mutex.h>

#include "directory_private.h"
#include "oktasso/crypto.h"

#define CONNECTIONS_MAX 64
#define WAIT_MAX apr_time_from_sec(3) /* for a free connection, and for one's turn to write */

struct oks_conn_t {
    oks_directory_t *directory;
    apr_pool_t *pool; /* closing it closes the connection */
    apr_dbd_t *handle;
    apr_dbd_prepared_t *prepared[OKS_S_COUNT_];
};

struct oks_directory_t {
    apr_pool_t *pool;
    const oks_dialect_t *dialect;
    const apr_dbd_driver_t *driver;
    const char *params;
    oks_counters_t *counters;
    apr_thread_mutex_t *lock; /* over the next three */
    apr_thread_cond_t *freed;
    int open, limit;
    oks_conn_t *idle[CONNECTIONS_MAX];
    int nidle;
    apr_thread_mutex_t *writer; /* one_writer: who waits here need not sleep inside the driver */
};

const oks_dialect_t *oks_conn_dialect(const oks_conn_t *conn)
{
    return conn->directory->dialect;
}

oks_counters_t *oks_directory_counters(const oks_directory_t *directory)
{
    return directory->counters;
}

static apr_status_t close_conn(void *conn)
{
    apr_pool_destroy(((oks_conn_t *)conn)->pool);
    return APR_SUCCESS;
}

/* When the directory's pool goes: nobody works any more, so that all connections are idle. */
static apr_status_t close_idle(void *directory_)
{
    oks_directory_t *directory = directory_;
    while (directory->nidle) close_conn(directory->idle[--directory->nidle]);
    return APR_SUCCESS;
}

oks_err_t *oks_directory_open(oks_directory_t **directory, const char *spec, int connections,
                              oks_counters_t *counters, apr_pool_t *pool)
{
    const char *colon = strchr(spec, ':');
    oks_directory_t *made = apr_pcalloc(pool, sizeof *made);
    made->dialect = oks_directory_dialects;
    while (made->dialect->scheme && (!colon || strlen(made->dialect->scheme) != (apr_size_t)(colon - spec) ||
                                     strncmp(made->dialect->scheme, spec, (apr_size_t)(colon - spec)) != 0))
        made->dialect++;
    if (!made->dialect->scheme) return oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "no such kind of directory: %s: "
                                              "sqlite3:/PATH or pgsql:CONNINFO is wanted", spec);
    made->pool = pool;
    /* What the administrator says comes later, and counts. A URI has no place for what is said before it. */
    made->params = apr_pstrcat(pool, strstr(colon, "://") ? "" : made->dialect->defaults, colon + 1, NULL);
    made->counters = counters;
    made->limit = connections < 1 ? 1 : connections > CONNECTIONS_MAX ? CONNECTIONS_MAX : connections;
    apr_status_t status = apr_dbd_init(pool);
    if (status == APR_SUCCESS) status = apr_dbd_get_driver(pool, made->dialect->scheme, &made->driver);
    if (status != APR_SUCCESS)
        return oks_err_from(pool, OKS_R_DIRECTORY_UNAVAILABLE, status, NULL, "apr_dbd has no driver %s (on Debian: "
                            "libaprutil1-dbd-%s)", made->dialect->scheme, made->dialect->scheme);
    status = apr_thread_mutex_create(&made->lock, APR_THREAD_MUTEX_DEFAULT, pool);
    if (status == APR_SUCCESS) status = apr_thread_mutex_create(&made->writer, APR_THREAD_MUTEX_TIMED, pool);
    if (status == APR_SUCCESS) status = apr_thread_cond_create(&made->freed, pool);
    if (status != APR_SUCCESS) return oks_err_from(pool, OKS_R_INTERNAL, status, NULL, "locks");
    /* Before the drivers' own cleanups: those belong to a pool further up. */
    apr_pool_pre_cleanup_register(pool, made, close_idle);
    *directory = made;
    return NULL;
}

static oks_err_t *failed(const oks_conn_t *conn, int code, apr_pool_t *pool)
{
    const char *message = apr_dbd_error(conn->directory->driver, conn->handle, code);
    return oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "%s", message ? message : "unknown error");
}

/* ---- Opening and closing one ---- */

static apr_status_t close_handle(void *conn_)
{
    oks_conn_t *conn = conn_;
    apr_dbd_close(conn->directory->driver, conn->handle);
    return APR_SUCCESS;
}

static oks_err_t *set_up(oks_conn_t *conn, apr_pool_t *pool)
{
    for (const char *const *pair = conn->directory->dialect->on_open; pair && *pair; pair += 2) {
        const char *answer;
        OKS_TRY(oks_conn_value(&answer, conn, pair[0], pool));
        if (*pair[1] && (!answer || strcmp(answer, pair[1]) != 0))
            return oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "\"%s\" answers %s", pair[0], answer ? answer : "nothing");
    }
    return NULL;
}

oks_err_t *oks_conn_prepare(oks_conn_t *conn, oks_statement_t statement, apr_pool_t *pool)
{
    int code = apr_dbd_prepare(conn->directory->driver, conn->pool, conn->handle, oks_directory_sql[statement], NULL,
                               &conn->prepared[statement]);
    return code ? failed(conn, code, pool) : NULL;
}

static oks_err_t *prepare(oks_conn_t *conn, apr_pool_t *pool)
{
    int version;
    oks_err_t *err = oks_conn_version(&version, conn, pool); /* there is no such table: nothing was ever started on it */
    if (err) return oks_err_from(pool, err->reason, APR_SUCCESS, err, "schema version 0, wanted %d", OKS_SCHEMA_VERSION);
    if (version != OKS_SCHEMA_VERSION)
        return oks_err(pool, version > OKS_SCHEMA_VERSION ? OKS_R_DIRECTORY_SCHEMA_NEWER : OKS_R_DIRECTORY_UNAVAILABLE,
                       "schema version %d, wanted %d", version, OKS_SCHEMA_VERSION);
    for (int i = 0; i < OKS_S_COUNT_; i++) OKS_TRY(oks_conn_prepare(conn, (oks_statement_t)i, pool));
    return NULL;
}

static oks_err_t *connect_one(oks_conn_t **conn, oks_directory_t *directory, bool bare, apr_pool_t *pool)
{
    apr_pool_t *own;
    const char *message = NULL;
    /* Unmanaged: it outlives the caller's pool, and no two threads share an allocator. */
    if (apr_pool_create_unmanaged_ex(&own, NULL, NULL) != APR_SUCCESS) return oks_err(pool, OKS_R_INTERNAL, "out of memory");
    oks_conn_t *made = apr_pcalloc(own, sizeof *made);
    made->directory = directory;
    made->pool = own;
    apr_status_t status = apr_dbd_open_ex(directory->driver, own, directory->params, &made->handle, &message);
    oks_err_t *err = NULL;
    if (status != APR_SUCCESS) {
        const bool is_file = directory->dialect->is_file; /* conninfo may hold a password */
        err = oks_err_from(pool, OKS_R_DIRECTORY_UNAVAILABLE, status, NULL, "%s%s%s", is_file ? directory->params : "",
                           is_file ? ": " : "", message ? apr_pstrdup(pool, message) : "cannot open");
    } else {
        apr_pool_cleanup_register(own, made, close_handle, apr_pool_cleanup_null);
        err = set_up(made, pool);
        if (!err && !bare) err = prepare(made, pool);
    }
    if (err) apr_pool_destroy(own);
    *conn = err ? NULL : made;
    return err;
}

/* ---- The pool of them ---- */

static oks_err_t *take(oks_conn_t **conn, oks_directory_t *directory, apr_pool_t *pool)
{
    apr_time_t end = apr_time_now() + WAIT_MAX;
    *conn = NULL;
    apr_thread_mutex_lock(directory->lock);
    while (!directory->nidle && directory->open >= directory->limit) {
        apr_interval_time_t left = end - apr_time_now();
        if (left <= 0 || apr_thread_cond_timedwait(directory->freed, directory->lock, left) == APR_TIMEUP) {
            apr_thread_mutex_unlock(directory->lock);
            return oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "all %d connections are busy", directory->limit);
        }
    }
    if (directory->nidle) *conn = directory->idle[--directory->nidle];
    else directory->open++;
    apr_thread_mutex_unlock(directory->lock);
    if (*conn) return NULL;
    oks_err_t *err = connect_one(conn, directory, false, pool);
    if (!err) return NULL;
    apr_thread_mutex_lock(directory->lock);
    directory->open--;
    apr_thread_cond_signal(directory->freed);
    apr_thread_mutex_unlock(directory->lock);
    return err;
}

/* A connection that failed is closed, not used again. */
static void give(oks_conn_t *conn, bool broken)
{
    oks_directory_t *directory = conn->directory;
    apr_thread_mutex_lock(directory->lock);
    if (broken) directory->open--;
    else directory->idle[directory->nidle++] = conn;
    apr_thread_cond_signal(directory->freed);
    apr_thread_mutex_unlock(directory->lock);
    if (broken) close_conn(conn);
}

static bool is_broken(const oks_err_t *err)
{
    return err && err->reason == OKS_R_DIRECTORY_UNAVAILABLE;
}

/* A server of databases that was started anew has forgotten all connections: one that fails says so of all that lie idle. */
static bool forget_idle(oks_directory_t *directory)
{
    oks_conn_t *idle[CONNECTIONS_MAX];
    int count = 0;
    if (directory->dialect->is_file) return false;
    apr_thread_mutex_lock(directory->lock);
    while (directory->nidle) idle[count++] = directory->idle[--directory->nidle];
    directory->open -= count;
    apr_thread_mutex_unlock(directory->lock);
    for (int i = 0; i < count; i++) close_conn(idle[i]);
    return true;
}

/* *again: nothing was wrong but the connection, and another one may do. */
static oks_err_t *read_once(bool *again, oks_directory_t *directory, oks_work_fn *work, void *baton, apr_pool_t *pool)
{
    oks_conn_t *conn;
    OKS_TRY(take(&conn, directory, pool));
    oks_err_t *err = work(conn, baton, pool);
    *again = is_broken(err);
    give(conn, *again);
    return err;
}

oks_err_t *oks_directory_read(oks_directory_t *directory, oks_work_fn *work, void *baton, apr_pool_t *pool)
{
    bool again = false;
    oks_err_t *err = read_once(&again, directory, work, baton, pool);
    return again && forget_idle(directory) ? read_once(&again, directory, work, baton, pool) : err;
}

/* *again as above: once it has begun, nobody may try it again without looking. *broken: the connection is not to be used again. */
static oks_err_t *in_transaction(bool *again, bool *broken, oks_conn_t *conn, oks_work_fn *work, void *baton, apr_pool_t *pool)
{
    oks_err_t *err = oks_conn_run(conn, conn->directory->dialect->begin, pool), *undone;
    if (err) { /* who only waited for others, in vain, can go back */
        undone = oks_conn_run(conn, "ROLLBACK", pool);
        *again = *broken = undone != NULL;
        return err;
    }
    err = work(conn, baton, pool);
    if (!err) err = oks_conn_run(conn, "COMMIT", pool);
    *broken = is_broken(err);
    if (!err) return NULL;
    undone = oks_conn_run(conn, "ROLLBACK", pool);
    /* A rollback that fails leaves the connection in doubt; closing it rolls back too. */
    if (!undone || *broken) return err;
    *broken = true;
    return undone;
}

static oks_err_t *write_once(bool *again, oks_directory_t *directory, oks_work_fn *work, void *baton, apr_pool_t *pool)
{
    oks_conn_t *conn;
    bool alone = directory->dialect->one_writer, broken;
    /* The lock first: the connection that wrote last is the next one to write, and knows the pages still. */
    if (alone && apr_thread_mutex_timedlock(directory->writer, WAIT_MAX) != APR_SUCCESS)
        return oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "others have been writing for too long");
    oks_err_t *err = take(&conn, directory, pool);
    if (!err) {
        err = in_transaction(again, &broken, conn, work, baton, pool);
        give(conn, broken);
    }
    if (alone) apr_thread_mutex_unlock(directory->writer);
    return err;
}

oks_err_t *oks_directory_write(oks_directory_t *directory, oks_work_fn *work, void *baton, apr_pool_t *pool)
{
    bool again = false;
    oks_err_t *err = write_once(&again, directory, work, baton, pool);
    return again && forget_idle(directory) ? write_once(&again, directory, work, baton, pool) : err;
}

oks_err_t *oks_directory_bare(oks_directory_t *directory, oks_work_fn *work, void *baton, apr_pool_t *pool)
{
    oks_conn_t *conn;
    bool again, broken;
    int version;
    OKS_TRY(connect_one(&conn, directory, true, pool));
    /* Outside of any transaction: who only looks waits for nobody who writes. What it cannot read, `work` makes, or tells. */
    oks_err_t *err = oks_conn_version(&version, conn, pool);
    if (err || version != OKS_SCHEMA_VERSION) err = in_transaction(&again, &broken, conn, work, baton, pool);
    close_conn(conn);
    return err;
}

/* ---- Statements ---- */

oks_err_t *oks_conn_query(int *rows, oks_conn_t *conn, oks_statement_t statement, const char **args, apr_size_t nargs,
                          apr_pool_t *pool)
{
    int changed = 0;
    int code = apr_dbd_pquery(conn->directory->driver, pool, conn->handle, &changed, conn->prepared[statement], (int)nargs, args);
    if (code) return failed(conn, code, pool);
    if (rows) *rows = changed;
    return NULL;
}

/* "random": the answer is all here before anything else is asked on this connection. */
oks_err_t *oks_conn_select(oks_rows_t **rows, oks_conn_t *conn, oks_statement_t statement, const char **args,
                           apr_size_t nargs, apr_pool_t *pool)
{
    *rows = apr_pcalloc(pool, sizeof **rows);
    int code = apr_dbd_pselect(conn->directory->driver, pool, conn->handle, &(*rows)->results,
                               conn->prepared[statement], 1, (int)nargs, args);
    return code ? failed(conn, code, pool) : NULL;
}

oks_err_t *oks_conn_run(oks_conn_t *conn, const char *sql, apr_pool_t *pool)
{
    int rows;
    int code = apr_dbd_query(conn->directory->driver, conn->handle, &rows, sql);
    return code ? failed(conn, code, pool) : NULL;
}

oks_err_t *oks_conn_value(const char **value, oks_conn_t *conn, const char *sql, apr_pool_t *pool)
{
    oks_rows_t rows = { NULL, NULL };
    *value = NULL;
    int code = apr_dbd_select(conn->directory->driver, pool, conn->handle, &rows.results, sql, 1);
    if (code) return failed(conn, code, pool);
    for (apr_dbd_row_t *row; (row = oks_conn_row(conn, &rows, pool)) != NULL;)
        if (!*value) *value = apr_pstrdup(pool, oks_conn_text(conn, row, 0));
    return NULL;
}

apr_dbd_row_t *oks_conn_row(oks_conn_t *conn, oks_rows_t *rows, apr_pool_t *pool)
{
    if (!rows->results || apr_dbd_get_row(conn->directory->driver, pool, rows->results, &rows->row, -1) != 0) rows->row = NULL;
    if (!rows->row) rows->results = NULL; /* used up */
    return rows->row;
}

const char *oks_conn_text_or_null(oks_conn_t *conn, apr_dbd_row_t *row, int column)
{
    const char *text = apr_dbd_get_entry(conn->directory->driver, row, column);
    return text && *text ? text : NULL; /* PostgreSQL's driver does not tell one from the other */
}

const char *oks_conn_text(oks_conn_t *conn, apr_dbd_row_t *row, int column)
{
    const char *text = oks_conn_text_or_null(conn, row, column);
    return text ? text : "";
}

int64_t oks_conn_number(oks_conn_t *conn, apr_dbd_row_t *row, int column)
{
    return apr_strtoi64(oks_conn_text(conn, row, column), NULL, 10);
}

oks_err_t *oks_conn_id(oks_id_t *id, oks_conn_t *conn, apr_dbd_row_t *row, int column, apr_pool_t *pool)
{
    if (oks_hex_decode_into(id->bytes, OKS_ID_LEN, oks_span_z(oks_conn_text(conn, row, column)))) return NULL;
    return oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "a record with a broken id");
}

const char *oks_directory_number(int64_t number, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%" APR_INT64_T_FMT, (apr_int64_t)number);
}

const char *oks_directory_id(const oks_id_t *id, apr_pool_t *pool)
{
    return oks_hex_encode(oks_span((const char *)id->bytes, OKS_ID_LEN), pool);
}

const char *oks_directory_hash(const char *scope, const char *text, apr_pool_t *pool)
{
    unsigned char digest[OKS_SHA256_LEN];
    apr_size_t scope_len = strlen(scope), len = strlen(text);
    char *bytes = apr_palloc(pool, scope_len + 1 + len);
    memcpy(bytes, scope, scope_len + 1);
    memcpy(bytes + scope_len + 1, text, len);
    oks_sha256(digest, oks_span(bytes, scope_len + 1 + len));
    return oks_hex_encode(oks_span((char *)digest, sizeof digest), pool);
}
