/* Answers: status, headers, cookies; a page for people, JSON for programs. */
#include <string.h>

#include <apr_strings.h>
#include <jansson.h>

#include "flow_private.h"

oks_answer_t *oks_flow_answer(int status, const char *event, apr_pool_t *pool)
{
    oks_answer_t *answer = apr_pcalloc(pool, sizeof *answer);
    answer->status = status;
    answer->event = event;
    answer->headers = apr_table_make(pool, 8);
    apr_table_setn(answer->headers, "Cache-Control", "no-store");
    apr_table_setn(answer->headers, "X-Content-Type-Options", "nosniff");
    apr_table_setn(answer->headers, "Referrer-Policy", "no-referrer");
    if (status == 503) apr_table_setn(answer->headers, "Retry-After", "5");
    if (status == 429)
        apr_table_setn(answer->headers, "Retry-After", apr_psprintf(pool, "%d", (int)apr_time_sec(OKS_FLOW_FAILURES_WINDOW)));
    return answer;
}

oks_answer_t *oks_flow_see_other(const char *location, const char *event, apr_pool_t *pool)
{
    oks_answer_t *answer = oks_flow_answer(303, event, pool);
    apr_table_setn(answer->headers, "Location", location);
    return answer;
}

bool oks_flow_is_navigation(const oks_request_t *request)
{
    if (strcmp(request->method, "OPTIONS") == 0) return false; /* a preflight carries no cookies, and can't follow */
    if (*request->requested_with) return false;
    if (*request->sec_fetch_mode) return strcmp(request->sec_fetch_mode, "navigate") == 0;
    return strstr(request->accept, "text/html") != NULL; /* browsers before Sec-Fetch-*; programs send another or none */
}

bool oks_flow_is_foreign(const oks_request_t *request)
{
    return strcmp(request->sec_fetch_site, "cross-site") == 0;
}

const char *oks_flow_cookie_name(bool tls, const char *suffix, apr_pool_t *pool)
{
    return apr_pstrcat(pool, tls ? "__Host-" : "", OKS_COOKIE_PREFIX, suffix, NULL);
}

const char *oks_flow_cookie(const oks_request_t *request, const char *name, const char *value, oks_same_site_t same_site,
                            int max_age, apr_pool_t *pool)
{
    /* Without TLS no cookie can be SameSite=None (browsers want Secure with it). Leaving SameSite out is the next best:
     * Chromium then lets a cookie younger than two minutes come with a cross-site POST. */
    const char *site = same_site == OKS_SAME_SITE_LAX ? "; SameSite=Lax" : request->tls ? "; SameSite=None" : "";
    const char *age = max_age < 0 ? "" : apr_psprintf(pool, "; Max-Age=%d", max_age);
    return apr_pstrcat(pool, name, "=", value, "; Path=/; HttpOnly", request->tls ? "; Secure" : "", site, age, NULL);
}

void oks_flow_set_cookie(oks_answer_t *answer, const char *set_cookie)
{
    apr_table_addn(answer->headers, "Set-Cookie", set_cookie);
}

const char *oks_flow_json_refusal(const oks_request_t *request, const oks_err_t *err, const char *login_url,
                                  apr_pool_t *pool)
{
    const oks_reason_info_t *info = oks_reason_info(err->reason);
    json_t *body = json_pack("{s:s, s:s, s:s}", "error", info->code, "message", info->visitor, "request_id", request->id);
    if (body && login_url) json_object_set_new(body, "login_url", json_string(login_url));
    const char *text = oks_json_ascii(body, pool);
    return text ? text : "{\"error\":\"base.internal.error\"}";
}

oks_answer_t *oks_flow_refuse(const oks_request_t *request, const oks_err_t *err, const char *again_url, apr_pool_t *pool)
{
    const oks_reason_info_t *info = oks_reason_info(err->reason);
    oks_answer_t *answer = oks_flow_answer(info->http_status, "refused", pool);
    answer->err = err;
    if (err->retry_after) apr_table_setn(answer->headers, "Retry-After", apr_psprintf(pool, "%d", err->retry_after));
    if (oks_flow_is_navigation(request)) {
        oks_flow_show(answer, request, OKS_PAGE_PLAIN, oks_flow_refusal_page(request, err, again_url, pool), pool);
    } else {
        answer->content_type = "application/json";
        answer->body = oks_flow_json_refusal(request, err, again_url, pool);
    }
    return answer;
}
