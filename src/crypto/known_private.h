/* What sealed texts opened to, so that a visitor's next request costs a comparison and not a decryption. */
#ifndef OKTASSO_CRYPTO_KNOWN_H
#define OKTASSO_CRYPTO_KNOWN_H

#include "oktasso/crypto.h"

/* A cache of one keyring: what a text opens to depends on the ring, the aad and the text alone. Any thread may use it, and none
 * waits for another. Holds a few thousand texts, wiped with the pool. */
typedef struct oks_known_t oks_known_t;

oks_known_t *oks_known_make(apr_pool_t *pool);
/* The plain length, or -1 when not known, or longer than `size`. In constant time for texts of a length: no clock tells how much of
 * a guess was right. */
apr_ssize_t oks_known_get(unsigned char *out, apr_size_t size, oks_known_t *known, oks_span_t aad, oks_span_t text);
/* After the text was opened, and only then: nothing that failed may take a place. */
void oks_known_put(oks_known_t *known, oks_span_t aad, oks_span_t text, oks_span_t plain);

#endif
