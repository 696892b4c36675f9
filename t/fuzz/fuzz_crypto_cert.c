/* A certificate out of metadata or a file: a container for a key. */
#include <openssl/evp.h>

#include "fuzz.h"
#include "oktasso/crypto.h"

void fuzz_start(apr_pool_t *pool)
{
}

static void check(const oks_cert_t *cert, apr_pool_t *pool)
{
    oks_cert_t *again;
    HOLDS(cert->pkey && cert->der.len && strlen(cert->fingerprint) == 2 * OKS_SHA256_LEN);
    HOLDS(!EVP_PKEY_is_a(cert->pkey, "RSA") || EVP_PKEY_get_bits(cert->pkey) >= 2048);
    HOLDS(!oks_cert_parse(&again, oks_span_z(oks_base64_encode(cert->der, pool)), pool));
    HOLDS(!strcmp(again->fingerprint, cert->fingerprint) && EVP_PKEY_eq(cert->pkey, again->pkey) == 1);
    HOLDS(again->not_before == cert->not_before && again->not_after == cert->not_after);
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    oks_cert_t *cert;
    apr_array_header_t *certs = apr_array_make(pool, 1, sizeof(oks_cert_t *));
    bool one = !oks_cert_parse(&cert, input, pool), many = !oks_certs_parse(certs, input, pool);
    if (one) check(cert, pool);
    for (int i = 0; i < certs->nelts; i++) check(APR_ARRAY_IDX(certs, i, oks_cert_t *), pool);
    HOLDS(!many || certs->nelts > 0);
    return one || many;
}
