/* What lies behind an encryption: the input is encrypted for us, and comes out as one element or not at all. */
#include <apr_strings.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "expect.h"
#include "mutate.h"
#include "oktasso/xml.h"

#define ENC "http://www.w3.org/2001/04/xmlenc#"
#define PLAIN_MAX 65536

static const unsigned char key[16] = "a key of a test", nonce[12] = "no nonce at";
static apr_array_header_t *keys;
static const char *wrapped;
static const char before_key[] =
    "<a xmlns:e=\"" ENC "\" xmlns:d=\"http://www.w3.org/2000/09/xmldsig#\"><e:EncryptedData Type=\"" ENC
    "Element\"><e:EncryptionMethod Algorithm=\"http://www.w3.org/2009/xmlenc11#aes128-gcm\"/><d:KeyInfo><e:EncryptedKey>"
    "<e:EncryptionMethod Algorithm=\"" ENC "rsa-oaep-mgf1p\"/><e:CipherData><e:CipherValue>";
static const char after_key[] = "</e:CipherValue></e:CipherData></e:EncryptedKey></d:KeyInfo><e:CipherData><e:CipherValue>";
static const char at_end[] = "</e:CipherValue></e:CipherData></e:EncryptedData></a>";

void fuzz_start(apr_pool_t *pool)
{
    unsigned char out[512];
    size_t len = sizeof out;
    FUZZ_GOOD(oks_xml_init(pool));
    oks_keypair_t *pair = expect_key("sp", pool);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair->pkey, NULL);
    HOLDS(EVP_PKEY_encrypt_init(ctx) == 1 && EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1);
    HOLDS(EVP_PKEY_encrypt(ctx, out, &len, key, sizeof key) == 1);
    EVP_PKEY_CTX_free(ctx);
    wrapped = oks_base64_encode(oks_span((char *)out, len), pool);
    keys = apr_array_make(pool, 1, sizeof(oks_keypair_t *));
    APR_ARRAY_PUSH(keys, oks_keypair_t *) = pair;
}

static const char *encrypted(oks_span_t plain, apr_pool_t *pool)
{
    unsigned char *out = apr_palloc(pool, sizeof nonce + plain.len + 16), *body = out + sizeof nonce;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int len;
    memcpy(out, nonce, sizeof nonce);
    HOLDS(EVP_EncryptInit_ex(ctx, EVP_aes_128_gcm(), NULL, key, nonce) == 1);
    HOLDS(EVP_EncryptUpdate(ctx, body, &len, (const unsigned char *)plain.ptr, (int)plain.len) == 1);
    HOLDS(EVP_EncryptFinal_ex(ctx, body + plain.len, &len) == 1);
    HOLDS(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, body + plain.len) == 1);
    EVP_CIPHER_CTX_free(ctx);
    return oks_base64_encode(oks_span((char *)out, sizeof nonce + plain.len + 16), pool);
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    xmlDocPtr doc;
    xmlNode *plain;
    if (input.len > PLAIN_MAX) return false;
    const char *xml = apr_pstrcat(pool, before_key, wrapped, after_key, encrypted(input, pool), at_end, NULL);
    FUZZ_GOOD(oks_xml_parse(&doc, oks_span_z(xml), strlen(xml), pool));
    oks_err_t *err = oks_xml_decrypt(&plain, xmlDocGetRootElement(doc), keys, false, pool);
    /* One reason for whatever came out (SECURITY.md 19). */
    HOLDS(!err || err->reason == OKS_R_XML_ENCRYPTION_FAILED);
    if (err) return false;
    HOLDS(plain->type == XML_ELEMENT_NODE && !plain->doc->intSubset && !oks_xml_next_element(plain));
    return true;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return mutate_xml(data, size, max, seed);
}
