/* crypto: sealing, random bytes, digests, X.509 key containers, keys of our own, JWK and JWS, on OpenSSL. */
#ifndef OKTASSO_CRYPTO_H
#define OKTASSO_CRYPTO_H

#include "oktasso/base.h"

/* Fills `out` from the system's generator; OKS_R_CRYPTO_RANDOM_UNAVAILABLE when that fails. */
oks_err_t *oks_random_bytes(unsigned char *out, apr_size_t len, apr_pool_t *pool) OKS_MUST_USE;

#define OKS_SHA256_LEN 32
/* Ends the process where OpenSSL has no memory for it, as APR's pools do. */
void oks_sha256(unsigned char out[OKS_SHA256_LEN], oks_span_t data);
bool oks_secret_eq(oks_span_t a, oks_span_t b); /* constant time for equal lengths; two empty ones are not equal */

/* ---- Sealing: AES-256-GCM, a fresh random nonce per message ----------------------------------------------- */

#define OKS_KEY_LEN 32
#define OKS_KEYS_MAX 8            /* keys in one ring: the first seals, all open */
#define OKS_SEAL_OVERHEAD 33      /* version 1, key id 4, nonce 12, tag 16 */

typedef struct oks_keyring_t oks_keyring_t; /* read-only after creation: any thread may use it */

/* One key a line, 64 hexadecimal digits; blank lines and lines that start with '#' are skipped. None, more than
 * OKS_KEYS_MAX, a repeated or a malformed one: OKS_R_CRYPTO_KEYS_MALFORMED. Keys are wiped with `pool`. */
oks_err_t *oks_keyring_parse(oks_keyring_t **ring, oks_span_t text, apr_pool_t *pool) OKS_MUST_USE;
/* A new line for such a file, its end included. crypto.random.unavailable. */
oks_err_t *oks_keyring_new_line(const char **line, apr_pool_t *pool) OKS_MUST_USE;

/* Base64url text, in `pool`, of the sealed message. `aad` says purpose, cookie name and virtual host (SECURITY.md 11).
 * crypto.random.unavailable, base.internal.error. */
oks_err_t *oks_seal(const char **text, const oks_keyring_t *ring, oks_span_t aad, oks_span_t plain, apr_pool_t *pool)
    OKS_MUST_USE;
/* Opens what oks_seal made, into the caller's buffer. The plain length, or -1 for anything else: unknown key,
 * other aad, changed byte, too long for `size` or for the 512 bytes that it opens at most. Allocates nothing from a pool. */
apr_ssize_t oks_unseal_into(unsigned char *out, apr_size_t size, const oks_keyring_t *ring, oks_span_t aad,
                            oks_span_t text);
/* The same for larger messages, in `pool`: OKS_R_CRYPTO_SEAL_BROKEN. */
oks_err_t *oks_unseal(oks_span_t *plain, const oks_keyring_t *ring, oks_span_t aad, oks_span_t text, apr_pool_t *pool)
    OKS_MUST_USE;

/* Was it sealed with the first key, so that it needs no other one? */
bool oks_seal_is_current(const oks_keyring_t *ring, oks_span_t text);

/* ---- X.509 as a key container (OKTA.md B.1.2): neither chain, name nor signature of a certificate is judged - */

typedef struct oks_cert_t {
    void *pkey;              /* EVP_PKEY *, freed with the pool */
    apr_time_t not_before;
    apr_time_t not_after;
    const char *fingerprint; /* SHA-256 of the DER, lower-case hex */
    oks_span_t der;          /* in the pool */
} oks_cert_t;

/* From DER, from base64 with or without PEM lines (CRLF and blanks allowed).
 * OKS_R_CRYPTO_CERT_MALFORMED; OKS_R_CRYPTO_KEY_WEAK for RSA under 2048 bits or above 8192, a curve other than P-256/384/521, or
 * another kind of key. */
oks_err_t *oks_cert_parse(oks_cert_t **cert, oks_span_t text, apr_pool_t *pool) OKS_MUST_USE;
/* All certificates of a file, added to `certs` (oks_cert_t *): several in PEM, or one in DER or bare base64. A file
 * with a private key is refused: that is not what was meant. The same reasons. */
oks_err_t *oks_certs_parse(apr_array_header_t *certs, oks_span_t text, apr_pool_t *pool) OKS_MUST_USE;

/* ---- A key of our own ---------------------------------------------------------------------------------------- */

typedef struct oks_keypair_t {
    void *pkey;        /* EVP_PKEY *, RSA, freed with the pool */
    oks_cert_t *cert;  /* its certificate */
} oks_keypair_t;

/* From PEM without a passphrase, and a certificate as for oks_cert_parse. crypto.key.malformed, crypto.cert.malformed,
 * crypto.key.weak. */
oks_err_t *oks_keypair_parse(oks_keypair_t **pair, oks_span_t key, oks_span_t cert, apr_pool_t *pool) OKS_MUST_USE;
/* A new RSA key and its self-signed certificate, valid for ten years from `now`, both in one PEM text in `pool`. `name` is ASCII;
 * of a long one the certificate's common name has the first 64 characters. Takes a tenth of a second. base.internal.error. */
oks_err_t *oks_keypair_make(const char **pem, const char *name, apr_time_t now, apr_pool_t *pool) OKS_MUST_USE;
/* RSASSA-PKCS1-v1_5 with SHA-256, in `pool`. base.internal.error. */
oks_err_t *oks_sign_rsa_sha256(oks_span_t *signature, const oks_keypair_t *pair, oks_span_t message, apr_pool_t *pool)
    OKS_MUST_USE;
/* RSAES-OAEP without a label (RFC 8017 7.1.2); digests by OpenSSL's names, "SHA1" and "SHA256". Into `out`, of `size` bytes; how
 * many, or 0 when it fails, which takes as long. */
apr_size_t oks_rsa_oaep_decrypt(unsigned char *out, apr_size_t size, const oks_keypair_t *pair, const char *digest,
                                const char *mgf_digest, oks_span_t sealed);
/* AES as XML Encryption 1.1 5.2 has it: the IV before the text; GCM with its tag after it (gcm), or CBC with padding. The key has
 * 16 or 32 bytes. False when it fails: for CBC that says nothing of who wrote it. */
bool oks_aes_decrypt(oks_span_t *text, bool gcm, oks_span_t key, oks_span_t sealed, apr_pool_t *pool) OKS_MUST_USE;
/* In PEM, in `pool`, as OpenSSL writes it. */
const char *oks_cert_pem(const oks_cert_t *cert, apr_pool_t *pool);

/* ---- JWK and JWS (RFC 7517, 7515, 7518, 8037) on OpenSSL EVP ------------------------------------------------- */

/* What a signature may be made with: a set of bits. Nothing else exists here: no none, no HS*, no JWE (DESIGN.md 7). */
typedef enum oks_jws_algorithm_t {
    OKS_JWS_RS256 = 1, OKS_JWS_RS384 = 2, OKS_JWS_RS512 = 4, OKS_JWS_PS256 = 8, OKS_JWS_PS384 = 16, OKS_JWS_PS512 = 32,
    OKS_JWS_ES256 = 64, OKS_JWS_ES384 = 128, OKS_JWS_ES512 = 256, OKS_JWS_EDDSA = 512
} oks_jws_algorithm_t;
/* The bit of "RS256" and so on; 0 for a name that is not implemented. */
unsigned oks_jws_algorithm(oks_span_t name);

#define OKS_JWKS_MAX (256 * 1024) /* bytes of a JWK Set */
#define OKS_JWKS_KEYS_MAX 32
#define OKS_JWS_TOKEN_MAX (64 * 1024) /* bytes of a compact token */

/* A set of public keys that may verify signatures. Read-only once made; keys are freed with the pool. */
typedef struct oks_jwks_t oks_jwks_t;
/* Keys that we cannot use (use other than sig, key_ops without verify, another kty or curve, weak) are left out; a set without
 * a usable one is crypto.jwks.empty. crypto.jwks.malformed, base.json.*. */
oks_err_t *oks_jwks_parse(oks_jwks_t **keys, oks_span_t json, apr_pool_t *pool) OKS_MUST_USE;
/* Is there a key of that id? */
bool oks_jwks_has(const oks_jwks_t *keys, const char *kid);

/* Verifies a compact JWS (RFC 7515 5.2) and returns its payload. The algorithm must be in `algorithms` (0: all), the key is the
 * one of the header's kid, or the only one that fits when there is no kid; `typ`, when not NULL, must be the header's (case
 * folded, an "application/" before it apart), and a header typ must else be JWT or absent. jku, x5u, jwk and x5c are never
 * used. *digest (which may be NULL) is OpenSSL's name of the hash that belongs to the algorithm (OIDC Core 3.1.3.6).
 * Reasons: crypto.jws.malformed, crypto.jws.algorithm, crypto.jws.key_unknown, crypto.jws.signature,
 * crypto.jws.header (crit, b64, typ, keys in the header), base.json.*. */
oks_err_t *oks_jws_verify(oks_span_t *payload, const char **digest, oks_span_t token, const oks_jwks_t *keys, unsigned algorithms,
                          const char *typ, apr_pool_t *pool) OKS_MUST_USE;

/* A private key that signs: RSA (RS256) or EC P-256 (ES256). */
typedef struct oks_jws_key_t {
    void *pkey;          /* EVP_PKEY *, freed with the pool */
    unsigned algorithm;  /* OKS_JWS_RS256 or OKS_JWS_ES256 */
    const char *kid;     /* given, or the RFC 7638 thumbprint */
} oks_jws_key_t;
/* From PEM without a passphrase; kid may be NULL. crypto.key.malformed, crypto.key.weak. */
oks_err_t *oks_jws_key_parse(oks_jws_key_t **key, oks_span_t pem, const char *kid, apr_pool_t *pool) OKS_MUST_USE;
/* A new EC P-256 key, in PEM, in `pool`. base.internal.error. */
oks_err_t *oks_jws_key_make(const char **pem, apr_pool_t *pool) OKS_MUST_USE;
/* Its public half as one JWK object (kty, crv/x/y or n/e, kid, use, alg), JSON text in `pool`. base.internal.error. */
oks_err_t *oks_jws_key_jwk(const char **json, const oks_jws_key_t *key, apr_pool_t *pool) OKS_MUST_USE;
/* A compact JWS in `pool`; typ is "JWT" unless given. base.internal.error. */
oks_err_t *oks_jws_sign(const char **token, const oks_jws_key_t *key, const char *typ, oks_span_t payload, apr_pool_t *pool)
    OKS_MUST_USE;

#endif
