/* The redirect URI of OpenID Connect: the code of a login that this browser started becomes an identity; reply.c goes on. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

#define CODE "code" /* what is counted of an address: those that lead to no identity */
#define REFETCH_WINDOW apr_time_from_sec(60) /* of one provider, keys are fetched again once in it, for an unknown kid */

typedef struct callback_t {
    oks_reply_t reply;
    oks_span_t code;
    oks_provider_t at;
    const oks_oidc_tokens_t *tokens;
} callback_t;

/* RFC 9207 2.4: always looked at where it comes, and demanded where the provider says that it sends it. */
static oks_err_t *check_issuer(const callback_t *callback, const apr_array_header_t *params)
{
    oks_span_t issuer;
    apr_pool_t *pool = callback->reply.pool;
    const oks_oidc_provider_t *provider = callback->at.provider;
    OKS_TRY(oks_form_get(&issuer, params, "iss", pool));
    if (issuer.len ? oks_span_eq_z(issuer, provider->issuer) : !provider->iss_in_answers) return NULL;
    return oks_err(pool, OKS_R_OIDC_CALLBACK_ISSUER, "wanted %s, got %s", provider->issuer,
                   issuer.len ? oks_log_escape(issuer, 200, pool) : "none");
}

/* The login that this browser started: without it nothing else of the message is looked at. */
static oks_err_t *read_state(callback_t *callback, const apr_array_header_t *params)
{
    oks_span_t sealed;
    oks_reply_t *reply = &callback->reply;
    OKS_TRY(oks_form_get(&sealed, params, "state", reply->pool));
    if (!sealed.len) return oks_err(reply->pool, OKS_R_OIDC_CALLBACK_UNSOLICITED, NULL);
    oks_err_t *err = oks_state_unseal(&reply->state, reply->flow, reply->org, sealed, reply->pool);
    if (!err && !reply->state->oidc) err = oks_err(reply->pool, OKS_R_CRYPTO_SEAL_BROKEN, "a state of another kind");
    if (err) {
        reply->state = NULL;
        return oks_err_from(reply->pool, OKS_R_FLOW_STATE_UNKNOWN, APR_SUCCESS, err, NULL);
    }
    reply->return_path = reply->state->return_path;
    return oks_state_check(reply->state, reply->request, reply->pool);
}

static oks_err_t *exchange(callback_t *callback)
{
    const oks_reply_t *reply = &callback->reply;
    const char *jti;
    oks_oidc_post_t *post;
    oks_oidc_tokens_t *tokens;
    oks_net_response_t *response;
    apr_pool_t *pool = reply->pool;
    const oks_oidc_grant_t grant = { .code = callback->code, .verifier = oks_state_verifier(reply->state, pool),
                                     .redirect_uri = oks_flow_url(reply->flow, reply->request, "callback", reply->org, pool) };
    OKS_TRY(oks_flow_jti(&jti, pool));
    OKS_TRY(oks_oidc_token_post(&post, callback->at.provider, &reply->org->oidc->client, &grant, jti, reply->request->now, pool));
    OKS_TRY(oks_flow_post(&response, reply->flow, reply->org, post, pool));
    OKS_TRY(oks_flow_told(oks_oidc_tokens_read(&tokens, response->status, response->content_type, response->body, pool), response));
    callback->tokens = tokens;
    return NULL;
}

static oks_oidc_expect_t expectation(const callback_t *callback)
{
    const oks_reply_t *reply = &callback->reply;
    return (oks_oidc_expect_t){
        .provider = callback->at.provider, .keys = callback->at.keys, .client_id = reply->org->oidc->client.id,
        .algorithms = reply->org->oidc->algorithms, .nonce = oks_state_request_id(reply->state, reply->pool),
        .access_token = callback->tokens->access_token, .code = callback->code, .now = reply->request->now,
        .skew = reply->org->skew,
    };
}

/* Keys that were announced since we looked. The token came from the provider itself, over TLS: that's why a visitor may wait for
 * it. One a minute, of all children; everybody else is told to try again. */
static bool refetch(callback_t *callback)
{
    int max_age;
    const oks_reply_t *reply = &callback->reply;
    const oks_flow_t *flow = reply->flow;
    const oks_fetch_t fetch = { .org = reply->org, .http = flow->http };
    const char *limit = apr_pstrcat(reply->pool, "refetch\n", reply->org->metadata_key, NULL);
    if (!oks_limiter_take(flow->limiter, limit, 1, REFETCH_WINDOW, reply->request->now)) return false;
    return !oks_flow_fetch(&max_age, flow->directory, flow->net, &fetch, reply->request->now, reply->pool) &&
           !oks_flow_provider(&callback->at, flow, reply->org, reply->request->now, reply->pool);
}

static oks_err_t *verify(oks_identity_t **identity, callback_t *callback)
{
    oks_span_t token = oks_span_z(callback->tokens->id_token);
    oks_oidc_expect_t expect = expectation(callback);
    oks_err_t *err = oks_oidc_id_token_verify(identity, token, &expect, callback->reply.pool);
    if (!err || err->reason != OKS_R_CRYPTO_JWS_KEY_UNKNOWN || !refetch(callback)) return err;
    expect = expectation(callback);
    return oks_oidc_id_token_verify(identity, token, &expect, callback->reply.pool);
}

/* Okta's ID token is thin when an access token comes with it (OKTA.md B.2.4). */
static oks_err_t *add_userinfo(oks_identity_t *identity, const callback_t *callback)
{
    const oks_reply_t *reply = &callback->reply;
    oks_net_response_t *response;
    const oks_oidc_expect_t expect = expectation(callback);
    const char *url = callback->at.provider->userinfo_endpoint, *token = callback->tokens->access_token;
    if (!url || !*token || !oks_flow_lacks(reply->org, identity, reply->pool)) return NULL;
    const oks_net_request_t request = { .url = url, .authorization = apr_pstrcat(reply->pool, "Bearer ", token, NULL),
                                        .accept = "application/json, application/jwt" };
    OKS_TRY(oks_flow_send(&response, reply->flow, reply->org, &request, reply->pool));
    return oks_flow_told(oks_oidc_userinfo_merge(identity, response->status, response->content_type, response->body, &expect,
                                                 reply->pool), response);
}

/* A state is good for many callbacks, and anybody has one: invented codes are not for the provider to count. */
static oks_err_t *redeem(oks_identity_t **identity, callback_t *callback)
{
    const oks_reply_t *reply = &callback->reply;
    OKS_TRY(oks_flow_may_ask(reply->flow, reply->org, reply->request, CODE, reply->pool));
    OKS_TRY(exchange(callback));
    OKS_TRY(verify(identity, callback));
    oks_flow_asked_well(reply->flow, reply->org, reply->request, CODE, reply->pool);
    return NULL;
}

static oks_err_t *consume(oks_answer_t **answer, callback_t *callback, const apr_array_header_t *params)
{
    const oks_reply_t *reply = &callback->reply;
    oks_identity_t *identity;
    oks_span_t error, description;
    OKS_TRY(read_state(callback, params));
    OKS_TRY(oks_flow_provider(&callback->at, reply->flow, reply->org, reply->request->now, reply->pool));
    OKS_TRY(check_issuer(callback, params));
    OKS_TRY(oks_form_get(&error, params, "error", reply->pool));
    OKS_TRY(oks_form_get(&description, params, "error_description", reply->pool));
    OKS_TRY(oks_form_get(&callback->code, params, "code", reply->pool));
    if (error.len) return oks_oidc_error(error, description, reply->pool);
    if (!callback->code.len) return oks_err(reply->pool, OKS_R_FLOW_PARAMETER_MISSING, "code");
    OKS_TRY(redeem(&identity, callback));
    OKS_TRY(add_userinfo(identity, callback));
    return oks_reply_sign_in(answer, reply, identity);
}

oks_err_t *oks_flow_serve_callback(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                                   const oks_request_t *request, apr_pool_t *pool)
{
    apr_array_header_t *params;
    callback_t callback = { .reply = { .flow = flow, .org = org, .request = request, .return_path = "/", .pool = pool } };
    OKS_TRY(oks_flow_form(&params, request, pool));
    oks_err_t *err = consume(answer, &callback, params);
    return err ? oks_reply_settle(answer, &callback.reply, err) : NULL;
}
