/* What jwk.c and jws.c share. */
#ifndef OKTASSO_JWS_PRIVATE_H
#define OKTASSO_JWS_PRIVATE_H

#include <openssl/evp.h>

#include "oktasso/crypto.h"

typedef struct oks_jwk_t {
    const char *kid;   /* or NULL */
    unsigned fits;     /* oks_jws_algorithm_t bits */
    EVP_PKEY *pkey;
} oks_jwk_t;

struct oks_jwks_t {
    int count;
    oks_jwk_t keys[OKS_JWKS_KEYS_MAX];
};

#endif
