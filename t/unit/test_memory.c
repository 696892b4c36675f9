/* The nth allocation of OpenSSL, libxml2 and xmlsec1 fails, for each n: a signature is refused that cannot be verified, a Response says
 * what it says or nothing, nothing is sealed by halves or opened with another key, and what is refused for want of memory works again
 * afterwards. */
#include <dlfcn.h>
#include <execinfo.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <jansson.h>
#include <openssl/crypto.h>

#include "oktasso/saml.h"
#include "oktasso/xml.h"
#include "unit.h"

#define CALLS_MAX 100000 /* a loop that is longer does not end */
#define GOOD_ONES 4 /* of documents() */
#define CALLERS_MAX 16

static apr_pool_t *global, *pool; /* pool is of one round */
static int n, countdown; /* the round; 0: nothing fails */
static bool failed;
static sigjmp_buf ended; /* where a process ends that has no memory for a digest, or by libxml2, which does not ask everywhere */

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

static void *xml_some(size_t size)
{
    return some(size, NULL, 0);
}

static void *xml_more(void *old, size_t size)
{
    return more(old, size, NULL, 0);
}

/* Asked by LeakSanitizer: they leave behind what they had when there was no more. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libxml";
}

static void mute(void *context, const char *format, ...)
{
}

static char *xml_copy(const char *text)
{
    return fails() ? NULL : strdup(text);
}

_Noreturn void __wrap_abort(void);
_Noreturn void __wrap_abort(void)
{
    siglongjmp(ended, 1);
}

/* libxml2 and xmlsec1 do not ask everywhere whether there was memory: a process may end by that, ours may not. */
static void crashed(int signal)
{
    Dl_info place;
    void *stack[CALLERS_MAX];
    int depth = backtrace(stack, CALLERS_MAX), i = 2; /* after this function, and what called it */
    while (i < depth && dladdr(stack[i], &place) && (strstr(place.dli_fname, "/libc.") || strstr(place.dli_fname, "/libasan."))) i++;
    if (failed && i < depth && strstr(place.dli_fname, "/libxml")) siglongjmp(ended, 1);
    backtrace_symbols_fd(stack, depth, 2);
    _exit(1);
}

/* ---- What is done, again and again: each says what came out, or why nothing did ---- */

static const oks_keyring_t *ring;
static const oks_keypair_t *pair;
static const oks_jws_key_t *signer;
static const char *pem, *sealed, *sp;
static oks_span_t token, jwks, response, metadata;
static oks_saml_expect_t expect;

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

static const char *join(const char *text, const apr_array_header_t *values)
{
    for (int i = 0; i < values->nelts; i++) text = apr_pstrcat(pool, text, " ", APR_ARRAY_IDX(values, i, const char *), NULL);
    return text;
}

/* OpenSSL blinds with what is kept at the key, and may leave that in disorder: of one round, and made before anything fails. */
static oks_keypair_t *fresh_pair(const char *text)
{
    oks_keypair_t *made;
    int left = countdown;
    countdown = 0;
    oks_err_t *err = oks_keypair_parse(&made, oks_span_z(text), oks_span_z(text), pool);
    countdown = left;
    return err ? NULL : made;
}

static const char *judge(void)
{
    oks_identity_t *identity;
    apr_array_header_t *keys = apr_array_make(pool, 1, sizeof(oks_keypair_t *));
    APR_ARRAY_PUSH(keys, oks_keypair_t *) = fresh_pair(sp);
    expect.keys = keys;
    oks_err_t *err = oks_saml_response_verify(&identity, response, &expect, pool);
    if (err) return said(err, NULL);
    const char *text = apr_psprintf(pool, "%s, %s, %s, %" APR_TIME_T_FMT ", %s, %s, %s, %" APR_TIME_T_FMT, identity->subject,
                                    identity->subject_format, identity->assertion_id, identity->claim_until, identity->in_response_to,
                                    identity->session_index, identity->authn_context, identity->session_not_on_or_after);
    for (int i = 0; i < identity->attributes->nelts; i++) {
        const oks_attribute_t *each = &APR_ARRAY_IDX(identity->attributes, i, oks_attribute_t);
        text = join(apr_pstrcat(pool, text, ", ", each->name, NULL), each->values);
    }
    return text;
}

/* A certificate that cannot be read is left out where another one can, and that is said. */
static const char *read_metadata(void)
{
    oks_saml_idp_t *idp;
    oks_err_t *err = oks_saml_metadata_parse(&idp, metadata, pool);
    return said(err, err ? NULL : apr_psprintf(pool, "%s, %s, %s, %d, %" APR_TIME_T_FMT ", %d", idp->entity_id, idp->sso_redirect_url,
                                               idp->sso_post_url, idp->want_authn_requests_signed, idp->valid_until,
                                               idp->certs->nelts + (idp->skipped ? 1 : 0)));
}

static const char *sign_request(void)
{
    oks_span_t text, bytes;
    xmlDocPtr doc;
    apr_array_header_t *certs = apr_array_make(pool, 1, sizeof(oks_cert_t *));
    oks_keypair_t *own = fresh_pair(pem);
    APR_ARRAY_PUSH(certs, oks_cert_t *) = own->cert;
    oks_err_t *err = oks_xml_sign(&text, oks_span_z("<r ID='_1'><Issuer>acme</Issuer></r>"), own, pool);
    if (!err) err = oks_xml_parse(&doc, text, text.len, pool);
    if (!err) err = oks_xml_verify(&bytes, xmlDocGetRootElement(doc), certs, 0, pool);
    return said(err, err ? NULL : oks_span_dup(bytes, pool));
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
        const char *got = sigsetjmp(ended, 1) ? "base.internal.error" : op();
        countdown = 0;
        if (strcmp(got, wanted) != 0 && (!failed || !strchr(got, '.') || strchr(got, '{')))
            fail_msg("%s: allocation %d: %s, not %s", what, n, got, wanted);
        if (n == 0) failed = true; /* nothing was to fail in this round */
        apr_pool_destroy(pool);
    }
    if (n < 3) fail_msg("%s: no allocations are seen", what);
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

static void documents(void **state)
{
    static const char *const names[] = {
        "good-session-limit", "good-sha256-rsa-MGF1", "encrypted-aes128-gcm-sha256", "encrypted-aes256-cbc-response-signed",
        "other-key", "digest-broken-assertion", "pss-broken", "audience-other", "encrypted-changed-tag",
    };
    void (*before)(int) = signal(SIGSEGV, crashed);
    xmlSetGenericErrorFunc(NULL, mute);
    for (apr_size_t i = 0; i < sizeof names / sizeof *names; i++) {
        response = oks_span_z(oks_base64_encode(oks_span_z(read_vector(apr_pstrcat(global, "saml/", names[i], "/response.xml", NULL), global)), global));
        const char *wanted = apr_pstrdup(global, (pool = global, judge()));
        if ((strchr(wanted, '@') != NULL) != (i < GOOD_ONES)) fail_msg("%s: %s", names[i], wanted);
        tried(names[i], judge, wanted, i >= GOOD_ONES);
    }
    tried("read metadata", read_metadata, apr_pstrdup(global, (pool = global, read_metadata())), false);
    tried("sign a request", sign_request, "<r ID=\"_1\"><Issuer>acme</Issuer></r>", false);
    xmlSetGenericErrorFunc(NULL, NULL);
    signal(SIGSEGV, before);
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
    static const char *const audiences[] = { "https://app.example.com/sso/okta/metadata/acme", NULL };
    expect = (oks_saml_expect_t){ .audiences = audiences, .acs_url = "https://app.example.com/sso/okta/acs/acme",
                                  .request_id = "_00112233445566778899aabbccddeeff", .skew = apr_time_from_sec(120) };
    oks_saml_idp_t *idp;
    metadata = oks_span_z(read_vector("saml/metadata.xml", global));
    if (oks_saml_init(global) || oks_saml_metadata_parse(&idp, metadata, global) ||
        oks_time_parse(&expect.now, oks_span_z("2026-01-15T12:00:00Z"), global)) return -1;
    expect.idp = idp;
    sp = read_vector("saml/_keys/sp.pem", global);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens), cmocka_unit_test(keys_of_our_own), cmocka_unit_test(what_is_sealed), cmocka_unit_test(documents),
    };
    /* Before the libraries' first allocations. */
    if (!CRYPTO_set_mem_functions(some, more, less) || xmlMemSetup(free, xml_some, xml_more, xml_copy) != 0) return 1;
    return cmocka_run_group_tests_name("memory", tests, set_up, tear_down);
}
