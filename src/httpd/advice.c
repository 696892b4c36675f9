/* What is no error, but surely a slip: told at start and at configtest, as warnings. Rather silent than wrong: whoever reads one
 * false alarm reads no other. */
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include "conf.h"

#include <http_log.h>

APLOG_USE_MODULE(oktasso);

static bool is_word(const char *args, const char *word)
{
    return args && apr_cstr_casecmp(args, word) == 0;
}

/* ---- OktaSSOOrg without AuthType or Require ---- */

typedef struct facts_t {
    const ap_directive_t *org; /* the first OktaSSOOrg */
    bool has_type;             /* AuthType stands somewhere; */
    bool asks;                 /* and what asks for a user: either may also come with a request, from .htaccess */
} facts_t;

/* Does the Require line, for all that is known of it, look at who the visitor is? */
static bool asks_for_user(const char *args, apr_pool_t *pool)
{
    static const char *const others[] = { "all", "ip", "host", "local", "forward-dns", "env", "method" };
    const char *word = args ? ap_getword_conf(pool, &args) : "";
    if (is_word(word, "not")) word = ap_getword_conf(pool, &args);
    for (apr_size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (is_word(word, others[i])) return false;
    return true;
}

/* All files that are included, and all sections and macros that are used, stand in this tree. */
static void learn(facts_t *facts, const ap_directive_t *first, apr_pool_t *pool)
{
    for (const ap_directive_t *each = first; each; each = each->next) {
        const char *name = each->directive;
        if (is_word(name, "OktaSSOOrg") && !facts->org) facts->org = each;
        if (is_word(name, "AuthType")) facts->has_type = true;
        if (is_word(name, "Require") && asks_for_user(each->args, pool)) facts->asks = true;
        if (is_word(name, "OktaSSOUnauthorized") || is_word(name, "OktaSSOOrgDir")) facts->asks = true; /* pass needs no Require */
        if ((is_word(name, "AllowOverride") || is_word(name, "AllowOverrideList")) && !is_word(each->args, "None"))
            facts->has_type = facts->asks = true;
        learn(facts, each->first_child, pool);
    }
}

void oks_httpd_tell_of_open(const server_rec *main_server, apr_pool_t *ptemp)
{
    facts_t facts = { 0 };
    learn(&facts, ap_conftree, ptemp);
    if (!facts.org || (facts.has_type && facts.asks)) return;
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server, "OKS0056: %s:%d: OktaSSOOrg %s asks nobody to sign in: the whole "
                 "configuration has no %s: write it into this section", facts.org->filename, facts.org->line_num, facts.org->args,
                 facts.has_type ? "Require valid-user" : facts.asks ? "AuthType OktaSSO"
                 : "AuthType OktaSSO and no Require valid-user");
}

/* ---- OktaSSOLocalProvider file, and AuthUserFile where our sign-in page is not ---- */

typedef struct local_t {
    const server_rec *main_server;
    const ap_directive_t *provider; /* the first OktaSSOLocalProvider with "file" among its names */
    bool has_file;                  /* some AuthUserFile holds at our own URLs, for all that is known of it; */
    const ap_directive_t *absent;   /* or the first one whose file is not there */
    apr_pool_t *pool;
} local_t;

/* Does the Location lie around OktaSSOPath, or within it, in some virtual host? */
static bool meets_own_path(const char *args, const local_t *local)
{
    char *path = ap_getword_conf(local->pool, &args);
    apr_size_t len = strcspn(path, ">");
    if (strcspn(path, "*?[~") < len) return true; /* who knows */
    for (const server_rec *s = local->main_server; s; s = s->next) {
        const char *own = oks_httpd_server_conf(s)->path;
        if (strncmp(path, own, len < strlen(own) ? len : strlen(own)) == 0) return true;
    }
    return false;
}

/* Sections of files and of proxied URLs never hold there: our own URLs are neither. */
static bool may_hold_at_own_urls(const ap_directive_t *directive, const local_t *local)
{
    static const char *const never[] = { "<Directory", "<DirectoryMatch", "<Files", "<FilesMatch", "<Proxy", "<ProxyMatch" };
    for (const ap_directive_t *outer = directive->parent; outer; outer = outer->parent) {
        for (apr_size_t i = 0; i < sizeof never / sizeof never[0]; i++)
            if (is_word(outer->directive, never[i])) return false;
        if (is_word(outer->directive, "<Location") && !meets_own_path(outer->args, local)) return false;
    }
    return true;
}

static bool names_file(const char *args, apr_pool_t *pool)
{
    for (const char *word; *(word = ap_getword_conf(pool, &args));)
        if (strcmp(word, "file") == 0) return true;
    return false;
}

static bool exists(const char *args, apr_pool_t *pool)
{
    apr_finfo_t info;
    const char *path = ap_server_root_relative(pool, ap_getword_conf(pool, &args));
    return !path || apr_stat(&info, path, APR_FINFO_TYPE, pool) == APR_SUCCESS;
}

static void learn_local(local_t *local, const ap_directive_t *first)
{
    for (const ap_directive_t *each = first; each; each = each->next) {
        if (is_word(each->directive, "OktaSSOLocalProvider") && !local->provider && names_file(each->args, local->pool))
            local->provider = each;
        if (is_word(each->directive, "AuthUserFile") && may_hold_at_own_urls(each, local)) {
            if (exists(each->args, local->pool)) local->has_file = true;
            else if (!local->absent) local->absent = each;
        }
        learn_local(local, each->first_child);
    }
}

void oks_httpd_tell_of_passwords(const server_rec *main_server, apr_pool_t *ptemp)
{
    local_t local = { .main_server = main_server, .pool = ptemp };
    const char *path = oks_httpd_server_conf(main_server)->path;
    learn_local(&local, ap_conftree);
    if (!local.provider || local.has_file) return;
    if (!local.absent)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server, "OKS0059: %s:%d: OktaSSOLocalProvider file: no AuthUserFile "
                     "holds at %s, where local accounts sign in: write it into <Location \"/\"> or <Location \"%s\">",
                     local.provider->filename, local.provider->line_num, path, path);
    else
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server, "OKS0060: %s:%d: AuthUserFile %s is not there, so that no "
                     "local account can sign in: htpasswd -cB makes it", local.absent->filename, local.absent->line_num,
                     local.absent->args);
}
