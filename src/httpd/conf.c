/* Making and merging configuration records. */
#include <apr_hash.h>
#include <apr_strings.h>

#include "conf.h"

const char *oks_httpd_setting_directive(oks_setting_id_t id)
{
    static const char *const names[] = {
#define X(name, directive) directive,
        OKS_ORG_SETTINGS(X)
#undef X
    };
    return names[id];
}

bool oks_httpd_is_any_org(const char *name)
{
    return name[0] == '*' && !name[1];
}

oks_dir_conf_t *oks_httpd_dir_conf(const request_rec *r)
{
    return ap_get_module_config(r->per_dir_config, &oktasso_module);
}

oks_server_conf_t *oks_httpd_server_conf(const server_rec *s)
{
    return ap_get_module_config(s->module_config, &oktasso_module);
}

void *oks_httpd_create_dir_conf(apr_pool_t *pool, char *dir)
{
    return apr_pcalloc(pool, sizeof(oks_dir_conf_t));
}

/* Runs at each request (location walk): pointers alone. */
void *oks_httpd_merge_dir_conf(apr_pool_t *pool, void *base_, void *add_)
{
    const oks_dir_conf_t *base = base_, *add = add_;
    oks_dir_conf_t *merged = apr_pcalloc(pool, sizeof *merged);
    merged->org = add->org ? add->org : base->org;
    merged->unauthorized = add->unauthorized ? add->unauthorized : base->unauthorized;
    merged->force_authn = add->force_authn ? add->force_authn : base->force_authn;
    merged->max_authn_age = add->max_authn_age ? add->max_authn_age : base->max_authn_age;
    merged->authn_contexts = add->authn_contexts ? add->authn_contexts : base->authn_contexts;
    merged->headers = !add->headers ? base->headers : !base->headers ? add->headers
                    : apr_array_append(pool, base->headers, add->headers);
    return merged;
}

void *oks_httpd_create_server_conf(apr_pool_t *pool, server_rec *server)
{
    oks_server_conf_t *conf = apr_pcalloc(pool, sizeof *conf);
    conf->server = server;
    conf->defaults = apr_pcalloc(pool, sizeof *conf->defaults);
    conf->sections = apr_hash_make(pool);
    conf->locations = apr_array_make(pool, 4, sizeof(oks_dir_conf_t *));
    return conf;
}

static oks_org_conf_t *merge_org(const oks_org_conf_t *base, const oks_org_conf_t *add, apr_pool_t *pool)
{
    oks_org_conf_t *merged = apr_pmemdup(pool, add, sizeof *add);
    for (int i = 0; i < OKS_SET_COUNT_; i++)
        if (!merged->set[i].text) merged->set[i] = base->set[i];
    return merged;
}

void *oks_httpd_merge_server_conf(apr_pool_t *pool, void *base_, void *add_)
{
    const oks_server_conf_t *base = base_, *add = add_;
    oks_server_conf_t *merged = apr_pmemdup(pool, add, sizeof *add);
    merged->path = add->path ? add->path : base->path;
    merged->audit_target = add->audit_target ? add->audit_target : base->audit_target;
    merged->org_dir = add->org_dir ? add->org_dir : base->org_dir;
    merged->org_dir_private = (add->org_dir ? add : base)->org_dir_private;
    if (!add->look.template_parts) merged->look.template_parts = base->look.template_parts;
    if (!add->look.logo) merged->look.logo = base->look.logo;
    merged->base_url = add->base_url; /* one URL belongs to one virtual host: never inherited */
    merged->defaults = merge_org(base->defaults, add->defaults, pool);
    merged->sections = apr_hash_copy(pool, base->sections);
    for (apr_hash_index_t *i = apr_hash_first(pool, add->sections); i; i = apr_hash_next(i)) {
        oks_org_conf_t *own = apr_hash_this_val(i), *shared = apr_hash_get(base->sections, own->name, APR_HASH_KEY_STRING);
        apr_hash_set(merged->sections, own->name, APR_HASH_KEY_STRING, shared ? merge_org(shared, own, pool) : own);
    }
    return merged;
}
