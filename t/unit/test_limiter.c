/* The limiter: windows, slots, and counting from several threads. */
#include <pthread.h>
#include <stdio.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "oktasso/flow.h"
#include "unit.h"

#define WINDOW apr_time_from_sec(300)
#define NOW (WINDOW * 1000 + 17)

static oks_limiter_t limiter; /* zeroed, as shared memory is */

static void a_window_ends_and_counts_anew(void **state)
{
    for (int i = 0; i < 5; i++) {
        assert_true(oks_limiter_allows(&limiter, "account", 5, WINDOW, NOW));
        oks_limiter_fail(&limiter, "account", WINDOW, NOW);
    }
    assert_false(oks_limiter_allows(&limiter, "account", 5, WINDOW, NOW));
    assert_true(oks_limiter_allows(&limiter, "account", 6, WINDOW, NOW));
    assert_true(oks_limiter_allows(&limiter, "another", 5, WINDOW, NOW));
    assert_false(oks_limiter_allows(&limiter, "account", 5, WINDOW, NOW + WINDOW - 18));
    assert_true(oks_limiter_allows(&limiter, "account", 1, WINDOW, NOW + WINDOW - 17));
    oks_limiter_fail(&limiter, "account", WINDOW, NOW + WINDOW);
    assert_false(oks_limiter_allows(&limiter, "account", 1, WINDOW, NOW + WINDOW));
    assert_true(oks_limiter_allows(&limiter, "account", 2, WINDOW, NOW + WINDOW));
}

static void what_is_given_back_was_never_counted(void **state)
{
    for (int i = 0; i < 3; i++) assert_true(oks_limiter_take(&limiter, "given", 3, WINDOW, NOW));
    assert_false(oks_limiter_take(&limiter, "given", 3, WINDOW, NOW));
    oks_limiter_give(&limiter, "given", WINDOW, NOW);
    assert_true(oks_limiter_take(&limiter, "given", 3, WINDOW, NOW));
    assert_false(oks_limiter_take(&limiter, "given", 3, WINDOW, NOW));
    assert_true(oks_limiter_take(&limiter, "given", 3, WINDOW, NOW + WINDOW)); /* of the next window, the old one's give nothing */
    oks_limiter_give(&limiter, "given", WINDOW, NOW);
    assert_false(oks_limiter_allows(&limiter, "given", 1, WINDOW, NOW + WINDOW));
    oks_limiter_give(&limiter, "given", WINDOW, NOW + WINDOW);
    oks_limiter_give(&limiter, "given", WINDOW, NOW + WINDOW); /* and never less than none */
    assert_true(oks_limiter_allows(&limiter, "given", 1, WINDOW, NOW + WINDOW));
}

/* Under a hash without a secret these two had one slot: who knew an address could shut it out by an account that nobody has. */
static void no_key_is_in_anothers_way(void **state)
{
    const char *attackers = "account\nacme\nx13163", *victims = "address\n127.0.0.3";
    for (int i = 0; i < 100; i++) oks_limiter_fail(&limiter, attackers, WINDOW, NOW);
    assert_false(oks_limiter_allows(&limiter, attackers, 20, WINDOW, NOW));
    assert_true(oks_limiter_allows(&limiter, victims, 1, WINDOW, NOW));
}

static void another_window_is_another_count(void **state)
{
    const apr_interval_time_t minute = apr_time_from_sec(60);
    for (int i = 0; i < 20; i++) oks_limiter_fail(&limiter, "windows", WINDOW, NOW);
    for (int i = 0; i < 5; i++) assert_int_equal(oks_limiter_take(&limiter, "windows", 1, minute, NOW + i * minute / 2), i % 2 == 0);
    oks_limiter_give(&limiter, "windows", minute, NOW);
    assert_false(oks_limiter_allows(&limiter, "windows", 20, WINDOW, NOW + 4 * minute));
}

#define FLOOD 500000 /* keys: many times the slots */

static void a_flood_of_keys_opens_nothing_and_shuts_nobody_out(void **state)
{
    char key[32];
    for (int i = 0; i < 20; i++) oks_limiter_fail(&limiter, "shut", WINDOW, NOW);
    for (int i = 0; i < FLOOD; i++) {
        snprintf(key, sizeof key, "flood %d", i);
        oks_limiter_fail(&limiter, key, WINDOW, NOW);
    }
    assert_false(oks_limiter_allows(&limiter, "shut", 20, WINDOW, NOW));
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof key, "innocent %d", i);
        assert_true(oks_limiter_allows(&limiter, key, 1, WINDOW, NOW));
        assert_true(oks_limiter_take(&limiter, key, 1, WINDOW, NOW) && !oks_limiter_take(&limiter, key, 1, WINDOW, NOW));
    }
}

static void each_has_its_own_secret_and_keeps_it(void **state)
{
    static oks_limiter_t one, other;
    unsigned char before[sizeof one.secret];
    apr_pool_t *pool;
    apr_pool_create(&pool, NULL);
    GOOD(oks_limiter_init(&one, pool));
    GOOD(oks_limiter_init(&other, pool));
    assert_memory_not_equal(one.secret, other.secret, sizeof one.secret);
    memcpy(before, one.secret, sizeof before);
    GOOD(oks_limiter_init(&one, pool)); /* a graceful restart */
    assert_memory_equal(one.secret, before, sizeof before);
    apr_pool_destroy(pool);
}

static void *fail_often(void *key)
{
    for (int i = 0; i < 10000; i++) oks_limiter_fail(&limiter, key, WINDOW, NOW);
    return NULL;
}

static void no_failure_is_lost_between_threads(void **state)
{
    pthread_t threads[4];
    char key[] = "many";
    for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, fail_often, key), 0);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_false(oks_limiter_allows(&limiter, key, 40000, WINDOW, NOW));
    assert_true(oks_limiter_allows(&limiter, key, 40001, WINDOW, NOW));
}

/* ---- Passwords ---- */

static oks_org_t org = { .name = "acme" };
static oks_flow_t flow = { .path = "/sso/okta", .vhost = "app:443" };
static oks_request_t request = { .local_path = "", .now = NOW, .client = "192.0.2.1" };

static oks_reason_t reason_of(const char *user, apr_pool_t *pool)
{
    oks_pass_t pass;
    oks_err_t *err = oks_flow_check_basic(&pass, &flow, &org, &request, user, "password", pool);
    assert_non_null(err);
    return err->reason;
}

static oks_password_t find_wrong(void *baton, const oks_org_t *asked, const char *user, const char *password)
{
    return OKS_PASSWORD_WRONG;
}

typedef struct crowd_t {
    apr_pool_t *pool;
    int checks;
    oks_reason_t last;
} crowd_t;

/* While this password is being checked the next one comes: of the same account, or from the same address alone. */
static oks_password_t let_the_next_one_in(void *baton, const oks_org_t *asked, const char *user, const char *password)
{
    crowd_t *crowd = baton;
    const char *next = strcmp(user, "ops") == 0 ? "ops" : apr_psprintf(crowd->pool, "nobody-%d", crowd->checks);
    crowd->checks++;
    const oks_reason_t reason = reason_of(next, crowd->pool);
    if (crowd->checks == OKS_FLOW_FAILURES_MAX && !crowd->last) crowd->last = reason;
    return OKS_PASSWORD_UNAVAILABLE; /* as little of a failure as a right one */
}

static void passwords_that_are_being_checked_are_no_wrong_ones(void **state)
{
    static oks_limiter_t passwords;
    static const char *const providers[] = { "file", NULL };
    crowd_t crowd = { 0 };
    org.local_providers = providers;
    flow.limiter = &passwords;
    apr_pool_create(&crowd.pool, NULL);
    for (int i = 0; i < 2; i++) {
        request.check_password = let_the_next_one_in;
        request.baton = &crowd;
        crowd.checks = 0;
        crowd.last = OKS_R_NONE;
        assert_int_equal(reason_of(i ? "nobody" : "ops", crowd.pool), OKS_R_FLOW_LOCAL_UNAVAILABLE);
        assert_int_equal(crowd.checks, OKS_FLOW_FAILURES_MAX);
        assert_int_equal(crowd.last, OKS_R_FLOW_LOCAL_BUSY);
    }
    request.check_password = find_wrong;
    for (int i = 0; i < OKS_FLOW_FAILURES_MAX; i++) assert_int_equal(reason_of("ops", crowd.pool), OKS_R_FLOW_LOCAL_WRONG);
    assert_int_equal(reason_of("ops", crowd.pool), OKS_R_FLOW_LOCAL_LIMITED);
    apr_pool_destroy(crowd.pool);
}

static void an_account_counts_at_each_provider_of_the_list(void **state)
{
    static oks_limiter_t passwords;
    static const char *const lists[][4] = { { "file" }, { "file", "ldap" }, { "ldap", "file" }, { "dbm", "ldap", "file" } };
    static const char *const ldap[] = { "ldap", NULL }, *const dbm[] = { "dbm", NULL };
    apr_pool_t *pool;
    apr_pool_create(&pool, NULL);
    flow.limiter = &passwords;
    request.check_password = find_wrong;
    for (int i = 0; i <= OKS_FLOW_FAILURES_MAX; i++) { /* 15 of them ask ldap as well, 5 dbm */
        request.client = apr_psprintf(pool, "192.0.2.%d", i);
        org.local_providers = lists[i % 4];
        assert_int_equal(reason_of("ops", pool), i < OKS_FLOW_FAILURES_MAX ? OKS_R_FLOW_LOCAL_WRONG : OKS_R_FLOW_LOCAL_LIMITED);
    }
    for (int i = 0; i < 4; i++) {
        org.local_providers = lists[i];
        assert_int_equal(reason_of("ops", pool), OKS_R_FLOW_LOCAL_LIMITED); /* and takes nothing from the others */
    }
    for (int i = 0; i <= 15; i++) {
        request.client = apr_psprintf(pool, "192.0.2.%d", 100 + i);
        org.local_providers = dbm;
        assert_int_equal(reason_of("ops", pool), i < 15 ? OKS_R_FLOW_LOCAL_WRONG : OKS_R_FLOW_LOCAL_LIMITED);
        org.local_providers = ldap;
        assert_int_equal(reason_of("ops", pool), i < 5 ? OKS_R_FLOW_LOCAL_WRONG : OKS_R_FLOW_LOCAL_LIMITED);
    }
    apr_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_ends_and_counts_anew), cmocka_unit_test(what_is_given_back_was_never_counted),
        cmocka_unit_test(no_key_is_in_anothers_way), cmocka_unit_test(another_window_is_another_count),
        cmocka_unit_test(a_flood_of_keys_opens_nothing_and_shuts_nobody_out),
        cmocka_unit_test(each_has_its_own_secret_and_keeps_it), cmocka_unit_test(no_failure_is_lost_between_threads),
        cmocka_unit_test(passwords_that_are_being_checked_are_no_wrong_ones),
        cmocka_unit_test(an_account_counts_at_each_provider_of_the_list),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
