/* The SAML assertion consumer: verify, map, write, and send the browser to where it wanted to go. A callback that is
 * late, replayed or of another tab starts the login once more, with a loop guard; never a dead end. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

#define RESTART_COOKIE_SECONDS 300

typedef struct acs_t {
    const oks_flow_t *flow;
    const oks_org_t *org;
    const oks_request_t *request;
    oks_state_t *state;        /* NULL: none that we can open */
    const char *return_path;
    apr_pool_t *pool;
} acs_t;

/* Failures that a second try mends: nothing is wrong with the organization's set-up. */
static bool restartable(oks_reason_t reason)
{
    switch (reason) {
    case OKS_R_FLOW_STATE_LATE:
    case OKS_R_FLOW_STATE_FOREIGN:
    case OKS_R_DIRECTORY_CLAIM_USED:
    case OKS_R_SAML_IN_RESPONSE_TO_MISMATCH:
    case OKS_R_SAML_RESPONSE_UNSOLICITED:
    case OKS_R_SAML_TIME_EXPIRED: return true;
    default: return false;
    }
}

/* Through /login/{org}, where a session that another tab made is seen: its cookie does not come with a cross-site POST. */
static oks_err_t *restart(oks_answer_t **answer, const acs_t *acs, const oks_err_t *why)
{
    oks_span_t guard;
    const char *cookie = oks_flow_cookie_name(acs->request->tls, "restart", acs->pool);
    bool again = acs->state ? acs->state->restarts >= OKS_FLOW_RESTARTS_MAX
                            : oks_cookie_get(&guard, acs->request->cookies, cookie);
    if (again) return oks_err_from(acs->pool, OKS_R_FLOW_LOGIN_LOOP, APR_SUCCESS, why, NULL);
    const char *login = oks_flow_login_url(acs->flow, acs->org, acs->request, acs->state ? "1" : "cookie", acs->return_path,
                                           acs->state ? &acs->state->demand : NULL, acs->pool);
    *answer = oks_flow_see_other(login, "login.restart", acs->pool);
    (*answer)->err = why;
    (*answer)->org = acs->org->name;
    if (!acs->state)
        oks_flow_set_cookie(*answer, oks_flow_cookie(acs->request, cookie, "1", OKS_SAME_SITE_NONE, RESTART_COOKIE_SECONDS,
                                                     acs->pool));
    return NULL;
}

/* The identity provider answered from a session of its own that is too old: once more, and the credentials this time. */
static oks_err_t *ask_again(oks_answer_t **answer, const acs_t *acs, const oks_err_t *why)
{
    oks_demand_t demand = acs->state->demand;
    oks_request_t asking = *acs->request;
    demand.force = true;
    asking.demand = &demand;
    OKS_TRY(oks_flow_start(answer, acs->flow, acs->org, &asking, acs->return_path, acs->state->restarts, acs->pool));
    (*answer)->event = "login.step_up";
    (*answer)->err = why;
    return NULL;
}

/* Never a redirect loop: a page, and a link to where the visitor wanted to go, which asks again. */
static oks_err_t *refuse_login(oks_answer_t **answer, const acs_t *acs, const oks_err_t *why)
{
    *answer = oks_flow_refuse(acs->request, why, acs->return_path, acs->pool);
    (*answer)->org = acs->org->name;
    return NULL;
}

static oks_err_t *check_demand(const acs_t *acs, const oks_identity_t *identity)
{
    const oks_state_t *state = acs->state;
    if (!state || !identity->in_response_to) return NULL; /* unsolicited: each Location looks for itself */
    return oks_demand_check_login(&state->demand, identity, state->expires - OKS_FLOW_PENDING_LIFETIME, acs->request->now,
                                  acs->org->skew, acs->pool);
}

/* What the identity says, as the directory writes it. */
static oks_err_t *prepare_login(oks_login_t *login, const acs_t *acs, const oks_identity_t *identity)
{
    oks_profile_t *profile;
    OKS_TRY(oks_flow_profile(&profile, acs->org, identity, acs->pool));
    OKS_TRY(oks_login_init(login, acs->flow, acs->org, profile, acs->request->now, acs->pool));
    login->claim = identity->assertion_id;
    login->claim_until = identity->claim_until;
    login->protocol = identity->protocol;
    login->subject_format = identity->subject_format;
    login->session_index = identity->session_index;
    login->authn_context = identity->authn_context;
    login->authn_instant = identity->authn_instant;
    if (identity->session_not_on_or_after && identity->session_not_on_or_after < login->expires)
        login->expires = identity->session_not_on_or_after; /* SAML Core 2.7.2 */
    return NULL;
}

/* RelayState: ours when it opens; else, at most, a path to return to. */
static void read_state(acs_t *acs, oks_span_t relay_state)
{
    acs->return_path = "/";
    if (!relay_state.len) return;
    if (!oks_state_unseal(&acs->state, acs->flow, acs->org, relay_state, acs->pool)) {
        acs->return_path = acs->state->return_path;
        return;
    }
    acs->state = NULL;
    if (oks_return_path(&acs->return_path, relay_state, acs->pool) != NULL) acs->return_path = "/";
}

/* A verified Response that answers no request. By default nobody signs in by what this browser did not ask for (login
 * CSRF): it starts a login of its own. A RelayState of ours belongs to a login that was started: never to this one. */
static oks_err_t *judge_unsolicited(const acs_t *acs)
{
    if (acs->org->idp_initiated == OKS_IDP_INITIATED_OFF) return oks_err(acs->pool, OKS_R_FLOW_IDP_INITIATED_OFF, NULL);
    if (acs->org->idp_initiated == OKS_IDP_INITIATED_ON && !acs->state) return NULL;
    return oks_err(acs->pool, OKS_R_SAML_RESPONSE_UNSOLICITED, NULL);
}

static oks_err_t *verify(oks_identity_t **identity, const acs_t *acs, oks_span_t response)
{
    const oks_saml_idp_t *idp;
    apr_pool_t *pool = acs->pool;
    const char *own[] = { oks_flow_entity_id(acs->flow, acs->request, acs->org, pool), NULL };
    OKS_TRY(oks_flow_idp(&idp, acs->flow, acs->org, acs->request->now, pool));
    oks_saml_expect_t expect = {
        .idp = idp, .audiences = acs->org->entity_ids ? acs->org->entity_ids : own,
        .acs_url = oks_flow_acs_url(acs->flow, acs->request, acs->org, pool),
        .request_id = acs->state ? oks_state_request_id(acs->state, pool) : NULL,
        .algorithms = acs->org->algorithms, .now = acs->request->now, .skew = acs->org->skew,
    };
    oks_err_t *err = oks_saml_response_verify(identity, response, &expect, pool);
    if (err && err->reason == OKS_R_SAML_ASSERTION_ENCRYPTED) { /* few are: only these cost a look for the key */
        OKS_TRY(oks_flow_decryption_keys(&expect.keys, acs->flow, acs->org, pool));
        if (expect.keys) err = oks_saml_response_verify(identity, response, &expect, pool);
    }
    if (err) return err;
    if ((*identity)->in_response_to) return oks_state_check(acs->state, acs->request, pool);
    return judge_unsolicited(acs);
}

static oks_err_t *consume(oks_answer_t **answer, const acs_t *acs, oks_span_t response)
{
    oks_identity_t *identity;
    oks_login_t login;
    OKS_TRY(verify(&identity, acs, response));
    OKS_TRY(check_demand(acs, identity));
    OKS_TRY(prepare_login(&login, acs, identity));
    return oks_flow_sign_in(answer, acs->flow, acs->org, acs->request, &login, acs->return_path, acs->pool);
}

oks_err_t *oks_flow_serve_acs(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                              const oks_request_t *request, apr_pool_t *pool)
{
    apr_array_header_t *params;
    oks_span_t response, relay_state;
    acs_t acs = { .flow = flow, .org = org, .request = request, .pool = pool };
    OKS_TRY(oks_flow_form(&params, request, pool));
    OKS_TRY(oks_form_get(&response, params, "SAMLResponse", pool));
    OKS_TRY(oks_form_get(&relay_state, params, "RelayState", pool));
    if (!response.len) return oks_err(pool, OKS_R_FLOW_PARAMETER_MISSING, "SAMLResponse");
    read_state(&acs, relay_state);
    oks_err_t *err = consume(answer, &acs, response);
    /* Perhaps a new key that we have not seen yet: the background work looks, at a limited rate. */
    if (err && err->reason == OKS_R_XML_SIGNATURE_INVALID && org->metadata_key)
        oks_counter_add(flow->counters, oks_flow_refetch_counter(org->metadata_key, pool));
    if (!err) return NULL;
    if (err->reason == OKS_R_FLOW_AUTHN_TOO_OLD && !acs.state->demand.force) return ask_again(answer, &acs, err);
    if (err->reason == OKS_R_FLOW_AUTHN_TOO_OLD || err->reason == OKS_R_FLOW_AUTHN_INSUFFICIENT)
        return refuse_login(answer, &acs, err);
    return restartable(err->reason) ? restart(answer, &acs, err) : err;
}
