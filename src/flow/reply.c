/* What the answer of an identity provider leads to. An answer that is late, replayed or of another tab starts the login once
 * more, with a loop guard; never a dead end. */
#include "flow_private.h"

#define RESTART_COOKIE_SECONDS 300

/* Failures that a second try mends: nothing is wrong with the organization's set-up. */
static bool restartable(oks_reason_t reason)
{
    switch (reason) {
    case OKS_R_FLOW_STATE_LATE:
    case OKS_R_FLOW_STATE_FOREIGN:
    case OKS_R_FLOW_STATE_UNKNOWN:
    case OKS_R_DIRECTORY_CLAIM_USED:
    case OKS_R_SAML_IN_RESPONSE_TO_MISMATCH:
    case OKS_R_SAML_RESPONSE_UNSOLICITED:
    case OKS_R_SAML_TIME_EXPIRED:
    case OKS_R_OIDC_ERROR_CODE:
    case OKS_R_OIDC_TOKEN_EXPIRED: return true;
    default: return false;
    }
}

/* Through /login/{org}, where a session that another tab made is seen: its cookie does not come with a cross-site POST. */
static oks_err_t *restart(oks_answer_t **answer, const oks_reply_t *reply, const oks_err_t *why)
{
    oks_span_t guard;
    const char *cookie = oks_flow_cookie_name(reply->request->tls, "restart", reply->pool);
    bool again = reply->state ? reply->state->restarts >= OKS_FLOW_RESTARTS_MAX
                              : oks_cookie_get(&guard, reply->request->cookies, cookie);
    if (again) return oks_err_from(reply->pool, OKS_R_FLOW_LOGIN_LOOP, APR_SUCCESS, why, NULL);
    const char *login = oks_flow_login_url(reply->flow, reply->org, reply->request, reply->state ? "1" : "cookie",
                                           reply->return_path, reply->state ? &reply->state->demand : NULL, reply->pool);
    *answer = oks_flow_see_other(login, "login.restart", reply->pool);
    (*answer)->err = why;
    (*answer)->org = reply->org->name;
    if (!reply->state)
        oks_flow_set_cookie(*answer, oks_flow_cookie(reply->request, cookie, "1", OKS_SAME_SITE_NONE, RESTART_COOKIE_SECONDS,
                                                     reply->pool));
    return NULL;
}

/* The identity provider answered from a session of its own that is too old: once more, and the credentials this time. */
static oks_err_t *ask_again(oks_answer_t **answer, const oks_reply_t *reply, const oks_err_t *why)
{
    oks_demand_t demand = reply->state->demand;
    const oks_start_t start = { .return_path = reply->return_path, .restarts = reply->state->restarts, .demand = &demand,
                                .replaces = reply->state->replaces };
    demand.force = true;
    OKS_TRY(oks_flow_start(answer, reply->flow, reply->org, reply->request, &start, reply->pool));
    (*answer)->event = "login.step_up";
    (*answer)->err = why;
    return NULL;
}

/* Never a redirect loop: a page, and a link to where the visitor wanted to go, which asks again. */
static oks_err_t *refuse_login(oks_answer_t **answer, const oks_reply_t *reply, const oks_err_t *why)
{
    *answer = oks_flow_refuse(reply->request, why, reply->return_path, reply->pool);
    (*answer)->org = reply->org->name;
    return NULL;
}

static oks_err_t *check_demand(const oks_reply_t *reply, const oks_identity_t *identity)
{
    const oks_state_t *state = reply->state;
    if (!state || !identity->in_response_to) return NULL; /* unsolicited: each Location looks for itself */
    return oks_demand_check_login(&state->demand, identity, state->expires - OKS_FLOW_PENDING_LIFETIME, reply->request->now,
                                  reply->org->skew, reply->pool);
}

/* What the identity says, as the directory writes it. */
static oks_err_t *prepare_login(oks_login_t *login, const oks_reply_t *reply, const oks_identity_t *identity)
{
    oks_profile_t *profile;
    OKS_TRY(oks_flow_profile(&profile, reply->org, identity, reply->pool));
    OKS_TRY(oks_login_init(login, reply->flow, reply->org, profile, reply->request->now, reply->pool));
    login->claim = identity->assertion_id;
    login->claim_until = identity->claim_until;
    login->protocol = identity->protocol;
    login->subject_format = identity->subject_format;
    login->session_index = identity->session_index;
    login->authn_context = identity->authn_context;
    login->authn_instant = identity->authn_instant;
    if (reply->state) login->replaces = reply->state->replaces;
    if (identity->session_not_on_or_after && identity->session_not_on_or_after < login->expires)
        login->expires = identity->session_not_on_or_after; /* SAML Core 2.7.2 */
    return NULL;
}

oks_err_t *oks_reply_sign_in(oks_answer_t **answer, const oks_reply_t *reply, const oks_identity_t *identity)
{
    oks_login_t login;
    OKS_TRY(check_demand(reply, identity));
    OKS_TRY(prepare_login(&login, reply, identity));
    return oks_flow_sign_in(answer, reply->flow, reply->org, reply->request, &login, reply->return_path, reply->pool);
}

oks_err_t *oks_reply_settle(oks_answer_t **answer, const oks_reply_t *reply, oks_err_t *err)
{
    if (err->reason == OKS_R_FLOW_AUTHN_TOO_OLD && !reply->state->demand.force) return ask_again(answer, reply, err);
    if (err->reason == OKS_R_FLOW_AUTHN_TOO_OLD || err->reason == OKS_R_FLOW_AUTHN_INSUFFICIENT)
        return refuse_login(answer, reply, err);
    return restartable(err->reason) ? restart(answer, reply, err) : err;
}
