/* Local accounts: httpd's authentication providers, HTTP Basic, and other AuthTypes where SSO is required. */
#include <string.h>

#include <apr_base64.h>
#include <apr_cstr.h>
#include <apr_strings.h>

#include "module.h"
#include "orgdir.h"

#include <ap_provider.h>
#include <mod_auth.h>

APLOG_USE_MODULE(oktasso);

/* As mod_auth_basic does: the next provider is asked only when this one does not know the user. */
oks_password_t oks_httpd_check_password(void *baton, const oks_org_t *org, const char *user, const char *password)
{
    request_rec *r = baton;
    authn_status status = AUTH_USER_NOT_FOUND;
    for (const char *const *name = org->local_providers; *name && status == AUTH_USER_NOT_FOUND; name++) {
        const authn_provider *provider = ap_lookup_provider(AUTHN_PROVIDER_GROUP, *name, AUTHN_PROVIDER_VERSION);
        if (!provider || !provider->check_password) return OKS_PASSWORD_UNAVAILABLE;
        apr_table_setn(r->notes, AUTHN_PROVIDER_NAME_NOTE, *name);
        status = provider->check_password(r, user, password);
        apr_table_unset(r->notes, AUTHN_PROVIDER_NAME_NOTE);
    }
    return status == AUTH_GRANTED ? OKS_PASSWORD_GOOD
         : status == AUTH_GENERAL_ERROR ? OKS_PASSWORD_UNAVAILABLE : OKS_PASSWORD_WRONG;
}

/* Does the header hold HTTP Basic credentials (RFC 7617), and which? */
static bool read_basic(const char **user, const char **password, const char *header, const request_rec *r)
{
    oks_span_t decoded, name;
    if (!header || apr_cstr_casecmpn(header, "Basic ", 6) != 0) return false;
    oks_err_t *err = oks_base64_decode(&decoded, oks_span_trim(oks_span_z(header + 6)), r->pool);
    if (err || memchr(decoded.ptr, '\0', decoded.len) || !memchr(decoded.ptr, ':', decoded.len)) return false;
    oks_span_next(&name, &decoded, ':');
    *user = oks_span_dup(name, r->pool);
    *password = oks_span_dup(decoded, r->pool);
    return true;
}

void oks_httpd_hide_password(request_rec *r, const char *header)
{
    oks_request_note_t *note = oks_httpd_note(r);
    const char *sent = apr_table_get(r->headers_in, "Authorization");
    if (!header || note->password) return; /* gone already: what stands there now is the site's own */
    note->password = header;
    if (sent && strcmp(sent, header) == 0) apr_table_unset(r->headers_in, "Authorization");
    apr_table_unset(r->subprocess_env, "HTTP_AUTHORIZATION"); /* a sub-request's copy, with CGIPassAuth */
}

oks_err_t *oks_httpd_check_basic(oks_pass_t *pass, const oks_flow_t *flow, const oks_org_t *org, oks_request_t *value,
                                 request_rec *r, oks_err_t *refusal)
{
    const char *user, *password;
    oks_request_note_t *note = oks_httpd_note(r);
    const char *header = note->password ? note->password : apr_table_get(r->headers_in, "Authorization");
    if (!org->local_providers || refusal->reason != OKS_R_FLOW_SESSION_NONE || !read_basic(&user, &password, header, r))
        return refusal;
    oks_httpd_value_rest(value, r);
    OKS_TRY(oks_flow_check_basic(pass, flow, org, value, user, password, r->pool));
    const oks_answer_t verdict = { .status = HTTP_OK, .event = "login.basic", .org = org->name, .user = pass->user };
    if (pass->began) oks_httpd_log(r, &verdict, value->id);
    oks_httpd_hide_password(r, header);
    return NULL;
}

static const oks_org_t *requiring(const oks_org_t *org)
{
    return org && org->enabled && org->require_sso != OKS_REQUIRE_SSO_OFF ? org : NULL;
}

/* The user's address as it stands, and as what a provider that is less exact may have taken it for. */
static const oks_org_t *requiring_address(const oks_flow_t *flow, const char *user, apr_pool_t *pool)
{
    oks_span_t exact = oks_email_domain(oks_span_trim(oks_span_z(user)));
    oks_span_t loose = oks_email_domain(oks_span_z(oks_loose_key(user, pool)));
    const oks_org_t *org = requiring(flow->find_domain(flow->orgs, exact, pool));
    if (!org) org = requiring(flow->find_domain(flow->orgs, loose, pool));
    return org && !org->of_file ? org : NULL; /* whoever writes a file may claim any domain */
}

/* Somebody whom another AuthType let in, where an organization wants everyone through its identity provider. */
const oks_org_t *oks_httpd_bypassed(request_rec *r)
{
    const oks_server_conf_t *conf = oks_httpd_server_conf(r->server);
    const oks_dir_conf_t *dir = oks_httpd_dir_conf(r);
    const oks_flow_t *flow = conf->flow;
    if (!r->user || !flow || !(conf->requires_sso || (conf->dir && oks_orgdir_requires(conf->dir, r->pool)))) return NULL;
    /* A Location of all organizations is one of each that requires SSO. */
    if (dir->org && oks_httpd_is_any_org(dir->org)) return oks_httpd_find_requiring(conf, r->pool);
    const oks_org_t *org = dir->org ? requiring(flow->find_org(flow->orgs, oks_span_z(dir->org), r->pool)) : NULL;
    return org ? org : requiring_address(flow, r->user, r->pool);
}
