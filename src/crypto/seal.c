/* Random bytes, digests and sealing by AES-256-GCM. */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "known_private.h"

#define VERSION 1
#define ID_LEN 4
#define NONCE_LEN 12
#define TAG_LEN 16
#define HEAD_LEN (1 + ID_LEN)
#define UNSEAL_INTO_MAX 512       /* bytes that oks_unseal_into decodes on its stack */

typedef struct ring_key_t {
    unsigned char bytes[OKS_KEY_LEN];
    unsigned char id[ID_LEN];
} ring_key_t;

struct oks_keyring_t {
    EVP_CIPHER *cipher;
    int count;
    ring_key_t *keys;
    oks_known_t *known; /* a cache, not state: the ring reads as constant */
};

oks_err_t *oks_random_bytes(unsigned char *out, apr_size_t len, apr_pool_t *pool)
{
    if (RAND_bytes(out, (int)len) != 1) return oks_err(pool, OKS_R_CRYPTO_RANDOM_UNAVAILABLE, NULL);
    return NULL;
}

void oks_sha256(unsigned char out[OKS_SHA256_LEN], oks_span_t data)
{
    /* What is no digest would be a key that no claim and no token is found by. */
    if (!SHA256((const unsigned char *)data.ptr, data.len, out)) abort();
}

bool oks_secret_eq(oks_span_t a, oks_span_t b)
{
    return a.len && a.len == b.len && CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0;
}

static apr_status_t wipe_ring(void *data)
{
    oks_keyring_t *ring = data;
    for (int i = 0; i < ring->count; i++) OPENSSL_cleanse(ring->keys[i].bytes, OKS_KEY_LEN);
    EVP_CIPHER_free(ring->cipher);
    return APR_SUCCESS;
}

static oks_err_t *add_key(oks_keyring_t *ring, oks_span_t line, apr_pool_t *pool)
{
    unsigned char digest[OKS_SHA256_LEN];
    if (ring->count == OKS_KEYS_MAX)
        return oks_err(pool, OKS_R_CRYPTO_KEYS_MALFORMED, "more than %d keys", OKS_KEYS_MAX);
    ring_key_t *key = &ring->keys[ring->count];
    if (!oks_hex_decode_into(key->bytes, OKS_KEY_LEN, line))
        return oks_err(pool, OKS_R_CRYPTO_KEYS_MALFORMED, "key %d is not %d hexadecimal digits", ring->count + 1,
                       OKS_KEY_LEN * 2);
    oks_sha256(digest, oks_span((char *)key->bytes, OKS_KEY_LEN));
    memcpy(key->id, digest, ID_LEN);
    for (int i = 0; i < ring->count; i++)
        if (memcmp(ring->keys[i].id, key->id, ID_LEN) == 0)
            return oks_err(pool, OKS_R_CRYPTO_KEYS_MALFORMED, "key %d repeats key %d", ring->count + 1, i + 1);
    ring->count++;
    return NULL;
}

oks_err_t *oks_keyring_parse(oks_keyring_t **ring, oks_span_t text, apr_pool_t *pool)
{
    oks_keyring_t *made = apr_pcalloc(pool, sizeof *made);
    oks_span_t line;
    made->keys = apr_pcalloc(pool, OKS_KEYS_MAX * sizeof *made->keys);
    made->known = oks_known_make(pool);
    made->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    apr_pool_cleanup_register(pool, made, wipe_ring, apr_pool_cleanup_null);
    if (!made->cipher) return oks_err(pool, OKS_R_INTERNAL, "OpenSSL offers no AES-256-GCM");
    while (oks_span_next(&line, &text, '\n')) {
        line = oks_span_trim(line);
        if (line.len && line.ptr[0] != '#') OKS_TRY(add_key(made, line, pool));
    }
    if (!made->count) return oks_err(pool, OKS_R_CRYPTO_KEYS_MALFORMED, "no key");
    *ring = made;
    return NULL;
}

oks_err_t *oks_keyring_new_line(const char **line, apr_pool_t *pool)
{
    unsigned char key[OKS_KEY_LEN];
    OKS_TRY(oks_random_bytes(key, sizeof key, pool));
    *line = apr_pstrcat(pool, oks_hex_encode(oks_span((char *)key, sizeof key), pool), "\n", NULL);
    OPENSSL_cleanse(key, sizeof key);
    return NULL;
}

/* Version and key id are authenticated too, after the caller's data. */
static bool crypt_gcm(EVP_CIPHER_CTX *ctx, unsigned char *out, const unsigned char *in, int len, oks_span_t aad,
                      const unsigned char head[HEAD_LEN])
{
    int n;
    return EVP_CipherUpdate(ctx, NULL, &n, (const unsigned char *)aad.ptr, (int)aad.len) == 1 &&
           EVP_CipherUpdate(ctx, NULL, &n, head, HEAD_LEN) == 1 && EVP_CipherUpdate(ctx, out, &n, in, len) == 1;
}

oks_err_t *oks_seal(const char **text, const oks_keyring_t *ring, oks_span_t aad, oks_span_t plain, apr_pool_t *pool)
{
    const ring_key_t *key = &ring->keys[0];
    unsigned char *message = apr_palloc(pool, plain.len + OKS_SEAL_OVERHEAD), *nonce = message + HEAD_LEN;
    unsigned char *body = nonce + NONCE_LEN;
    int n;
    message[0] = VERSION;
    memcpy(message + 1, key->id, ID_LEN);
    OKS_TRY(oks_random_bytes(nonce, NONCE_LEN, pool)); /* SECURITY.md 11: fresh for every message */
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx && EVP_EncryptInit_ex2(ctx, ring->cipher, key->bytes, nonce, NULL) == 1 &&
              crypt_gcm(ctx, body, (const unsigned char *)plain.ptr, (int)plain.len, aad, message) &&
              EVP_EncryptFinal_ex(ctx, body + plain.len, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, body + plain.len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!ok) return oks_err(pool, OKS_R_INTERNAL, "sealing failed");
    *text = oks_base64url_encode(oks_span((char *)message, plain.len + OKS_SEAL_OVERHEAD), pool);
    return NULL;
}

/* The plain length, or -1. `out` must hold len - OKS_SEAL_OVERHEAD bytes. */
static apr_ssize_t open_message(unsigned char *out, const oks_keyring_t *ring, oks_span_t aad,
                                const unsigned char *message, apr_size_t len)
{
    const ring_key_t *key = NULL;
    if (len < OKS_SEAL_OVERHEAD || message[0] != VERSION) return -1;
    for (int i = 0; i < ring->count && !key; i++)
        if (memcmp(ring->keys[i].id, message + 1, ID_LEN) == 0) key = &ring->keys[i];
    EVP_CIPHER_CTX *ctx = key ? EVP_CIPHER_CTX_new() : NULL;
    if (!ctx) return -1;
    const unsigned char *nonce = message + HEAD_LEN, *body = nonce + NONCE_LEN;
    int plain_len = (int)(len - OKS_SEAL_OVERHEAD), n;
    unsigned char tag[TAG_LEN];
    memcpy(tag, body + plain_len, TAG_LEN);
    bool ok = EVP_DecryptInit_ex2(ctx, ring->cipher, key->bytes, nonce, NULL) == 1 &&
              crypt_gcm(ctx, out, body, plain_len, aad, message) &&
              EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1 &&
              EVP_DecryptFinal_ex(ctx, out + plain_len, &n) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok ? plain_len : -1;
}

apr_ssize_t oks_unseal_into(unsigned char *out, apr_size_t size, const oks_keyring_t *ring, oks_span_t aad,
                            oks_span_t text)
{
    unsigned char message[UNSEAL_INTO_MAX];
    apr_ssize_t plain_len = oks_known_get(out, size, ring->known, aad, text);
    if (plain_len >= 0) return plain_len;
    apr_ssize_t len = oks_base64url_decode_into(message, sizeof message, text);
    if (len < OKS_SEAL_OVERHEAD || (apr_size_t)len > size + OKS_SEAL_OVERHEAD) return -1;
    plain_len = open_message(out, ring, aad, message, (apr_size_t)len);
    if (plain_len >= 0) oks_known_put(ring->known, aad, text, oks_span((char *)out, (apr_size_t)plain_len));
    return plain_len;
}

oks_err_t *oks_unseal(oks_span_t *plain, const oks_keyring_t *ring, oks_span_t aad, oks_span_t text, apr_pool_t *pool)
{
    oks_span_t message;
    oks_err_t *err = oks_base64url_decode(&message, text, pool);
    if (err) return oks_err_from(pool, OKS_R_CRYPTO_SEAL_BROKEN, APR_SUCCESS, err, NULL);
    unsigned char *out = apr_palloc(pool, message.len + 1);
    apr_ssize_t len = open_message(out, ring, aad, (const unsigned char *)message.ptr, message.len);
    if (len < 0) return oks_err(pool, OKS_R_CRYPTO_SEAL_BROKEN, NULL);
    *plain = oks_span((char *)out, (apr_size_t)len);
    return NULL;
}

bool oks_seal_is_current(const oks_keyring_t *ring, oks_span_t text)
{
    unsigned char start[HEAD_LEN + 1]; /* eight characters: four are three bytes */
    return text.len >= 8 && oks_base64url_decode_into(start, sizeof start, oks_span(text.ptr, 8)) == sizeof start &&
           memcmp(start + 1, ring->keys[0].id, ID_LEN) == 0;
}
