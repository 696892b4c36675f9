/* The room crypto: sealing and key containers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "oktasso/crypto.h"

static apr_pool_t *pool;
static oks_keyring_t *ring;

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define REASON(call, wanted) do { oks_err_t *err_ = (call); assert_non_null(err_); assert_int_equal(err_->reason, wanted); } while (0)

static int set_up(void **state)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    return oks_keyring_parse(&ring, oks_span_z("# keys\n" KEY_A "\n\n"), pool) != NULL;
}

static int tear_down(void **state)
{
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

static void what_is_sealed_opens(void **state)
{
    const char *text, *again;
    unsigned char out[64];
    oks_span_t aad = oks_span_z("purpose"), plain = oks_span_z("hello"), opened;
    assert_null(oks_seal(&text, ring, aad, plain, pool));
    assert_null(oks_seal(&again, ring, aad, plain, pool));
    assert_string_not_equal(text, again); /* a fresh nonce each time */
    for (int i = 0; i < 20; i++) /* kept contexts serve again and again */
        assert_int_equal(oks_unseal_into(out, sizeof out, ring, aad, oks_span_z(text)), 5);
    assert_memory_equal(out, "hello", 5);
    assert_null(oks_unseal(&opened, ring, aad, oks_span_z(text), pool));
    assert_true(oks_span_eq(opened, plain));
}

static void anything_else_does_not(void **state)
{
    const char *text;
    unsigned char out[64];
    oks_span_t aad = oks_span_z("purpose"), opened;
    assert_null(oks_seal(&text, ring, aad, oks_span_z("hello"), pool));
    assert_int_equal(oks_unseal_into(out, sizeof out, ring, oks_span_z("Purpose"), oks_span_z(text)), -1);
    assert_int_equal(oks_unseal_into(out, 4, ring, aad, oks_span_z(text)), -1); /* too small a buffer */
    for (size_t i = 0; i < strlen(text); i++) { /* SECURITY.md 11 */
        char *changed = apr_pstrdup(pool, text);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_int_equal(oks_unseal_into(out, sizeof out, ring, aad, oks_span_z(changed)), -1);
        assert_int_equal(oks_unseal_into(out, sizeof out, ring, aad, oks_span(text, i)), -1);
    }
    char *big = apr_palloc(pool, 5000);
    memset(big, 'A', 5000);
    assert_int_equal(oks_unseal_into(out, sizeof out, ring, aad, oks_span(big, 5000)), -1);
    REASON(oks_unseal(&opened, ring, aad, oks_span(big, 5000), pool), OKS_R_CRYPTO_SEAL_BROKEN);
    REASON(oks_unseal(&opened, ring, aad, oks_span_z("!"), pool), OKS_R_CRYPTO_SEAL_BROKEN);
    REASON(oks_unseal(&opened, ring, aad, oks_span(NULL, 0), pool), OKS_R_CRYPTO_SEAL_BROKEN);
}

static void the_first_key_seals_and_all_open(void **state)
{
    oks_keyring_t *both, *other;
    const char *old, *fresh;
    oks_span_t aad = oks_span_z("x"), opened;
    assert_null(oks_keyring_parse(&both, oks_span_z(KEY_B "\n" KEY_A), pool));
    assert_null(oks_keyring_parse(&other, oks_span_z(KEY_B), pool));
    assert_null(oks_seal(&old, ring, aad, oks_span_z("p"), pool));
    assert_null(oks_seal(&fresh, both, aad, oks_span_z("p"), pool));
    assert_null(oks_unseal(&opened, both, aad, oks_span_z(old), pool));
    assert_null(oks_unseal(&opened, other, aad, oks_span_z(fresh), pool));
    REASON(oks_unseal(&opened, other, aad, oks_span_z(old), pool), OKS_R_CRYPTO_SEAL_BROKEN);
}

static void key_files(void **state)
{
    static const char *const bad[] = { "", "# only\n", "00", KEY_A "00", KEY_A "\n" KEY_A, "zz" KEY_A,
        "01" "\n", KEY_A " " KEY_B };
    oks_keyring_t *made;
    const char *line;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        REASON(oks_keyring_parse(&made, oks_span_z(bad[i]), pool), OKS_R_CRYPTO_KEYS_MALFORMED);
    const char *nine = "";
    for (int i = 0; i < OKS_KEYS_MAX + 1; i++) nine = apr_psprintf(pool, "%s%s%02x\n", nine, &KEY_A[2], i);
    REASON(oks_keyring_parse(&made, oks_span_z(nine), pool), OKS_R_CRYPTO_KEYS_MALFORMED);
    assert_null(oks_keyring_new_line(&line, pool));
    assert_null(oks_keyring_parse(&made, oks_span_z(line), pool));
}

static void secrets_compare(void **state)
{
    assert_true(oks_secret_eq(oks_span_z("abc"), oks_span_z("abc")));
    assert_false(oks_secret_eq(oks_span_z("abc"), oks_span_z("abd")));
    assert_false(oks_secret_eq(oks_span_z("abc"), oks_span_z("ab")));
    assert_false(oks_secret_eq(oks_span(NULL, 0), oks_span(NULL, 0))); /* SECURITY.md 25 */
}

static void certificates(void **state)
{
    oks_cert_t *cert;
    REASON(oks_cert_parse(&cert, oks_span_z("not base64!"), pool), OKS_R_CRYPTO_CERT_MALFORMED);
    REASON(oks_cert_parse(&cert, oks_span_z("aGVsbG8="), pool), OKS_R_CRYPTO_CERT_MALFORMED);
    REASON(oks_cert_parse(&cert, oks_span_z("-----BEGIN CERTIFICATE-----\naGVsbG8="), pool), OKS_R_CRYPTO_CERT_MALFORMED);
    REASON(oks_cert_parse(&cert, oks_span(NULL, 0), pool), OKS_R_CRYPTO_CERT_MALFORMED);
    apr_array_header_t *certs = apr_array_make(pool, 1, sizeof(oks_cert_t *));
    REASON(oks_certs_parse(certs, oks_span_z("aGVsbG8="), pool), OKS_R_CRYPTO_CERT_MALFORMED);
    assert_int_equal(certs->nelts, 0); /* what could not be read is not among them */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens), cmocka_unit_test(anything_else_does_not),
        cmocka_unit_test(the_first_key_seals_and_all_open), cmocka_unit_test(key_files), cmocka_unit_test(secrets_compare),
        cmocka_unit_test(certificates),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
