/* Our pages: static HTML with one style sheet; every dynamic value goes through the one escaper. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1b2430;--dim:#5b6675;--line:#dde3ea;--card:#fff;--ground:#f3f5f8;--act:#1f5fd6}"
    "@media(prefers-color-scheme:dark){:root{--ink:#e8edf3;--dim:#9aa7b6;--line:#323c48;--card:#1b222b;--ground:#11161c;"
    "--act:#7fb0ff}}"
    "*{box-sizing:border-box}body{margin:0;min-height:100vh;display:grid;place-items:center;background:var(--ground);"
    "color:var(--ink);font:16px/1.55 system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif;padding:1.25rem}"
    "main{width:100%;max-width:34rem;background:var(--card);border:1px solid var(--line);border-radius:14px;padding:2rem 2.25rem;"
    "box-shadow:0 8px 30px rgba(16,24,40,.07)}h1{font-size:1.35rem;line-height:1.3;margin:0 0 .75rem}p{margin:.5rem 0}"
    ".who{color:var(--dim)}.button{display:inline-block;margin-top:1rem;padding:.6rem 1.15rem;border-radius:9px;"
    "background:var(--act);color:var(--card);text-decoration:none;font:inherit;font-weight:600;border:0;cursor:pointer}"
    ".button:focus-visible{outline:3px solid var(--act);"
    "outline-offset:3px}dl{margin:1.5rem 0 0;padding-top:1rem;border-top:1px solid var(--line);display:grid;"
    "grid-template-columns:auto 1fr;gap:.25rem 1rem;font-size:.875rem}dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere;"
    "font-family:ui-monospace,Menlo,Consolas,monospace}.logo{display:block;max-width:60%;max-height:3.5rem;margin:0 0 1.25rem}"
    "label{display:block;margin:1rem 0 .3rem;font-weight:600}input{width:100%;padding:.6rem .75rem;border-radius:9px;"
    "border:1px solid var(--dim);background:var(--ground);color:var(--ink);font:inherit}input:focus-visible{"
    "outline:3px solid var(--act);outline-offset:1px}.error{border-left:4px solid #d03b3b;padding-left:.75rem}"
    ".other{margin-top:1.25rem}.other a{color:var(--act)}"
    "@media(max-width:30rem){main{padding:1.5rem 1.25rem}dl{grid-template-columns:1fr;font-size:.8125rem}dt{margin-top:.25rem}}";

/* The one script, of the one page that posts itself. */
static const char submit[] = "document.forms[0].submit()";

static const char *hash_source(const char *text, apr_pool_t *pool)
{
    unsigned char digest[OKS_SHA256_LEN];
    oks_sha256(digest, oks_span_z(text));
    return apr_pstrcat(pool, "'sha256-", oks_base64_encode(oks_span((char *)digest, sizeof digest), pool), "'", NULL);
}

/* A template brings its own style sheet and pictures, of this site; still no script, and nothing of another site. */
static const char *policy(const oks_request_t *request, oks_page_kind_t kind, apr_pool_t *pool)
{
    const oks_look_t *look = request->look;
    return apr_pstrcat(pool, "default-src 'none'; style-src ", hash_source(style, pool),
                       look && look->template_parts ? " 'self'; font-src 'self'; img-src 'self'"
                       : look && look->logo ? "; img-src 'self'" : "",
                       kind == OKS_PAGE_SUBMIT ? apr_pstrcat(pool, "; script-src ", hash_source(submit, pool), NULL) : "",
                       kind == OKS_PAGE_PLAIN ? "; form-action 'self'" : "", "; base-uri 'none'; frame-ancestors 'none'", NULL);
}

void oks_flow_show(oks_answer_t *answer, const oks_request_t *request, oks_page_kind_t kind, const char *html, apr_pool_t *pool)
{
    answer->content_type = "text/html; charset=utf-8";
    answer->body = html;
    apr_table_setn(answer->headers, "Content-Security-Policy", policy(request, kind, pool));
}

/* ---- The frame: ours, or the administrator's ---- */

static const char *logo_of(const oks_request_t *request, apr_pool_t *pool)
{
    if (!request->look || !request->look->logo) return "";
    return apr_pstrcat(pool, "<img class=\"logo\" alt=\"\" src=\"", oks_html_escape(request->look->logo, pool), "\">\n", NULL);
}

/* `title` and `content` are HTML already. */
static const char *fill(const oks_request_t *request, const char *title, const char *content, apr_pool_t *pool)
{
    const apr_array_header_t *parts = request->look->template_parts;
    apr_array_header_t *out = apr_array_make(pool, parts->nelts, sizeof(const char *));
    for (int i = 0; i < parts->nelts; i++) {
        oks_span_t part = APR_ARRAY_IDX(parts, i, oks_span_t);
        APR_ARRAY_PUSH(out, const char *) =
            oks_span_eq_z(part, "{{title}}") ? title : oks_span_eq_z(part, "{{content}}") ? content
          : oks_span_eq_z(part, "{{logo}}") ? logo_of(request, pool)
          : oks_span_eq_z(part, "{{style}}") ? apr_pstrcat(pool, "<style>", style, "</style>", NULL) : oks_span_dup(part, pool);
    }
    return apr_array_pstrcat(pool, out, 0);
}

static const char *page(const oks_request_t *request, const char *title, const char *content, apr_pool_t *pool)
{
    content = apr_pstrcat(pool, "<h1>", title, "</h1>\n", content, "\n", NULL);
    if (request->look && request->look->template_parts) return fill(request, title, content, pool);
    return apr_pstrcat(pool, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>", title,
                       "</title><style>", style, "</style></head>\n<body><main>\n", logo_of(request, pool), content,
                       "</main></body></html>\n", NULL);
}

static bool is_placeholder(oks_span_t *found, oks_span_t text)
{
    static const char *const names[] = { "{{title}}", "{{content}}", "{{logo}}", "{{style}}" };
    for (apr_size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        *found = oks_span(text.ptr, strlen(names[i]));
        if (text.len >= found->len && memcmp(text.ptr, names[i], found->len) == 0) return true;
    }
    return false;
}

oks_err_t *oks_look_parse(const apr_array_header_t **parts, oks_span_t text, apr_pool_t *pool)
{
    apr_array_header_t *made = apr_array_make(pool, 8, sizeof(oks_span_t));
    int contents = 0, styles = 0;
    const char *start = text.ptr, *end = text.ptr + text.len;
    if (text.len > OKS_LOOK_TEMPLATE_MAX || !oks_utf8_ok(text))
        return oks_err(pool, OKS_R_FLOW_TEMPLATE_MALFORMED, "no UTF-8, or longer than %d bytes", OKS_LOOK_TEMPLATE_MAX);
    for (const char *p = start; p < end; p++) {
        oks_span_t found;
        if (*p != '{' || !is_placeholder(&found, oks_span(p, (apr_size_t)(end - p)))) continue;
        contents += oks_span_eq_z(found, "{{content}}");
        styles += oks_span_eq_z(found, "{{style}}");
        if (p > start) APR_ARRAY_PUSH(made, oks_span_t) = oks_span(start, (apr_size_t)(p - start));
        APR_ARRAY_PUSH(made, oks_span_t) = found;
        start = p + found.len;
        p = start - 1;
    }
    if (contents != 1 || styles > 1)
        return oks_err(pool, OKS_R_FLOW_TEMPLATE_MALFORMED, "{{content}} must stand there once, and {{style}} once at most");
    if (end > start) APR_ARRAY_PUSH(made, oks_span_t) = oks_span(start, (apr_size_t)(end - start));
    *parts = made;
    return NULL;
}

/* ---- Pages ---- */

static const char *link_button(const char *url, const char *label, apr_pool_t *pool)
{
    if (!url) return "";
    return apr_pstrcat(pool, "<p><a class=\"button\" href=\"", oks_html_escape(url, pool), "\">", label, "</a></p>\n", NULL);
}

#define WHO(text) "<p class=\"who\">" text "</p>\n"

static const char *who_html(oks_who_t who, int status)
{
    switch (who) {
    case OKS_WHO_OKTA_ADMIN: return WHO("If this goes on, the administrator of your organization's identity provider can help.");
    case OKS_WHO_SERVER_ADMIN: return WHO("The administrator of this server can help.");
    default: return status == 401 || status == 404 || status == 405 ? "" : WHO("You can try again.");
    }
}

static const char *again_label(oks_reason_t reason)
{
    return reason == OKS_R_HTTPD_REQUEST_DENIED ? "Sign out"
         : reason == OKS_R_FLOW_SESSION_NONE || reason == OKS_R_FLOW_ORG_UNKNOWN ||
           reason == OKS_R_BASE_RETURN_REFUSED ? "Sign in" : "Sign in again";
}

/* Where the account is what was refused: the identity provider brings the same one again, for as long as its session goes on. */
static const char *other_account(oks_reason_t reason)
{
    const bool refused = reason == OKS_R_DIRECTORY_USER_INACTIVE || reason == OKS_R_DIRECTORY_USER_UNKNOWN ||
                         reason == OKS_R_DIRECTORY_SUBJECT_CHANGED || reason == OKS_R_FLOW_EMAIL_DOMAIN ||
                         reason == OKS_R_FLOW_EMAIL_FOREIGN || reason == OKS_R_OIDC_ERROR_NOT_ASSIGNED;
    return refused ? "<p>To use another account, sign out at your identity provider first.</p>\n" : "";
}

/* Whatever else fails twice, cookies do not mend it. */
static const char *cookie_advice(const oks_err_t *err)
{
    const bool foreign = err->reason == OKS_R_FLOW_LOGIN_LOOP && err->cause && err->cause->reason == OKS_R_FLOW_STATE_FOREIGN;
    return foreign ? " Please check that cookies are allowed, then try again." : "";
}

static const char *title_of(int status)
{
    return status == 401 ? "Please sign in" : status == 404 ? "Not found" : status == 405 ? "Not this way"
         : status >= 500 ? "Sign-in is not possible right now" : "You could not be signed in";
}

/* What a GET may not open is the ACS alone: a page that was reloaded, or a link to it. */
static const char *sentence_of(const oks_request_t *request, oks_reason_t reason)
{
    return reason == OKS_R_FLOW_METHOD_REFUSED && strcmp(request->method, "GET") == 0
         ? "This address is a step of signing in and cannot be opened by itself." : oks_reason_info(reason)->visitor;
}

const char *oks_flow_refusal_page(const oks_request_t *request, const oks_err_t *err, const char *again_url,
                                  apr_pool_t *pool)
{
    const oks_reason_info_t *info = oks_reason_info(err->reason);
    const char *title = err->reason == OKS_R_HTTPD_REQUEST_DENIED ? "You may not see this page" : title_of(info->http_status);
    const char *content = apr_pstrcat(
        pool, "<p>", oks_html_escape(sentence_of(request, err->reason), pool), cookie_advice(err), "</p>\n",
        who_html(info->who, info->http_status), again_url ? other_account(err->reason) : "",
        link_button(again_url, again_label(err->reason), pool), "<dl>",
        err->reason == OKS_R_FLOW_ATTRIBUTE_MISSING ? apr_pstrcat(pool, "<dt>Missing</dt><dd>", oks_html_escape(err->detail, pool),
                                                                  "</dd>", NULL) : "", "<dt>Reason</dt><dd>", info->code,
        "</dd><dt>Request</dt><dd>", oks_html_escape(request->id, pool), "</dd><dt>Time</dt><dd>",
        oks_time_format(request->now, pool), "</dd></dl>", NULL);
    return page(request, title, content, pool);
}

const char *oks_flow_notice_page(const oks_request_t *request, const char *heading, const char *sentence, const char *link,
                                 const char *label, apr_pool_t *pool)
{
    const char *content = apr_pstrcat(pool, "<p>", oks_html_escape(sentence, pool), "</p>\n",
                                      link_button(link, label, pool), NULL);
    return page(request, oks_html_escape(heading, pool), content, pool);
}

static const char *hidden(const char *name, const char *value, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "<input type=\"hidden\" name=\"", name, "\" value=\"", oks_html_escape(value, pool), "\">\n",
                       NULL);
}

const char *oks_flow_post_page(const oks_request_t *request, const char *destination, const char *saml_request,
                               const char *relay_state, apr_pool_t *pool)
{
    const char *content = apr_pstrcat(
        pool, "<p>You are being sent to your organization's sign-in page.</p>\n<form method=\"post\" action=\"",
        oks_html_escape(destination, pool), "\">\n", hidden("SAMLRequest", saml_request, pool),
        hidden("RelayState", relay_state, pool),
        "<button class=\"button\">Continue</button>\n</form>\n<script>", submit, "</script>", NULL);
    return page(request, "Signing in", content, pool);
}

/* Four texts make an input. */
static const char *input(const char *const four[4], bool first, const char *error_id, apr_pool_t *pool)
{
    bool secret = strcmp(four[0], "password") == 0;
    return apr_pstrcat(pool, "<label for=\"", four[0], "\">", oks_html_escape(four[1], pool), "</label>\n<input id=\"", four[0],
                       "\" name=\"", four[0], "\" type=\"", secret ? "password" : "text", "\" value=\"",
                       oks_html_escape(four[2], pool), "\" autocomplete=\"", four[3], "\" autocapitalize=\"none\" "
                       "spellcheck=\"false\" maxlength=\"",
                       secret ? APR_STRINGIFY(OKS_FLOW_PASSWORD_MAX) : APR_STRINGIFY(OKS_PAGE_INPUT_MAX), "\" required",
                       first ? " autofocus" : "", error_id, ">\n", NULL);
}

const char *oks_flow_form_page(const oks_request_t *request, const oks_page_form_t *form, apr_pool_t *pool)
{
    const char *error_id = form->error ? " aria-invalid=\"true\" aria-describedby=\"error\"" : "";
    const char *html = form->error ? apr_pstrcat(pool, "<p class=\"error\" id=\"error\" role=\"alert\">",
                                                 oks_html_escape(form->error, pool), "</p>\n", NULL) : "";
    html = apr_pstrcat(pool, html, "<form method=\"post\" action=\"", oks_html_escape(form->action, pool), "\">\n", NULL);
    for (const char *const *pair = form->hidden; pair && *pair; pair += 2)
        html = apr_pstrcat(pool, html, hidden(pair[0], pair[1], pool), NULL);
    for (const char *const *four = form->inputs; four && *four; four += 4)
        html = apr_pstrcat(pool, html, input(four, four == form->inputs, error_id, pool), NULL);
    html = apr_pstrcat(pool, html, "<button class=\"button\">", oks_html_escape(form->submit, pool), "</button>\n</form>\n", NULL);
    if (form->other_url)
        html = apr_pstrcat(pool, html, "<p class=\"other\"><a href=\"", oks_html_escape(form->other_url, pool), "\">",
                           oks_html_escape(form->other_label, pool), "</a></p>\n", NULL);
    if (form->note) html = apr_pstrcat(pool, html, "<p class=\"who\">", oks_html_escape(form->note, pool), "</p>\n", NULL);
    return page(request, oks_html_escape(form->heading, pool), html, pool);
}
