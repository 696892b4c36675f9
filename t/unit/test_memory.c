/* OpenSSL's nth allocation fails, for each n: a signature is refused that cannot be verified, nothing is sealed by halves or opened
 * with another key, and what is refused for want of memory works again afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/crypto.h>

#include "oktasso/crypto.h"

#define CALLS_MAX 100000 /* a loop that is longer does not end */

static apr_pool_t *global, *pool; /* pool is of one round */
static int n, countdown; /* the round; 0: nothing fails */
static bool failed;
static jmp_buf ended; /* where a process ends that has no memory for a digest */

static bool fails(void)
{
    if (!countdown || --countdown) return false;
    return failed = true;
}

static void *some(size_t size, const char *file, int line)
{
    return fails() ? NULL : malloc(size);
}

static void *more(void *old, size_t size, const char *file, int line)
{
    return fails() ? NULL : realloc(old, size);
}

static void less(void *old, const char *file, int line)
{
    free(old);
}

_Noreturn void __wrap_abort(void);
_Noreturn void __wrap_abort(void)
{
    longjmp(ended, 1);
}

/* ---- What is done, again and again: each says what came out, or why nothing did ---- */

static const oks_keyring_t *ring;
static const oks_keypair_t *pair;
static const oks_jws_key_t *signer;
static const char *pem, *sealed;
static oks_span_t token, jwks;

static const char *said(const oks_err_t *err, const char *good)
{
    return err ? oks_reason_info(err->reason)->code : good;
}

static const char *verify(oks_span_t text)
{
    oks_jwks_t *keys;
    oks_span_t payload;
    oks_err_t *err = oks_jwks_parse(&keys, jwks, pool);
    if (!err) err = oks_jws_verify(&payload, NULL, text, keys, 0, NULL, pool);
    return said(err, err ? NULL : oks_span_dup(payload, pool));
}

static const char *verify_token(void)
{
    return verify(token);
}

static const char *verify_forged(void)
{
    char *forged = apr_pstrmemdup(pool, token.ptr, token.len), *dot = strrchr(forged, '.');
    dot[1] = dot[1] == 'A' ? 'B' : 'A';
    return verify(oks_span_z(forged));
}

static const char *sign(void)
{
    const char *made, *json;
    oks_jwks_t *keys;
    oks_span_t payload;
    oks_err_t *err = oks_jws_sign(&made, signer, NULL, oks_span_z("{\"sub\":\"amelia\"}"), pool);
    if (!err) err = oks_jws_key_jwk(&json, signer, pool);
    if (!err) err = oks_jwks_parse(&keys, oks_span_z(apr_pstrcat(pool, "{\"keys\":[", json, "]}", NULL)), pool);
    if (!err) err = oks_jws_verify(&payload, NULL, oks_span_z(made), keys, 0, NULL, pool);
    return said(err, err ? NULL : oks_span_dup(payload, pool));
}

static const char *make_signer(void)
{
    oks_jws_key_t *key;
    const char *made;
    oks_err_t *err = oks_jws_key_make(&made, pool);
    if (!err) err = oks_jws_key_parse(&key, oks_span_z(made), NULL, pool);
    return said(err, "a key");
}

static const char *read_pair(void)
{
    oks_keypair_t *read;
    oks_span_t signature;
    oks_err_t *err = oks_keypair_parse(&read, oks_span_z(pem), oks_span_z(strstr(pem, "-----BEGIN CERTIFICATE")), pool);
    if (!err) err = oks_sign_rsa_sha256(&signature, read, oks_span_z("a request"), pool);
    return said(err, err ? NULL : apr_psprintf(pool, "%s %" APR_SIZE_T_FMT, read->cert->fingerprint, signature.len));
}

static const char *make_pair(void)
{
    const char *made;
    return said(oks_keypair_make(&made, "acme", apr_time_from_sec(1800000000), pool), "a pair");
}

static const char *seal(void)
{
    const char *text;
    oks_span_t plain;
    oks_err_t *err = oks_seal(&text, ring, oks_span_z("session"), oks_span_z("amelia"), pool);
    if (!err) err = oks_unseal(&plain, ring, oks_span_z("session"), oks_span_z(text), pool);
    return said(err, err ? NULL : oks_span_dup(plain, pool));
}

static const char *open_what_is_another_s(void)
{
    oks_span_t plain;
    return said(oks_unseal(&plain, ring, oks_span_z("login"), oks_span_z(sealed), pool), "amelia");
}

/* Nobody has sealed this key: what comes out must not be taken for one, nor this text for one of it. */
static const char *decrypt(void)
{
    unsigned char key[32];
    static const char noise[256];
    oks_span_t text;
    apr_size_t len = oks_rsa_oaep_decrypt(key, sizeof key, pair, "SHA1", "SHA1", oks_span(noise, sizeof noise));
    bool opened = oks_aes_decrypt(&text, true, oks_span(noise, 32), oks_span(noise, 64), pool);
    return apr_psprintf(pool, "%" APR_SIZE_T_FMT " %d", len, opened);
}

/* ---- The loop ---- */

/* `op` with the nth allocation failing, for each n that there is, or ever fewer of them (`some_of`): as `wanted`, or an error. */
static void tried(const char *what, const char *(*op)(void), const char *wanted, bool some_of)
{
    for (n = 0, failed = true; failed; n += some_of ? 1 + n / 8 : 1) {
        assert_true(n < CALLS_MAX);
        apr_pool_create(&pool, global);
        failed = false;
        countdown = n;
        const char *got = setjmp(ended) ? "base.internal.error" : op();
        countdown = 0;
        if (strcmp(got, wanted) != 0 && (!failed || !strchr(got, '.') || strchr(got, '{')))
            fail_msg("%s: allocation %d: %s, not %s", what, n, got, wanted);
        if (n == 0) failed = true; /* nothing was to fail in this round */
        apr_pool_destroy(pool);
    }
    if (n < 3) fail_msg("%s: OpenSSL's allocations are not seen", what);
}

static void tokens(void **state)
{
    const json_t *cases = json_object_get(*state, "cases"), *each;
    size_t i;
    int seen = 0;
    json_array_foreach(cases, i, each) {
        const char *name = json_string_value(json_object_get(each, "name"));
        if (strncmp(name, "good-", 5) != 0 || !oks_jws_algorithm(oks_span_z(name + 5))) continue;
        token = oks_span_z(json_string_value(json_object_get(each, "token")));
        jwks = oks_span_z(json_string_value(json_object_get(each, "jwks")));
        tried(name, verify_token, apr_pstrdup(global, (pool = global, verify_token())), false);
        tried(name, verify_forged, "crypto.jws.signature", false);
        seen++;
    }
    assert_int_equal(seen, 10);
}

static void keys_of_our_own(void **state)
{
    tried("sign", sign, "{\"sub\":\"amelia\"}", false);
    tried("make a signer", make_signer, "a key", false);
    tried("read a pair", read_pair, apr_pstrdup(global, (pool = global, read_pair())), false);
    tried("make a pair", make_pair, "a pair", true);
}

static void what_is_sealed(void **state)
{
    tried("seal", seal, "amelia", false);
    tried("open what is another's", open_what_is_another_s, "crypto.seal.broken", false);
    tried("decrypt", decrypt, "0 0", false);
}

static int set_up(void **state)
{
    const char *key;
    oks_keyring_t *made;
    oks_keypair_t *read;
    oks_jws_key_t *other;
    apr_initialize();
    apr_pool_create(&global, NULL);
    *state = json_load_file(OKS_SOURCE_DIR "/t/vectors/oidc.json", JSON_ALLOW_NUL, NULL);
    if (!*state || oks_keyring_new_line(&key, global) || oks_keyring_parse(&made, oks_span_z(key), global) ||
        oks_seal(&sealed, made, oks_span_z("session"), oks_span_z("amelia"), global) ||
        oks_keypair_make(&pem, "acme", apr_time_now(), global) ||
        oks_keypair_parse(&read, oks_span_z(pem), oks_span_z(strstr(pem, "-----BEGIN CERTIFICATE")), global) ||
        oks_jws_key_make(&key, global) || oks_jws_key_parse(&other, oks_span_z(key), NULL, global)) return -1;
    ring = made;
    pair = read;
    signer = other;
    return 0;
}

static int tear_down(void **state)
{
    json_decref(*state);
    apr_pool_destroy(global);
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(tokens), cmocka_unit_test(keys_of_our_own), cmocka_unit_test(what_is_sealed) };
    if (!CRYPTO_set_mem_functions(some, more, less)) return 1; /* before OpenSSL's first allocation */
    return cmocka_run_group_tests_name("memory", tests, set_up, tear_down);
}
