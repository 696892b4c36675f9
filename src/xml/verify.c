/* The values of signatures, by xmlsec1, with the keys that were pinned (SECURITY.md 17, 18). */
#include <string.h>

#include <apr_strings.h>
#include <libxml/valid.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <xmlsec/buffer.h>
#include <xmlsec/keys.h>
#include <xmlsec/openssl/crypto.h>
#include <xmlsec/openssl/evp.h>
#include <xmlsec/transforms.h>
#include <xmlsec/xmldsig.h>

#include "xml_private.h"

#define OUTPUT_MAX (1024 * 1024) /* bytes of canonical XML that are read again */

typedef enum verdict_t {
    VERDICT_GOOD,
    VERDICT_OTHER_KEY, /* the digest is right, the signature is not by this key */
    VERDICT_BAD,       /* no key can make it good */
} verdict_t;

/* The algorithms, as this OpenSSL backend's own: the library's process-wide list is not relied on, and an empty list
 * would mean every algorithm there is. */
static bool allow_algorithms(xmlSecDSigCtxPtr ctx)
{
    const xmlSecTransformId signatures[] = {
        xmlSecTransformExclC14NId, xmlSecOpenSSLTransformRsaSha256Id, xmlSecOpenSSLTransformRsaSha384Id,
        xmlSecOpenSSLTransformRsaSha512Id, xmlSecOpenSSLTransformEcdsaSha256Id, xmlSecOpenSSLTransformEcdsaSha384Id,
        xmlSecOpenSSLTransformEcdsaSha512Id,
    };
    const xmlSecTransformId references[] = {
        xmlSecTransformEnvelopedId, xmlSecTransformExclC14NId, xmlSecOpenSSLTransformSha256Id,
        xmlSecOpenSSLTransformSha384Id, xmlSecOpenSSLTransformSha512Id,
    };
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
        if (xmlSecDSigCtxEnableSignatureTransform(ctx, signatures[i]) < 0) return false;
    for (size_t i = 0; i < sizeof references / sizeof *references; i++)
        if (xmlSecDSigCtxEnableReferenceTransform(ctx, references[i]) < 0) return false;
    return true;
}

/* No keys manager and no KeyInfo: the one key is the one given. */
static xmlSecDSigCtxPtr new_context(xmlSecKeyPtr key)
{
    xmlSecDSigCtxPtr ctx = xmlSecDSigCtxCreate(NULL);
    if (!ctx) return NULL;
    ctx->flags = XMLSEC_DSIG_FLAGS_IGNORE_MANIFESTS | XMLSEC_DSIG_FLAGS_STORE_SIGNEDINFO_REFERENCES;
    ctx->enabledReferenceUris = xmlSecTransformUriTypeSameDocument;
    if (!allow_algorithms(ctx)) {
        xmlSecDSigCtxDestroy(ctx);
        return NULL;
    }
    ctx->signKey = key;
    return ctx;
}

/* The certificate's key for xmlsec1: another reference to the same EVP_PKEY, not a copy. */
static xmlSecKeyPtr borrow_key(const oks_cert_t *cert)
{
    EVP_PKEY *pkey = cert->pkey;
    if (EVP_PKEY_up_ref(pkey) != 1) return NULL;
    xmlSecKeyDataPtr data = xmlSecOpenSSLEvpKeyAdopt(pkey);
    if (!data) {
        EVP_PKEY_free(pkey);
        return NULL;
    }
    xmlSecKeyPtr key = xmlSecKeyCreate();
    if (!key || xmlSecKeySetValue(key, data) < 0) {
        xmlSecKeyDataDestroy(data);
        if (key) xmlSecKeyDestroy(key);
        return NULL;
    }
    return key;
}

/* The one Reference's digested bytes, copied into `pool`. */
static bool take_bytes(oks_span_t *bytes, xmlSecDSigCtxPtr ctx, apr_pool_t *pool)
{
    if (xmlSecPtrListGetSize(&ctx->signedInfoReferences) != 1) return false;
    xmlSecDSigReferenceCtxPtr reference = xmlSecPtrListGetItem(&ctx->signedInfoReferences, 0);
    if (!reference || reference->status != xmlSecDSigStatusSucceeded) return false;
    xmlSecBufferPtr buffer = xmlSecDSigReferenceCtxGetPreDigestBuffer(reference);
    if (!buffer || !xmlSecBufferGetData(buffer) || !xmlSecBufferGetSize(buffer)) return false;
    apr_size_t len = xmlSecBufferGetSize(buffer);
    *bytes = oks_span(apr_pmemdup(pool, xmlSecBufferGetData(buffer), len), len);
    return true;
}

static bool digest_was_wrong(xmlSecDSigCtxPtr ctx)
{
    if (xmlSecPtrListGetSize(&ctx->signedInfoReferences) != 1) return true;
    xmlSecDSigReferenceCtxPtr reference = xmlSecPtrListGetItem(&ctx->signedInfoReferences, 0);
    return !reference || reference->status != xmlSecDSigStatusSucceeded;
}

static verdict_t verify_with(oks_span_t *bytes, const oks_xml_signature_t *one, const oks_cert_t *cert,
                             apr_pool_t *pool)
{
    verdict_t verdict = VERDICT_BAD;
    xmlSecKeyPtr key = borrow_key(cert);
    if (!key) return VERDICT_OTHER_KEY;
    xmlSecDSigCtxPtr ctx = new_context(key);
    if (ctx) {
        int status = xmlSecDSigCtxVerify(ctx, one->signature);
        if (status >= 0 && ctx->status == xmlSecDSigStatusSucceeded)
            verdict = take_bytes(bytes, ctx, pool) ? VERDICT_GOOD : VERDICT_BAD;
        else
            verdict = digest_was_wrong(ctx) ? VERDICT_BAD : VERDICT_OTHER_KEY;
        ctx->signKey = NULL; /* it is ours */
        xmlSecDSigCtxDestroy(ctx);
    }
    xmlSecKeyDestroy(key);
    ERR_clear_error(); /* leave nothing for mod_ssl to find in this thread's queue */
    return verdict;
}

/* For the time of one verification, the document knows one ID: the parent's. So "#id" can mean nothing else. */
static verdict_t verify_one(oks_span_t *bytes, const oks_xml_signature_t *one, const oks_xml_trust_t *trust,
                            apr_pool_t *pool)
{
    verdict_t verdict = VERDICT_OTHER_KEY;
    xmlDocPtr tree = one->parent->doc;
    const char *id = oks_xml_attr(one->parent, "ID", pool);
    if (tree->ids || !id || !xmlAddID(NULL, tree, (const xmlChar *)id, one->id)) return VERDICT_BAD;
    for (int i = 0; i < trust->certs->nelts && verdict == VERDICT_OTHER_KEY; i++)
        verdict = verify_with(bytes, one, APR_ARRAY_IDX(trust->certs, i, const oks_cert_t *), pool);
    xmlFreeIDTable(tree->ids);
    tree->ids = NULL;
    one->id->atype = (xmlAttributeType)0;
    return verdict;
}

static bool same_element(const oks_xml_doc_t *doc, const oks_xml_signature_t *one, apr_pool_t *pool)
{
    const oks_xml_node_t *root = oks_xml_root(doc);
    const char *id = oks_xml_attr(root, "ID", pool), *wanted = oks_xml_attr(one->parent, "ID", pool);
    return one->parent->ns && oks_xml_is(root, (const char *)one->parent->ns->href, (const char *)one->parent->name)
        && id && wanted && strcmp(id, wanted) == 0;
}

static oks_err_t *verify_part(const oks_xml_doc_t **result, const oks_xml_signature_t *one,
                              const oks_xml_trust_t *trust, apr_pool_t *pool)
{
    oks_span_t bytes = oks_span(NULL, 0);
    oks_xml_doc_t *doc;
    if (!one->signature) return NULL;
    verdict_t verdict = verify_one(&bytes, one, trust, pool);
    if (verdict != VERDICT_GOOD)
        return oks_err(pool, OKS_R_XML_SIGNATURE_INVALID, "of %s: %s", (const char *)one->parent->name,
                       verdict == VERDICT_BAD ? "the content was changed" : "by none of the keys in the metadata");
    OKS_TRY(oks_xml_parse(&doc, bytes, OUTPUT_MAX, 0, pool));
    if (!same_element(doc, one, pool))
        return oks_err(pool, OKS_R_XML_SIGNATURE_INVALID, "another element was digested than the one around it");
    *result = doc;
    return NULL;
}

oks_err_t *oks_xml_verify(oks_xml_signed_t *result, const oks_xml_doc_t *doc, const oks_xml_trust_t *trust,
                          apr_pool_t *pool)
{
    oks_xml_signatures_t found;
    result->root = result->part = NULL;
    OKS_TRY(oks_xml_find_signatures(&found, doc, trust, pool));
    oks_xml_signed_t verified = { NULL, NULL };
    OKS_TRY(verify_part(&verified.root, &found.root, trust, pool));
    OKS_TRY(verify_part(&verified.part, &found.part, trust, pool));
    *result = verified;
    return NULL;
}
