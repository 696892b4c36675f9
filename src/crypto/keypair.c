/* A private key and its certificate: what signs our own messages. */
#include <string.h>

#include <apr_strings.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "key_private.h"

#define KEY_BITS 2048
#define COMMON_NAME_MAX 64 /* RFC 5280 A.1 (ub-common-name); OpenSSL refuses more */
#define CERT_DAYS 3650 /* a key container: Okta does not ask when it ends, and a rollover is the administrator's wish */

oks_err_t *oks_keypair_parse(oks_keypair_t **pair, oks_span_t key, oks_span_t cert, apr_pool_t *pool)
{
    oks_keypair_t *made = apr_pcalloc(pool, sizeof *made);
    EVP_PKEY *pkey;
    OKS_TRY(oks_key_read(&pkey, key, pool));
    made->pkey = pkey;
    if (!EVP_PKEY_is_a(pkey, "RSA")) return oks_err(pool, OKS_R_CRYPTO_KEY_MALFORMED, "not an RSA key");
    OKS_TRY(oks_cert_parse(&made->cert, cert, pool));
    if (EVP_PKEY_eq(made->cert->pkey, pkey) != 1)
        return oks_err(pool, OKS_R_CRYPTO_KEY_MALFORMED, "the certificate is one of another key");
    *pair = made;
    return NULL;
}

static bool fill_certificate(X509 *x509, EVP_PKEY *pkey, const char *name, apr_time_t now)
{
    time_t start = (time_t)apr_time_sec(now);
    X509_NAME *subject = X509_get_subject_name(x509);
    int name_len = (int)strnlen(name, COMMON_NAME_MAX);
    return X509_set_version(x509, X509_VERSION_3) == 1 && ASN1_INTEGER_set(X509_get_serialNumber(x509), 1) == 1 &&
           X509_time_adj_ex(X509_getm_notBefore(x509), 0, 0, &start) &&
           X509_time_adj_ex(X509_getm_notAfter(x509), CERT_DAYS, 0, &start) &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, name_len, -1, 0) == 1 &&
           X509_set_issuer_name(x509, subject) == 1 && X509_set_pubkey(x509, pkey) == 1 && X509_sign(x509, pkey, EVP_sha256()) > 0;
}

oks_err_t *oks_keypair_make(const char **pem, const char *name, apr_time_t now, apr_pool_t *pool)
{
    EVP_PKEY *pkey = EVP_RSA_gen(KEY_BITS);
    X509 *x509 = X509_new();
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes;
    bool ok = pkey && x509 && bio && fill_certificate(x509, pkey, name, now) &&
              PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1 && PEM_write_bio_X509(bio, x509) == 1;
    if (ok) {
        long len = BIO_get_mem_data(bio, &bytes);
        *pem = apr_pstrmemdup(pool, bytes, (apr_size_t)len);
    }
    BIO_free(bio);
    X509_free(x509);
    EVP_PKEY_free(pkey);
    return ok ? NULL : oks_err(pool, OKS_R_INTERNAL, "no key could be made");
}

oks_err_t *oks_sign_rsa_sha256(oks_span_t *signature, const oks_keypair_t *pair, oks_span_t message, apr_pool_t *pool)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    size_t len = (size_t)EVP_PKEY_get_size(pair->pkey);
    unsigned char *bytes = apr_palloc(pool, len);
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pair->pkey) == 1 &&
              EVP_DigestSign(ctx, bytes, &len, (const unsigned char *)message.ptr, message.len) == 1;
    EVP_MD_CTX_free(ctx);
    *signature = oks_span((char *)bytes, len);
    return ok ? NULL : oks_err(pool, OKS_R_INTERNAL, "signing failed");
}

const char *oks_cert_pem(const oks_cert_t *cert, apr_pool_t *pool)
{
    const char *text = oks_base64_encode(cert->der, pool), *pem = "-----BEGIN CERTIFICATE-----\n";
    for (apr_size_t left = strlen(text); left;) {
        apr_size_t len = left < 64 ? left : 64;
        pem = apr_pstrcat(pool, pem, apr_pstrmemdup(pool, text, len), "\n", NULL);
        text += len, left -= len;
    }
    return apr_pstrcat(pool, pem, "-----END CERTIFICATE-----\n", NULL);
}
