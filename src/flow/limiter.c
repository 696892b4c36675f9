/* How often something may fail. Slots stand in sets. A secret says which set a key has, and by which mark it is known there: so
 * nobody finds one key that is in another one's way. A slot is that mark, the second in which its window ends, and how many
 * failures it has seen: 16, 32 and 16 bits. */
#include <string.h>

#include "flow_private.h"

#define WAYS 8
#define SETS (OKS_LIMITER_SLOTS / WAYS)
#define MARK_SHIFT 48
#define END_SHIFT 16
#define END_MASK UINT64_C(0xffffffff)
#define COUNT_MASK UINT64_C(0xffff)

oks_err_t *oks_limiter_init(oks_limiter_t *limiter, apr_pool_t *pool)
{
    static const unsigned char none[sizeof limiter->secret];
    if (memcmp(limiter->secret, none, sizeof none) != 0) return NULL;
    return oks_random_bytes(limiter->secret, sizeof limiter->secret, pool);
}

/* A key's slot in this window; or the one that it takes, where it has none. */
typedef struct place_t {
    _Atomic uint64_t *slot;
    uint64_t seen;  /* what was in it */
    uint64_t empty; /* what is in it when nothing has been counted */
    bool found;
} place_t;

/* The window is part of what is counted: the same key with another one is another key. */
static uint64_t hash_of(const oks_limiter_t *limiter, const char *key, apr_interval_time_t window)
{
    unsigned char digest[OKS_SHA256_LEN], bytes[sizeof limiter->secret + sizeof window + OKS_SHA256_LEN];
    uint64_t hash;
    memcpy(bytes, limiter->secret, sizeof limiter->secret);
    memcpy(bytes + sizeof limiter->secret, &window, sizeof window);
    oks_sha256(bytes + sizeof limiter->secret + sizeof window, oks_span_z(key));
    oks_sha256(digest, oks_span((char *)bytes, sizeof bytes));
    memcpy(&hash, digest, sizeof hash);
    return hash;
}

/* Whose window has ended gives way first, then who has failed least: an account that is shut stays so, whatever comes. */
static uint64_t rank_of(uint64_t slot, apr_time_t now)
{
    return (slot >> END_SHIFT & END_MASK) <= (uint64_t)apr_time_sec(now) ? 0 : (slot & COUNT_MASK) + 1;
}

static place_t find(oks_limiter_t *limiter, const char *key, apr_interval_time_t window, apr_time_t now)
{
    const uint64_t hash = hash_of(limiter, key, window), end = (uint64_t)apr_time_sec((now / window + 1) * window) & END_MASK;
    _Atomic uint64_t *set = limiter->slot + hash % SETS * WAYS;
    place_t place = { .empty = hash >> MARK_SHIFT << MARK_SHIFT | end << END_SHIFT };
    for (int way = 0; way < WAYS; way++) {
        const uint64_t seen = atomic_load_explicit(&set[way], memory_order_relaxed);
        const bool found = (seen & ~COUNT_MASK) == place.empty;
        if (!found && place.slot && rank_of(seen, now) >= rank_of(place.seen, now)) continue;
        place.slot = &set[way];
        place.seen = seen;
        place.found = found;
        if (found) break;
    }
    return place;
}

bool oks_limiter_allows(oks_limiter_t *limiter, const char *key, unsigned max, apr_interval_time_t window, apr_time_t now)
{
    const place_t place = find(limiter, key, window, now);
    return !place.found || (place.seen & COUNT_MASK) < max;
}

bool oks_limiter_take(oks_limiter_t *limiter, const char *key, unsigned max, apr_interval_time_t window, apr_time_t now)
{
    place_t place;
    do { /* from the start: of two that bring one key, the second finds the first one's slot */
        place = find(limiter, key, window, now);
        if (place.found && (place.seen & COUNT_MASK) >= max) return false;
    } while (!atomic_compare_exchange_strong(place.slot, &place.seen, (place.found ? place.seen : place.empty) + 1));
    return true;
}

void oks_limiter_give(oks_limiter_t *limiter, const char *key, apr_interval_time_t window, apr_time_t now)
{
    place_t place;
    do {
        place = find(limiter, key, window, now);
        if (!place.found || !(place.seen & COUNT_MASK)) return;
    } while (!atomic_compare_exchange_strong(place.slot, &place.seen, place.seen - 1));
}

void oks_limiter_fail(oks_limiter_t *limiter, const char *key, apr_interval_time_t window, apr_time_t now)
{
    (void)oks_limiter_take(limiter, key, COUNT_MASK, window, now);
}
