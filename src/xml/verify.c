/* Signature verification: our own look at the structure first, then xmlsec1 with a pinned key (SECURITY.md 16, 17). */
#include <string.h>

#include <apr_strings.h>
#include <openssl/evp.h>
#include <xmlsec/xmlsec.h>
#include <xmlsec/errors.h>
#include <xmlsec/transforms.h>
#include <xmlsec/xmldsig.h>
#include <xmlsec/openssl/crypto.h>
#include <xmlsec/openssl/evp.h>

#include "oktasso/xml.h"

#define DSIG "http://www.w3.org/2000/09/xmldsig#"
#define EXC_C14N "http://www.w3.org/2001/10/xml-exc-c14n#"
#define ENVELOPED DSIG "enveloped-signature"
#define DSIG_MORE "http://www.w3.org/2001/04/xmldsig-more#"
#define XMLENC "http://www.w3.org/2001/04/xmlenc#"

static const char *const signature_algorithms[] = {
    DSIG_MORE "rsa-sha256", DSIG_MORE "rsa-sha384", DSIG_MORE "rsa-sha512",
    DSIG_MORE "ecdsa-sha256", DSIG_MORE "ecdsa-sha384", DSIG_MORE "ecdsa-sha512", NULL
};
static const char *const digest_algorithms[] = { XMLENC "sha256", DSIG_MORE "sha384", XMLENC "sha512", NULL };

oks_err_t *oks_xml_init(apr_pool_t *pool)
{
    /* Another module may have been here before: a second xmlSecInit would empty its list of algorithms. */
    xmlSecPtrListPtr known = xmlSecTransformIdsGet();
    if (known->id && xmlSecTransformIdListFindByHref(known, (const xmlChar *)signature_algorithms[0],
                                                     xmlSecTransformUsageAny) != xmlSecTransformIdUnknown) return NULL;
    xmlInitParser();
    if (xmlSecInit() < 0 || xmlSecOpenSSLInit() < 0) return oks_err(pool, OKS_R_INTERNAL, "xmlsec1 cannot be initialised");
    xmlSecErrorsDefaultCallbackEnableOutput(0); /* its messages would go to stderr; ours are in the verdict line */
    return NULL;
}

/* ---- Our own look ---- */

static const char *algorithm(const xmlNode *node, apr_pool_t *pool)
{
    const char *name = oks_xml_attribute(node, "Algorithm", pool);
    return name ? name : "";
}

static bool listed(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0) return true;
    return false;
}

static oks_err_t *malformed(apr_pool_t *pool, const char *what)
{
    return oks_err(pool, OKS_R_XML_SIGNATURE_MALFORMED, "%s", what);
}

/* The next element must be this one; *node moves past it. */
static oks_err_t *expect(xmlNode **found, xmlNode **node, const char *name, apr_pool_t *pool)
{
    if (!oks_xml_is(*node, DSIG, name)) return malformed(pool, apr_psprintf(pool, "%s is missing or misplaced", name));
    *found = *node;
    *node = oks_xml_next_element(*node);
    return NULL;
}

/* What exclusive canonicalization may hold: one InclusiveNamespaces, as Okta sends it (OKTA.md B.1.4). */
static bool c14n_content_ok(const xmlNode *node, apr_pool_t *pool)
{
    const xmlNode *list = oks_xml_first_element(node);
    if (!list) return true;
    const char *prefixes = oks_xml_attribute(list, "PrefixList", pool);
    return oks_xml_is(list, EXC_C14N, "InclusiveNamespaces") && !list->children && !oks_xml_next_element(list) &&
           prefixes && strlen(prefixes) <= OKS_XML_PREFIX_LIST_MAX;
}

/* enveloped-signature, then exclusive canonicalization: both, once, in this order. */
static oks_err_t *check_transforms(const xmlNode *transforms, apr_pool_t *pool)
{
    static const char *const wanted[] = { ENVELOPED, EXC_C14N };
    int count = 0;
    for (xmlNode *node = oks_xml_first_element(transforms); node; node = oks_xml_next_element(node), count++) {
        const char *name = algorithm(node, pool);
        if (!oks_xml_is(node, DSIG, "Transform") || count > 1 || strcmp(name, wanted[count]) != 0)
            return oks_err(pool, OKS_R_XML_SIGNATURE_TRANSFORM, "\"%s\"", oks_log_escape(oks_span_z(name), 120, pool));
        if (count == 0 ? oks_xml_first_element(node) != NULL : !c14n_content_ok(node, pool))
            return oks_err(pool, OKS_R_XML_SIGNATURE_TRANSFORM, "content in a Transform");
    }
    if (count != 2) return oks_err(pool, OKS_R_XML_SIGNATURE_TRANSFORM, "%d of 2 transforms", count);
    return NULL;
}

static oks_err_t *check_reference(const xmlNode *reference, const char *id, apr_pool_t *pool)
{
    xmlNode *node = oks_xml_first_element(reference), *transforms, *method, *value;
    const char *uri = oks_xml_attribute(reference, "URI", pool);
    if (!uri || uri[0] != '#' || strcmp(uri + 1, id) != 0)
        return oks_err(pool, OKS_R_XML_SIGNATURE_REFERENCE, "URI \"%s\" is not the parent's ID",
                       oks_log_escape(oks_span_z(uri), 80, pool));
    OKS_TRY(expect(&transforms, &node, "Transforms", pool));
    OKS_TRY(check_transforms(transforms, pool));
    OKS_TRY(expect(&method, &node, "DigestMethod", pool));
    if (!listed(algorithm(method, pool), digest_algorithms))
        return oks_err(pool, OKS_R_XML_SIGNATURE_ALGORITHM, "digest \"%s\"",
                       oks_log_escape(oks_span_z(algorithm(method, pool)), 120, pool));
    OKS_TRY(expect(&value, &node, "DigestValue", pool));
    return node ? malformed(pool, "more than a DigestValue in Reference") : NULL;
}

static oks_err_t *check_signed_info(const xmlNode *info, const char *id, apr_pool_t *pool)
{
    xmlNode *node = oks_xml_first_element(info), *method, *reference;
    OKS_TRY(expect(&method, &node, "CanonicalizationMethod", pool));
    if (strcmp(algorithm(method, pool), EXC_C14N) != 0)
        return oks_err(pool, OKS_R_XML_SIGNATURE_ALGORITHM, "canonicalization \"%s\"",
                       oks_log_escape(oks_span_z(algorithm(method, pool)), 120, pool));
    if (!c14n_content_ok(method, pool))
        return oks_err(pool, OKS_R_XML_SIGNATURE_TRANSFORM, "content in CanonicalizationMethod");
    OKS_TRY(expect(&method, &node, "SignatureMethod", pool));
    if (!listed(algorithm(method, pool), signature_algorithms))
        return oks_err(pool, OKS_R_XML_SIGNATURE_ALGORITHM, "signature \"%s\"",
                       oks_log_escape(oks_span_z(algorithm(method, pool)), 120, pool));
    if (oks_xml_children(&reference, info, DSIG, "Reference") != 1)
        return oks_err(pool, OKS_R_XML_SIGNATURE_REFERENCE, "not exactly one Reference");
    OKS_TRY(expect(&reference, &node, "Reference", pool));
    if (node) return malformed(pool, "more than a Reference in SignedInfo");
    return check_reference(reference, id, pool);
}

static oks_err_t *check_signature(const xmlNode *signature, const char *id, apr_pool_t *pool)
{
    xmlNode *node = oks_xml_first_element(signature), *info, *value;
    OKS_TRY(expect(&info, &node, "SignedInfo", pool));
    OKS_TRY(expect(&value, &node, "SignatureValue", pool));
    if (oks_xml_is(node, DSIG, "KeyInfo")) node = oks_xml_next_element(node); /* never a key (SECURITY.md 17) */
    if (node) return malformed(pool, "an element that SAML does not use after SignatureValue");
    return check_signed_info(info, id, pool);
}

/* ---- xmlsec1 ---- */

/* The allow-lists once more: an empty list would mean "all". */
static bool restrict_transforms(xmlSecDSigCtxPtr ctx)
{
    return xmlSecDSigCtxEnableReferenceTransform(ctx, xmlSecTransformEnvelopedId) == 0 &&
           xmlSecDSigCtxEnableReferenceTransform(ctx, xmlSecTransformExclC14NId) == 0 &&
           xmlSecDSigCtxEnableReferenceTransform(ctx, xmlSecOpenSSLTransformSha256Id) == 0 &&
           xmlSecDSigCtxEnableReferenceTransform(ctx, xmlSecOpenSSLTransformSha384Id) == 0 &&
           xmlSecDSigCtxEnableReferenceTransform(ctx, xmlSecOpenSSLTransformSha512Id) == 0 &&
           xmlSecDSigCtxEnableSignatureTransform(ctx, xmlSecTransformExclC14NId) == 0 &&
           xmlSecDSigCtxEnableSignatureTransform(ctx, xmlSecOpenSSLTransformRsaSha256Id) == 0 &&
           xmlSecDSigCtxEnableSignatureTransform(ctx, xmlSecOpenSSLTransformRsaSha384Id) == 0 &&
           xmlSecDSigCtxEnableSignatureTransform(ctx, xmlSecOpenSSLTransformRsaSha512Id) == 0 &&
           xmlSecDSigCtxEnableSignatureTransform(ctx, xmlSecOpenSSLTransformEcdsaSha256Id) == 0 &&
           xmlSecDSigCtxEnableSignatureTransform(ctx, xmlSecOpenSSLTransformEcdsaSha384Id) == 0 &&
           xmlSecDSigCtxEnableSignatureTransform(ctx, xmlSecOpenSSLTransformEcdsaSha512Id) == 0;
}

static bool pin_key(xmlSecDSigCtxPtr ctx, const oks_cert_t *cert)
{
    EVP_PKEY *pkey = cert->pkey;
    EVP_PKEY_up_ref(pkey);
    xmlSecKeyDataPtr data = xmlSecOpenSSLEvpKeyAdopt(pkey);
    if (!data) {
        EVP_PKEY_free(pkey);
        return false;
    }
    ctx->signKey = xmlSecKeyCreate();
    if (ctx->signKey && xmlSecKeySetValue(ctx->signKey, data) == 0) return true;
    xmlSecKeyDataDestroy(data);
    return false;
}

static bool copy_signed(oks_span_t *bytes, xmlSecDSigCtxPtr ctx, apr_pool_t *pool)
{
    if (xmlSecPtrListGetSize(&ctx->signedInfoReferences) != 1) return false;
    xmlSecDSigReferenceCtxPtr reference = xmlSecPtrListGetItem(&ctx->signedInfoReferences, 0);
    xmlSecBufferPtr buffer = reference ? xmlSecDSigReferenceCtxGetPreDigestBuffer(reference) : NULL;
    if (!buffer || !xmlSecBufferGetSize(buffer)) return false;
    *bytes = oks_span(apr_pmemdup(pool, xmlSecBufferGetData(buffer), xmlSecBufferGetSize(buffer)),
                      xmlSecBufferGetSize(buffer));
    return true;
}

static bool verify_with(oks_span_t *bytes, xmlNode *signature, const oks_cert_t *cert, apr_pool_t *pool)
{
    xmlSecDSigCtxPtr ctx = xmlSecDSigCtxCreate(NULL);
    if (!ctx) return false;
    ctx->flags = XMLSEC_DSIG_FLAGS_IGNORE_MANIFESTS | XMLSEC_DSIG_FLAGS_STORE_SIGNEDINFO_REFERENCES;
    ctx->enabledReferenceUris = xmlSecTransformUriTypeSameDocument;
    bool ok = restrict_transforms(ctx) && pin_key(ctx, cert) && xmlSecDSigCtxVerify(ctx, signature) >= 0 &&
              ctx->status == xmlSecDSigStatusSucceeded && copy_signed(bytes, ctx, pool);
    xmlSecDSigCtxDestroy(ctx);
    return ok;
}

oks_err_t *oks_xml_verify(oks_span_t *signed_bytes, xmlNode *element, const apr_array_header_t *certs, apr_pool_t *pool)
{
    xmlNode *signature;
    xmlAttr *attr = xmlHasNsProp(element, (const xmlChar *)"ID", NULL);
    const char *id = oks_xml_attribute(element, "ID", pool);
    if (!attr || !id) return oks_err(pool, OKS_R_XML_ID_MALFORMED, "the signed element has no ID");
    if (oks_xml_children(&signature, element, DSIG, "Signature") != 1)
        return oks_err(pool, OKS_R_XML_SIGNATURE_MISPLACED, "not exactly one Signature in the element");
    OKS_TRY(check_signature(signature, id, pool));
    /* The only ID that xmlsec1 can resolve is this one. */
    if (!xmlGetID(element->doc, (const xmlChar *)id)) xmlAddID(NULL, element->doc, (const xmlChar *)id, attr);
    if (xmlGetID(element->doc, (const xmlChar *)id) != attr)
        return oks_err(pool, OKS_R_XML_ID_DUPLICATE, "the ID leads to another element");
    for (int i = 0; i < certs->nelts; i++)
        if (verify_with(signed_bytes, signature, APR_ARRAY_IDX(certs, i, oks_cert_t *), pool)) return NULL;
    return oks_err(pool, OKS_R_XML_SIGNATURE_INVALID, "none of %d certificates verifies it", certs->nelts);
}
