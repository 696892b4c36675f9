/* The nth call of the database, or of the random numbers, fails, for each n: a login is whole or not at all, a session that cannot be
 * read is not "no session", and a write is done or refused; tried again it works. (Memory is left out: where it ends, a child of httpd
 * ends, by APR's pools and oks_json_init(); and libxml2 2.9 does not live through that either. OpenSSL's is test_memory.c's.) */
#include <apr_dbd.h>
#include <apr_file_io.h>

#include "../../src/flow/flow_private.h"
#include "oktasso/saml.h"
#include "oktasso/scim.h"
#include "scratch.h"

#define VECTORS OKS_SOURCE_DIR "/t/vectors/saml/"
#define CALLS_MAX 20000 /* a loop that is longer does not end */
#define TOKEN "a-token"

/* ---- The calls that fail: CMake has the linker send them here ---- */

typedef enum kind_t { NONE, DATABASE, RANDOM } kind_t;
static kind_t kind, failing; /* of this loop; now */
static int countdown; /* the call that makes it 0 fails */
static bool failed;

static bool fails(kind_t of)
{
    if (failing != of || failed || --countdown > 0) return false;
    return failed = true;
}

int __real_apr_dbd_pquery(const apr_dbd_driver_t *, apr_pool_t *, apr_dbd_t *, int *, apr_dbd_prepared_t *, int, const char **);
int __wrap_apr_dbd_pquery(const apr_dbd_driver_t *, apr_pool_t *, apr_dbd_t *, int *, apr_dbd_prepared_t *, int, const char **);
int __real_apr_dbd_pselect(const apr_dbd_driver_t *, apr_pool_t *, apr_dbd_t *, apr_dbd_results_t **, apr_dbd_prepared_t *, int, int,
                           const char **);
int __wrap_apr_dbd_pselect(const apr_dbd_driver_t *, apr_pool_t *, apr_dbd_t *, apr_dbd_results_t **, apr_dbd_prepared_t *, int, int,
                           const char **);
int __real_apr_dbd_query(const apr_dbd_driver_t *, apr_dbd_t *, int *, const char *);
int __wrap_apr_dbd_query(const apr_dbd_driver_t *, apr_dbd_t *, int *, const char *);
int __real_apr_dbd_select(const apr_dbd_driver_t *, apr_pool_t *, apr_dbd_t *, apr_dbd_results_t **, const char *, int);
int __wrap_apr_dbd_select(const apr_dbd_driver_t *, apr_pool_t *, apr_dbd_t *, apr_dbd_results_t **, const char *, int);
apr_status_t __real_apr_dbd_open_ex(const apr_dbd_driver_t *, apr_pool_t *, const char *, apr_dbd_t **, const char **);
apr_status_t __wrap_apr_dbd_open_ex(const apr_dbd_driver_t *, apr_pool_t *, const char *, apr_dbd_t **, const char **);
int __real_RAND_bytes(unsigned char *, int);
int __wrap_RAND_bytes(unsigned char *, int);

int __wrap_apr_dbd_pquery(const apr_dbd_driver_t *driver, apr_pool_t *p, apr_dbd_t *handle, int *rows, apr_dbd_prepared_t *statement,
                          int nargs, const char **args)
{
    return fails(DATABASE) ? 10 : __real_apr_dbd_pquery(driver, p, handle, rows, statement, nargs, args);
}

int __wrap_apr_dbd_pselect(const apr_dbd_driver_t *driver, apr_pool_t *p, apr_dbd_t *handle, apr_dbd_results_t **results,
                           apr_dbd_prepared_t *statement, int random, int nargs, const char **args)
{
    return fails(DATABASE) ? 10 : __real_apr_dbd_pselect(driver, p, handle, results, statement, random, nargs, args);
}

int __wrap_apr_dbd_query(const apr_dbd_driver_t *driver, apr_dbd_t *handle, int *rows, const char *sql)
{
    return fails(DATABASE) ? 10 : __real_apr_dbd_query(driver, handle, rows, sql);
}

int __wrap_apr_dbd_select(const apr_dbd_driver_t *driver, apr_pool_t *p, apr_dbd_t *handle, apr_dbd_results_t **results,
                          const char *sql, int random)
{
    return fails(DATABASE) ? 10 : __real_apr_dbd_select(driver, p, handle, results, sql, random);
}

apr_status_t __wrap_apr_dbd_open_ex(const apr_dbd_driver_t *driver, apr_pool_t *p, const char *params, apr_dbd_t **handle,
                                    const char **error)
{
    return fails(DATABASE) ? APR_EGENERAL : __real_apr_dbd_open_ex(driver, p, params, handle, error);
}

int __wrap_RAND_bytes(unsigned char *bytes, int len)
{
    return fails(RANDOM) ? 0 : __real_RAND_bytes(bytes, len);
}

/* ---- A server without httpd ---- */

static apr_pool_t *global; /* pool is of one round */
static oks_org_t org;
static oks_flow_t flow;
static apr_time_t now;
static const char *response;

static oks_span_t content_of(const char *path)
{
    apr_file_t *file;
    apr_finfo_t info;
    assert_int_equal(apr_file_open(&file, path, APR_FOPEN_READ, APR_FPROT_OS_DEFAULT, global), APR_SUCCESS);
    assert_int_equal(apr_file_info_get(&info, APR_FINFO_SIZE, file), APR_SUCCESS);
    char *text = apr_pcalloc(global, (apr_size_t)info.size + 1);
    assert_int_equal(apr_file_read_full(file, text, (apr_size_t)info.size, NULL), APR_SUCCESS);
    apr_file_close(file);
    return oks_span(text, (apr_size_t)info.size);
}

static const oks_org_t *find_org(void *orgs, oks_span_t name, apr_pool_t *p)
{
    return oks_span_eq_z(name, "acme") ? &org : NULL;
}

static void make_org(void)
{
    oks_saml_idp_t *idp;
    unsigned char *digest = apr_palloc(global, OKS_SHA256_LEN);
    if (oks_saml_metadata_parse(&idp, content_of(VECTORS "metadata.xml"), global)) abort();
    oks_sha256(digest, oks_span_z(TOKEN));
    apr_array_header_t *tokens = apr_array_make(global, 1, sizeof(const char *));
    APR_ARRAY_PUSH(tokens, const char *) = (const char *)digest;
    org = (oks_org_t){ .name = "acme", .enabled = true, .static_idp = idp, .attributes = oks_flow_default_attributes(global),
                       .user_field = "email", .default_role = "member", .skew = apr_time_from_sec(120), .scim_tokens = tokens,
                       .scim_body_max = OKS_SCIM_BODY_DEFAULT, .idp_initiated = OKS_IDP_INITIATED_ON,
                       .session = { .lifetime = apr_time_from_sec(8 * 3600), .idle = apr_time_from_sec(3600) } };
    oks_flow_name_cookies(&org, "app", global);
}

static int set_up(void **state)
{
    const char *line;
    oks_keyring_t *ring;
    if (scratch_set_up()) return -1;
    global = pool;
    if (oks_saml_init(global)) return -1;
    if (oks_keyring_new_line(&line, global) || oks_keyring_parse(&ring, oks_span_z(line), global)) return -1;
    make_org();
    if (oks_time_parse(&now, oks_span_z("2026-01-15T12:00:00Z"), global)) return -1;
    response = oks_base64_encode(content_of(VECTORS "good-unsolicited/response.xml"), global);
    flow = (oks_flow_t){ .path = "/sso/okta", .vhost = "app", .keys = ring, .find_org = find_org, .find_domain = find_org,
                         .counters = counters, .limiter = apr_pcalloc(global, sizeof(oks_limiter_t)) };
    return 0;
}

static int tear_down(void **state)
{
    pool = global;
    return scratch_tear_down(state);
}

/* A directory of its own for each round, and an empty cache. */
static void begin_round(void)
{
    static int number;
    failing = NONE;
    apr_pool_create(&pool, global);
    const char *own = apr_psprintf(pool, "sqlite3:%s/%d.db", folder, number++);
    GOOD(oks_directory_open(&flow.directory, own, 2, counters, pool));
    GOOD(oks_directory_migrate(flow.directory, pool));
    GOOD(oks_cache_create(&flow.cache, 16, 1 << 20, pool));
    GOOD(oks_idp_store_create(&flow.idps, flow.directory, counters, 0, pool));
}

static oks_request_t request_of(const char *method, const char *path, const char *type, const char *body)
{
    return (oks_request_t){ .method = method, .base_url = "https://app.example.com", .tls = true, .local_path = path, .content_type = type,
                            .accept = "text/html", .sec_fetch_mode = "navigate", .sec_fetch_dest = "", .sec_fetch_site = "",
                            .requested_with = "", .authorization = "Bearer " TOKEN, .if_match = "", .if_none_match = "", .id = "id",
                            .client = "192.0.2.1", .now = now, .body = oks_span_z(body) };
}

/* ---- What is tried ---- */

/* The session's cookie, as a browser sends it; NULL: none was set. */
static const char *session_of(const oks_answer_t *answer)
{
    const apr_array_header_t *headers = apr_table_elts(answer->headers);
    for (int i = 0; i < headers->nelts; i++) {
        const apr_table_entry_t *header = &APR_ARRAY_IDX(headers, i, apr_table_entry_t);
        if (strcmp(header->key, "Set-Cookie") == 0 && strncmp(header->val, org.cookie_tls, strlen(org.cookie_tls)) == 0)
            return apr_pstrmemdup(pool, header->val, strcspn(header->val, ";"));
    }
    return NULL;
}

static const oks_answer_t *post_response(void)
{
    const char *body = apr_pstrcat(pool, "SAMLResponse=", oks_url_encode(response, pool), "&RelayState=%2Fpage", NULL);
    oks_request_t request = request_of("POST", "/acs/acme", "application/x-www-form-urlencoded", body);
    return oks_flow_serve(&flow, &request, pool);
}

static const char *sign_in(void)
{
    const oks_answer_t *answer = post_response();
    const char *cookie = session_of(answer);
    if (answer->err) fail_msg("%s", oks_err_text(answer->err, pool));
    assert_int_equal(answer->status, 303);
    assert_non_null(cookie);
    return cookie;
}

static oks_err_t *check(const char *cookie)
{
    oks_pass_t pass = { 0 };
    oks_request_t request = request_of("GET", "", "", "");
    request.cookies = oks_span_z(cookie);
    oks_err_t *err = oks_flow_check(&pass, &flow, &org, &request, pool);
    assert_true(err || (pass.record && strcmp(pass.user, "alice@acme.example") == 0));
    return err;
}

static const oks_answer_t *scim(const char *method, const char *path, const char *body)
{
    oks_scim_caller_t caller;
    oks_request_t request = request_of(method, apr_pstrcat(pool, "/scim/acme/v2", path, NULL), OKS_SCIM_MEDIA_TYPE, body);
    oks_err_t *err = oks_flow_scim_admits(&caller, &flow, &request, pool);
    return err ? oks_flow_scim_refuse(err, &caller, pool) : oks_flow_serve_scim(&flow, &caller, &request, pool);
}

/* How many users a filter finds. */
static int count(const char *filter)
{
    const oks_answer_t *answer = scim("POST", "/Users/.search", apr_psprintf(pool, "{\"filter\": \"%s\"}", filter));
    const char *total = answer->body ? strstr(answer->body, "\"totalResults\":") : NULL;
    if (answer->status != 200) fail_msg("%s", answer->body);
    assert_non_null(total);
    return atoi(total + 15);
}

static bool is_refusal(const oks_answer_t *answer)
{
    if (answer->status < 400) return false;
    assert_true(answer->status >= 500 || (answer->err && answer->err->reason != OKS_R_DIRECTORY_CLAIM_USED));
    assert_true(answer->body && *answer->body); /* never a blank page */
    return true;
}

/* Each: before anything fails, while it does, and afterwards. */
static const char *cookie;

static void nothing(void) { }

static void login_whole_or_not_at_all(void)
{
    const oks_answer_t *answer = post_response();
    cookie = session_of(answer);
    if (cookie) assert_int_equal(answer->status, 303);
    else assert_true(is_refusal(answer));
}

static void then_it_works(void)
{
    if (!cookie && kind != RANDOM) cookie = sign_in(); /* the same assertion: it was not used up */
    if (!cookie) { /* the ticket could not be sealed: the assertion is used, and the login starts again */
        const oks_answer_t *answer = post_response();
        assert_true(session_of(answer) || (answer->err && answer->err->reason == OKS_R_DIRECTORY_CLAIM_USED));
        return;
    }
    GOOD(check(cookie));
    assert_int_equal(count("userName eq \\\"alice@acme.example\\\""), 1);
}

static void have_session(void)
{
    cookie = sign_in();
}

static void check_says_unavailable(void)
{
    oks_err_t *err = check(cookie);
    if (err && failing == DATABASE) assert_int_equal(err->reason, OKS_R_DIRECTORY_UNAVAILABLE);
    if (err) assert_true(oks_reason_info(err->reason)->http_status >= 500); /* nobody is sent to sign in again */
}

static void the_session_is_there(void)
{
    GOOD(check(cookie));
}

#define BOB "{\"schemas\": [\"" OKS_SCIM_SCHEMA_USER "\"], \"userName\": \"bob@acme.example\", \"name\": {\"givenName\": \"Bob\"}, \"emails\": [{\"value\": \"bob@acme.example\"}]}"

static int made;
static const oks_answer_t *last;

static void create(void)
{
    const oks_answer_t *answer = scim("POST", "/Users", BOB);
    made = answer->status == 201;
    if (!made) assert_true(is_refusal(answer));
}

static void created_or_not(void)
{
    int there = count("userName eq \\\"bob@acme.example\\\"");
    assert_true(there == made || there == 1); /* an answer that could not be made of what was written says 500 */
    const oks_answer_t *again = scim("POST", "/Users", BOB);
    if (again->status != (there ? 409 : 201)) fail_msg("%d %s", again->status, again->body);
}

static const char *user_path(void)
{
    const oks_answer_t *answer = scim("POST", "/Users/.search", "{\"filter\": \"userName eq \\\"alice@acme.example\\\"\"}");
    const char *id = strstr(answer->body, "\"id\":\"");
    assert_non_null(id);
    return apr_pstrcat(pool, "/Users/", apr_pstrmemdup(pool, id + 6, 2 * OKS_ID_LEN), NULL);
}

static const char *path;

static void have_session_and_path(void)
{
    cookie = sign_in();
    path = user_path();
    GOOD(check(cookie));
}

static void deactivate(void)
{
    const oks_answer_t *answer = scim("PATCH", path, "{\"schemas\": [\"" OKS_SCIM_MESSAGE "PatchOp\"], \"Operations\": [{\"op\": \"replace\", \"value\": {\"active\": false}}]}");
    last = answer;
    made = answer->status == 200;
    if (!made) assert_true(is_refusal(answer));
    failing = NONE;
    oks_err_t *err = check(cookie);
    if (made) assert_non_null(err); /* told, and so it is */
    else if (err) assert_int_equal(err->reason, OKS_R_DIRECTORY_SESSION_ABSENT);
}

static void deactivated_in_the_end(void)
{
    if (!made) deactivate();
    if (!made) fail_msg("%s", last->body);
    assert_non_null(check(cookie));
    assert_null(session_of(post_response()));
}

typedef struct scenario_t {
    const char *name;
    void (*before)(void), (*during)(void), (*after)(void);
} scenario_t;

static const scenario_t scenarios[] = {
    { "login", nothing, login_whole_or_not_at_all, then_it_works },
    { "session", have_session, check_says_unavailable, the_session_is_there },
    { "create", nothing, create, created_or_not },
    { "deactivate", have_session_and_path, deactivate, deactivated_in_the_end },
};

/* One round; false: there were not so many calls. */
static bool round_of(const scenario_t *scenario, int nth)
{
    begin_round();
    scenario->before();
    failed = false;
    countdown = nth;
    failing = kind;
    scenario->during();
    failing = NONE;
    scenario->after();
    apr_pool_destroy(pool);
    return failed;
}

static void each_call_fails_once(kind_t of, const char *what, int fewest)
{
    kind = of;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        int nth = 1;
        while (nth < CALLS_MAX && round_of(&scenarios[i], nth)) nth++;
        print_message("%s, %s: %d calls\n", scenarios[i].name, what, nth - 1);
        assert_in_range(nth - 1, fewest, CALLS_MAX - 2);
    }
}

static void database(void **state)
{
    each_call_fails_once(DATABASE, "database", 1);
}

static void random_numbers(void **state)
{
    each_call_fails_once(RANDOM, "random", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(database), cmocka_unit_test(random_numbers),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
