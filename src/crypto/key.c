/* Keys as OpenSSL has them: whose they are, how good, and how they are read. */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>

#include "key_private.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define RSA_EXPONENT_BITS_MAX 64 /* of a public key: a long one makes each look at a signature as dear as signing */

static apr_status_t free_key(void *key)
{
    EVP_PKEY_free(key);
    return APR_SUCCESS;
}

void oks_key_adopt(EVP_PKEY *pkey, apr_pool_t *pool)
{
    apr_pool_cleanup_register(pool, pkey, free_key, apr_pool_cleanup_null);
}

static int exponent_bits(const EVP_PKEY *key)
{
    BIGNUM *exponent = NULL;
    const bool has = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent) == 1;
    int bits = has ? BN_num_bits(exponent) : RSA_EXPONENT_BITS_MAX + 1;
    BN_free(exponent);
    return bits;
}

oks_err_t *oks_key_judge(const EVP_PKEY *key, apr_pool_t *pool)
{
    char group[32] = "";
    int bits = EVP_PKEY_get_bits(key);
    if (EVP_PKEY_is_a(key, "RSA")) {
        if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX) return oks_err(pool, OKS_R_CRYPTO_KEY_WEAK, "RSA of %d bits", bits);
        if (exponent_bits(key) > RSA_EXPONENT_BITS_MAX) return oks_err(pool, OKS_R_CRYPTO_KEY_WEAK, "RSA with a long exponent");
        return NULL;
    }
    if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, NULL) == 1 &&
        (!strcmp(group, "prime256v1") || !strcmp(group, "secp384r1") || !strcmp(group, "secp521r1"))) return NULL;
    return oks_err(pool, OKS_R_CRYPTO_KEY_WEAK, "%s %s", EVP_PKEY_get0_type_name(key), group);
}

/* No terminal to ask on: a key that is locked is refused. */
static int no_passphrase(char *buffer, int size, int writing, void *baton)
{
    return -1;
}

oks_err_t *oks_key_read(EVP_PKEY **pkey, oks_span_t pem, apr_pool_t *pool)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (!*pkey) return oks_err(pool, OKS_R_CRYPTO_KEY_MALFORMED, "no private key in PEM without a passphrase");
    oks_key_adopt(*pkey, pool);
    return NULL;
}
