/* Signed identities for backends, on a real database: what they say, and how their keys change. Time is an argument. */
#include <malloc.h>

#include "../../src/flow/flow_private.h"
#include "oktasso/json.h"
#include "scratch.h"

#define NOW apr_time_from_sec(1700000000)
#define HOUR apr_time_from_sec(3600)
#define DAY (24 * HOUR)
#define BASE "https://app.example.com"

static oks_keyring_t *ring;
static const oks_record_field_t fields[] = {
    { .name = "email", .value = "zo\xc3\xab@acme.com" }, { .name = "groups", .value = "A%2CB,C" }, { .name = "role", .value = "admin" },
    { .name = "org", .value = "acme" }, { .name = "user", .value = "zo\xc3\xab@acme.com" },
};
static const char *const groups[] = { "A,B", "C" };
static oks_record_t record = { .session = { "0123456789abcde" }, .user = { "fedcba987654321" }, .org = "acme", .vhost = "app:443",
                               .fields = fields, .nfields = 5, .groups = groups, .ngroups = 2 };

/* One process: with a memory of its own, over the same directory. */
static oks_flow_t new_child(void)
{
    oks_flow_t flow = { .path = "/sso/okta", .vhost = "app:443", .keys = ring, .counters = counters };
    assert_null(oks_directory_open(&flow.directory, spec, 2, counters, pool));
    assert_null(oks_assertions_create(&flow.assertions, pool));
    return flow;
}

static int set_up(void **state)
{
    const char *line;
    if (scratch_set_up()) return -1;
    return oks_keyring_new_line(&line, pool) || oks_keyring_parse(&ring, oks_span_z(line), pool) ? -1 : 0;
}

static const oks_jwks_t *published(int *count, const oks_flow_t *flow, apr_time_t now)
{
    oks_answer_t *answer;
    oks_jwks_t *keys;
    json_t *document;
    oks_request_t request = { .now = now };
    GOOD(oks_flow_serve_jwks(&answer, flow, NULL, &request, pool));
    GOOD(oks_jwks_parse(&keys, oks_span_z(answer->body), pool));
    GOOD(oks_json_parse(&document, oks_span_z(answer->body), 65536, pool));
    *count = (int)json_array_size(json_object_get(document, "keys"));
    assert_null(strstr(answer->body, "\"d\""));
    return keys;
}

static const char *token_of(const oks_flow_t *flow, apr_time_t now)
{
    const char *token;
    GOOD(oks_flow_assertion(&token, flow, &record, BASE, now, pool));
    return token;
}

/* The claims, verified by what is published at that time. */
static json_t *verified(const oks_flow_t *flow, const char *token, apr_time_t now)
{
    int count;
    oks_span_t payload;
    json_t *claims;
    GOOD(oks_jws_verify(&payload, NULL, oks_span_z(token), published(&count, flow, now), OKS_JWS_ES256, NULL, pool));
    GOOD(oks_json_parse(&claims, payload, 65536, pool));
    return claims;
}

static void it_says_who_and_for_whom_and_how_long(void **state)
{
    oks_flow_t flow = new_child();
    json_t *claims = verified(&flow, token_of(&flow, NOW), NOW);
    assert_string_equal(oks_json_string(claims, "iss"), BASE "/sso/okta");
    assert_string_equal(oks_json_string(claims, "aud"), BASE);
    assert_int_equal(strlen(oks_json_string(claims, "sub")), 2 * OKS_ID_LEN);
    assert_string_equal(oks_json_string(claims, "email"), "zo\xc3\xab@acme.com");
    assert_string_equal(oks_json_string(claims, "org"), "acme");
    assert_string_equal(oks_json_string(claims, "role"), "admin");
    assert_string_equal(json_string_value(json_array_get(json_object_get(claims, "groups"), 0)), "A,B");
    assert_int_equal(json_integer_value(json_object_get(claims, "iat")), 1700000000);
    assert_int_equal(json_integer_value(json_object_get(claims, "exp")), 1700000060);
}

static void it_is_signed_once_in_half_a_minute(void **state)
{
    oks_flow_t flow = new_child();
    const char *first = token_of(&flow, NOW), *other;
    assert_string_equal(token_of(&flow, NOW + apr_time_from_sec(29)), first);
    assert_string_not_equal(token_of(&flow, NOW + apr_time_from_sec(31)), first);
    first = token_of(&flow, NOW + apr_time_from_sec(31));
    GOOD(oks_flow_assertion(&other, &flow, &record, "https://other.example.com", NOW + apr_time_from_sec(31), pool));
    assert_string_not_equal(other, first); /* another host's name is in it */
    first = token_of(&flow, NOW + apr_time_from_sec(32));
    record.seen_user++;
    assert_string_not_equal(token_of(&flow, NOW + apr_time_from_sec(33)), first); /* the user has changed */
    record.seen_user--;
    assert_string_not_equal(token_of(&flow, NOW - HOUR), first); /* a clock that went back */
}

static void too_many_groups_stay_out_and_it_says_so(void **state)
{
    oks_flow_t flow = new_child();
    const char *many[1000];
    oks_record_t large = record;
    for (int i = 0; i < 1000; i++) many[i] = "a group with a name of some length";
    large.groups = many;
    large.ngroups = 1000;
    const char *token;
    GOOD(oks_flow_assertion(&token, &flow, &large, BASE, NOW, pool));
    assert_true(strlen(token) < OKS_FLOW_FIELD_MAX);
    json_t *claims = verified(&flow, token, NOW);
    assert_null(json_object_get(claims, "groups"));
    assert_true(json_is_true(json_object_get(claims, "groups_left_out")));
}

static void keys_are_announced_before_they_sign_and_stay_after(void **state)
{
    oks_flow_t one = new_child(), two = new_child();
    int count;
    apr_time_t due = NOW + 90 * DAY + HOUR;
    const char *old = token_of(&one, due - 2 * HOUR);
    published(&count, &one, due - 2 * HOUR);
    assert_int_equal(count, 1);
    published(&count, &one, due);
    assert_int_equal(count, 2);
    published(&count, &two, due);
    assert_int_equal(count, 2); /* the other process has seen it, and made none of its own */
    verified(&two, token_of(&one, due + 1), due - 2 * HOUR); /* announced, and not used yet */
    const char *fresh = token_of(&one, due + 2 * HOUR);
    verified(&two, fresh, due + 2 * HOUR);
    verified(&one, old, due + 2 * HOUR);
    oks_span_t payload;
    apr_time_t later = due + 91 * DAY;
    const oks_jwks_t *keys = published(&count, &two, later);
    assert_int_equal(count, 2); /* the third one is announced, the first one gone */
    REASON(oks_jws_verify(&payload, NULL, oks_span_z(old), keys, OKS_JWS_ES256, NULL, pool), OKS_R_CRYPTO_JWS_KEY_UNKNOWN);
    GOOD(oks_jws_verify(&payload, NULL, oks_span_z(fresh), keys, OKS_JWS_ES256, NULL, pool));
}

static void keys_that_cannot_be_read_sign_nothing(void **state)
{
    const char *line, *token;
    oks_keyring_t *other;
    oks_flow_t flow = new_child();
    GOOD(oks_keyring_new_line(&line, pool));
    GOOD(oks_keyring_parse(&other, oks_span_z(line), pool));
    flow.keys = other;
    REASON(oks_flow_assertion(&token, &flow, &record, BASE, NOW, pool), OKS_R_FLOW_KEYS_GONE);
}

/* Anybody may ask for /jwks, again and again. */
static void keys_that_cannot_be_read_take_no_memory(void **state)
{
    oks_flow_t flow = new_child();
    const char *good, *sealed;
    oks_answer_t *answer;
    oks_request_t request = { .now = NOW };
    apr_pool_t *own;
    size_t before = 0;
    flow.vhost = "broken:443";
    GOOD(oks_jws_key_make(&good, pool));
    const char *text = oks_json_text(json_pack("{s:[{s:i, s:s}, {s:i, s:s}]}", "keys", "since", 1, "pem", good, "since", 2, "pem", "x"), pool);
    GOOD(oks_seal(&sealed, ring, oks_span_z("assertion-keys:broken:443"), oks_span_z(text), pool));
    const oks_document_t document = { .content = oks_span_z(sealed), .fetched = NOW };
    GOOD(oks_directory_document_put(directory, "assertion-keys:broken:443", &document, pool));
    apr_pool_create(&own, pool);
    for (int i = 0; i < 300; i++) {
        apr_pool_clear(own);
        REASON(oks_flow_serve_jwks(&answer, &flow, NULL, &request, own), OKS_R_CRYPTO_KEY_MALFORMED);
        if (i == 50) before = mallinfo2().uordblks;
    }
    assert_in_range(mallinfo2().uordblks, 0, before + 65536);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_who_and_for_whom_and_how_long), cmocka_unit_test(it_is_signed_once_in_half_a_minute),
        cmocka_unit_test(too_many_groups_stay_out_and_it_says_so), cmocka_unit_test(keys_are_announced_before_they_sign_and_stay_after),
        cmocka_unit_test(keys_that_cannot_be_read_sign_nothing), cmocka_unit_test(keys_that_cannot_be_read_take_no_memory),
    };
    return cmocka_run_group_tests(tests, set_up, scratch_tear_down);
}
