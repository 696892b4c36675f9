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
    "font-family:ui-monospace,Menlo,Consolas,monospace}";

/* The one script, of the one page that posts itself. */
static const char submit[] = "document.forms[0].submit()";

static const char *hash_source(const char *text, apr_pool_t *pool)
{
    unsigned char digest[OKS_SHA256_LEN];
    oks_sha256(digest, oks_span_z(text));
    return apr_pstrcat(pool, "'sha256-", oks_base64_encode(oks_span((char *)digest, sizeof digest), pool), "'", NULL);
}

const char *oks_flow_page_policy(apr_pool_t *pool)
{
    return apr_pstrcat(pool, "default-src 'none'; style-src ", hash_source(style, pool),
                       "; form-action 'self'; base-uri 'none'; frame-ancestors 'none'", NULL);
}

/* No form-action: browsers hold it against the redirects that follow at the identity provider, too. */
const char *oks_flow_post_page_policy(apr_pool_t *pool)
{
    return apr_pstrcat(pool, "default-src 'none'; style-src ", hash_source(style, pool), "; script-src ",
                       hash_source(submit, pool), "; base-uri 'none'; frame-ancestors 'none'", NULL);
}

/* `title` and `content` are HTML already. */
static const char *page(const char *title, const char *content, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>", title,
                       "</title><style>", style, "</style></head>\n<body><main>\n<h1>", title, "</h1>\n", content,
                       "\n</main></body></html>\n", NULL);
}

static const char *link_button(const char *url, const char *label, apr_pool_t *pool)
{
    if (!url) return "";
    return apr_pstrcat(pool, "<p><a class=\"button\" href=\"", oks_html_escape(url, pool), "\">", label, "</a></p>\n", NULL);
}

static const char *who_text(oks_who_t who)
{
    switch (who) {
    case OKS_WHO_OKTA_ADMIN: return "If this goes on, the administrator of your organization's identity provider can help.";
    case OKS_WHO_SERVER_ADMIN: return "The administrator of this server can help.";
    default: return "You can try again.";
    }
}

static const char *title_of(int status)
{
    return status == 401 ? "Please sign in" : status == 404 ? "Not found" : status == 405 ? "Not this way"
         : status >= 500 ? "Sign-in is not possible right now" : "You could not be signed in";
}

const char *oks_flow_refusal_page(const oks_request_t *request, const oks_err_t *err, const char *again_url,
                                  apr_pool_t *pool)
{
    const oks_reason_info_t *info = oks_reason_info(err->reason);
    const char *title = err->reason == OKS_R_HTTPD_REQUEST_DENIED ? "You may not see this page" : title_of(info->http_status);
    const char *content = apr_pstrcat(
        pool, "<p>", oks_html_escape(info->visitor, pool), "</p>\n<p class=\"who\">", who_text(info->who), "</p>\n",
        link_button(again_url, "Sign in again", pool), "<dl>",
        err->reason == OKS_R_FLOW_ATTRIBUTE_MISSING ? apr_pstrcat(pool, "<dt>Missing</dt><dd>", oks_html_escape(err->detail, pool),
                                                                  "</dd>", NULL) : "", "<dt>Reason</dt><dd>", info->code,
        "</dd><dt>Request</dt><dd>", oks_html_escape(request->id, pool), "</dd><dt>Time</dt><dd>",
        oks_time_format(request->now, pool), "</dd></dl>", NULL);
    return page(title, content, pool);
}

const char *oks_flow_notice_page(const char *heading, const char *sentence, const char *link, const char *label,
                                 apr_pool_t *pool)
{
    const char *content = apr_pstrcat(pool, "<p>", oks_html_escape(sentence, pool), "</p>\n",
                                      link_button(link, label, pool), NULL);
    return page(oks_html_escape(heading, pool), content, pool);
}

static const char *hidden(const char *name, const char *value, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "<input type=\"hidden\" name=\"", name, "\" value=\"", oks_html_escape(value, pool), "\">\n",
                       NULL);
}

const char *oks_flow_post_page(const char *destination, const char *saml_request, const char *relay_state, apr_pool_t *pool)
{
    const char *content = apr_pstrcat(
        pool, "<p>You are being sent to your organization's sign-in page.</p>\n<form method=\"post\" action=\"",
        oks_html_escape(destination, pool), "\">\n", hidden("SAMLRequest", saml_request, pool),
        hidden("RelayState", relay_state, pool),
        "<button class=\"button\">Continue</button>\n</form>\n<script>", submit, "</script>", NULL);
    return page("Signing in", content, pool);
}
