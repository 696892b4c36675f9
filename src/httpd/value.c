/* A request as a value, and an answer as a response. */
#include <string.h>

#include <apr_strings.h>
#include <http_ssl.h>

#include "module.h"

APLOG_USE_MODULE(oktasso);

#define REQUEST_ID_BYTES 9
#define HTTP_TOLD_EVERY apr_time_from_sec(86400)

static const char *header(const request_rec *r, const char *name)
{
    const char *value = apr_table_get(r->headers_in, name);
    return value ? value : "";
}

/* Do browsers reach this virtual host by https? Behind a proxy that ends TLS, the outside URL says so. */
static bool is_https(const oks_server_conf_t *conf, const request_rec *r)
{
    if (conf->base_url) return strncmp(conf->base_url, "https:", 6) == 0;
    if (r->server->server_scheme && strcmp(r->server->server_scheme, "https") == 0) return true;
    return ap_ssl_conn_is_ssl(r->connection->master ? r->connection->master : r->connection);
}

const char *oks_httpd_base_url(const request_rec *r)
{
    const server_rec *s = r->server;
    const oks_server_conf_t *conf = oks_httpd_server_conf(s);
    const bool https = is_https(conf, r);
    if (conf->base_url) return conf->base_url;
    int port = s->port ? s->port : r->connection->local_addr->port;
    if (port == (https ? 443 : 80)) return apr_pstrcat(r->pool, https ? "https://" : "http://", s->server_hostname, NULL);
    return apr_psprintf(r->pool, "%s://%s:%d", https ? "https" : "http", s->server_hostname, port);
}

/* mod_unique_id's where it is loaded, so that all logs agree; else our own. */
static const char *request_id(request_rec *r)
{
    const char *id = apr_table_get(r->subprocess_env, "UNIQUE_ID");
    unsigned char bytes[REQUEST_ID_BYTES];
    if (id) return id;
    if (oks_random_bytes(bytes, sizeof bytes, r->pool) != NULL) return "-";
    return oks_base64url_encode(oks_span((char *)bytes, sizeof bytes), r->pool);
}

void oks_httpd_value(oks_request_t *value, request_rec *r)
{
    const oks_server_conf_t *conf = oks_httpd_server_conf(r->server);
    memset(value, 0, sizeof *value);
    value->method = r->header_only ? "HEAD" : r->method;
    value->tls = is_https(conf, r);
    value->cookies = oks_span_z(oks_httpd_note(r)->cookies);
    value->now = r->request_time;
}

void oks_httpd_value_rest(oks_request_t *value, request_rec *r)
{
    value->base_url = oks_httpd_base_url(r);
    value->query = oks_span_z(r->args);
    value->target = oks_span_z(r->unparsed_uri);
    value->content_type = header(r, "Content-Type");
    value->accept = header(r, "Accept");
    value->sec_fetch_mode = header(r, "Sec-Fetch-Mode");
    value->sec_fetch_dest = header(r, "Sec-Fetch-Dest");
    value->sec_fetch_site = header(r, "Sec-Fetch-Site");
    value->requested_with = header(r, "X-Requested-With");
    value->authorization = header(r, "Authorization");
    value->if_match = header(r, "If-Match");
    value->if_none_match = header(r, "If-None-Match");
    value->local_path = "";
    value->client = r->useragent_ip;
    value->check_password = oks_httpd_check_password;
    value->baton = r;
    value->look = &oks_httpd_server_conf(r->server)->look;
    value->id = request_id(r);
}

static int log_level(const oks_answer_t *answer)
{
    if (answer->loud) return APLOG_WARNING;
    if (!answer->err || answer->status < 400) return APLOG_INFO; /* a login that starts again is no refusal */
    switch (oks_reason_info(answer->err->reason)->level) {
    case OKS_LEVEL_ERROR: return APLOG_ERR;
    case OKS_LEVEL_WARN: return APLOG_WARNING;
    default: return APLOG_INFO;
    }
}

/* The one verdict line of a decision. */
void oks_httpd_log(request_rec *r, const oks_answer_t *answer, const char *id)
{
    const char *reason = answer->err ? apr_pstrcat(r->pool, " reason=", oks_err_text(answer->err, r->pool), NULL) : "";
    const char *user = answer->user ? oks_log_escape(oks_span_z(answer->user), 254, r->pool) : NULL;
    ap_log_rerror(APLOG_MARK, log_level(answer), 0, r, "OKS0001: %s status=%d org=%s%s%s request=%s%s", answer->event,
                  answer->status, answer->org ? answer->org : "-", user ? " user=" : "", user ? user : "", id, reason);
    oks_httpd_audit(r, answer, id);
}

/* A login that has to come back to a URL without TLS; mostly a proxy ends TLS, and nobody has said so. */
static void tell_of_http(request_rec *r, const oks_answer_t *answer)
{
    const oks_server_conf_t *conf = oks_httpd_server_conf(r->server);
    oks_url_t url;
    if (strncmp(answer->event, "login.", 6) != 0 || is_https(conf, r)) return;
    const char *base = oks_httpd_base_url(r), *key = apr_pstrcat(r->pool, "http:", conf->vhost, NULL);
    if (oks_url_parse(&url, oks_span_z(base), r->pool) != NULL || oks_url_is_loopback(&url)) return;
    if (!oks_limiter_take(oks_httpd_runtime.limiter, key, 1, HTTP_TOLD_EVERY, r->request_time)) return;
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "OKS0057: visitors sign in at %s, and the identity provider is told to answer "
                  "there: without TLS a login may fail on its way back. Does a proxy end TLS? Then write "
                  "OktaSSOBaseURL \"https://%s\"", base, r->server->server_hostname);
}

static int copy_header(void *r_, const char *name, const char *value)
{
    request_rec *r = r_;
    apr_table_addn(r->err_headers_out, name, value);
    return 1;
}

int oks_httpd_send(request_rec *r, const oks_answer_t *answer, const char *id)
{
    oks_httpd_log(r, answer, id);
    tell_of_http(r, answer);
    if (r->main) return answer->status >= 400 ? answer->status : HTTP_UNAUTHORIZED; /* it only asks whether, and this says no */
    apr_table_do(copy_header, r, answer->headers, NULL);
    r->status = answer->status;
    apr_size_t len = answer->body ? strlen(answer->body) : 0;
    if (answer->content_type) ap_set_content_type(r, answer->content_type);
    ap_set_content_length(r, (apr_off_t)len);
    if (len) ap_rwrite(answer->body, (int)len, r);
    return DONE; /* never OK: the request ends here, whatever phase it is in (SECURITY.md 2) */
}
