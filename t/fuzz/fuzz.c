/* Between libFuzzer (or replay.c) and a target. */
#include <stdio.h>
#include <stdlib.h>

#include <apr_general.h>

#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
/* Of memory.c, in the targets that have it. */
__attribute__((weak)) const void *fuzz_memory_mark(void);
__attribute__((weak)) void fuzz_memory_free(const void *mark);

unsigned long fuzz_seen, fuzz_accepted;
static apr_pool_t *global;

/* ---- Inputs ---- */

static void report(void)
{
    fprintf(stderr, "%lu inputs, %lu accepted\n", fuzz_seen, fuzz_accepted);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    apr_initialize();
    apr_pool_create(&global, NULL);
    fuzz_start(global);
    atexit(report);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool;
    const void *before = fuzz_memory_mark ? fuzz_memory_mark() : NULL;
    /* Of no parent: that would remember, in memory of its own, what is freed below. */
    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != APR_SUCCESS) abort();
    fuzz_seen++;
    if (fuzz_one(oks_span((const char *)data, size), pool)) fuzz_accepted++;
    apr_pool_destroy(pool);
    if (fuzz_memory_free) fuzz_memory_free(before);
    return 0;
}

/* ---- For targets ---- */

void fuzz_violated(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: it does not hold that %s\n", file, line, condition);
    abort();
}

void fuzz_good(const oks_err_t *err, const char *file, int line)
{
    if (!err) return;
    fprintf(stderr, "%s:%d: %s\n", file, line, oks_err_text(err, global));
    abort();
}

oks_span_t fuzz_vector(const char *path, apr_pool_t *pool)
{
    char name[512];
    snprintf(name, sizeof name, "%s/t/vectors/%s", OKS_SOURCE_DIR, path);
    FILE *file = fopen(name, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) {
        perror(name);
        abort();
    }
    long size = ftell(file);
    char *bytes = apr_palloc(pool, (apr_size_t)size + 1);
    rewind(file);
    HOLDS(fread(bytes, 1, (size_t)size, file) == (size_t)size);
    fclose(file);
    bytes[size] = '\0';
    return oks_span(bytes, (apr_size_t)size);
}

oks_span_t fuzz_line(oks_span_t *rest)
{
    oks_span_t line = { NULL, 0 };
    oks_span_next(&line, rest, '\n');
    return line;
}

void fuzz_endpoint(const char *text, apr_pool_t *pool)
{
    oks_url_t url;
    if (!text) return;
    HOLDS(!oks_url_parse(&url, oks_span_z(text), pool) && oks_url_is_secure(&url));
}
