/* RSA-PSS (RFC 9231 2.3.10) as transforms of xmlsec1, which has none before 1.3. oks_xml_init adds them to its list in
 * each child, where this module is never unloaded: the list keeps pointers into it. */
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <xmlsec/xmlsec.h>
#include <xmlsec/buffer.h>
#include <xmlsec/keys.h>
#include <xmlsec/transforms.h>
#include <xmlsec/openssl/crypto.h>
#include <xmlsec/openssl/evp.h>

#include "xml_private.h"

/* xmlsec1 makes objects of this size, zeroed. */
typedef struct pss_t {
    xmlSecTransform base;
    EVP_MD_CTX *digest;
} pss_t;

static pss_t *pss_of(xmlSecTransformPtr transform)
{
    return (pss_t *)transform; /* its first member */
}

static int initialize(xmlSecTransformPtr transform)
{
    pss_of(transform)->digest = EVP_MD_CTX_new();
    return pss_of(transform)->digest ? 0 : -1;
}

static void finalize(xmlSecTransformPtr transform)
{
    EVP_MD_CTX_free(pss_of(transform)->digest);
    pss_of(transform)->digest = NULL;
}

static int require_key(xmlSecTransformPtr transform, xmlSecKeyReqPtr wanted)
{
    if (transform->operation != xmlSecTransformOperationVerify) return -1; /* nothing is signed by it */
    wanted->keyId = xmlSecOpenSSLKeyDataRsaId;
    wanted->keyType = xmlSecKeyDataTypePublic;
    wanted->keyUsage = xmlSecKeyUsageVerify;
    return 0;
}

/* The salt is as long as the digest, and MGF1 is over the same digest: what the short URIs stand for. */
static int set_key(xmlSecTransformPtr transform, xmlSecKeyPtr key)
{
    EVP_PKEY *pkey = xmlSecOpenSSLEvpKeyDataGetEvp(xmlSecKeyGetValue(key));
    EVP_PKEY_CTX *options;
    const char *name = strchr((const char *)transform->id->href, '#') + 1; /* "sha256-rsa-MGF1" */
    char digest[] = { name[0], name[1], name[2], name[3], name[4], name[5], '\0' };
    bool ok = pkey && EVP_DigestVerifyInit_ex(pss_of(transform)->digest, &options, digest, NULL, NULL, pkey, NULL) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
    return ok ? 0 : -1;
}

static int execute(xmlSecTransformPtr transform, int last, xmlSecTransformCtxPtr ctx)
{
    xmlSecBufferPtr in = &transform->inBuf;
    xmlSecSize size = xmlSecBufferGetSize(in);
    (void)ctx;
    if (transform->status == xmlSecTransformStatusNone) transform->status = xmlSecTransformStatusWorking;
    if (transform->status != xmlSecTransformStatusWorking) return size ? -1 : 0;
    if (size && (EVP_DigestVerifyUpdate(pss_of(transform)->digest, xmlSecBufferGetData(in), size) != 1 ||
                 xmlSecBufferRemoveHead(in, size) < 0)) return -1;
    if (last) transform->status = xmlSecTransformStatusFinished;
    return 0;
}

static int verify(xmlSecTransformPtr transform, const xmlSecByte *value, xmlSecSize size, xmlSecTransformCtxPtr ctx)
{
    (void)ctx;
    if (transform->status != xmlSecTransformStatusFinished) return -1;
    bool ok = EVP_DigestVerifyFinal(pss_of(transform)->digest, value, size) == 1;
    transform->status = ok ? xmlSecTransformStatusOk : xmlSecTransformStatusFail;
    return 0;
}

#define PSS(function, name_)                                                                                                   \
    xmlSecTransformId function(void)                                                                                           \
    {                                                                                                                          \
        static xmlSecTransformKlass klass = {                                                                                  \
            .klassSize = sizeof klass, .objSize = sizeof(pss_t), .name = (const xmlChar *)(name_),                             \
            .href = (const xmlChar *)DSIG_2007 name_, .usage = xmlSecTransformUsageSignatureMethod,                            \
            .initialize = initialize, .finalize = finalize, .setKeyReq = require_key, .setKey = set_key, .verify = verify,     \
            .getDataType = xmlSecTransformDefaultGetDataType, .pushBin = xmlSecTransformDefaultPushBin,                        \
            .popBin = xmlSecTransformDefaultPopBin, .execute = execute,                                                        \
        };                                                                                                                     \
        return &klass;                                                                                                         \
    }
PSS(oks_xml_pss_sha256, "sha256-rsa-MGF1")
PSS(oks_xml_pss_sha384, "sha384-rsa-MGF1")
PSS(oks_xml_pss_sha512, "sha512-rsa-MGF1")
