/* ID token -> identity, by one function (SECURITY.md 24; OIDC Core 3.1.3.7); and what userinfo adds to it. */
#include <string.h>

#include <apr_strings.h>
#include <openssl/evp.h>

#include "oidc_private.h"

#define SUBJECT_MAX 255           /* bytes (OIDC Core 2) */
#define SECONDS_MAX 253402300799.0 /* the year 9999 */

static oks_err_t *malformed(const char *claim, apr_pool_t *pool)
{
    return oks_err(pool, OKS_R_OIDC_TOKEN_MALFORMED, "claim \"%s\"", claim);
}

/* A NumericDate; *time is 0 when it is absent and may be. */
static oks_err_t *read_time(apr_time_t *time, const json_t *claims, const char *name, bool required, apr_pool_t *pool)
{
    const json_t *value = json_object_get(claims, name);
    *time = 0;
    if (!value && !required) return NULL;
    if (!json_is_number(value)) return malformed(name, pool);
    double seconds = json_number_value(value);
    if (!(seconds > 0 && seconds <= SECONDS_MAX)) return malformed(name, pool);
    *time = apr_time_from_sec((apr_time_t)seconds);
    return NULL;
}

static oks_err_t *check_audience(const json_t *claims, const char *client_id, apr_pool_t *pool)
{
    const json_t *aud = json_object_get(claims, "aud"), *azp = json_object_get(claims, "azp");
    bool ours = json_is_string(aud) && strcmp(json_string_value(aud), client_id) == 0;
    size_t i;
    json_t *each;
    json_array_foreach(aud, i, each) {
        if (!json_is_string(each)) return malformed("aud", pool);
        ours = ours || strcmp(json_string_value(each), client_id) == 0;
    }
    if (!aud || !(json_is_string(aud) || json_is_array(aud))) return malformed("aud", pool);
    if (azp && !json_is_string(azp)) return malformed("azp", pool);
    if (azp ? strcmp(json_string_value(azp), client_id) != 0 : json_array_size(aud) > 1)
        return oks_err(pool, OKS_R_OIDC_TOKEN_AUDIENCE, "azp \"%s\", wanted %s",
                       oks_log_escape(oks_span_z(json_string_value(azp)), 120, pool), client_id);
    return ours ? NULL : oks_err(pool, OKS_R_OIDC_TOKEN_AUDIENCE, "aud \"%s\", wanted %s",
                                 oks_log_escape(oks_span_z(json_string_value(aud)), 120, pool), client_id);
}

static oks_err_t *wrong_time(const oks_oidc_expect_t *expect, oks_reason_t reason, const char *claim, apr_time_t said,
                             apr_pool_t *pool)
{
    return oks_err(pool, reason, "%s %s; %s", claim, oks_time_format(said, pool), oks_time_here(expect->now, expect->skew, pool));
}

static oks_err_t *check_times(apr_time_t *end, const json_t *claims, const oks_oidc_expect_t *expect, apr_pool_t *pool)
{
    apr_time_t issued, before;
    OKS_TRY(read_time(end, claims, "exp", true, pool));
    OKS_TRY(read_time(&issued, claims, "iat", true, pool));
    OKS_TRY(read_time(&before, claims, "nbf", false, pool));
    if (*end + expect->skew <= expect->now) return wrong_time(expect, OKS_R_OIDC_TOKEN_EXPIRED, "exp", *end, pool);
    if (issued > expect->now + expect->skew) return wrong_time(expect, OKS_R_OIDC_TOKEN_EARLY, "iat", issued, pool);
    if (before > expect->now + expect->skew) return wrong_time(expect, OKS_R_OIDC_TOKEN_EARLY, "nbf", before, pool);
    return NULL;
}

/* The left half of the hash by the token's own algorithm (OIDC Core 3.1.3.6). */
static bool half_hash_ok(const char *said, oks_span_t text, const char *digest, apr_pool_t *pool)
{
    unsigned char hash[EVP_MAX_MD_SIZE];
    size_t len = 0;
    if (EVP_Q_digest(NULL, digest, NULL, text.ptr ? text.ptr : "", text.len, hash, &len) != 1) return false;
    return strcmp(said, oks_base64url_encode(oks_span((char *)hash, len / 2), pool)) == 0;
}

static oks_err_t *check_hash(const json_t *claims, const char *name, oks_span_t text, const char *digest, apr_pool_t *pool)
{
    const json_t *value = json_object_get(claims, name);
    if (!value) return NULL;
    if (!json_is_string(value)) return malformed(name, pool);
    if (text.len && half_hash_ok(json_string_value(value), text, digest, pool)) return NULL;
    return oks_err(pool, OKS_R_OIDC_TOKEN_HASH, "%s", name);
}

static oks_err_t *check_claims(apr_time_t *end, const json_t *claims, const char *digest, const oks_oidc_expect_t *expect,
                               apr_pool_t *pool)
{
    const char *issuer = oks_json_string(claims, "iss"), *nonce = oks_json_string(claims, "nonce");
    const char *sub = oks_json_string(claims, "sub");
    if (!issuer) return malformed("iss", pool);
    if (strcmp(issuer, expect->provider->issuer) != 0)
        return oks_err(pool, OKS_R_OIDC_TOKEN_ISSUER, "wanted %s, got %s", expect->provider->issuer,
                       oks_log_escape(oks_span_z(issuer), 200, pool));
    OKS_TRY(check_audience(claims, expect->client_id, pool));
    OKS_TRY(check_times(end, claims, expect, pool));
    if (!nonce || strcmp(nonce, expect->nonce) != 0) return oks_err(pool, OKS_R_OIDC_TOKEN_NONCE, nonce ? "another one" : "none");
    /* Blanks at the ends or control characters would make two names of one, or one of two. */
    if (!sub || !*sub || strlen(sub) > SUBJECT_MAX || strcmp(oks_value_sanitize(sub, pool), sub) != 0)
        return malformed("sub", pool);
    OKS_TRY(check_hash(claims, "at_hash", oks_span_z(expect->access_token), digest, pool));
    return check_hash(claims, "c_hash", expect->code, digest, pool);
}

/* ---- Claims as attributes ---- */

static const char *text_of(const json_t *value, apr_pool_t *pool)
{
    if (json_is_string(value)) return oks_span_dup(oks_span_trim(oks_span_z(json_string_value(value))), pool);
    if (json_is_boolean(value)) return json_is_true(value) ? "true" : "false";
    if (json_is_integer(value)) return apr_psprintf(pool, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    if (json_is_real(value)) return apr_psprintf(pool, "%.17g", json_real_value(value));
    return NULL;
}

/* An object is nothing that a header could carry; address, the one of OIDC Core, has its text in "formatted". */
static void add_claim(oks_identity_t *identity, const char *name, const json_t *value, apr_pool_t *pool)
{
    size_t i;
    json_t *each;
    const char *text;
    if (oks_identity_attribute(identity, name)) return;
    if (json_is_object(value)) value = json_object_get(value, "formatted");
    apr_array_header_t *values = apr_array_make(pool, 1, sizeof(const char *));
    if ((text = text_of(value, pool))) APR_ARRAY_PUSH(values, const char *) = text;
    json_array_foreach(value, i, each)
        if ((text = text_of(each, pool))) APR_ARRAY_PUSH(values, const char *) = text;
    if (!values->nelts && !json_is_array(value)) return;
    oks_attribute_t *attribute = apr_array_push(identity->attributes);
    attribute->name = apr_pstrdup(pool, name);
    attribute->values = values;
}

static oks_err_t *add_claims(oks_identity_t *identity, const json_t *claims, apr_pool_t *pool)
{
    const char *name;
    json_t *value;
    if (json_object_size(claims) > OKS_OIDC_CLAIMS_MAX)
        return oks_err(pool, OKS_R_BASE_JSON_TOO_LARGE, "more than %d claims", OKS_OIDC_CLAIMS_MAX);
    json_object_foreach((json_t *)(uintptr_t)claims, name, value) add_claim(identity, name, value, pool);
    return NULL;
}

oks_err_t *oks_oidc_id_token_verify(oks_identity_t **identity, oks_span_t token, const oks_oidc_expect_t *expect, apr_pool_t *pool)
{
    oks_span_t payload;
    json_t *claims;
    const char *digest;
    apr_time_t end;
    unsigned char hash[OKS_SHA256_LEN];
    oks_identity_t *made = apr_pcalloc(pool, sizeof(oks_identity_t));
    OKS_TRY(oks_jws_verify(&payload, &digest, token, expect->keys, expect->algorithms, NULL, pool));
    OKS_TRY(oks_json_parse(&claims, payload, OKS_JWS_TOKEN_MAX, pool));
    OKS_TRY(check_claims(&end, claims, digest, expect, pool));
    OKS_TRY(read_time(&made->authn_instant, claims, "auth_time", false, pool));
    oks_sha256(hash, expect->code);
    made->protocol = "oidc";
    made->issuer = expect->provider->issuer;
    made->subject = apr_pstrdup(pool, oks_json_string(claims, "sub"));
    made->subject_format = "";
    made->assertion_id = oks_hex_encode(oks_span((char *)hash, sizeof hash), pool);
    made->claim_until = end + expect->skew;
    made->in_response_to = expect->nonce;
    made->session_index = apr_pstrdup(pool, oks_json_string(claims, "sid"));
    made->authn_context = apr_pstrdup(pool, oks_json_string(claims, "acr"));
    made->attributes = apr_array_make(pool, 16, sizeof(oks_attribute_t));
    OKS_TRY(add_claims(made, claims, pool));
    *identity = made;
    return NULL;
}

oks_err_t *oks_oidc_userinfo_merge(oks_identity_t *identity, int status, const char *content_type, oks_span_t body,
                                   const oks_oidc_expect_t *expect, apr_pool_t *pool)
{
    json_t *claims;
    if (status == 429) return oks_err(pool, OKS_R_OIDC_ERROR_LIMITED, "HTTP 429 of userinfo");
    if (status != 200) return oks_err(pool, OKS_R_OIDC_USERINFO_FAILED, "HTTP %d", status);
    if (oks_oidc_is_jwt(content_type)) {
        oks_span_t token = oks_span_trim(body);
        OKS_TRY(oks_jws_verify(&body, NULL, token, expect->keys, expect->algorithms, NULL, pool));
    }
    OKS_TRY(oks_json_parse(&claims, body, OKS_OIDC_ANSWER_MAX, pool));
    const char *sub = oks_json_string(claims, "sub"), *issuer = oks_json_string(claims, "iss");
    if (!sub || strcmp(sub, identity->subject) != 0) /* OIDC Core 5.3.2: another person's */
        return oks_err(pool, OKS_R_OIDC_USERINFO_SUBJECT, "%s", sub ? "another sub" : "no sub");
    if (oks_oidc_is_jwt(content_type) && issuer && strcmp(issuer, expect->provider->issuer) != 0)
        return oks_err(pool, OKS_R_OIDC_TOKEN_ISSUER, "of userinfo");
    return add_claims(identity, claims, pool);
}
