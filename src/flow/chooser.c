/* /login: asks for an organization or a work email address, and goes on to that organization's login. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

#define REMEMBER_SECONDS (365 * 24 * 3600)
#define NOT_FOUND "No organization with single sign-on is known here by this name or address. Compare the spelling, " \
                  "or ask whoever invited you."

static const char *cookie_name(const oks_request_t *request, apr_pool_t *pool)
{
    return oks_flow_cookie_name(request->tls, "org", pool);
}

/* The last organization that was chosen in this browser; "" when none was. */
static const char *remembered(const oks_request_t *request, apr_pool_t *pool)
{
    oks_span_t name;
    if (!oks_cookie_get(&name, request->cookies, cookie_name(request, pool)) || !oks_org_name_ok(name)) return "";
    return oks_span_dup(name, pool);
}

/* One with a session cookie that opens and has time left. */
static const oks_org_t *with_ticket(const oks_flow_t *flow, const oks_request_t *request, oks_span_t name, apr_pool_t *pool)
{
    oks_ticket_t ticket;
    const oks_org_t *org = oks_org_name_ok(name) ? flow->find_org(flow->orgs, name, pool) : NULL;
    if (!org || !org->enabled || !oks_flow_ticket_read(&ticket, flow, org, request)) return NULL;
    return ticket.idle_until > request->now && ticket.last_until > request->now ? org : NULL;
}

const oks_org_t *oks_flow_visitors_org(const oks_flow_t *flow, const oks_request_t *request, apr_pool_t *pool)
{
    const char *prefix = oks_flow_cookie_name(request->tls, "session-", pool);
    apr_size_t len = strlen(prefix);
    oks_span_t pair, rest = request->cookies, name;
    const oks_org_t *org = with_ticket(flow, request, oks_span_z(remembered(request, pool)), pool);
    for (int tried = 0; !org && tried < OKS_FLOW_VISITOR_ORGS_MAX && oks_span_next(&pair, &rest, ';');) {
        pair = oks_span_trim(pair);
        if (pair.len <= len || memcmp(pair.ptr, prefix, len) != 0) continue;
        pair = oks_span(pair.ptr + len, pair.len - len);
        if (!oks_span_next(&name, &pair, '=')) continue;
        org = with_ticket(flow, request, name, pool);
        tried++;
    }
    return org;
}

static void ask(oks_answer_t **answer, const oks_flow_t *flow, const oks_request_t *request, const char *return_path,
                const char *typed, const oks_err_t *err, apr_pool_t *pool)
{
    const char *hidden[] = { "return", return_path, NULL };
    const char *inputs[] = { "organization", "Organization name or work email", typed, "username", NULL };
    oks_page_form_t form = { .heading = "Sign in", .error = err ? NOT_FOUND : NULL, .hidden = hidden, .inputs = inputs,
                             .action = apr_pstrcat(pool, flow->path, "/login", NULL), .submit = "Continue" };
    *answer = oks_flow_answer(err ? oks_reason_info(err->reason)->http_status : 200, err ? "refused" : "login.choose", pool);
    (*answer)->err = err;
    oks_flow_show(*answer, request, OKS_PAGE_FORM, oks_flow_form_page(request, &form, pool), pool);
}

/* What was typed, for the field of the form. */
static const char *echo(oks_span_t typed, apr_pool_t *pool)
{
    return typed.len <= OKS_PAGE_INPUT_MAX && oks_utf8_ok(typed) ? oks_span_dup(typed, pool) : "";
}

/* By email domain where it looks like an address, else by name. */
static oks_err_t *find(const oks_org_t **org, const oks_flow_t *flow, oks_span_t typed, apr_pool_t *pool)
{
    if (!memchr(typed.ptr, '@', typed.len)) return oks_flow_find_org(org, flow, typed, pool);
    *org = oks_email_ok(typed) ? flow->find_domain(flow->orgs, oks_email_domain(typed), pool) : NULL;
    if (*org && (*org)->enabled) return NULL;
    return oks_err(pool, OKS_R_FLOW_ORG_UNKNOWN, "the domain of an email address"); /* the address is nobody's business */
}

/* OIDC Core 4: a provider starts a login, and says which one it is. On to that organization's, which reads the rest. */
static oks_err_t *initiated(oks_answer_t **answer, const oks_flow_t *flow, const oks_request_t *request, oks_span_t issuer,
                            const apr_array_header_t *params, apr_pool_t *pool)
{
    static const char *const handed_on[] = { "iss", "login_hint", "target_link_uri" };
    const char *host, *url;
    OKS_TRY(oks_flow_issuer_host(&host, issuer, pool));
    const oks_org_t *org = flow->find_issuer(flow->orgs, host, pool);
    if (!org || !org->enabled)
        return oks_err(pool, OKS_R_OIDC_INITIATE_ISSUER, "%s is no organization's, or that of several", oks_log_escape(issuer, 200,
                                                                                                                       pool));
    url = oks_flow_url(flow, request, "login", org, pool);
    for (apr_size_t i = 0; i < sizeof handed_on / sizeof handed_on[0]; i++) {
        oks_span_t value;
        OKS_TRY(oks_form_get(&value, params, handed_on[i], pool));
        if (value.len)
            url = apr_pstrcat(pool, url, i ? "&" : "?", handed_on[i], "=", oks_url_encode(oks_span_dup(value, pool), pool), NULL);
    }
    *answer = oks_flow_see_other(url, "login.chosen", pool);
    (*answer)->org = org->name;
    return NULL;
}

oks_err_t *oks_flow_serve_chooser(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *none,
                                  const oks_request_t *request, apr_pool_t *pool)
{
    apr_array_header_t *params;
    const char *return_path;
    const oks_org_t *org;
    oks_span_t typed, issuer;
    OKS_TRY(oks_flow_form(&params, request, pool));
    OKS_TRY(oks_form_get(&issuer, params, "iss", pool));
    if (issuer.len) return initiated(answer, flow, request, issuer, params, pool);
    OKS_TRY(oks_flow_return(&return_path, params, pool));
    OKS_TRY(oks_form_get(&typed, params, "organization", pool));
    typed = oks_span_trim(typed);
    if (!typed.len) {
        ask(answer, flow, request, return_path, remembered(request, pool), NULL, pool);
        return NULL;
    }
    if (oks_flow_is_foreign(request)) { /* the visitor chooses, not another site: of `*` it would switch the session */
        ask(answer, flow, request, return_path, echo(typed, pool), NULL, pool);
        return NULL;
    }
    oks_err_t *err = find(&org, flow, typed, pool);
    if (err && !oks_flow_is_navigation(request)) return err;
    if (err) {
        ask(answer, flow, request, return_path, echo(typed, pool), err, pool);
        return NULL;
    }
    *answer = oks_flow_see_other(oks_flow_login_url(flow, org, request, NULL, return_path, NULL, pool), "login.chosen", pool);
    (*answer)->org = org->name;
    oks_flow_set_cookie(*answer, oks_flow_cookie(request, cookie_name(request, pool), org->name, OKS_SAME_SITE_LAX,
                                                 REMEMBER_SECONDS, pool));
    return NULL;
}
