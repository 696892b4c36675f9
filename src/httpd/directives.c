/* The directives: each checks its own arguments, and says what to write instead. */
#include <string.h>

#include <apr_cstr.h>
#include <apr_hash.h>
#include <apr_strings.h>

#include "conf.h"

#include <util_varbuf.h>

#include "oktasso/scim.h"

#define GRACE_MIN apr_time_from_sec(5) /* the directory is asked each second */
#define GRACE_MAX apr_time_from_sec(3600)
#define OVERLAP_MAX apr_time_from_sec(30 * 86400)

static const char *where(const cmd_parms *cmd)
{
    return apr_psprintf(cmd->pool, "%s:%d", cmd->directive->filename, cmd->directive->line_num);
}

/* ---- Organization settings: which layer a directive speaks of ---- */

/* The layer: the open <OktaSSOOrg> section, else the Location, else the server's defaults. */
static oks_org_conf_t *layer(cmd_parms *cmd, void *dir_)
{
    oks_server_conf_t *conf = oks_httpd_server_conf(cmd->server);
    oks_dir_conf_t *dir = dir_;
    if (conf->open_section) return conf->open_section;
    if (!cmd->path) return conf->defaults;
    if (!dir->own) {
        dir->own = apr_pcalloc(cmd->pool, sizeof *dir->own);
        APR_ARRAY_PUSH(conf->locations, oks_dir_conf_t *) = dir;
    }
    return dir->own;
}

static bool in_location(const cmd_parms *cmd)
{
    return cmd->path && !oks_httpd_server_conf(cmd->server)->open_section;
}

/* Stores a setting; a second line for the same one is told. */
static const char *store(cmd_parms *cmd, void *dir, oks_setting_id_t id, const void *value)
{
    oks_setting_t *setting = &layer(cmd, dir)->set[id];
    if (setting->text)
        return apr_psprintf(cmd->pool, "%s stands here and at %s: keep one of them", cmd->cmd->name, setting->where);
    setting->where = where(cmd);
    setting->text = apr_pstrdup(cmd->pool, cmd->directive->args ? cmd->directive->args : "");
    setting->value = value;
    return NULL;
}

/* The rows of a setting that collects lines; this line's text is kept beside them. What is wrong, or NULL. */
static const char *collect(apr_array_header_t **rows, cmd_parms *cmd, void *dir, oks_setting_id_t id, int size)
{
    oks_setting_t *setting = &layer(cmd, dir)->set[id];
    const char *text = apr_pstrdup(cmd->pool, cmd->directive->args ? cmd->directive->args : "");
    if (!setting->list) {
        setting->list = apr_array_make(cmd->pool, 4, size);
        setting->lines = apr_array_make(cmd->pool, 4, sizeof text);
        setting->where = where(cmd);
        setting->text = text;
    }
    if (setting->lines->nelts == OKS_SETTING_LINES_MAX)
        return apr_psprintf(cmd->pool, "%s stands on more than %d lines", cmd->cmd->name, OKS_SETTING_LINES_MAX);
    APR_ARRAY_PUSH(setting->lines, const char *) = text;
    *rows = setting->list;
    return NULL;
}

/* What is wrong with a URL that carries what nobody else may read or change, or NULL. */
static const char *check_https(const cmd_parms *cmd, const char *text)
{
    oks_url_t url;
    oks_err_t *err = oks_url_parse(&url, oks_span_z(text), cmd->temp_pool);
    if (err) return apr_psprintf(cmd->pool, "%s \"%s\": %s", cmd->cmd->name, text, err->detail);
    if (strcmp(url.scheme, "https") == 0 || oks_url_is_loopback(&url)) return NULL;
    return apr_psprintf(cmd->pool, "%s must be an https URL (http is for loopback addresses alone)", cmd->cmd->name);
}

static const char *parse_interval(apr_interval_time_t *interval, const cmd_parms *cmd, const char *text)
{
    oks_err_t *err = oks_interval_parse(interval, text, cmd->temp_pool);
    return err ? apr_psprintf(cmd->pool, "%s: %s", cmd->cmd->name, err->detail) : NULL;
}

static const char *const *string_list(int argc, char *const argv[], apr_pool_t *pool)
{
    const char **list = apr_pcalloc(pool, sizeof *list * (apr_size_t)(argc + 1));
    for (int i = 0; i < argc; i++) list[i] = apr_pstrdup(pool, argv[i]);
    return list;
}

static const char *check_org_name(const char *name, apr_pool_t *pool)
{
    if (oks_org_name_ok(oks_span_z(name))) return NULL;
    return apr_psprintf(pool, "\"%s\" is no organization name: write 1 to %d of a-z, 0-9 and -, such as \"acme-corp\" "
                        "(Okta refuses _ in URLs)", name, OKS_ORG_NAME_MAX);
}

static const char *set_org(cmd_parms *cmd, void *dir_, const char *name)
{
    oks_dir_conf_t *dir = dir_;
    const char *error = oks_httpd_is_any_org(name) ? NULL : check_org_name(name, cmd->pool);
    if (error) return error;
    if (!cmd->path) return "OktaSSOOrg NAME belongs into a <Location>; an organization is defined by <OktaSSOOrg NAME>";
    if (dir->org) return "OktaSSOOrg stands twice in this section: keep one of them";
    dir->org = apr_pstrdup(cmd->pool, name);
    oks_org_conf_t *own = layer(cmd, dir);
    own->name = dir->org;
    own->where = where(cmd);
    return NULL;
}

/* Only settings of the organization: not of the server, and not httpd's own. */
const char *oks_httpd_check_section(const ap_directive_t *first, apr_pool_t *pool)
{
    for (const ap_directive_t *child = first; child; child = child->next) {
        const command_rec *row = oks_httpd_commands;
        while (row->name && apr_cstr_casecmp(row->name, child->directive) != 0) row++;
        if (!row->name && apr_cstr_casecmpn(child->directive, "OktaSSO", 7) == 0)
            return apr_psprintf(pool, "%s (line %d): there is no such directive: perhaps misspelled", child->directive,
                                child->line_num);
        if (!row->name || !(row->req_override & ACCESS_CONF) || apr_cstr_casecmp(child->directive, "OktaSSOOrg") == 0)
            return apr_psprintf(pool, "%s cannot stand in <OktaSSOOrg> (line %d): only OktaSSO... settings of the "
                                "organization can", child->directive, child->line_num);
    }
    return NULL;
}

/* <OktaSSOOrg NAME> ... </OktaSSOOrg> */
static const char *open_org(cmd_parms *cmd, void *dir, const char *args)
{
    oks_server_conf_t *conf = oks_httpd_server_conf(cmd->server);
    const char *end = strrchr(args, '>'), *name, *error;
    if (ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT)) return "<OktaSSOOrg> cannot stand inside another section";
    if (!end) return "<OktaSSOOrg> lacks its closing \">\"";
    args = apr_pstrmemdup(cmd->temp_pool, args, (apr_size_t)(end - args));
    name = ap_getword_conf(cmd->pool, &args);
    if (*args) return "<OktaSSOOrg> takes one name";
    if ((error = check_org_name(name, cmd->pool))) return error;
    oks_org_conf_t *known = apr_hash_get(conf->sections, name, APR_HASH_KEY_STRING);
    if (known)
        return apr_psprintf(cmd->pool, "<OktaSSOOrg %s> is defined here and at %s: merge the two sections", name, known->where);
    if ((error = oks_httpd_check_section(cmd->directive->first_child, cmd->pool))) return error;
    oks_org_conf_t *section = apr_pcalloc(cmd->pool, sizeof *section);
    section->name = name;
    section->where = where(cmd);
    apr_hash_set(conf->sections, name, APR_HASH_KEY_STRING, section);
    conf->open_section = section;
    error = ap_walk_config(cmd->directive->first_child, cmd, cmd->context);
    conf->open_section = NULL;
    return error;
}

static const char *set_metadata(cmd_parms *cmd, void *dir, const char *source)
{
    const char *error = strstr(source, "://") ? check_https(cmd, source) : NULL;
    return error ? error : store(cmd, dir, OKS_SET_METADATA, apr_pstrdup(cmd->pool, source));
}

static const char *set_client_id(cmd_parms *cmd, void *dir, const char *id)
{
    if (!*id) return "OktaSSOClientID takes the Client ID that Okta shows";
    return store(cmd, dir, OKS_SET_CLIENT_ID, apr_pstrdup(cmd->pool, id));
}

static const char *store_client(cmd_parms *cmd, void *dir, oks_setting_id_t id, const char *source, const char *option)
{
    oks_client_conf_t *client = apr_palloc(cmd->pool, sizeof *client);
    client->source = apr_pstrdup(cmd->pool, source);
    client->option = apr_pstrdup(cmd->pool, option);
    return store(cmd, dir, id, client);
}

static const char *set_client_secret(cmd_parms *cmd, void *dir, const char *source, const char *how)
{
    if (how && strcmp(how, "basic") != 0 && strcmp(how, "post") != 0)
        return "OktaSSOClientSecret takes file:PATH, exec:COMMAND, env:NAME or the secret itself, and then basic or post";
    return store_client(cmd, dir, OKS_SET_CLIENT_SECRET, source, how);
}

static const char *set_client_key(cmd_parms *cmd, void *dir, const char *path, const char *kid)
{
    return store_client(cmd, dir, OKS_SET_CLIENT_KEY, ap_server_root_relative(cmd->pool, path), kid);
}

static const char *set_scope(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    const char *scope = "openid";
    for (int i = 0; i < argc && strlen(scope) <= 1024; i++)
        if (strcmp(argv[i], "openid") != 0) scope = apr_pstrcat(cmd->pool, scope, " ", argv[i], NULL);
    if (!argc || strlen(scope) > 1024) return "OktaSSOScope takes scopes, such as openid profile email groups; 1024 bytes at most";
    return store(cmd, dir, OKS_SET_SCOPE, scope);
}

#define XML_DIRECTIVE "OktaSSOIdPMetadataText" /* what the section becomes; nobody writes it */

/* Read while the file is read, since httpd would take the tags for sections: one directive with the whole text stands in
 * the tree instead. */
static const char *read_metadata_xml(cmd_parms *cmd, void *tree, const char *args)
{
    ap_directive_t **made = tree;
    struct ap_varbuf line, text;
    bool closed = false;
    int start = (int)cmd->config_file->line_number;
    if (strcmp(args, ">") != 0) return "<" OKS_XML_SECTION "> takes no argument";
    ap_varbuf_init(cmd->temp_pool, &line, 1024);
    ap_varbuf_init(cmd->temp_pool, &text, 4096);
    while (!closed && ap_varbuf_cfg_getline(&line, cmd->config_file, OKS_SAML_METADATA_MAX) == APR_SUCCESS) {
        closed = apr_cstr_casecmp(line.buf, "</" OKS_XML_SECTION ">") == 0;
        if (closed) break;
        ap_varbuf_strcat(&text, line.buf);
        ap_varbuf_strcat(&text, "\n");
        if (text.strlen > OKS_SAML_METADATA_MAX) return "<" OKS_XML_SECTION "> is longer than metadata may be: name a file instead";
    }
    if (!closed) return "<" OKS_XML_SECTION "> lacks its </" OKS_XML_SECTION ">";
    *made = apr_pcalloc(cmd->pool, sizeof **made);
    (*made)->directive = XML_DIRECTIVE;
    (*made)->args = ap_varbuf_pdup(cmd->pool, &text, NULL, 0, NULL, 0, NULL);
    (*made)->filename = cmd->config_file->name;
    (*made)->line_num = start;
    return NULL;
}

static const char *set_metadata_xml(cmd_parms *cmd, void *dir, const char *xml)
{
    return store(cmd, dir, OKS_SET_METADATA_XML, xml);
}

static const char *set_sign_on_url(cmd_parms *cmd, void *dir, const char *text)
{
    const char *error = check_https(cmd, text);
    return error ? error : store(cmd, dir, OKS_SET_SIGN_ON_URL, apr_pstrdup(cmd->pool, text));
}

static const char *set_issuer(cmd_parms *cmd, void *dir, const char *uri)
{
    if (!strchr(uri, ':')) return "OktaSSOIdPIssuer takes the issuer that Okta shows: http://www.okta.com/exk...";
    return store(cmd, dir, OKS_SET_ISSUER, apr_pstrdup(cmd->pool, uri));
}

static const char *set_certificates(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    const char **paths = apr_pcalloc(cmd->pool, sizeof *paths * (apr_size_t)(argc + 1));
    if (!argc) return "OktaSSOIdPCertificate takes one file or more";
    for (int i = 0; i < argc; i++) paths[i] = ap_server_root_relative(cmd->pool, argv[i]);
    return store(cmd, dir, OKS_SET_CERTIFICATE, paths);
}

static const char *store_files(cmd_parms *cmd, void *dir, oks_setting_id_t id, const char *first, const char *second)
{
    const char **paths = apr_pcalloc(cmd->pool, sizeof *paths * 3);
    paths[0] = ap_server_root_relative(cmd->pool, first);
    if (second) paths[1] = ap_server_root_relative(cmd->pool, second);
    return store(cmd, dir, id, paths);
}

static const char *set_sp_key(cmd_parms *cmd, void *dir, const char *first, const char *second)
{
    return store_files(cmd, dir, OKS_SET_SP_KEY, first, second);
}

static const char *set_sp_certificates(cmd_parms *cmd, void *dir, const char *first, const char *second)
{
    return store_files(cmd, dir, OKS_SET_SP_CERTIFICATE, first, second);
}

static const char *set_acs_url(cmd_parms *cmd, void *dir, const char *text)
{
    const char *error = check_https(cmd, text);
    return error ? error : store(cmd, dir, OKS_SET_ACS_URL, apr_pstrdup(cmd->pool, text));
}

static const char *set_algorithms(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    oks_algorithms_t *set = apr_pcalloc(cmd->pool, sizeof *set);
    for (int i = 0; i < argc; i++) {
        unsigned saml = oks_saml_algorithm(argv[i]), jws = oks_jws_algorithm(oks_span_z(argv[i]));
        if (!saml && !jws)
            return apr_psprintf(cmd->pool, "OktaSSOAlgorithms \"%s\" is not known: write some of rsa-sha256, rsa-sha384, "
                                "rsa-sha512, ecdsa-sha256, ecdsa-sha384, ecdsa-sha512, sha256-rsa-MGF1, sha384-rsa-MGF1, "
                                "sha512-rsa-MGF1, rsa-sha1; of OpenID Connect RS256, PS256, "
                                "ES256 and so on", argv[i]);
        set->saml |= saml;
        set->jws |= jws;
    }
    if (!argc) return "OktaSSOAlgorithms takes one algorithm or more, such as rsa-sha256";
    return store(cmd, dir, OKS_SET_ALGORITHMS, set);
}

/* One of `words`, NULL-terminated: their order is that of the setting's enumeration. */
static const char *store_word(cmd_parms *cmd, void *dir, oks_setting_id_t id, const char *const *words, const char *text)
{
    int *value = apr_pcalloc(cmd->pool, sizeof *value);
    while (words[*value] && apr_cstr_casecmp(text, words[*value]) != 0) ++*value;
    if (words[*value]) return store(cmd, dir, id, value);
    const char *said = words[0];
    for (int i = 1; words[i]; i++) said = apr_pstrcat(cmd->pool, said, words[i + 1] ? ", " : " or ", words[i], NULL);
    return apr_psprintf(cmd->pool, "%s takes %s", cmd->cmd->name, said);
}

static const char *set_response_mode(cmd_parms *cmd, void *dir, const char *text)
{
    static const char *const words[] = { "query", "form_post", NULL };
    return store_word(cmd, dir, OKS_SET_RESPONSE_MODE, words, text);
}

static const char *set_idp_initiated(cmd_parms *cmd, void *dir, const char *text)
{
    static const char *const words[] = { "upgrade", "on", "off", NULL };
    return store_word(cmd, dir, OKS_SET_IDP_INITIATED, words, text);
}

static const char *set_entity_ids(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    for (int i = 0; i < argc; i++)
        if (!strchr(argv[i], ':'))
            return apr_psprintf(cmd->pool, "OktaSSOSPEntityID \"%s\" is no URI: write https://... or urn:...", argv[i]);
    if (!argc) return "OktaSSOSPEntityID takes one URI or more";
    return store(cmd, dir, OKS_SET_ENTITY_ID, string_list(argc, argv, cmd->pool));
}

static bool field_name_ok(const char *field)
{
    apr_size_t len = strlen(field);
    return len >= 1 && len <= 64 && strspn(field, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == len;
}

/* Of a built-in field: `OktaSSOAttribute firstName!` requires it, wherever it comes from. */
static const char *const *default_sources(const char *field, apr_pool_t *pool)
{
    const apr_array_header_t *rules = oks_flow_default_attributes(pool);
    for (int i = 0; i < rules->nelts; i++)
        if (!strcmp(APR_ARRAY_IDX(rules, i, oks_attribute_rule_t).field, field))
            return APR_ARRAY_IDX(rules, i, oks_attribute_rule_t).sources;
    return NULL;
}

/* Of two fields that differ in case alone the environment could have one, and a backend that ignores case would take either. */
static const char *check_field(const char *field, const apr_array_header_t *rules, apr_pool_t *pool)
{
    const char *builtin = oks_flow_builtin_field(field), *other = NULL;
    for (int i = 0; i < rules->nelts && !other; i++) {
        const char *known = APR_ARRAY_IDX(rules, i, oks_attribute_rule_t).field;
        if (apr_cstr_casecmp(known, field) == 0 && strcmp(known, field) != 0) other = known;
    }
    if (builtin && strcmp(builtin, field) != 0) other = builtin;
    if (!other) return NULL;
    char *upper = apr_pstrdup(pool, other);
    for (char *p = upper; *p; p++) *p = oks_upper(*p);
    return apr_psprintf(pool, "%s and the %sfield %s would be one variable, OKTASSO_%s: rename it", field,
                        builtin ? "built-in " : "", other, upper);
}

static const char *set_attribute(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    bool required = argc && *argv[0] && argv[0][strlen(argv[0]) - 1] == '!';
    if (required) argv[0][strlen(argv[0]) - 1] = '\0';
    const char *const *defaults = required && argc == 1 ? default_sources(argv[0], cmd->temp_pool) : NULL;
    if (argc < 2 && !defaults)
        return "OktaSSOAttribute takes a field and the attribute names that feed it: OktaSSOAttribute email mail";
    if (!field_name_ok(argv[0])) return apr_psprintf(cmd->pool, "\"%s\" is no field name: letters, digits and _", argv[0]);
    if (!strcmp(argv[0], "user") || !strcmp(argv[0], "role") || !strcmp(argv[0], "org"))
        return apr_psprintf(cmd->pool, "the field %s is not fed by attributes: see OktaSSOUserField and OktaSSORole", argv[0]);
    apr_array_header_t *rules;
    const char *error = collect(&rules, cmd, dir, OKS_SET_ATTRIBUTE, sizeof(oks_attribute_rule_t));
    if (!error) error = check_field(argv[0], rules, cmd->pool);
    if (error) return error;
    oks_attribute_rule_t *rule = apr_array_push(rules);
    rule->field = apr_pstrdup(cmd->pool, argv[0]);
    rule->sources = defaults ? defaults : string_list(argc - 1, argv + 1, cmd->pool);
    rule->required = required;
    return NULL;
}

/* A file of OktaSSOOrgDir need not be the administrator's, and backends believe what comes under the names that he gave. */
static const char *check_given(const cmd_parms *cmd, const oks_header_t *row)
{
    const bool in_file = !cmd->path && !(cmd->override & RSRC_CONF); /* see oks_httpd_parse_org() */
    const char *given = in_file ? oks_httpd_other_field(oks_httpd_server_conf(cmd->server), row, cmd->temp_pool) : NULL;
    if (!given) return NULL;
    return apr_psprintf(cmd->pool, "%s %s: a file can only take this header away (none): it holds the field %s, in all "
                        "organizations", cmd->cmd->name, row->header, given);
}

/* All requests are scrubbed of it: without these httpd, or the backend, reads another message than was sent (RFC 9110 7.6.1, 8.6;
 * RFC 9112 6), and SCIM and HTTP Basic have no credentials. */
static const char *check_header_name(const char *name, apr_pool_t *pool)
{
    static const char *const needed[] = {
        "authorization", "connection", "contentencoding", "contentlength", "contenttype", "cookie", "expect", "host",
        "http2settings", "keepalive", "proxyauthorization", "proxyconnection", "te", "trailer", "transferencoding", "upgrade",
    };
    if (!oks_header_name_ok(name)) return apr_psprintf(pool, "\"%s\" is no header name", name);
    for (apr_size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (strcmp(oks_header_fold(name, pool), needed[i]) == 0)
            return apr_psprintf(pool, "the header %s belongs to HTTP itself, and all requests would lose it: take another name",
                                name);
    const char *usual = oks_httpd_default_header(name, pool);
    if (usual && apr_cstr_casecmp(name, usual) != 0)
        return apr_psprintf(pool, "%s and %s are the same one for a backend: write %s", name, usual, usual);
    return NULL;
}

static const char *set_header(cmd_parms *cmd, void *dir_, const char *name, const char *field)
{
    oks_dir_conf_t *dir = dir_;
    const char *bad = check_header_name(name, cmd->pool);
    if (bad) return bad;
    oks_header_t row = { apr_pstrdup(cmd->pool, name), oks_header_fold(name, cmd->pool),
                         strcmp(field, "none") ? apr_pstrdup(cmd->pool, field) : NULL, where(cmd) };
    apr_array_header_t *rows;
    const char *error = check_given(cmd, &row);
    if (!error) error = collect(&rows, cmd, dir, OKS_SET_HEADER, sizeof row);
    if (error) return error;
    for (int i = 0; i < rows->nelts; i++) {
        const oks_header_t *other = &APR_ARRAY_IDX(rows, i, oks_header_t);
        if (!strcmp(other->folded, row.folded))
            return apr_psprintf(cmd->pool, "the headers %s and %s (%s) are the same one for a backend: rename one", name,
                                other->header, other->where);
    }
    APR_ARRAY_PUSH(rows, oks_header_t) = row;
    if (in_location(cmd)) dir->headers = rows;
    return NULL;
}

static const char *set_assertion_header(cmd_parms *cmd, void *dir, const char *name)
{
    oks_header_t *row = apr_pcalloc(cmd->pool, sizeof *row);
    if (strcmp(name, "none") == 0) return store(cmd, dir, OKS_SET_ASSERTION_HEADER, NULL);
    const char *bad = check_header_name(name, cmd->pool);
    if (bad) return bad;
    *row = (oks_header_t){ apr_pstrdup(cmd->pool, name), oks_header_fold(name, cmd->pool), oks_httpd_signed_field, where(cmd) };
    const char *error = check_given(cmd, row);
    return error ? error : store(cmd, dir, OKS_SET_ASSERTION_HEADER, row);
}

static const char *set_user_field(cmd_parms *cmd, void *dir, const char *field)
{
    if (!strcmp(field, "user") || !field_name_ok(field)) return "OktaSSOUserField takes a field, such as email or name";
    return store(cmd, dir, OKS_SET_USER_FIELD, apr_pstrdup(cmd->pool, field));
}

static const char *set_session(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    oks_session_limits_t *limits = apr_pcalloc(cmd->pool, sizeof *limits);
    for (int i = 0; i < argc; i++) {
        apr_interval_time_t *target = !strncmp(argv[i], "lifetime=", 9) ? &limits->lifetime
                                    : !strncmp(argv[i], "idle=", 5) ? &limits->idle : NULL;
        if (!target || *target)
            return "OktaSSOSession takes lifetime=... and idle=..., each once: OktaSSOSession lifetime=8h idle=1h";
        const char *error = parse_interval(target, cmd, strchr(argv[i], '=') + 1);
        if (error) return error;
        if (*target < apr_time_from_sec(1)) return "OktaSSOSession: at least 1s";
    }
    if (!argc) return "OktaSSOSession takes lifetime=... and idle=...";
    if (limits->lifetime && limits->idle > limits->lifetime) return "OktaSSOSession: idle is longer than lifetime";
    return store(cmd, dir, OKS_SET_SESSION, limits);
}

static const char *set_skew(cmd_parms *cmd, void *dir, const char *text)
{
    apr_interval_time_t *skew = apr_palloc(cmd->pool, sizeof *skew);
    const char *error = parse_interval(skew, cmd, text);
    if (error) return error;
    if (*skew > apr_time_from_sec(600)) return "OktaSSOClockSkew: more than 10m would accept messages long expired; mend the clock";
    return store(cmd, dir, OKS_SET_CLOCK_SKEW, skew);
}

static const char *set_unauthorized(cmd_parms *cmd, void *dir_, const char *text)
{
    static const char *const words[] = { "auto", "redirect", "401", "pass", NULL };
    oks_dir_conf_t *dir = dir_;
    const char *error = store_word(cmd, dir, OKS_SET_UNAUTHORIZED, words, text);
    if (!error && in_location(cmd)) dir->unauthorized = dir->own->set[OKS_SET_UNAUTHORIZED].value;
    return error;
}

static const char *store_flag(cmd_parms *cmd, void *dir, oks_setting_id_t id, int on)
{
    int *value = apr_palloc(cmd->pool, sizeof *value);
    *value = on;
    return store(cmd, dir, id, value);
}

static const char *set_enabled(cmd_parms *cmd, void *dir, int on)
{
    return store_flag(cmd, dir, OKS_SET_ENABLED, on);
}

static const char *set_verified_email(cmd_parms *cmd, void *dir, int on)
{
    return store_flag(cmd, dir, OKS_SET_VERIFIED_EMAIL, on);
}

static const char *set_sign_requests(cmd_parms *cmd, void *dir, int on)
{
    return store_flag(cmd, dir, OKS_SET_SIGN_REQUESTS, on);
}

static const char *set_par(cmd_parms *cmd, void *dir, int on)
{
    return store_flag(cmd, dir, OKS_SET_PAR, on);
}

static const char *set_force_authn(cmd_parms *cmd, void *dir_, int on)
{
    oks_dir_conf_t *dir = dir_;
    const char *error = store_flag(cmd, dir, OKS_SET_FORCE_AUTHN, on);
    if (!error && in_location(cmd)) dir->force_authn = dir->own->set[OKS_SET_FORCE_AUTHN].value;
    return error;
}

/* Not for the comparison, which is of bytes: what stands here goes into XML and into a query, and is separated by blanks. */
static bool context_ok(const char *context)
{
    for (const char *p = context; *p; p++)
        if (*p <= 0x20 || *p >= 0x7f) return false;
    return *context != '\0';
}

static const char *set_authn_context(cmd_parms *cmd, void *dir_, int argc, char *const argv[])
{
    oks_dir_conf_t *dir = dir_;
    apr_size_t bytes = 0;
    bool none = argc == 1 && strcmp(argv[0], "none") == 0;
    if (!argc) return "OktaSSOAuthnContext takes one authentication context or more, such as urn:okta:loa:2fa:any, or none";
    for (int i = 0; i < argc; bytes += strlen(argv[i++]) + 1)
        if (!context_ok(argv[i]))
            return apr_psprintf(cmd->pool, "OktaSSOAuthnContext \"%s\" is no URI: one argument each, without blanks", argv[i]);
    if (argc > OKS_FLOW_CONTEXTS_MAX || bytes > OKS_FLOW_CONTEXTS_BYTES_MAX)
        return apr_psprintf(cmd->pool, "OktaSSOAuthnContext: more than %d contexts or %d bytes: keep those that Okta sends",
                            OKS_FLOW_CONTEXTS_MAX, OKS_FLOW_CONTEXTS_BYTES_MAX);
    const char *const *contexts = string_list(none ? 0 : argc, argv, cmd->pool);
    if (in_location(cmd)) dir->authn_contexts = contexts;
    return store(cmd, dir, OKS_SET_AUTHN_CONTEXT, contexts);
}

static const char *set_max_authn_age(cmd_parms *cmd, void *dir_, const char *text)
{
    oks_dir_conf_t *dir = dir_;
    apr_interval_time_t *age = apr_pcalloc(cmd->pool, sizeof *age);
    const bool none = strcmp(text, "none") == 0;
    const char *error = none ? NULL : parse_interval(age, cmd, text);
    if (error) return error;
    if (!none && *age < apr_time_from_sec(60)) /* less, and a login is old when the visitor comes back */
        return "OktaSSOMaxAuthnAge: at least 1m, or none; to have each login ask for the credentials there is OktaSSOForceAuthn";
    *age -= *age % APR_USEC_PER_SEC;
    if (in_location(cmd)) dir->max_authn_age = age;
    return store(cmd, dir, OKS_SET_MAX_AUTHN_AGE, age);
}

static const char *set_name_id_format(cmd_parms *cmd, void *dir, const char *uri)
{
    if (strcmp(uri, "none") == 0) return store(cmd, dir, OKS_SET_NAME_ID_FORMAT, NULL);
    if (!strchr(uri, ':') || !context_ok(uri))
        return "OktaSSONameIDFormat takes a URI, such as urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress, or none";
    return store(cmd, dir, OKS_SET_NAME_ID_FORMAT, apr_pstrdup(cmd->pool, uri));
}

static const char *set_default_role(cmd_parms *cmd, void *dir, const char *role)
{
    return store(cmd, dir, OKS_SET_DEFAULT_ROLE, apr_pstrdup(cmd->pool, strcmp(role, "none") ? role : ""));
}

static const char *set_role(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    if (argc < 2) return "OktaSSORole takes a role and the groups that have it: OktaSSORole admin \"Okta-Admins\"";
    apr_array_header_t *rules;
    const char *error = collect(&rules, cmd, dir, OKS_SET_ROLE, sizeof(oks_role_rule_t));
    if (error) return error;
    oks_role_rule_t *rule = apr_array_push(rules);
    rule->role = apr_pstrdup(cmd->pool, argv[0]);
    rule->groups = string_list(argc - 1, argv + 1, cmd->pool);
    return NULL;
}

static const char *set_email_domains(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    for (int i = 0; i < argc; i++) {
        const char *domain = strncmp(argv[i], "*.", 2) == 0 ? argv[i] + 2 : argv[i];
        const char *probe = apr_pstrcat(cmd->temp_pool, "a@", domain, NULL);
        if (!oks_email_ok(oks_span_z(probe)) || !strchr(domain, '.'))
            return apr_psprintf(cmd->pool, "OktaSSOEmailDomain \"%s\" is no domain: write acme.com, or *.acme.com for all below it",
                                argv[i]);
        ap_str_tolower(argv[i]);
    }
    if (!argc) return "OktaSSOEmailDomain takes one domain or more";
    return store(cmd, dir, OKS_SET_EMAIL_DOMAIN, string_list(argc, argv, cmd->pool));
}

static const char *set_require_sso(cmd_parms *cmd, void *dir, const char *text)
{
    static const char *const words[] = { "off", "on", "members", NULL };
    return store_word(cmd, dir, OKS_SET_REQUIRE_SSO, words, text);
}

static const char *set_provisioning(cmd_parms *cmd, void *dir, const char *text)
{
    static const char *const words[] = { "jit", "scim", "off", NULL };
    return store_word(cmd, dir, OKS_SET_PROVISIONING, words, text);
}

/* Bytes: a whole number with K or M; 0 when it is none. */
static apr_size_t parse_size(const char *text)
{
    apr_size_t len = strspn(text, "0123456789");
    if (!len || len > 9 || !strchr("KM", text[len]) || !text[len] || text[len + 1]) return 0;
    return (apr_size_t)apr_atoi64(text) * (text[len] == 'M' ? 1024 * 1024 : 1024);
}

static const char *set_scim(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    oks_scim_conf_t *scim = apr_pcalloc(cmd->pool, sizeof *scim);
    scim->body_max = OKS_SCIM_BODY_DEFAULT;
    scim->on = argc && apr_cstr_casecmp(argv[0], "On") == 0;
    bool good = scim->on || (argc == 1 && apr_cstr_casecmp(argv[0], "Off") == 0);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "bare-token") == 0) scim->bare_token = true;
        else if (strncmp(argv[i], "max-body=", 9) == 0) scim->body_max = parse_size(argv[i] + 9);
        else good = false;
    }
    if (!good) return "OktaSSOSCIM takes On or Off, and after On also bare-token and max-body=SIZE";
    if (scim->body_max < OKS_SCIM_BODY_LEAST || scim->body_max > OKS_SCIM_BODY_MOST)
        return "OktaSSOSCIM: max-body from 64K to 64M, such as max-body=16M";
    return store(cmd, dir, OKS_SET_SCIM, scim);
}

/* The label is for people. */
static const char *set_scim_token(cmd_parms *cmd, void *dir, const char *text, const char *label)
{
    unsigned char *digest = apr_palloc(cmd->pool, OKS_SHA256_LEN);
    if (apr_cstr_casecmpn(text, "sha256:", 7) != 0 || !oks_hex_decode_into(digest, OKS_SHA256_LEN, oks_span_z(text + 7)))
        return "OktaSSOSCIMToken takes sha256: and the token's SHA-256 in hexadecimal: printf %s TOKEN | sha256sum";
    apr_array_header_t *tokens;
    const char *error = collect(&tokens, cmd, dir, OKS_SET_SCIM_TOKEN, sizeof(const char *));
    if (error) return error;
    APR_ARRAY_PUSH(tokens, const char *) = (const char *)digest;
    return NULL;
}

static const char *set_group_default_role(cmd_parms *cmd, void *dir, const char *role)
{
    return store(cmd, dir, OKS_SET_GROUP_DEFAULT_ROLE, strcmp(role, "none") ? apr_pstrdup(cmd->pool, role) : NULL);
}

static const char *set_local_providers(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    if (!argc) return "OktaSSOLocalProvider takes httpd's authentication providers, such as file, dbm or ldap, in their order";
    for (int i = 0; i < argc; i++)
        for (int earlier = 0; earlier < i; earlier++)
            if (strcmp(argv[i], argv[earlier]) == 0)
                return apr_psprintf(cmd->pool, "OktaSSOLocalProvider names \"%s\" twice: once is enough", argv[i]);
    return store(cmd, dir, OKS_SET_LOCAL_PROVIDER, string_list(argc, argv, cmd->pool));
}

static const char *set_break_glass(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    if (!argc) return "OktaSSOBreakGlass takes the names of local accounts";
    for (int i = 0; i < argc; i++)
        if (!*argv[i] || strchr(argv[i], ':') || strlen(argv[i]) > OKS_EMAIL_MAX)
            return apr_psprintf(cmd->pool, "OktaSSOBreakGlass \"%s\" is no account name: at most %d bytes, no colon", argv[i],
                                OKS_EMAIL_MAX);
    return store(cmd, dir, OKS_SET_BREAK_GLASS, string_list(argc, argv, cmd->pool));
}

/* ---- Server settings ---- */

static const char *only_main(cmd_parms *cmd)
{
    if (cmd->server->is_virtual)
        return apr_psprintf(cmd->pool, "%s belongs into the server config: all virtual hosts share one", cmd->cmd->name);
    return NULL;
}

static const char *set_state_dir(cmd_parms *cmd, void *dir, const char *path)
{
    oks_httpd_server_conf(cmd->server)->state_dir = ap_server_root_relative(cmd->pool, path);
    return only_main(cmd);
}

static const char *set_directory(cmd_parms *cmd, void *dir, const char *spec)
{
    if (strncmp(spec, "sqlite3:/", 9) != 0 && strncmp(spec, "pgsql:", 6) != 0)
        return "OktaSSODirectory takes sqlite3:/ABSOLUTE/PATH or pgsql:CONNINFO, such as "
               "\"pgsql:host=db.example.com dbname=oktasso\"";
    oks_httpd_server_conf(cmd->server)->directory = spec;
    return only_main(cmd);
}

static const char *set_keys(cmd_parms *cmd, void *dir, const char *source)
{
    if (strncmp(source, "file:", 5) != 0 && strncmp(source, "exec:", 5) != 0)
        return "OktaSSOKeys takes file:PATH or exec:COMMAND";
    apr_finfo_t info;
    const char *path = source[0] == 'f' ? ap_server_root_relative(cmd->temp_pool, source + 5) : NULL;
    if (path && APR_STATUS_IS_ENOENT(apr_stat(&info, path, APR_FINFO_TYPE, cmd->temp_pool)))
        return apr_psprintf(cmd->pool, "OktaSSOKeys: there is no file %s: make it by openssl rand -hex 32", path);
    oks_httpd_server_conf(cmd->server)->keys = source;
    return only_main(cmd);
}

static const char *set_http_timeout(cmd_parms *cmd, void *dir, const char *text)
{
    apr_interval_time_t timeout;
    const char *error = parse_interval(&timeout, cmd, text);
    if (error) return error;
    if (timeout < apr_time_from_msec(100) || timeout > apr_time_from_sec(60)) return "OktaSSOHTTPTimeout: from 100ms to 60s";
    oks_httpd_server_conf(cmd->server)->http.timeout = timeout;
    return only_main(cmd);
}

static const char *set_overlap(cmd_parms *cmd, void *dir, const char *text)
{
    apr_interval_time_t *overlap = apr_palloc(cmd->pool, sizeof *overlap);
    const char *error = parse_interval(overlap, cmd, text);
    if (error) return error;
    if (*overlap > OVERLAP_MAX)
        return "OktaSSOCertificateOverlap: at most 30d: for so long a certificate that was withdrawn would still be trusted";
    oks_httpd_server_conf(cmd->server)->overlap = overlap;
    return only_main(cmd);
}

static const char *set_grace(cmd_parms *cmd, void *dir, const char *text)
{
    apr_interval_time_t *grace = apr_palloc(cmd->pool, sizeof *grace);
    const char *error = parse_interval(grace, cmd, text);
    if (error) return error;
    if (*grace < GRACE_MIN || *grace > GRACE_MAX)
        return "OktaSSODirectoryGrace: from 5s to 1h: for so long nobody is switched off whom the directory cannot name";
    oks_httpd_server_conf(cmd->server)->grace = grace;
    return only_main(cmd);
}

static const char *set_ca_file(cmd_parms *cmd, void *dir, const char *path)
{
    apr_finfo_t info;
    path = ap_server_root_relative(cmd->pool, path);
    if (apr_stat(&info, path, APR_FINFO_TYPE, cmd->temp_pool) != APR_SUCCESS || info.filetype != APR_REG)
        return apr_psprintf(cmd->pool, "OktaSSOCAFile: there is no file %s: name the CA certificates in PEM", path);
    const char *error = oks_httpd_check_pem(path, cmd->pool);
    if (error) return apr_psprintf(cmd->pool, "OktaSSOCAFile: %s", error);
    oks_httpd_server_conf(cmd->server)->http.ca_file = path;
    return only_main(cmd);
}

static const char *set_proxy(cmd_parms *cmd, void *dir, const char *text)
{
    oks_url_t url;
    oks_err_t *err = oks_url_parse(&url, oks_span_z(text), cmd->temp_pool);
    if (err) return apr_psprintf(cmd->pool, "OktaSSOHTTPProxy \"%s\": %s: write http://HOST:PORT", text, err->detail);
    oks_httpd_server_conf(cmd->server)->http.proxy = text;
    return only_main(cmd);
}

static const char *set_path(cmd_parms *cmd, void *dir, const char *path)
{
    apr_size_t len = strlen(path);
    if (len < 2 || path[0] != '/' || path[len - 1] == '/' || strstr(path, "//") || strpbrk(path, "?#%\\ _"))
        return "OktaSSOPath takes a path such as /sso/okta: no slash at its end, no _ (Okta refuses it in URLs)";
    oks_httpd_server_conf(cmd->server)->path = path;
    return NULL;
}

static const char *set_base_url(cmd_parms *cmd, void *dir, const char *text)
{
    oks_url_t url;
    oks_err_t *err = oks_url_parse(&url, oks_span_z(text), cmd->temp_pool);
    if (err) return apr_psprintf(cmd->pool, "OktaSSOBaseURL \"%s\": %s", text, err->detail);
    if (strcmp(url.path, "/") != 0 || text[strlen(text) - 1] == '/')
        return "OktaSSOBaseURL takes scheme, host and port alone: https://app.example.com";
    if (strcmp(url.scheme, "https") != 0 && !oks_url_is_loopback(&url))
        return "OktaSSOBaseURL must be https (http is for loopback addresses alone)";
    oks_httpd_server_conf(cmd->server)->base_url = text;
    return NULL;
}

static const char *set_org_dir(cmd_parms *cmd, void *dir, const char *path, const char *reach)
{
    if (reach && strcmp(reach, "private") != 0) return "OktaSSOOrgDir takes a directory, and then private or nothing";
    oks_httpd_server_conf(cmd->server)->org_dir_private = reach != NULL;
    char *whole = ap_server_root_relative(cmd->pool, path);
    for (apr_size_t len = strlen(whole); len > 1 && whole[len - 1] == '/'; len--) whole[len - 1] = '\0';
    oks_httpd_server_conf(cmd->server)->org_dir = whole;
    return NULL;
}

/* Is there a folder for the file? Whoever runs configtest may not see into it: that is no error. */
static const char *check_folder(const cmd_parms *cmd, const char *path)
{
    apr_finfo_t info;
    const char *folder = ap_make_dirstr_parent(cmd->temp_pool, path);
    if (!APR_STATUS_IS_ENOENT(apr_stat(&info, folder, APR_FINFO_TYPE, cmd->temp_pool))) return NULL;
    return apr_psprintf(cmd->pool, "%s: there is no directory %s", cmd->cmd->name, folder);
}

static const char *set_audit_log(cmd_parms *cmd, void *dir, const char *target)
{
    const bool piped = *target == '|';
    target = piped ? target : ap_server_root_relative(cmd->pool, target);
    if (!target || !target[piped]) return "OktaSSOAuditLog takes a file or \"|COMMAND\"";
    const char *error = piped ? NULL : check_folder(cmd, target);
    if (error) return error;
    oks_httpd_server_conf(cmd->server)->audit_target = target;
    return NULL;
}

static const char *set_page_template(cmd_parms *cmd, void *dir, const char *path)
{
    oks_server_conf_t *conf = oks_httpd_server_conf(cmd->server);
    oks_span_t text;
    path = ap_server_root_relative(cmd->temp_pool, path);
    const char *error = oks_httpd_read_file(&text, path, OKS_LOOK_TEMPLATE_MAX, cmd->pool);
    if (error) return apr_psprintf(cmd->pool, "OktaSSOPageTemplate: %s", error);
    oks_err_t *err = oks_look_parse(&conf->look.template_parts, text, cmd->pool);
    return err ? apr_psprintf(cmd->pool, "OktaSSOPageTemplate %s: %s", path, err->detail) : NULL;
}

/* Of this site, so that no other one learns who signs in here. */
static const char *set_logo(cmd_parms *cmd, void *dir, const char *path)
{
    const char *checked;
    if (oks_return_path(&checked, oks_span_z(path), cmd->temp_pool) != NULL)
        return apr_psprintf(cmd->pool, "OktaSSOLogo \"%s\": write the path of a picture on this site, such as /logo.svg, which "
                            "everybody may see", path);
    oks_httpd_server_conf(cmd->server)->look.logo = path;
    return NULL;
}

#define ORG (RSRC_CONF | ACCESS_CONF)
const command_rec oks_httpd_commands[] = {
    AP_INIT_RAW_ARGS("<OktaSSOOrg", open_org, NULL, RSRC_CONF, "NAME: defines an organization"),
    AP_INIT_TAKE1("OktaSSOStateDir", set_state_dir, NULL, RSRC_CONF, "where keys and the embedded database live"),
    AP_INIT_TAKE1("OktaSSODirectory", set_directory, NULL, RSRC_CONF, "sqlite3:PATH or pgsql:CONNINFO"),
    AP_INIT_TAKE1("OktaSSOKeys", set_keys, NULL, RSRC_CONF, "file:PATH or exec:COMMAND"),
    AP_INIT_TAKE1("OktaSSOHTTPTimeout", set_http_timeout, NULL, RSRC_CONF, "how long an outgoing request may take, 5s"),
    AP_INIT_TAKE1("OktaSSOHTTPProxy", set_proxy, NULL, RSRC_CONF, "http://HOST:PORT for outgoing requests"),
    AP_INIT_TAKE1("OktaSSOCertificateOverlap", set_overlap, NULL, RSRC_CONF, "how long dropped certificates stay good, 24h"),
    AP_INIT_TAKE1("OktaSSODirectoryGrace", set_grace, NULL, RSRC_CONF, "how long sessions go on without the directory, 5m"),
    AP_INIT_TAKE1("OktaSSOCAFile", set_ca_file, NULL, RSRC_CONF, "CA certificates for outgoing requests, PEM"),
    AP_INIT_TAKE1("OktaSSOPath", set_path, NULL, RSRC_CONF, "where the module's own URLs live"),
    AP_INIT_TAKE1("OktaSSOBaseURL", set_base_url, NULL, RSRC_CONF, "the outside URL of this virtual host"),
    AP_INIT_TAKE12("OktaSSOOrgDir", set_org_dir, NULL, RSRC_CONF, "a directory of files NAME.conf, one for each organization"),
    AP_INIT_TAKE1("OktaSSOAuditLog", set_audit_log, NULL, RSRC_CONF, "FILE or |COMMAND: each decision as a line of JSON"),
    AP_INIT_TAKE1("OktaSSOPageTemplate", set_page_template, NULL, RSRC_CONF, "HTML with {{content}}: the frame of our pages"),
    AP_INIT_TAKE1("OktaSSOLogo", set_logo, NULL, RSRC_CONF, "path of a picture on our pages"),
    AP_INIT_TAKE1("OktaSSOOrg", set_org, NULL, ORG, "the organization that guards this Location; *: any"),
    AP_INIT_TAKE1("OktaSSOIdPMetadata", set_metadata, NULL, ORG, "URL or file of the IdP's metadata"),
    AP_INIT_RAW_ARGS("<OktaSSOIdPMetadataXML", read_metadata_xml, NULL, ORG | EXEC_ON_READ, "the IdP's metadata, pasted"),
    AP_INIT_RAW_ARGS(XML_DIRECTIVE, set_metadata_xml, NULL, ORG, "internal: the text of <" OKS_XML_SECTION ">"),
    AP_INIT_TAKE1("OktaSSOIdPSignOnURL", set_sign_on_url, NULL, ORG, "the IdP's single sign-on URL, without metadata"),
    AP_INIT_TAKE1("OktaSSOIdPIssuer", set_issuer, NULL, ORG, "the IdP's entity ID, without metadata"),
    AP_INIT_TAKE_ARGV("OktaSSOIdPCertificate", set_certificates, NULL, ORG, "the IdP's signing certificates, without metadata"),
    AP_INIT_TAKE1("OktaSSOClientID", set_client_id, NULL, ORG, "OpenID Connect: our client ID"),
    AP_INIT_TAKE12("OktaSSOClientSecret", set_client_secret, NULL, ORG, "file:, exec:, env: or TEXT, and basic or post"),
    AP_INIT_TAKE12("OktaSSOClientKey", set_client_key, NULL, ORG, "private_key_jwt: our key, PEM, and its kid"),
    AP_INIT_TAKE_ARGV("OktaSSOScope", set_scope, NULL, ORG, "scopes that are asked for"),
    AP_INIT_TAKE1("OktaSSOResponseMode", set_response_mode, NULL, ORG, "query or form_post"),
    AP_INIT_FLAG("OktaSSOPAR", set_par, NULL, ORG, "On: pushed authorization requests"),
    AP_INIT_TAKE1("OktaSSOIdPInitiated", set_idp_initiated, NULL, ORG, "upgrade, on or off: unsolicited Responses"),
    AP_INIT_TAKE1("OktaSSOACSURL", set_acs_url, NULL, ORG, "where Responses go, when the IdP knows another form of it"),
    AP_INIT_TAKE_ARGV("OktaSSOAlgorithms", set_algorithms, NULL, ORG, "signature algorithms that the IdP may use"),
    AP_INIT_FLAG("OktaSSOSignRequests", set_sign_requests, NULL, ORG, "On: sign AuthnRequests"),
    AP_INIT_TAKE12("OktaSSOSPKey", set_sp_key, NULL, ORG, "our private key, PEM, and the other one of a rollover"),
    AP_INIT_TAKE12("OktaSSOSPCertificate", set_sp_certificates, NULL, ORG, "its certificate, and the next one of a rollover"),
    AP_INIT_TAKE_ARGV("OktaSSOSPEntityID", set_entity_ids, NULL, ORG, "audiences accepted; the first is sent"),
    AP_INIT_TAKE_ARGV("OktaSSOAttribute", set_attribute, NULL, ORG, "FIELD[!] NAME...: attributes that feed a field"),
    AP_INIT_FLAG("OktaSSORequireVerifiedEmail", set_verified_email, NULL, ORG, "On: email_verified must be true"),
    AP_INIT_TAKE2("OktaSSOHeader", set_header, NULL, ORG, "HEADER FIELD|none"),
    AP_INIT_TAKE1("OktaSSOAssertionHeader", set_assertion_header, NULL, ORG, "header of the signed identity; none"),
    AP_INIT_TAKE1("OktaSSOUserField", set_user_field, NULL, ORG, "the field that becomes REMOTE_USER"),
    AP_INIT_TAKE_ARGV("OktaSSOSession", set_session, NULL, ORG, "lifetime=8h idle=1h"),
    AP_INIT_TAKE1("OktaSSOClockSkew", set_skew, NULL, ORG, "tolerance for clocks that differ"),
    AP_INIT_TAKE1("OktaSSOUnauthorized", set_unauthorized, NULL, ORG, "auto, redirect, 401 or pass"),
    AP_INIT_FLAG("OktaSSOForceAuthn", set_force_authn, NULL, ORG, "On: a login asks for the credentials again"),
    AP_INIT_TAKE_ARGV("OktaSSOAuthnContext", set_authn_context, NULL, ORG, "URI...: one of these authentication contexts; none"),
    AP_INIT_TAKE1("OktaSSOMaxAuthnAge", set_max_authn_age, NULL, ORG, "how long ago the login may be; none"),
    AP_INIT_TAKE1("OktaSSONameIDFormat", set_name_id_format, NULL, ORG, "the NameIDPolicy to send; none"),
    AP_INIT_FLAG("OktaSSOEnabled", set_enabled, NULL, ORG, "Off: every URL of the organization answers 404"),
    AP_INIT_TAKE1("OktaSSODefaultRole", set_default_role, NULL, ORG, "role of users whom no OktaSSORole names"),
    AP_INIT_TAKE_ARGV("OktaSSORole", set_role, NULL, ORG, "ROLE GROUP..."),
    AP_INIT_TAKE1("OktaSSORequireSSO", set_require_sso, NULL, ORG, "off, on or members"),
    AP_INIT_TAKE1("OktaSSOProvisioning", set_provisioning, NULL, ORG, "jit, scim or off: who creates user records"),
    AP_INIT_TAKE_ARGV("OktaSSOSCIM", set_scim, NULL, ORG, "On [bare-token] [max-body=SIZE]; Off: no SCIM here"),
    AP_INIT_TAKE12("OktaSSOSCIMToken", set_scim_token, NULL, ORG, "sha256:HEX and a label: a token that may provision"),
    AP_INIT_TAKE1("OktaSSOGroupDefaultRole", set_group_default_role, NULL, ORG, "role of the members of pushed groups; none"),
    AP_INIT_TAKE_ARGV("OktaSSOLocalProvider", set_local_providers, NULL, ORG, "authn providers of local accounts: file, ldap..."),
    AP_INIT_TAKE_ARGV("OktaSSOBreakGlass", set_break_glass, NULL, ORG, "local accounts that work while SSO is required"),
    AP_INIT_TAKE_ARGV("OktaSSOEmailDomain", set_email_domains, NULL, ORG, "the organization's email domains"),
    { .name = NULL }
};
