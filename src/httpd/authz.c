/* Require okta-org, okta-group, okta-role, okta-attribute. */
#include <string.h>

#include <apr_strings.h>

#include "module.h"

#include <ap_provider.h>
#include <mod_auth.h>

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

static const char *need_words(cmd_parms *cmd, const char *line, const void **parsed)
{
    const char *rest = line;
    if (*ap_getword_conf(cmd->temp_pool, &rest)) return NULL;
    return "Require okta-org, okta-group and okta-role take one name or more, in quotes when it has blanks";
}

static const char *need_field_and_words(cmd_parms *cmd, const char *line, const void **parsed)
{
    const char *rest = line;
    ap_getword_conf(cmd->temp_pool, &rest);
    if (*ap_getword_conf(cmd->temp_pool, &rest)) return NULL;
    return "Require okta-attribute takes a field and one value or more: Require okta-attribute department Engineering";
}

static const authz_provider org_provider = { check_org, need_words };
static const authz_provider group_provider = { check_group, need_words };
static const authz_provider role_provider = { check_role, need_words };
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
