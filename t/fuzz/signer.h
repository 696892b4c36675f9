/* Tokens that are signed whatever is in them, so that an input reaches what lies behind the signature. */
#ifndef OKTASSO_FUZZ_SIGNER_H
#define OKTASSO_FUZZ_SIGNER_H

#include <openssl/evp.h>

#include "fuzz.h"
#include "oktasso/crypto.h"

/* A key for these tests alone; Ed25519 is quick, and signs the same text the same way each time. */
typedef struct signer_t {
    EVP_PKEY *key;
    oks_jwks_t *keys; /* its public half, kid "fuzz" */
} signer_t;

void signer_make(signer_t *signer, apr_pool_t *pool);
const char *signer_sign(const signer_t *signer, oks_span_t header, oks_span_t payload, apr_pool_t *pool);

#endif
