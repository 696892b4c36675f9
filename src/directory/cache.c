/* Generation counters and the record cache (DESIGN.md 1). */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "directory_private.h"
#include "oktasso/crypto.h"

/* ---- Counters: the first two bytes of an id or hash are the index ---- */

static uint32_t index_of(const unsigned char *bytes)
{
    return (uint32_t)(bytes[0] << 8 | bytes[1]);
}

uint32_t oks_counter_of_session(const oks_id_t *session)
{
    return index_of(session->bytes);
}

uint32_t oks_counter_of_user(const oks_id_t *user)
{
    return index_of(user->bytes);
}

/* Not on the hot path's account: an organization's name is short, and FNV is a few instructions a byte. */
uint32_t oks_counter_of_org(const char *org)
{
    uint32_t hash = 2166136261u;
    for (; *org; org++) hash = (hash ^ (unsigned char)*org) * 16777619u;
    return (hash ^ hash >> 16) % OKS_COUNTERS;
}

/* As the change log names it: SHA-256 of "document", NUL, key. */
uint32_t oks_counter_of_document(const char *key)
{
    unsigned char digest[OKS_SHA256_LEN], bytes[2048 + 16];
    apr_size_t len = strlen(key);
    memcpy(bytes, "document", 9);
    if (len > sizeof bytes - 9) len = sizeof bytes - 9;
    memcpy(bytes + 9, key, len);
    oks_sha256(digest, oks_span((char *)bytes, len + 9));
    return index_of(digest);
}

uint32_t oks_counter_get(const oks_counters_t *counters, uint32_t index)
{
    return atomic_load_explicit(&counters->slot[index], memory_order_acquire);
}

void oks_counter_add(oks_counters_t *counters, uint32_t index)
{
    atomic_fetch_add_explicit(&counters->slot[index], 1, memory_order_acq_rel);
}

/* ---- Records: one block of memory each ---- */

typedef struct block_t {
    oks_record_t record; /* first: callers hold this address */
    _Atomic int refs;
    apr_size_t size;
} block_t;

/* The block behind a record that oks_cache_put made. */
static block_t *block_of(const oks_record_t *record)
{
    return (block_t *)(uintptr_t)record;
}

void oks_record_release(const oks_record_t *record)
{
    block_t *block = block_of(record);
    if (atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) == 1) free(block);
}

const char *oks_record_field(const oks_record_t *record, const char *name)
{
    for (int i = 0; i < record->nfields; i++)
        if (record->fields[i].name[0] == name[0] && strcmp(record->fields[i].name, name) == 0) return record->fields[i].value;
    return NULL;
}

static apr_size_t text_size(const char *text)
{
    return strlen(text) + 1;
}

static const char *put_text(char **at, const char *text)
{
    apr_size_t size = text_size(text);
    const char *copy = memcpy(*at, text, size);
    *at += size;
    return copy;
}

static apr_size_t size_of(const oks_record_t *draft)
{
    apr_size_t size = sizeof(block_t) + (apr_size_t)draft->nfields * sizeof(oks_record_field_t) +
                      (apr_size_t)draft->ngroups * sizeof(char *);
    for (int i = 0; i < draft->nfields; i++) {
        const oks_record_field_t *field = &draft->fields[i];
        size += text_size(field->name) + text_size(field->variable) + text_size(field->value);
    }
    for (int i = 0; i < draft->ngroups; i++) size += text_size(draft->groups[i]);
    return size + text_size(draft->org) + text_size(draft->vhost) + text_size(draft->protocol) + text_size(draft->authn_context);
}

static block_t *pack(const oks_record_t *draft)
{
    apr_size_t size = size_of(draft);
    block_t *block = malloc(size);
    if (!block) return NULL;
    oks_record_field_t *fields = (oks_record_field_t *)(block + 1);
    const char **groups = (const char **)(fields + draft->nfields);
    char *at = (char *)(groups + draft->ngroups);
    block->record = *draft;
    block->size = size;
    atomic_init(&block->refs, 1);
    block->record.org = put_text(&at, draft->org);
    block->record.vhost = put_text(&at, draft->vhost);
    block->record.protocol = put_text(&at, draft->protocol);
    block->record.authn_context = put_text(&at, draft->authn_context);
    for (int i = 0; i < draft->nfields; i++) {
        fields[i].name = put_text(&at, draft->fields[i].name);
        fields[i].variable = put_text(&at, draft->fields[i].variable);
        fields[i].value = put_text(&at, draft->fields[i].value);
    }
    for (int i = 0; i < draft->ngroups; i++) groups[i] = put_text(&at, draft->groups[i]);
    block->record.fields = fields;
    block->record.groups = groups;
    return block;
}

/* ---- The cache: shards of sets of a few ways; the least recently used of a set goes ---- */

#define SHARDS 16
#define WAYS 8

typedef struct shard_t {
    apr_thread_mutex_t *lock;
    block_t **slots;      /* sets of WAYS, the most recently used first */
    apr_size_t sets, bytes;
} shard_t;

struct oks_cache_t {
    shard_t shards[SHARDS];
    apr_size_t bytes_max; /* per shard */
};

static apr_status_t free_cache(void *cache_)
{
    oks_cache_t *cache = cache_;
    for (int i = 0; i < SHARDS; i++)
        for (apr_size_t k = 0; k < cache->shards[i].sets * WAYS; k++)
            if (cache->shards[i].slots[k]) oks_record_release(&cache->shards[i].slots[k]->record);
    return APR_SUCCESS;
}

oks_err_t *oks_cache_create(oks_cache_t **cache, int records, apr_size_t bytes, apr_pool_t *pool)
{
    oks_cache_t *made = apr_pcalloc(pool, sizeof *made);
    apr_size_t sets = ((apr_size_t)records + SHARDS * WAYS - 1) / (SHARDS * WAYS);
    made->bytes_max = bytes / SHARDS;
    apr_pool_cleanup_register(pool, made, free_cache, apr_pool_cleanup_null);
    for (int i = 0; i < SHARDS; i++) {
        shard_t *shard = &made->shards[i];
        shard->slots = apr_pcalloc(pool, sets * WAYS * sizeof *shard->slots);
        shard->sets = sets;
        apr_status_t status = apr_thread_mutex_create(&shard->lock, APR_THREAD_MUTEX_DEFAULT, pool);
        if (status != APR_SUCCESS) return oks_err_from(pool, OKS_R_INTERNAL, status, NULL, "mutex");
    }
    *cache = made;
    return NULL;
}

/* Ids are random: their bytes spread by themselves. The counters use the first two. */
static block_t **set_of(shard_t **shard, oks_cache_t *cache, const oks_id_t *session)
{
    uint32_t number;
    memcpy(&number, session->bytes + 4, sizeof number);
    *shard = &cache->shards[session->bytes[3] % SHARDS];
    return (*shard)->slots + number % (*shard)->sets * WAYS;
}

static void drop(shard_t *shard, block_t **set, int way)
{
    block_t *block = set[way];
    memmove(set + way, set + way + 1, (size_t)(WAYS - 1 - way) * sizeof *set);
    set[WAYS - 1] = NULL;
    shard->bytes -= block->size;
    oks_record_release(&block->record);
}

static bool is_true(const oks_record_t *record, const oks_counters_t *counters)
{
    return record->seen_session == oks_counter_get(counters, oks_counter_of_session(&record->session)) &&
           record->seen_user == oks_counter_get(counters, oks_counter_of_user(&record->user)) &&
           record->seen_org == oks_counter_get(counters, oks_counter_of_org(record->org));
}

const oks_record_t *oks_cache_get(oks_cache_t *cache, const oks_counters_t *counters, const oks_id_t *session)
{
    shard_t *shard;
    block_t **set = set_of(&shard, cache, session), *found = NULL;
    apr_thread_mutex_lock(shard->lock);
    for (int way = 0; way < WAYS && set[way]; way++) {
        if (memcmp(&set[way]->record.session, session, sizeof *session) != 0) continue;
        found = set[way];
        if (!is_true(&found->record, counters)) {
            drop(shard, set, way);
            found = NULL;
            break;
        }
        atomic_fetch_add_explicit(&found->refs, 1, memory_order_relaxed);
        memmove(set + 1, set, (size_t)way * sizeof *set);
        set[0] = found;
        break;
    }
    apr_thread_mutex_unlock(shard->lock);
    return found ? &found->record : NULL;
}

/* Room for so many bytes: from this set, then from the others after it. */
static void make_room(shard_t *shard, apr_size_t bytes, apr_size_t bytes_max, block_t **set)
{
    apr_size_t from = (apr_size_t)(set - shard->slots) / WAYS;
    for (apr_size_t i = 0; i < shard->sets && shard->bytes + bytes > bytes_max; i++) {
        block_t **victims = shard->slots + (from + i) % shard->sets * WAYS;
        for (int way = WAYS - 1; way >= 0 && shard->bytes + bytes > bytes_max; way--)
            if (victims[way]) drop(shard, victims, way);
    }
}

const oks_record_t *oks_cache_put(oks_cache_t *cache, const oks_record_t *draft)
{
    shard_t *shard;
    block_t *block = pack(draft), **set = set_of(&shard, cache, &draft->session);
    if (!block) return NULL;
    if (block->size > cache->bytes_max) return &block->record;
    apr_thread_mutex_lock(shard->lock);
    for (int way = 0; way < WAYS && set[way]; way++)
        if (memcmp(&set[way]->record.session, &draft->session, sizeof draft->session) == 0) {
            drop(shard, set, way);
            break;
        }
    make_room(shard, block->size, cache->bytes_max, set);
    if (set[WAYS - 1]) drop(shard, set, WAYS - 1);
    memmove(set + 1, set, (WAYS - 1) * sizeof *set);
    set[0] = block;
    shard->bytes += block->size;
    atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed); /* the cache's own */
    apr_thread_mutex_unlock(shard->lock);
    return &block->record;
}
