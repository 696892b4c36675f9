/* The limiter: windows, slots, and counting from several threads. */
#include <pthread.h>
#include <stdio.h>

#include <apr_general.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_ends_and_counts_anew), cmocka_unit_test(what_is_given_back_was_never_counted),
        cmocka_unit_test(no_key_is_in_anothers_way), cmocka_unit_test(another_window_is_another_count),
        cmocka_unit_test(a_flood_of_keys_opens_nothing_and_shuts_nobody_out),
        cmocka_unit_test(each_has_its_own_secret_and_keeps_it), cmocka_unit_test(no_failure_is_lost_between_threads),
    };
    apr_initialize();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
