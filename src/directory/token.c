/* SCIM tokens that oktassoctl makes: only their hash is kept. */
#include <apr_strings.h>

#include "directory_private.h"
#include "oktasso/crypto.h"

enum { C_HASH, C_LABEL, C_OWNER, C_OWNER_ACTIVE, C_CREATED, C_LAST_USED }; /* of OKS_S_TOKENS_OF_ORG */

typedef struct token_work_t {
    const char *org, *hash;
    const oks_scim_token_t *add;
    apr_time_t now, last_used;
    apr_array_header_t *list;
    bool found;
} token_work_t;

static const char *hash_of(const unsigned char *digest, apr_pool_t *pool)
{
    return oks_hex_encode(oks_span((const char *)digest, OKS_SHA256_LEN), pool);
}

static oks_err_t *read_token(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    token_work_t *work = baton;
    oks_rows_t *results;
    OKS_TRY(oks_conn_select(&results, conn, OKS_S_TOKEN_READ, OKS_ARGS(work->hash, work->org), pool));
    work->found = false;
    for (apr_dbd_row_t *row; (row = oks_conn_row(conn, results, pool)) != NULL; work->found = true)
        work->last_used = oks_conn_number(conn, row, 0);
    return NULL;
}

static oks_err_t *note_use(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    const token_work_t *work = baton;
    return oks_conn_query(NULL, conn, OKS_S_TOKEN_USED, OKS_ARGS(oks_directory_number(work->now, pool), work->hash), pool);
}

oks_err_t *oks_directory_token_known(bool *known, bool *stale, oks_directory_t *directory, const char *org,
                                     const unsigned char *digest, apr_time_t now, apr_pool_t *pool)
{
    token_work_t work = { .org = org, .hash = hash_of(digest, pool) };
    OKS_TRY(oks_directory_read(directory, read_token, &work, pool));
    *known = work.found;
    *stale = work.found && now - work.last_used >= OKS_TOKEN_USED_AGAIN;
    return NULL;
}

oks_err_t *oks_directory_token_used(oks_directory_t *directory, const unsigned char *digest, apr_time_t now, apr_pool_t *pool)
{
    token_work_t work = { .hash = hash_of(digest, pool), .now = now };
    return oks_directory_write(directory, note_use, &work, pool);
}

static oks_err_t *add_token(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    const token_work_t *work = baton;
    const char *owner = NULL;
    if (work->add->owner) {
        oks_rows_t *results;
        OKS_TRY(oks_conn_select(&results, conn, OKS_S_TOKEN_OWNER,
                                OKS_ARGS(work->org, oks_user_name_key(work->add->owner, pool)), pool));
        for (apr_dbd_row_t *row; (row = oks_conn_row(conn, results, pool)) != NULL;)
            owner = apr_pstrdup(pool, oks_conn_text(conn, row, 0));
        if (!owner) return oks_err(pool, OKS_R_DIRECTORY_USER_UNKNOWN, "%s", work->add->owner);
    }
    return oks_conn_query(NULL, conn, OKS_S_TOKEN_INSERT,
                          OKS_ARGS(work->hash, work->org, work->add->label, owner, oks_directory_number(work->now, pool)), pool);
}

oks_err_t *oks_directory_token_add(oks_directory_t *directory, const char *org, const unsigned char *digest,
                                   const oks_scim_token_t *token, apr_time_t now, apr_pool_t *pool)
{
    token_work_t work = { .org = org, .hash = hash_of(digest, pool), .add = token, .now = now };
    return oks_directory_write(directory, add_token, &work, pool);
}

static oks_err_t *list_tokens(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    token_work_t *work = baton;
    oks_rows_t *results;
    OKS_TRY(oks_conn_select(&results, conn, OKS_S_TOKENS_OF_ORG, OKS_ARGS(work->org), pool));
    work->list = apr_array_make(pool, 4, sizeof(oks_scim_token_t));
    for (apr_dbd_row_t *row; (row = oks_conn_row(conn, results, pool)) != NULL;) {
        oks_scim_token_t *token = apr_array_push(work->list);
        token->id = apr_pstrmemdup(pool, oks_conn_text(conn, row, C_HASH), OKS_TOKEN_ID_LEN);
        token->label = apr_pstrdup(pool, oks_conn_text(conn, row, C_LABEL));
        token->owner = apr_pstrdup(pool, oks_conn_text_or_null(conn, row, C_OWNER));
        token->owner_inactive = token->owner && oks_conn_number(conn, row, C_OWNER_ACTIVE) == 0;
        token->created = oks_conn_number(conn, row, C_CREATED);
        token->last_used = oks_conn_number(conn, row, C_LAST_USED);
    }
    return NULL;
}

oks_err_t *oks_directory_tokens(apr_array_header_t **tokens, oks_directory_t *directory, const char *org, apr_pool_t *pool)
{
    token_work_t work = { .org = org };
    OKS_TRY(oks_directory_read(directory, list_tokens, &work, pool));
    *tokens = work.list;
    return NULL;
}

static oks_err_t *look_for_org(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    token_work_t *work = baton;
    oks_rows_t *results;
    OKS_TRY(oks_conn_select(&results, conn, OKS_S_TOKEN_ORG, OKS_ARGS(work->org, work->org, work->org), pool));
    for (apr_dbd_row_t *row; (row = oks_conn_row(conn, results, pool)) != NULL;)
        work->found = oks_conn_number(conn, row, 0) == 0 && oks_conn_number(conn, row, 1) != 0;
    return NULL;
}

oks_err_t *oks_directory_org_is_new(bool *is_new, oks_directory_t *directory, const char *org, apr_pool_t *pool)
{
    token_work_t work = { .org = org };
    OKS_TRY(oks_directory_read(directory, look_for_org, &work, pool));
    *is_new = work.found;
    return NULL;
}

static oks_err_t *remove_token(oks_conn_t *conn, void *baton, apr_pool_t *pool)
{
    token_work_t *work = baton;
    int rows;
    OKS_TRY(oks_conn_query(&rows, conn, OKS_S_TOKEN_DELETE, OKS_ARGS(work->org, work->hash), pool));
    work->found = rows > 0;
    return NULL;
}

oks_err_t *oks_directory_token_remove(bool *removed, oks_directory_t *directory, const char *org, const char *id, apr_pool_t *pool)
{
    token_work_t work = { .org = org, .hash = id };
    OKS_TRY(oks_directory_write(directory, remove_token, &work, pool));
    *removed = work.found;
    return NULL;
}
