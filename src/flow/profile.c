/* From what an identity provider said to what a backend reads. */
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include "flow_private.h"

#define CLAIMS "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
#define ADDRESS_ENDS ",;:<>()[]\"'/\\ @" /* what no domain holds: another address may follow */
#define SOURCE_NAME_ID "NameID" /* a source that means the subject itself */
#define TOLD_DOMAINS_MAX 200 /* bytes of OktaSSOEmailDomain in the log */

static const struct { const char *field; const char *sources[5]; } default_rules[] = {
    { "email", { "email", CLAIMS "emailaddress", SOURCE_NAME_ID } },
    { "firstName", { "firstName", "given_name", CLAIMS "givenname" } },
    { "lastName", { "lastName", "family_name", CLAIMS "surname" } },
    { "name", { "displayName", "name", CLAIMS "name" } },
    { "groups", { "groups", "teams" } },
};

const apr_array_header_t *oks_flow_default_attributes(apr_pool_t *pool)
{
    int count = sizeof default_rules / sizeof default_rules[0];
    apr_array_header_t *rules = apr_array_make(pool, count, sizeof(oks_attribute_rule_t));
    for (int i = 0; i < count; i++) {
        oks_attribute_rule_t *rule = apr_array_push(rules);
        rule->field = default_rules[i].field;
        rule->sources = default_rules[i].sources;
    }
    return rules;
}

const char *oks_flow_builtin_field(const char *name)
{
    static const char *const names[] = { "user", "email", "firstName", "lastName", "name", "groups", "role", "org" };
    for (apr_size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (apr_cstr_casecmp(names[i], name) == 0) return names[i];
    return NULL;
}

bool oks_flow_field_is_builtin(const char *field)
{
    const char *builtin = oks_flow_builtin_field(field);
    return builtin && strcmp(builtin, field) == 0;
}

/* The values of the first source that has one; NULL when none has. */
static const apr_array_header_t *find_values(const oks_attribute_rule_t *rule, const oks_identity_t *identity,
                                             apr_pool_t *pool)
{
    for (const char *const *source = rule->sources; *source; source++) {
        if (strcmp(*source, SOURCE_NAME_ID) == 0) {
            /* As an email only when it is one: Okta's default format "unspecified" carries the login, often an email. */
            if (strcmp(rule->field, "email") == 0 && !oks_email_ok(oks_span_z(identity->subject))) continue;
            apr_array_header_t *one = apr_array_make(pool, 1, sizeof(const char *));
            APR_ARRAY_PUSH(one, const char *) = identity->subject;
            return one;
        }
        const oks_attribute_t *attribute = oks_identity_attribute(identity, *source);
        for (int i = 0; attribute && i < attribute->values->nelts; i++)
            if (*APR_ARRAY_IDX(attribute->values, i, const char *)) return attribute->values;
    }
    return NULL;
}

static const oks_attribute_rule_t *find_rule(const oks_org_t *org, const char *field)
{
    for (int i = 0; i < org->attributes->nelts; i++) {
        const oks_attribute_rule_t *rule = &APR_ARRAY_IDX(org->attributes, i, oks_attribute_rule_t);
        if (strcmp(rule->field, field) == 0) return rule;
    }
    return NULL;
}

bool oks_flow_has_field(const oks_org_t *org, const char *field)
{
    return find_rule(org, field) != NULL;
}

/* The first value that is not empty, or "". */
static const char *first_value(const oks_org_t *org, const char *field, const oks_identity_t *identity, apr_pool_t *pool)
{
    const oks_attribute_rule_t *rule = find_rule(org, field);
    const apr_array_header_t *values = rule ? find_values(rule, identity, pool) : NULL;
    for (int i = 0; values && i < values->nelts; i++)
        if (*APR_ARRAY_IDX(values, i, const char *)) return APR_ARRAY_IDX(values, i, const char *);
    return "";
}

static oks_err_t *read_groups(apr_array_header_t **groups, const oks_org_t *org, const oks_identity_t *identity,
                              apr_pool_t *pool)
{
    const oks_attribute_rule_t *rule = find_rule(org, "groups");
    const apr_array_header_t *values = rule ? find_values(rule, identity, pool) : NULL;
    *groups = apr_array_make(pool, 8, sizeof(const char *));
    for (int i = 0; values && i < values->nelts; i++) {
        const char *group = oks_group_sanitize(APR_ARRAY_IDX(values, i, const char *), pool);
        if (!*group) continue;
        if ((*groups)->nelts == OKS_PROFILE_GROUPS_MAX)
            return oks_err(pool, OKS_R_FLOW_PROFILE_TOO_LARGE, "more than %d groups", OKS_PROFILE_GROUPS_MAX);
        APR_ARRAY_PUSH(*groups, const char *) = group;
    }
    return NULL;
}

/* Fields of the administrator's own: all values, comma-separated. */
static void read_extra(oks_profile_t *profile, const oks_org_t *org, const oks_identity_t *identity, apr_pool_t *pool)
{
    profile->extra = apr_table_make(pool, 4);
    for (int i = 0; i < org->attributes->nelts; i++) {
        const oks_attribute_rule_t *rule = &APR_ARRAY_IDX(org->attributes, i, oks_attribute_rule_t);
        if (oks_flow_field_is_builtin(rule->field)) continue;
        const apr_array_header_t *values = find_values(rule, identity, pool);
        const char *joined = values ? apr_array_pstrcat(pool, values, ',') : "";
        joined = oks_value_sanitize(joined, pool);
        if (*joined) apr_table_setn(profile->extra, rule->field, joined);
    }
}

bool oks_flow_lacks(const oks_org_t *org, const oks_identity_t *identity, apr_pool_t *pool)
{
    for (int i = 0; i < org->attributes->nelts; i++) {
        const oks_attribute_rule_t *rule = &APR_ARRAY_IDX(org->attributes, i, oks_attribute_rule_t);
        if (strcmp(rule->field, "name") != 0 && !find_values(rule, identity, pool)) return true;
    }
    return false;
}

/* What to write in Okta's attribute statement, in variables that Okta has. */
static const char *okta_expression(const oks_attribute_rule_t *rule, apr_pool_t *pool)
{
    static const struct { const char *field, *expression; } known[] = {
        { "email", "user.email" }, { "firstName", "user.firstName" }, { "lastName", "user.lastName" },
        { "name", "user.displayName" }, { "groups", "a group attribute statement" },
    };
    for (apr_size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(known[i].field, rule->field))
            return apr_pstrcat(pool, rule->sources[0], " = ", known[i].expression, NULL);
    return apr_pstrcat(pool, rule->sources[0], " = user.", rule->sources[0], NULL);
}

oks_err_t *oks_flow_no_user(const oks_org_t *org, apr_pool_t *pool)
{
    const oks_attribute_rule_t *rule = find_rule(org, org->user_field);
    return oks_err(pool, OKS_R_FLOW_USER_EMPTY, "field %s%s%s", org->user_field, rule ? "; map it in Okta: " : "",
                   rule ? okta_expression(rule, pool) : "");
}

static oks_err_t *check_required(const oks_org_t *org, const oks_identity_t *identity, apr_pool_t *pool)
{
    for (int i = 0; i < org->attributes->nelts; i++) {
        const oks_attribute_rule_t *rule = &APR_ARRAY_IDX(org->attributes, i, oks_attribute_rule_t);
        if (rule->required && !find_values(rule, identity, pool))
            return oks_err(pool, OKS_R_FLOW_ATTRIBUTE_MISSING, "%s; map it in Okta: %s", rule->field, okta_expression(rule, pool));
    }
    return NULL;
}

static oks_err_t *check_verified(const oks_org_t *org, const oks_identity_t *identity, apr_pool_t *pool)
{
    const oks_attribute_t *attribute = oks_identity_attribute(identity, "email_verified");
    if (!org->verified_email) return NULL;
    if (attribute && attribute->values->nelts == 1 && !apr_cstr_casecmp(APR_ARRAY_IDX(attribute->values, 0, const char *), "true"))
        return NULL;
    return oks_err(pool, OKS_R_FLOW_EMAIL_UNVERIFIED, "email_verified %s", attribute ? "is not \"true\"" : "was not sent");
}

bool oks_flow_domain_allowed(const oks_org_t *org, oks_span_t email)
{
    for (const char *const *domain = org->email_domains; domain && *domain; domain++)
        if (oks_domain_matches(oks_email_domain(email), *domain)) return true;
    return !org->email_domains;
}

/* *own: one of the addresses in `text` is the organization's own. */
static const oks_org_t *other_owner(bool *own, const oks_flow_t *flow, const oks_org_t *org, const char *text, apr_pool_t *pool)
{
    *own = false;
    for (const char *at = strchr(text, '@'); at; at = strchr(at + 1, '@')) {
        oks_span_t domain = oks_span_trim(oks_span(at + 1, strcspn(at + 1, ADDRESS_ENDS)));
        while (domain.len && domain.ptr[domain.len - 1] == '.') domain.len--;
        const oks_org_t *owner = flow->find_domain(flow->orgs, domain, pool);
        /* Whoever writes a file may claim any domain: among files it counts, not against what the administrator has set up. */
        if (!owner || !owner->enabled || (owner->of_file && !org->of_file)) continue;
        if (strcmp(owner->name, org->name) != 0) return owner;
        *own = true;
    }
    return NULL;
}

const oks_org_t *oks_flow_other_owner(const oks_flow_t *flow, const oks_org_t *org, const char *address, apr_pool_t *pool)
{
    bool own, loosely_own;
    const oks_org_t *owner = other_owner(&own, flow, org, address, pool);
    if (owner) return owner;
    owner = other_owner(&loosely_own, flow, org, oks_loose_key(address, pool), pool);
    return own && oks_email_ok(oks_span_z(address)) ? NULL : owner; /* one with accents, say, beside one without */
}

oks_err_t *oks_flow_check_addresses(const oks_flow_t *flow, const oks_org_t *org, const oks_record_t *draft, apr_pool_t *pool)
{
    static const char *const fields[] = { "user", "email" };
    for (apr_size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const char *value = oks_record_field(draft, fields[i]);
        const oks_org_t *owner = value ? oks_flow_other_owner(flow, org, value, pool) : NULL;
        if (owner) return oks_err(pool, OKS_R_FLOW_EMAIL_FOREIGN, "field %s: the domain is that of %s", fields[i], owner->name);
    }
    const char *user = oks_record_field(draft, "user");
    if (user && !oks_value_ok(oks_span_z(user)))
        return oks_err(pool, OKS_R_FLOW_USER_MALFORMED, "\"%s\"", oks_log_escape(oks_span_z(user), OKS_EMAIL_MAX, pool));
    return NULL;
}

/* The domains that would do, for the log. */
static const char *wanted_domains(const oks_org_t *org, apr_pool_t *pool)
{
    const char *all = "";
    for (const char *const *domain = org->email_domains; *domain && strlen(all) <= TOLD_DOMAINS_MAX; domain++)
        all = apr_pstrcat(pool, all, *all ? ", " : "", *domain, NULL);
    return oks_log_escape(oks_span_z(all), TOLD_DOMAINS_MAX, pool);
}

static oks_err_t *check_email(const oks_profile_t *profile, const oks_org_t *org, apr_pool_t *pool)
{
    oks_span_t email = oks_span_z(profile->email);
    if (!email.len) {
        if (org->email_domains || strcmp(org->user_field, "email") == 0)
            return oks_err(pool, OKS_R_FLOW_EMAIL_MISSING, "no source of the field email had a value");
        return NULL;
    }
    if (!oks_email_ok(email)) return oks_err(pool, OKS_R_FLOW_EMAIL_MALFORMED, NULL);
    if (oks_flow_domain_allowed(org, email)) return NULL;
    return oks_err(pool, OKS_R_FLOW_EMAIL_DOMAIN, "\"%s\", wanted %s", oks_span_dup(email, pool), wanted_domains(org, pool));
}

oks_err_t *oks_flow_profile(oks_profile_t **profile, const oks_org_t *org, const oks_identity_t *identity,
                            apr_pool_t *pool)
{
    oks_profile_t *p = apr_pcalloc(pool, sizeof *p);
    p->subject = identity->subject;
    p->email = first_value(org, "email", identity, pool);
    OKS_TRY(check_email(p, org, pool));
    OKS_TRY(check_verified(org, identity, pool));
    OKS_TRY(check_required(org, identity, pool));
    p->first_name = oks_name_sanitize(first_value(org, "firstName", identity, pool), pool);
    p->last_name = oks_name_sanitize(first_value(org, "lastName", identity, pool), pool);
    p->name = oks_name_sanitize(first_value(org, "name", identity, pool), pool);
    if (!*p->name) p->name = oks_full_name(p->first_name, p->last_name, pool);
    OKS_TRY(read_groups(&p->groups, org, identity, pool));
    read_extra(p, org, identity, pool);
    *profile = p;
    return NULL;
}

/* "A,B": a comma inside a name is percent-encoded, and so is '%', so that decoding has one result. */
static const char *join_groups(const apr_array_header_t *groups, apr_pool_t *pool)
{
    apr_size_t size = 1;
    for (int i = 0; i < groups->nelts; i++) size += strlen(APR_ARRAY_IDX(groups, i, const char *)) * 3 + 1;
    char *out = apr_palloc(pool, size), *p = out;
    for (int i = 0; i < groups->nelts; i++) {
        if (i) *p++ = ',';
        for (const char *c = APR_ARRAY_IDX(groups, i, const char *); *c; c++) {
            if (*c == ',' || *c == '%') p += strlen(strcpy(p, *c == ',' ? "%2C" : "%25"));
            else *p++ = *c;
        }
    }
    *p = '\0';
    return out;
}

/* The lines' first match; else that of a group that SCIM has pushed; else everybody's. */
static const char *find_role(const oks_org_t *org, const oks_profile_t *profile)
{
    const apr_array_header_t *groups = profile->groups;
    for (int i = 0; org->roles && i < org->roles->nelts; i++) {
        const oks_role_rule_t *rule = &APR_ARRAY_IDX(org->roles, i, oks_role_rule_t);
        for (const char *const *group = rule->groups; *group; group++)
            for (int k = 0; k < groups->nelts; k++)
                if (strcmp(*group, APR_ARRAY_IDX(groups, k, const char *)) == 0) return rule->role;
    }
    return profile->pushed_role ? profile->pushed_role : org->default_role;
}

static void add_field(apr_array_header_t *fields, const char *name, const char *value)
{
    for (const char *c = value; c && *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) { /* everything is clean already; a header must not depend on that */
            value = oks_value_sanitize(value, fields->pool);
            break;
        }
    if (!value || !*value) return; /* absent, not empty: a backend can tell */
    oks_record_field_t *field = apr_array_push(fields);
    field->name = name;
    field->value = value;
    char *variable = apr_pstrcat(fields->pool, "OKTASSO_", name, NULL);
    for (char *p = variable; *p; p++) *p = oks_upper(*p);
    field->variable = variable;
}

static const char *field_value(const apr_array_header_t *fields, const char *name)
{
    for (int i = 0; i < fields->nelts; i++) {
        const oks_record_field_t *field = &APR_ARRAY_IDX(fields, i, oks_record_field_t);
        if (strcmp(field->name, name) == 0) return field->value;
    }
    return NULL;
}

static oks_err_t *check_sizes(const apr_array_header_t *fields, apr_pool_t *pool)
{
    for (int i = 0; i < fields->nelts; i++) {
        const oks_record_field_t *field = &APR_ARRAY_IDX(fields, i, oks_record_field_t);
        if (strlen(field->value) > OKS_FLOW_FIELD_MAX)
            return oks_err(pool, OKS_R_FLOW_PROFILE_TOO_LARGE, "field %s has %" APR_SIZE_T_FMT " bytes", field->name,
                           strlen(field->value));
    }
    return NULL;
}

static apr_array_header_t *shown_groups(const oks_org_t *org, const oks_session_t *session, apr_pool_t *pool)
{
    const apr_array_header_t *groups = session->profile->groups;
    apr_array_header_t *shown = apr_array_make(pool, groups->nelts, sizeof(const char *));
    for (int i = 0; i < groups->nelts; i++) {
        const char *group = APR_ARRAY_IDX(groups, i, const char *);
        if (!oks_local_withholds(org, session, group)) APR_ARRAY_PUSH(shown, const char *) = group;
    }
    return shown;
}

oks_err_t *oks_flow_render(oks_record_t **draft, const oks_org_t *org, const oks_session_t *session, apr_pool_t *pool)
{
    oks_profile_t *profile = apr_pmemdup(pool, session->profile, sizeof *profile);
    profile->groups = shown_groups(org, session, pool);
    apr_array_header_t *fields = apr_array_make(pool, 12, sizeof(oks_record_field_t));
    const char *account = oks_local_account(session);
    add_field(fields, "email", *profile->email || !account || !oks_email_ok(oks_span_z(account)) ? profile->email : account);
    add_field(fields, "firstName", profile->first_name);
    add_field(fields, "lastName", profile->last_name);
    add_field(fields, "name", profile->name);
    add_field(fields, "groups", join_groups(profile->groups, pool));
    add_field(fields, "role", find_role(org, profile));
    add_field(fields, "org", org->name);
    const apr_array_header_t *extra = profile->extra ? apr_table_elts(profile->extra) : NULL;
    for (int i = 0; extra && i < extra->nelts; i++) {
        const apr_table_entry_t *entry = &APR_ARRAY_IDX(extra, i, apr_table_entry_t);
        if (!oks_flow_builtin_field(entry->key)) add_field(fields, entry->key, entry->val); /* of an older configuration */
    }
    OKS_TRY(check_sizes(fields, pool));
    const char *user = field_value(fields, org->user_field);
    add_field(fields, "user", user || !account ? user : account);
    oks_record_t *record = apr_pcalloc(pool, sizeof *record);
    record->session = session->id;
    record->user = session->user;
    record->created = session->created;
    record->expires = session->expires;
    record->authn_instant = session->authn_instant;
    record->org = session->org;
    record->vhost = session->vhost;
    record->protocol = session->protocol;
    record->authn_context = session->authn_context ? session->authn_context : "";
    record->fields = (const oks_record_field_t *)fields->elts;
    record->nfields = fields->nelts;
    record->groups = (const char *const *)profile->groups->elts;
    record->ngroups = profile->groups->nelts;
    *draft = record;
    return NULL;
}
