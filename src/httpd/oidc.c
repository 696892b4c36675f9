/* An organization's OpenID Connect settings, and which organization a provider's host belongs to. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/wait.h>

#include <apr_file_info.h>
#include <apr_hash.h>
#include <apr_strings.h>

#include "orgdir.h"

#define SECRET_MAX 1024 /* bytes of a client secret */
#define DEFAULT_SCOPE "openid profile email groups"

static const char *read_source_file(apr_size_t *len, char *buffer, apr_size_t size, const char *path, apr_pool_t *pool)
{
    oks_span_t bytes, text;
    const char *error = oks_httpd_read_file(&bytes, path, size, pool);
    if (error) return error;
    text = oks_span_skip_mark(bytes);
    *len = text.len;
    memcpy(buffer, text.ptr, text.len);
    explicit_bzero((char *)(uintptr_t)bytes.ptr, bytes.len);
    return NULL;
}

/* What is wrong with how a command ended, or NULL. */
static const char *judge_status(int status, apr_pool_t *pool)
{
    if (status == 0) return NULL;
    if (WIFSIGNALED(status)) return apr_psprintf(pool, "the command was ended by signal %d", WTERMSIG(status));
    return apr_psprintf(pool, "the command ended with status %d", WIFEXITED(status) ? WEXITSTATUS(status) : status);
}

const char *oks_httpd_read_source(apr_size_t *len, char *buffer, apr_size_t size, const char *source, apr_pool_t *pool)
{
    if (strncmp(source, "env:", 4) == 0) {
        const char *env = getenv(source + 4);
        if (!env || (*len = strlen(env)) > size) return "this variable is not set in httpd's environment, or is too long";
        memcpy(buffer, env, *len);
        return NULL;
    }
    if (strncmp(source, "exec:", 5) != 0) {
        const char *path = ap_server_root_relative(pool, source + 5);
        return path ? read_source_file(len, buffer, size, path, pool) : "no path";
    }
    FILE *stream = popen(source + 5, "r");
    if (!stream) return apr_psprintf(pool, "cannot be read: %s", strerror(errno));
    *len = fread(buffer, 1, size, stream);
    const bool broken = ferror(stream), longer = *len == size && fgetc(stream) != EOF;
    int status = pclose(stream);
    if (broken) return "cannot be read to its end";
    if (longer) return apr_psprintf(pool, "longer than %" APR_SIZE_T_FMT " bytes", size);
    return judge_status(status, pool);
}

static bool is_source(const char *text)
{
    return strncmp(text, "file:", 5) == 0 || strncmp(text, "exec:", 5) == 0 || strncmp(text, "env:", 4) == 0;
}

/* Okta's secrets have letters, digits, _ and - alone; what others have may hold a slash, but hardly begins with one. */
static bool is_path(const char *text, apr_pool_t *pool)
{
    apr_finfo_t info;
    if (*text == '/' || strstr(text, ":/")) return true;
    return strchr(text, '/') && apr_stat(&info, ap_server_root_relative(pool, text), APR_FINFO_TYPE, pool) == APR_SUCCESS;
}

static const char *read_secret(oks_oidc_client_t *client, const oks_setting_t *setting, apr_pool_t *pool)
{
    char text[SECRET_MAX];
    apr_size_t len;
    const oks_client_conf_t *conf = setting->value;
    client->auth = !conf->option ? 0 : strcmp(conf->option, "post") == 0 ? OKS_OIDC_AUTH_POST : OKS_OIDC_AUTH_BASIC;
    client->secret = conf->source;
    if (!is_source(conf->source) && is_path(conf->source, pool)) /* which is not shown: it may be a secret after all */
        return apr_psprintf(pool, "%s: OktaSSOClientSecret looks like a path, and would be sent as it is: write file:PATH",
                            setting->where);
    if (!is_source(conf->source)) return NULL;
    const char *error = oks_httpd_read_source(&len, text, sizeof text, conf->source, pool);
    if (error) return apr_psprintf(pool, "%s: OktaSSOClientSecret %s: %s", setting->where, conf->source, error);
    client->secret = oks_span_dup(oks_span_trim(oks_span(text, len)), pool);
    explicit_bzero(text, sizeof text);
    return *client->secret ? NULL : apr_psprintf(pool, "%s: OktaSSOClientSecret %s: empty", setting->where, conf->source);
}

static const char *read_key(oks_oidc_client_t *client, const oks_setting_t *setting, apr_pool_t *pool)
{
    oks_jws_key_t *key;
    oks_span_t pem;
    const oks_client_conf_t *conf = setting->value;
    const char *error = oks_httpd_read_file(&pem, conf->source, OKS_SAML_METADATA_MAX, pool);
    if (error) return apr_psprintf(pool, "%s: OktaSSOClientKey: %s", setting->where, error);
    oks_err_t *err = oks_jws_key_parse(&key, pem, conf->option, pool);
    explicit_bzero((char *)(uintptr_t)pem.ptr, pem.len);
    if (err)
        return apr_psprintf(pool, "%s: OktaSSOClientKey %s is not usable: %s", setting->where, conf->source,
                            oks_err_text(err, pool));
    client->key = key;
    return NULL;
}

/* A URL, a file, or an Okta domain: a file wins, since "idp.json" reads like a domain. */
static const char *find_provider(oks_org_t *org, oks_oidc_settings_t *oidc, const oks_setting_t *metadata, apr_pool_t *pool)
{
    oks_url_t url;
    oks_oidc_provider_t *provider;
    const char *source = metadata->value, *path = ap_server_root_relative(pool, source);
    const char *error = strstr(source, "://") ? "" : oks_httpd_read_file(&oidc->discovery, path, OKS_OIDC_DISCOVERY_MAX, pool);
    if (error) {
        org->metadata_url = oks_oidc_discovery_url(source, pool);
        if (!org->metadata_url) return apr_psprintf(pool, "%s: OktaSSOIdPMetadata: %s", metadata->where, error);
        oidc->discovery = oks_span(NULL, 0);
        source = org->metadata_url;
    } else {
        oks_err_t *err = oks_oidc_discovery_parse(&provider, oidc->discovery, NULL, pool);
        if (err)
            return apr_psprintf(pool, "%s: OktaSSOIdPMetadata: %s is no usable discovery document (for SAML metadata, take "
                                "OktaSSOClientID away): %s", metadata->where, path, oks_err_text(err, pool));
        source = provider->issuer;
    }
    org->metadata_key = apr_pstrcat(pool, "oidc:", org->metadata_url ? org->metadata_url : path, NULL);
    if (oks_url_parse(&url, oks_span_z(source), pool) != NULL)
        return apr_psprintf(pool, "%s: OktaSSOIdPMetadata: %s is no URL", metadata->where, source);
    oidc->host = url.host;
    return NULL;
}

#define VALUE(id, fallback) (set[OKS_SET_##id].text ? set[OKS_SET_##id].value : (const void *)(fallback))

const char *oks_httpd_oidc(oks_org_t *org, const oks_org_conf_t *conf, apr_pool_t *pool)
{
    static const int off = 0;
    static const oks_algorithms_t any;
    const oks_setting_t *set = conf->set, *algorithms = &set[OKS_SET_ALGORITHMS];
    oks_oidc_settings_t *oidc = apr_pcalloc(pool, sizeof *oidc);
    const char *error = find_provider(org, oidc, &set[OKS_SET_METADATA], pool);
    if (error) return error;
    if (set[OKS_SET_CLIENT_SECRET].text && set[OKS_SET_CLIENT_KEY].text)
        return apr_psprintf(pool, "%s: OktaSSOClientKey stands beside OktaSSOClientSecret (%s): keep one of them",
                            set[OKS_SET_CLIENT_KEY].where, set[OKS_SET_CLIENT_SECRET].where);
    if (set[OKS_SET_CLIENT_SECRET].text && (error = read_secret(&oidc->client, &set[OKS_SET_CLIENT_SECRET], pool))) return error;
    if (set[OKS_SET_CLIENT_KEY].text && (error = read_key(&oidc->client, &set[OKS_SET_CLIENT_KEY], pool))) return error;
    oidc->client.id = set[OKS_SET_CLIENT_ID].value;
    oidc->scope = VALUE(SCOPE, DEFAULT_SCOPE);
    oidc->form_post = *(const int *)VALUE(RESPONSE_MODE, &off);
    oidc->par = *(const int *)VALUE(PAR, &off);
    oidc->algorithms = ((const oks_algorithms_t *)VALUE(ALGORITHMS, &any))->jws;
    if (algorithms->text && !oidc->algorithms)
        return apr_psprintf(pool, "%s: OktaSSOAlgorithms names none of OpenID Connect: write RS256, ES256 and so on",
                            algorithms->where);
    org->oidc = oidc;
    return NULL;
}

const char *oks_httpd_check_saml(const oks_org_conf_t *conf, apr_pool_t *pool)
{
    const oks_setting_t *set = conf->set, *metadata = &set[OKS_SET_METADATA], *algorithms = &set[OKS_SET_ALGORITHMS];
    const char *source = metadata->text ? metadata->value : "";
    const char *found = strstr(source, "://") ? oks_oidc_discovery_url(source, pool) : NULL;
    if (found && strstr(found, "/.well-known/openid-configuration"))
        return apr_psprintf(pool, "%s: OktaSSOIdPMetadata %s is of OpenID Connect, which needs OktaSSOClientID; for SAML "
                            "write the Metadata URL of the app's Sign On tab", metadata->where, source);
    if (algorithms->text && !((const oks_algorithms_t *)algorithms->value)->saml)
        return apr_psprintf(pool, "%s: OktaSSOAlgorithms names none of SAML: write rsa-sha256 and so on", algorithms->where);
    return NULL;
}

/* ---- Which organization a provider's host belongs to ---- */

static oks_org_entry_t several; /* more than one */

void oks_httpd_index_issuers(oks_server_conf_t *conf, apr_pool_t *pool)
{
    conf->issuers = apr_hash_make(pool);
    for (apr_hash_index_t *i = apr_hash_first(pool, conf->orgs); i; i = apr_hash_next(i)) {
        oks_org_entry_t *entry = apr_hash_this_val(i);
        if (!entry->org.oidc) continue;
        bool taken = apr_hash_get(conf->issuers, entry->org.oidc->host, APR_HASH_KEY_STRING) != NULL;
        apr_hash_set(conf->issuers, entry->org.oidc->host, APR_HASH_KEY_STRING, taken ? &several : entry);
    }
}

const oks_org_t *oks_httpd_find_issuer(void *orgs, const char *host, apr_pool_t *pool)
{
    int count = 0;
    const oks_server_conf_t *conf = orgs;
    const oks_org_entry_t *entry = apr_hash_get(conf->issuers, host, APR_HASH_KEY_STRING), *of_file = NULL;
    if (conf->dir) of_file = oks_orgdir_find_issuer(&count, conf->dir, host, pool);
    if (entry) count++;
    return count != 1 || entry == &several ? NULL : &(entry ? entry : of_file)->org;
}
