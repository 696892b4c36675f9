/* JSON Web Keys: sets of public keys (RFC 7517), and keys of our own. */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#include "jws_private.h"
#include "key_private.h"
#include "oktasso/json.h"

#define NUMBER_MAX 1024 /* bytes: of RSA's modulus */

/* ---- From JWK ---- */

static EVP_PKEY *make(const char *type, OSSL_PARAM_BLD *builder, bool complete)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = complete ? OSSL_PARAM_BLD_to_param(builder) : NULL;
    EVP_PKEY_CTX *ctx = params ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    return pkey;
}

static bool member(oks_span_t *bytes, const json_t *jwk, const char *name, apr_pool_t *pool)
{
    const char *text = oks_json_string(jwk, name);
    return text && oks_base64url_decode(bytes, oks_span_z(text), pool) == NULL && bytes->len > 0;
}

static EVP_PKEY *read_rsa(const json_t *jwk, apr_pool_t *pool)
{
    oks_span_t n, e;
    if (!member(&n, jwk, "n", pool) || !member(&e, jwk, "e", pool)) return NULL;
    if (n.len > NUMBER_MAX + 1 || e.len > 4 || !(e.ptr[e.len - 1] & 1)) return NULL;
    BIGNUM *modulus = BN_bin2bn((const unsigned char *)n.ptr, (int)n.len, NULL);
    BIGNUM *exponent = BN_bin2bn((const unsigned char *)e.ptr, (int)e.len, NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    bool ok = builder && modulus && exponent && BN_num_bits(exponent) >= 2 &&
              OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, modulus) &&
              OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, exponent);
    EVP_PKEY *pkey = make("RSA", builder, ok);
    BN_free(modulus);
    BN_free(exponent);
    return pkey;
}

static const struct { const char *crv, *group; unsigned algorithm; apr_size_t size; } curves[] = {
    { "P-256", "prime256v1", OKS_JWS_ES256, 32 }, { "P-384", "secp384r1", OKS_JWS_ES384, 48 },
    { "P-521", "secp521r1", OKS_JWS_ES512, 66 },
};

static EVP_PKEY *read_ec(unsigned *fits, const json_t *jwk, apr_pool_t *pool)
{
    const char *crv = oks_json_string(jwk, "crv");
    oks_span_t x, y;
    unsigned char point[1 + 2 * 66] = { 4 }; /* uncompressed (SEC 1 2.3.3) */
    if (!crv || !member(&x, jwk, "x", pool) || !member(&y, jwk, "y", pool)) return NULL;
    for (apr_size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        apr_size_t size = curves[i].size;
        if (strcmp(crv, curves[i].crv) != 0 || x.len != size || y.len != size) continue;
        memcpy(point + 1, x.ptr, size);
        memcpy(point + 1 + size, y.ptr, size);
        OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
        bool ok = builder && OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curves[i].group, 0) &&
                  OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * size);
        *fits = curves[i].algorithm;
        return make("EC", builder, ok); /* refuses what is not on the curve */
    }
    return NULL;
}

static EVP_PKEY *read_okp(const json_t *jwk, apr_pool_t *pool)
{
    const char *crv = oks_json_string(jwk, "crv");
    oks_span_t x;
    if (!crv || strcmp(crv, "Ed25519") != 0 || !member(&x, jwk, "x", pool) || x.len != 32) return NULL;
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)x.ptr, x.len);
}

static bool may_verify(const json_t *jwk)
{
    const json_t *use = json_object_get(jwk, "use"), *ops = json_object_get(jwk, "key_ops");
    size_t i;
    json_t *op;
    if (use && (!json_is_string(use) || strcmp(json_string_value(use), "sig") != 0)) return false;
    if (!ops) return true;
    json_array_foreach(ops, i, op)
        if (json_is_string(op) && strcmp(json_string_value(op), "verify") == 0) return true;
    return false;
}

/* False for a key that we cannot use. */
static bool read_key(oks_jwk_t *key, const json_t *jwk, apr_pool_t *pool)
{
    const char *kty = oks_json_string(jwk, "kty"), *alg = oks_json_string(jwk, "alg"), *kid = oks_json_string(jwk, "kid");
    memset(key, 0, sizeof *key);
    if (!kty || !may_verify(jwk) || (json_object_get(jwk, "kid") && !kid) || (json_object_get(jwk, "alg") && !alg)) return false;
    if (strcmp(kty, "RSA") == 0) key->pkey = read_rsa(jwk, pool), key->fits = OKS_JWS_ES256 - 1;
    else if (strcmp(kty, "EC") == 0) key->pkey = read_ec(&key->fits, jwk, pool);
    else if (strcmp(kty, "OKP") == 0) key->pkey = read_okp(jwk, pool), key->fits = OKS_JWS_EDDSA;
    if (!key->pkey) return false;
    oks_key_adopt(key->pkey, pool);
    if (strcmp(kty, "OKP") != 0 && oks_key_judge(key->pkey, pool) != NULL) return false;
    key->kid = kid ? apr_pstrdup(pool, kid) : NULL;
    if (alg) key->fits &= oks_jws_algorithm(oks_span_z(alg));
    return key->fits != 0;
}

oks_err_t *oks_jwks_parse(oks_jwks_t **keys, oks_span_t text, apr_pool_t *pool)
{
    json_t *set, *jwk;
    size_t i;
    apr_pool_t *scratch;
    apr_pool_create(&scratch, pool);
    OKS_TRY(oks_json_parse(&set, text, OKS_JWKS_MAX, scratch));
    const json_t *list = json_object_get(set, "keys");
    if (!json_is_array(list)) return oks_err(pool, OKS_R_CRYPTO_JWKS_MALFORMED, "no array \"keys\"");
    if (json_array_size(list) > OKS_JWKS_KEYS_MAX)
        return oks_err(pool, OKS_R_CRYPTO_JWKS_MALFORMED, "more than %d keys", OKS_JWKS_KEYS_MAX);
    oks_jwks_t *made = apr_pcalloc(pool, sizeof *made);
    json_array_foreach(list, i, jwk)
        if (read_key(&made->keys[made->count], jwk, pool)) made->count++;
    if (!made->count) return oks_err(pool, OKS_R_CRYPTO_JWKS_EMPTY, "of %d keys", (int)json_array_size(list));
    apr_pool_destroy(scratch); /* not after an error, which may lie in it */
    *keys = made;
    return NULL;
}

bool oks_jwks_has(const oks_jwks_t *keys, const char *kid)
{
    for (int i = 0; i < keys->count; i++)
        if (keys->keys[i].kid && strcmp(keys->keys[i].kid, kid) == 0) return true;
    return false;
}

/* ---- Keys of our own ---- */

static json_t *number(const EVP_PKEY *pkey, const char *name, apr_size_t size, apr_pool_t *pool)
{
    BIGNUM *value = NULL;
    unsigned char bytes[NUMBER_MAX];
    if (EVP_PKEY_get_bn_param(pkey, name, &value) != 1) return NULL;
    int len = size ? (int)size : BN_num_bytes(value);
    int written = len <= (int)sizeof bytes ? BN_bn2binpad(value, bytes, len) : -1;
    BN_free(value);
    return written < 0 ? NULL : json_string(oks_base64url_encode(oks_span((char *)bytes, (apr_size_t)written), pool));
}

/* The members of RFC 7638 3.2, which are all that makes the key, in the order that its thumbprint has. */
static json_t *essential(const oks_jws_key_t *key, apr_pool_t *pool)
{
    if (key->algorithm == OKS_JWS_RS256)
        return json_pack("{s:o, s:s, s:o}", "e", number(key->pkey, OSSL_PKEY_PARAM_RSA_E, 0, pool), "kty", "RSA", "n",
                         number(key->pkey, OSSL_PKEY_PARAM_RSA_N, 0, pool));
    return json_pack("{s:s, s:s, s:o, s:o}", "crv", "P-256", "kty", "EC", "x",
                     number(key->pkey, OSSL_PKEY_PARAM_EC_PUB_X, 32, pool), "y",
                     number(key->pkey, OSSL_PKEY_PARAM_EC_PUB_Y, 32, pool));
}

static unsigned algorithm_of(const EVP_PKEY *pkey)
{
    char group[32] = "";
    if (EVP_PKEY_is_a(pkey, "RSA")) return OKS_JWS_RS256;
    if (EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL) == 1 && !strcmp(group, "prime256v1"))
        return OKS_JWS_ES256;
    return 0;
}

oks_err_t *oks_jws_key_parse(oks_jws_key_t **key, oks_span_t pem, const char *kid, apr_pool_t *pool)
{
    unsigned char digest[OKS_SHA256_LEN];
    oks_jws_key_t *made = apr_pcalloc(pool, sizeof *made);
    EVP_PKEY *pkey;
    OKS_TRY(oks_key_read(&pkey, pem, pool));
    made->pkey = pkey;
    made->algorithm = algorithm_of(pkey);
    if (!made->algorithm) return oks_err(pool, OKS_R_CRYPTO_KEY_MALFORMED, "neither RSA nor EC on P-256");
    OKS_TRY(oks_key_judge(pkey, pool));
    json_t *jwk = essential(made, pool);
    const char *text = jwk ? oks_json_text(jwk, pool) : NULL;
    if (!text) return oks_err(pool, OKS_R_INTERNAL, "no public half");
    oks_sha256(digest, oks_span_z(text));
    made->kid = kid ? apr_pstrdup(pool, kid) : oks_base64url_encode(oks_span((char *)digest, sizeof digest), pool);
    *key = made;
    return NULL;
}

oks_err_t *oks_jws_key_make(const char **pem, apr_pool_t *pool)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());
    char *bytes;
    bool ok = pkey && bio && PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL) == 1;
    if (ok) {
        long len = BIO_get_mem_data(bio, &bytes);
        *pem = apr_pstrmemdup(pool, bytes, (apr_size_t)len);
    }
    BIO_free(bio);
    EVP_PKEY_free(pkey);
    return ok ? NULL : oks_err(pool, OKS_R_INTERNAL, "no key could be made");
}

oks_err_t *oks_jws_key_jwk(const char **json, const oks_jws_key_t *key, apr_pool_t *pool)
{
    json_t *jwk = essential(key, pool);
    if (!jwk) return oks_err(pool, OKS_R_INTERNAL, "no public half");
    json_object_set_new(jwk, "kid", json_string(key->kid));
    json_object_set_new(jwk, "use", json_string("sig"));
    json_object_set_new(jwk, "alg", json_string(key->algorithm == OKS_JWS_RS256 ? "RS256" : "ES256"));
    *json = oks_json_text(jwk, pool);
    return *json ? NULL : oks_err(pool, OKS_R_INTERNAL, "out of memory for a key");
}
