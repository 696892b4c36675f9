/* What the files of this room share: connections, statements, the change log, profiles as text. */
#ifndef OKTASSO_DIRECTORY_PRIVATE_H
#define OKTASSO_DIRECTORY_PRIVATE_H

#include <apr_dbd.h>

#include "oktasso/directory.h"

/* ---- The statements: each prepared once per connection (SECURITY.md 31) ------------------------------------ */

typedef enum oks_statement_t {
    OKS_S_CLAIM_INSERT,
    OKS_S_CLAIM_READ,
    OKS_S_USER_BY_SUBJECT,
    OKS_S_USER_BY_EMAIL,
    OKS_S_USER_INSERT,
    OKS_S_USER_UPDATE,
    OKS_S_USER_RENAME,
    OKS_S_USER_RELINK,
    OKS_S_USERS_RELINK,
    OKS_S_SESSION_INSERT,
    OKS_S_SESSION_READ,
    OKS_S_SESSION_DELETE,
    OKS_S_SESSIONS_DELETE_OF_USER,
    OKS_S_SESSIONS_DELETE_OF_ACCOUNT,
    OKS_S_DOCUMENT_READ,
    OKS_S_DOCUMENT_WRITE,
    OKS_S_DOCUMENT_DELETE,
    OKS_S_CHANGE_NEXT,
    OKS_S_CHANGE_INSERT,
    OKS_S_CHANGES_INSERT,
    OKS_S_CHANGE_HEAD,
    OKS_S_CHANGES_BETWEEN,
    OKS_S_CHANGES_FORGET,
    OKS_S_SWEEP_SESSIONS,
    OKS_S_SWEEP_CLAIMS,
    OKS_S_SWEEP_CHANGES,
    OKS_S_USER_BY_USER_NAME,
    OKS_S_USER_BY_EXTERNAL_ID,
    OKS_S_RESOURCE_BY_ID,
    OKS_S_RESOURCE_BY_USER_NAME,
    OKS_S_RESOURCE_BY_EXTERNAL_ID,
    OKS_S_RESOURCE_BY_EMAIL,
    OKS_S_RESOURCE_BY_SUBJECT,
    OKS_S_RESOURCE_COUNT,
    OKS_S_RESOURCE_PAGE,
    OKS_S_RESOURCE_INSERT,
    OKS_S_RESOURCE_UPDATE,
    OKS_S_RESOURCE_DELETE,
    OKS_S_SUBJECT_FREE,
    OKS_S_SUBJECT_DENY,
    OKS_S_ASSERTED_FORGET,
    OKS_S_TOKENS_MOVE,
    OKS_S_MEMBERS_MOVE,
    OKS_S_USER_DELETE,
    OKS_S_DELETED_FREE_SUBJECT,
    OKS_S_DELETED_FREE_EMAIL,
    OKS_S_DELETED_FREE_USER_NAME,
    OKS_S_DELETED_PURGE,
    OKS_S_GROUP_BY_ID,
    OKS_S_GROUP_BY_NAME,
    OKS_S_GROUP_COUNT,
    OKS_S_GROUP_PAGE,
    OKS_S_GROUP_INSERT,
    OKS_S_GROUP_UPDATE,
    OKS_S_GROUP_DELETE,
    OKS_S_MEMBERS_OF_GROUP,
    OKS_S_MEMBERS_AMONG,
    OKS_S_MEMBERS_INSERT,
    OKS_S_MEMBERS_DELETE,
    OKS_S_MEMBERS_DELETE_OF_USER,
    OKS_S_GROUPS_OF_USER,
    OKS_S_TOKEN_READ,
    OKS_S_TOKEN_USED,
    OKS_S_TOKEN_OWNER,
    OKS_S_TOKEN_INSERT,
    OKS_S_TOKENS_OF_ORG,
    OKS_S_TOKEN_ORG,
    OKS_S_TOKEN_DELETE,
    OKS_S_KEYS_PAGE,
    OKS_S_KEYS_WRITE,
    OKS_S_COUNT_
} oks_statement_t;

#define OKS_SWEEP_ROWS 1000 /* that one of OKS_S_SWEEP_* removes at most */
/* So many rows does one statement take of those that say so: OKS_S_CHANGES_INSERT exactly, OKS_S_MEMBERS_* with NULL where there
 * are fewer ids. Who writes holds the one lock of all organizations: a statement for each row would make the others wait. */
#define OKS_ROWS_AT_ONCE 100

extern const char *const oks_directory_sql[OKS_S_COUNT_];

/* The columns of OKS_S_USER_BY_* in their order; OKS_S_SESSION_READ has them too, from OKS_C_SESSION_COLUMNS on. */
enum {
    OKS_C_USER_ID, OKS_C_USER_ACTIVE, OKS_C_SUBJECT, OKS_C_EMAIL, OKS_C_FIRST_NAME, OKS_C_LAST_NAME, OKS_C_NAME,
    OKS_C_GROUPS, OKS_C_EXTRA, OKS_C_USER_DELETED, OKS_C_SUBJECT_KEY, OKS_C_USER_PUSHED, OKS_C_USER_EXTERNAL_ID,
    OKS_C_USER_EXTERNAL_KEY, OKS_C_USER_NAME_KEY
};
/* Of OKS_S_RESOURCE_BY_* and OKS_S_RESOURCE_PAGE. */
enum {
    OKS_C_RESOURCE_ID, OKS_C_RESOURCE_ACTIVE, OKS_C_RESOURCE_USER_NAME, OKS_C_RESOURCE_EXTERNAL_ID, OKS_C_RESOURCE_JSON,
    OKS_C_RESOURCE_EMAIL, OKS_C_RESOURCE_FIRST_NAME, OKS_C_RESOURCE_LAST_NAME, OKS_C_RESOURCE_NAME, OKS_C_RESOURCE_VERSION,
    OKS_C_RESOURCE_CREATED, OKS_C_RESOURCE_UPDATED, OKS_C_RESOURCE_DELETED, OKS_C_RESOURCE_SUBJECT, OKS_C_RESOURCE_SUBJECT_KEY
};
/* Of OKS_S_MEMBERS_AMONG: users of any organization, in the group (1) or not. */
enum { OKS_C_AMONG_ID, OKS_C_AMONG_ORG, OKS_C_AMONG_DELETED, OKS_C_AMONG_USER_NAME_KEY, OKS_C_AMONG_IS_MEMBER };
/* Of OKS_S_GROUP_BY_* and OKS_S_GROUP_PAGE. */
enum {
    OKS_C_GROUP_ID, OKS_C_GROUP_NAME, OKS_C_GROUP_JSON, OKS_C_GROUP_ROLE, OKS_C_GROUP_VERSION, OKS_C_GROUP_CREATED,
    OKS_C_GROUP_UPDATED
};
/* Of OKS_S_KEYS_PAGE. */
enum {
    OKS_C_KEYS_ID, OKS_C_KEYS_SUBJECT, OKS_C_KEYS_SUBJECT_KEY, OKS_C_KEYS_EMAIL, OKS_C_KEYS_EMAIL_KEY, OKS_C_KEYS_USER_NAME,
    OKS_C_KEYS_USER_NAME_KEY
};
/* Of OKS_S_SESSION_READ. */
enum {
    OKS_C_ORG, OKS_C_VHOST, OKS_C_PROTOCOL, OKS_C_SUBJECT_FORMAT, OKS_C_SESSION_INDEX, OKS_C_AUTHN_CONTEXT,
    OKS_C_AUTHN_INSTANT, OKS_C_CREATED, OKS_C_EXPIRES, OKS_C_SESSION_COLUMNS
};

/* ---- Databases: all that differs between them ------------------------------------------------------------- */

typedef struct oks_dialect_t {
    const char *scheme;              /* before the colon of a directory's spec, and apr_dbd's name for the driver */
    const char *defaults;            /* of its parameters, before those that are given */
    const char *begin;               /* starts a transaction that will write */
    const char *migrate_lock;        /* keeps two migrations apart, inside the transaction; or NULL: `begin` does */
    const char *const *on_open;      /* pairs of a statement and the answer it must have (or ""), ended by NULL */
    bool is_file;                    /* what follows the colon is the path of a file */
    bool one_writer;                 /* the database lets one connection write at a time */
} oks_dialect_t;

extern const oks_dialect_t oks_directory_dialects[]; /* ended by a row without a scheme */

#define OKS_SCHEMA_VERSION 4
extern const char *const oks_directory_meta_table;  /* made when absent */
extern const char *const oks_directory_version_sql; /* one row, or none before version 1 */
/* Statements that lead from version i to i + 1, each list ended by NULL. */
extern const char *const *const oks_directory_migrations[OKS_SCHEMA_VERSION];
#define OKS_KEYS_UNFOLDED 4 /* the version that takes oks_directory_unfold_keys() as well */

/* ---- Connections ------------------------------------------------------------------------------------------- */

typedef struct oks_conn_t oks_conn_t;

/* What is done on one connection. Runs again on another one when the first failed before it could commit. */
typedef oks_err_t *oks_work_fn(oks_conn_t *conn, void *baton, apr_pool_t *pool);

/* Reads: no transaction. */
oks_err_t *oks_directory_read(oks_directory_t *directory, oks_work_fn *work, void *baton, apr_pool_t *pool) OKS_MUST_USE;
/* Writes: a transaction, rolled back whenever `work` returns an error. */
oks_err_t *oks_directory_write(oks_directory_t *directory, oks_work_fn *work, void *baton, apr_pool_t *pool) OKS_MUST_USE;
/* Unless the schema is the one that is wanted: a write on one connection without any prepared statement, made for this and closed
 * again. */
oks_err_t *oks_directory_bare(oks_directory_t *directory, oks_work_fn *work, void *baton, apr_pool_t *pool) OKS_MUST_USE;

const oks_dialect_t *oks_conn_dialect(const oks_conn_t *conn);
oks_counters_t *oks_directory_counters(const oks_directory_t *directory);

/* The arguments of a statement: const char *; NULL is SQL's NULL. */
#define OKS_ARGS(...) (const char *[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)

/* Makes ready one statement of a bare connection. */
oks_err_t *oks_conn_prepare(oks_conn_t *conn, oks_statement_t statement, apr_pool_t *pool) OKS_MUST_USE;
/* Changes rows; *rows (may be NULL) says how many. */
oks_err_t *oks_conn_query(int *rows, oks_conn_t *conn, oks_statement_t statement, const char **args, apr_size_t nargs,
                          apr_pool_t *pool) OKS_MUST_USE;
/* All rows of an answer, in `pool`, and the one that was read last: PostgreSQL's driver goes on from there. */
typedef struct oks_rows_t {
    apr_dbd_results_t *results;
    apr_dbd_row_t *row;
} oks_rows_t;
oks_err_t *oks_conn_select(oks_rows_t **rows, oks_conn_t *conn, oks_statement_t statement, const char **args,
                           apr_size_t nargs, apr_pool_t *pool) OKS_MUST_USE;
/* Fixed text without arguments: transactions, schema. */
oks_err_t *oks_conn_run(oks_conn_t *conn, const char *sql, apr_pool_t *pool) OKS_MUST_USE;
/* The first column of the first row of fixed text; NULL when there is no row. */
oks_err_t *oks_conn_value(const char **value, oks_conn_t *conn, const char *sql, apr_pool_t *pool) OKS_MUST_USE;

/* The next row, or NULL after the last one. */
apr_dbd_row_t *oks_conn_row(oks_conn_t *conn, oks_rows_t *rows, apr_pool_t *pool);
const char *oks_conn_text(oks_conn_t *conn, apr_dbd_row_t *row, int column); /* "" for NULL */
const char *oks_conn_text_or_null(oks_conn_t *conn, apr_dbd_row_t *row, int column); /* NULL for "", too */
int64_t oks_conn_number(oks_conn_t *conn, apr_dbd_row_t *row, int column);
/* An id written as hex; anything else in that column is a broken record. */
oks_err_t *oks_conn_id(oks_id_t *id, oks_conn_t *conn, apr_dbd_row_t *row, int column, apr_pool_t *pool) OKS_MUST_USE;

const char *oks_directory_number(int64_t number, apr_pool_t *pool);
const char *oks_directory_id(const oks_id_t *id, apr_pool_t *pool);
/* Hex SHA-256 of `scope`, NUL, `text`: a key of bounded length for something foreign (SECURITY.md 7). */
const char *oks_directory_hash(const char *scope, const char *text, apr_pool_t *pool);

/* The schema version of the database, 0 when it has none yet. */
oks_err_t *oks_conn_version(int *version, oks_conn_t *conn, apr_pool_t *pool) OKS_MUST_USE;

/* rekey.c: the keys of all users as they are since OKS_KEYS_UNFOLDED. */
oks_err_t *oks_directory_unfold_keys(oks_conn_t *conn, apr_pool_t *pool) OKS_MUST_USE;

/* Ends a session in a transaction; its counter is the caller's to move, afterwards. */
oks_err_t *oks_session_delete(oks_conn_t *conn, const oks_id_t *session, apr_pool_t *pool) OKS_MUST_USE;

/* ---- The change log ----------------------------------------------------------------------------------------- */

typedef enum oks_change_t { OKS_CHANGE_SESSION, OKS_CHANGE_USER, OKS_CHANGE_DOCUMENT } oks_change_t;

/* In the transaction of the change itself. `key` is hex whose first digits tell the counter. */
oks_err_t *oks_change_log(oks_conn_t *conn, oks_change_t kind, const char *key, apr_pool_t *pool) OKS_MUST_USE;
/* The same of many (const char *) at once: PostgreSQL gets slower with each update of one row in a transaction. */
oks_err_t *oks_change_log_all(oks_conn_t *conn, oks_change_t kind, const apr_array_header_t *keys, apr_pool_t *pool) OKS_MUST_USE;
const char *oks_document_hash(const char *key, apr_pool_t *pool);

/* ---- Profiles as text ------------------------------------------------------------------------------------------ */

/* Groups as a JSON array of strings, extra fields as one of pairs: order and repetition are kept. */
oks_err_t *oks_profile_encode(const char **groups, const char **extra, const oks_profile_t *profile, apr_pool_t *pool)
    OKS_MUST_USE;
#define OKS_SUBJECT "subject" /* the scope of the hash of what an identity provider calls somebody */
/* The key, made of its hash, of a subject that was the record's until SCIM contradicted it: it leads to it no more, but who is
 * switched off stays so by this name, too. Of several records that were denied one subject, one has this key: who was switched off
 * last, else who was denied last. The others have one of their own. */
#define OKS_DENIED "denied:"
const char *oks_denied_key(const char *hash, apr_pool_t *pool);
bool oks_is_denied(const char *subject_key);
/* As Okta numbers its users: in SCIM's externalId, and in `sub`. Other clients and other names of people have other forms. */
bool oks_is_okta_id(const char *text);
/* The hash of a userName; of one that is an email address, the same as of the address. */
const char *oks_user_name_key(const char *user_name, apr_pool_t *pool);
/* From the user's columns of a row, which begin at `first`. */
oks_err_t *oks_profile_decode(oks_profile_t **profile, oks_conn_t *conn, apr_dbd_row_t *row, int first,
                              apr_pool_t *pool) OKS_MUST_USE;
/* scim.c: adds the groups that were pushed for the user. */
oks_err_t *oks_profile_add_pushed(oks_profile_t *profile, oks_conn_t *conn, const char *user, apr_pool_t *pool) OKS_MUST_USE;

#endif
