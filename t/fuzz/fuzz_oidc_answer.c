/* What the token and PAR endpoints answer. */
#include "fuzz.h"
#include "mutate.h"
#include "oktasso/oidc.h"

#define JSON "application/json"
#define URL "https://acme.okta.com/authorize?client_id=id&request_uri="

static const oks_oidc_provider_t provider = { .issuer = "https://acme.okta.com",
                                              .authorization_endpoint = "https://acme.okta.com/authorize" };
static const oks_oidc_client_t client = { .id = "id" };
static const oks_oidc_request_t request = { .provider = &provider, .client = &client };

void fuzz_start(apr_pool_t *pool)
{
}

static bool tokens(oks_span_t body, apr_pool_t *pool)
{
    oks_oidc_tokens_t *read;
    HOLDS(oks_oidc_tokens_read(&read, 400, JSON, body, pool) && oks_oidc_tokens_read(&read, 503, "text/html", body, pool));
    HOLDS(oks_oidc_tokens_read(&read, 200, "text/html", body, pool));
    if (oks_oidc_tokens_read(&read, 200, JSON, body, pool)) return false;
    HOLDS(*read->id_token && read->access_token);
    return true;
}

bool fuzz_one(oks_span_t body, apr_pool_t *pool)
{
    const char *url;
    bool token = tokens(body, pool), pushed = !oks_oidc_par_url(&url, &request, 201, body, pool);
    if (pushed) HOLDS(!strncmp(url, URL, sizeof URL - 1) && !strpbrk(url, "\r\n \"<>"));
    const char *text = oks_err_text(oks_oidc_error(body, body, pool), pool);
    for (; *text; text++) HOLDS((unsigned char)*text >= ' ');
    return token || pushed;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return mutate_json(data, size, max, seed);
}
