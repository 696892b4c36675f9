/* The identity provider's metadata in each child: parsed once, swapped when the directory's copy changes. */
#include <stdatomic.h>
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "flow_private.h"
#include "oktasso/net.h"

/* One parsed document: in a pool of its own, freed by the last holder. */
typedef struct loaded_t {
    _Atomic int refs;
    apr_pool_t *pool;
    const oks_saml_idp_t *idp;
    apr_time_t until;     /* when a certificate of the overlap ends; 0: never */
} loaded_t;

typedef struct slot_t {
    const char *key;
    apr_thread_mutex_t *lock;
    loaded_t *loaded;     /* NULL: not read yet, or nothing there */
    uint32_t seen;        /* the document's counter before it was read */
    bool read;
} slot_t;

struct oks_idp_store_t {
    oks_directory_t *directory;
    oks_counters_t *counters;
    apr_interval_time_t overlap;
    apr_hash_t *slots;
};

static apr_status_t release(void *data)
{
    loaded_t *loaded = data;
    if (atomic_fetch_sub(&loaded->refs, 1) == 1) apr_pool_destroy(loaded->pool);
    return APR_SUCCESS;
}

static apr_status_t release_slot(void *data)
{
    slot_t *slot = data;
    if (slot->loaded) release(slot->loaded);
    return APR_SUCCESS;
}

oks_err_t *oks_idp_store_create(oks_idp_store_t **store, oks_directory_t *directory, oks_counters_t *counters,
                                const apr_array_header_t *keys, apr_interval_time_t overlap, apr_pool_t *pool)
{
    oks_idp_store_t *made = apr_pcalloc(pool, sizeof *made);
    made->directory = directory;
    made->counters = counters;
    made->overlap = overlap;
    made->slots = apr_hash_make(pool);
    for (int i = 0; i < keys->nelts; i++) {
        slot_t *slot = apr_pcalloc(pool, sizeof *slot);
        slot->key = APR_ARRAY_IDX(keys, i, const char *);
        apr_status_t status = apr_thread_mutex_create(&slot->lock, APR_THREAD_MUTEX_DEFAULT, pool);
        if (status != APR_SUCCESS) return oks_err_from(pool, OKS_R_INTERNAL, status, NULL, "mutex");
        apr_pool_cleanup_register(pool, slot, release_slot, apr_pool_cleanup_null);
        apr_hash_set(made->slots, slot->key, APR_HASH_KEY_STRING, slot);
    }
    *store = made;
    return NULL;
}

static oks_err_t *load(loaded_t **loaded, const oks_idp_store_t *store, const char *key, apr_time_t now, apr_pool_t *scratch)
{
    oks_document_t *document;
    apr_pool_t *own;
    oks_saml_idp_t *idp;
    apr_time_t until;
    const oks_overlap_t overlap = { .window = store->overlap, .now = now };
    *loaded = NULL;
    OKS_TRY(oks_directory_document(&document, store->directory, key, scratch));
    if (!document) return NULL;
    /* Outlives the request; unmanaged, so that no two threads share an allocator. */
    if (apr_pool_create_unmanaged_ex(&own, NULL, NULL) != APR_SUCCESS)
        return oks_err(scratch, OKS_R_INTERNAL, "out of memory for metadata");
    oks_err_t *err = oks_saml_metadata_parse(&idp, document->content, own);
    if (!err) err = oks_overlap_add(idp, &until, store->directory, key, &overlap, own);
    if (err) {
        err = oks_err(scratch, err->reason, "%s", err->detail ? err->detail : "");
        apr_pool_destroy(own);
        return err;
    }
    *loaded = apr_palloc(own, sizeof **loaded);
    atomic_init(&(*loaded)->refs, 1);
    (*loaded)->pool = own;
    (*loaded)->idp = idp;
    (*loaded)->until = until;
    return NULL;
}

/* With the slot's lock held. An error keeps the copy at hand: the last good one serves, but no certificate beyond its end. */
static oks_err_t *refresh(slot_t *slot, const oks_idp_store_t *store, apr_time_t now, apr_pool_t *scratch)
{
    uint32_t seen = oks_counter_get(store->counters, oks_counter_of_document(slot->key));
    bool ended = slot->loaded && slot->loaded->until && slot->loaded->until <= now;
    loaded_t *fresh;
    if (slot->read && slot->seen == seen && !ended) return NULL;
    oks_err_t *err = load(&fresh, store, slot->key, now, scratch);
    if (err) return slot->loaded && !ended ? NULL : err;
    if (slot->loaded) release(slot->loaded);
    slot->loaded = fresh;
    slot->seen = seen;
    slot->read = fresh != NULL; /* while there is none, look again each time */
    return NULL;
}

/* SAML Metadata 2.3.2: not to be used after. */
static oks_err_t *check_valid(const oks_saml_idp_t *idp, apr_time_t now, apr_interval_time_t skew, apr_pool_t *pool)
{
    if (!idp->valid_until || now - skew < idp->valid_until) return NULL;
    return oks_err(pool, OKS_R_SAML_METADATA_EXPIRED, "validUntil %s", oks_time_format(idp->valid_until, pool));
}

oks_err_t *oks_flow_idp(const oks_saml_idp_t **idp, const oks_flow_t *flow, const oks_org_t *org, apr_time_t now, apr_pool_t *pool)
{
    *idp = org->static_idp;
    if (*idp) return check_valid(*idp, now, org->skew, pool);
    slot_t *slot = org->metadata_key ? apr_hash_get(flow->idps->slots, org->metadata_key, APR_HASH_KEY_STRING) : NULL;
    if (!slot) return oks_err(pool, OKS_R_FLOW_IDP_UNAVAILABLE, "no metadata configured");
    apr_thread_mutex_lock(slot->lock);
    oks_err_t *err = refresh(slot, flow->idps, now, pool);
    loaded_t *loaded = slot->loaded;
    if (loaded) atomic_fetch_add(&loaded->refs, 1);
    apr_thread_mutex_unlock(slot->lock);
    if (err) return err;
    if (!loaded) return oks_err(pool, OKS_R_FLOW_IDP_UNAVAILABLE, "%s was not fetched yet", org->metadata_url);
    apr_pool_cleanup_register(pool, loaded, release, apr_pool_cleanup_null);
    *idp = loaded->idp;
    return check_valid(*idp, now, org->skew, pool);
}

uint32_t oks_flow_refetch_counter(const char *key, apr_pool_t *pool)
{
    return oks_counter_of_document(apr_pstrcat(pool, "refetch:", key, NULL));
}

/* Only what is usable replaces the good copy. */
static oks_err_t *keep_good(oks_directory_t *directory, const oks_fetch_t *fetch, const oks_document_t *known,
                            const oks_document_t *next, apr_time_t now, apr_pool_t *pool)
{
    oks_saml_idp_t *idp, *before = NULL;
    const oks_overlap_t overlap = { .window = fetch->overlap, .now = now };
    OKS_TRY(oks_saml_metadata_parse(&idp, next->content, pool));
    OKS_TRY(check_valid(idp, now, 0, pool));
    if (known && !oks_span_eq(known->content, next->content)) {
        if (oks_saml_metadata_parse(&before, known->content, pool) != NULL) before = NULL;
        OKS_TRY(oks_overlap_note(directory, fetch->key, before, idp, &overlap, pool));
    }
    return oks_directory_document_put(directory, fetch->key, next, pool);
}

oks_err_t *oks_flow_fetch(int *max_age, oks_directory_t *directory, oks_net_t *net, const oks_fetch_t *fetch, apr_time_t now,
                          apr_pool_t *pool)
{
    oks_document_t *known, next;
    oks_net_response_t *response;
    OKS_TRY(oks_directory_document(&known, directory, fetch->key, pool));
    oks_net_request_t request = { .url = fetch->url, .if_none_match = known ? known->etag : NULL,
                                  .timeout = fetch->timeout, .ca_file = fetch->ca_file, .proxy = fetch->proxy };
    OKS_TRY(oks_net_send(&response, net, &request, pool));
    memset(&next, 0, sizeof next);
    if (response->status == 304 && known) {
        next = *known;
    } else if (response->status == 200) {
        next.content = response->body;
        next.etag = response->etag;
    } else {
        return oks_err(pool, OKS_R_NET_UNREACHABLE, "%s answered %d", fetch->url, response->status);
    }
    next.fetched = now;
    *max_age = response->max_age;
    return keep_good(directory, fetch, known, &next, now, pool);
}
