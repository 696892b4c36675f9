/* oidc: discovery, requests, and tokens -> identity. Pure: time, random values, keys and the other side's answers are
 * arguments; what goes over the network is built here and carried by the room flow. */
#ifndef OKTASSO_OIDC_H
#define OKTASSO_OIDC_H

#include "oktasso/base.h"
#include "oktasso/crypto.h"
#include "oktasso/identity.h"

#define OKS_OIDC_DISCOVERY_MAX (256 * 1024) /* bytes of a discovery document */
#define OKS_OIDC_ANSWER_MAX (256 * 1024)    /* bytes of a token, userinfo or PAR answer */
#define OKS_OIDC_CLAIMS_MAX 1000            /* of an ID token, and of userinfo */

/* ---- The provider ---------------------------------------------------------------------------------------------- */

/* One OpenID provider, out of its discovery document. Read-only once made. Every endpoint is https (http for loopback). */
typedef struct oks_oidc_provider_t {
    const char *issuer;
    const char *authorization_endpoint;
    const char *token_endpoint;
    const char *jwks_uri;
    const char *userinfo_endpoint;      /* or NULL, and so on below */
    const char *end_session_endpoint;
    const char *par_endpoint;           /* pushed_authorization_request_endpoint, RFC 9126 */
    bool par_required;                  /* require_pushed_authorization_requests */
    bool iss_in_answers;                /* authorization_response_iss_parameter_supported, RFC 9207 */
    unsigned auth_methods;              /* oks_oidc_auth_t bits; client_secret_basic when nothing is said */
} oks_oidc_provider_t;

/* Where discovery is for what the administrator wrote: a URL with a path of its own is taken as it is; "acme.okta.com" or
 * "https://acme.okta.com[/oauth2/default]" gets "/.well-known/openid-configuration". NULL: not a domain and no URL. */
const char *oks_oidc_discovery_url(const char *written, apr_pool_t *pool);
/* Told apart by content: does the document begin as JSON does (and not as XML)? */
bool oks_oidc_is_discovery(oks_span_t document);

/* Reads a discovery document that came from `url`. Its issuer plus "/.well-known/openid-configuration" must be that URL,
 * the query apart (OIDC Discovery 4.3); NULL: a file of the administrator's, whose issuer is taken as it is. Endpoints are https;
 * on loopback only when `url` is there too, or NULL. All in `pool`.
 * Reasons: oidc.discovery.*, base.json.*. */
oks_err_t *oks_oidc_discovery_parse(oks_oidc_provider_t **provider, oks_span_t json, const char *url, apr_pool_t *pool)
    OKS_MUST_USE;

/* ---- The client ------------------------------------------------------------------------------------------------ */

typedef enum oks_oidc_auth_t {
    OKS_OIDC_AUTH_BASIC = 1, OKS_OIDC_AUTH_POST = 2, OKS_OIDC_AUTH_PRIVATE_KEY_JWT = 4, OKS_OIDC_AUTH_NONE = 8
} oks_oidc_auth_t;

typedef struct oks_oidc_client_t {
    const char *id;
    const char *secret;             /* or NULL */
    const oks_jws_key_t *key;       /* private_key_jwt; or NULL */
    unsigned auth;                  /* one oks_oidc_auth_t; 0: by key, else by secret (basic, or post when only that is
                                     * offered), else none */
} oks_oidc_client_t;

/* ---- Authorization request (OIDC Core 3.1.2.1, RFC 7636, RFC 9126) --------------------------------------------- */

typedef struct oks_oidc_request_t {
    const oks_oidc_provider_t *provider;
    const oks_oidc_client_t *client;
    const char *redirect_uri;
    const char *scope;
    const char *state;              /* sealed, base64url: Okta allows alphanumerics and , . _ - */
    const char *nonce;
    const char *verifier;           /* PKCE, 43 to 128 unreserved characters (RFC 7636 4.1); only its S256 challenge is sent */
    bool form_post;
    const char *prompt;             /* or NULL, and so on below */
    const char *login_hint;
    const char *acr_values;
    int64_t max_age;                /* seconds; -1: not sent */
} oks_oidc_request_t;

/* The URL to send the browser to. */
const char *oks_oidc_authorization_url(const oks_oidc_request_t *request, apr_pool_t *pool);

/* A form to post from here to the provider (token endpoint, PAR), the client's authentication included. */
typedef struct oks_oidc_post_t {
    const char *url;
    const char *body;               /* application/x-www-form-urlencoded */
    const char *authorization;      /* the Authorization header's value, or NULL */
} oks_oidc_post_t;

/* `jti` is fresh and random: of a client assertion, whose aud is the endpoint's URL (OKTA.md B.2.6). base.internal.error. */
oks_err_t *oks_oidc_par_post(oks_oidc_post_t **post, const oks_oidc_request_t *request, const char *jti, apr_time_t now,
                             apr_pool_t *pool) OKS_MUST_USE;
/* The URL to send the browser to, out of the PAR endpoint's answer. Reasons: oidc.error.*, oidc.answer.malformed. */
oks_err_t *oks_oidc_par_url(const char **url, const oks_oidc_request_t *request, int status, oks_span_t body,
                            apr_pool_t *pool) OKS_MUST_USE;

/* ---- Answers --------------------------------------------------------------------------------------------------- */

/* An error that the provider reported (error, error_description of a callback or of an answer) as the reason that helps best
 * (OKTA.md B.2.3). The description is escaped and cut: it's the operator's detail, never the page's text. */
oks_err_t *oks_oidc_error(oks_span_t error, oks_span_t description, apr_pool_t *pool) OKS_MUST_USE;

/* What a code is exchanged with (RFC 6749 4.1.3, RFC 7636 4.5). */
typedef struct oks_oidc_grant_t {
    oks_span_t code;
    const char *redirect_uri;
    const char *verifier;
} oks_oidc_grant_t;
/* `jti` as for oks_oidc_par_post. base.internal.error. */
oks_err_t *oks_oidc_token_post(oks_oidc_post_t **post, const oks_oidc_provider_t *provider, const oks_oidc_client_t *client,
                               const oks_oidc_grant_t *grant, const char *jti, apr_time_t now, apr_pool_t *pool) OKS_MUST_USE;

typedef struct oks_oidc_tokens_t {
    const char *id_token;
    const char *access_token;       /* "" when none came */
} oks_oidc_tokens_t;
/* Reads the token endpoint's answer (OIDC Core 3.1.3.3). Reasons: oidc.error.*, oidc.answer.*, base.json.*. */
oks_err_t *oks_oidc_tokens_read(oks_oidc_tokens_t **tokens, int status, const char *content_type, oks_span_t body,
                                apr_pool_t *pool) OKS_MUST_USE;

/* What an ID token is judged against. */
typedef struct oks_oidc_expect_t {
    const oks_oidc_provider_t *provider;
    const oks_jwks_t *keys;
    const char *client_id;
    unsigned algorithms;            /* oks_jws_algorithm_t bits; 0: all that are implemented */
    const char *nonce;              /* required: equal to the letter */
    const char *access_token;       /* for at_hash, when the token has it; "" or NULL: none */
    oks_span_t code;                /* for c_hash, when the token has it; its hash becomes identity->assertion_id */
    apr_time_t now;
    apr_interval_time_t skew;
} oks_oidc_expect_t;

/* The one function that verifies an ID token (SECURITY.md 24; OIDC Core 3.1.3.7). Claims become attributes: strings, numbers
 * and booleans as text, arrays of these as several values; objects are left out. Reasons: crypto.jws.*, oidc.token.*,
 * base.json.*. crypto.jws.key_unknown asks for one refetch of the JWKS. */
oks_err_t *oks_oidc_id_token_verify(oks_identity_t **identity, oks_span_t token, const oks_oidc_expect_t *expect,
                                    apr_pool_t *pool) OKS_MUST_USE;

/* Adds what userinfo says and the identity does not have yet; its sub must be the identity's (OIDC Core 5.3.2). JSON, or a
 * signed JWT (application/jwt). Reasons: oidc.userinfo.*, oidc.error.limited, oidc.token.issuer, crypto.jws.*, base.json.*. */
oks_err_t *oks_oidc_userinfo_merge(oks_identity_t *identity, int status, const char *content_type, oks_span_t body,
                                   const oks_oidc_expect_t *expect, apr_pool_t *pool) OKS_MUST_USE;

/* ---- Logout (OIDC RP-Initiated Logout 1.0) --------------------------------------------------------------------- */

/* The provider's sign-out URL; NULL when it has none. id_token and post_logout_redirect_uri may be NULL. */
const char *oks_oidc_end_session_url(const oks_oidc_provider_t *provider, const char *client_id, const char *id_token,
                                     const char *post_logout_redirect_uri, apr_pool_t *pool);

#endif
