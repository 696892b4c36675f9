/* AuthnRequest by HTTP-Redirect and by HTTP-POST (SAML Core 3.4.1, Bindings 3.4.4 and 3.5.4). */
#include <string.h>

#include <apr_strings.h>
#define ZLIB_CONST /* what is read is const */
#include <zlib.h>

#include "saml_private.h"

#define RSA_SHA256 "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"

static oks_err_t *deflate_raw(oks_span_t *out, oks_span_t in, apr_pool_t *pool)
{
    z_stream stream;
    memset(&stream, 0, sizeof stream);
    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return oks_err(pool, OKS_R_INTERNAL, "out of memory for DEFLATE");
    uLong size = deflateBound(&stream, (uLong)in.len);
    unsigned char *bytes = apr_palloc(pool, size);
    stream.next_in = (const unsigned char *)in.ptr;
    stream.avail_in = (uInt)in.len;
    stream.next_out = bytes;
    stream.avail_out = (uInt)size;
    int status = deflate(&stream, Z_FINISH);
    *out = oks_span((char *)bytes, stream.total_out);
    deflateEnd(&stream);
    return status == Z_STREAM_END ? NULL : oks_err(pool, OKS_R_INTERNAL, "DEFLATE failed");
}

/* SAML Core 3.4.1.1. Only by setting: Okta wants it equal to the application's, or absent (OKTA.md B.1.3). */
static const char *name_id_policy(const oks_saml_authn_request_t *request, apr_pool_t *pool)
{
    if (!request->name_id_format) return "";
    return apr_pstrcat(pool, "<samlp:NameIDPolicy Format=\"", oks_html_escape(request->name_id_format, pool),
                       "\" AllowCreate=\"true\"/>", NULL);
}

/* SAML Core 3.3.2.2.1 */
static const char *requested_context(const oks_saml_authn_request_t *request, apr_pool_t *pool)
{
    const char *refs = "";
    if (!request->authn_contexts) return "";
    for (const char *const *uri = request->authn_contexts; *uri; uri++)
        refs = apr_pstrcat(pool, refs, "<saml:AuthnContextClassRef>", oks_html_escape(*uri, pool), "</saml:AuthnContextClassRef>",
                           NULL);
    return apr_pstrcat(pool, "<samlp:RequestedAuthnContext Comparison=\"exact\">", refs, "</samlp:RequestedAuthnContext>", NULL);
}

static const char *authn_request(const oks_saml_authn_request_t *request, apr_pool_t *pool)
{
    return apr_pstrcat(
        pool, "<samlp:AuthnRequest xmlns:samlp=\"" OKS_NS_PROTOCOL "\" xmlns:saml=\"" OKS_NS_ASSERTION "\" ID=\"", request->id,
        "\" Version=\"2.0\" IssueInstant=\"", oks_time_format(request->issue_instant, pool), "\" Destination=\"",
        oks_html_escape(request->destination, pool), "\" ProtocolBinding=\"" OKS_BINDING_POST
        "\" AssertionConsumerServiceURL=\"", oks_html_escape(request->acs_url, pool),
        request->force_authn ? "\" ForceAuthn=\"true\">" : "\">", "<saml:Issuer>", oks_html_escape(request->issuer, pool),
        "</saml:Issuer>", name_id_policy(request, pool), requested_context(request, pool), "</samlp:AuthnRequest>", NULL);
}

oks_err_t *oks_saml_authn_request_url(const char **url, const oks_saml_authn_request_t *request,
                                      const char *relay_state, apr_pool_t *pool)
{
    oks_span_t deflated;
    const char *xml = authn_request(request, pool);
    OKS_TRY(deflate_raw(&deflated, oks_span_z(xml), pool));
    const char *query = apr_pstrcat(pool, "SAMLRequest=", oks_url_encode(oks_base64_encode(deflated, pool), pool), "&RelayState=",
                                    oks_url_encode(relay_state, pool), NULL);
    if (request->key) {
        oks_span_t signature;
        query = apr_pstrcat(pool, query, "&SigAlg=", oks_url_encode(RSA_SHA256, pool), NULL);
        OKS_TRY(oks_sign_rsa_sha256(&signature, request->key, oks_span_z(query), pool));
        query = apr_pstrcat(pool, query, "&Signature=", oks_url_encode(oks_base64_encode(signature, pool), pool), NULL);
    }
    *url = apr_pstrcat(pool, request->destination, strchr(request->destination, '?') ? "&" : "?", query, NULL);
    return NULL;
}

oks_err_t *oks_saml_authn_request_form(const char **value, const oks_saml_authn_request_t *request, apr_pool_t *pool)
{
    oks_span_t xml = oks_span_z(authn_request(request, pool));
    if (request->key) OKS_TRY(oks_xml_sign(&xml, xml, request->key, pool));
    *value = oks_base64_encode(xml, pool);
    return NULL;
}
