/* The room net against servers on loopback (net_server.py): what it fetches, and each reason for which it does not. */
#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "oktasso/net.h"

/* libcurl's: names that end so lead to this machine. */
__attribute__((visibility("default")))
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    int (*resolve)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    *(void **)&resolve = dlsym(RTLD_NEXT, "getaddrinfo");
    return resolve(node && strcmp(node, "inward.example") == 0 ? "127.0.0.1" : node, service, hints, found);
}

static apr_pool_t *global;
static apr_pool_t *pool;
static oks_net_t *net;
static pid_t server_pid;
static int server_stdin;
static int http_port, https_port, other_port;
static char directory[] = "/tmp/test_net_XXXXXX";

/* ---- The servers ------------------------------------------------------------------------------------------ */

static void run_server(int in, int out)
{
    dup2(in, 0);
    dup2(out, 1);
    closefrom(3);
    execl("/usr/bin/python3", "python3", "-B", OKS_SOURCE_DIR "/t/unit/net_server.py", directory, (char *)NULL);
    perror("/usr/bin/python3");
    _exit(127);
}

static int start_server(void **state)
{
    int to[2], from[2];
    assert_non_null(mkdtemp(directory));
    assert_int_equal(pipe(to), 0);
    assert_int_equal(pipe(from), 0);
    server_pid = fork();
    assert_true(server_pid >= 0);
    if (server_pid == 0) run_server(to[0], from[1]);
    close(to[0]);
    close(from[1]);
    server_stdin = to[1];
    FILE *said = fdopen(from[0], "r");
    assert_non_null(said);
    assert_int_equal(fscanf(said, "%d %d %d", &http_port, &https_port, &other_port), 3);
    fclose(said);

    apr_initialize();
    apr_pool_create(&global, NULL);
    return oks_net_init(global) || oks_net_create(&net, global) ? -1 : 0;
}

static int stop_server(void **state)
{
    int status;
    close(server_stdin);
    kill(server_pid, SIGTERM);
    waitpid(server_pid, &status, 0);
    apr_pool_create(&pool, global);
    unlink(apr_pstrcat(pool, directory, "/ca.pem", NULL));
    unlink(apr_pstrcat(pool, directory, "/leaf.pem", NULL));
    rmdir(directory);
    apr_terminate();
    return 0;
}

static int new_pool(void **state)
{
    return apr_pool_create(&pool, global) == APR_SUCCESS ? 0 : -1;
}

static int drop_pool(void **state)
{
    apr_pool_destroy(pool);
    return 0;
}

/* ---- Requests and expectations ---------------------------------------------------------------------------- */

static oks_net_request_t request_to(const char *scheme, int port, const char *path)
{
    oks_net_request_t request = {.url = apr_psprintf(pool, "%s://127.0.0.1:%d%s", scheme, port, path),
                                 .timeout = apr_time_from_sec(10)};
    return request;
}

static oks_net_request_t plain(const char *path)
{
    return request_to("http", http_port, path);
}

static oks_net_response_t *got(oks_net_request_t request)
{
    oks_net_response_t *response = NULL;
    oks_err_t *err = oks_net_send(&response, net, &request, pool);
    if (err) fail_msg("%s: %s", request.url, oks_err_text(err, pool));
    assert_non_null(response);
    return response;
}

static const char *body_of(oks_net_request_t request)
{
    oks_net_response_t *response = got(request);
    assert_int_equal(response->body.len, strlen(response->body.ptr));
    return response->body.ptr;
}

/* The exact reason, and a detail that tells the operator which server it was. */
static void refused(oks_net_request_t request, oks_reason_t reason)
{
    oks_net_response_t *response = NULL;
    oks_err_t *err = oks_net_send(&response, net, &request, pool);
    assert_null(response);
    if (!err) fail_msg("%s: not refused", request.url);
    if (err->reason != reason)
        fail_msg("%s: wanted %s, got %s", request.url, oks_reason_info(reason)->code, oks_err_text(err, pool));
    assert_non_null(err->detail);
    assert_null(strstr(oks_err_text(err, pool), "hush"));
}

/* ---- What works ------------------------------------------------------------------------------------------- */

static void test_get(void **state)
{
    oks_net_response_t *response = got(plain("/ok"));
    assert_int_equal(response->status, 200);
    assert_true(oks_span_eq_z(response->body, "hello"));
    assert_string_equal(response->content_type, "application/xml; charset=utf-8");
    assert_string_equal(response->etag, "\"v1\"");
}

static void test_empty_body_and_absent_headers(void **state)
{
    oks_net_response_t *response = got(plain("/empty"));
    assert_int_equal(response->status, 200);
    assert_int_equal(response->body.len, 0);
    assert_string_equal(response->content_type, "");
    assert_null(response->etag);
}

static void test_error_status_is_no_error(void **state)
{
    assert_int_equal(got(plain("/status/404"))->status, 404);
    oks_net_response_t *response = got(plain("/status/503"));
    assert_int_equal(response->status, 503);
    assert_true(oks_span_eq_z(response->body, "sorry"));
}

static void test_not_modified(void **state)
{
    oks_net_request_t request = plain("/etag");
    request.if_none_match = "\"v1\"";
    oks_net_response_t *response = got(request);
    assert_int_equal(response->status, 304);
    assert_int_equal(response->body.len, 0);
    request.if_none_match = "\"v0\"";
    assert_int_equal(got(request)->status, 200);
}

static void test_header_values_that_could_split_a_request_are_dropped(void **state)
{
    oks_net_response_t *response = got(plain("/odd-etag"));
    assert_null(response->etag);
    assert_string_equal(response->content_type, "");
    oks_net_request_t request = plain("/echo");
    request.if_none_match = "\"v1\"\r\nX-Smuggled: 1";
    const char *echo = body_of(request);
    assert_null(strstr(echo, "X-Smuggled"));
    assert_null(strstr(echo, "If-None-Match"));
}

static void test_request_says_what_it_should(void **state)
{
    const char *echo = body_of(plain("/echo?a=b%20c"));
    assert_non_null(strstr(echo, "GET /echo?a=b%20c HTTP/1.1"));
    assert_non_null(strstr(echo, "User-Agent: mod_oktasso/"));
    assert_non_null(strstr(echo, "Accept-Encoding: gzip"));
    assert_null(strstr(echo, "Cookie"));
    assert_null(strstr(echo, "Authorization"));
}

static void test_gzip(void **state)
{
    assert_string_equal(body_of(plain("/gzip")), "hello");
    refused(plain("/gzip-broken"), OKS_R_NET_UNREACHABLE);
}

static void test_localhost_by_name(void **state)
{
    oks_net_request_t request = plain("/ok");
    request.url = apr_psprintf(pool, "http://localhost:%d/ok", http_port);
    assert_string_equal(body_of(request), "hello");
}

/* ---- Where it goes ---------------------------------------------------------------------------------------- */

static void test_urls_that_are_not_fetched(void **state)
{
    const char *urls[] = {"http://example.org/", "http://192.0.2.1/", "http://127.0.0.1.example.org/",
                          "ftp://127.0.0.1/",    "file:///etc/passwd", "https://user:hush@127.0.0.1/",
                          "127.0.0.1",           "/etc/passwd",        "",
                          "http://",             "gopher://127.0.0.1:1/", "http://[::2]/"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        oks_net_request_t request = {.url = urls[i], .timeout = apr_time_from_sec(5)};
        refused(request, OKS_R_NET_URL_REFUSED);
    }
}

static void test_redirects(void **state)
{
    assert_non_null(strstr(body_of(plain("/chain/1")), "GET /chain/0 "));
    const char *echo = body_of(plain("/chain/3"));
    assert_null(strstr(echo, "Cookie")); /* each redirect sets one */
    assert_string_equal(body_of(plain("/fragment")), "hello");
    assert_int_equal(got(plain("/no-location"))->status, 302);
}

static void test_redirects_that_are_not_followed(void **state)
{
    const char *paths[] = {"/chain/4", "/loop",     "/to/host",   "/to/other", "/to/port",   "/to/https",
                           "/to/file", "/to/gopher", "/to/double", "/to/userinfo"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) refused(plain(paths[i]), OKS_R_NET_REDIRECT_REFUSED);

    /* SECURITY.md 27: never from https to http. */
    oks_net_request_t request = request_to("https", https_port, "/to/http");
    request.ca_file = apr_pstrcat(pool, directory, "/ca.pem", NULL);
    refused(request, OKS_R_NET_REDIRECT_REFUSED);
}

static void test_environment_is_not_looked_at(void **state)
{
    const char *names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < 5; i++) setenv(names[i], "http://127.0.0.1:1", 1);
    assert_string_equal(body_of(plain("/ok")), "hello");
    oks_net_request_t request = request_to("https", https_port, "/ok");
    request.ca_file = apr_pstrcat(pool, directory, "/ca.pem", NULL);
    assert_string_equal(body_of(request), "hello");
    for (size_t i = 0; i < 5; i++) unsetenv(names[i]);
}

static void test_proxy(void **state)
{
    /* Loopback is reached directly, whatever the proxy. */
    oks_net_request_t request = plain("/ok");
    request.proxy = "http://127.0.0.1:1";
    assert_string_equal(body_of(request), "hello");
    /* Everything else goes through it: nobody listens there. no_proxy changes nothing. */
    setenv("no_proxy", "*", 1);
    request.url = "https://192.0.2.1/";
    refused(request, OKS_R_NET_UNREACHABLE);
    /* And what listens there but is no proxy is a broken answer. */
    request.proxy = apr_psprintf(pool, "http://127.0.0.1:%d", http_port);
    refused(request, OKS_R_NET_UNREACHABLE);
    unsetenv("no_proxy");
}

/* ---- What is sent, and what is not ------------------------------------------------------------------------ */

static void test_a_form_and_credentials(void **state)
{
    oks_net_request_t request = plain("/echo");
    request.form = "grant_type=authorization_code&code=hush";
    request.authorization = "Basic aHVzaA==";
    request.accept = "application/json";
    const char *echo = body_of(request);
    assert_non_null(strstr(echo, "POST /echo HTTP/1.1"));
    assert_non_null(strstr(echo, "Content-Type: application/x-www-form-urlencoded"));
    assert_non_null(strstr(echo, "Authorization: Basic aHVzaA=="));
    assert_non_null(strstr(echo, "Accept: application/json"));
    assert_non_null(strstr(echo, "\n\ngrant_type=authorization_code&code=hush"));
    assert_null(strstr(echo, "Expect"));

    /* The next request on the same connection knows nothing of it. */
    echo = body_of(plain("/echo"));
    assert_non_null(strstr(echo, "GET /echo HTTP/1.1"));
    assert_null(strstr(echo, "Authorization"));
    assert_null(strstr(echo, "hush"));

    request.url = plain("/chain/1").url; /* credentials and forms go where the administrator sent them, nowhere else */
    refused(request, OKS_R_NET_REDIRECT_REFUSED);
    request.form = NULL;
    refused(request, OKS_R_NET_REDIRECT_REFUSED);
    request.url = plain("/echo").url;
    request.authorization = "Bearer a\r\nX-Smuggled: 1";
    assert_null(strstr(body_of(request), "X-Smuggled"));
}

static void test_connections_are_reused(void **state)
{
    oks_net_request_t request = request_to("https", https_port, "/keep");
    request.ca_file = apr_pstrcat(pool, directory, "/ca.pem", NULL);
    const char *first = body_of(request), *second = body_of(request);
    assert_string_equal(first, second); /* the page is the client's port */
    request.ca_file = "/etc/ssl/certs/ca-certificates.crt"; /* other authorities: another connection, and judged anew */
    if (access(request.ca_file, R_OK) == 0) refused(request, OKS_R_NET_TLS_FAILED);
}

static void test_how_long_an_answer_is_good(void **state)
{
    static const struct { const char *path; int max_age, retry_after; } cases[] = {
        { "/age/max-age=60/120", 60, 120 }, { "/age/public,%20MAX-AGE=5/x", 5, -1 }, { "/age/no-store,%20max-age=60/-1", 0, -1 },
        { "/age/max-age=60,no-cache/0", 0, 0 }, { "/age/max-age=99999999999999999999/99999999999999999999", OKS_NET_AGE_MAX, OKS_NET_AGE_MAX },
        { "/age/max-age=1x/1x", -1, -1 }, { "/ok", -1, -1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        oks_net_response_t *response = got(plain(cases[i].path));
        if (response->max_age != cases[i].max_age || response->retry_after != cases[i].retry_after)
            fail_msg("%s: %d, %d", cases[i].path, response->max_age, response->retry_after);
    }
}

/* ---- How many at once -------------------------------------------------------------------------------------- */

typedef struct caller_t {
    pthread_t thread;
    apr_pool_t *pool;
    oks_net_request_t request;
    oks_err_t *err;
} caller_t;

static void *call(void *baton)
{
    caller_t *caller = baton;
    oks_net_response_t *response;
    caller->err = oks_net_send(&response, net, &caller->request, caller->pool);
    return NULL;
}

static void start_callers(caller_t *callers, int count, const char *path)
{
    for (int i = 0; i < count; i++) {
        apr_pool_create(&callers[i].pool, NULL);
        callers[i].request = plain(path);
        callers[i].request.timeout = apr_time_from_sec(60);
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
}

static void end_callers(caller_t *callers, int count, oks_reason_t reason)
{
    for (int i = 0; i < count; i++) {
        pthread_join(callers[i].thread, NULL);
        assert_int_equal(callers[i].err ? (int)callers[i].err->reason : -1, (int)reason);
        apr_pool_destroy(callers[i].pool);
    }
}

/* Ends those under way; a new one for the tests that follow. */
static void test_a_slow_server_leaves_room_and_a_stop_ends_it(void **state)
{
    caller_t callers[OKS_NET_PARALLEL_ORIGIN_MAX];
    start_callers(callers, OKS_NET_PARALLEL_ORIGIN_MAX, "/hold");
    while (atoi(body_of(request_to("http", other_port, "/held"))) < OKS_NET_PARALLEL_ORIGIN_MAX) continue; /* another server: served */
    refused(plain("/ok"), OKS_R_NET_BUSY);
    oks_net_stop(net);
    end_callers(callers, OKS_NET_PARALLEL_ORIGIN_MAX, OKS_R_NET_STOPPED);
    refused(plain("/ok"), OKS_R_NET_STOPPED);
    assert_null(oks_net_create(&net, global));
    assert_string_equal(body_of(plain("/ok")), "hello");
}

/* SECURITY.md 27. */
static void test_addresses_of_the_internet_alone(void **state)
{
    const char *urls[] = {
        "https://127.0.0.1/", "https://localhost/", "https://x.localhost/", "https://0.0.0.0/", "https://10.1.2.3/", "https://100.64.0.1/",
        "https://169.254.169.254/latest/meta-data/", "https://172.16.0.1/", "https://172.31.255.255/", "https://192.0.0.1/",
        "https://192.168.1.1/", "https://198.19.0.1/", "https://224.0.0.1/", "https://255.255.255.255/", "https://2130706433/",
        "https://0x7f.1/", "https://0177.0.0.1/", "https://127.1/", "https://[::1]/", "https://[::]/", "https://[fe80::1]/",
        "https://[fd00::1]/", "https://[ff02::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:a00:1]/", "https://[64:ff9b::a00:1]/",
        "https://[2002:7f00:1::]/", "https://[2001:0:1::]/", "https://[::7f00:1]/"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        oks_net_request_t request = {.url = urls[i], .timeout = apr_time_from_sec(2), .reach = OKS_NET_PUBLIC};
        refused(request, OKS_R_NET_ADDRESS_REFUSED);
        request.proxy = "http://127.0.0.1:1";
        refused(request, OKS_R_NET_ADDRESS_REFUSED);
    }
    const char *open_to[] = {"https://192.0.2.1/", "https://172.32.0.1/", "https://[2001:db8::1]/", "https://[::ffff:192.0.2.1]/",
                             "https://[64:ff9b::c000:201]/", "https://[2002:c000:201::]/", "https://acme.okta.com/", "https://10.example/"};
    for (size_t i = 0; i < sizeof open_to / sizeof *open_to; i++) {
        oks_net_request_t request = {.url = open_to[i], .proxy = "http://127.0.0.1:1", .reach = OKS_NET_PUBLIC};
        refused(request, OKS_R_NET_UNREACHABLE); /* as far as the proxy, which may be anywhere */
    }
}

/* The name is no address: where it leads counts when the connection is made, and one that others have made is not taken. */
static void test_a_name_that_leads_inward(void **state)
{
    oks_net_request_t request = {.url = apr_psprintf(pool, "https://inward.example:%d/keep", https_port), .timeout = apr_time_from_sec(5),
                                 .ca_file = apr_pstrcat(pool, directory, "/ca.pem", NULL), .reach = OKS_NET_PUBLIC};
    refused(request, OKS_R_NET_ADDRESS_REFUSED);
    request.reach = OKS_NET_ANYWHERE;
    const char *first = body_of(request), *second = body_of(request);
    assert_string_equal(first, second);
    request.reach = OKS_NET_PUBLIC;
    refused(request, OKS_R_NET_ADDRESS_REFUSED);
    request.form = "code=hush";
    refused(request, OKS_R_NET_ADDRESS_REFUSED);
    request.form = NULL;
    request.reach = OKS_NET_ANYWHERE;
    assert_string_equal(body_of(request), first);
}

/* ---- TLS -------------------------------------------------------------------------------------------------- */

static void test_tls(void **state)
{
    oks_net_request_t request = request_to("https", https_port, "/ok");
    refused(request, OKS_R_NET_TLS_FAILED); /* an authority that the system does not know */

    request.ca_file = apr_pstrcat(pool, directory, "/ca.pem", NULL);
    assert_string_equal(body_of(request), "hello");

    request.url = apr_psprintf(pool, "https://localhost:%d/ok", https_port); /* the certificate names 127.0.0.1 */
    refused(request, OKS_R_NET_TLS_FAILED);

    request = request_to("https", http_port, "/ok"); /* no TLS there */
    refused(request, OKS_R_NET_TLS_FAILED);

    request = request_to("https", https_port, "/ok");
    request.ca_file = "/nonexistent/ca.pem";
    refused(request, OKS_R_NET_TLS_FAILED);
    request.ca_file = "/etc/ssl/certs/ca-certificates.crt";
    if (access(request.ca_file, R_OK) == 0) refused(request, OKS_R_NET_TLS_FAILED);
}

/* ---- Limits ----------------------------------------------------------------------------------------------- */

static void test_size_limit(void **state)
{
    assert_int_equal(got(plain("/exact"))->body.len, OKS_NET_RESPONSE_MAX);
    refused(plain("/huge-said"), OKS_R_NET_RESPONSE_TOO_LARGE);
    refused(plain("/huge-chunked"), OKS_R_NET_RESPONSE_TOO_LARGE);
    refused(plain("/bomb"), OKS_R_NET_RESPONSE_TOO_LARGE);
    refused(plain("/many-headers"), OKS_R_NET_RESPONSE_TOO_LARGE);
}

static void times_out(const char *path)
{
    oks_net_request_t request = plain(path);
    request.timeout = apr_time_from_msec(700);
    apr_time_t before = apr_time_now();
    refused(request, OKS_R_NET_TIMEOUT);
    apr_time_t took = apr_time_now() - before;
    assert_true(took >= apr_time_from_msec(600) && took < apr_time_from_sec(5));
}

static void test_time_limit(void **state)
{
    times_out("/slow");
    times_out("/drip");
    times_out("/slow-chain?hush"); /* one limit for all redirects together */
}

static void test_broken_answers(void **state)
{
    refused(plain("/garbage"), OKS_R_NET_UNREACHABLE);
    refused(plain("/hang-up"), OKS_R_NET_UNREACHABLE);
    refused(plain("/truncated"), OKS_R_NET_UNREACHABLE);
    refused(request_to("http", http_port, "/to/nothing"), OKS_R_NET_REDIRECT_REFUSED);
}

static void test_unreachable(void **state)
{
    refused(request_to("http", 1, "/?code=hush"), OKS_R_NET_UNREACHABLE);
    oks_net_request_t request = {.url = "https://name.invalid/", .timeout = apr_time_from_sec(20)}; /* RFC 6761 6.4 */
    refused(request, OKS_R_NET_UNREACHABLE);
}

#define T(name) cmocka_unit_test_setup_teardown(name, new_pool, drop_pool)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_get), T(test_empty_body_and_absent_headers), T(test_error_status_is_no_error), T(test_not_modified),
        T(test_header_values_that_could_split_a_request_are_dropped), T(test_request_says_what_it_should),
        T(test_gzip), T(test_localhost_by_name), T(test_urls_that_are_not_fetched), T(test_redirects),
        T(test_redirects_that_are_not_followed), T(test_environment_is_not_looked_at), T(test_proxy),
        T(test_addresses_of_the_internet_alone), T(test_a_name_that_leads_inward), T(test_tls),
        T(test_a_form_and_credentials), T(test_connections_are_reused), T(test_how_long_an_answer_is_good),
        T(test_a_slow_server_leaves_room_and_a_stop_ends_it),
        T(test_size_limit), T(test_time_limit), T(test_broken_answers), T(test_unreachable)};
    return cmocka_run_group_tests_name("net", tests, start_server, stop_server);
}
