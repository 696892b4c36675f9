/* The end of every sign-in, whatever it was by: the record and the session are written, and the browser gets its ticket. */
#include <string.h>

#include "flow_private.h"

oks_err_t *oks_login_init(oks_login_t *login, const oks_flow_t *flow, const oks_org_t *org, const oks_profile_t *profile,
                          apr_time_t now, apr_pool_t *pool)
{
    memset(login, 0, sizeof *login);
    OKS_TRY(oks_random_bytes(login->session.bytes, OKS_ID_LEN, pool));
    OKS_TRY(oks_random_bytes(login->new_user.bytes, OKS_ID_LEN, pool));
    login->org = org->name;
    login->vhost = flow->vhost;
    login->profile = profile;
    login->provisioning = org->require_sso == OKS_REQUIRE_SSO_MEMBERS ? OKS_PROVISIONING_OFF : org->provisioning;
    login->now = now;
    login->expires = now + org->session.lifetime;
    return NULL;
}

/* Rendered once beforehand, so that a profile that no request could carry is refused here and not at every request. */
static oks_err_t *check_rendering(const oks_flow_t *flow, const oks_org_t *org, const oks_login_t *login, apr_pool_t *pool)
{
    oks_record_t *draft;
    oks_session_t session = { .id = login->session, .org = login->org, .vhost = login->vhost,
                              .protocol = login->protocol, .profile = login->profile, .expires = login->expires };
    OKS_TRY(oks_flow_render(&draft, org, &session, pool));
    OKS_TRY(oks_flow_check_addresses(flow, org, draft, pool));
    if (oks_record_field(draft, "user")) return NULL;
    return oks_flow_no_user(org, pool);
}

oks_err_t *oks_login_write(oks_id_t *user, const oks_flow_t *flow, const oks_org_t *org, const oks_login_t *login,
                           apr_pool_t *pool)
{
    OKS_TRY(check_rendering(flow, org, login, pool));
    return oks_directory_login(user, flow->directory, login, pool);
}

oks_err_t *oks_flow_sign_in(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                            const oks_login_t *login, const char *return_path, apr_pool_t *pool)
{
    const char *cookie, *restart = oks_flow_cookie_name(request->tls, "restart", pool);
    oks_span_t guard;
    oks_ticket_t ticket = { .session = login->session, .last_until = login->expires }, before;
    oks_login_t mine = *login;
    if (oks_flow_ticket_read(&before, flow, org, request)) mine.replaces = &before.session;
    OKS_TRY(oks_login_write(&ticket.user, flow, org, &mine, pool));
    oks_ticket_issue(&ticket, org, login->now);
    oks_err_t *err = oks_flow_ticket_cookie(&cookie, flow, org, request, &ticket, pool);
    if (err) { /* nobody has a ticket for that session: it goes, too, or ends by its time */
        oks_err_t *unended = oks_directory_session_end(flow->directory, &login->session, pool);
        return unended ? unended : err;
    }
    *answer = oks_flow_see_other(return_path, "login.done", pool);
    (*answer)->org = org->name;
    (*answer)->user = *login->profile->email ? login->profile->email : login->profile->subject;
    oks_flow_set_cookie(*answer, cookie);
    if (oks_cookie_get(&guard, request->cookies, restart))
        oks_flow_set_cookie(*answer, oks_flow_cookie(request, restart, "", OKS_SAME_SITE_NONE, 0, pool));
    return NULL;
}
