/* Certificates as key containers (OKTA.md B.1.2). */
#include <string.h>

#include <apr_strings.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "key_private.h"

static apr_status_t free_x509(void *x509)
{
    X509_free(x509);
    return APR_SUCCESS;
}

/* DER, in `pool`, of a certificate given as DER, PEM or bare base64. */
static oks_err_t *to_der(oks_span_t *der, oks_span_t text, apr_pool_t *pool)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----", end[] = "-----END CERTIFICATE-----";
    /* A SEQUENCE with a long-form length: no text starts so. */
    if (text.len > 2 && (unsigned char)text.ptr[0] == 0x30 && (unsigned char)text.ptr[1] >= 0x80) {
        *der = oks_span(apr_pmemdup(pool, text.ptr, text.len), text.len);
        return NULL;
    }
    text = oks_span_trim(text);
    const char *from = memmem(text.ptr ? text.ptr : "", text.len, begin, sizeof begin - 1);
    if (from) {
        from += sizeof begin - 1;
        const char *to = memmem(from, (apr_size_t)(text.ptr + text.len - from), end, sizeof end - 1);
        if (!to) return oks_err(pool, OKS_R_CRYPTO_CERT_MALFORMED, "no END CERTIFICATE line");
        text = oks_span(from, (apr_size_t)(to - from));
    }
    oks_err_t *err = oks_base64_decode(der, text, pool);
    if (err) return oks_err_from(pool, OKS_R_CRYPTO_CERT_MALFORMED, APR_SUCCESS, err, NULL);
    return NULL;
}

static apr_time_t when(const ASN1_TIME *time)
{
    struct tm tm;
    apr_time_exp_t exp;
    apr_time_t result = 0;
    if (!time || ASN1_TIME_to_tm(time, &tm) != 1) return 0;
    memset(&exp, 0, sizeof exp);
    exp.tm_year = tm.tm_year, exp.tm_mon = tm.tm_mon, exp.tm_mday = tm.tm_mday;
    exp.tm_hour = tm.tm_hour, exp.tm_min = tm.tm_min, exp.tm_sec = tm.tm_sec;
    apr_time_exp_get(&result, &exp);
    return result;
}

oks_err_t *oks_cert_parse(oks_cert_t **cert, oks_span_t text, apr_pool_t *pool)
{
    unsigned char digest[OKS_SHA256_LEN];
    oks_cert_t *made = apr_pcalloc(pool, sizeof *made);
    OKS_TRY(to_der(&made->der, text, pool));
    const unsigned char *p = (const unsigned char *)made->der.ptr;
    X509 *x509 = d2i_X509(NULL, &p, (long)made->der.len);
    if (!x509) return oks_err(pool, OKS_R_CRYPTO_CERT_MALFORMED, "not an X.509 certificate");
    apr_pool_cleanup_register(pool, x509, free_x509, apr_pool_cleanup_null);
    if (p != (const unsigned char *)made->der.ptr + made->der.len)
        return oks_err(pool, OKS_R_CRYPTO_CERT_MALFORMED, "bytes after the certificate");
    made->pkey = X509_get_pubkey(x509);
    if (!made->pkey) return oks_err(pool, OKS_R_CRYPTO_CERT_MALFORMED, "no usable public key");
    oks_key_adopt(made->pkey, pool);
    OKS_TRY(oks_key_judge(made->pkey, pool));
    made->not_before = when(X509_get0_notBefore(x509));
    made->not_after = when(X509_get0_notAfter(x509));
    oks_sha256(digest, made->der);
    made->fingerprint = oks_hex_encode(oks_span((char *)digest, sizeof digest), pool);
    *cert = made;
    return NULL;
}

oks_err_t *oks_certs_parse(apr_array_header_t *certs, oks_span_t text, apr_pool_t *pool)
{
    static const char end[] = "-----END CERTIFICATE-----", private_key[] = "PRIVATE KEY-----";
    if (!text.len) return oks_err(pool, OKS_R_CRYPTO_CERT_MALFORMED, "empty");
    if (memmem(text.ptr, text.len, private_key, sizeof private_key - 1))
        return oks_err(pool, OKS_R_CRYPTO_CERT_MALFORMED, "a private key, where only certificates belong");
    do {
        const char *last = memmem(text.ptr, text.len, end, sizeof end - 1), *stop = text.ptr + text.len;
        if (last) stop = last + sizeof end - 1;
        oks_cert_t *cert;
        OKS_TRY(oks_cert_parse(&cert, oks_span(text.ptr, (apr_size_t)(stop - text.ptr)), pool));
        APR_ARRAY_PUSH(certs, oks_cert_t *) = cert;
        text = oks_span(stop, (apr_size_t)(text.ptr + text.len - stop));
    } while (memmem(text.ptr, text.len, "-----BEGIN", 10));
    return NULL;
}
