/* Authentication and authorization hooks. */
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include "module.h"

APLOG_USE_MODULE(oktasso);

static char auth_type[] = OKS_HTTPD_AUTH_TYPE; /* httpd's field is not const */
#define TOLD_GROUPS_MAX 400 /* bytes of a refused visitor's groups in the log, */
#define TOLD_ROLE_MAX 100   /* and of the role */

/* Found out once: AuthType may be an expression, and every phase is to go by the same answer. */
static bool is_ours(request_rec *r)
{
    oks_request_note_t *note = oks_httpd_note(r);
    if (!note->type_known) {
        const char *type = ap_auth_type(r);
        note->ours = type && apr_cstr_casecmp(type, OKS_HTTPD_AUTH_TYPE) == 0;
        note->type_known = true;
    }
    return note->ours;
}

int oks_httpd_refuse(request_rec *r, const char *org, const oks_err_t *err)
{
    oks_request_t value;
    oks_httpd_value(&value, r);
    oks_httpd_value_rest(&value, r);
    const bool denied = org && err->reason == OKS_R_HTTPD_REQUEST_DENIED; /* perhaps somebody else may */
    const char *leave = denied ? apr_pstrcat(r->pool, oks_httpd_server_conf(r->server)->path, "/logout/", org, NULL) : NULL;
    oks_answer_t *answer = oks_flow_refuse(&value, err, leave, r->pool);
    answer->org = org;
    if (oks_httpd_note(r)->pass) answer->user = r->user;
    return oks_httpd_send(r, answer, value.id);
}

static const oks_org_t *visitors_org(request_rec *r, const oks_flow_t *flow)
{
    oks_request_t value;
    oks_httpd_value(&value, r);
    return oks_flow_visitors_org(flow, &value, r->pool);
}

/* The organization of this Location, or of `*` the visitor's; NULL with `err` when there is none that works:
 * flow.session.none when the visitor has chosen none. */
static const oks_org_t *find_org(request_rec *r, const oks_flow_t *flow, oks_err_t **err)
{
    const oks_dir_conf_t *dir = oks_httpd_dir_conf(r);
    oks_request_note_t *note = oks_httpd_note(r);
    *err = NULL;
    if (note->org) return note->org;
    if (!dir->org) {
        *err = oks_err(r->pool, OKS_R_HTTPD_ORG_UNSET, "AuthType OktaSSO without OktaSSOOrg NAME at %s", r->uri);
        return NULL;
    }
    const bool any = oks_httpd_is_any_org(dir->org);
    const oks_org_t *org = any ? visitors_org(r, flow) : flow->find_org(flow->orgs, oks_span_z(dir->org), r->pool);
    if (!org && any) *err = oks_err(r->pool, OKS_R_FLOW_SESSION_NONE, NULL);
    else if (!org || !org->enabled) *err = oks_err(r->pool, OKS_R_FLOW_ORG_UNKNOWN, "\"%s\"", dir->org);
    if (!*err) note->org = org;
    return note->org;
}

/* What the Location says, else its organization; but of `*` the visitor chooses the organization, and with it nobody opens the
 * Location. */
static oks_unauthorized_t mode_of(request_rec *r, const oks_org_t *org)
{
    const oks_dir_conf_t *dir = oks_httpd_dir_conf(r);
    if (dir->unauthorized) return *dir->unauthorized;
    if (!org || (oks_httpd_is_any_org(dir->org) && org->unauthorized == OKS_UNAUTHORIZED_PASS)) return OKS_UNAUTHORIZED_AUTO;
    return org->unauthorized;
}

/* What the Location says, else the organization; NULL when nothing is demanded. */
static const oks_demand_t *demand_of(request_rec *r, const oks_org_t *org)
{
    const oks_dir_conf_t *dir = oks_httpd_dir_conf(r);
    const oks_demand_t *demand = &org->demand;
    if (dir->force_authn || dir->max_authn_age || dir->authn_contexts) {
        oks_demand_t *own = apr_pmemdup(r->pool, demand, sizeof *demand);
        if (dir->force_authn) own->force = *dir->force_authn;
        if (dir->max_authn_age) own->max_age = *dir->max_authn_age;
        if (dir->authn_contexts) own->authn_contexts = *dir->authn_contexts ? dir->authn_contexts : NULL;
        demand = own;
    }
    return oks_demand_is_set(demand) ? demand : NULL;
}

/* By the session cookie, else by the password of a local account. */
static oks_err_t *find_identity(oks_pass_t *pass, const oks_flow_t *flow, const oks_org_t *org, oks_request_t *value,
                                request_rec *r)
{
    oks_httpd_value(value, r);
    value->demand = demand_of(r, org); /* a login that does not meet it is none */
    oks_err_t *err = oks_flow_check(pass, flow, org, value, r->pool);
    return err ? oks_httpd_check_basic(pass, flow, org, value, r, err) : NULL;
}

static int accept_pass(request_rec *r, const oks_org_t *org, oks_pass_t *pass)
{
    oks_request_note_t *note = oks_httpd_note(r);
    const oks_dir_conf_t *dir = oks_httpd_dir_conf(r);
    oks_err_t *err = oks_httpd_org_signs(org) ? oks_flow_assertion(&note->assertion, oks_httpd_flow(r), pass->record,
                                                                   oks_httpd_base_url(r), r->request_time, r->pool) : NULL;
    if (err) return oks_httpd_refuse(r, org->name, err); /* a backend that wants a signature gets no request without */
    note->pass = pass;
    note->headers = oks_httpd_org_headers(org);
    if (dir->headers) note->headers = oks_httpd_overlay_headers(note->headers, dir->headers, r->pool);
    r->user = apr_pstrdup(r->pool, pass->user); /* httpd's field is not const */
    pass->user = r->user;                       /* fixups know the identity by this pointer */
    r->ap_auth_type = auth_type;
    if (pass->set_cookie) apr_table_addn(r->err_headers_out, "Set-Cookie", pass->set_cookie);
    /* A cache that others use, mod_cache here included, would hand this visitor's page (and ticket) to the next one. */
    if (!apr_table_get(r->err_headers_out, "Cache-Control")) apr_table_setn(r->err_headers_out, "Cache-Control", "private");
    oks_httpd_scrub(r); /* nothing an earlier hook or request left may stand beside ours */
    oks_httpd_apply(r, note);
    return OK;
}

int oks_httpd_check_authn(request_rec *r)
{
    const oks_flow_t *flow = oks_httpd_flow(r);
    oks_request_t value;
    oks_err_t *err;
    if (!is_ours(r)) return DECLINED;
    if (!flow) return HTTP_SERVICE_UNAVAILABLE;
    const oks_org_t *org = find_org(r, flow, &err);
    if (!org && err->reason != OKS_R_FLOW_SESSION_NONE) return oks_httpd_refuse(r, NULL, err);
    if (!org) {
        oks_httpd_value(&value, r);
        oks_httpd_value_rest(&value, r);
        return oks_httpd_send(r, oks_flow_challenge_any(flow, mode_of(r, NULL), &value, err, r->pool), value.id);
    }
    oks_pass_t *pass = apr_pcalloc(r->pool, sizeof *pass);
    err = find_identity(pass, flow, org, &value, r);
    if (!err) return accept_pass(r, org, pass);
    oks_httpd_value_rest(&value, r);
    return oks_httpd_send(r, oks_flow_challenge(flow, org, mode_of(r, org), &value, err, r->pool), value.id);
}

/* Optional sign-in: the identity when there is one, whatever the Require lines ask. */
int oks_httpd_check_access(request_rec *r)
{
    const oks_flow_t *flow = oks_httpd_flow(r);
    oks_request_t value;
    oks_err_t *err;
    if (r->main) oks_httpd_scrub(r); /* a Require line must not judge by what is left of its parent's identity */
    oks_httpd_forget_user(r); /* under Satisfy Any no other phase may come */
    if (!flow || !is_ours(r)) return DECLINED;
    const oks_org_t *org = find_org(r, flow, &err);
    if (!org || mode_of(r, org) != OKS_UNAUTHORIZED_PASS) return DECLINED;
    oks_pass_t *pass = apr_pcalloc(r->pool, sizeof *pass);
    if (find_identity(pass, flow, org, &value, r)) return DECLINED;
    int status = accept_pass(r, org, pass);
    if (status != OK) return status;
    /* With a user, mod_authz_core refuses in this phase already, and by its own page: judge before it. */
    status = oks_httpd_check_authz(r);
    return status == OK ? DECLINED : status;
}

/* Would a nameless user satisfy the Require lines? `Require valid-user` says yes, `user`, `group` and ours say no. */
static bool admits_nobody(request_rec *r)
{
    static const struct ap_logconf quiet = { NULL, APLOG_EMERG }; /* a "no" is no failure of anybody */
    const struct ap_logconf *log = r->log;
    char nobody[] = "";
    r->user = nobody;
    r->log = &quiet;
    int status = ap_run_auth_checker(r);
    r->log = log;
    r->user = NULL;
    return status == OK;
}

/* Under our AuthType nobody else says who the visitor is: mod_authz_core admits whom it finds in r->user, and SSLUserName puts a
 * certificate's name there, verified or not. */
int oks_httpd_forget_user(request_rec *r)
{
    if (r->user && is_ours(r) && !oks_httpd_note(r)->pass) r->user = NULL;
    return DECLINED;
}

/* Runs after mod_authz_core's, which has declined for want of a user. Own URLs go on without one; and so does optional
 * sign-in where nobody in particular is required. */
int oks_httpd_check_access_ex(request_rec *r)
{
    const oks_flow_t *flow = oks_httpd_flow(r);
    oks_err_t *err;
    if (oks_httpd_note(r)->own) return OK;
    if (!flow || oks_httpd_note(r)->pass || !is_ours(r)) return DECLINED;
    const oks_org_t *org = find_org(r, flow, &err);
    if (!org && err->reason != OKS_R_FLOW_SESSION_NONE) return DECLINED;
    if (mode_of(r, org) != OKS_UNAUTHORIZED_PASS) return DECLINED;
    return admits_nobody(r) ? OK : DECLINED;
}

/* What the Require lines had to judge by, for the log: has groups "Everyone", "Sales"; role member. */
static const char *had(const oks_record_t *record, apr_pool_t *pool)
{
    const char *role = oks_record_field(record, "role"), *groups = "";
    for (int i = 0; i < record->ngroups && strlen(groups) <= TOLD_GROUPS_MAX; i++)
        groups = apr_pstrcat(pool, groups, i ? ", \"" : "\"", record->groups[i], "\"", NULL);
    return apr_psprintf(pool, "has %s%s; role %s", *groups ? "groups " : "no groups",
                        oks_log_escape(oks_span_z(groups), TOLD_GROUPS_MAX, pool),
                        oks_log_escape(oks_span_z(role ? role : "none"), TOLD_ROLE_MAX, pool));
}

/* httpd answers 401 to a user whom no Require line admits; for a signed-in one that's a 403, never a login loop. */
int oks_httpd_check_authz(request_rec *r)
{
    oks_request_note_t *note = oks_httpd_note(r);
    if (!note->pass || note->judging) return DECLINED;
    note->judging = true;
    int status = ap_run_auth_checker(r);
    note->judging = false;
    if (status != HTTP_UNAUTHORIZED && status != HTTP_FORBIDDEN) return status;
    return oks_httpd_refuse(r, note->org ? note->org->name : NULL,
                            oks_err(r->pool, OKS_R_HTTPD_REQUEST_DENIED, "%s", had(note->pass->record, r->pool)));
}
