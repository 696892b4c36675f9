/* Email domains: each belongs to one organization of a virtual host. */
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "conf.h"

/* The organization of the nearest "*.PARENT" above the domain; *parent is that, with its dot. */
static const oks_org_entry_t *find_above(const char **parent, apr_hash_t *domains, char *domain)
{
    const oks_org_entry_t *entry = NULL;
    for (char *dot = strchr(domain, '.'); !entry && dot && dot > domain; dot = strchr(dot + 1, '.')) {
        char before = dot[-1];
        dot[-1] = '*';
        entry = apr_hash_get(domains, dot - 1, APR_HASH_KEY_STRING);
        dot[-1] = before;
        *parent = dot;
    }
    return entry;
}

const oks_org_t *oks_httpd_find_domain(void *orgs, oks_span_t domain)
{
    const oks_server_conf_t *conf = orgs;
    const char *parent;
    char lower[OKS_EMAIL_MAX + 1];
    if (!domain.len || domain.len > OKS_EMAIL_MAX) return NULL;
    memcpy(lower, domain.ptr, domain.len);
    lower[domain.len] = '\0';
    ap_str_tolower(lower);
    const oks_org_entry_t *entry = apr_hash_get(conf->domains, lower, APR_HASH_KEY_STRING);
    if (!entry) entry = find_above(&parent, conf->domains, lower);
    return entry ? &entry->org : NULL;
}

static const char *add(oks_server_conf_t *conf, oks_org_entry_t *entry, const char *domain, apr_pool_t *pool)
{
    const oks_org_entry_t *known = apr_hash_get(conf->domains, domain, APR_HASH_KEY_STRING);
    if (known && known != entry)
        return apr_psprintf(pool, "%s: OktaSSOEmailDomain %s: the organization %s has it as well (%s); a domain belongs to one "
                            "organization", entry->domains_where, domain, known->org.name, known->domains_where);
    apr_hash_set(conf->domains, domain, APR_HASH_KEY_STRING, entry);
    return NULL;
}

/* "*.acme.com" of one organization must not cover "eu.acme.com" of another. Where one of the same stands between, that one is
 * told. */
static const char *check_covered(const oks_server_conf_t *conf, const oks_org_entry_t *entry, const char *domain, apr_pool_t *pool)
{
    const char *parent;
    char *base = apr_pstrdup(pool, strncmp(domain, "*.", 2) ? domain : domain + 2);
    const oks_org_entry_t *other = find_above(&parent, conf->domains, base);
    if (!other || other == entry) return NULL;
    return apr_psprintf(pool, "%s: OktaSSOEmailDomain %s lies below *%s of the organization %s (%s); a domain belongs to one "
                        "organization", entry->domains_where, domain, parent, other->org.name, other->domains_where);
}

const char *oks_httpd_index_domains(oks_server_conf_t *conf, apr_pool_t *pool)
{
    const char *error = NULL;
    conf->domains = apr_hash_make(pool);
    for (int pass = 0; pass < 2; pass++)
        for (apr_hash_index_t *i = apr_hash_first(pool, conf->orgs); i && !error; i = apr_hash_next(i)) {
            oks_org_entry_t *entry = apr_hash_this_val(i);
            for (const char *const *domain = entry->org.email_domains; domain && *domain && !error; domain++)
                error = pass == 0 ? add(conf, entry, *domain, pool) : check_covered(conf, entry, *domain, pool);
        }
    return error;
}
