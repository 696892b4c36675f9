/* What is sent: the browser's authorization request, and our own posts with the client's authentication. */
#include <string.h>

#include <apr_strings.h>

#include "oidc_private.h"

#define ASSERTION_SECONDS 300 /* of a client assertion; Okta takes an hour at most */
#define ASSERTION_TYPE "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const char *oks_oidc_add(const char *query, const char *name, const char *value, apr_pool_t *pool)
{
    if (!value) return query;
    return apr_pstrcat(pool, query, *query ? "&" : "", name, "=", oks_url_encode(value, pool), NULL);
}

static const char *with_query(const char *url, const char *query, apr_pool_t *pool)
{
    return apr_pstrcat(pool, url, strchr(url, '?') ? "&" : "?", query, NULL);
}

/* RFC 7636 4.2 */
static const char *challenge(const char *verifier, apr_pool_t *pool)
{
    unsigned char digest[OKS_SHA256_LEN];
    oks_sha256(digest, oks_span_z(verifier));
    return oks_base64url_encode(oks_span((char *)digest, sizeof digest), pool);
}

/* OIDC Core 3.1.2.1 */
static const char *parameters(const oks_oidc_request_t *request, apr_pool_t *pool)
{
    const char *query = oks_oidc_add("", "response_type", "code", pool);
    query = oks_oidc_add(query, "client_id", request->client->id, pool);
    query = oks_oidc_add(query, "redirect_uri", request->redirect_uri, pool);
    query = oks_oidc_add(query, "scope", request->scope, pool);
    query = oks_oidc_add(query, "state", request->state, pool);
    query = oks_oidc_add(query, "nonce", request->nonce, pool);
    query = oks_oidc_add(query, "code_challenge", challenge(request->verifier, pool), pool);
    query = oks_oidc_add(query, "code_challenge_method", "S256", pool);
    query = oks_oidc_add(query, "response_mode", request->form_post ? "form_post" : NULL, pool);
    query = oks_oidc_add(query, "prompt", request->prompt, pool);
    query = oks_oidc_add(query, "login_hint", request->login_hint, pool);
    query = oks_oidc_add(query, "acr_values", request->acr_values, pool);
    if (request->max_age < 0) return query;
    return oks_oidc_add(query, "max_age", apr_psprintf(pool, "%" APR_INT64_T_FMT, request->max_age), pool);
}

const char *oks_oidc_authorization_url(const oks_oidc_request_t *request, apr_pool_t *pool)
{
    return with_query(request->provider->authorization_endpoint, parameters(request, pool), pool);
}

/* ---- Client authentication (OIDC Core 9) ---- */

static unsigned choose(const oks_oidc_client_t *client, const oks_oidc_provider_t *provider)
{
    if (client->auth) return client->auth;
    if (client->key) return OKS_OIDC_AUTH_PRIVATE_KEY_JWT;
    if (!client->secret) return OKS_OIDC_AUTH_NONE;
    bool only_post = (provider->auth_methods & (OKS_OIDC_AUTH_BASIC | OKS_OIDC_AUTH_POST)) == OKS_OIDC_AUTH_POST;
    return only_post ? OKS_OIDC_AUTH_POST : OKS_OIDC_AUTH_BASIC;
}

/* RFC 6749 2.3.1: both are form-encoded before they are joined. */
static const char *basic(const oks_oidc_client_t *client, apr_pool_t *pool)
{
    const char *pair = apr_pstrcat(pool, oks_url_encode(client->id, pool), ":", oks_url_encode(client->secret, pool), NULL);
    return apr_pstrcat(pool, "Basic ", oks_base64_encode(oks_span_z(pair), pool), NULL);
}

/* RFC 7523 3; Okta wants the endpoint's own URL as audience. */
static oks_err_t *assertion(const char **token, const oks_oidc_client_t *client, const char *url, const char *jti, apr_time_t now,
                            apr_pool_t *pool)
{
    json_int_t seconds = apr_time_sec(now);
    const char *claims = oks_json_text(json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "iss", client->id, "sub", client->id, "aud", url,
                                                 "jti", jti, "iat", seconds, "exp", seconds + ASSERTION_SECONDS), pool);
    if (!claims) return oks_err(pool, OKS_R_INTERNAL, "a client assertion");
    return oks_jws_sign(token, client->key, NULL, oks_span_z(claims), pool);
}

/* `named`: the body says client_id already. */
static oks_err_t *authenticate(oks_oidc_post_t *post, bool named, const oks_oidc_provider_t *provider,
                               const oks_oidc_client_t *client, const char *jti, apr_time_t now, apr_pool_t *pool)
{
    const char *token;
    unsigned auth = choose(client, provider);
    if (auth == OKS_OIDC_AUTH_BASIC) {
        post->authorization = basic(client, pool);
        return NULL;
    }
    if (!named) post->body = oks_oidc_add(post->body, "client_id", client->id, pool);
    if (auth == OKS_OIDC_AUTH_POST) post->body = oks_oidc_add(post->body, "client_secret", client->secret, pool);
    if (auth != OKS_OIDC_AUTH_PRIVATE_KEY_JWT) return NULL;
    OKS_TRY(assertion(&token, client, post->url, jti, now, pool));
    post->body = oks_oidc_add(post->body, "client_assertion_type", ASSERTION_TYPE, pool);
    post->body = oks_oidc_add(post->body, "client_assertion", token, pool);
    return NULL;
}

/* ---- Posts ---- */

oks_err_t *oks_oidc_par_post(oks_oidc_post_t **post, const oks_oidc_request_t *request, const char *jti, apr_time_t now,
                             apr_pool_t *pool)
{
    oks_oidc_post_t *made = apr_pcalloc(pool, sizeof *made);
    made->url = request->provider->par_endpoint;
    made->body = parameters(request, pool);
    *post = made;
    return authenticate(made, true, request->provider, request->client, jti, now, pool);
}

oks_err_t *oks_oidc_par_url(const char **url, const oks_oidc_request_t *request, int status, oks_span_t body, apr_pool_t *pool)
{
    json_t *json;
    OKS_TRY(oks_oidc_check_answer(&json, status, body, pool));
    const char *uri = oks_json_string(json, "request_uri");
    if (!uri || !*uri) return oks_err(pool, OKS_R_OIDC_ANSWER_MALFORMED, "no request_uri");
    const char *query = oks_oidc_add(oks_oidc_add("", "client_id", request->client->id, pool), "request_uri", uri, pool);
    *url = with_query(request->provider->authorization_endpoint, query, pool);
    return NULL;
}

oks_err_t *oks_oidc_token_post(oks_oidc_post_t **post, const oks_oidc_provider_t *provider, const oks_oidc_client_t *client,
                               const oks_oidc_grant_t *grant, const char *jti, apr_time_t now, apr_pool_t *pool)
{
    oks_oidc_post_t *made = apr_pcalloc(pool, sizeof *made);
    made->url = provider->token_endpoint;
    made->body = oks_oidc_add("", "grant_type", "authorization_code", pool);
    made->body = oks_oidc_add(made->body, "code", oks_span_dup(grant->code, pool), pool);
    made->body = oks_oidc_add(made->body, "redirect_uri", grant->redirect_uri, pool);
    made->body = oks_oidc_add(made->body, "code_verifier", grant->verifier, pool);
    *post = made;
    return authenticate(made, false, provider, client, jti, now, pool);
}

const char *oks_oidc_end_session_url(const oks_oidc_provider_t *provider, const char *client_id, const char *id_token,
                                     const char *post_logout_redirect_uri, apr_pool_t *pool)
{
    if (!provider->end_session_endpoint) return NULL;
    const char *query = oks_oidc_add(oks_oidc_add("", "id_token_hint", id_token, pool), "client_id", client_id, pool);
    query = oks_oidc_add(query, "post_logout_redirect_uri", post_logout_redirect_uri, pool);
    return with_query(provider->end_session_endpoint, query, pool);
}
