/* JSON Web Signatures in the compact form (RFC 7515). The key decides what may be verified with it, never the token. */
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/rsa.h>

#include "jws_private.h"
#include "oktasso/json.h"

#define HEADER_MAX 8192

static const struct { const char *name, *digest; unsigned bit; bool pss; int half; } algorithms[] = {
    { "RS256", "SHA256", OKS_JWS_RS256, false, 0 },  { "RS384", "SHA384", OKS_JWS_RS384, false, 0 },
    { "RS512", "SHA512", OKS_JWS_RS512, false, 0 },  { "PS256", "SHA256", OKS_JWS_PS256, true, 0 },
    { "PS384", "SHA384", OKS_JWS_PS384, true, 0 },   { "PS512", "SHA512", OKS_JWS_PS512, true, 0 },
    { "ES256", "SHA256", OKS_JWS_ES256, false, 32 }, { "ES384", "SHA384", OKS_JWS_ES384, false, 48 },
    { "ES512", "SHA512", OKS_JWS_ES512, false, 66 }, { "EdDSA", NULL, OKS_JWS_EDDSA, false, 0 },
};
#define ALGORITHMS (sizeof algorithms / sizeof algorithms[0])

unsigned oks_jws_algorithm(oks_span_t name)
{
    for (apr_size_t i = 0; i < ALGORITHMS; i++)
        if (oks_span_eq_z(name, algorithms[i].name)) return algorithms[i].bit;
    return 0;
}

/* ---- The header ---- */

/* Where a token brings its key, or changes what its bytes mean, it is not read (RFC 8725 3.9, 3.10). */
static oks_err_t *check_header(const json_t *header, const char *typ, apr_pool_t *pool)
{
    static const char *const refused[] = { "jku", "jwk", "x5u", "x5c", "crit", "b64", "enc", "zip" };
    for (apr_size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (json_object_get(header, refused[i])) return oks_err(pool, OKS_R_CRYPTO_JWS_HEADER, "\"%s\"", refused[i]);
    const json_t *kid = json_object_get(header, "kid"), *said = json_object_get(header, "typ");
    if ((kid && !json_is_string(kid)) || (said && !json_is_string(said)))
        return oks_err(pool, OKS_R_CRYPTO_JWS_HEADER, "kid or typ is no string");
    const char *type = json_string_value(said);
    if (type && apr_cstr_casecmpn(type, "application/", 12) == 0) type += 12;
    if (typ ? !type || apr_cstr_casecmp(type, typ) != 0 : type && apr_cstr_casecmp(type, "JWT") != 0)
        return oks_err(pool, OKS_R_CRYPTO_JWS_HEADER, "typ \"%s\"", oks_log_escape(oks_span_z(type), 60, pool));
    return NULL;
}

static oks_err_t *read_algorithm(int *row, const json_t *header, unsigned allowed, apr_pool_t *pool)
{
    const char *name = oks_json_string(header, "alg");
    for (*row = 0; name && *row < (int)ALGORITHMS; ++*row)
        if (strcmp(name, algorithms[*row].name) == 0 && (!allowed || algorithms[*row].bit & allowed)) return NULL;
    return oks_err(pool, OKS_R_CRYPTO_JWS_ALGORITHM, "\"%s\"", oks_log_escape(oks_span_z(name), 40, pool));
}

/* The key of the header's kid; without one, the only key that fits. */
static oks_err_t *find_key(const oks_jwk_t **key, const oks_jwks_t *keys, const json_t *header, unsigned bit, apr_pool_t *pool)
{
    const char *kid = oks_json_string(header, "kid");
    int found = 0;
    for (int i = 0; i < keys->count; i++) {
        const oks_jwk_t *each = &keys->keys[i];
        if (!(each->fits & bit) || (kid && (!each->kid || strcmp(each->kid, kid) != 0))) continue;
        if (!found++) *key = each;
    }
    if (found == 1 || (kid && found)) return NULL;
    return oks_err(pool, OKS_R_CRYPTO_JWS_KEY_UNKNOWN, "kid \"%s\", %d keys fit", oks_log_escape(oks_span_z(kid), 100, pool),
                   found);
}

/* ---- Signatures ---- */

/* r and s of fixed length (RFC 7518 3.4), as OpenSSL wants them. */
static bool to_der(oks_span_t *signature, int half, apr_pool_t *pool)
{
    unsigned char *der = NULL;
    if (signature->len != (apr_size_t)half * 2) return false;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn((const unsigned char *)signature->ptr, half, NULL);
    BIGNUM *s = BN_bin2bn((const unsigned char *)signature->ptr + half, half, NULL);
    bool ok = pair && r && s && ECDSA_SIG_set0(pair, r, s) == 1; /* the pair's from here on */
    int len = ok ? i2d_ECDSA_SIG(pair, &der) : -1;
    if (len > 0) *signature = oks_span(apr_pmemdup(pool, der, (apr_size_t)len), (apr_size_t)len);
    OPENSSL_free(der);
    ECDSA_SIG_free(pair);
    if (!ok) BN_free(r), BN_free(s);
    return len > 0;
}

static bool signature_ok(const oks_jwk_t *key, int row, oks_span_t signed_text, oks_span_t signature, apr_pool_t *pool)
{
    EVP_PKEY_CTX *options = NULL;
    if (algorithms[row].half && !to_der(&signature, algorithms[row].half, pool)) return false;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestVerifyInit_ex(ctx, &options, algorithms[row].digest, NULL, NULL, key->pkey, NULL) == 1;
    if (ok && algorithms[row].pss)
        ok = EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) == 1;
    ok = ok && EVP_DigestVerify(ctx, (const unsigned char *)signature.ptr, signature.len, (const unsigned char *)signed_text.ptr,
                                signed_text.len) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static oks_err_t *decode(oks_span_t *bytes, oks_span_t part, apr_pool_t *pool)
{
    if (oks_base64url_decode(bytes, part, pool) == NULL) return NULL;
    return oks_err(pool, OKS_R_CRYPTO_JWS_MALFORMED, "a part is no base64url");
}

oks_err_t *oks_jws_verify(oks_span_t *payload, const char **digest, oks_span_t token, const oks_jwks_t *keys, unsigned allowed,
                          const char *typ, apr_pool_t *pool)
{
    oks_span_t part[4], bytes, signature, rest = token;
    json_t *header;
    const oks_jwk_t *key = NULL;
    int parts = 0, row = 0;
    if (token.len > OKS_JWS_TOKEN_MAX) return oks_err(pool, OKS_R_CRYPTO_JWS_MALFORMED, "more than %d bytes", OKS_JWS_TOKEN_MAX);
    while (parts < 4 && oks_span_next(&part[parts], &rest, '.')) parts++;
    if (parts != 3 || !part[0].len) return oks_err(pool, OKS_R_CRYPTO_JWS_MALFORMED, "not three parts");
    OKS_TRY(decode(&bytes, part[0], pool));
    OKS_TRY(oks_json_parse(&header, bytes, HEADER_MAX, pool));
    OKS_TRY(read_algorithm(&row, header, allowed, pool));
    OKS_TRY(check_header(header, typ, pool));
    OKS_TRY(decode(&signature, part[2], pool));
    OKS_TRY(decode(&bytes, part[1], pool));
    OKS_TRY(find_key(&key, keys, header, algorithms[row].bit, pool));
    if (!signature_ok(key, row, oks_span(token.ptr, part[0].len + 1 + part[1].len), signature, pool))
        return oks_err(pool, OKS_R_CRYPTO_JWS_SIGNATURE, "%s", algorithms[row].name);
    *payload = bytes;
    if (digest) *digest = algorithms[row].digest ? algorithms[row].digest : "SHA512"; /* Ed25519 has it inside (RFC 8032 5.1) */
    return NULL;
}

/* ---- Signing ---- */

/* r and s out of DER, into 64 bytes. */
static bool to_raw(unsigned char raw[64], const unsigned char *der, size_t len)
{
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long)len);
    bool ok = pair && BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, 32) == 32 &&
              BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + 32, 32) == 32;
    ECDSA_SIG_free(pair);
    return ok;
}

oks_err_t *oks_jws_sign(const char **token, const oks_jws_key_t *key, const char *typ, oks_span_t payload, apr_pool_t *pool)
{
    bool ec = key->algorithm == OKS_JWS_ES256;
    const char *header = oks_json_text(json_pack("{s:s, s:s, s:s}", "alg", ec ? "ES256" : "RS256", "typ", typ ? typ : "JWT", "kid",
                                                 key->kid), pool);
    if (!header) return oks_err(pool, OKS_R_INTERNAL, "no header");
    const char *text = apr_pstrcat(pool, oks_base64url_encode(oks_span_z(header), pool), ".",
                                   oks_base64url_encode(payload, pool), NULL);
    size_t len = (size_t)EVP_PKEY_get_size(key->pkey);
    unsigned char *signature = apr_palloc(pool, len), raw[64];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key->pkey, NULL) == 1 &&
              EVP_DigestSign(ctx, signature, &len, (const unsigned char *)text, strlen(text)) == 1 &&
              (!ec || to_raw(raw, signature, len));
    EVP_MD_CTX_free(ctx);
    if (!ok) return oks_err(pool, OKS_R_INTERNAL, "signing failed");
    oks_span_t bytes = ec ? oks_span((char *)raw, sizeof raw) : oks_span((char *)signature, len);
    *token = apr_pstrcat(pool, text, ".", oks_base64url_encode(bytes, pool), NULL);
    return NULL;
}
