/* Our own key of an organization: configured, or made at first need and kept, sealed, in the directory. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

/* Of several processes that make one at once, one wins, and all read that. */
static oks_err_t *make(const oks_flow_t *flow, const char *key, const oks_org_t *org, apr_time_t now, apr_pool_t *pool)
{
    const char *pem, *sealed;
    OKS_TRY(oks_keypair_make(&pem, apr_pstrcat(pool, "mod_oktasso ", org->name, NULL), now, pool));
    OKS_TRY(oks_seal(&sealed, flow->keys, oks_span_z(key), oks_span_z(pem), pool));
    oks_document_t document = { .content = oks_span_z(sealed), .fetched = now };
    return oks_directory_document_keep(flow->directory, key, &document, pool);
}

static const char *document_key(const oks_flow_t *flow, const oks_org_t *org, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "sp-key:", flow->vhost, ":", org->name, NULL);
}

/* *pair is NULL when none was made yet. */
static oks_err_t *read_made(const oks_keypair_t **pair, const oks_flow_t *flow, const oks_org_t *org, apr_pool_t *pool)
{
    oks_document_t *document;
    oks_keypair_t *read;
    oks_span_t pem;
    const char *key = document_key(flow, org, pool);
    *pair = NULL;
    OKS_TRY(oks_directory_document(&document, flow->directory, key, pool));
    if (!document) return NULL;
    OKS_TRY(oks_flow_open_kept(&pem, flow, key, document, pool));
    OKS_TRY(oks_keypair_parse(&read, pem, pem, pool));
    *pair = read;
    return NULL;
}

oks_err_t *oks_flow_sp_key(const oks_keypair_t **pair, const oks_flow_t *flow, const oks_org_t *org, apr_time_t now,
                           apr_pool_t *pool)
{
    if (org->sp_keys) {
        *pair = APR_ARRAY_IDX(org->sp_keys, 0, const oks_keypair_t *);
        return NULL;
    }
    OKS_TRY(read_made(pair, flow, org, pool));
    if (*pair) return NULL;
    OKS_TRY(make(flow, document_key(flow, org, pool), org, now, pool));
    OKS_TRY(read_made(pair, flow, org, pool));
    return *pair ? NULL : oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "the key that was just written");
}

oks_err_t *oks_flow_decryption_keys(const apr_array_header_t **keys, const oks_flow_t *flow, const oks_org_t *org,
                                    apr_pool_t *pool)
{
    const oks_keypair_t *made;
    *keys = org->sp_keys;
    if (*keys) return NULL;
    OKS_TRY(read_made(&made, flow, org, pool));
    if (!made) return NULL;
    apr_array_header_t *one = apr_array_make(pool, 1, sizeof(oks_keypair_t *));
    APR_ARRAY_PUSH(one, const oks_keypair_t *) = made;
    *keys = one;
    return NULL;
}

bool oks_flow_signs(const oks_org_t *org, const oks_saml_idp_t *idp)
{
    return org->sign_requests || (idp && idp->want_authn_requests_signed);
}

/* What metadata and /pem show: the configured certificates, the second one of a rollover included; or the one made here. */
oks_err_t *oks_flow_sp_certs(const apr_array_header_t **certs, const oks_flow_t *flow, const oks_org_t *org, apr_time_t now,
                             apr_pool_t *pool)
{
    const oks_keypair_t *pair;
    *certs = org->sp_certs;
    if (*certs) return NULL;
    OKS_TRY(oks_flow_sp_key(&pair, flow, org, now, pool));
    apr_array_header_t *one = apr_array_make(pool, 1, sizeof(oks_cert_t *));
    APR_ARRAY_PUSH(one, oks_cert_t *) = pair->cert;
    *certs = one;
    return NULL;
}

oks_err_t *oks_flow_serve_pem(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                              const oks_request_t *request, apr_pool_t *pool)
{
    const apr_array_header_t *certs;
    const char *body = "";
    OKS_TRY(oks_flow_sp_certs(&certs, flow, org, request->now, pool));
    for (int i = 0; i < certs->nelts; i++)
        body = apr_pstrcat(pool, body, oks_cert_pem(APR_ARRAY_IDX(certs, i, oks_cert_t *), pool), NULL);
    *answer = oks_flow_answer(200, "pem", pool);
    (*answer)->content_type = "application/x-pem-file";
    (*answer)->body = body;
    return NULL;
}
