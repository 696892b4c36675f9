/* Schema version 4. Until then the keys of subjects, addresses and userNames were hashes of text without case by Unicode's rules,
 * under which two people may be one: the subjects 00uAbC and 00uaBc, or "mike" and the same with a Kelvin sign. The texts
 * themselves stand beside the keys. The new keys tell apart more than the old ones, so that no two records collide on the way. */
#include <string.h>

#include <apr_strings.h>

#include "directory_private.h"

static const char *const scopes[] = { OKS_SUBJECT, OKS_PROTOCOL_LOCAL, OKS_PROTOCOL_BREAK_GLASS };

/* The subject's key says by its value whose it is: an identity provider's, or a kind of account's. */
static const char *subject_key(const char *key, const char *subject, apr_pool_t *pool)
{
    const char *folded = oks_fold_key(subject, pool);
    for (apr_size_t i = 0; key && i < sizeof scopes / sizeof scopes[0]; i++)
        if (!strcmp(key, oks_directory_hash(scopes[i], folded, pool))) return oks_directory_hash(scopes[i], subject, pool);
    return key;
}

static bool same_key(const char *one, const char *other)
{
    return one == other || (one && other && !strcmp(one, other));
}

static oks_err_t *unfold(oks_conn_t *conn, apr_dbd_row_t *row, const char *id, apr_pool_t *pool)
{
    const char *subject = oks_conn_text_or_null(conn, row, OKS_C_KEYS_SUBJECT_KEY);
    const char *email = oks_conn_text_or_null(conn, row, OKS_C_KEYS_EMAIL_KEY);
    const char *user_name = oks_conn_text_or_null(conn, row, OKS_C_KEYS_USER_NAME_KEY);
    const char *new_subject = subject_key(subject, oks_conn_text(conn, row, OKS_C_KEYS_SUBJECT), pool);
    const char *new_email = email ? oks_user_name_key(oks_conn_text(conn, row, OKS_C_KEYS_EMAIL), pool) : NULL;
    const char *new_name = user_name ? oks_user_name_key(oks_conn_text(conn, row, OKS_C_KEYS_USER_NAME), pool) : NULL;
    if (same_key(subject, new_subject) && same_key(email, new_email) && same_key(user_name, new_name)) return NULL;
    return oks_conn_query(NULL, conn, OKS_S_KEYS_WRITE, OKS_ARGS(new_subject, new_email, new_name, id), pool);
}

oks_err_t *oks_directory_unfold_keys(oks_conn_t *conn, apr_pool_t *pool)
{
    apr_pool_t *page;
    char last[2 * OKS_ID_LEN + 1] = "";
    oks_err_t *err = NULL;
    OKS_TRY(oks_conn_prepare(conn, OKS_S_KEYS_PAGE, pool));
    OKS_TRY(oks_conn_prepare(conn, OKS_S_KEYS_WRITE, pool));
    for (bool more = true; more && !err;) {
        oks_rows_t *results;
        more = false;
        apr_pool_create(&page, pool);
        err = oks_conn_select(&results, conn, OKS_S_KEYS_PAGE, OKS_ARGS(last), page);
        for (apr_dbd_row_t *row; !err && (row = oks_conn_row(conn, results, page)) != NULL; more = true) {
            apr_cpystrn(last, oks_conn_text(conn, row, OKS_C_KEYS_ID), sizeof last);
            err = unfold(conn, row, last, page);
        }
        if (!err) apr_pool_destroy(page); /* an error's text lies in it */
    }
    return err;
}
