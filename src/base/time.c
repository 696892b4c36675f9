/* Times and intervals from outside: 64 bits, strict (SECURITY.md 12). */
#include <string.h>

#include <apr_strings.h>

#include "oktasso/base.h"

#define INTERVAL_MAX_SECONDS (10LL * 366 * 86400)

/* A fixed number of digits. -1 when one is missing. */
static int digits(const char *p, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (p[i] < '0' || p[i] > '9') return -1;
        value = value * 10 + (p[i] - '0');
    }
    return value;
}

static int days_in_month(int year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Microseconds of ".123…Z" after the seconds; false when malformed. */
static bool fraction(apr_time_t *microseconds, const char *p, apr_size_t len)
{
    *microseconds = 0;
    if (len == 1) return p[0] == 'Z';
    if (len < 3 || len > 11 || p[0] != '.' || p[len - 1] != 'Z') return false;
    int scale = 100000;
    for (apr_size_t i = 1; i + 1 < len; i++, scale /= 10) {
        if (p[i] < '0' || p[i] > '9') return false;
        *microseconds += (p[i] - '0') * scale;
    }
    return true;
}

oks_err_t *oks_time_parse(apr_time_t *when, oks_span_t text, apr_pool_t *pool)
{
    const char *p = text.ptr;
    apr_time_exp_t t;
    apr_time_t part;
    memset(&t, 0, sizeof t);
    bool ok = text.len >= 20 && p[4] == '-' && p[7] == '-' && p[10] == 'T' && p[13] == ':' && p[16] == ':' &&
              fraction(&part, p + 19, text.len - 19);
    if (ok) {
        int year = digits(p, 4), month = digits(p + 5, 2), day = digits(p + 8, 2);
        t.tm_hour = digits(p + 11, 2), t.tm_min = digits(p + 14, 2), t.tm_sec = digits(p + 17, 2);
        ok = year >= 1970 && month >= 1 && month <= 12 && day >= 1 && day <= days_in_month(year, month) &&
             t.tm_hour >= 0 && t.tm_hour < 24 && t.tm_min >= 0 && t.tm_min < 60 && t.tm_sec >= 0 && t.tm_sec < 60;
        t.tm_year = year - 1900, t.tm_mon = month - 1, t.tm_mday = day;
    }
    if (!ok || apr_time_exp_get(when, &t) != APR_SUCCESS)
        return oks_err(pool, OKS_R_BASE_TIME_MALFORMED, "\"%s\"", oks_log_escape(text, 40, pool));
    *when += part;
    return NULL;
}

const char *oks_time_format(apr_time_t when, apr_pool_t *pool)
{
    apr_time_exp_t t;
    apr_time_exp_gmt(&t, when);
    return apr_psprintf(pool, "%04d-%02d-%02dT%02d:%02d:%02dZ", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
                        t.tm_min, t.tm_sec);
}

const char *oks_time_here(apr_time_t now, apr_interval_time_t skew, apr_pool_t *pool)
{
    return apr_psprintf(pool, "here it is %s, OktaSSOClockSkew %s", oks_time_format(now, pool), oks_interval_format(skew, pool));
}

/* From the smallest; of two names the one that is written comes last. */
static const struct { const char *unit; apr_interval_time_t size; } units[] = {
    { "ms", 1000 }, { "s", APR_USEC_PER_SEC }, { "min", 60 * APR_USEC_PER_SEC }, { "m", 60 * APR_USEC_PER_SEC },
    { "h", 3600 * APR_USEC_PER_SEC }, { "d", 86400 * APR_USEC_PER_SEC }, { "w", 7 * 86400 * APR_USEC_PER_SEC },
};
#define UNITS (sizeof units / sizeof units[0])

oks_err_t *oks_interval_parse(apr_interval_time_t *interval, const char *text, apr_pool_t *pool)
{
    apr_size_t len = strspn(text, "0123456789");
    apr_int64_t number = len && len < 13 ? apr_strtoi64(text, NULL, 10) : -1;
    for (apr_size_t i = 0; number >= 0 && i < UNITS; i++)
        if (strcmp(text + len, units[i].unit) == 0) {
            if (number > INTERVAL_MAX_SECONDS * APR_USEC_PER_SEC / units[i].size)
                return oks_err(pool, OKS_R_BASE_INTERVAL_MALFORMED, "\"%s\" is more than ten years", text);
            *interval = number * units[i].size;
            return NULL;
        }
    return oks_err(pool, OKS_R_BASE_INTERVAL_MALFORMED,
                   "\"%s\" is no interval: write a whole number and a unit, such as 90s, 15m, 8h or 7d", text);
}

const char *oks_interval_format(apr_interval_time_t interval, apr_pool_t *pool)
{
    for (apr_size_t i = UNITS; interval && i-- > 0;)
        if (interval % units[i].size == 0)
            return apr_psprintf(pool, "%" APR_INT64_T_FMT "%s", (apr_int64_t)(interval / units[i].size), units[i].unit);
    return "0s";
}
