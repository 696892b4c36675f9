/* Every request passes here first: scrub, own URLs, and the headers for the backend. */
#include <string.h>

#include <apr_strings.h>

#include "module.h"

APLOG_USE_MODULE(oktasso);

#define HANDLER "oktasso-own"
#define OWN_FILENAME "oktasso:" /* and the URL */

static bool is_our_cookie(oks_span_t pair)
{
    static const char host[] = "__Host-", prefix[] = OKS_COOKIE_PREFIX;
    pair = oks_span_trim(pair);
    if (pair.len > sizeof host && !memcmp(pair.ptr, host, sizeof host - 1))
        pair = oks_span(pair.ptr + sizeof host - 1, pair.len - (sizeof host - 1));
    return pair.len >= sizeof prefix - 1 && !memcmp(pair.ptr, prefix, sizeof prefix - 1);
}

/* The module's own cookies are not for the backend. Several Cookie fields arrive here joined by a comma. */
static void strip_cookies(request_rec *r, const char *cookies)
{
    bool dropped = false;
    if (!strstr(cookies, OKS_COOKIE_PREFIX)) return;
    char *kept = apr_palloc(r->pool, strlen(cookies) + 1), *p = kept;
    for (const char *pair = cookies, *end;; pair = end + 1) {
        end = pair + strcspn(pair, ";,");
        if (is_our_cookie(oks_span(pair, (apr_size_t)(end - pair)))) {
            dropped = true;
        } else {
            if (p > kept) *p++ = dropped ? ';' : pair[-1];
            memcpy(p, pair, (apr_size_t)(end - pair)), p += end - pair;
            dropped = false;
        }
        if (!*end) break;
    }
    *p = '\0';
    while (*kept == ' ') kept++;
    if (*kept) apr_table_setn(r->headers_in, "Cookie", kept);
    else apr_table_unset(r->headers_in, "Cookie");
}

/* A client's "Connection: X-Remote-User" would make mod_proxy drop the header that we set (SECURITY.md 1). Whoever reads the field
 * after us may take blanks, tabs or semicolons for separators, too: what is no token (RFC 9110 5.6.2) ends a name here. */
static void strip_connection(request_rec *r)
{
    const char *connection = apr_table_get(r->headers_in, "Connection"), *end;
    bool ours = false;
    if (!connection) return;
    char *kept = apr_palloc(r->pool, 2 * strlen(connection) + 1), *p = kept;
    for (const char *name = connection; *name; name = *end ? end + 1 : end) {
        end = ap_scan_http_token(name);
        if (end == name) continue;
        const char *copy = apr_pstrmemdup(r->pool, name, (apr_size_t)(end - name));
        if (oks_httpd_is_our_header(copy)) {
            ours = true;
            continue;
        }
        if (p > kept) *p++ = ',';
        memcpy(p, name, (apr_size_t)(end - name)), p += end - name;
    }
    *p = '\0';
    if (!ours) return;
    if (*kept) apr_table_setn(r->headers_in, "Connection", kept);
    else apr_table_unset(r->headers_in, "Connection");
}

/* What stands in the environment of an identity of ours: variables, and headers under CGI's names. */
static bool is_our_variable(const char *name)
{
    static const char variable[] = "OKTASSO_", header[] = "HTTP_";
    if (strncmp(name, variable, sizeof variable - 1) == 0) return true;
    return strncmp(name, header, sizeof header - 1) == 0 && oks_httpd_is_our_header(name + sizeof header - 1);
}

static void scrub_environment(request_rec *r)
{
    const char *type = apr_table_get(r->subprocess_env, "AUTH_TYPE");
    const apr_array_header_t *entries = apr_table_elts(r->subprocess_env);
    if (type && strcmp(type, OKS_HTTPD_AUTH_TYPE) == 0) {
        apr_table_unset(r->subprocess_env, "AUTH_TYPE");
        apr_table_unset(r->subprocess_env, "REMOTE_USER");
    }
    for (int i = 0; i < entries->nelts; i++) {
        const char *name = APR_ARRAY_IDX(entries, i, apr_table_entry_t).key;
        if (!is_our_variable(name)) continue;
        apr_table_unset(r->subprocess_env, name); /* as below */
        i = -1;
    }
}

void oks_httpd_scrub(request_rec *r)
{
    const apr_array_header_t *entries = apr_table_elts(r->headers_in);
    for (int i = 0; i < entries->nelts; i++) {
        const char *name = APR_ARRAY_IDX(entries, i, apr_table_entry_t).key;
        if (!oks_httpd_is_our_header(name)) continue;
        apr_table_unset(r->headers_in, name); /* moves the later entries: look again from the start */
        i = -1;
    }
    if (r->main) scrub_environment(r); /* a sub-request has a copy of its parent's, and mod_include puts the headers there */
}

oks_request_note_t *oks_httpd_note(request_rec *r)
{
    oks_request_note_t *note = ap_get_module_config(r->request_config, &oktasso_module);
    if (note) return note;
    /* A sub-request or an internal redirect: cookies and password are those of the request that it came from. */
    request_rec *from = r->main ? r->main : r->prev;
    note = apr_pcalloc(r->pool, sizeof *note);
    note->cookies = from ? oks_httpd_note(from)->cookies : apr_table_get(r->headers_in, "Cookie");
    note->password = from ? oks_httpd_note(from)->password : NULL;
    ap_set_module_config(r->request_config, &oktasso_module, note);
    return note;
}

int oks_httpd_read_request(request_rec *r)
{
    const oks_request_note_t *note = oks_httpd_note(r);
    oks_httpd_scrub(r);
    strip_connection(r);
    if (note->cookies) strip_cookies(r, note->cookies);
    return DECLINED;
}

/* The path below OktaSSOPath, or NULL. */
static const char *own_path(const request_rec *r)
{
    const oks_server_conf_t *conf = oks_httpd_server_conf(r->server);
    apr_size_t len = strlen(conf->path);
    if (r->proxyreq || !r->uri || strncmp(r->uri, conf->path, len) != 0) return NULL;
    return r->uri[len] == '/' || r->uri[len] == '\0' ? r->uri + len : NULL;
}

/* What httpd itself refuses under SCIM's prefix (Require ip, a limit) is answered there, too: Okta shows a page of HTML as
 * "Invalid JSON". */
static void take_errors(request_rec *r)
{
    static const int statuses[] = { 400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 429, 500, 501, 502, 503 };
    const char *url = apr_pstrcat(r->pool, oks_httpd_server_conf(r->server)->path, OKS_FLOW_SCIM_ERROR, NULL);
    for (apr_size_t i = 0; i < sizeof statuses / sizeof statuses[0]; i++) ap_custom_response(r, statuses[i], url);
}

/* Keeps it from mod_proxy, which maps undecoded URLs in this phase. It is not decided here that no session is needed: what has an
 * escape may be another URL once it's decoded. */
int oks_httpd_pre_translate(request_rec *r)
{
    const char *own = own_path(r);
    if (own && oks_flow_is_scim(own)) take_errors(r);
    return own && !strchr(own, '%') ? OK : DECLINED;
}

/* Ours before mod_rewrite, mod_alias and mod_proxy see the URL: it's served here whatever the site maps. */
int oks_httpd_translate(request_rec *r)
{
    const char *own = own_path(r);
    oks_httpd_note(r)->own = own ? apr_pstrdup(r->pool, own) : NULL;
    if (!own) return DECLINED;
    r->filename = apr_pstrcat(r->pool, OWN_FILENAME, r->uri, NULL); /* no file */
    return OK;
}

int oks_httpd_map_to_storage(request_rec *r)
{
    return oks_httpd_note(r)->own ? OK : DECLINED;
}

/* As oks_record_field, from *at on and around: rows mostly stand in the order of the fields. */
static const char *next_field(const oks_record_t *record, const char *name, int *at)
{
    for (int tried = 0, i = *at; tried < record->nfields; tried++, i++) {
        if (i >= record->nfields) i = 0;
        const oks_record_field_t *field = &record->fields[i];
        if (field->name[0] != name[0] || strcmp(field->name, name) != 0) continue;
        *at = i + 1;
        return field->value;
    }
    return NULL;
}

/* Sets each header once, and the same values as environment variables. The scrub has just removed what stood there, so
 * that adding is setting, and cheaper. */
void oks_httpd_apply(request_rec *r, const oks_request_note_t *note)
{
    const oks_record_t *record = note->pass->record;
    int at = 0;
    for (int i = 0; i < note->headers->nelts; i++) {
        const oks_header_t *row = &APR_ARRAY_IDX(note->headers, i, oks_header_t);
        const char *value = row->field == oks_httpd_signed_field ? note->assertion
                          : row->field ? next_field(record, row->field, &at) : NULL;
        if (value) apr_table_addn(r->headers_in, row->header, value);
    }
    if (apr_table_get(r->subprocess_env, "OKTASSO_ORG")) scrub_environment(r); /* another identity's */
    for (int i = 0; i < record->nfields; i++)
        apr_table_addn(r->subprocess_env, record->fields[i].variable, record->fields[i].value);
}

static void take_identity(oks_request_note_t *note, const oks_request_note_t *from)
{
    note->pass = from->pass;
    note->headers = from->headers;
    note->assertion = from->assertion;
    note->org = from->org;
}

/* httpd skips authentication where a sub-request or redirect falls under the same configuration, and keeps r->user: then
 * the identity is that of the request before. Anywhere else a header left over from it goes. */
static void inherit(request_rec *r, oks_request_note_t *note, request_rec *from)
{
    const oks_request_note_t *before = oks_httpd_note(from);
    if (note->pass) return;
    oks_httpd_scrub(r);
    if (before->pass && r->user && r->user == before->pass->user) {
        take_identity(note, before);
        oks_httpd_apply(r, note);
    }
}

/* ---- DirectoryIndex, FallbackResource, MultiViews ---- */

/* They look a file up by a sub-request, and let the request go on as that one (ap_internal_fast_redirect): with its configuration,
 * environment and notes, but with the headers and the user of before. So each sub-request leaves itself in its notes. */
#define SERVED "oktasso-served"

static void leave(request_rec *r)
{
    apr_table_setn(r->notes, SERVED, (const char *)r);
}

/* Is the Location of what is served another organization's than the identity? */
static bool is_of_another(const request_rec *r, const oks_request_note_t *note)
{
    const oks_dir_conf_t *dir = oks_httpd_dir_conf(r);
    return dir->org && !oks_httpd_is_any_org(dir->org) && note->org && strcmp(dir->org, note->org->name) != 0;
}

/* Has what is served another identity than the request that it was found for? One that nothing guards has none of its own: it is
 * to know who came through the guard of the directory, as a front controller does. */
static bool differs(const request_rec *r, const oks_request_note_t *note, const request_rec *served, const oks_request_note_t *its)
{
    if (!note->pass) return its->pass != NULL;
    if (its->pass) return its->pass->record != note->pass->record || its->headers != note->headers;
    return served->user || is_of_another(r, note);
}

/* The handler gets the identity that what it serves was judged by. */
static void take_over(request_rec *r, oks_request_note_t *note)
{
    const request_rec *served = (const void *)apr_table_get(r->notes, SERVED);
    if (!served) return;
    const oks_request_note_t *its = ap_get_module_config(served->request_config, &oktasso_module);
    apr_table_unset(r->notes, SERVED);
    if (!differs(r, note, served, its)) return;
    oks_httpd_scrub(r);
    scrub_environment(r);
    r->user = served->user;
    r->ap_auth_type = served->ap_auth_type;
    take_identity(note, its);
    oks_httpd_hide_password(r, its->password);
    if (note->pass) oks_httpd_apply(r, note);
}

int oks_httpd_fixup(request_rec *r)
{
    oks_request_note_t *note = oks_httpd_note(r);
    request_rec *from = r->main ? r->main : r->prev;
    if (from) inherit(r, note, from);
    take_over(r, note);
    const oks_org_t *org = note->pass || note->own ? NULL : oks_httpd_bypassed(r);
    if (!org) return DECLINED;
    const char *type = ap_auth_type(r);
    return oks_httpd_refuse(r, org->name, oks_err(r->pool, OKS_R_FLOW_SSO_REQUIRED, "AuthType %s", type ? type : "none"));
}

/* After all others': whoever may pass without a session, because the URL is ours, gets our answer and nothing else, whatever a
 * RewriteRule, SetHandler or DAV made of the request. */
int oks_httpd_fixup_last(request_rec *r)
{
    oks_request_note_t *note = oks_httpd_note(r);
    take_over(r, note);
    if (r->main) leave(r);
    if (!note->own) return DECLINED;
    r->handler = HANDLER;
    r->proxyreq = PROXYREQ_NONE;
    r->filename = apr_pstrcat(r->pool, OWN_FILENAME, r->uri, NULL);
    return OK;
}

/* ---- The handler of own URLs ---- */

static oks_err_t *read_body(oks_span_t *body, request_rec *r, apr_size_t max)
{
    int status = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK);
    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE) return oks_err(r->pool, OKS_R_FLOW_BODY_TOO_LARGE, "LimitRequestBody");
    if (status != OK) return oks_err(r->pool, OKS_R_FLOW_BODY_BROKEN, NULL);
    if (!ap_should_client_block(r)) return NULL;
    if (r->remaining > (apr_off_t)max)
        return oks_err(r->pool, OKS_R_FLOW_BODY_TOO_LARGE, "%" APR_OFF_T_FMT " bytes", r->remaining);
    apr_size_t size = r->remaining > 0 ? (apr_size_t)r->remaining : 8192, len = 0;
    char *bytes = apr_palloc(r->pool, size + 1);
    for (;;) {
        if (len == size) {
            size = size >= max ? max + 1 : size * 2;
            char *more = apr_palloc(r->pool, size + 1);
            bytes = memcpy(more, bytes, len);
        }
        long n = ap_get_client_block(r, bytes + len, size - len);
        if (n < 0) return oks_err(r->pool, OKS_R_FLOW_BODY_BROKEN, NULL);
        if (n == 0) break;
        len += (apr_size_t)n;
        if (len > max) return oks_err(r->pool, OKS_R_FLOW_BODY_TOO_LARGE, "more than %" APR_SIZE_T_FMT " bytes", max);
    }
    *body = oks_span(bytes, len);
    return NULL;
}

int oks_httpd_handle(request_rec *r)
{
    const oks_request_note_t *note = oks_httpd_note(r);
    const oks_flow_t *flow = oks_httpd_flow(r);
    oks_request_t value;
    oks_err_t *err = NULL;
    if (!note->own || strcmp(r->handler, HANDLER) != 0) return DECLINED;
    if (r->prev && strcmp(note->own, OKS_FLOW_SCIM_ERROR) == 0)
        return oks_httpd_send(r, oks_flow_scim_error(r->prev->status, r->pool), "-") == DONE ? OK : HTTP_INTERNAL_SERVER_ERROR;
    if (!flow) return HTTP_SERVICE_UNAVAILABLE;
    oks_httpd_value(&value, r);
    oks_httpd_value_rest(&value, r);
    value.local_path = note->own;
    const bool scim = oks_flow_is_scim(note->own);
    const bool reads = scim || strcmp(r->method, "POST") == 0;
    oks_scim_caller_t caller;
    if (scim) err = oks_flow_scim_admits(&caller, flow, &value, r->pool);
    if (!err && reads) err = read_body(&value.body, r, scim ? caller.org->scim_body_max : OKS_FLOW_FORM_MAX);
    const oks_answer_t *answer = scim ? err ? oks_flow_scim_refuse(err, &caller, r->pool)
                                            : oks_flow_serve_scim(flow, &caller, &value, r->pool)
                               : err ? oks_flow_refuse(&value, err, NULL, r->pool) : oks_flow_serve(flow, &value, r->pool);
    /* httpd would read the rest of the body before it lets the answer go, for as long as a slow client takes. */
    if ((err || !reads) && ap_request_has_body(r)) r->connection->keepalive = AP_CONN_CLOSE;
    int status = oks_httpd_send(r, answer, value.id);
    return status == DONE ? OK : status;
}
