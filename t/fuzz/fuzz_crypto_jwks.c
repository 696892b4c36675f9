/* A provider's JWK Set. */
#include <openssl/evp.h>

#include "../../src/crypto/jws_private.h"
#include "fuzz.h"
#include "mutate.h"

void fuzz_start(apr_pool_t *pool)
{
}

/* Whatever the set says, no key verifies by another family's algorithm, and none is weak (RFC 7518 3.3). */
static void check_key(const oks_jwk_t *key)
{
    EVP_PKEY *pkey = key->pkey;
    const unsigned rsa = OKS_JWS_ES256 - 1, ec = OKS_JWS_ES256 | OKS_JWS_ES384 | OKS_JWS_ES512;
    HOLDS(pkey && key->fits);
    if (EVP_PKEY_is_a(pkey, "RSA")) HOLDS(!(key->fits & ~rsa) && EVP_PKEY_get_bits(pkey) >= 2048);
    else if (EVP_PKEY_is_a(pkey, "EC")) HOLDS(!(key->fits & ~ec));
    else HOLDS(EVP_PKEY_is_a(pkey, "ED25519") && key->fits == OKS_JWS_EDDSA);
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    oks_jwks_t *keys;
    if (oks_jwks_parse(&keys, input, pool)) return false;
    HOLDS(keys->count >= 1 && keys->count <= OKS_JWKS_KEYS_MAX);
    for (int i = 0; i < keys->count; i++) {
        check_key(&keys->keys[i]);
        HOLDS(!keys->keys[i].kid || oks_jwks_has(keys, keys->keys[i].kid));
    }
    return true;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return mutate_json(data, size, max, seed);
}
