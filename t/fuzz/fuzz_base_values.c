/* Base64, base64url, hexadecimal, times and intervals: what was read is written, and reads as the same again. */
#include <apr_strings.h>

#include "fuzz.h"

#define BYTES_MAX 4096

void fuzz_start(apr_pool_t *pool)
{
}

static bool base64(oks_span_t input, apr_pool_t *pool)
{
    oks_span_t bytes, again;
    if (oks_base64_decode(&bytes, input, pool)) return false;
    HOLDS(!oks_base64_decode(&again, oks_span_z(oks_base64_encode(bytes, pool)), pool) && oks_span_eq(bytes, again));
    return true;
}

/* Strict: each value has exactly one text, so that no sealed text or token has a second form. */
static bool base64url(oks_span_t input, apr_pool_t *pool)
{
    oks_span_t bytes;
    unsigned char out[BYTES_MAX];
    apr_ssize_t len = oks_base64url_decode_into(out, sizeof out, input);
    bool ok = !oks_base64url_decode(&bytes, input, pool);
    HOLDS(!ok || oks_span_eq_z(input, oks_base64url_encode(bytes, pool)));
    HOLDS(len < 0 ? !ok || bytes.len > sizeof out : ok && oks_span_eq(bytes, oks_span((char *)out, (apr_size_t)len)));
    return ok;
}

static bool hex(oks_span_t input, apr_pool_t *pool)
{
    unsigned char out[OKS_EMAIL_MAX];
    apr_size_t size = input.len / 2;
    if (size > sizeof out || !oks_hex_decode_into(out, size, input)) return false;
    HOLDS(oks_span_case_eq_z(input, oks_hex_encode(oks_span((char *)out, size), pool)));
    return true;
}

static bool time_and_interval(oks_span_t input, apr_pool_t *pool)
{
    apr_time_t when, again;
    apr_interval_time_t interval, same;
    bool time_ok = !oks_time_parse(&when, input, pool);
    if (time_ok) {
        HOLDS(when >= 0 && !oks_time_parse(&again, oks_span_z(oks_time_format(when, pool)), pool));
        HOLDS(apr_time_sec(again) == apr_time_sec(when));
    }
    if (oks_interval_parse(&interval, oks_span_dup(input, pool), pool)) return time_ok;
    HOLDS(interval >= 0 && !oks_interval_parse(&same, oks_interval_format(interval, pool), pool) && same == interval);
    return true;
}

bool fuzz_one(oks_span_t input, apr_pool_t *pool)
{
    int forms = base64(input, pool) + base64url(input, pool) + hex(input, pool);
    return forms + time_and_interval(input, pool) > 0;
}
