/* How often something may fail. A slot is the number of a window, and how many failures it has seen: 40 and 24 bits. */
#include "flow_private.h"

#define COUNT_BITS 24
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)

static uint32_t slot_of(const char *key)
{
    unsigned char digest[OKS_SHA256_LEN];
    oks_sha256(digest, oks_span_z(key));
    return ((uint32_t)digest[0] << 24 | (uint32_t)digest[1] << 16 | (uint32_t)digest[2] << 8 | digest[3]) % OKS_LIMITER_SLOTS;
}

bool oks_limiter_allows(const oks_limiter_t *limiter, const char *key, unsigned max, apr_interval_time_t window, apr_time_t now)
{
    uint64_t seen = atomic_load_explicit(&limiter->slot[slot_of(key)], memory_order_relaxed);
    return seen >> COUNT_BITS != (uint64_t)(now / window) || (seen & COUNT_MASK) < max;
}

bool oks_limiter_take(oks_limiter_t *limiter, const char *key, unsigned max, apr_interval_time_t window, apr_time_t now)
{
    _Atomic uint64_t *slot = &limiter->slot[slot_of(key)];
    uint64_t seen = atomic_load_explicit(slot, memory_order_relaxed), next, number = (uint64_t)(now / window);
    do {
        if (seen >> COUNT_BITS != number) next = number << COUNT_BITS | 1;
        else if ((seen & COUNT_MASK) < max) next = seen + 1;
        else return false;
    } while (!atomic_compare_exchange_weak(slot, &seen, next));
    return true;
}

void oks_limiter_give(oks_limiter_t *limiter, const char *key, apr_interval_time_t window, apr_time_t now)
{
    _Atomic uint64_t *slot = &limiter->slot[slot_of(key)];
    uint64_t seen = atomic_load_explicit(slot, memory_order_relaxed), number = (uint64_t)(now / window);
    while (seen >> COUNT_BITS == number && (seen & COUNT_MASK) && !atomic_compare_exchange_weak(slot, &seen, seen - 1)) continue;
}

void oks_limiter_fail(oks_limiter_t *limiter, const char *key, apr_interval_time_t window, apr_time_t now)
{
    (void)oks_limiter_take(limiter, key, COUNT_MASK, window, now);
}
