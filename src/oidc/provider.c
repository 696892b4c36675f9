/* The provider out of its discovery document (OpenID Connect Discovery 1.0). */
#include <string.h>

#include <apr_strings.h>

#include "oidc_private.h"

#define ISSUER_MAX 1024

static bool is_domain(const char *text)
{
    return strchr(text, '.') && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == strlen(text);
}

const char *oks_oidc_discovery_url(const char *written, apr_pool_t *pool)
{
    oks_url_t url;
    if (!strstr(written, "://")) return is_domain(written) ? apr_pstrcat(pool, "https://", written, OIDC_WELL_KNOWN, NULL) : NULL;
    if (oks_url_parse(&url, oks_span_z(written), pool) != NULL) return NULL;
    apr_size_t len = strcspn(written, "?");
    bool bare = strcmp(url.path, "/") == 0, custom = strncmp(url.path, "/oauth2/", 8) == 0 && !strchr(url.path + 8, '/');
    if (!bare && !custom) return written;
    while (len && written[len - 1] == '/') len--;
    return apr_pstrcat(pool, apr_pstrmemdup(pool, written, len), OIDC_WELL_KNOWN, strchr(written, '?'), NULL);
}

bool oks_oidc_is_discovery(oks_span_t document)
{
    document = oks_span_trim(oks_span_skip_mark(document));
    return document.len && document.ptr[0] == '{';
}

/* Where it leads nobody can know: some providers keep endpoints on hosts of their own. But what listens on this machine trusts
 * whoever comes from it, and only a provider that is here too (or an administrator) may send us there. */
static oks_err_t *read_url(const char **value, const json_t *json, const char *name, bool required, bool local, apr_pool_t *pool)
{
    oks_url_t url;
    *value = oks_json_string(json, name);
    if (!*value && !required && !json_object_get(json, name)) return NULL;
    if (!*value || oks_url_parse(&url, oks_span_z(*value), pool) != NULL || !oks_url_is_secure(&url) ||
        (!local && oks_url_is_loopback(&url)))
        return oks_err(pool, OKS_R_OIDC_DISCOVERY_ENDPOINT, "%s \"%s\"", name,
                       *value ? oks_log_escape(oks_span_z(*value), 200, pool) : "none");
    *value = apr_pstrdup(pool, *value);
    return NULL;
}

static unsigned read_auth_methods(const json_t *json)
{
    static const struct { const char *name; unsigned bit; } known[] = {
        { "client_secret_basic", OKS_OIDC_AUTH_BASIC }, { "client_secret_post", OKS_OIDC_AUTH_POST },
        { "private_key_jwt", OKS_OIDC_AUTH_PRIVATE_KEY_JWT }, { "none", OKS_OIDC_AUTH_NONE },
    };
    const json_t *list = json_object_get(json, "token_endpoint_auth_methods_supported");
    unsigned bits = 0;
    size_t i;
    json_t *method;
    if (!list) return OKS_OIDC_AUTH_BASIC; /* Discovery 3 */
    json_array_foreach(list, i, method)
        for (apr_size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            if (json_is_string(method) && strcmp(json_string_value(method), known[k].name) == 0) bits |= known[k].bit;
    return bits;
}

/* Discovery 4.3: the issuer is what the document's URL was made of. */
static oks_err_t *check_issuer(const char *issuer, const char *url, apr_pool_t *pool)
{
    if (!url) return NULL; /* the administrator's own file: the issuer is what it says */
    apr_size_t issuer_len = issuer ? strlen(issuer) : 0, well_known = strlen(OIDC_WELL_KNOWN), len = strcspn(url, "?");
    if (issuer_len && issuer[issuer_len - 1] == '/') issuer_len--;
    if (issuer_len && issuer_len <= ISSUER_MAX && len == issuer_len + well_known && memcmp(url, issuer, issuer_len) == 0 &&
        memcmp(url + issuer_len, OIDC_WELL_KNOWN, well_known) == 0) return NULL;
    return oks_err(pool, OKS_R_OIDC_DISCOVERY_ISSUER, "\"%s\", read from %s", oks_log_escape(oks_span_z(issuer), 200, pool), url);
}

static oks_err_t *read_provider(oks_oidc_provider_t **provider, const json_t *json, const char *url, apr_pool_t *pool)
{
    oks_url_t from;
    oks_oidc_provider_t *made = apr_pcalloc(pool, sizeof *made);
    bool local = !url || (!oks_url_parse(&from, oks_span_z(url), pool) && oks_url_is_loopback(&from));
    OKS_TRY(check_issuer(oks_json_string(json, "issuer"), url, pool));
    OKS_TRY(read_url(&made->issuer, json, "issuer", true, local, pool));
    OKS_TRY(read_url(&made->authorization_endpoint, json, "authorization_endpoint", true, local, pool));
    OKS_TRY(read_url(&made->token_endpoint, json, "token_endpoint", true, local, pool));
    OKS_TRY(read_url(&made->jwks_uri, json, "jwks_uri", true, local, pool));
    OKS_TRY(read_url(&made->userinfo_endpoint, json, "userinfo_endpoint", false, local, pool));
    OKS_TRY(read_url(&made->end_session_endpoint, json, "end_session_endpoint", false, local, pool));
    OKS_TRY(read_url(&made->par_endpoint, json, "pushed_authorization_request_endpoint", false, local, pool));
    made->par_required = json_is_true(json_object_get(json, "require_pushed_authorization_requests"));
    made->iss_in_answers = json_is_true(json_object_get(json, "authorization_response_iss_parameter_supported"));
    made->auth_methods = read_auth_methods(json);
    *provider = made;
    return NULL;
}

/* What is kept of it may be kept for long, and the tree takes many times the size of the document. */
oks_err_t *oks_oidc_discovery_parse(oks_oidc_provider_t **provider, oks_span_t text, const char *url, apr_pool_t *pool)
{
    json_t *json;
    apr_pool_t *scratch;
    apr_pool_create(&scratch, pool);
    OKS_TRY(oks_json_parse(&json, text, OKS_OIDC_DISCOVERY_MAX, scratch));
    OKS_TRY(read_provider(provider, json, url, pool));
    apr_pool_destroy(scratch); /* not after an error, which may lie in it */
    return NULL;
}
