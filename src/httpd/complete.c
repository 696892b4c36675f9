/* From layers to organizations, once, at configtest and at start; what is wrong is told with file, line and mend. */
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>

#include "orgdir.h"

#include <ap_provider.h>
#include <http_core.h>
#include <http_log.h>
#include <mod_auth.h>

#include "oktasso/scim.h"

APLOG_USE_MODULE(oktasso);

#define DEFAULT_SSO_PATH "/sso/okta"

static const oks_session_limits_t default_limits = { .lifetime = 8 * 3600 * APR_USEC_PER_SEC, .idle = 3600 * APR_USEC_PER_SEC };
static const apr_interval_time_t default_skew = 120 * APR_USEC_PER_SEC;

/* In the order of a record's fields: so each is found at the first look. */
static const struct { const char *header, *field; } default_headers[] = {
    { "X-Remote-Email", "email" },   { "X-Remote-FirstName", "firstName" }, { "X-Remote-LastName", "lastName" },
    { "X-Remote-Name", "name" },     { "X-Remote-Groups", "groups" },       { "X-Remote-Role", "role" },
    { "X-Remote-Org", "org" },       { "X-Remote-User", "user" },
};

const char *oks_httpd_default_header(const char *name, apr_pool_t *pool)
{
    const char *folded = oks_header_fold(name, pool);
    for (apr_size_t i = 0; i < sizeof default_headers / sizeof default_headers[0]; i++)
        if (!strcmp(oks_header_fold(default_headers[i].header, pool), folded)) return default_headers[i].header;
    return NULL;
}

const char oks_httpd_signed_field[] = "the signed identity";

/* ---- Header names: all that any section may set, for the scrub ---- */

#define HEADERS_MAX 256
/* Closed once the configuration is complete: a file of OktaSSOOrgDir cannot add to what is scrubbed. */
static struct { int count; bool closed; char folded[HEADERS_MAX][OKS_HEADER_NAME_MAX + 1]; unsigned char first[128]; } our_headers;

bool oks_httpd_is_our_header(const char *name)
{
    char folded[OKS_HEADER_NAME_MAX + 2]; /* longer than ours, a name is none of them */
    apr_size_t len = 0;
    for (; *name && len < sizeof folded - 1; name++) {
        unsigned char c = (unsigned char)*name;
        if (c >= 'A' && c <= 'Z') c |= 0x20;
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))) continue;
        if (!len && !our_headers.first[c]) return false;
        folded[len++] = (char)c;
    }
    folded[len] = '\0';
    for (int i = 0; len && i < our_headers.count; i++)
        if (strcmp(folded, our_headers.folded[i]) == 0) return true;
    return false;
}

static bool remember_header(const oks_header_t *row)
{
    if (oks_httpd_is_our_header(row->header)) return true;
    if (our_headers.closed || our_headers.count == HEADERS_MAX) return false;
    apr_cpystrn(our_headers.folded[our_headers.count++], row->folded, sizeof our_headers.folded[0]);
    our_headers.first[(unsigned char)row->folded[0] & 127] = 1;
    return true;
}

apr_array_header_t *oks_httpd_overlay_headers(const apr_array_header_t *base, const apr_array_header_t *rows,
                                              apr_pool_t *pool)
{
    apr_array_header_t *all = apr_array_copy(pool, base);
    for (int i = 0; rows && i < rows->nelts; i++) {
        const oks_header_t *row = &APR_ARRAY_IDX(rows, i, oks_header_t);
        int k = 0;
        while (k < all->nelts && strcmp(APR_ARRAY_IDX(all, k, oks_header_t).folded, row->folded)) k++;
        if (k == all->nelts) apr_array_push(all);
        APR_ARRAY_IDX(all, k, oks_header_t) = *row;
    }
    return all;
}

static apr_array_header_t *make_default_headers(apr_pool_t *pool)
{
    apr_array_header_t *rows = apr_array_make(pool, 8, sizeof(oks_header_t));
    for (apr_size_t i = 0; i < sizeof default_headers / sizeof default_headers[0]; i++) {
        oks_header_t *row = apr_array_push(rows);
        row->header = default_headers[i].header;
        row->folded = oks_header_fold(row->header, pool);
        row->field = default_headers[i].field;
        row->where = "default";
    }
    return rows;
}

static const char *other_in(const apr_array_header_t *rows, const oks_header_t *row)
{
    for (int i = 0; rows && row->field && i < rows->nelts; i++) {
        const oks_header_t *other = &APR_ARRAY_IDX(rows, i, oks_header_t);
        if (other->field && !strcmp(other->folded, row->folded) && strcmp(other->field, row->field) != 0) return other->field;
    }
    return NULL;
}

static const char *other_in_locations(const oks_server_conf_t *conf, const oks_header_t *row)
{
    const char *other = NULL;
    for (int i = 0; i < conf->locations->nelts && !other; i++)
        other = other_in(APR_ARRAY_IDX(conf->locations, i, oks_dir_conf_t *)->headers, row);
    return other;
}

/* Of the fields and of the signed identity. */
static const char *other_in_section(const oks_org_conf_t *section, const oks_header_t *row)
{
    const oks_header_t *assertion = section->set[OKS_SET_ASSERTION_HEADER].value;
    if (assertion && row->field && row->field != oks_httpd_signed_field && !strcmp(assertion->folded, row->folded))
        return assertion->field;
    return other_in(section->set[OKS_SET_HEADER].list, row);
}

const char *oks_httpd_other_field(const oks_server_conf_t *conf, const oks_header_t *row, apr_pool_t *pool)
{
    const oks_server_conf_t *main_conf = oks_httpd_server_conf(conf->main_server);
    const char *other = other_in(make_default_headers(pool), row);
    if (!other) other = other_in_section(conf->defaults, row);
    for (apr_hash_index_t *i = apr_hash_first(pool, conf->sections); i && !other; i = apr_hash_next(i))
        other = other_in_section(apr_hash_this_val(i), row);
    if (!other) other = other_in_locations(conf, row);
    return other || conf == main_conf ? other : other_in_locations(main_conf, row);
}

/* ---- One organization ---- */

static const apr_array_header_t *make_attributes(const apr_array_header_t *own, apr_pool_t *pool)
{
    apr_array_header_t *rules = own ? apr_array_copy(pool, own) : apr_array_make(pool, 8, sizeof(oks_attribute_rule_t));
    int count = rules->nelts;
    const apr_array_header_t *defaults = oks_flow_default_attributes(pool);
    for (int i = 0; i < defaults->nelts; i++) {
        const oks_attribute_rule_t *rule = &APR_ARRAY_IDX(defaults, i, oks_attribute_rule_t);
        int k = 0;
        while (k < count && strcmp(APR_ARRAY_IDX(rules, k, oks_attribute_rule_t).field, rule->field)) k++;
        if (k == count) APR_ARRAY_PUSH(rules, oks_attribute_rule_t) = *rule;
    }
    return rules;
}

static bool field_known(const oks_org_t *org, const char *field)
{
    return oks_flow_field_is_builtin(field) || field == oks_httpd_signed_field || oks_flow_has_field(org, field);
}

static const char *check_fields(const oks_org_t *org, const apr_array_header_t *rows, apr_pool_t *pool)
{
    for (int i = 0; i < rows->nelts; i++) {
        const oks_header_t *row = &APR_ARRAY_IDX(rows, i, oks_header_t);
        if (row->field && !field_known(org, row->field))
            return apr_psprintf(pool, "%s: OktaSSOHeader %s: the field \"%s\" is not known: name one of user, email, firstName, "
                                "lastName, name, groups, role, org, or feed it by OktaSSOAttribute %s ...", row->where,
                                row->header, row->field, row->field);
        if (!remember_header(row))
            return apr_psprintf(pool, "%s: the header %s %s", row->where, row->header, our_headers.closed
                                ? "is new: httpd's configuration must have it (OktaSSOHeader NAME none), so that requests are "
                                  "scrubbed of it"
                                : "is one too many: at most " APR_STRINGIFY(HEADERS_MAX) " names are scrubbed");
    }
    return NULL;
}

#define VALUE(conf, id, fallback) ((conf)->set[OKS_SET_##id].text ? (conf)->set[OKS_SET_##id].value : (const void *)(fallback))
#define LIST(conf, id) ((conf)->set[OKS_SET_##id].list)

static void complete_limits(oks_org_t *org, const oks_session_limits_t *given)
{
    org->session = *given;
    if (!org->session.lifetime) org->session.lifetime = default_limits.lifetime;
    if (!org->session.idle) org->session.idle = default_limits.idle;
    if (org->session.idle > org->session.lifetime) org->session.idle = org->session.lifetime;
}

static void complete_demand(oks_org_t *org, const oks_org_conf_t *conf)
{
    static const int off = 0;
    static const apr_interval_time_t any = 0;
    const char *const *contexts = VALUE(conf, AUTHN_CONTEXT, NULL);
    org->demand.force = *(const int *)VALUE(conf, FORCE_AUTHN, &off);
    org->demand.max_age = *(const apr_interval_time_t *)VALUE(conf, MAX_AUTHN_AGE, &any);
    org->demand.authn_contexts = contexts && *contexts ? contexts : NULL;
    org->name_id_format = VALUE(conf, NAME_ID_FORMAT, NULL);
}

static const char *complete_local(oks_org_entry_t *entry, const oks_org_conf_t *conf, apr_pool_t *pool)
{
    static const oks_require_sso_t optional = OKS_REQUIRE_SSO_OFF;
    static const oks_provisioning_t jit = OKS_PROVISIONING_JIT;
    oks_org_t *org = &entry->org;
    org->require_sso = *(const oks_require_sso_t *)VALUE(conf, REQUIRE_SSO, &optional);
    org->provisioning = *(const oks_provisioning_t *)VALUE(conf, PROVISIONING, &jit);
    org->local_providers = VALUE(conf, LOCAL_PROVIDER, NULL);
    org->break_glass = VALUE(conf, BREAK_GLASS, NULL);
    entry->require_where = conf->set[OKS_SET_REQUIRE_SSO].where;
    if (org->break_glass && !org->local_providers)
        return apr_psprintf(pool, "%s: OktaSSOBreakGlass needs OktaSSOLocalProvider, to say who knows the passwords: for instance "
                            "OktaSSOLocalProvider file", conf->set[OKS_SET_BREAK_GLASS].where);
    for (const char *const *name = org->local_providers; name && *name; name++)
        if (!ap_lookup_provider(AUTHN_PROVIDER_GROUP, *name, AUTHN_PROVIDER_VERSION))
            return apr_psprintf(pool, "%s: OktaSSOLocalProvider: httpd has no authentication provider \"%s\": is it "
                                "misspelled (file, dbm, dbd, ldap, socache), or its module not loaded?",
                                conf->set[OKS_SET_LOCAL_PROVIDER].where, *name);
    return NULL;
}

/* The fields' headers, and OktaSSOAssertionHeader as one of them. */
static const char *complete_headers(oks_org_entry_t *entry, const oks_org_conf_t *conf, apr_pool_t *pool)
{
    const oks_header_t *own = VALUE(conf, ASSERTION_HEADER, NULL);
    apr_array_header_t *rows = oks_httpd_overlay_headers(make_default_headers(pool), LIST(conf, HEADER), pool);
    for (int i = 0; own && i < rows->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(rows, i, oks_header_t).folded, own->folded) == 0)
            return apr_psprintf(pool, "%s: OktaSSOAssertionHeader %s: this header has the field %s already (%s): name another one",
                                own->where, own->header, APR_ARRAY_IDX(rows, i, oks_header_t).field,
                                APR_ARRAY_IDX(rows, i, oks_header_t).where);
    if (own) APR_ARRAY_PUSH(rows, oks_header_t) = *own;
    entry->signs = own != NULL;
    entry->headers = rows;
    return check_fields(&entry->org, rows, pool);
}

/* In lower case; NULL: not known, of SAML metadata that is a file or pasted. */
static const char *host_of(const oks_org_t *org, const oks_org_conf_t *conf, apr_pool_t *pool)
{
    static const oks_setting_id_t ids[] = { OKS_SET_METADATA, OKS_SET_SIGN_ON_URL };
    if (org->oidc) return org->oidc->host;
    for (int i = 0; i < 2; i++) {
        const char *text = conf->set[ids[i]].text, *mark = text ? strstr(text, "://") : NULL;
        if (!mark) continue;
        char *host = apr_pstrmemdup(pool, mark + 3, strcspn(mark + 3, "/:?#\" "));
        ap_str_tolower(host);
        return host;
    }
    return NULL;
}

static void complete_scim(oks_org_t *org, const oks_org_conf_t *conf)
{
    static const oks_scim_conf_t on = { .on = true, .body_max = OKS_SCIM_BODY_DEFAULT };
    const oks_scim_conf_t *scim = VALUE(conf, SCIM, &on);
    org->scim_off = !scim->on;
    org->scim_bare_token = scim->bare_token;
    org->scim_body_max = scim->body_max;
    org->scim_tokens = LIST(conf, SCIM_TOKEN);
    org->group_default_role = VALUE(conf, GROUP_DEFAULT_ROLE, NULL);
}

const char *oks_httpd_complete_org(oks_org_entry_t **made, const oks_server_conf_t *sc, oks_org_conf_t *conf, apr_pool_t *pool)
{
    static const int on = 1, off = 0;
    static const oks_algorithms_t sha2;
    static const oks_unauthorized_t automatic = OKS_UNAUTHORIZED_AUTO;
    static const oks_idp_initiated_t upgrade = OKS_IDP_INITIATED_UPGRADE;
    oks_org_entry_t *entry = apr_pcalloc(pool, sizeof *entry);
    oks_org_t *org = &entry->org;
    for (int k = 0; k < OKS_SET_COUNT_; k++)
        if (!conf->set[k].text) conf->set[k] = sc->defaults->set[k];
    org->name = conf->name;
    entry->where = apr_pstrdup(pool, conf->where); /* a file's is of its reading alone */
    org->enabled = *(const int *)VALUE(conf, ENABLED, &on);
    const char *error = oks_httpd_provider(org, conf, pool);
    if (!error) error = oks_httpd_sp_keys(org, conf, pool);
    if (error) return error;
    org->entity_ids = VALUE(conf, ENTITY_ID, NULL);
    org->attributes = make_attributes(LIST(conf, ATTRIBUTE), pool);
    org->acs_url = VALUE(conf, ACS_URL, NULL);
    org->sign_requests = *(const int *)VALUE(conf, SIGN_REQUESTS, &off);
    org->algorithms = ((const oks_algorithms_t *)VALUE(conf, ALGORITHMS, &sha2))->saml;
    org->verified_email = *(const int *)VALUE(conf, VERIFIED_EMAIL, &off);
    org->roles = LIST(conf, ROLE);
    complete_scim(org, conf);
    org->default_role = VALUE(conf, DEFAULT_ROLE, "member");
    org->email_domains = VALUE(conf, EMAIL_DOMAIN, NULL);
    entry->domains_where = conf->set[OKS_SET_EMAIL_DOMAIN].where;
    org->user_field = VALUE(conf, USER_FIELD, "email");
    org->skew = *(const apr_interval_time_t *)VALUE(conf, CLOCK_SKEW, &default_skew);
    org->unauthorized = *(const oks_unauthorized_t *)VALUE(conf, UNAUTHORIZED, &automatic);
    org->idp_initiated = *(const oks_idp_initiated_t *)VALUE(conf, IDP_INITIATED, &upgrade);
    entry->host = host_of(org, conf, pool);
    complete_limits(org, VALUE(conf, SESSION, &default_limits));
    complete_demand(org, conf);
    if ((error = complete_local(entry, conf, pool))) return error;
    oks_flow_name_cookies(org, sc->vhost, pool);
    if (!field_known(org, org->user_field))
        return apr_psprintf(pool, "%s: OktaSSOUserField: the field \"%s\" is not known: name one of email, firstName, lastName, "
                            "name, or feed it by OktaSSOAttribute %s ...", conf->set[OKS_SET_USER_FIELD].where, org->user_field,
                            org->user_field);
    *made = entry;
    return complete_headers(entry, conf, pool);
}

/* May it go by its name? The other virtual hosts share the directory of users. */
static const char *check_name(const oks_server_conf_t *conf, const oks_org_entry_t *entry, apr_pool_t *pool)
{
    for (const server_rec *s = conf->main_server; s; s = s->next) {
        const oks_server_conf_t *other = oks_httpd_server_conf(s);
        const oks_org_entry_t *same = other->orgs ? apr_hash_get(other->orgs, entry->org.name, APR_HASH_KEY_STRING) : NULL;
        if (other == conf || !same || !same->host || !entry->host || strcmp(same->host, entry->host) == 0) continue;
        return apr_psprintf(pool, "%s: the organization %s is at %s here and at %s in the virtual host %s (%s): they share one "
                            "directory of users, in which a name is one organization's: take two names", entry->where,
                            entry->org.name, entry->host, same->host, other->vhost, same->where);
    }
    return NULL;
}

/* ---- Layers ---- */

/* Not of the organization: two Locations may differ in it. */
static bool is_own_affair(int id)
{
    return id == OKS_SET_HEADER || id == OKS_SET_UNAUTHORIZED || id == OKS_SET_FORCE_AUTHN || id == OKS_SET_AUTHN_CONTEXT ||
           id == OKS_SET_MAX_AUTHN_AGE;
}

static bool is_same(const oks_setting_t *one, const oks_setting_t *other)
{
    if (!one->lines) return strcmp(one->text, other->text) == 0;
    if (one->lines->nelts != other->lines->nelts) return false;
    for (int i = 0; i < one->lines->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(one->lines, i, const char *), APR_ARRAY_IDX(other->lines, i, const char *)) != 0) return false;
    return true;
}

/* What a Location says of its organization, laid over what is known; two that differ are told. */
static const char *add_location(apr_hash_t *drafts, const oks_dir_conf_t *dir, apr_pool_t *pool)
{
    const oks_org_conf_t *own = dir->own;
    const bool named = dir->org && !oks_httpd_is_any_org(dir->org);
    oks_org_conf_t *draft = named ? apr_hash_get(drafts, dir->org, APR_HASH_KEY_STRING) : NULL;
    if (named && !draft) {
        draft = apr_pcalloc(pool, sizeof *draft);
        draft->name = dir->org;
        draft->where = own->where;
        apr_hash_set(drafts, dir->org, APR_HASH_KEY_STRING, draft);
    }
    for (int i = 0; i < OKS_SET_COUNT_; i++) {
        if (is_own_affair(i) || !own->set[i].text) continue;
        if (!draft)
            return apr_psprintf(pool, "%s: %s needs OktaSSOOrg NAME in the same section, to say whose setting it is",
                                own->set[i].where, oks_httpd_setting_directive((oks_setting_id_t)i));
        if (draft->set[i].text && !is_same(&draft->set[i], &own->set[i]))
            return apr_psprintf(pool, "%s: %s of the organization %s differs from %s: keep one of them",
                                own->set[i].where, oks_httpd_setting_directive((oks_setting_id_t)i), dir->org,
                                draft->set[i].where);
        draft->set[i] = own->set[i];
    }
    return NULL;
}

static const char *add_locations(apr_hash_t *drafts, const apr_array_header_t *locations, apr_pool_t *pool)
{
    for (int i = 0; i < locations->nelts; i++) {
        const char *error = add_location(drafts, APR_ARRAY_IDX(locations, i, oks_dir_conf_t *), pool);
        if (error) return error;
    }
    return NULL;
}

/* The header rows of Locations: known fields, and all of them scrubbed. Where a Location may be of any organization, or of a
 * file's, only built-in fields can be judged. */
static const char *check_location_headers(const oks_server_conf_t *sc, const apr_array_header_t *locations, apr_pool_t *pool)
{
    const oks_org_t any = { .attributes = oks_flow_default_attributes(pool) };
    const char *error = NULL;
    for (int i = 0; i < locations->nelts && !error; i++) {
        const oks_dir_conf_t *dir = APR_ARRAY_IDX(locations, i, oks_dir_conf_t *);
        const oks_org_entry_t *entry = dir->org ? apr_hash_get(sc->orgs, dir->org, APR_HASH_KEY_STRING) : NULL;
        if (dir->headers) error = check_fields(entry ? &entry->org : &any, dir->headers, pool);
    }
    return error;
}

/* Trailers come with the end of the body, after the scrub and the check: merged, they would stand beside our headers. */
static const char *check_trailers(const oks_server_conf_t *sc, apr_pool_t *pool)
{
    const core_server_config *core = ap_get_core_module_config(sc->server->module_config);
    if (core->merge_trailers != AP_MERGE_TRAILERS_ENABLE) return NULL;
    const server_rec *s = sc->server;
    return apr_psprintf(pool, "MergeTrailers On in %s: visitors could send headers behind the sign-in check, X-Remote-User "
                        "among them: write MergeTrailers Off here", s->defn_name ? apr_psprintf(pool, "the virtual host of %s:%u",
                        s->defn_name, s->defn_line_number) : "the server configuration");
}

static bool says_nothing(const oks_org_conf_t *conf)
{
    for (int k = 0; k < OKS_SET_COUNT_; k++)
        if (conf->set[k].text) return false;
    return true;
}

/* The names that the virtual host gives, whether an organization takes them over or has others: files may use them. */
static const char *remember_defaults(const oks_server_conf_t *sc, apr_pool_t *pool)
{
    const apr_array_header_t *rows = LIST(sc->defaults, HEADER);
    const oks_header_t *full = VALUE(sc->defaults, ASSERTION_HEADER, NULL);
    if (!full || remember_header(full)) full = NULL;
    for (int i = 0; rows && i < rows->nelts && !full; i++)
        if (!remember_header(&APR_ARRAY_IDX(rows, i, oks_header_t))) full = &APR_ARRAY_IDX(rows, i, oks_header_t);
    return full ? apr_psprintf(pool, "%s: the header %s is one too many: at most " APR_STRINGIFY(HEADERS_MAX) " names are scrubbed",
                               full->where, full->header) : NULL;
}

static const char *complete_server(oks_server_conf_t *sc, const oks_server_conf_t *main_conf, apr_pool_t *pool)
{
    const server_rec *s = sc->server;
    apr_hash_t *drafts = apr_hash_make(pool);
    const char *error = NULL;
    if (!sc->path) sc->path = DEFAULT_SSO_PATH;
    if (!sc->http.timeout) sc->http.timeout = OKS_NET_TIMEOUT_DEFAULT;
    sc->main_server = main_conf->server;
    sc->vhost = sc->base_url ? sc->base_url : apr_psprintf(
        pool, "%s:%d", s->server_hostname ? s->server_hostname : "", s->addrs ? s->addrs->host_port : s->port);
    sc->orgs = apr_hash_make(pool);
    for (apr_hash_index_t *i = apr_hash_first(pool, sc->sections); i; i = apr_hash_next(i)) {
        const oks_org_conf_t *section = apr_hash_this_val(i);
        apr_hash_set(drafts, section->name, APR_HASH_KEY_STRING, apr_pmemdup(pool, section, sizeof *section));
    }
    if (sc != main_conf) error = add_locations(drafts, main_conf->locations, pool);
    if (!error) error = add_locations(drafts, sc->locations, pool);
    for (apr_hash_index_t *i = apr_hash_first(pool, drafts); i && !error; i = apr_hash_next(i)) {
        oks_org_conf_t *draft = apr_hash_this_val(i);
        oks_org_entry_t *entry;
        if (sc->org_dir && says_nothing(draft)) continue; /* a Location names an organization that has a file */
        error = oks_httpd_complete_org(&entry, sc, draft, pool);
        if (!error) error = check_name(sc, entry, pool);
        if (error) continue;
        apr_hash_set(sc->orgs, draft->name, APR_HASH_KEY_STRING, entry);
        if (entry->org.enabled && entry->org.require_sso != OKS_REQUIRE_SSO_OFF) sc->requires_sso = true;
    }
    if (!error) error = remember_defaults(sc, pool);
    if (!error) error = check_trailers(sc, pool);
    if (!error) error = oks_httpd_index_domains(sc, pool);
    if (!error) oks_httpd_index_issuers(sc, pool);
    if (!error && sc != main_conf) error = check_location_headers(sc, main_conf->locations, pool);
    return error ? error : check_location_headers(sc, sc->locations, pool);
}

static bool is_configtest(void)
{
    return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST;
}

/* At a start httpd reads its configuration twice: once is enough for warnings, and for files. */
static bool will_be_read_again(void)
{
    return !is_configtest() && ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG;
}

/* The organizations of files: told and left out at start, an error at configtest. */
static const char *start_dir(oks_server_conf_t *sc, apr_pool_t *pool, apr_pool_t *ptemp)
{
    const bool strict = is_configtest();
    if (!sc->org_dir || will_be_read_again()) return NULL;
    const char *error = oks_orgdir_create(&sc->dir, sc, pool);
    return error ? error : oks_orgdir_start(sc->dir, strict, ptemp);
}

/* Locations of organizations whose files are not there: each answers 404 until one comes, which may be a slip of the pen. */
static void tell_of_absent(const oks_server_conf_t *sc)
{
    for (int i = 0; sc->dir && i < sc->locations->nelts; i++) {
        const char *name = APR_ARRAY_IDX(sc->locations, i, const oks_dir_conf_t *)->org;
        if (!name || oks_httpd_is_any_org(name) || apr_hash_get(sc->orgs, name, APR_HASH_KEY_STRING)) continue;
        if (!oks_orgdir_has(sc->dir, name))
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, sc->server, "OKS0042: OktaSSOOrg %s: there is no such organization yet: "
                         "neither %s/%s.conf is in force nor <OktaSSOOrg %s> stands anywhere", name, sc->org_dir, name, name);
    }
}

static bool has_orgs(const oks_server_conf_t *sc)
{
    return sc->org_dir || apr_hash_count(sc->orgs) > 0;
}

/* OktaSSOOrg * where there is none to choose. What the main server's Locations say holds in all virtual hosts. */
static const char *check_any_org(const oks_server_conf_t *sc, const server_rec *main_server, apr_pool_t *pool)
{
    if (has_orgs(sc)) return NULL;
    for (const server_rec *s = main_server; s && sc->server == main_server; s = s->next)
        if (has_orgs(oks_httpd_server_conf(s))) return NULL;
    for (int i = 0; i < sc->locations->nelts; i++) {
        const oks_dir_conf_t *dir = APR_ARRAY_IDX(sc->locations, i, const oks_dir_conf_t *);
        if (dir->org && oks_httpd_is_any_org(dir->org))
            return apr_psprintf(pool, "%s: OktaSSOOrg *: there is no organization here: define one by <OktaSSOOrg NAME>, or name "
                                "their files by OktaSSOOrgDir", dir->own->where);
    }
    return NULL;
}

int oks_httpd_complete(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *main_server)
{
    oks_server_conf_t *main_conf = oks_httpd_server_conf(main_server);
    memset(&our_headers, 0, sizeof our_headers); /* a graceful restart may find the module still loaded */
    apr_array_header_t *rows = make_default_headers(pconf);
    for (int i = 0; i < rows->nelts; i++) remember_header(&APR_ARRAY_IDX(rows, i, oks_header_t));
    if (!ap_find_linked_module("mod_watchdog.c")) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, main_server, "OKS0010: mod_oktasso needs mod_watchdog: a2enmod watchdog, "
                     "or LoadModule watchdog_module modules/mod_watchdog.so");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    const char *error = NULL;
    for (server_rec *s = main_server; s && !error; s = s->next)
        error = complete_server(oks_httpd_server_conf(s), main_conf, pconf);
    for (server_rec *s = main_server; s && !error; s = s->next)
        error = check_any_org(oks_httpd_server_conf(s), main_server, pconf);
    our_headers.closed = true; /* a file may use the names that there are: what is scrubbed, all requests lose */
    for (server_rec *s = main_server; s && !error; s = s->next) /* files come after all that configuration says */
        if (!(error = start_dir(oks_httpd_server_conf(s), pconf, ptemp))) tell_of_absent(oks_httpd_server_conf(s));
    if (!error) error = oks_httpd_check_required_names(main_server, pconf);
    if (!error && is_configtest()) error = oks_httpd_check_state(main_server, ptemp);
    if (error) {
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, main_server, "OKS0011: %s", error);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (will_be_read_again()) return OK;
    oks_httpd_tell_of_open(main_server, ptemp);
    oks_httpd_tell_of_passwords(main_server, ptemp);
    oks_httpd_tell_of_roles(main_server, pconf);
    return OK;
}

const oks_org_t *oks_httpd_find_org(void *orgs, oks_span_t name, apr_pool_t *pool)
{
    const oks_server_conf_t *conf = orgs;
    const oks_org_entry_t *entry = apr_hash_get(conf->orgs, name.ptr, (apr_ssize_t)name.len);
    if (!entry && conf->dir) entry = oks_orgdir_find(conf->dir, name, pool);
    return entry ? &entry->org : NULL;
}

const oks_org_t *oks_httpd_find_requiring(const oks_server_conf_t *conf, apr_pool_t *pool)
{
    const oks_org_entry_t *entry = NULL;
    for (apr_hash_index_t *i = apr_hash_first(pool, conf->orgs); i; i = apr_hash_next(i)) {
        entry = apr_hash_this_val(i);
        if (entry->org.enabled && entry->org.require_sso != OKS_REQUIRE_SSO_OFF) return &entry->org;
    }
    entry = conf->dir ? oks_orgdir_find_requiring(conf->dir, pool) : NULL;
    return entry ? &entry->org : NULL;
}

const apr_array_header_t *oks_httpd_org_headers(const oks_org_t *org)
{
    return ((const oks_org_entry_t *)(const void *)org)->headers; /* its first member: no second look by name */
}

bool oks_httpd_org_signs(const oks_org_t *org)
{
    return ((const oks_org_entry_t *)(const void *)org)->signs;
}
