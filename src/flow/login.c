/* Starting a login, and the answers to a protected request without a session. */
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include "flow_private.h"

#define FORM_TYPE "application/x-www-form-urlencoded"

const char *oks_flow_url(const oks_flow_t *flow, const oks_request_t *request, const char *what, const oks_org_t *org,
                         apr_pool_t *pool)
{
    return apr_pstrcat(pool, request->base_url, flow->path, "/", what, "/", org->name, NULL);
}

const char *oks_flow_entity_id(const oks_flow_t *flow, const oks_request_t *request, const oks_org_t *org,
                               apr_pool_t *pool)
{
    return org->entity_ids ? org->entity_ids[0] : oks_flow_url(flow, request, "metadata", org, pool);
}

const char *oks_flow_acs_url(const oks_flow_t *flow, const oks_request_t *request, const oks_org_t *org, apr_pool_t *pool)
{
    return org->acs_url ? org->acs_url : oks_flow_url(flow, request, "acs", org, pool);
}

/* HTTP-Redirect where the identity provider has it; else the form, which posts itself. */
static oks_err_t *send_request(oks_answer_t *answer, const oks_request_t *request, const oks_saml_idp_t *idp,
                               const oks_saml_authn_request_t *authn, const char *relay_state, apr_pool_t *pool)
{
    const char *value;
    if (idp->sso_redirect_url) {
        OKS_TRY(oks_saml_authn_request_url(&value, authn, relay_state, pool));
        apr_table_setn(answer->headers, "Location", value);
        return NULL;
    }
    OKS_TRY(oks_saml_authn_request_form(&value, authn, pool));
    answer->status = 200;
    value = oks_flow_post_page(request, authn->destination, value, relay_state, pool);
    oks_flow_show(answer, request, OKS_PAGE_SUBMIT, value, pool);
    return NULL;
}

static oks_err_t *start_saml(oks_answer_t *answer, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                             const oks_state_t *state, const char *sealed, apr_pool_t *pool)
{
    const oks_saml_idp_t *idp;
    OKS_TRY(oks_flow_idp(&idp, flow, org, request->now, pool));
    oks_saml_authn_request_t authn = {
        .id = oks_state_request_id(state, pool), .issue_instant = request->now,
        .issuer = oks_flow_entity_id(flow, request, org, pool), .acs_url = oks_flow_acs_url(flow, request, org, pool),
        .destination = idp->sso_redirect_url ? idp->sso_redirect_url : idp->sso_post_url,
        .force_authn = state->demand.force, .authn_contexts = state->demand.authn_contexts, .name_id_format = org->name_id_format,
    };
    if (oks_flow_signs(org, idp)) OKS_TRY(oks_flow_sp_key(&authn.key, flow, org, request->now, pool));
    return send_request(answer, request, idp, &authn, sealed, pool);
}

static oks_err_t *start_oidc(oks_answer_t *answer, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                             const oks_state_t *state, const char *sealed, const oks_start_t *start, apr_pool_t *pool)
{
    const char *url;
    OKS_TRY(oks_flow_authorize(&url, flow, org, request, state, sealed, start, pool));
    apr_table_setn(answer->headers, "Location", url);
    return NULL;
}

oks_err_t *oks_flow_start(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                          const oks_start_t *start, apr_pool_t *pool)
{
    const char *sealed;
    oks_state_t state = { .oidc = org->oidc != NULL, .expires = request->now + OKS_FLOW_PENDING_LIFETIME,
                          .restarts = start->restarts, .return_path = start->return_path };
    oks_ticket_t before;
    state.replaces = oks_flow_ticket_read(&before, flow, org, request) ? &before.session : start->replaces;
    if (start->demand) state.demand = *start->demand;
    OKS_TRY(oks_random_bytes(state.request, sizeof state.request, pool));
    if (state.oidc) OKS_TRY(oks_random_bytes(state.secret, sizeof state.secret, pool));
    oks_answer_t *made = oks_flow_answer(303, "login.start", pool);
    OKS_TRY(oks_state_bind(&state, made, request, pool));
    OKS_TRY(oks_state_seal(&sealed, flow, org, &state, pool));
    if (state.oidc) OKS_TRY(start_oidc(made, flow, org, request, &state, sealed, start, pool));
    else OKS_TRY(start_saml(made, flow, org, request, &state, sealed, pool));
    made->org = org->name;
    *answer = made;
    return NULL;
}

const char *oks_flow_login_url(const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request, const char *again,
                               const char *return_path, const oks_demand_t *demand, apr_pool_t *pool)
{
    const char *sealed, *url = apr_pstrcat(pool, oks_flow_url(flow, request, "login", org, pool), again ? "?again=" : "",
                                           again ? again : "", again ? "&return=" : "?return=",
                                           oks_url_encode(return_path, pool), NULL);
    /* Without it the login is an ordinary one, and the Location asks again. */
    if (!demand || !oks_demand_is_set(demand) || oks_demand_seal(&sealed, flow, org, demand, pool) != NULL) return url;
    return apr_pstrcat(pool, url, "&demand=", sealed, NULL);
}

oks_err_t *oks_flow_form(apr_array_header_t **params, const oks_request_t *request, apr_pool_t *pool)
{
    if (strcmp(request->method, "POST") != 0) return oks_form_parse(params, request->query, pool);
    /* A missing Content-Type is an ordinary case (SECURITY.md 4): refused, not guessed. */
    if (apr_cstr_casecmpn(request->content_type, FORM_TYPE, sizeof FORM_TYPE - 1) != 0 ||
        !strchr("; \t", request->content_type[sizeof FORM_TYPE - 1]))
        return oks_err(pool, OKS_R_FLOW_BODY_TYPE, "Content-Type \"%s\"",
                       oks_log_escape(oks_span_z(request->content_type), 80, pool));
    return oks_form_parse(params, request->body, pool);
}

oks_err_t *oks_flow_return(const char **path, const apr_array_header_t *params, apr_pool_t *pool)
{
    oks_span_t value;
    *path = "/";
    OKS_TRY(oks_form_get(&value, params, "return", pool));
    return value.len ? oks_return_path(path, value, pool) : NULL;
}

/* What is asked of the identity provider: the demand, and where a session's login is only too old, the credentials again. */
static oks_demand_t asked_for(const oks_demand_t *demand, const oks_err_t *refusal)
{
    oks_demand_t asked = *demand;
    if (refusal->reason == OKS_R_FLOW_AUTHN_STALE) asked.force = true;
    return asked;
}

/* What the parameter `demand` says, else what the organization does. One that we cannot open any more is none: the Location
 * looks at the session that comes of it. */
static oks_err_t *read_demand(oks_demand_t *demand, const oks_flow_t *flow, const oks_org_t *org,
                              const apr_array_header_t *params, apr_pool_t *pool)
{
    oks_span_t sealed;
    OKS_TRY(oks_form_get(&sealed, params, "demand", pool));
    *demand = org->demand;
    if (sealed.len && oks_demand_unseal(demand, flow, org, sealed, pool) != NULL) *demand = org->demand;
    return NULL;
}

/* Between the identity provider and a local account, which no authentication context says anything of. */
static bool offers_choice(const oks_org_t *org, const oks_demand_t *demand)
{
    return oks_flow_offers_local(org) && !(demand && demand->authn_contexts);
}

/* OIDC Core 4: where the provider wants the visitor to go; our own paths alone. */
static oks_err_t *read_target(const char **path, const oks_request_t *request, oks_span_t target, apr_pool_t *pool)
{
    apr_size_t base = strlen(request->base_url);
    bool ours = target.len > base && memcmp(target.ptr, request->base_url, base) == 0 && target.ptr[base] == '/';
    return oks_return_path(path, ours ? oks_span(target.ptr + base, target.len - base) : target, pool);
}

static oks_err_t *read_hint(const char **hint, const apr_array_header_t *params, apr_pool_t *pool)
{
    oks_span_t value;
    *hint = NULL;
    OKS_TRY(oks_form_get(&value, params, "login_hint", pool));
    if (value.len > OKS_PAGE_INPUT_MAX || !oks_utf8_ok(value)) return oks_err(pool, OKS_R_FLOW_PARAMETER_MALFORMED, "login_hint");
    if (value.len) *hint = oks_span_dup(value, pool);
    return NULL;
}

/* OIDC Core 3.1.2.1, one value. */
static oks_err_t *read_prompt(const char **prompt, const apr_array_header_t *params, apr_pool_t *pool)
{
    static const char *const known[] = { "login", "consent", "select_account", "none", NULL };
    oks_span_t value;
    *prompt = NULL;
    OKS_TRY(oks_form_get(&value, params, "prompt", pool));
    for (const char *const *word = known; value.len && *word && !*prompt; word++)
        if (oks_span_eq_z(value, *word)) *prompt = *word;
    return value.len && !*prompt ? oks_err(pool, OKS_R_FLOW_PARAMETER_MALFORMED, "prompt") : NULL;
}

/* What else a login of OpenID Connect may be given, by the application or by the provider. Okta's `iss` is its own host, even
 * for an application of a custom authorization server (OKTA.md B.2.7). */
static oks_err_t *read_oidc(oks_start_t *start, const oks_org_t *org, const oks_request_t *request,
                            const apr_array_header_t *params,
                            apr_pool_t *pool)
{
    oks_span_t issuer, target;
    const char *host;
    if (!org->oidc) return NULL;
    OKS_TRY(oks_form_get(&issuer, params, "iss", pool));
    OKS_TRY(oks_form_get(&target, params, "target_link_uri", pool));
    OKS_TRY(read_hint(&start->login_hint, params, pool));
    OKS_TRY(read_prompt(&start->prompt, params, pool));
    if (issuer.len) OKS_TRY(oks_flow_issuer_host(&host, issuer, pool));
    if (issuer.len && strcmp(host, org->oidc->host) != 0)
        return oks_err(pool, OKS_R_OIDC_INITIATE_ISSUER, "wanted %s, got %s", org->oidc->host, oks_log_escape(issuer, 200, pool));
    return target.len ? read_target(&start->return_path, request, target, pool) : NULL;
}

oks_err_t *oks_flow_issuer_host(const char **host, oks_span_t issuer, apr_pool_t *pool)
{
    oks_url_t url;
    if (oks_url_parse(&url, issuer, pool) != NULL)
        return oks_err(pool, OKS_R_OIDC_INITIATE_ISSUER, "\"%s\" is no URL", oks_log_escape(issuer, 200, pool));
    *host = url.host;
    return NULL;
}

/* A callback that could not tell how often it had failed leaves a cookie: without it, this would go on forever. */
static oks_err_t *check_loop(const oks_request_t *request, oks_span_t again, apr_pool_t *pool)
{
    oks_span_t guard;
    if (!oks_span_eq_z(again, "cookie") || oks_cookie_get(&guard, request->cookies, oks_flow_cookie_name(request->tls, "restart",
                                                                                                         pool)))
        return NULL;
    const oks_err_t *why = oks_err(pool, OKS_R_FLOW_STATE_FOREIGN, "the browser keeps no cookie of ours");
    return oks_err_from(pool, OKS_R_FLOW_LOGIN_LOOP, APR_SUCCESS, why, NULL);
}

/* /login/{org}?return=/path[&demand=SEALED][&again=N][&sso=1]: `again` says that a callback failed and sent the browser here,
 * `sso` that the visitor chose the identity provider. OpenID Connect: see read_oidc(). */
oks_err_t *oks_flow_serve_login(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                                const oks_request_t *request, apr_pool_t *pool)
{
    apr_array_header_t *params;
    oks_span_t again, sso, password;
    oks_pass_t pass;
    oks_demand_t demand;
    oks_start_t start = { .restarts = 0 };
    oks_request_t wanting = *request;
    OKS_TRY(oks_flow_form(&params, request, pool));
    OKS_TRY(oks_flow_return(&start.return_path, params, pool));
    OKS_TRY(oks_form_get(&again, params, "again", pool));
    OKS_TRY(oks_form_get(&sso, params, "sso", pool));
    OKS_TRY(oks_form_get(&password, params, "password", pool));
    if (password.len && org->local_providers && strcmp(request->method, "POST") == 0)
        return oks_flow_local_login(answer, flow, org, request, params, pool);
    OKS_TRY(read_demand(&demand, flow, org, params, pool));
    OKS_TRY(read_oidc(&start, org, request, params, pool));
    wanting.demand = &demand;
    oks_err_t *refusal = oks_flow_check(&pass, flow, org, &wanting, pool);
    if (!refusal && !start.prompt) {
        *answer = oks_flow_see_other(start.return_path, "login.present", pool);
        return NULL;
    }
    if (refusal && refusal->reason == OKS_R_DIRECTORY_UNAVAILABLE) return refusal;
    OKS_TRY(check_loop(request, again, pool));
    if (refusal) demand = asked_for(&demand, refusal);
    if (offers_choice(org, &demand) && !sso.len && !again.len)
        return oks_flow_local_form(answer, flow, org, request, start.return_path, &demand, pool);
    start.demand = &demand;
    start.restarts = again.len ? 1 : 0;
    return oks_flow_start(answer, flow, org, request, &start, pool);
}

/* ---- Protected requests ------------------------------------------------------------------------------------- */

static bool needs_login(oks_reason_t reason)
{
    return reason == OKS_R_FLOW_SESSION_NONE || reason == OKS_R_FLOW_SESSION_EXPIRED ||
           reason == OKS_R_FLOW_SESSION_LOCAL || reason == OKS_R_DIRECTORY_SESSION_ABSENT ||
           reason == OKS_R_FLOW_AUTHN_STALE || reason == OKS_R_FLOW_AUTHN_WEAK;
}

static bool redirects(oks_unauthorized_t mode, const oks_request_t *request)
{
    return mode == OKS_UNAUTHORIZED_REDIRECT || (mode != OKS_UNAUTHORIZED_401 && oks_flow_is_navigation(request));
}

/* 401 for programs, or for everyone where the Location wants that (RFC 9110 15.5.2: with a challenge). */
static oks_answer_t *unauthorized(const oks_org_t *org, const oks_request_t *request, const oks_err_t *refusal,
                                  const char *url, apr_pool_t *pool)
{
    oks_answer_t *answer = oks_flow_refuse(request, refusal, url, pool);
    apr_table_setn(answer->headers, "WWW-Authenticate", apr_pstrcat(pool, "OktaSSO realm=\"", org ? org->name : "", "\"", NULL));
    /* Not for browsers, whose own dialogue would come up. */
    if (org && oks_flow_offers_local(org) && !*request->sec_fetch_mode && !*request->requested_with)
        apr_table_addn(answer->headers, "WWW-Authenticate",
                       apr_pstrcat(pool, "Basic realm=\"", org->name, "\", charset=\"UTF-8\"", NULL));
    answer->event = "login.needed";
    return answer;
}

oks_answer_t *oks_flow_challenge(const oks_flow_t *flow, const oks_org_t *org, oks_unauthorized_t mode,
                                 const oks_request_t *request, const oks_err_t *refusal, apr_pool_t *pool)
{
    const char *return_path = "/";
    oks_answer_t *answer;
    if (!needs_login(refusal->reason)) {
        answer = oks_flow_refuse(request, refusal, NULL, pool);
        answer->org = org->name;
        return answer;
    }
    if (oks_return_path(&return_path, request->target, pool) != NULL) return_path = "/"; /* odd target: the start page */
    bool redirect = redirects(mode, request);
    if (redirect && !offers_choice(org, request->demand)) {
        oks_demand_t demand = { .force = false };
        if (request->demand) demand = asked_for(request->demand, refusal);
        const oks_start_t start = { .return_path = return_path, .demand = &demand };
        oks_err_t *err = oks_flow_start(&answer, flow, org, request, &start, pool);
        if (err) answer = oks_flow_refuse(request, err, NULL, pool);
    } else {
        const char *login = oks_flow_login_url(flow, org, request, NULL, return_path, request->demand, pool);
        answer = redirect ? oks_flow_see_other(login, "login.needed", pool) : unauthorized(org, request, refusal, login, pool);
    }
    answer->org = org->name;
    return answer;
}

oks_answer_t *oks_flow_challenge_any(const oks_flow_t *flow, oks_unauthorized_t mode, const oks_request_t *request,
                                     const oks_err_t *refusal, apr_pool_t *pool)
{
    const char *return_path = "/";
    if (oks_return_path(&return_path, request->target, pool) != NULL) return_path = "/";
    const char *login = apr_pstrcat(pool, request->base_url, flow->path, "/login?return=", oks_url_encode(return_path, pool), NULL);
    if (redirects(mode, request)) return oks_flow_see_other(login, "login.needed", pool);
    return unauthorized(NULL, request, refusal, login, pool);
}
