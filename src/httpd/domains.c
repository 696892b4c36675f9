/* Email domains: each belongs to one organization of a virtual host. */
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "orgdir.h"

/* The organization of the nearest "*.PARENT" above the domain; *parent is that, with its dot. */
static oks_org_entry_t *find_above(const char **parent, apr_hash_t *domains, char *domain)
{
    oks_org_entry_t *entry = NULL;
    for (char *dot = strchr(domain, '.'); !entry && dot && dot > domain; dot = strchr(dot + 1, '.')) {
        char before = dot[-1];
        dot[-1] = '*';
        entry = apr_hash_get(domains, dot - 1, APR_HASH_KEY_STRING);
        dot[-1] = before;
        *parent = dot;
    }
    return entry;
}

oks_org_entry_t *oks_httpd_domain_owner(apr_hash_t *domains, char *domain)
{
    const char *parent;
    oks_org_entry_t *entry = apr_hash_get(domains, domain, APR_HASH_KEY_STRING);
    return entry ? entry : find_above(&parent, domains, domain);
}

const oks_org_t *oks_httpd_find_domain(void *orgs, oks_span_t domain, apr_pool_t *pool)
{
    const oks_server_conf_t *conf = orgs;
    char lower[OKS_EMAIL_MAX + 1];
    if (!domain.len || domain.len > OKS_EMAIL_MAX) return NULL;
    memcpy(lower, domain.ptr, domain.len);
    lower[domain.len] = '\0';
    ap_str_tolower(lower);
    const oks_org_entry_t *entry = conf->dir ? oks_orgdir_find_domain(conf->dir, lower, pool)
                                             : oks_httpd_domain_owner(conf->domains, lower);
    return entry ? &entry->org : NULL;
}

static const char *covered(const oks_org_entry_t *below, const char *domain, const oks_org_entry_t *above, const char *parent,
                           apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s: OktaSSOEmailDomain %s lies below *%s of the organization %s (%s); a domain belongs to one "
                        "organization", below->domains_where, domain, parent, above->org.name, above->domains_where);
}

/* "*.acme.com" of one organization must not cover "eu.acme.com" of another: neither way round. Where one of the same stands
 * between, that one is told. */
static const char *check_covered(apr_hash_t *domains, const oks_org_entry_t *entry, const char *domain, apr_pool_t *pool)
{
    const char *parent;
    char *base = apr_pstrdup(pool, strncmp(domain, "*.", 2) ? domain : domain + 2);
    const oks_org_entry_t *other = find_above(&parent, domains, base);
    return other && other != entry ? covered(entry, domain, other, parent, pool) : NULL;
}

static const char *check_covering(apr_hash_t *domains, const oks_org_entry_t *entry, const char *domain, apr_pool_t *pool)
{
    apr_size_t len = strlen(domain) - 1; /* without the star */
    for (apr_hash_index_t *i = apr_hash_first(pool, domains); i; i = apr_hash_next(i)) {
        const char *known = apr_hash_this_key(i);
        const oks_org_entry_t *other = apr_hash_this_val(i);
        apr_size_t known_len = strlen(known);
        if (other != entry && known_len > len && strcmp(known + known_len - len, domain + 1) == 0)
            return covered(other, known, entry, domain + 1, pool);
    }
    return NULL;
}

const char *oks_httpd_check_domains(apr_hash_t *domains, const oks_org_entry_t *entry, apr_pool_t *pool)
{
    const char *error = NULL;
    for (const char *const *domain = entry->org.email_domains; domain && *domain && !error; domain++) {
        const oks_org_entry_t *known = apr_hash_get(domains, *domain, APR_HASH_KEY_STRING);
        if (known && known != entry)
            return apr_psprintf(pool, "%s: OktaSSOEmailDomain %s: the organization %s has it as well (%s); a domain belongs to one "
                                "organization", entry->domains_where, *domain, known->org.name, known->domains_where);
        error = check_covered(domains, entry, *domain, pool);
        if (!error && **domain == '*') error = check_covering(domains, entry, *domain, pool);
    }
    return error;
}

void oks_httpd_set_domains(apr_hash_t *domains, const oks_org_entry_t *entry, const oks_org_entry_t *owner)
{
    for (const char *const *domain = entry->org.email_domains; domain && *domain; domain++)
        apr_hash_set(domains, *domain, APR_HASH_KEY_STRING, owner);
}

const char *oks_httpd_index_domains(oks_server_conf_t *conf, apr_pool_t *pool)
{
    const char *error = NULL;
    conf->domains = apr_hash_make(pool);
    for (apr_hash_index_t *i = apr_hash_first(pool, conf->orgs); i && !error; i = apr_hash_next(i)) {
        oks_org_entry_t *entry = apr_hash_this_val(i);
        error = oks_httpd_check_domains(conf->domains, entry, pool);
        if (!error) oks_httpd_set_domains(conf->domains, entry, entry);
    }
    return error;
}
