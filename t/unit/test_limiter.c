/* The limiter: windows, slots, and counting from several threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <apr_general.h>
#include <cmocka.h>

#include "oktasso/flow.h"

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
        cmocka_unit_test(no_failure_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
