/* One of our own URLs, from the request to the answer, on a real directory. Four lines: "POST /login/acme?x=y", its
 * Content-Type, its cookies, its If-Match (or "guess", for a SCIM request without the token); then the body. */
#include <stdlib.h>

#include <apr_strings.h>

#include "../../src/directory/directory_private.h"
#include "../../src/flow/flow_private.h"
#include "expect.h"
#include "oktasso/json.h"
#include "oktasso/scim.h"

#define BASE "https://app.example.com"
#define TOKEN "the token"

/* The pages of APR's pools are none of malloc's, so that what is reachable from them alone looks lost. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

static oks_flow_t flow = { .path = "/sso/okta", .vhost = "app:443" };
static oks_org_t orgs[2];
static oks_saml_expect_t expect;
static oks_keyring_t *ring;
static oks_counters_t counters;
static oks_limiter_t limiter;
static char folder[] = "/tmp/oktasso-fuzz-XXXXXX";

static const oks_org_t *find_org(void *unused, oks_span_t name, apr_pool_t *pool)
{
    for (int i = 0; i < 2; i++)
        if (oks_span_eq_z(name, orgs[i].name)) return &orgs[i];
    return NULL;
}

static const oks_org_t *find_domain(void *unused, oks_span_t domain, apr_pool_t *pool)
{
    return oks_span_case_eq_z(domain, "acme.example") ? &orgs[0] : NULL;
}

static const oks_org_t *find_issuer(void *unused, const char *host, apr_pool_t *pool)
{
    return strcmp(host, "globex.okta.com") == 0 ? &orgs[1] : NULL;
}

static oks_password_t check_password(void *unused, const oks_org_t *org, const char *user, const char *password)
{
    return strcmp(user, "ann") == 0 && strcmp(password, "secret") == 0 ? OKS_PASSWORD_GOOD : OKS_PASSWORD_WRONG;
}

static void make_orgs(apr_pool_t *pool)
{
    static const char *const locals[] = { "file", NULL };
    static const char *const accounts[] = { "ann", NULL };
    static const oks_oidc_settings_t oidc = { .client = { .id = "c1", .secret = "s" }, .scope = "openid",
                                              .host = "globex.okta.com" };
    static unsigned char digest[OKS_SHA256_LEN];
    apr_array_header_t *tokens = apr_array_make(pool, 1, sizeof(const char *));
    apr_array_header_t *certs = apr_array_make(pool, 1, sizeof(oks_cert_t *));
    oks_sha256(digest, oks_span_z(TOKEN));
    APR_ARRAY_PUSH(tokens, const char *) = (const char *)digest;
    APR_ARRAY_PUSH(certs, oks_cert_t *) = APR_ARRAY_IDX(expect.keys, 0, oks_keypair_t *)->cert;
    orgs[0] = (oks_org_t){ .name = "acme", .static_idp = expect.idp, .sp_keys = expect.keys, .sp_certs = certs };
    orgs[1] = (oks_org_t){ .name = "globex", .oidc = &oidc, .metadata_key = "oidc:https://globex.okta.com" };
    for (int i = 0; i < 2; i++) {
        orgs[i].enabled = true;
        orgs[i].attributes = oks_flow_default_attributes(pool);
        orgs[i].user_field = "email", orgs[i].default_role = "member";
        orgs[i].session = (oks_session_limits_t){ .lifetime = apr_time_from_sec(8 * 3600), .idle = apr_time_from_sec(3600) };
        orgs[i].skew = apr_time_from_sec(120);
        orgs[i].scim_tokens = tokens;
        orgs[i].scim_body_max = OKS_SCIM_BODY_DEFAULT;
        orgs[i].local_providers = locals;
        orgs[i].break_glass = accounts;
        oks_flow_name_cookies(&orgs[i], flow.vhost, pool);
    }
}

static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    if (system(command) != 0) fprintf(stderr, "%s is left over\n", folder);
}

#define SALES "33333333333333333333333333333333"
#define SESSION "73657373696f6e2d6f662d626a656e73" /* of the ticket in t/fuzz/corpus/fuzz_flow_ticket/good, and its user: */
#define USER "757365722d6f662d626a656e73656e21"

static oks_err_t *run_all(oks_conn_t *conn, void *all, apr_pool_t *pool)
{
    for (const char *const *sql = all; *sql; sql++) OKS_TRY(oks_conn_run(conn, *sql, pool));
    return NULL;
}

/* One user, in one group, with one session; copied, so that each input finds them as they were. */
static const char *const furnish[] = {
    "UPDATE users SET id = '" USER "'", "UPDATE user_groups SET id = '" SALES "'",
    "INSERT INTO members (group_id, user_id) VALUES ('" SALES "', '" USER "')",
    "INSERT INTO sessions (id, user_id, org, vhost, protocol, subject_format, authn_instant, created, expires)"
    " VALUES ('" SESSION "', '" USER "', 'acme', 'app:443', 'saml', '', 1768478400000000, 1768478400000000, 4102444800000000)",
    "CREATE TABLE kept_users AS SELECT * FROM users", "CREATE TABLE kept_groups AS SELECT * FROM user_groups",
    "CREATE TABLE kept_members AS SELECT * FROM members", "CREATE TABLE kept_sessions AS SELECT * FROM sessions", NULL
};
static const char *const restore[] = {
    "DELETE FROM members", "DELETE FROM user_groups", "DELETE FROM sessions", "DELETE FROM users", "DELETE FROM claims",
    "DELETE FROM documents", "DELETE FROM changes", "INSERT INTO users SELECT * FROM kept_users",
    "INSERT INTO user_groups SELECT * FROM kept_groups", "INSERT INTO members SELECT * FROM kept_members",
    "INSERT INTO sessions SELECT * FROM kept_sessions", NULL
};

static void change_all(const char *const *all, apr_pool_t *pool)
{
    FUZZ_GOOD(oks_directory_write(flow.directory, run_all, (void *)(uintptr_t)all, pool));
}

/* What httpd would do before: a path is decoded and starts with "/", a header is one line. */
static oks_request_t request_of(oks_span_t *input, bool *guesses, apr_pool_t *pool)
{
    oks_span_t method = fuzz_line(input), path = oks_span(NULL, 0), query = method;
    oks_span_next(&method, &query, ' ');
    oks_span_next(&path, &query, '?');
    const char *content_type = oks_span_dup(fuzz_line(input), pool), *local_path = oks_span_dup(path, pool);
    oks_span_t cookies = fuzz_line(input);
    const char *if_match = oks_span_dup(fuzz_line(input), pool);
    *guesses = strcmp(if_match, "guess") == 0;
    return (oks_request_t){
        .method = oks_span_dup(method, pool), .base_url = BASE, .tls = true, .local_path = *local_path == '/' ? local_path : "",
        .query = query, .cookies = cookies, .content_type = content_type, .body = *input, .accept = "text/html",
        .sec_fetch_mode = "navigate", .sec_fetch_dest = "document", .sec_fetch_site = "", .requested_with = "",
        .authorization = *guesses ? "Bearer a guess" : "Bearer " TOKEN, .if_match = if_match, .if_none_match = "", .id = "id",
        .now = expect.now, .client = "192.0.2.1", .check_password = check_password,
    };
}

static int check_header(void *unused, const char *name, const char *value)
{
    HOLDS(oks_header_name_ok(name));
    for (const char *p = value; *p; p++) HOLDS((unsigned char)*p >= ' ' && *p != 0x7f);
    /* Here, or where an identity provider signs people in (SECURITY.md 5). */
    if (strcmp(name, "Location") == 0)
        HOLDS((value[0] == '/' && value[1] != '/' && value[1] != '\\') || !strncmp(value, BASE "/", sizeof BASE) ||
              !strncmp(value, "https://acme.okta.com/", 22));
    return 1;
}

static void check_body(const oks_answer_t *answer, apr_pool_t *pool)
{
    json_t *json;
    const char *body = answer->body, *type = answer->content_type;
    if (!type || !body) return;
    HOLDS(oks_utf8_ok(oks_span_z(body)));
    if (strstr(type, "json")) HOLDS(!oks_json_parse(&json, oks_span_z(body), strlen(body), pool));
    if (strstr(type, "html")) HOLDS(!strstr(body, "<script>") && !strstr(body, "<x"));
}

/* As httpd does it. */
static oks_answer_t *serve(const oks_request_t *request, apr_pool_t *pool)
{
    oks_scim_caller_t caller;
    if (!oks_flow_is_scim(request->local_path)) return oks_flow_serve(&flow, request, pool);
    oks_err_t *err = oks_flow_scim_admits(&caller, &flow, request, pool);
    return err ? oks_flow_scim_refuse(err, &caller, pool) : oks_flow_serve_scim(&flow, &caller, request, pool);
}

/* The answer's status, when all of it is well. */
static int served(oks_span_t input, apr_pool_t *pool)
{
    bool guesses;
    oks_request_t request = request_of(&input, &guesses, pool);
    FUZZ_GOOD(oks_cache_create(&flow.cache, 16, 65536, pool));
    FUZZ_GOOD(oks_assertions_create(&flow.assertions, pool));
    memset(&limiter, 0, sizeof limiter);
    oks_answer_t *answer = serve(&request, pool);
    HOLDS(answer && answer->status >= 200 && answer->status < 600 && answer->status != 500);
    HOLDS(!guesses || !oks_flow_is_scim(request.local_path) || answer->status >= 400);
    apr_table_do(check_header, NULL, answer->headers, NULL);
    check_body(answer, pool);
    return answer->status;
}

static void furnish_directory(apr_pool_t *pool)
{
    static const char user[] = "POST /scim/acme/v2/Users\n" OKS_SCIM_MEDIA_TYPE "\n\n\n{\"userName\":\"b@acme.example\",\"emails\":"
        "[{\"value\":\"b@acme.example\",\"type\":\"work\"}],\"name\":{\"givenName\":\"B\"},\"active\":true}";
    static const char group[] = "POST /scim/acme/v2/Groups\n" OKS_SCIM_MEDIA_TYPE "\n\n\n{\"displayName\":\"Sales\"}";
    HOLDS(served(oks_span_z(user), pool) == 201 && served(oks_span_z(group), pool) == 201);
    change_all(furnish, pool);
}

void fuzz_start(apr_pool_t *pool)
{
    static const char key[] = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    expect_make(&expect, pool);
    HOLDS(mkdtemp(folder) && atexit(remove_folder) == 0);
    FUZZ_GOOD(oks_keyring_parse(&ring, oks_span_z(key), pool));
    make_orgs(pool);
    flow.keys = ring, flow.counters = &counters, flow.limiter = &limiter;
    flow.find_org = find_org, flow.find_domain = find_domain, flow.find_issuer = find_issuer;
    const char *spec = apr_pstrcat(pool, "sqlite3:", folder, "/directory.db", NULL);
    FUZZ_GOOD(oks_directory_open(&flow.directory, spec, 1, &counters, pool));
    FUZZ_GOOD(oks_directory_migrate(flow.directory, pool));
    FUZZ_GOOD(oks_idp_store_create(&flow.idps, flow.directory, &counters, OKS_FLOW_CERTIFICATE_OVERLAP, pool));
    furnish_directory(pool);
    /* Statements are prepared once more: there are new tables. */
    FUZZ_GOOD(oks_directory_open(&flow.directory, spec, 1, &counters, pool));
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    bool reads = input.len > 4 && memcmp(input.ptr, "GET ", 4) == 0 && !memmem(input.ptr, input.len, "logout", 6);
    int status = served(input, pool);
    if (!reads) change_all(restore, pool);
    return status < 400;
}
