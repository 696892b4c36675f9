/* Runs t/vectors/saml: each case's Response must give exactly the identity, or exactly the reason, that its expect.txt
 * names (t/vectors/saml.py says how they are made). And: whatever byte of a good Response is changed, no other identity
 * comes out of it. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "oktasso/saml.h"

#define VECTORS OKS_SOURCE_DIR "/t/vectors/saml"
#define CASES_MIN 150 /* fewer: the vectors are not where they should be */
#define AUDIENCES_MAX 4

static apr_pool_t *global;

typedef struct vector_t {
    oks_saml_expect_t expect;
    const char *audiences[AUDIENCES_MAX + 1];
    apr_array_header_t *keys; /* of expect */
    const char *outcome; /* "reason: …" or the identity's lines */
    oks_span_t value;    /* the form value, base64 */
    oks_span_t xml;      /* the document, or empty */
} vector_t;

/* ---- Reading a case --------------------------------------------------------------------------------------- */

static bool read_file(oks_span_t *content, const char *path, apr_pool_t *pool)
{
    apr_file_t *file;
    apr_finfo_t info;
    apr_size_t len;
    if (apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_BINARY, APR_FPROT_OS_DEFAULT, pool)) return false;
    assert_int_equal(apr_file_info_get(&info, APR_FINFO_SIZE, file), APR_SUCCESS);
    char *data = apr_pcalloc(pool, (apr_size_t)info.size + 1);
    if (info.size) assert_int_equal(apr_file_read_full(file, data, (apr_size_t)info.size, &len), APR_SUCCESS);
    apr_file_close(file);
    *content = oks_span(data, (apr_size_t)info.size);
    return true;
}

static void read_input(vector_t *vector, const char *name, const char *value, apr_pool_t *pool)
{
    if (strcmp(name, "now") == 0) {
        assert_null(oks_time_parse(&vector->expect.now, oks_span_z(value), pool));
    } else if (strcmp(name, "acs") == 0) {
        vector->expect.acs_url = value;
    } else if (strcmp(name, "request") == 0) {
        vector->expect.request_id = value;
    } else if (strcmp(name, "key") == 0) {
        oks_keypair_t *pair;
        oks_span_t pem;
        assert_true(read_file(&pem, apr_pstrcat(pool, VECTORS "/_keys/", value, ".pem", NULL), pool));
        assert_null(oks_keypair_parse(&pair, pem, pem, pool));
        if (!vector->keys) vector->expect.keys = vector->keys = apr_array_make(pool, 2, sizeof(oks_keypair_t *));
        APR_ARRAY_PUSH(vector->keys, oks_keypair_t *) = pair;
    } else if (strcmp(name, "audience") == 0) {
        int i = 0;
        while (vector->audiences[i]) i++;
        assert_true(i < AUDIENCES_MAX);
        vector->audiences[i] = value;
    } else {
        fail_msg("unknown input %s", name);
    }
}

static void read_expectation(vector_t *vector, const char *directory, apr_pool_t *pool)
{
    oks_span_t text;
    assert_true(read_file(&text, apr_pstrcat(pool, directory, "/expect.txt", NULL), pool));
    char *line = apr_pstrmemdup(pool, text.ptr, text.len), *end;
    char *outcome = strstr(line, "\n\n");
    assert_non_null(outcome);
    *outcome = '\0';
    vector->outcome = outcome + 2;
    for (; line; line = end) {
        end = strchr(line, '\n');
        if (end) *end++ = '\0';
        char *colon = strstr(line, ": ");
        assert_non_null(colon);
        *colon = '\0';
        read_input(vector, line, colon + 2, pool);
    }
}

static void read_vector(vector_t *vector, const char *name, apr_pool_t *pool)
{
    const char *directory = apr_pstrcat(pool, VECTORS "/", name, NULL);
    oks_saml_idp_t *idp;
    oks_span_t metadata;
    memset(vector, 0, sizeof *vector);
    vector->expect.skew = apr_time_from_sec(120);
    vector->expect.audiences = vector->audiences;
    read_expectation(vector, directory, pool);
    if (!read_file(&metadata, apr_pstrcat(pool, directory, "/metadata.xml", NULL), pool))
        assert_true(read_file(&metadata, VECTORS "/metadata.xml", pool));
    oks_err_t *err = oks_saml_metadata_parse(&idp, metadata, pool);
    if (err) fail_msg("%s: metadata: %s", name, oks_err_text(err, pool));
    vector->expect.idp = idp;
    if (read_file(&vector->xml, apr_pstrcat(pool, directory, "/response.xml", NULL), pool))
        vector->value = oks_span_z(oks_base64_encode(vector->xml, pool));
    else
        assert_true(read_file(&vector->value, apr_pstrcat(pool, directory, "/response.b64", NULL), pool));
}

/* ---- Judging it ------------------------------------------------------------------------------------------- */

static const char *shown(const char *text)
{
    return text ? text : "none";
}

static const char *shown_time(apr_time_t when, apr_pool_t *pool)
{
    return when ? oks_time_format(when, pool) : "none";
}

static const char *identity_text(const oks_identity_t *identity, apr_pool_t *pool)
{
    const char *text = apr_psprintf(
        pool, "issuer: %s\nsubject: %s\nformat: %s\nassertion: %s\nclaim until: %s\nin response to: %s\n"
        "session index: %s\nauthn context: %s\nauthn instant: %s\nsession until: %s\n",
        shown(identity->issuer), shown(identity->subject), shown(identity->subject_format),
        shown(identity->assertion_id), shown_time(identity->claim_until, pool), shown(identity->in_response_to),
        shown(identity->session_index), shown(identity->authn_context), shown_time(identity->authn_instant, pool),
        shown_time(identity->session_not_on_or_after, pool));
    for (int i = 0; i < identity->attributes->nelts; i++) {
        const oks_attribute_t *attribute = &APR_ARRAY_IDX(identity->attributes, i, oks_attribute_t);
        if (!attribute->values->nelts) text = apr_pstrcat(pool, text, "attribute ", attribute->name, "\n", NULL);
        for (int j = 0; j < attribute->values->nelts; j++)
            text = apr_pstrcat(pool, text, "attribute ", attribute->name, " = ",
                               APR_ARRAY_IDX(attribute->values, j, const char *), "\n", NULL);
    }
    return text;
}

static const char *outcome_of(const vector_t *vector, oks_span_t value, const oks_err_t **err, apr_pool_t *pool)
{
    oks_identity_t *identity = NULL;
    *err = oks_saml_response_verify(&identity, value, &vector->expect, pool);
    if (*err) return apr_psprintf(pool, "reason: %s\n", oks_reason_info((*err)->reason)->code);
    assert_non_null(identity);
    assert_string_equal(identity->protocol, "saml");
    return identity_text(identity, pool);
}

static bool run_case(const char *name)
{
    apr_pool_t *pool;
    vector_t vector;
    const oks_err_t *err;
    apr_pool_create(&pool, global);
    read_vector(&vector, name, pool);
    const char *outcome = outcome_of(&vector, vector.value, &err, pool);
    bool same = strcmp(outcome, vector.outcome) == 0;
    if (!same)
        print_error("%s\n  wanted %s  got    %s  (%s)\n", name, vector.outcome, outcome, err ? oks_err_text(err, pool) : "");
    apr_pool_destroy(pool);
    return same;
}

/* ---- The tests -------------------------------------------------------------------------------------------- */

static void all_cases(void **state)
{
    int cases = 0, wrong = 0;
    struct dirent **entries;
    const char *only = getenv("OKS_CASE"); /* to look at one alone */
    int count = scandir(VECTORS, &entries, NULL, alphasort);
    assert_true(count > 0);
    for (int i = 0; i < count; free(entries[i++])) {
        const char *name = entries[i]->d_name;
        if (name[0] == '.' || name[0] == '_' || strchr(name, '.') == name + strlen(name) - 4) continue;
        if (only && strcmp(only, name) != 0) continue;
        cases++;
        if (!run_case(name)) wrong++;
    }
    free(entries);
    print_message("%d cases, %d wrong\n", cases, wrong);
    assert_int_equal(wrong, 0);
    assert_true(only || cases >= CASES_MIN);
}

/* Changes one byte at a time. A changed document may still be accepted where nothing signed changed (blanks between
 * elements of a Signature, KeyInfo); the identity must then be the one there was. */
static void changed_bytes(const char *name, unsigned step)
{
    apr_pool_t *pool, *each;
    vector_t vector;
    const oks_err_t *err;
    unsigned accepted = 0, tried = 0;
    apr_pool_create(&pool, global);
    read_vector(&vector, name, pool);
    char *xml = apr_pstrmemdup(pool, vector.xml.ptr, vector.xml.len);
    for (apr_size_t i = 0; i < vector.xml.len; i += step) {
        apr_pool_create(&each, pool);
        xml[i] = (char)(vector.xml.ptr[i] ^ (1 << (i / step) % 7));
        const char *value = oks_base64_encode(oks_span(xml, vector.xml.len), each);
        const char *outcome = outcome_of(&vector, oks_span_z(value), &err, each);
        xml[i] = vector.xml.ptr[i];
        if (!err) assert_string_equal(outcome, vector.outcome);
        if (!err) accepted++;
        tried++;
        apr_pool_destroy(each);
    }
    print_message("%s: %u changed bytes, %u without effect\n", name, tried, accepted);
    assert_true(tried > 100 && accepted < tried / 2);
    apr_pool_destroy(pool);
}

static void a_changed_byte_never_changes_the_identity(void **state)
{
    changed_bytes("okta-real", 1);
    changed_bytes("okta-real-response-signature-stripped", 3);
    changed_bytes("good-both-signed", 5);
    changed_bytes("good-assertion-signed", 5);
}

static void cut_off_anywhere_is_refused(void **state)
{
    apr_pool_t *pool, *each;
    vector_t vector;
    const oks_err_t *err;
    apr_pool_create(&pool, global);
    read_vector(&vector, "okta-real", pool);
    for (apr_size_t len = 0; len < vector.xml.len; len += 7) {
        apr_pool_create(&each, pool);
        const char *value = oks_base64_encode(oks_span(vector.xml.ptr, len), each);
        outcome_of(&vector, oks_span_z(value), &err, each);
        assert_non_null(err);
        apr_pool_destroy(each);
    }
    apr_pool_destroy(pool);
}

static int set_up(void **state)
{
    apr_initialize();
    apr_pool_create(&global, NULL);
    oks_err_t *err = oks_saml_init(global);
    if (!err) err = oks_saml_init(global); /* a second time is harmless */
    if (err) print_error("%s\n", oks_err_text(err, global));
    return err ? -1 : 0;
}

static int tear_down(void **state)
{
    apr_pool_destroy(global);
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_cases),
        cmocka_unit_test(a_changed_byte_never_changes_the_identity),
        cmocka_unit_test(cut_off_anywhere_is_refused),
    };
    return cmocka_run_group_tests_name("saml vectors", tests, set_up, tear_down);
}
