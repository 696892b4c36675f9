/* A provider's discovery document. */
#include "fuzz.h"
#include "mutate.h"
#include "oktasso/oidc.h"

#define URL "https://acme.okta.com/.well-known/openid-configuration"

void fuzz_start(apr_pool_t *pool)
{
}

static void check_endpoint(const char *text, apr_pool_t *pool)
{
    oks_url_t url;
    if (!text) return;
    HOLDS(!oks_url_parse(&url, oks_span_z(text), pool) && (!strcmp(url.scheme, "https") || oks_url_is_loopback(&url)));
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    oks_oidc_provider_t *provider;
    if (!oks_oidc_discovery_parse(&provider, input, NULL, pool)) check_endpoint(provider->token_endpoint, pool);
    if (oks_oidc_discovery_parse(&provider, input, URL, pool)) return false;
    HOLDS(oks_oidc_is_discovery(input));
    HOLDS(!strcmp(provider->issuer, "https://acme.okta.com") || !strcmp(provider->issuer, "https://acme.okta.com/"));
    HOLDS(provider->authorization_endpoint && provider->token_endpoint && provider->jwks_uri);
    check_endpoint(provider->authorization_endpoint, pool);
    check_endpoint(provider->token_endpoint, pool);
    check_endpoint(provider->jwks_uri, pool);
    check_endpoint(provider->userinfo_endpoint, pool);
    check_endpoint(provider->end_session_endpoint, pool);
    check_endpoint(provider->par_endpoint, pool);
    return true;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return mutate_json(data, size, max, seed);
}
