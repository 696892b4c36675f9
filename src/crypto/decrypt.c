/* What others encrypted for us: RSA-OAEP and AES. Nothing here says why it failed. */
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "oktasso/crypto.h"

#define GCM_IV 12
#define GCM_TAG 16
#define BLOCK 16

apr_size_t oks_rsa_oaep_decrypt(unsigned char *out, apr_size_t size, const oks_keypair_t *pair, const char *digest,
                                const char *mgf_digest, oks_span_t sealed)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair->pkey, NULL);
    unsigned char opened[1024]; /* the largest key has 8,192 bits */
    size_t len = sizeof opened;
    bool ok = ctx && EVP_PKEY_decrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, digest, NULL) == 1 &&
              EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, mgf_digest, NULL) == 1 &&
              EVP_PKEY_decrypt(ctx, opened, &len, (const unsigned char *)sealed.ptr, sealed.len) == 1 && len <= size;
    EVP_PKEY_CTX_free(ctx);
    if (ok) memcpy(out, opened, len);
    explicit_bzero(opened, sizeof opened);
    return ok ? len : 0;
}

/* Removes what is random at the end (XML Encryption 5.2: the last byte says how many). */
static bool strip_padding(oks_span_t *text)
{
    unsigned count = text->len ? (unsigned char)text->ptr[text->len - 1] : 0;
    if (count < 1 || count > BLOCK || count > text->len) return false;
    text->len -= count;
    return true;
}

bool oks_aes_decrypt(oks_span_t *text, bool gcm, oks_span_t key, oks_span_t sealed, apr_pool_t *pool)
{
    const EVP_CIPHER *cipher = key.len == 16 ? (gcm ? EVP_aes_128_gcm() : EVP_aes_128_cbc())
                             : key.len == 32 ? (gcm ? EVP_aes_256_gcm() : EVP_aes_256_cbc()) : NULL;
    apr_size_t iv = gcm ? GCM_IV : BLOCK, tag = gcm ? GCM_TAG : 0;
    if (!cipher || sealed.len <= iv + tag || (!gcm && sealed.len % BLOCK != 0)) return false;
    const unsigned char *bytes = (const unsigned char *)sealed.ptr;
    apr_size_t body = sealed.len - iv - tag;
    unsigned char *out = apr_palloc(pool, body + BLOCK);
    int len = 0, rest = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx && EVP_DecryptInit_ex(ctx, cipher, NULL, (const unsigned char *)key.ptr, bytes) == 1 &&
              EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 && EVP_DecryptUpdate(ctx, out, &len, bytes + iv, (int)body) == 1;
    if (ok && gcm) /* OpenSSL takes the tag through a pointer that is not const */
        ok = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, GCM_TAG, (void *)(uintptr_t)(bytes + iv + body)) == 1;
    ok = ok && EVP_DecryptFinal_ex(ctx, out + len, &rest) == 1;
    EVP_CIPHER_CTX_free(ctx);
    *text = oks_span((char *)out, (apr_size_t)len + (apr_size_t)rest);
    return ok && (gcm || strip_padding(text));
}
