/* What comes back: errors, each as the reason that helps best, and the token endpoint's answer. */
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include "oidc_private.h"

#define DESCRIPTION_MAX 300 /* bytes of an error_description in the log */
#define MEDIA_JSON "application/json"

/* Okta's own words first (OKTA.md B.2.3), then what RFC 6749 and OIDC Core name. NULL matches any description. */
static const struct { const char *error, *description; oks_reason_t reason; } errors[] = {
    { "access_denied", "not assigned", OKS_R_OIDC_ERROR_NOT_ASSIGNED },
    { "access_denied", "did not match a user assigned", OKS_R_OIDC_ERROR_NOT_ASSIGNED },
    { "access_denied", "Policy evaluation failed", OKS_R_OIDC_ERROR_POLICY },
    { "access_denied", "network zone", OKS_R_OIDC_ERROR_POLICY },
    { "access_denied", NULL, OKS_R_OIDC_ERROR_ACCESS_DENIED },
    { "consent_required", NULL, OKS_R_OIDC_ERROR_ACCESS_DENIED },
    { "login_required", NULL, OKS_R_OIDC_ERROR_LOGIN_REQUIRED },
    { "interaction_required", NULL, OKS_R_OIDC_ERROR_LOGIN_REQUIRED },
    { "account_selection_required", NULL, OKS_R_OIDC_ERROR_LOGIN_REQUIRED },
    { "unmet_authentication_requirements", NULL, OKS_R_OIDC_ERROR_LOGIN_REQUIRED },
    { "server_error", "too many groups", OKS_R_OIDC_ERROR_TOO_MANY_GROUPS },
    { "server_error", NULL, OKS_R_OIDC_ERROR_UNAVAILABLE },
    { "temporarily_unavailable", NULL, OKS_R_OIDC_ERROR_UNAVAILABLE },
    { "invalid_grant", NULL, OKS_R_OIDC_ERROR_CODE },
    { "invalid_client", NULL, OKS_R_OIDC_ERROR_CLIENT },
    { "unauthorized_client", NULL, OKS_R_OIDC_ERROR_CLIENT },
    { "invalid_scope", NULL, OKS_R_OIDC_ERROR_REQUEST },
    { "invalid_request", NULL, OKS_R_OIDC_ERROR_REQUEST },
    { "unsupported_response_type", NULL, OKS_R_OIDC_ERROR_REQUEST },
    { "unsupported_response_mode", NULL, OKS_R_OIDC_ERROR_REQUEST },
    { "unsupported_grant_type", NULL, OKS_R_OIDC_ERROR_REQUEST },
    { "use_dpop_nonce", NULL, OKS_R_OIDC_ERROR_REQUEST },
    { "invalid_dpop_proof", NULL, OKS_R_OIDC_ERROR_REQUEST },
};

static bool contains(oks_span_t text, const char *piece)
{
    return text.len && memmem(text.ptr, text.len, piece, strlen(piece)) != NULL;
}

oks_err_t *oks_oidc_error(oks_span_t error, oks_span_t description, apr_pool_t *pool)
{
    oks_reason_t reason = OKS_R_OIDC_ERROR_OTHER;
    for (apr_size_t i = 0; i < sizeof errors / sizeof errors[0] && reason == OKS_R_OIDC_ERROR_OTHER; i++)
        if (oks_span_eq_z(error, errors[i].error) && (!errors[i].description || contains(description, errors[i].description)))
            reason = errors[i].reason;
    return oks_err(pool, reason, "%s: %s", oks_log_escape(error, 60, pool), oks_log_escape(description, DESCRIPTION_MAX, pool));
}

static bool is_media(const char *content_type, const char *media)
{
    apr_size_t len = strlen(media);
    return apr_cstr_casecmpn(content_type, media, len) == 0 && (!content_type[len] || strchr("; \t", content_type[len]));
}

/* RFC 6749 5.2; Okta's own form of an error has errorCode and errorSummary. */
static oks_err_t *failed(int status, const json_t *json, apr_pool_t *pool)
{
    const char *error = json ? oks_json_string(json, "error") : NULL;
    const char *summary = json ? oks_json_string(json, "errorSummary") : NULL;
    if (status == 429) return oks_err(pool, OKS_R_OIDC_ERROR_LIMITED, "HTTP 429");
    if (error) return oks_oidc_error(oks_span_z(error), oks_span_z(oks_json_string(json, "error_description")), pool);
    if (status >= 500) return oks_err(pool, OKS_R_OIDC_ERROR_UNAVAILABLE, "HTTP %d", status);
    return oks_err(pool, OKS_R_OIDC_ANSWER_MALFORMED, "HTTP %d %s", status, oks_log_escape(oks_span_z(summary), 120, pool));
}

oks_err_t *oks_oidc_check_answer(json_t **json, int status, oks_span_t body, apr_pool_t *pool)
{
    json_t *read = NULL;
    oks_err_t *err = oks_json_parse(&read, body, OKS_OIDC_ANSWER_MAX, pool);
    if (status != 200 && status != 201) return failed(status, err ? NULL : read, pool);
    if (err) return err;
    if (json_object_get(read, "error")) return failed(status, read, pool);
    *json = read;
    return NULL;
}

static oks_err_t *malformed(apr_pool_t *pool, const char *what)
{
    return oks_err(pool, OKS_R_OIDC_ANSWER_MALFORMED, "%s", what);
}

oks_err_t *oks_oidc_tokens_read(oks_oidc_tokens_t **tokens, int status, const char *content_type, oks_span_t body, apr_pool_t *pool)
{
    json_t *json;
    oks_oidc_tokens_t *made = apr_pcalloc(pool, sizeof *made);
    if (status == 200 && !is_media(content_type, MEDIA_JSON))
        return malformed(pool, apr_pstrcat(pool, "Content-Type ", oks_log_escape(oks_span_z(content_type), 80, pool), NULL));
    OKS_TRY(oks_oidc_check_answer(&json, status, body, pool));
    const char *type = oks_json_string(json, "token_type"), *access = oks_json_string(json, "access_token");
    made->id_token = oks_json_string(json, "id_token");
    if (!made->id_token || !*made->id_token) return malformed(pool, "no id_token; is the scope openid there?");
    if (!access && json_object_get(json, "access_token")) return malformed(pool, "access_token is no text");
    if (access && (!type || apr_cstr_casecmp(type, "Bearer") != 0)) return malformed(pool, "no token_type Bearer");
    made->access_token = access ? access : "";
    *tokens = made;
    return NULL;
}

bool oks_oidc_is_jwt(const char *content_type)
{
    return is_media(content_type, "application/jwt");
}
