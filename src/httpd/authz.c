/* Require okta-org, okta-group, okta-role, okta-attribute. */
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "module.h"

#include <ap_provider.h>
#include <mod_auth.h>

APLOG_USE_MODULE(oktasso);

/* The identity's record, or NULL; *status is what to answer then: for want of a user, or no. */
static const oks_record_t *identity(request_rec *r, authz_status *status)
{
    const oks_request_note_t *note = oks_httpd_note(r);
    *status = r->user ? AUTHZ_DENIED : AUTHZ_DENIED_NO_USER;
    return note->pass ? note->pass->record : NULL;
}

static authz_status is_one_of(request_rec *r, const char *value, const char *line)
{
    const char *word;
    while (value && *(word = ap_getword_conf(r->pool, &line)))
        if (strcmp(word, value) == 0) return AUTHZ_GRANTED;
    return AUTHZ_DENIED;
}

static authz_status check_org(request_rec *r, const char *line, const void *parsed)
{
    authz_status status;
    const oks_record_t *record = identity(r, &status);
    return record ? is_one_of(r, record->org, line) : status;
}

static authz_status check_role(request_rec *r, const char *line, const void *parsed)
{
    authz_status status;
    const oks_record_t *record = identity(r, &status);
    return record ? is_one_of(r, oks_record_field(record, "role"), line) : status;
}

static authz_status check_group(request_rec *r, const char *line, const void *parsed)
{
    authz_status status;
    const oks_record_t *record = identity(r, &status);
    if (!record) return status;
    for (int i = 0; i < record->ngroups; i++)
        if (is_one_of(r, record->groups[i], line) == AUTHZ_GRANTED) return AUTHZ_GRANTED;
    return AUTHZ_DENIED;
}

static authz_status check_attribute(request_rec *r, const char *line, const void *parsed)
{
    authz_status status;
    const oks_record_t *record = identity(r, &status);
    if (!record) return status;
    const char *field = ap_getword_conf(r->pool, &line);
    if (strcmp(field, "groups") == 0) return check_group(r, line, parsed);
    return is_one_of(r, oks_record_field(record, field), line);
}

/* ---- At configtest: a name that nobody has admits nobody, and is a slip ---- */

#define NAMES_KEY "oktasso-required-names" /* of pconf: all that the configuration asks for */

typedef enum required_kind_t { REQUIRED_ORG, REQUIRED_FIELD, REQUIRED_ROLE } required_kind_t;

typedef struct required_name_t {
    const char *where, *name;
    required_kind_t kind;
} required_name_t;

/* .htaccess files come with requests: nothing is kept of them. */
static void remember(const cmd_parms *cmd, const char *name, required_kind_t kind)
{
    void *names = NULL;
    apr_pool_t *pool = cmd->server->process->pconf;
    if (cmd->pool != pool) return;
    apr_pool_userdata_get(&names, NAMES_KEY, pool);
    if (!names) apr_pool_userdata_setn(names = apr_array_make(pool, 8, sizeof(required_name_t)), NAMES_KEY, NULL, pool);
    required_name_t *row = apr_array_push(names);
    *row = (required_name_t){ .name = apr_pstrdup(pool, name), .kind = kind };
    row->where = apr_psprintf(pool, "%s:%d", cmd->directive->filename, cmd->directive->line_num);
}

static bool org_has(const oks_org_t *org, const required_name_t *row)
{
    const char *given = org->group_default_role;
    if (row->kind == REQUIRED_ORG) return strcmp(org->name, row->name) == 0;
    if (row->kind == REQUIRED_FIELD) return oks_flow_has_field(org, row->name);
    if (strcmp(org->default_role, row->name) == 0 || (given && strcmp(given, row->name) == 0)) return true;
    for (int i = 0; org->roles && i < org->roles->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(org->roles, i, oks_role_rule_t).role, row->name) == 0) return true;
    return false;
}

/* Somebody here has it, or may: files of OktaSSOOrgDir come and go. */
static bool is_had(const required_name_t *row, const server_rec *main_server, apr_pool_t *pool)
{
    if (row->kind == REQUIRED_FIELD && oks_flow_field_is_builtin(row->name)) return true;
    for (const server_rec *s = main_server; s; s = s->next) {
        const oks_server_conf_t *conf = oks_httpd_server_conf(s);
        if (conf->dir || conf->org_dir) return true;
        for (apr_hash_index_t *i = apr_hash_first(pool, conf->orgs); i; i = apr_hash_next(i))
            if (org_has(&((const oks_org_entry_t *)apr_hash_this_val(i))->org, row)) return true;
    }
    return false;
}

const char *oks_httpd_check_required_names(const server_rec *main_server, apr_pool_t *pconf)
{
    void *names = NULL;
    apr_pool_userdata_get(&names, NAMES_KEY, pconf);
    for (int i = 0; names && i < ((apr_array_header_t *)names)->nelts; i++) {
        const required_name_t *row = &APR_ARRAY_IDX((apr_array_header_t *)names, i, required_name_t);
        if (row->kind == REQUIRED_ROLE || is_had(row, main_server, pconf)) continue;
        if (row->kind == REQUIRED_ORG)
            return apr_psprintf(pconf, "%s: Require okta-org %s: there is no organization of that name", row->where, row->name);
        return apr_psprintf(pconf, "%s: Require okta-attribute %s: no organization has such a field: name one of user, email, "
                            "firstName, lastName, name, groups, role, org, or feed it by OktaSSOAttribute %s ...", row->where,
                            row->name, row->name);
    }
    return NULL;
}

/* No error: a group that was pushed keeps the role that OktaSSOGroupDefaultRole gave it, whatever configuration says by now. */
void oks_httpd_tell_of_roles(const server_rec *main_server, apr_pool_t *pconf)
{
    void *names = NULL;
    apr_pool_userdata_get(&names, NAMES_KEY, pconf);
    for (int i = 0; names && i < ((apr_array_header_t *)names)->nelts; i++) {
        const required_name_t *row = &APR_ARRAY_IDX((apr_array_header_t *)names, i, required_name_t);
        if (row->kind == REQUIRED_ROLE && !is_had(row, main_server, pconf))
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server, "OKS0058: %s: Require okta-role %s: no organization gives such "
                         "a role: is it misspelled, or OktaSSORole %s GROUP missing?", row->where, row->name, row->name);
    }
}

static const char *need_words(cmd_parms *cmd, const char *line, const void **parsed)
{
    const char *rest = line;
    if (*ap_getword_conf(cmd->temp_pool, &rest)) return NULL;
    return "Require okta-org, okta-group and okta-role take one name or more, in quotes when it has blanks";
}

static const char *need_orgs(cmd_parms *cmd, const char *line, const void **parsed)
{
    const char *error = need_words(cmd, line, parsed), *name;
    while (!error && *(name = ap_getword_conf(cmd->temp_pool, &line))) remember(cmd, name, REQUIRED_ORG);
    return error;
}

static const char *need_roles(cmd_parms *cmd, const char *line, const void **parsed)
{
    const char *error = need_words(cmd, line, parsed), *name;
    while (!error && *(name = ap_getword_conf(cmd->temp_pool, &line))) remember(cmd, name, REQUIRED_ROLE);
    return error;
}

static const char *need_field_and_words(cmd_parms *cmd, const char *line, const void **parsed)
{
    const char *rest = line, *field = ap_getword_conf(cmd->temp_pool, &rest);
    if (!*ap_getword_conf(cmd->temp_pool, &rest))
        return "Require okta-attribute takes a field and one value or more: Require okta-attribute department Engineering";
    remember(cmd, field, REQUIRED_FIELD);
    return NULL;
}

static const authz_provider org_provider = { check_org, need_orgs };
static const authz_provider group_provider = { check_group, need_words };
static const authz_provider role_provider = { check_role, need_roles };
static const authz_provider attribute_provider = { check_attribute, need_field_and_words };

void oks_httpd_register_authz(apr_pool_t *pool)
{
    static const struct { const char *name; const authz_provider *provider; } providers[] = {
        { "okta-org", &org_provider }, { "okta-group", &group_provider },
        { "okta-role", &role_provider }, { "okta-attribute", &attribute_provider },
    };
    for (apr_size_t i = 0; i < sizeof providers / sizeof providers[0]; i++)
        ap_register_auth_provider(pool, AUTHZ_PROVIDER_GROUP, providers[i].name, AUTHZ_PROVIDER_VERSION,
                                  providers[i].provider, AP_AUTH_INTERNAL_PER_CONF);
}
