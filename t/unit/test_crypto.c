/* The room crypto: sealing and key containers. */
#include <stdio.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>

#include "oktasso/crypto.h"
#include "unit.h"

static apr_pool_t *pool;
static oks_keyring_t *ring;

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

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
    GOOD(oks_seal(&text, ring, aad, plain, pool));
    GOOD(oks_seal(&again, ring, aad, plain, pool));
    assert_string_not_equal(text, again); /* a fresh nonce each time */
    for (int i = 0; i < 3; i++) { /* the second time it is known */
        memset(out, 0, sizeof out);
        assert_int_equal(oks_unseal_into(out, sizeof out, ring, aad, oks_span_z(text)), 5);
        assert_memory_equal(out, "hello", 5);
    }
    GOOD(oks_unseal(&opened, ring, aad, oks_span_z(text), pool));
    assert_true(oks_span_eq(opened, plain));
}

static void anything_else_does_not(void **state)
{
    const char *text;
    unsigned char out[64];
    oks_span_t aad = oks_span_z("purpose"), opened;
    GOOD(oks_seal(&text, ring, aad, oks_span_z("hello"), pool));
    assert_int_equal(oks_unseal_into(out, sizeof out, ring, aad, oks_span_z(text)), 5); /* known from here on */
    assert_int_equal(oks_unseal_into(out, sizeof out, ring, oks_span_z("Purpose"), oks_span_z(text)), -1);
    assert_int_equal(oks_unseal_into(out, sizeof out, ring, oks_span_z("purposes"), oks_span_z(text)), -1);
    /* the same bytes, the border elsewhere */
    const char *moved = apr_pstrcat(pool, "e", text, NULL);
    assert_int_equal(oks_unseal_into(out, sizeof out, ring, oks_span_z("purpos"), oks_span_z(moved)), -1);
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

static void what_is_known_is_of_one_ring(void **state)
{
    oks_keyring_t *both, *other;
    const char *text;
    unsigned char out[64];
    oks_span_t aad = oks_span_z("x");
    GOOD(oks_keyring_parse(&both, oks_span_z(KEY_B "\n" KEY_A), pool));
    GOOD(oks_keyring_parse(&other, oks_span_z(KEY_B), pool));
    GOOD(oks_seal(&text, ring, aad, oks_span_z("p"), pool));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(oks_unseal_into(out, sizeof out, both, aad, oks_span_z(text)), 1);
        assert_int_equal(oks_unseal_into(out, sizeof out, other, aad, oks_span_z(text)), -1); /* its key is not there any more */
    }
}

/* More than there are places, and some too large for one. */
static void many_texts_open_each_to_its_own(void **state)
{
    enum { TEXTS = 20000 };
    const char **texts = apr_palloc(pool, TEXTS * sizeof *texts);
    unsigned char out[300];
    oks_span_t aad = oks_span_z("x");
    char plain[300] = "";
    for (int i = 0; i < TEXTS; i++) {
        memcpy(plain, &i, sizeof i);
        GOOD(oks_seal(&texts[i], ring, aad, oks_span(plain, i % 100 ? sizeof i : sizeof plain), pool));
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < TEXTS; i++) {
            memset(out, 0xff, sizeof out);
            assert_int_equal(oks_unseal_into(out, sizeof out, ring, aad, oks_span_z(texts[i])), i % 100 ? sizeof i : sizeof plain);
            assert_memory_equal(out, &i, sizeof i);
        }
}

static void *APR_THREAD_FUNC open_often(apr_thread_t *thread, void *texts_)
{
    const char *const *texts = texts_;
    unsigned char out[64];
    for (int i = 0; i < 20000; i++)
        if (oks_unseal_into(out, sizeof out, ring, oks_span_z("x"), oks_span_z(texts[i % 2])) != 1 || out[0] != "ab"[i % 2])
            apr_thread_exit(thread, APR_EGENERAL);
    apr_thread_exit(thread, APR_SUCCESS);
    return NULL;
}

static void threads_open_at_the_same_time(void **state)
{
    const char *texts[2];
    apr_thread_t *threads[4];
    apr_status_t status;
    GOOD(oks_seal(&texts[0], ring, oks_span_z("x"), oks_span_z("a"), pool));
    GOOD(oks_seal(&texts[1], ring, oks_span_z("x"), oks_span_z("b"), pool));
    for (int i = 0; i < 4; i++) assert_int_equal(apr_thread_create(&threads[i], NULL, open_often, texts, pool), APR_SUCCESS);
    for (int i = 0; i < 4; i++) {
        apr_thread_join(&status, threads[i]);
        assert_int_equal(status, APR_SUCCESS);
    }
}

static void the_first_key_seals_and_all_open(void **state)
{
    oks_keyring_t *both, *other;
    const char *old, *fresh;
    oks_span_t aad = oks_span_z("x"), opened;
    GOOD(oks_keyring_parse(&both, oks_span_z(KEY_B "\n" KEY_A), pool));
    GOOD(oks_keyring_parse(&other, oks_span_z(KEY_B), pool));
    GOOD(oks_seal(&old, ring, aad, oks_span_z("p"), pool));
    GOOD(oks_seal(&fresh, both, aad, oks_span_z("p"), pool));
    GOOD(oks_unseal(&opened, both, aad, oks_span_z(old), pool));
    GOOD(oks_unseal(&opened, other, aad, oks_span_z(fresh), pool));
    REASON(oks_unseal(&opened, other, aad, oks_span_z(old), pool), OKS_R_CRYPTO_SEAL_BROKEN);
    assert_true(oks_seal_is_current(both, oks_span_z(fresh)) && oks_seal_is_current(ring, oks_span_z(old)));
    assert_false(oks_seal_is_current(both, oks_span_z(old)));
    for (apr_size_t len = 0; len < 8; len++) assert_false(oks_seal_is_current(both, oks_span(fresh, len)));
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
    GOOD(oks_keyring_new_line(&line, pool));
    GOOD(oks_keyring_parse(&made, oks_span_z(line), pool));
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

/* ---- Keys of our own ---- */

#define OPENSSL(arguments) shell_output("openssl " arguments " 2>/dev/null")

static oks_span_t shell_output(const char *command)
{
    char *text = apr_pcalloc(pool, 16384);
    FILE *stream = popen(command, "r");
    assert_non_null(stream);
    size_t len = fread(text, 1, 16383, stream);
    assert_int_equal(pclose(stream), 0);
    return oks_span(text, len);
}

static void a_key_of_our_own(void **state)
{
    oks_keypair_t *pair, *other;
    oks_span_t signature, message = oks_span_z("message");
    const char *pem, *second, *begin = "-----BEGIN CERTIFICATE-----";
    GOOD(oks_keypair_make(&pem, "acme", apr_time_from_sec(1800000000), pool));
    GOOD(oks_keypair_parse(&pair, oks_span_z(pem), oks_span_z(strstr(pem, begin)), pool));
    assert_true(pair->cert->not_before == apr_time_from_sec(1800000000) && pair->cert->not_after > pair->cert->not_before);
    assert_string_equal(oks_cert_pem(pair->cert, pool), strstr(pem, begin)); /* as OpenSSL itself writes it */
    GOOD(oks_sign_rsa_sha256(&signature, pair, message, pool));
    assert_int_equal(signature.len, 256);
    GOOD(oks_keypair_make(&second, "acme", apr_time_now(), pool));
    REASON(oks_keypair_parse(&other, oks_span_z(second), oks_span_z(strstr(pem, begin)), pool), OKS_R_CRYPTO_KEY_MALFORMED);
    REASON(oks_keypair_parse(&other, oks_span_z("no key"), oks_span_z(strstr(pem, begin)), pool), OKS_R_CRYPTO_KEY_MALFORMED);
    REASON(oks_keypair_parse(&other, oks_span_z(pem), oks_span_z("no cert"), pool), OKS_R_CRYPTO_CERT_MALFORMED);
}

static void a_long_name_is_cut_to_what_a_certificate_holds(void **state)
{
    oks_keypair_t *pair;
    char name[] = "mod_oktasso an-organization-of-sixty-three-characters-which-is-what-it-may-have";
    const char *pem;
    name[12 + 63] = '\0';
    GOOD(oks_keypair_make(&pem, name, apr_time_now(), pool));
    GOOD(oks_keypair_parse(&pair, oks_span_z(pem), oks_span_z(strstr(pem, "-----BEGIN CERTIFICATE-----")), pool));
}

#define EXPONENT "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:"

static void keys_that_are_no_good(void **state)
{
    oks_keypair_t *pair;
    oks_jws_key_t *key;
    oks_span_t none = oks_span_z("none");
    oks_span_t weak = OPENSSL("req -x509 -newkey rsa:1024 -nodes -keyout - -subj /CN=t");
    const char *cert = strstr(oks_span_dup(weak, pool), "-----BEGIN CERTIFICATE");
    REASON(oks_keypair_parse(&pair, weak, oks_span_z(cert), pool), OKS_R_CRYPTO_KEY_WEAK);
    REASON(oks_keypair_parse(&pair, OPENSSL("ecparam -name prime256v1 -genkey -noout"), none, pool), OKS_R_CRYPTO_KEY_MALFORMED);
    REASON(oks_jws_key_parse(&key, OPENSSL("genrsa 1024"), NULL, pool), OKS_R_CRYPTO_KEY_WEAK);
    GOOD(oks_jws_key_parse(&key, OPENSSL(EXPONENT "18446744073709551557"), NULL, pool)); /* the primes around 2^64 */
    REASON(oks_jws_key_parse(&key, OPENSSL(EXPONENT "18446744073709551629"), NULL, pool), OKS_R_CRYPTO_KEY_WEAK);
    REASON(oks_jws_key_parse(&key, OPENSSL("genpkey -algorithm ed25519"), NULL, pool), OKS_R_CRYPTO_KEY_MALFORMED);
    REASON(oks_jws_key_parse(&key, OPENSSL("ecparam -name secp256k1 -genkey -noout"), NULL, pool), OKS_R_CRYPTO_KEY_MALFORMED);
    REASON(oks_jws_key_parse(&key, OPENSSL("genrsa -aes128 -passout pass:x 2048"), NULL, pool), OKS_R_CRYPTO_KEY_MALFORMED);
}

static void files_of_certificates(void **state)
{
    apr_array_header_t *certs = apr_array_make(pool, 2, sizeof(oks_cert_t *));
    oks_cert_t *cert;
    const char *pem, *two;
    GOOD(oks_keypair_make(&pem, "acme", apr_time_now(), pool));
    REASON(oks_certs_parse(certs, oks_span_z(pem), pool), OKS_R_CRYPTO_CERT_MALFORMED); /* the private key is in it */
    pem = strstr(pem, "-----BEGIN CERTIFICATE-----");
    two = apr_pstrcat(pool, pem, "\r\n", pem, NULL);
    apr_array_clear(certs);
    GOOD(oks_certs_parse(certs, oks_span_z(two), pool));
    assert_int_equal(certs->nelts, 2);
    cert = APR_ARRAY_IDX(certs, 0, oks_cert_t *);
    char *der = apr_pstrmemdup(pool, cert->der.ptr, cert->der.len);
    GOOD(oks_certs_parse(certs, oks_span(der, cert->der.len), pool));
    memset(der, 'x', cert->der.len); /* a file's bytes may go before the certificate does */
    assert_true(oks_span_eq(APR_ARRAY_IDX(certs, 2, oks_cert_t *)->der, cert->der));
    GOOD(oks_certs_parse(certs, oks_span_z(oks_base64_encode(cert->der, pool)), pool));
    assert_int_equal(certs->nelts, 4);
    REASON(oks_certs_parse(certs, oks_span_z(""), pool), OKS_R_CRYPTO_CERT_MALFORMED);
    const char *longer = apr_pstrcat(pool, oks_hex_encode(cert->der, pool), "00", NULL);
    unsigned char *bytes = apr_palloc(pool, cert->der.len + 1);
    assert_true(oks_hex_decode_into(bytes, cert->der.len + 1, oks_span_z(longer)));
    REASON(oks_cert_parse(&cert, oks_span((char *)bytes, cert->der.len + 1), pool), OKS_R_CRYPTO_CERT_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens), cmocka_unit_test(anything_else_does_not),
        cmocka_unit_test(what_is_known_is_of_one_ring),
        cmocka_unit_test(many_texts_open_each_to_its_own),
        cmocka_unit_test(threads_open_at_the_same_time),
        cmocka_unit_test(the_first_key_seals_and_all_open), cmocka_unit_test(key_files), cmocka_unit_test(secrets_compare),
        cmocka_unit_test(certificates), cmocka_unit_test(a_key_of_our_own), cmocka_unit_test(keys_that_are_no_good),
        cmocka_unit_test(files_of_certificates), cmocka_unit_test(a_long_name_is_cut_to_what_a_certificate_holds),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
