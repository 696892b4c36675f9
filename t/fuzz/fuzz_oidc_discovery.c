/* A provider's discovery document. */
#include "fuzz.h"
#include "mutate.h"
#include "oktasso/oidc.h"

#define URL "https://acme.okta.com/.well-known/openid-configuration"

void fuzz_start(apr_pool_t *pool)
{
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    oks_oidc_provider_t *provider;
    if (!oks_oidc_discovery_parse(&provider, input, NULL, pool)) fuzz_endpoint(provider->token_endpoint, pool);
    if (oks_oidc_discovery_parse(&provider, input, URL, pool)) return false;
    HOLDS(oks_oidc_is_discovery(input));
    HOLDS(!strcmp(provider->issuer, "https://acme.okta.com") || !strcmp(provider->issuer, "https://acme.okta.com/"));
    HOLDS(provider->authorization_endpoint && provider->token_endpoint && provider->jwks_uri);
    fuzz_endpoint(provider->authorization_endpoint, pool);
    fuzz_endpoint(provider->token_endpoint, pool);
    fuzz_endpoint(provider->jwks_uri, pool);
    fuzz_endpoint(provider->userinfo_endpoint, pool);
    fuzz_endpoint(provider->end_session_endpoint, pool);
    fuzz_endpoint(provider->par_endpoint, pool);
    return true;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return mutate_json(data, size, max, seed);
}
