/* A slot holds one text. Whoever uses it takes it out by exchange and puts it back: a second one finds the slot empty in that
 * moment, and decrypts. */
#include <stdatomic.h>
#include <string.h>

#include <openssl/crypto.h>

#include "known_private.h"

#define SLOTS 8192      /* a power of two; a kept text takes about 300 bytes */
#define SOUGHT_MAX 512  /* bytes of aad and text together: what a session's cookie has, and more */
#define BLOCK 16        /* the length that CRYPTO_memcmp needs no loop for */
#define PREFIX 8        /* characters of version and key id, alike in all texts; random ones follow */
#define PICKED 8        /* characters that choose the slot */

typedef struct entry_t {
    apr_size_t aad_len, text_len, plain_len, size;
    unsigned char bytes[]; /* aad and text, filled up with NULs to whole blocks; the plain bytes */
} entry_t;

struct oks_known_t {
    _Atomic(entry_t *) slots[SLOTS];
};

static void forget(entry_t *entry)
{
    if (entry) OPENSSL_clear_free(entry, entry->size);
}

static apr_status_t forget_all(void *known_)
{
    oks_known_t *known = known_;
    for (int i = 0; i < SLOTS; i++) forget(atomic_exchange(&known->slots[i], NULL));
    return APR_SUCCESS;
}

oks_known_t *oks_known_make(apr_pool_t *pool)
{
    oks_known_t *known = apr_pcalloc(pool, sizeof *known);
    apr_pool_cleanup_register(pool, known, forget_all, apr_pool_cleanup_null);
    return known;
}

static bool fits(oks_span_t aad, oks_span_t text)
{
    return text.len >= PREFIX + PICKED && text.len <= SOUGHT_MAX && aad.len <= SOUGHT_MAX - text.len;
}

static _Atomic(entry_t *) *slot_of(oks_known_t *known, oks_span_t text)
{
    uint64_t picked;
    memcpy(&picked, text.ptr + PREFIX, sizeof picked);
    return &known->slots[(picked * 0x9E3779B97F4A7C15u >> 32) % SLOTS]; /* 2^64 by the golden ratio: spreads the bits */
}

static apr_size_t put_sought(unsigned char *out, oks_span_t aad, oks_span_t text)
{
    apr_size_t len = aad.len + text.len, padded = (len + BLOCK - 1) / BLOCK * BLOCK;
    if (aad.len) memcpy(out, aad.ptr, aad.len);
    memcpy(out + aad.len, text.ptr, text.len);
    memset(out + len, 0, padded - len);
    return padded;
}

static bool is_same(const unsigned char *a, const unsigned char *b, apr_size_t len)
{
    int differ = 0;
    for (apr_size_t i = 0; i < len; i += BLOCK) differ |= CRYPTO_memcmp(a + i, b + i, BLOCK);
    return !differ;
}

apr_ssize_t oks_known_get(unsigned char *out, apr_size_t size, oks_known_t *known, oks_span_t aad, oks_span_t text)
{
    unsigned char sought[SOUGHT_MAX];
    apr_ssize_t found = -1;
    if (!fits(aad, text)) return -1;
    _Atomic(entry_t *) *slot = slot_of(known, text);
    if (!atomic_load_explicit(slot, memory_order_relaxed)) return -1;
    entry_t *entry = atomic_exchange(slot, NULL);
    if (!entry) return -1;
    if (entry->aad_len == aad.len && entry->text_len == text.len && entry->plain_len <= size) {
        apr_size_t len = put_sought(sought, aad, text);
        if (is_same(entry->bytes, sought, len)) {
            memcpy(out, entry->bytes + len, entry->plain_len);
            found = (apr_ssize_t)entry->plain_len;
        }
    }
    forget(atomic_exchange(slot, entry));
    return found;
}

void oks_known_put(oks_known_t *known, oks_span_t aad, oks_span_t text, oks_span_t plain)
{
    if (!fits(aad, text)) return;
    apr_size_t size = sizeof(entry_t) + aad.len + text.len + BLOCK + plain.len;
    entry_t *entry = OPENSSL_malloc(size);
    if (!entry) return;
    *entry = (entry_t){ .aad_len = aad.len, .text_len = text.len, .plain_len = plain.len, .size = size };
    apr_size_t len = put_sought(entry->bytes, aad, text);
    if (plain.len) memcpy(entry->bytes + len, plain.ptr, plain.len);
    forget(atomic_exchange(slot_of(known, text), entry));
}
