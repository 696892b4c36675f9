/* Fetching what an identity provider publishes; only what is usable replaces the good copy in the directory. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

#define SEPARATOR '\x1e' /* between two JSON texts, in which it cannot occur (RFC 8259 7, RFC 7464) */

uint32_t oks_flow_refetch_counter(const char *key, apr_pool_t *pool)
{
    return oks_counter_of_document(apr_pstrcat(pool, "refetch:", key, NULL));
}

uint32_t oks_flow_missing_counter(const char *key, apr_pool_t *pool)
{
    return oks_counter_of_document(apr_pstrcat(pool, "missing:", key, NULL));
}

static oks_err_t *get(oks_net_response_t **response, oks_net_t *net, const oks_fetch_t *fetch, const char *url, const char *etag,
                      apr_pool_t *pool)
{
    const oks_http_t *http = fetch->http;
    const oks_net_request_t request = { .url = url, .if_none_match = etag, .timeout = http->timeout, .ca_file = http->ca_file,
                                        .proxy = http->proxy, .reach = fetch->org->reach };
    OKS_TRY(oks_net_send(response, net, &request, pool));
    if ((*response)->status == 200 || ((*response)->status == 304 && etag)) return NULL;
    return oks_err(pool, OKS_R_NET_UNREACHABLE, "%s answered %d", url, (*response)->status);
}

/* ---- SAML metadata ---- */

static oks_err_t *keep_metadata(oks_directory_t *directory, const oks_fetch_t *fetch, const oks_document_t *known,
                                const oks_document_t *next, apr_time_t now, apr_pool_t *pool)
{
    oks_saml_idp_t *idp, *before = NULL;
    const char *key = fetch->org->metadata_key;
    const oks_overlap_t overlap = { .window = fetch->overlap, .now = now };
    if (oks_oidc_is_discovery(next->content))
        return oks_err(pool, OKS_R_SAML_METADATA_MALFORMED, "a discovery document of OpenID Connect: set OktaSSOClientID");
    OKS_TRY(oks_saml_metadata_parse(&idp, next->content, pool));
    OKS_TRY(oks_idp_check_valid(idp, now, 0, pool));
    if (known && !oks_span_eq(known->content, next->content)) {
        if (oks_saml_metadata_parse(&before, known->content, pool) != NULL) before = NULL;
        OKS_TRY(oks_overlap_note(directory, key, before, idp, &overlap, pool));
    }
    return oks_directory_document_put(directory, key, next, pool);
}

static oks_err_t *fetch_metadata(int *max_age, oks_directory_t *directory, oks_net_t *net, const oks_fetch_t *fetch, apr_time_t now,
                                 apr_pool_t *pool)
{
    oks_document_t *known, next = { .fetched = now };
    oks_net_response_t *response;
    OKS_TRY(oks_directory_document(&known, directory, fetch->org->metadata_key, pool));
    OKS_TRY(get(&response, net, fetch, fetch->org->metadata_url, known ? known->etag : NULL, pool));
    next.content = response->status == 304 ? known->content : response->body;
    next.etag = response->status == 304 ? known->etag : response->etag;
    *max_age = response->max_age;
    return keep_metadata(directory, fetch, known, &next, now, pool);
}

/* ---- OpenID Connect: discovery and keys, kept as one document, so that both are always of the same moment ---- */

oks_err_t *oks_provider_parse(oks_provider_t *provider, const oks_org_t *org, oks_span_t content, apr_pool_t *pool)
{
    oks_oidc_provider_t *found;
    oks_jwks_t *keys;
    oks_span_t discovery = content, rest = content;
    oks_span_next(&discovery, &rest, SEPARATOR);
    OKS_TRY(oks_oidc_discovery_parse(&found, discovery, org->metadata_url, pool));
    OKS_TRY(oks_jwks_parse(&keys, rest, pool));
    provider->provider = found;
    provider->keys = keys;
    return NULL;
}

static int earlier(int one, int other)
{
    return one < 0 ? other : other < 0 || one < other ? one : other;
}

static oks_err_t *fetch_provider(int *max_age, oks_directory_t *directory, oks_net_t *net, const oks_fetch_t *fetch, apr_time_t now,
                                 apr_pool_t *pool)
{
    const oks_org_t *org = fetch->org;
    oks_span_t discovery = org->oidc->discovery;
    oks_oidc_provider_t *found;
    oks_provider_t usable;
    oks_net_response_t *response;
    *max_age = -1;
    if (!discovery.len) {
        OKS_TRY(get(&response, net, fetch, org->metadata_url, NULL, pool));
        *max_age = response->max_age;
        discovery = response->body;
    }
    if (oks_is_html(discovery))
        return oks_err(pool, OKS_R_BASE_JSON_MALFORMED, "an HTML page and no discovery document: write Okta's own domain, such as "
                       "acme.okta.com");
    if (!oks_oidc_is_discovery(discovery))
        return oks_err(pool, OKS_R_BASE_JSON_MALFORMED,
                       "no discovery document of OpenID Connect; for SAML metadata, take OktaSSOClientID away");
    OKS_TRY(oks_oidc_discovery_parse(&found, discovery, org->metadata_url, pool));
    OKS_TRY(get(&response, net, fetch, found->jwks_uri, NULL, pool));
    *max_age = earlier(*max_age, response->max_age);
    const char *both = apr_psprintf(pool, "%s%c%s", oks_span_dup(discovery, pool), SEPARATOR, oks_span_dup(response->body, pool));
    oks_document_t next = { .content = oks_span_z(both), .fetched = now };
    OKS_TRY(oks_provider_parse(&usable, org, next.content, pool));
    return oks_directory_document_put(directory, org->metadata_key, &next, pool);
}

const char *oks_flow_failure_key(const char *metadata_key, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "failure:", metadata_key, NULL);
}

/* Where nothing good was ever fetched, for those who ask for it (idp.c), on all servers. Written when it is a new one. */
static oks_err_t *note_failure(oks_directory_t *directory, const char *metadata_key, const oks_err_t *failure, apr_time_t now,
                               apr_pool_t *pool)
{
    oks_document_t *good, *before;
    const char *key = oks_flow_failure_key(metadata_key, pool);
    const oks_document_t next = { .content = oks_span_z(oks_err_text(failure, pool)), .fetched = now };
    /* These say nothing of the other side. */
    if (failure->reason == OKS_R_NET_STOPPED || failure->reason == OKS_R_NET_BUSY) return NULL;
    OKS_TRY(oks_directory_document(&good, directory, metadata_key, pool));
    OKS_TRY(oks_directory_document(&before, directory, key, pool));
    if (good || (before && oks_span_eq(before->content, next.content))) return NULL;
    return oks_directory_document_put(directory, key, &next, pool);
}

oks_err_t *oks_flow_fetch(int *max_age, oks_directory_t *directory, oks_net_t *net, const oks_fetch_t *fetch, apr_time_t now,
                          apr_pool_t *pool)
{
    oks_err_t *err = (fetch->org->oidc ? fetch_provider : fetch_metadata)(max_age, directory, net, fetch, now, pool);
    const oks_err_t *unnoted = err ? note_failure(directory, fetch->org->metadata_key, err, now, pool) : NULL;
    (void)unnoted; /* the failure itself is what counts */
    return err;
}

oks_err_t *oks_flow_fetch_forget(oks_directory_t *directory, const char *key, apr_pool_t *pool)
{
    OKS_TRY(oks_overlap_forget(directory, key, pool));
    OKS_TRY(oks_directory_document_remove(directory, oks_flow_failure_key(key, pool), pool));
    return oks_directory_document_remove(directory, key, pool);
}
