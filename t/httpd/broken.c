/* A module that does on demand what ours must never do: for test_harness.py, whether such a thing fails a test. `SetHandler broken`, and
 * the query says what is to break. */
#include <httpd.h>
#include <http_config.h>

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static int handle(request_rec *r)
{
    const char *what = r->args ? r->args : "";
    if (strcmp(r->handler, "broken") != 0) return DECLINED;
    if (strcmp(what, "memory") == 0) {
        volatile char *bytes = malloc(8);
        bytes[8] = 1;
        free((char *)bytes);
    } else if (strcmp(what, "arithmetic") == 0) {
        volatile int most = INT_MAX;
        most = most + 1;
    } else if (strcmp(what, "crash") == 0) {
        raise(SIGSEGV);
    }
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    ap_hook_handler(handle, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(broken) = { STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0 };
