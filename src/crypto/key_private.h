/* Keys, for the files of this room. */
#ifndef OKTASSO_KEY_PRIVATE_H
#define OKTASSO_KEY_PRIVATE_H

#include <openssl/evp.h>

#include "oktasso/crypto.h"

/* Freed with the pool. */
void oks_key_adopt(EVP_PKEY *pkey, apr_pool_t *pool);
/* RSA of 2048 to 8192 bits, or EC on P-256, P-384 or P-521: crypto.key.weak. */
oks_err_t *oks_key_judge(const EVP_PKEY *pkey, apr_pool_t *pool) OKS_MUST_USE;
/* A private key from PEM without a passphrase, freed with the pool: crypto.key.malformed. */
oks_err_t *oks_key_read(EVP_PKEY **pkey, oks_span_t pem, apr_pool_t *pool) OKS_MUST_USE;

#endif
