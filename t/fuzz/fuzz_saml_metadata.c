/* An identity provider's metadata. */
#include "fuzz.h"
#include "mutate.h"
#include "oktasso/saml.h"

void fuzz_start(apr_pool_t *pool)
{
    FUZZ_GOOD(oks_saml_init(pool));
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    oks_saml_idp_t *idp;
    if (oks_saml_metadata_parse(&idp, input, pool)) return false;
    HOLDS(*idp->entity_id && strlen(idp->entity_id) <= 1024 && oks_utf8_ok(oks_span_z(idp->entity_id)));
    HOLDS(idp->certs->nelts >= 1 && idp->certs->nelts <= OKS_SAML_KEYS_MAX && (idp->sso_redirect_url || idp->sso_post_url));
    for (int i = 0; i < idp->certs->nelts; i++) HOLDS(APR_ARRAY_IDX(idp->certs, i, oks_cert_t *)->pkey);
    fuzz_endpoint(idp->sso_redirect_url, pool);
    fuzz_endpoint(idp->sso_post_url, pool);
    fuzz_endpoint(idp->slo_redirect_url, pool);
    fuzz_endpoint(idp->slo_post_url, pool);
    return true;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return mutate_xml(data, size, max, seed);
}
