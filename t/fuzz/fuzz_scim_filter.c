/* A filter, asked of one user. */
#include <apr_strings.h>

#include "fuzz.h"
#include "oktasso/scim.h"
#include "samples.h"

static json_t *user;

void fuzz_start(apr_pool_t *pool)
{
    user = sample_user(pool);
}

static bool matches_user(const oks_scim_filter_t *filter, apr_pool_t *pool)
{
    oks_scim_work_t work;
    bool matches;
    oks_scim_work_begin(&work, OKS_SCIM_SEARCH_WORK_MAX, pool);
    HOLDS(!oks_scim_filter_matches(&matches, filter, user, &work)); /* one user is never too much */
    return matches;
}

/* What `text` says of the user: 1, 0, or -1 when it is no filter. */
static int answer(const char *text, apr_pool_t *pool)
{
    oks_scim_filter_t *filter;
    if (oks_scim_filter_parse(&filter, &oks_scim_user, oks_span_z(text), pool)) return -1;
    return matches_user(filter, pool);
}

/* Where the directory's index answers instead of the filter, it has to be the same question. */
static void check_equal(const oks_scim_filter_t *filter, bool matches, apr_pool_t *pool)
{
    const char *path, *text;
    if (!oks_scim_filter_is_equal(&path, &text, filter, pool)) return;
    json_t *literal = json_string(text);
    char *quoted = json_dumps(literal, JSON_ENCODE_ANY);
    const char *plain = apr_pstrcat(pool, path, " eq ", quoted, NULL);
    free(quoted);
    json_decref(literal);
    HOLDS(answer(plain, pool) == matches);
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    oks_scim_filter_t *filter;
    if (oks_scim_filter_parse(&filter, &oks_scim_user, input, pool)) return false;
    const char *text = oks_span_dup(input, pool);
    bool matches = matches_user(filter, pool);
    /* -1: the limits are for what is put around it, too. */
    int negated = answer(apr_pstrcat(pool, "not (", text, ")", NULL), pool);
    int twice = answer(apr_pstrcat(pool, "(", text, ") and (", text, ")", NULL), pool);
    int never = answer(apr_pstrcat(pool, "(", text, ") and userName eq \"nobody\"", NULL), pool);
    HOLDS(negated != matches && (twice < 0 || twice == matches) && never < 1);
    check_equal(filter, matches, pool);
    return true;
}
