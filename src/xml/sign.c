/* Signing a message of our own: enveloped, exclusive canonicalization, RSA-SHA256 (SAML Core 5.4). */
#include <apr_strings.h>
#include <xmlsec/templates.h>
#include <xmlsec/transforms.h>
#include <xmlsec/openssl/crypto.h>

#include "xml_private.h"

/* The empty Signature, after Issuer, as the schema wants it; NULL when there is none, or memory is out. */
static xmlNode *add_template(xmlDocPtr doc, const char *id, apr_pool_t *pool)
{
    xmlNode *issuer = oks_xml_first_element(xmlDocGetRootElement(doc));
    const char *uri = apr_pstrcat(pool, "#", id, NULL);
    xmlNode *signature = issuer ? xmlSecTmplSignatureCreateNsPref(doc, xmlSecTransformExclC14NId, xmlSecOpenSSLTransformRsaSha256Id,
                                                                  NULL, (const xmlChar *)"ds") : NULL;
    if (!signature) return NULL;
    xmlAddNextSibling(issuer, signature);
    xmlNode *reference = xmlSecTmplSignatureAddReference(signature, xmlSecOpenSSLTransformSha256Id, NULL, (const xmlChar *)uri,
                                                         NULL);
    return reference && xmlSecTmplReferenceAddTransform(reference, xmlSecTransformEnvelopedId) &&
           xmlSecTmplReferenceAddTransform(reference, xmlSecTransformExclC14NId) ? signature : NULL;
}

oks_err_t *oks_xml_sign(oks_span_t *text, oks_span_t xml, const oks_keypair_t *key, apr_pool_t *pool)
{
    xmlDocPtr doc;
    xmlChar *bytes = NULL;
    int len = 0;
    OKS_TRY(oks_xml_parse(&doc, xml, xml.len, pool));
    xmlNode *root = xmlDocGetRootElement(doc);
    const char *id = oks_xml_attribute(root, "ID", pool);
    if (!id) return oks_err(pool, OKS_R_XML_ID_MALFORMED, "the element to sign has no ID");
    if (!xmlGetID(doc, (const xmlChar *)id))
        xmlAddID(NULL, doc, (const xmlChar *)id, xmlHasNsProp(root, (const xmlChar *)"ID", NULL));
    xmlNode *signature = add_template(doc, id, pool);
    xmlSecDSigCtxPtr ctx = signature ? xmlSecDSigCtxCreate(NULL) : NULL;
    bool ok = ctx && oks_xml_pin_key(ctx, key->pkey) && xmlSecDSigCtxSign(ctx, signature) >= 0 &&
              ctx->status == xmlSecDSigStatusSucceeded;
    if (ctx) xmlSecDSigCtxDestroy(ctx);
    if (ok) xmlDocDumpMemory(doc, &bytes, &len);
    if (!bytes) return oks_err(pool, OKS_R_INTERNAL, "signing failed");
    *text = oks_span(apr_pstrmemdup(pool, (const char *)bytes, (apr_size_t)len), (apr_size_t)len);
    xmlFree(bytes);
    return NULL;
}
