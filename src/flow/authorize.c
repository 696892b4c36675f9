/* Starting a login by OpenID Connect, and our own requests to a provider. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

#define JTI_BYTES 16

oks_err_t *oks_flow_send(oks_net_response_t **response, const oks_flow_t *flow, const oks_org_t *org,
                         const oks_net_request_t *request, apr_pool_t *pool)
{
    oks_net_request_t mine = *request;
    mine.timeout = flow->http->timeout;
    mine.ca_file = flow->http->ca_file;
    mine.proxy = flow->http->proxy;
    mine.reach = org->reach;
    return oks_net_send(response, flow->net, &mine, pool);
}

oks_err_t *oks_flow_post(oks_net_response_t **response, const oks_flow_t *flow, const oks_org_t *org, const oks_oidc_post_t *post,
                         apr_pool_t *pool)
{
    const oks_net_request_t request = { .url = post->url, .form = post->body, .authorization = post->authorization,
                                        .accept = "application/json" };
    return oks_flow_send(response, flow, org, &request, pool);
}

oks_err_t *oks_flow_told(oks_err_t *err, const oks_net_response_t *response)
{
    if (err && response->retry_after > 0) err->retry_after = response->retry_after;
    return err;
}

oks_err_t *oks_flow_jti(const char **jti, apr_pool_t *pool)
{
    unsigned char bytes[JTI_BYTES];
    OKS_TRY(oks_random_bytes(bytes, sizeof bytes, pool));
    *jti = oks_hex_encode(oks_span((char *)bytes, sizeof bytes), pool);
    return NULL;
}

/* acr_values: separated by blanks. */
static const char *joined(const char *const *contexts, apr_pool_t *pool)
{
    const char *text = NULL;
    for (; contexts && *contexts; contexts++) text = text ? apr_pstrcat(pool, text, " ", *contexts, NULL) : *contexts;
    return text;
}

static const char *limit_of(const oks_org_t *org, const oks_request_t *request, const char *what, apr_pool_t *pool)
{
    return apr_pstrcat(pool, what, "\n", org->name, "\n", oks_flow_client_net(request->client, pool), NULL);
}

oks_err_t *oks_flow_may_ask(const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request, const char *what,
                            apr_pool_t *pool)
{
    const char *key = limit_of(org, request, what, pool);
    if (oks_limiter_take(flow->limiter, key, OKS_FLOW_PUSHED_MAX, OKS_FLOW_PUSHED_WINDOW, request->now)) return NULL;
    oks_err_t *err = oks_err(pool, OKS_R_FLOW_LOGIN_LIMITED, "%s, from %s", what, request->client);
    err->retry_after = (int)apr_time_sec(OKS_FLOW_PUSHED_WINDOW);
    return err;
}

void oks_flow_asked_well(const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request, const char *what,
                         apr_pool_t *pool)
{
    oks_limiter_give(flow->limiter, limit_of(org, request, what, pool), OKS_FLOW_PUSHED_WINDOW, request->now);
}

/* RFC 9126: what is asked goes to the provider behind the browser's back, which only brings a reference. */
static oks_err_t *push(const char **url, const oks_flow_t *flow, const oks_org_t *org, const oks_oidc_request_t *request,
                       apr_time_t now, apr_pool_t *pool)
{
    const char *jti;
    oks_oidc_post_t *post;
    oks_net_response_t *response;
    if (!request->provider->par_endpoint)
        return oks_err(pool, OKS_R_OIDC_DISCOVERY_ENDPOINT,
                       "pushed_authorization_request_endpoint is missing, which OktaSSOPAR needs");
    OKS_TRY(oks_flow_jti(&jti, pool));
    OKS_TRY(oks_oidc_par_post(&post, request, jti, now, pool));
    OKS_TRY(oks_flow_post(&response, flow, org, post, pool));
    return oks_flow_told(oks_oidc_par_url(url, request, response->status, response->body, pool), response);
}

oks_err_t *oks_flow_authorize(const char **url, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                              const oks_state_t *state, const char *sealed, const oks_start_t *start, apr_pool_t *pool)
{
    oks_provider_t at;
    const oks_demand_t *demand = &state->demand;
    OKS_TRY(oks_flow_provider(&at, flow, org, request->now, pool));
    const oks_oidc_request_t asked = {
        .provider = at.provider, .client = &org->oidc->client, .redirect_uri = oks_flow_url(flow, request, "callback", org, pool),
        .scope = org->oidc->scope, .state = sealed, .nonce = oks_state_request_id(state, pool),
        .verifier = oks_state_verifier(state, pool), .form_post = org->oidc->form_post,
        .prompt = demand->force ? "login" : start->prompt, .login_hint = start->login_hint,
        .acr_values = joined(demand->authn_contexts, pool), .max_age = demand->max_age ? apr_time_sec(demand->max_age) : -1,
    };
    if (org->oidc->par || at.provider->par_required) {
        OKS_TRY(oks_flow_may_ask(flow, org, request, "pushed", pool));
        return push(url, flow, org, &asked, request->now, pool);
    }
    *url = oks_oidc_authorization_url(&asked, pool);
    return NULL;
}
