/* The module's own URLs (DESIGN.md 3): a table of path, methods and coordinator; and the small coordinators. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"
#include "oktasso/json.h"

/* The certificates of the keys that we hold. */
static const apr_array_header_t *certs_of(const apr_array_header_t *keys, apr_pool_t *pool)
{
    apr_array_header_t *certs = apr_array_make(pool, 2, sizeof(oks_cert_t *));
    for (int i = 0; keys && i < keys->nelts; i++)
        APR_ARRAY_PUSH(certs, oks_cert_t *) = APR_ARRAY_IDX(keys, i, const oks_keypair_t *)->cert;
    return certs;
}

static oks_err_t *serve_metadata(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                                 const oks_request_t *request, apr_pool_t *pool)
{
    const oks_saml_idp_t *idp;
    const apr_array_header_t *keys = NULL;
    oks_saml_sp_t sp = { .entity_id = oks_flow_entity_id(flow, request, org, pool),
                         .acs_url = oks_flow_acs_url(flow, request, org, pool) };
    if (oks_flow_idp(&idp, flow, org, request->now, pool) != NULL) idp = NULL; /* our metadata is there before theirs */
    sp.signs_requests = oks_flow_signs(org, idp);
    if (sp.signs_requests || org->sp_certs) OKS_TRY(oks_flow_sp_certs(&sp.certs, flow, org, request->now, pool));
    OKS_TRY(oks_flow_decryption_keys(&keys, flow, org, pool)); /* where there is one: it is made by /pem, or by signing */
    sp.encryption_certs = certs_of(keys, pool);
    *answer = oks_flow_answer(200, "metadata", pool);
    (*answer)->content_type = "application/samlmetadata+xml";
    (*answer)->body = oks_saml_sp_metadata(&sp, pool);
    return NULL;
}

/* `protocol` is that of the session; "": there was none. Who signed in with a local account has met no identity provider. */
static const char *signed_out_page(const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                                   const char *protocol, apr_pool_t *pool)
{
    const bool break_glass = strcmp(protocol, OKS_PROTOCOL_BREAK_GLASS) == 0;
    const char *sentence = break_glass || strcmp(protocol, OKS_PROTOCOL_LOCAL) == 0 ? "Your session on this site has ended."
        : "Your session on this site has ended. You may still be signed in at your identity provider.";
    const char *link = oks_flow_url(flow, request, break_glass ? "break-glass" : "login", org, pool);
    return oks_flow_notice_page(request, "You are signed out", sentence, link, "Sign in again", pool);
}

/* Ends the session here. A person whom another site sent here is asked first: a link must not sign anybody out, nor a form, with
 * which the browser sends no cookie of the session (SameSite=Lax). */
static oks_err_t *serve_logout(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                               const oks_request_t *request, apr_pool_t *pool)
{
    apr_array_header_t *params;
    const char *return_path, *page;
    oks_span_t asked;
    oks_ticket_t ticket;
    oks_pass_t pass;
    OKS_TRY(oks_flow_form(&params, request, pool));
    OKS_TRY(oks_flow_return(&return_path, params, pool));
    OKS_TRY(oks_form_get(&asked, params, "return", pool));
    const oks_err_t *nobody = oks_flow_check(&pass, flow, org, request, pool); /* for the log, who it is */
    if (oks_flow_is_foreign(request)) {
        *answer = oks_flow_answer(200, "logout.ask", pool);
        page = oks_flow_notice_page(request, "Sign out?", "Another site asks to sign you out here.",
                                    oks_flow_url(flow, request, "logout", org, pool), "Sign out", pool);
    } else {
        if (oks_flow_ticket_read(&ticket, flow, org, request))
            OKS_TRY(oks_directory_session_end(flow->directory, &ticket.session, pool));
        if (asked.len) *answer = oks_flow_see_other(return_path, "logout", pool);
        else *answer = oks_flow_answer(200, "logout", pool);
        oks_flow_set_cookie(*answer, oks_flow_ticket_clear(org, request, pool));
        apr_table_setn((*answer)->headers, "Clear-Site-Data", "\"cache\""); /* guarded pages */
        page = asked.len ? NULL : signed_out_page(flow, org, request, nobody ? "" : pass.record->protocol, pool);
    }
    (*answer)->user = nobody ? NULL : pass.user;
    if (page) oks_flow_show(*answer, request, OKS_PAGE_PLAIN, page, pool);
    return NULL;
}

static void json_add(json_t *object, const char *name, const char *value)
{
    if (value && *value) json_object_set_new(object, name, json_string(value));
}

/* /session[?org=NAME]: what we know of the visitor, for the visitor's own scripts. */
static oks_err_t *serve_session(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                                const oks_request_t *request, apr_pool_t *pool)
{
    oks_pass_t pass;
    OKS_TRY(oks_flow_check(&pass, flow, org, request, pool));
    json_t *body = json_object(), *groups = json_array();
    json_add(body, "user", pass.user);
    for (int i = 0; i < pass.record->nfields; i++)
        if (strcmp(pass.record->fields[i].name, "groups") != 0)
            json_add(body, pass.record->fields[i].name, pass.record->fields[i].value);
    for (int i = 0; i < pass.record->ngroups; i++) json_array_append_new(groups, json_string(pass.record->groups[i]));
    json_object_set_new(body, "groups", groups);
    json_add(body, "protocol", pass.record->protocol);
    json_add(body, "expires", oks_time_format(pass.record->expires, pool));
    const char *text = oks_json_text(body, pool);
    *answer = oks_flow_answer(200, "session", pool);
    (*answer)->content_type = "application/json";
    (*answer)->body = text ? text : "{}";
    return NULL;
}

oks_err_t *oks_flow_init(apr_pool_t *pool)
{
    oks_json_init();
    return oks_saml_init(pool);
}

/* ---- Finding the coordinator -------------------------------------------------------------------------------- */

typedef enum protocol_t { ANY, SAML, OIDC } protocol_t;

typedef struct route_t {
    const char *name;
    const char *allow;          /* the Allow header's value, and what is allowed */
    bool has_org;
    protocol_t protocol;        /* of the organizations that have it */
    oks_flow_serve_fn serve;
    oks_flow_serve_fn serve_all; /* for a URL without the organization; or NULL */
} route_t;

static const route_t routes[] = {
    { "acs", "POST", true, SAML, oks_flow_serve_acs, NULL },
    { "break-glass", "GET, HEAD, POST", true, ANY, oks_flow_serve_break_glass, NULL },
    { "callback", "GET, POST", true, OIDC, oks_flow_serve_callback, NULL },
    { "jwks", "GET, HEAD", false, ANY, NULL, oks_flow_serve_jwks },
    { "login", "GET, HEAD, POST", true, ANY, oks_flow_serve_login, oks_flow_serve_chooser },
    { "logout", "GET, HEAD, POST", true, ANY, serve_logout, NULL },
    { "metadata", "GET, HEAD", true, SAML, serve_metadata, NULL },
    { "pem", "GET, HEAD", true, SAML, oks_flow_serve_pem, NULL },
    { "session", "GET, HEAD", false, ANY, serve_session, NULL },
};

bool oks_flow_method_allowed(const char *allow, const char *method)
{
    oks_span_t word, rest = oks_span_z(allow);
    while (oks_span_next(&word, &rest, ','))
        if (oks_span_eq_z(oks_span_trim(word), method)) return true;
    return false;
}

static const route_t *find_route(oks_span_t name)
{
    for (apr_size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (oks_span_eq_z(name, routes[i].name)) return &routes[i];
    return NULL;
}

oks_err_t *oks_flow_find_org(const oks_org_t **org, const oks_flow_t *flow, oks_span_t name, apr_pool_t *pool)
{
    char *lower = oks_span_dup(name, pool);
    for (char *p = lower; *p; p++) *p = oks_lower(*p);
    *org = oks_org_name_ok(oks_span_z(lower)) ? flow->find_org(flow->orgs, oks_span_z(lower), pool) : NULL;
    if (!*org || !(*org)->enabled)
        return oks_err(pool, OKS_R_FLOW_ORG_UNKNOWN, "\"%s\"", oks_log_escape(name, OKS_ORG_NAME_MAX, pool));
    return NULL;
}

static oks_err_t *dispatch(oks_answer_t **answer, const route_t **route, const oks_org_t **org, const oks_flow_t *flow,
                           const oks_request_t *request, apr_pool_t *pool)
{
    apr_array_header_t *params;
    oks_span_t rest = oks_span_z(*request->local_path ? request->local_path + 1 : ""), name = oks_span(NULL, 0), org_name = name;
    oks_span_next(&name, &rest, '/');
    if (rest.ptr) org_name = rest;
    *route = find_route(name);
    if (!*route) return oks_err(pool, OKS_R_FLOW_PATH_UNKNOWN, NULL);
    if (!oks_flow_method_allowed((*route)->allow, request->method)) {
        if (oks_flow_find_org(org, flow, org_name, pool)) *org = NULL; /* for the page: the address bar may have its ACS */
        return oks_err(pool, OKS_R_FLOW_METHOD_REFUSED, "%s", oks_log_escape(oks_span_z(request->method), 20, pool));
    }
    if ((*route)->has_org && !rest.ptr) { /* as other systems have it: /acs?connection=acme, /pem?cert=acme */
        OKS_TRY(oks_form_parse(&params, request->query, pool));
        OKS_TRY(oks_form_get(&org_name, params, (*route)->serve == oks_flow_serve_pem ? "cert" : "connection", pool));
        if (!org_name.len && (*route)->serve_all) return (*route)->serve_all(answer, flow, NULL, request, pool);
        if (!org_name.len) return oks_err(pool, OKS_R_FLOW_PATH_UNKNOWN, NULL);
    }
    if (!(*route)->has_org) {
        if (rest.ptr) return oks_err(pool, OKS_R_FLOW_PATH_UNKNOWN, NULL);
        if ((*route)->serve_all) return (*route)->serve_all(answer, flow, NULL, request, pool);
        OKS_TRY(oks_form_parse(&params, request->query, pool));
        OKS_TRY(oks_form_get(&org_name, params, "org", pool));
        *org = org_name.len ? NULL : oks_flow_visitors_org(flow, request, pool);
        if (!org_name.len && !*org) return oks_err(pool, OKS_R_FLOW_SESSION_NONE, NULL);
    }
    if (!*org) OKS_TRY(oks_flow_find_org(org, flow, org_name, pool));
    if ((*route)->protocol != ANY && ((*route)->protocol == OIDC) != ((*org)->oidc != NULL))
        return oks_err(pool, OKS_R_FLOW_PROTOCOL_OTHER, "%s signs in by %s", (*org)->name,
                       (*org)->oidc ? "OpenID Connect" : "SAML");
    return (*route)->serve(answer, flow, *org, request, pool);
}

oks_answer_t *oks_flow_serve(const oks_flow_t *flow, const oks_request_t *request, apr_pool_t *pool)
{
    oks_answer_t *answer = NULL;
    const route_t *route = NULL;
    const oks_org_t *org = NULL;
    oks_err_t *err = dispatch(&answer, &route, &org, flow, request, pool);
    if (!err) {
        if (org) answer->org = org->name;
        return answer;
    }
    bool sign_in = org && (route->serve == oks_flow_serve_acs || route->serve == oks_flow_serve_callback ||
                           route->serve == oks_flow_serve_login) && oks_reason_info(err->reason)->http_status != 503;
    const bool choose = err->reason == OKS_R_FLOW_ORG_UNKNOWN || err->reason == OKS_R_FLOW_SESSION_NONE ||
                        (err->reason == OKS_R_BASE_RETURN_REFUSED && !org && route->serve_all == oks_flow_serve_chooser);
    const char *login = sign_in ? oks_flow_url(flow, request, "login", org, pool)
                      : choose ? apr_pstrcat(pool, request->base_url, flow->path, "/login", NULL) : NULL;
    answer = oks_flow_refuse(request, err, login, pool);
    if (err->reason == OKS_R_FLOW_METHOD_REFUSED) apr_table_setn(answer->headers, "Allow", route->allow);
    if (org) answer->org = org->name;
    return answer;
}
