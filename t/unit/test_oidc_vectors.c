/* Runs t/vectors/oidc.json: each token, key set, document and answer must give exactly the outcome that t/vectors/oidc.py wrote
 * down by hand. And what we sign, and what we send. */
#include <stdio.h>
#include <stdlib.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "oktasso/json.h"
#include "oktasso/oidc.h"
#include "unit.h"

#define VECTORS OKS_SOURCE_DIR "/t/vectors/oidc.json"
#define CASES_MIN 250

static apr_pool_t *global, *pool;
static json_t *vectors;
static oks_oidc_provider_t provider;

static oks_span_t text_of(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (!value) value = json_object_get(vectors, name);
    return oks_span(json_string_value(value), json_string_length(value));
}

static const char *shown(const oks_identity_t *identity, const char *name)
{
    const oks_attribute_t *attribute = oks_identity_attribute(identity, name);
    return attribute ? apr_array_pstrcat(pool, attribute->values, ';') : "none";
}

static oks_err_t *expectation(oks_oidc_expect_t *expect, const json_t *vector)
{
    oks_jwks_t *keys;
    size_t i;
    json_t *name;
    *expect = (oks_oidc_expect_t){
        .provider = &provider, .client_id = text_of(vector, "client").ptr, .nonce = text_of(vector, "nonce").ptr,
        .access_token = text_of(vector, "access_token").ptr, .code = text_of(vector, "code"),
        .now = apr_time_from_sec(json_integer_value(json_object_get(vectors, "now"))), .skew = apr_time_from_sec(120),
    };
    json_array_foreach(json_object_get(vector, "algorithms"), i, name)
        expect->algorithms |= oks_jws_algorithm(oks_span_z(json_string_value(name)));
    OKS_TRY(oks_jwks_parse(&keys, text_of(vector, "jwks"), pool));
    expect->keys = keys;
    return NULL;
}

static oks_err_t *run_token(const char **outcome, const json_t *vector)
{
    oks_oidc_expect_t expect;
    oks_identity_t *identity;
    OKS_TRY(expectation(&expect, vector));
    OKS_TRY(oks_oidc_id_token_verify(&identity, text_of(vector, "token"), &expect, pool));
    *outcome = apr_psprintf(pool, "subject=%s authn=%" APR_INT64_T_FMT " acr=%s email=%s groups=%s", identity->subject,
                            (apr_int64_t)apr_time_sec(identity->authn_instant), identity->authn_context, shown(identity, "email"),
                            shown(identity, "groups"));
    return NULL;
}

static oks_err_t *run_jwks(const char **outcome, const json_t *vector)
{
    oks_jwks_t *keys;
    OKS_TRY(oks_jwks_parse(&keys, text_of(vector, "jwks"), pool));
    *outcome = apr_psprintf(pool, "keys=%d", *(int *)keys); /* the count comes first */
    return NULL;
}

static oks_err_t *run_discovery(const char **outcome, const json_t *vector)
{
    oks_oidc_provider_t *read;
    OKS_TRY(oks_oidc_discovery_parse(&read, text_of(vector, "document"), text_of(vector, "url").ptr, pool));
    *outcome = apr_psprintf(pool, "issuer=%s auth=%u", read->issuer, read->auth_methods);
    return NULL;
}

static int status_of(const json_t *vector)
{
    return (int)json_integer_value(json_object_get(vector, "status"));
}

static oks_err_t *run_answer(const char **outcome, const json_t *vector)
{
    oks_oidc_tokens_t *tokens;
    OKS_TRY(oks_oidc_tokens_read(&tokens, status_of(vector), text_of(vector, "content_type").ptr, text_of(vector, "body"), pool));
    *outcome = apr_psprintf(pool, "id_token=%s access_token=%s", tokens->id_token, tokens->access_token);
    return NULL;
}

static oks_err_t *run_userinfo(const char **outcome, const json_t *vector)
{
    oks_oidc_expect_t expect;
    oks_identity_t *identity;
    OKS_TRY(expectation(&expect, vector));
    OKS_TRY(oks_oidc_id_token_verify(&identity, text_of(vectors, "good"), &expect, pool));
    OKS_TRY(oks_oidc_userinfo_merge(identity, status_of(vector), text_of(vector, "content_type").ptr, text_of(vector, "body"), &expect,
                                    pool));
    const char *asked = strstr(json_string_value(json_object_get(vector, "want")), "address") ? "address" : "family_name";
    *outcome = apr_psprintf(pool, "%s=%s email=%s", asked, shown(identity, asked), shown(identity, "email"));
    return NULL;
}

static oks_err_t *run_error(const char **outcome, const json_t *vector)
{
    return oks_oidc_error(text_of(vector, "error"), text_of(vector, "description"), pool);
}

static bool run_case(const json_t *vector)
{
    static const struct { const char *kind; oks_err_t *(*run)(const char **outcome, const json_t *vector); } kinds[] = {
        { "token", run_token }, { "jwks", run_jwks }, { "discovery", run_discovery }, { "answer", run_answer },
        { "userinfo", run_userinfo }, { "error", run_error },
    };
    const char *kind = json_string_value(json_object_get(vector, "kind")), *want = json_string_value(json_object_get(vector, "want"));
    const char *outcome = "no such kind";
    oks_err_t *err = NULL;
    apr_pool_create(&pool, global);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kind, kinds[i].kind) == 0) err = kinds[i].run(&outcome, vector);
    if (err) outcome = oks_reason_info(err->reason)->code;
    bool same = strcmp(outcome, want) == 0;
    if (!same)
        print_error("%s\n  wanted %s\n  got    %s  (%s)\n", json_string_value(json_object_get(vector, "name")), want, outcome,
                    err ? oks_err_text(err, pool) : "");
    apr_pool_destroy(pool);
    return same;
}

static void all_cases(void **state)
{
    const json_t *cases = json_object_get(vectors, "cases");
    size_t i, wrong = 0;
    json_t *vector;
    json_array_foreach(cases, i, vector) wrong += !run_case(vector);
    print_message("%zu cases, %zu wrong\n", json_array_size(cases), wrong);
    assert_int_equal(wrong, 0);
    assert_true(json_array_size(cases) >= CASES_MIN);
}

/* Whatever character of a good token is changed, nothing comes out of it. */
static void a_changed_character_is_refused(void **state)
{
    oks_oidc_expect_t expect;
    oks_identity_t *identity;
    apr_pool_create(&pool, global);
    GOOD(expectation(&expect, vectors));
    oks_span_t good = text_of(vectors, "good");
    GOOD(oks_oidc_id_token_verify(&identity, good, &expect, pool));
    char *copy = oks_span_dup(good, pool);
    for (apr_size_t i = 0; i < good.len; i++) {
        copy[i] = good.ptr[i] == 'A' ? 'B' : 'A';
        assert_non_null(oks_oidc_id_token_verify(&identity, oks_span(copy, good.len), &expect, pool));
        assert_non_null(oks_oidc_id_token_verify(&identity, oks_span(copy, i), &expect, pool));
        copy[i] = good.ptr[i];
    }
    apr_pool_destroy(pool);
}

/* ---- What we sign and send ---- */

static void our_tokens_verify_with_our_jwk(void **state)
{
    const char *pem, *jwk, *token;
    oks_jws_key_t *key;
    oks_jwks_t *keys;
    oks_span_t payload;
    apr_pool_create(&pool, global);
    GOOD(oks_jws_key_make(&pem, pool));
    GOOD(oks_jws_key_parse(&key, oks_span_z(pem), NULL, pool));
    GOOD(oks_jws_key_jwk(&jwk, key, pool));
    GOOD(oks_jwks_parse(&keys, oks_span_z(apr_pstrcat(pool, "{\"keys\":[", jwk, "]}", NULL)), pool));
    assert_true(oks_jwks_has(keys, key->kid));
    assert_int_equal(strlen(key->kid), 43);
    GOOD(oks_jws_sign(&token, key, "x+jwt", oks_span_z("{\"a\":1}"), pool));
    GOOD(oks_jws_verify(&payload, NULL, oks_span_z(token), keys, OKS_JWS_ES256, "x+jwt", pool));
    assert_true(oks_span_eq_z(payload, "{\"a\":1}"));
    REASON(oks_jws_verify(&payload, NULL, oks_span_z(token), keys, 0, NULL, pool), OKS_R_CRYPTO_JWS_HEADER);
    REASON(oks_jws_verify(&payload, NULL, oks_span_z(token), keys, OKS_JWS_RS256, "x+jwt", pool), OKS_R_CRYPTO_JWS_ALGORITHM);
    REASON(oks_jws_key_parse(&key, oks_span_z("no key"), NULL, pool), OKS_R_CRYPTO_KEY_MALFORMED);
    apr_pool_destroy(pool);
}

static oks_oidc_request_t a_request(const oks_oidc_client_t *client)
{
    return (oks_oidc_request_t){ .provider = &provider, .client = client, .redirect_uri = "https://app/cb?x=1", .scope = "openid email",
                                 .state = "st.at_e-", .nonce = "no", .verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", .max_age = -1 };
}

static void an_authorization_request_says_all(void **state)
{
    oks_oidc_client_t client = { .id = "a&b" };
    oks_oidc_request_t request = a_request(&client);
    apr_pool_create(&pool, global);
    /* The challenge is that of RFC 7636, appendix B. */
    assert_string_equal(oks_oidc_authorization_url(&request, pool),
                        "https://acme.okta.com/authorize?x=y&response_type=code&client_id=a%26b&redirect_uri=https%3A%2F%2Fapp%2Fcb%3Fx%3D1"
                        "&scope=openid%20email&state=st.at_e-&nonce=no&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
                        "&code_challenge_method=S256");
    request.form_post = true, request.prompt = "login", request.login_hint = "a b", request.acr_values = "x y", request.max_age = 0;
    assert_non_null(strstr(oks_oidc_authorization_url(&request, pool),
                           "&response_mode=form_post&prompt=login&login_hint=a%20b&acr_values=x%20y&max_age=0"));
    apr_pool_destroy(pool);
}

static const oks_oidc_post_t *token_post(const oks_oidc_client_t *client)
{
    oks_oidc_post_t *post;
    oks_oidc_grant_t grant = { .code = oks_span_z("c/d"), .redirect_uri = "https://app/cb", .verifier = "v" };
    GOOD(oks_oidc_token_post(&post, &provider, client, &grant, "jti", apr_time_from_sec(1800000000), pool));
    assert_string_equal(post->url, "https://acme.okta.com/token");
    const char *start = "grant_type=authorization_code&code=c%2Fd&redirect_uri=https%3A%2F%2Fapp%2Fcb&code_verifier=v";
    assert_memory_equal(post->body, start, strlen(start));
    return post;
}

static void a_client_says_who_it_is(void **state)
{
    const char *pem, *jwk;
    oks_jws_key_t *key;
    oks_jwks_t *keys;
    oks_span_t claims;
    apr_pool_create(&pool, global);
    GOOD(oks_jws_key_make(&pem, pool));
    GOOD(oks_jws_key_parse(&key, oks_span_z(pem), "k1", pool));
    GOOD(oks_jws_key_jwk(&jwk, key, pool));
    GOOD(oks_jwks_parse(&keys, oks_span_z(apr_pstrcat(pool, "{\"keys\":[", jwk, "]}", NULL)), pool));
    oks_oidc_client_t client = { .id = "id:1", .secret = "s&t" };
    provider.auth_methods = OKS_OIDC_AUTH_BASIC | OKS_OIDC_AUTH_POST;
    assert_string_equal(token_post(&client)->authorization, "Basic aWQlM0ExOnMlMjZ0"); /* id%3A1:s%26t */
    provider.auth_methods = OKS_OIDC_AUTH_POST;
    assert_null(token_post(&client)->authorization);
    assert_non_null(strstr(token_post(&client)->body, "&client_id=id%3A1&client_secret=s%26t"));
    client.secret = NULL;
    assert_non_null(strstr(token_post(&client)->body, "&code_verifier=v&client_id=id%3A1"));
    client.key = key;
    const char *assertion = strstr(token_post(&client)->body, "&client_assertion=");
    assert_non_null(assertion);
    GOOD(oks_jws_verify(&claims, NULL, oks_span_z(assertion + strlen("&client_assertion=")), keys, OKS_JWS_ES256, NULL, pool));
    assert_string_equal(oks_span_dup(claims, pool), "{\"iss\":\"id:1\",\"sub\":\"id:1\",\"aud\":\"https://acme.okta.com/token\",\"jti\":\"jti\","
                        "\"iat\":1800000000,\"exp\":1800000300}");
    apr_pool_destroy(pool);
}

static void a_pushed_request(void **state)
{
    oks_oidc_client_t client = { .id = "id" };
    oks_oidc_request_t request = a_request(&client);
    oks_oidc_post_t *post;
    const char *url, *body = "{\"request_uri\":\"urn:okta:x\",\"expires_in\":60}";
    apr_pool_create(&pool, global);
    GOOD(oks_oidc_par_post(&post, &request, "jti", 0, pool));
    assert_string_equal(post->url, "https://acme.okta.com/par");
    assert_null(strstr(strstr(post->body, "client_id=") + 1, "client_id="));
    GOOD(oks_oidc_par_url(&url, &request, 201, oks_span_z(body), pool));
    assert_string_equal(url, "https://acme.okta.com/authorize?x=y&client_id=id&request_uri=urn%3Aokta%3Ax");
    REASON(oks_oidc_par_url(&url, &request, 201, oks_span_z("{}"), pool), OKS_R_OIDC_ANSWER_MALFORMED);
    REASON(oks_oidc_par_url(&url, &request, 400, oks_span_z("{\"error\":\"invalid_request\"}"), pool), OKS_R_OIDC_ERROR_REQUEST);
    assert_string_equal(oks_oidc_end_session_url(&provider, "id", "t", "https://app/", pool),
                        "https://acme.okta.com/logout?id_token_hint=t&client_id=id&post_logout_redirect_uri=https%3A%2F%2Fapp%2F");
    apr_pool_destroy(pool);
}

static const char *outcome_of_discovery(const char *host, const char *elsewhere, bool as_file)
{
    oks_oidc_provider_t *read;
    const char *url = apr_pstrcat(pool, host, "/.well-known/openid-configuration", NULL);
    const char *text = apr_psprintf(pool, "{\"issuer\":\"%s\",\"authorization_endpoint\":\"%s/a\",\"token_endpoint\":\"%s/t\","
                                    "\"jwks_uri\":\"%s/k\"}", host, host, elsewhere, host);
    oks_err_t *err = oks_oidc_discovery_parse(&read, oks_span_z(text), as_file ? NULL : url, pool);
    return err ? oks_reason_info(err->reason)->code : "good";
}

/* What listens on loopback trusts whoever comes from there: a provider elsewhere sends us nowhere on this machine. */
static void only_a_local_provider_has_endpoints_on_loopback(void **state)
{
    static const char *const local[] = { "http://127.0.0.1:9200", "http://localhost", "https://[::1]", "https://x.localhost:8443" };
    apr_pool_create(&pool, global);
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        assert_string_equal(outcome_of_discovery("https://acme.okta.com", local[i], false), "oidc.discovery.endpoint");
        assert_string_equal(outcome_of_discovery("https://acme.okta.com", local[i], true), "good"); /* the administrator's file */
        assert_string_equal(outcome_of_discovery("http://localhost:8080", local[i], false), "good");
    }
    assert_string_equal(outcome_of_discovery("http://localhost:8080", "https://acme.okta.com", false), "good");
    apr_pool_destroy(pool);
}

/* ---- Claims that no provider of ours sends, signed by a key that is known ---- */

static void read_claims(oks_identity_t **identity, oks_err_t **err, const char *more)
{
    const char *pem, *jwk, *token;
    oks_jws_key_t *key;
    oks_jwks_t *keys;
    const char *claims = apr_pstrcat(pool, "{\"iss\":\"https://acme.okta.com\",\"aud\":\"id\",\"nonce\":\"n\",\"iat\":1800000000,"
                                     "\"exp\":1800000300,", more, "}", NULL);
    GOOD(oks_jws_key_make(&pem, pool));
    GOOD(oks_jws_key_parse(&key, oks_span_z(pem), NULL, pool));
    GOOD(oks_jws_key_jwk(&jwk, key, pool));
    GOOD(oks_jwks_parse(&keys, oks_span_z(apr_pstrcat(pool, "{\"keys\":[", jwk, "]}", NULL)), pool));
    GOOD(oks_jws_sign(&token, key, NULL, oks_span_z(claims), pool));
    oks_oidc_expect_t expect = { .provider = &provider, .keys = keys, .client_id = "id", .nonce = "n", .code = oks_span_z("c"),
                                 .now = apr_time_from_sec(1800000000), .skew = apr_time_from_sec(120) };
    *err = oks_oidc_id_token_verify(identity, oks_span_z(token), &expect, pool);
}

static const char *many_claims(int count)
{
    char *text = apr_palloc(pool, (apr_size_t)count * 16 + 1), *p = text;
    for (int i = 0; i < count; i++) p += sprintf(p, ",\"%x\":1", i);
    return text;
}

/* 28,000 of them in one answer of userinfo took seconds: each is looked for among those before it. */
static void claims_have_a_number(void **state)
{
    oks_identity_t *identity;
    oks_err_t *err;
    apr_pool_create(&pool, global);
    read_claims(&identity, &err, apr_pstrcat(pool, "\"sub\":\"a\"", many_claims(4000), NULL));
    REASON(err, OKS_R_BASE_JSON_TOO_LARGE);
    read_claims(&identity, &err, apr_pstrcat(pool, "\"sub\":\"a\"", many_claims(900), NULL));
    GOOD(err);
    int before = identity->attributes->nelts;
    oks_oidc_expect_t expect = { .provider = &provider };
    const char *body = apr_pstrcat(pool, "{\"sub\":\"a\",\"more\":1", many_claims(900), "}", NULL);
    GOOD(oks_oidc_userinfo_merge(identity, 200, "application/json", oks_span_z(body), &expect, pool));
    assert_int_equal(identity->attributes->nelts, before + 1);
    body = apr_pstrcat(pool, "{\"sub\":\"a\"", many_claims(28000), "}", NULL);
    REASON(oks_oidc_userinfo_merge(identity, 200, "application/json", oks_span_z(body), &expect, pool), OKS_R_BASE_JSON_TOO_LARGE);
    apr_pool_destroy(pool);
}

/* As of a NameID: a header shows both as one. */
static void a_subject_is_what_a_header_can_show(void **state)
{
    static const char *const bad[] = { "00u1\\u0001", " 00u1", "00u1\\n", "00u1\\u200b" };
    oks_identity_t *identity;
    oks_err_t *err;
    apr_pool_create(&pool, global);
    read_claims(&identity, &err, "\"sub\":\"auth0|zo\xc3\xab b\"");
    GOOD(err);
    assert_string_equal(identity->subject, "auth0|zo\xc3\xab b");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        read_claims(&identity, &err, apr_pstrcat(pool, "\"sub\":\"", bad[i], "\"", NULL));
        REASON(err, OKS_R_OIDC_TOKEN_MALFORMED);
    }
    apr_pool_destroy(pool);
}

/* Of a wrong clock the log has both sides. */
static void a_wrong_time_says_what_it_is_here(void **state)
{
    oks_identity_t *identity;
    oks_err_t *err;
    apr_pool_create(&pool, global);
    read_claims(&identity, &err, "\"sub\":\"a\",\"nbf\":1800000300");
    REASON(err, OKS_R_OIDC_TOKEN_EARLY);
    assert_string_equal(err->detail, "nbf 2027-01-15T08:05:00Z; here it is 2027-01-15T08:00:00Z, OktaSSOClockSkew 2m");
    apr_pool_destroy(pool);
}

static void where_discovery_is(void **state)
{
    static const struct { const char *written, *url; } cases[] = {
        { "acme.okta.com", "https://acme.okta.com/.well-known/openid-configuration" },
        { "https://acme.okta.com", "https://acme.okta.com/.well-known/openid-configuration" },
        { "https://acme.okta.com/", "https://acme.okta.com/.well-known/openid-configuration" },
        { "https://acme.okta.com/oauth2/default", "https://acme.okta.com/oauth2/default/.well-known/openid-configuration" },
        { "https://acme.okta.com/oauth2/aus1/.well-known/openid-configuration?client_id=x",
          "https://acme.okta.com/oauth2/aus1/.well-known/openid-configuration?client_id=x" },
        { "https://acme.okta.com/app/exk1/sso/saml/metadata", "https://acme.okta.com/app/exk1/sso/saml/metadata" },
        { "idp.xml/x", NULL }, { "localhost", NULL },
    };
    apr_pool_create(&pool, global);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *url = oks_oidc_discovery_url(cases[i].written, pool);
        if (cases[i].url) assert_string_equal(url, cases[i].url);
        else assert_null(url);
    }
    assert_true(oks_oidc_is_discovery(oks_span_z("\xef\xbb\xbf \n{")));
    assert_false(oks_oidc_is_discovery(oks_span_z("<md:EntityDescriptor/>")));
    assert_false(oks_oidc_is_discovery(oks_span_z("")));
    apr_pool_destroy(pool);
}

static int set_up(void **state)
{
    json_error_t error;
    apr_initialize();
    apr_pool_create(&global, NULL);
    vectors = json_load_file(VECTORS, JSON_ALLOW_NUL, &error);
    if (!vectors) print_error("%s: %s\n", VECTORS, error.text);
    provider = (oks_oidc_provider_t){ .issuer = "https://acme.okta.com", .authorization_endpoint = "https://acme.okta.com/authorize?x=y",
                                      .token_endpoint = "https://acme.okta.com/token", .par_endpoint = "https://acme.okta.com/par",
                                      .end_session_endpoint = "https://acme.okta.com/logout" };
    return vectors ? 0 : -1;
}

static int tear_down(void **state)
{
    json_decref(vectors);
    apr_pool_destroy(global);
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_cases), cmocka_unit_test(a_changed_character_is_refused),
        cmocka_unit_test(our_tokens_verify_with_our_jwk), cmocka_unit_test(an_authorization_request_says_all),
        cmocka_unit_test(a_client_says_who_it_is), cmocka_unit_test(a_pushed_request), cmocka_unit_test(claims_have_a_number),
        cmocka_unit_test(a_subject_is_what_a_header_can_show), cmocka_unit_test(a_wrong_time_says_what_it_is_here),
        cmocka_unit_test(where_discovery_is),
        cmocka_unit_test(only_a_local_provider_has_endpoints_on_loopback),
    };
    return cmocka_run_group_tests_name("oidc vectors", tests, set_up, tear_down);
}
