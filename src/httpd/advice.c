/* What is no error, but surely a slip: told at start and at configtest, as warnings. Rather silent than wrong: whoever reads one
 * false alarm reads no other. */
#include <apr_cstr.h>
#include <apr_strings.h>

#include "conf.h"

#include <http_log.h>

APLOG_USE_MODULE(oktasso);

typedef struct facts_t {
    const ap_directive_t *org; /* the first OktaSSOOrg */
    bool has_type;             /* AuthType stands somewhere; */
    bool asks;                 /* and what asks for a user: either may also come with a request, from .htaccess */
} facts_t;

static bool is_word(const char *args, const char *word)
{
    return args && apr_cstr_casecmp(args, word) == 0;
}

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
