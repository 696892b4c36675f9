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

#include "xml_private.h"

#define EXC_C14N "http://www.w3.org/2001/10/xml-exc-c14n#"
#define ENVELOPED DSIG "enveloped-signature"
#define DSIG_MORE "http://www.w3.org/2001/04/xmldsig-more#"

typedef struct algorithm_t {
    const char *uri;
    unsigned bits; /* allowed when the set has one of these */
    xmlSecTransformId (*transform)(void);
} algorithm_t;

static const algorithm_t signature_algorithms[] = {
    { DSIG_MORE "rsa-sha256", OKS_XML_RSA_SHA256, xmlSecOpenSSLTransformRsaSha256GetKlass },
    { DSIG_MORE "rsa-sha384", OKS_XML_RSA_SHA384, xmlSecOpenSSLTransformRsaSha384GetKlass },
    { DSIG_MORE "rsa-sha512", OKS_XML_RSA_SHA512, xmlSecOpenSSLTransformRsaSha512GetKlass },
    { DSIG_MORE "ecdsa-sha256", OKS_XML_ECDSA_SHA256, xmlSecOpenSSLTransformEcdsaSha256GetKlass },
    { DSIG_MORE "ecdsa-sha384", OKS_XML_ECDSA_SHA384, xmlSecOpenSSLTransformEcdsaSha384GetKlass },
    { DSIG_MORE "ecdsa-sha512", OKS_XML_ECDSA_SHA512, xmlSecOpenSSLTransformEcdsaSha512GetKlass },
    { DSIG_2007 "sha256-rsa-MGF1", OKS_XML_PSS_SHA256, oks_xml_pss_sha256 },
    { DSIG_2007 "sha384-rsa-MGF1", OKS_XML_PSS_SHA384, oks_xml_pss_sha384 },
    { DSIG_2007 "sha512-rsa-MGF1", OKS_XML_PSS_SHA512, oks_xml_pss_sha512 },
    { DSIG "rsa-sha1", OKS_XML_RSA_SHA1, xmlSecOpenSSLTransformRsaSha1GetKlass },
    { NULL, 0, NULL }
};
/* Any SHA-2 digest beside any signature; SHA-1 only where SHA-1 is allowed. */
static const algorithm_t digest_algorithms[] = {
    { XMLENC "sha256", ~0U, xmlSecOpenSSLTransformSha256GetKlass },
    { DSIG_MORE "sha384", ~0U, xmlSecOpenSSLTransformSha384GetKlass },
    { XMLENC "sha512", ~0U, xmlSecOpenSSLTransformSha512GetKlass },
    { DSIG "sha1", OKS_XML_RSA_SHA1, xmlSecOpenSSLTransformSha1GetKlass },
    { NULL, 0, NULL }
};

unsigned oks_xml_algorithm(const char *name)
{
    for (const algorithm_t *row = signature_algorithms; row->uri; row++)
        if (strcmp(strchr(row->uri, '#') + 1, name) == 0) return row->bits;
    return 0;
}

static bool known(const char *uri)
{
    const xmlChar *href = (const xmlChar *)uri;
    xmlSecPtrListPtr list = xmlSecTransformIdsGet();
    return list->id && xmlSecTransformIdListFindByHref(list, href, xmlSecTransformUsageAny) != xmlSecTransformIdUnknown;
}

oks_err_t *oks_xml_init(apr_pool_t *pool)
{
    /* Another module may have been here before: a second xmlSecInit would empty its list of algorithms. */
    if (!known(signature_algorithms[0].uri)) {
        xmlInitParser();
        if (xmlSecInit() < 0 || xmlSecOpenSSLInit() < 0) return oks_err(pool, OKS_R_INTERNAL, "xmlsec1 cannot be initialised");
        xmlSecErrorsDefaultCallbackEnableOutput(0); /* its messages would go to stderr; ours are in the verdict line */
    }
    for (const algorithm_t *row = signature_algorithms; row->uri; row++) /* RSA-PSS, which it has not */
        if (!known(row->uri) && xmlSecTransformIdsRegister(row->transform()) < 0)
            return oks_err(pool, OKS_R_INTERNAL, "xmlsec1 cannot learn %s", row->uri);
    return NULL;
}

/* ---- Our own look ---- */

const char *oks_xml_method(const xmlNode *node, apr_pool_t *pool)
{
    const char *name = node ? oks_xml_attribute(node, "Algorithm", pool) : NULL;
    return name ? name : "";
}

static bool listed(const char *name, const algorithm_t *row, unsigned allowed)
{
    for (; row->uri; row++)
        if (strcmp(name, row->uri) == 0) return (row->bits & allowed) != 0;
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

static int count_elements(const xmlNode *node)
{
    int count = 1;
    for (node = oks_xml_first_element(node); node; node = oks_xml_next_element(node)) count += count_elements(node);
    return count;
}

/* As xmlsec1 counts: between two blanks there is a prefix, of no letters even. */
static bool prefixes_ok(const char *list, const xmlDoc *doc)
{
    int count = 1;
    if (strlen(list) > OKS_XML_PREFIX_LIST_MAX) return false;
    for (; *list; list++) count += strchr(" \t\r\n", *list) != NULL;
    return count <= OKS_XML_PREFIXES_MAX && count * count_elements(xmlDocGetRootElement(doc)) <= OKS_XML_LOOKUPS_MAX;
}

/* What exclusive canonicalization may hold: one InclusiveNamespaces, as Okta sends it (OKTA.md B.1.4). */
static bool c14n_content_ok(const xmlNode *node, apr_pool_t *pool)
{
    const xmlNode *list = oks_xml_first_element(node);
    if (!list) return true;
    const char *prefixes = oks_xml_attribute(list, "PrefixList", pool);
    return oks_xml_is(list, EXC_C14N, "InclusiveNamespaces") && !list->children && !oks_xml_next_element(list) &&
           prefixes && prefixes_ok(prefixes, node->doc);
}

/* enveloped-signature, then exclusive canonicalization: both, once, in this order. */
static oks_err_t *check_transforms(const xmlNode *transforms, apr_pool_t *pool)
{
    static const char *const wanted[] = { ENVELOPED, EXC_C14N };
    int count = 0;
    for (xmlNode *node = oks_xml_first_element(transforms); node; node = oks_xml_next_element(node), count++) {
        const char *name = oks_xml_method(node, pool);
        if (!oks_xml_is(node, DSIG, "Transform") || count > 1 || strcmp(name, wanted[count]) != 0)
            return oks_err(pool, OKS_R_XML_SIGNATURE_TRANSFORM, "\"%s\"", oks_log_escape(oks_span_z(name), 120, pool));
        if (count == 0 ? oks_xml_first_element(node) != NULL : !c14n_content_ok(node, pool))
            return oks_err(pool, OKS_R_XML_SIGNATURE_TRANSFORM, "content in a Transform");
    }
    if (count != 2) return oks_err(pool, OKS_R_XML_SIGNATURE_TRANSFORM, "%d of 2 transforms", count);
    return NULL;
}

static oks_err_t *check_reference(const xmlNode *reference, const char *id, unsigned allowed, apr_pool_t *pool)
{
    xmlNode *node = oks_xml_first_element(reference), *transforms, *method, *value;
    const char *uri = oks_xml_attribute(reference, "URI", pool);
    if (!uri || uri[0] != '#' || strcmp(uri + 1, id) != 0)
        return oks_err(pool, OKS_R_XML_SIGNATURE_REFERENCE, "URI \"%s\" is not the parent's ID",
                       oks_log_escape(oks_span_z(uri), 80, pool));
    OKS_TRY(expect(&transforms, &node, "Transforms", pool));
    OKS_TRY(check_transforms(transforms, pool));
    OKS_TRY(expect(&method, &node, "DigestMethod", pool));
    if (!listed(oks_xml_method(method, pool), digest_algorithms, allowed))
        return oks_err(pool, OKS_R_XML_SIGNATURE_ALGORITHM, "digest \"%s\"",
                       oks_log_escape(oks_span_z(oks_xml_method(method, pool)), 120, pool));
    OKS_TRY(expect(&value, &node, "DigestValue", pool));
    return node ? malformed(pool, "more than a DigestValue in Reference") : NULL;
}

static oks_err_t *check_signed_info(const xmlNode *info, const char *id, unsigned allowed, apr_pool_t *pool)
{
    xmlNode *node = oks_xml_first_element(info), *method, *reference;
    OKS_TRY(expect(&method, &node, "CanonicalizationMethod", pool));
    if (strcmp(oks_xml_method(method, pool), EXC_C14N) != 0)
        return oks_err(pool, OKS_R_XML_SIGNATURE_ALGORITHM, "canonicalization \"%s\"",
                       oks_log_escape(oks_span_z(oks_xml_method(method, pool)), 120, pool));
    if (!c14n_content_ok(method, pool))
        return oks_err(pool, OKS_R_XML_SIGNATURE_TRANSFORM, "content in CanonicalizationMethod");
    OKS_TRY(expect(&method, &node, "SignatureMethod", pool));
    if (!listed(oks_xml_method(method, pool), signature_algorithms, allowed))
        return oks_err(pool, OKS_R_XML_SIGNATURE_ALGORITHM, "signature \"%s\"",
                       oks_log_escape(oks_span_z(oks_xml_method(method, pool)), 120, pool));
    if (oks_xml_children(&reference, info, DSIG, "Reference") != 1)
        return oks_err(pool, OKS_R_XML_SIGNATURE_REFERENCE, "not exactly one Reference");
    OKS_TRY(expect(&reference, &node, "Reference", pool));
    if (node) return malformed(pool, "more than a Reference in SignedInfo");
    return check_reference(reference, id, allowed, pool);
}

/* xmlsec1 takes the first attribute that has the name it looks for, whatever its namespace: one that we do not look at could be
 * an XPointer that never ends, or a list of prefixes. */
static bool attributes_are_plain(const xmlNode *node)
{
    for (const xmlAttr *attr = node->properties; attr; attr = attr->next)
        if (attr->ns) return false;
    for (const xmlNode *child = oks_xml_first_element(node); child; child = oks_xml_next_element(child))
        if (!attributes_are_plain(child)) return false;
    return true;
}

static oks_err_t *check_signature(const xmlNode *signature, const char *id, unsigned allowed, apr_pool_t *pool)
{
    xmlNode *node = oks_xml_first_element(signature), *info, *value;
    OKS_TRY(expect(&info, &node, "SignedInfo", pool));
    OKS_TRY(expect(&value, &node, "SignatureValue", pool));
    if (oks_xml_is(node, DSIG, "KeyInfo")) node = oks_xml_next_element(node); /* never a key (SECURITY.md 17) */
    if (node) return malformed(pool, "an element that SAML does not use after SignatureValue");
    if (!attributes_are_plain(info)) return malformed(pool, "an attribute with a namespace in SignedInfo");
    return check_signed_info(info, id, allowed, pool);
}

/* ---- xmlsec1 ---- */

/* The allow-lists once more: an empty list would mean "all". */
static bool restrict_transforms(xmlSecDSigCtxPtr ctx, unsigned allowed)
{
    bool ok = xmlSecDSigCtxEnableReferenceTransform(ctx, xmlSecTransformEnvelopedId) == 0 &&
              xmlSecDSigCtxEnableReferenceTransform(ctx, xmlSecTransformExclC14NId) == 0 &&
              xmlSecDSigCtxEnableSignatureTransform(ctx, xmlSecTransformExclC14NId) == 0;
    for (const algorithm_t *row = digest_algorithms; row->uri; row++)
        if (row->bits & allowed) ok = ok && xmlSecDSigCtxEnableReferenceTransform(ctx, row->transform()) == 0;
    for (const algorithm_t *row = signature_algorithms; row->uri; row++)
        if (row->bits & allowed) ok = ok && xmlSecDSigCtxEnableSignatureTransform(ctx, row->transform()) == 0;
    return ok;
}

static xmlSecKeyPtr new_key(void *pkey)
{
    EVP_PKEY_up_ref(pkey);
    xmlSecKeyDataPtr data = xmlSecOpenSSLEvpKeyAdopt(pkey);
    if (!data) {
        EVP_PKEY_free(pkey);
        return NULL;
    }
    xmlSecKeyPtr key = xmlSecKeyCreate();
    if (key && xmlSecKeySetValue(key, data) == 0) return key;
    xmlSecKeyDataDestroy(data);
    if (key) xmlSecKeyDestroy(key);
    return NULL;
}

bool oks_xml_pin_key(xmlSecDSigCtxPtr ctx, void *pkey)
{
    ctx->signKey = new_key(pkey);
    return ctx->signKey != NULL;
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

/* *info: SignedInfo as it is signed, of a signature whose digest holds; else empty, whatever the key. */
static bool verify_with(oks_span_t *bytes, oks_span_t *info, xmlNode *signature, const oks_cert_t *cert, unsigned allowed,
                        apr_pool_t *pool)
{
    xmlSecDSigCtxPtr ctx = xmlSecDSigCtxCreate(NULL);
    *info = oks_span(NULL, 0);
    if (!ctx) return false;
    ctx->flags = XMLSEC_DSIG_FLAGS_IGNORE_MANIFESTS | XMLSEC_DSIG_FLAGS_STORE_SIGNEDINFO_REFERENCES;
    ctx->flags |= XMLSEC_DSIG_FLAGS_STORE_SIGNATURE;
    ctx->enabledReferenceUris = xmlSecTransformUriTypeSameDocument;
    bool ok = restrict_transforms(ctx, allowed) && oks_xml_pin_key(ctx, cert->pkey) && xmlSecDSigCtxVerify(ctx, signature) >= 0 &&
              ctx->status == xmlSecDSigStatusSucceeded && copy_signed(bytes, ctx, pool);
    xmlSecBufferPtr buffer = ok ? NULL : xmlSecDSigCtxGetPreSignBuffer(ctx);
    apr_size_t len = buffer ? xmlSecBufferGetSize(buffer) : 0;
    if (len) *info = oks_span(apr_pmemdup(pool, xmlSecBufferGetData(buffer), len), len);
    xmlSecDSigCtxDestroy(ctx);
    return ok;
}

/* Could this key have made the signature? To ask that costs no more than an operation with the key; to verify costs a
 * canonicalization of all that is signed. */
static bool signs(const oks_cert_t *cert, const algorithm_t *method, oks_span_t info, oks_span_t value)
{
    xmlSecTransformCtxPtr ctx = xmlSecTransformCtxCreate();
    xmlSecTransformPtr transform = ctx ? xmlSecTransformCtxCreateAndAppend(ctx, method->transform()) : NULL;
    xmlSecKeyPtr key = transform ? new_key(cert->pkey) : NULL;
    if (transform) transform->operation = xmlSecTransformOperationVerify;
    bool ok = key && xmlSecTransformSetKey(transform, key) >= 0 &&
              xmlSecTransformCtxBinaryExecute(ctx, (const xmlSecByte *)info.ptr, (xmlSecSize)info.len) >= 0 &&
              xmlSecTransformVerify(transform, (const xmlSecByte *)value.ptr, (xmlSecSize)value.len, ctx) >= 0 &&
              transform->status == xmlSecTransformStatusOk;
    if (key) xmlSecKeyDestroy(key);
    if (ctx) xmlSecTransformCtxDestroy(ctx);
    return ok;
}

/* Of the kind that the algorithm is for: with another one, xmlsec1 canonicalizes all before it says so. */
static bool suits(const oks_cert_t *cert, const algorithm_t *method)
{
    return EVP_PKEY_is_a(cert->pkey, strstr(method->uri, "#ecdsa-") ? "EC" : "RSA");
}

/* By the first of the certificates that does it, and with as few canonicalizations as there may be: two. */
static oks_err_t *verify_with_any(oks_span_t *bytes, xmlNode *signature, const apr_array_header_t *certs, unsigned allowed,
                                  apr_pool_t *pool)
{
    xmlNode *node = oks_xml_first_element(signature);
    const char *text = oks_xml_text(oks_xml_next_element(node), pool);
    const algorithm_t *method = signature_algorithms;
    const char *name = oks_xml_method(oks_xml_next_element(oks_xml_first_element(node)), pool);
    oks_span_t info = oks_span(NULL, 0), value;
    while (method->uri && strcmp(method->uri, name) != 0) method++;
    bool readable = method->uri && text && oks_base64_decode(&value, oks_span_z(text), pool) == NULL, asked = false;
    for (int i = 0; readable && i < certs->nelts && (info.len || !asked); i++) {
        const oks_cert_t *cert = APR_ARRAY_IDX(certs, i, oks_cert_t *);
        if (!suits(cert, method) || (asked && !signs(cert, method, info, value))) continue;
        if (verify_with(bytes, &info, signature, cert, allowed, pool)) return NULL;
        asked = true;
    }
    return oks_err(pool, OKS_R_XML_SIGNATURE_INVALID, "none of %d certificates verifies it", certs->nelts);
}

oks_err_t *oks_xml_verify(oks_span_t *signed_bytes, xmlNode *element, const apr_array_header_t *certs, unsigned algorithms,
                          apr_pool_t *pool)
{
    unsigned allowed = algorithms ? algorithms : OKS_XML_RSA_SHA1 - 1;
    xmlNode *signature;
    xmlAttr *attr = xmlHasNsProp(element, (const xmlChar *)"ID", NULL);
    const char *id = oks_xml_attribute(element, "ID", pool);
    if (!attr || !id) return oks_err(pool, OKS_R_XML_ID_MALFORMED, "the signed element has no ID");
    if (oks_xml_children(&signature, element, DSIG, "Signature") != 1)
        return oks_err(pool, OKS_R_XML_SIGNATURE_MISPLACED, "not exactly one Signature in the element");
    OKS_TRY(check_signature(signature, id, allowed, pool));
    /* The only ID that xmlsec1 can resolve is this one. */
    if (!xmlGetID(element->doc, (const xmlChar *)id)) xmlAddID(NULL, element->doc, (const xmlChar *)id, attr);
    if (xmlGetID(element->doc, (const xmlChar *)id) != attr)
        return oks_err(pool, OKS_R_XML_ID_DUPLICATE, "the ID leads to another element");
    return verify_with_any(signed_bytes, signature, certs, allowed, pool);
}
