/* Who may provision: the tokens of an organization, from its configuration and from oktassoctl. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

#define BEARER "Bearer "
#define BEARER_LEN (sizeof BEARER - 1)

static bool is_configured(const oks_org_t *org, const unsigned char *digest)
{
    bool known = false;
    for (int i = 0; org->scim_tokens && i < org->scim_tokens->nelts; i++)
        if (oks_secret_eq(oks_span(APR_ARRAY_IDX(org->scim_tokens, i, const char *), OKS_SHA256_LEN),
                          oks_span((const char *)digest, OKS_SHA256_LEN))) known = true;
    return known;
}

/* Looked for by its hash: how long that takes tells nothing of the token. */
static oks_err_t *is_known(bool *known, const oks_flow_t *flow, const oks_org_t *org, oks_span_t token, apr_time_t now,
                           apr_pool_t *pool)
{
    unsigned char digest[OKS_SHA256_LEN];
    *known = false;
    if (!token.len) return NULL;
    oks_sha256(digest, token);
    *known = is_configured(org, digest);
    return *known ? NULL : oks_directory_token_known(known, flow->directory, org->name, digest, now, pool);
}

/* RFC 6750 2.1; or, where the organization says so, the bare token. NULL when there is none. */
static const char *token_of(const oks_org_t *org, const char *header)
{
    if (strncasecmp(header, BEARER, BEARER_LEN) == 0) return header + BEARER_LEN;
    return org->scim_bare_token && *header && !strchr(header, ' ') ? header : NULL;
}

oks_err_t *oks_flow_scim_authorize(const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request, apr_pool_t *pool)
{
    const char *limit = apr_pstrcat(pool, "scim\n", org->name, "\n", request->client, NULL);
    const char *token = token_of(org, request->authorization);
    bool known = false;
    if (token) OKS_TRY(is_known(&known, flow, org, oks_span_trim(oks_span_z(token)), request->now, pool));
    if (known) return NULL; /* whatever others have guessed */
    if (!oks_limiter_allows(flow->limiter, limit, OKS_FLOW_FAILURES_MAX, OKS_FLOW_FAILURES_WINDOW, request->now))
        return oks_err(pool, OKS_R_SCIM_TOKEN_LIMITED, NULL);
    if (!token) return oks_err(pool, OKS_R_SCIM_TOKEN_MISSING, NULL);
    oks_limiter_fail(flow->limiter, limit, OKS_FLOW_FAILURES_WINDOW, request->now);
    return oks_err(pool, OKS_R_SCIM_TOKEN_WRONG, NULL);
}
