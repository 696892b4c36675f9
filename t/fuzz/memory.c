/* Memory of pools comes from malloc, block by block, so that AddressSanitizer sees a byte read or written beyond one: APR itself
 * would cut them all out of pages of 8 KiB. Not for a target whose long-lived pools grow while it judges an input. */
#include <stddef.h>
#include <stdlib.h>

#include <apr_pools.h>

const void *fuzz_memory_mark(void);
void fuzz_memory_free(const void *mark);
#define SEEN __attribute__((visibility("default"))) /* libapr itself, too, gets its memory here */
SEEN void *apr_palloc(apr_pool_t *pool, apr_size_t size);

typedef struct block_t {
    struct block_t *next;
    _Alignas(max_align_t) char bytes[];
} block_t;
static block_t *blocks; /* newest first */

void *apr_palloc(apr_pool_t *pool, apr_size_t size)
{
    block_t *block = malloc(sizeof *block + size);
    if (!block) abort();
    block->next = blocks;
    blocks = block;
    return block->bytes;
}

const void *fuzz_memory_mark(void)
{
    return blocks;
}

/* What was allocated since. */
void fuzz_memory_free(const void *mark)
{
    while (blocks != mark) {
        block_t *block = blocks;
        blocks = block->next;
        free(block);
    }
}
