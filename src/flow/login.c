/* Starting a login, and the answers to a protected request without a session. */
#include <string.h>

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

oks_err_t *oks_flow_start(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                          const oks_request_t *request, const char *return_path, int restarts, apr_pool_t *pool)
{
    const oks_saml_idp_t *idp;
    const char *relay_state;
    oks_state_t state = { .expires = request->now + OKS_FLOW_PENDING_LIFETIME, .restarts = restarts,
                          .return_path = return_path };
    if (request->demand) state.demand = *request->demand;
    OKS_TRY(oks_flow_idp(&idp, flow, org, request->now, pool));
    OKS_TRY(oks_random_bytes(state.request, sizeof state.request, pool));
    oks_answer_t *made = oks_flow_answer(303, "login.start", pool);
    OKS_TRY(oks_state_bind(&state, made, request, pool));
    OKS_TRY(oks_state_seal(&relay_state, flow, org, &state, pool));
    oks_saml_authn_request_t authn = {
        .id = oks_state_request_id(&state, pool), .issue_instant = request->now,
        .issuer = oks_flow_entity_id(flow, request, org, pool), .acs_url = oks_flow_acs_url(flow, request, org, pool),
        .destination = idp->sso_redirect_url ? idp->sso_redirect_url : idp->sso_post_url,
        .force_authn = state.demand.force, .authn_contexts = state.demand.authn_contexts, .name_id_format = org->name_id_format,
    };
    if (oks_flow_signs(org, idp)) OKS_TRY(oks_flow_sp_key(&authn.key, flow, org, request->now, pool));
    OKS_TRY(send_request(made, request, idp, &authn, relay_state, pool));
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
    if (strncasecmp(request->content_type, FORM_TYPE, sizeof FORM_TYPE - 1) != 0 ||
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

/* `request` as it starts a login: where a session's login is only too old, the credentials are asked for again. */
static oks_request_t asking_for(oks_demand_t *demand, const oks_request_t *request, const oks_err_t *refusal)
{
    oks_request_t asking = *request;
    if (!request->demand) return asking;
    *demand = *request->demand;
    if (refusal->reason == OKS_R_FLOW_AUTHN_STALE) demand->force = true;
    asking.demand = demand;
    return asking;
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

/* /login/{org}?return=/path[&demand=SEALED][&again=N][&sso=1]: `again` says that a callback failed and sent the browser here,
 * `sso` that the visitor chose the identity provider. */
oks_err_t *oks_flow_serve_login(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                                const oks_request_t *request, apr_pool_t *pool)
{
    apr_array_header_t *params;
    const char *return_path;
    oks_span_t again, sso, password;
    oks_pass_t pass;
    oks_demand_t demand, asked;
    oks_request_t wanting = *request;
    OKS_TRY(oks_flow_form(&params, request, pool));
    OKS_TRY(oks_flow_return(&return_path, params, pool));
    OKS_TRY(oks_form_get(&again, params, "again", pool));
    OKS_TRY(oks_form_get(&sso, params, "sso", pool));
    OKS_TRY(oks_form_get(&password, params, "password", pool));
    if (password.len && org->local_providers && strcmp(request->method, "POST") == 0)
        return oks_flow_local_login(answer, flow, org, request, params, pool);
    OKS_TRY(read_demand(&demand, flow, org, params, pool));
    wanting.demand = &demand;
    oks_err_t *refusal = oks_flow_check(&pass, flow, org, &wanting, pool);
    if (!refusal) {
        *answer = oks_flow_see_other(return_path, "login.present", pool);
        return NULL;
    }
    if (refusal->reason == OKS_R_DIRECTORY_UNAVAILABLE) return refusal;
    if (oks_span_eq_z(again, "cookie")) {
        /* The callback could not tell how often it had failed, and left a cookie: without it, this would go on forever. */
        oks_span_t guard;
        if (!oks_cookie_get(&guard, request->cookies, oks_flow_cookie_name(request->tls, "restart", pool)))
            return oks_err(pool, OKS_R_FLOW_LOGIN_LOOP, "the browser keeps no cookie of ours");
    }
    wanting = asking_for(&asked, &wanting, refusal);
    if (offers_choice(org, &demand) && !sso.len && !again.len)
        return oks_flow_local_form(answer, flow, org, request, return_path, &demand, pool);
    return oks_flow_start(answer, flow, org, &wanting, return_path, again.len ? 1 : 0, pool);
}

/* ---- Protected requests ------------------------------------------------------------------------------------- */

static bool needs_login(oks_reason_t reason)
{
    return reason == OKS_R_FLOW_SESSION_NONE || reason == OKS_R_FLOW_SESSION_EXPIRED ||
           reason == OKS_R_FLOW_SESSION_LOCAL || reason == OKS_R_DIRECTORY_SESSION_ABSENT ||
           reason == OKS_R_FLOW_AUTHN_STALE || reason == OKS_R_FLOW_AUTHN_WEAK;
}

/* 401 for programs, or for everyone where the Location wants that (RFC 9110 15.5.2: with a challenge). */
static oks_answer_t *unauthorized(const oks_org_t *org, const oks_request_t *request, const oks_err_t *refusal,
                                  const char *url, apr_pool_t *pool)
{
    oks_answer_t *answer = oks_flow_refuse(request, refusal, url, pool);
    if (answer->content_type && strcmp(answer->content_type, "application/json") == 0)
        answer->body = oks_flow_json_refusal(request, refusal, url, pool);
    apr_table_setn(answer->headers, "WWW-Authenticate", apr_pstrcat(pool, "OktaSSO realm=\"", org->name, "\"", NULL));
    /* Not for browsers, whose own dialogue would come up. */
    if (oks_flow_offers_local(org) && !*request->sec_fetch_mode && !*request->requested_with)
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
    bool redirect = mode == OKS_UNAUTHORIZED_REDIRECT ||
                    (mode != OKS_UNAUTHORIZED_401 && oks_flow_is_navigation(request));
    if (redirect && !offers_choice(org, request->demand)) {
        oks_demand_t demand;
        oks_request_t asking = asking_for(&demand, request, refusal);
        oks_err_t *err = oks_flow_start(&answer, flow, org, &asking, return_path, 0, pool);
        if (err) answer = oks_flow_refuse(request, err, NULL, pool);
    } else {
        const char *login = oks_flow_login_url(flow, org, request, NULL, return_path, request->demand, pool);
        answer = redirect ? oks_flow_see_other(login, "login.needed", pool) : unauthorized(org, request, refusal, login, pool);
    }
    answer->org = org->name;
    return answer;
}
