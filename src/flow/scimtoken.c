/* Who may provision: the tokens of an organization, from its configuration and from oktassoctl. */
#include <string.h>

#include <apr_cstr.h>
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

/* One attempt a minute, of all children: a read stays a read, also where nothing can be written (a full disk, others who write). */
static void note_use(const oks_flow_t *flow, const unsigned char *digest, const char *id, apr_time_t now, apr_pool_t *pool)
{
    if (!oks_limiter_take(flow->limiter, apr_pstrcat(pool, "used\n", id, NULL), 1, OKS_TOKEN_USED_AGAIN, now)) return;
    const oks_err_t *unnoted = oks_directory_token_used(flow->directory, digest, now, pool);
    (void)unnoted;
}

/* Looked for by its hash: how long that takes tells nothing of the token. What does not look like one of oktassoctl's is not asked
 * of the directory. */
static oks_err_t *is_known(bool *known, const char **id, const oks_flow_t *flow, const oks_org_t *org, oks_span_t token,
                           apr_time_t now, apr_pool_t *pool)
{
    static const char prefix[] = OKS_TOKEN_PREFIX;
    unsigned char digest[OKS_SHA256_LEN];
    bool stale = false;
    *known = false;
    if (!token.len) return NULL;
    oks_sha256(digest, token);
    *known = is_configured(org, digest);
    if (!*known && token.len > sizeof prefix - 1 && memcmp(token.ptr, prefix, sizeof prefix - 1) == 0)
        OKS_TRY(oks_directory_token_known(known, &stale, flow->directory, org->name, digest, now, pool));
    *id = apr_pstrmemdup(pool, oks_hex_encode(oks_span((const char *)digest, sizeof digest), pool), OKS_TOKEN_ID_LEN);
    if (stale) note_use(flow, digest, *id, now, pool);
    return NULL;
}

/* Nothing of the header is shown: it may be the token. */
static oks_err_t *missing(const oks_org_t *org, const char *header, apr_pool_t *pool)
{
    if (*header && !strchr(header, ' ') && !org->scim_bare_token)
        return oks_err(pool, OKS_R_SCIM_TOKEN_MISSING, "Authorization has no \"Bearer \": for the token alone write "
                       "OktaSSOSCIM On bare-token");
    return oks_err(pool, OKS_R_SCIM_TOKEN_MISSING, *header ? "Authorization is of another kind than Bearer" : "no Authorization");
}

/* RFC 6750 2.1; or, where the organization says so, the bare token. NULL when there is none. */
static const char *token_of(const oks_org_t *org, const char *header)
{
    if (apr_cstr_casecmpn(header, BEARER, BEARER_LEN) == 0) return header + BEARER_LEN;
    return org->scim_bare_token && *header && !strchr(header, ' ') ? header : NULL;
}

oks_err_t *oks_flow_scim_authorize(const char **id, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                                   apr_pool_t *pool)
{
    const char *limit = apr_pstrcat(pool, "scim\n", org->name, "\n", oks_flow_client_net(request->client, pool), NULL);
    const char *token = token_of(org, request->authorization);
    bool known = false;
    if (token) OKS_TRY(is_known(&known, id, flow, org, oks_span_trim(oks_span_z(token)), request->now, pool));
    if (known) return NULL; /* whatever others have guessed */
    if (!oks_limiter_allows(flow->limiter, limit, OKS_FLOW_FAILURES_MAX, OKS_FLOW_FAILURES_WINDOW, request->now))
        return oks_err(pool, OKS_R_SCIM_TOKEN_LIMITED, NULL);
    if (!token) return missing(org, request->authorization, pool);
    oks_limiter_fail(flow->limiter, limit, OKS_FLOW_FAILURES_WINDOW, request->now);
    return oks_err(pool, OKS_R_SCIM_TOKEN_WRONG, NULL);
}
