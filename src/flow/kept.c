/* What is our own and secret, sealed in a document of the directory: keys that were made here. */
#include "flow_private.h"

oks_err_t *oks_flow_open_kept(oks_span_t *plain, const oks_flow_t *flow, const char *key, const oks_document_t *document,
                              apr_pool_t *pool)
{
    const char *sealed;
    oks_err_t *err = oks_unseal(plain, flow->keys, oks_span_z(key), document->content, pool);
    if (err) return oks_err_from(pool, OKS_R_FLOW_KEYS_GONE, APR_SUCCESS, err, "%s", key);
    if (oks_seal_is_current(flow->keys, document->content)) return NULL;
    /* Rolled over: from now on the new key opens it. Where that cannot be written, the old one does still. */
    err = oks_seal(&sealed, flow->keys, oks_span_z(key), *plain, pool);
    if (err) return NULL;
    const oks_document_t again = { .content = oks_span_z(sealed), .etag = document->etag, .fetched = document->fetched };
    err = oks_directory_document_put(flow->directory, key, &again, pool);
    return NULL;
}
