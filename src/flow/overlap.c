/* Certificates that fetched metadata does not list any more: good for a while longer, since an identity provider that rolls
 * its key over has Responses under way, and may have servers that know it later (OKTA.md B.1.2). They are kept beside the
 * document, so that a restart forgets neither them nor when they end. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

typedef struct retired_t {
    apr_time_t since;  /* when it was missed first, in whole seconds */
    oks_cert_t *cert;
} retired_t;

static const char *overlap_key(const char *key, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "overlap:", key, NULL);
}

static bool lists(const apr_array_header_t *certs, const oks_cert_t *cert)
{
    for (int i = 0; i < certs->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(certs, i, oks_cert_t *)->fingerprint, cert->fingerprint) == 0) return true;
    return false;
}

static bool retires(const apr_array_header_t *retired, const oks_cert_t *cert)
{
    for (int i = 0; i < retired->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(retired, i, retired_t).cert->fingerprint, cert->fingerprint) == 0) return true;
    return false;
}

/* One line each: the second, a blank, DER in base64. A line that cannot be read is a certificate that is not trusted. */
static oks_err_t *read_retired(apr_array_header_t **retired, oks_directory_t *directory, const char *key, apr_pool_t *pool)
{
    oks_document_t *document;
    oks_span_t line, seconds;
    *retired = apr_array_make(pool, 4, sizeof(retired_t));
    OKS_TRY(oks_directory_document(&document, directory, overlap_key(key, pool), pool));
    if (!document) return NULL;
    for (oks_span_t rest = document->content; (*retired)->nelts < OKS_SAML_KEYS_MAX && oks_span_next(&line, &rest, '\n');) {
        retired_t one;
        if (!oks_span_next(&seconds, &line, ' ') || oks_cert_parse(&one.cert, line, pool) != NULL) continue;
        one.since = apr_time_from_sec(apr_strtoi64(oks_span_dup(seconds, pool), NULL, 10));
        APR_ARRAY_PUSH(*retired, retired_t) = one;
    }
    return NULL;
}

static const char *write_retired(const apr_array_header_t *retired, apr_pool_t *pool)
{
    const char *text = "";
    for (int i = 0; i < retired->nelts; i++) {
        const retired_t *one = &APR_ARRAY_IDX(retired, i, retired_t);
        text = apr_psprintf(pool, "%s%" APR_INT64_T_FMT " %s\n", text, (apr_int64_t)apr_time_sec(one->since),
                            oks_base64_encode(one->cert->der, pool));
    }
    return text;
}

static void retire(apr_array_header_t *kept, const oks_saml_idp_t *next, oks_cert_t *cert, apr_time_t since)
{
    if (lists(next->certs, cert) || retires(kept, cert) || kept->nelts == OKS_SAML_KEYS_MAX) return;
    APR_ARRAY_PUSH(kept, retired_t) = (retired_t){ .since = since, .cert = cert };
}

oks_err_t *oks_overlap_note(oks_directory_t *directory, const char *key, const oks_saml_idp_t *before, const oks_saml_idp_t *next,
                            const oks_overlap_t *overlap, apr_pool_t *pool)
{
    apr_array_header_t *retired, *kept = apr_array_make(pool, 4, sizeof(retired_t));
    bool same = before && strcmp(before->entity_id, next->entity_id) == 0; /* another issuer inherits nothing */
    apr_time_t now = apr_time_from_sec(apr_time_sec(overlap->now));
    OKS_TRY(read_retired(&retired, directory, key, pool));
    for (int i = 0; same && overlap->window && i < before->certs->nelts; i++)
        if (!retires(retired, APR_ARRAY_IDX(before->certs, i, oks_cert_t *)))
            retire(kept, next, APR_ARRAY_IDX(before->certs, i, oks_cert_t *), now);
    for (int i = 0; same && i < retired->nelts; i++) {
        const retired_t *one = &APR_ARRAY_IDX(retired, i, retired_t);
        if (one->since + overlap->window > now) retire(kept, next, one->cert, one->since);
    }
    if (!kept->nelts && !retired->nelts) return NULL;
    oks_document_t document = { .content = oks_span_z(write_retired(kept, pool)), .fetched = overlap->now };
    return oks_directory_document_put(directory, overlap_key(key, pool), &document, pool);
}

oks_err_t *oks_overlap_add(oks_saml_idp_t *idp, apr_time_t *until, oks_directory_t *directory, const char *key,
                           const oks_overlap_t *overlap, apr_pool_t *pool)
{
    apr_array_header_t *retired;
    *until = 0;
    if (!overlap->window) return NULL;
    OKS_TRY(read_retired(&retired, directory, key, pool));
    for (int i = 0; i < retired->nelts; i++) {
        const retired_t *one = &APR_ARRAY_IDX(retired, i, retired_t);
        apr_time_t end = one->since + overlap->window;
        if (end <= overlap->now || lists(idp->certs, one->cert)) continue;
        APR_ARRAY_PUSH(idp->certs, oks_cert_t *) = one->cert;
        if (!*until || end < *until) *until = end;
    }
    return NULL;
}

oks_err_t *oks_overlap_forget(oks_directory_t *directory, const char *key, apr_pool_t *pool)
{
    return oks_directory_document_remove(directory, overlap_key(key, pool), pool);
}
