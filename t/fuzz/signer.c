/* See signer.h. */
#include <apr_strings.h>

#include "signer.h"

static apr_status_t release(void *key)
{
    EVP_PKEY_free(key);
    return APR_SUCCESS;
}

void signer_make(signer_t *signer, apr_pool_t *pool)
{
    static const unsigned char secret[32] = "no secret: made for a fuzz test";
    unsigned char point[32];
    size_t len = sizeof point;
    signer->key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, sizeof secret);
    apr_pool_cleanup_register(pool, signer->key, release, apr_pool_cleanup_null);
    HOLDS(EVP_PKEY_get_raw_public_key(signer->key, point, &len) == 1);
    const char *set = apr_psprintf(pool, "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"fuzz\",\"x\":\"%s\"}]}",
                                   oks_base64url_encode(oks_span((char *)point, len), pool));
    FUZZ_GOOD(oks_jwks_parse(&signer->keys, oks_span_z(set), pool));
}

const char *signer_sign(const signer_t *signer, oks_span_t header, oks_span_t payload, apr_pool_t *pool)
{
    unsigned char signature[64];
    size_t len = sizeof signature;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    const char *text = apr_pstrcat(pool, oks_base64url_encode(header, pool), ".", oks_base64url_encode(payload, pool), NULL);
    HOLDS(EVP_DigestSignInit(ctx, NULL, NULL, NULL, signer->key) == 1);
    HOLDS(EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text, strlen(text)) == 1);
    EVP_MD_CTX_free(ctx);
    return apr_pstrcat(pool, text, ".", oks_base64url_encode(oks_span((char *)signature, len), pool), NULL);
}
