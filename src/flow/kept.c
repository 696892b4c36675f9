/* What is our own and secret, sealed in a document of the directory: keys that were made here. */
#include "flow_private.h"

static oks_err_t *keep_again(oks_span_t plain, const oks_flow_t *flow, const char *key, const oks_document_t *document,
                             apr_pool_t *pool)
{
    const char *sealed;
    OKS_TRY(oks_seal(&sealed, flow->keys, oks_span_z(key), plain, pool));
    const oks_document_t again = { .content = oks_span_z(sealed), .etag = document->etag, .fetched = document->fetched };
    return oks_directory_document_put(flow->directory, key, &again, pool);
}

oks_err_t *oks_flow_open_kept(oks_span_t *plain, const oks_flow_t *flow, const char *key, const oks_document_t *document,
                              apr_pool_t *pool)
{
    oks_err_t *err = oks_unseal(plain, flow->keys, oks_span_z(key), document->content, pool);
    if (err) return oks_err_from(pool, OKS_R_FLOW_KEYS_GONE, APR_SUCCESS, err, "%s", key);
    /* Rolled over: from now on the new key opens it. Where that cannot be written, the old one does still. */
    if (!oks_seal_is_current(flow->keys, document->content)) (void)keep_again(*plain, flow, key, document, pool);
    return NULL;
}
