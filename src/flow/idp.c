/* The identity providers' documents in each child: parsed once, swapped when the directory's copy changes. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "flow_private.h"

/* One parsed document: in a pool of its own, freed by the last holder. */
typedef struct loaded_t {
    _Atomic int refs;
    apr_pool_t *pool;
    const oks_saml_idp_t *idp;
    oks_provider_t oidc;  /* or this */
    apr_time_t until;     /* when a certificate of the overlap ends; 0: never */
} loaded_t;

/* Of one document, which organizations may share. One that nobody asks for in a while is another document's the next time. */
typedef struct slot_t {
    apr_thread_mutex_t *lock; /* over the next three */
    loaded_t *loaded;     /* NULL: not read yet, or nothing there */
    uint32_t seen;        /* the document's counter before it was read */
    bool read;
    char *key;            /* by malloc: an organization may have a new one each second */
    int users;            /* who have it in hand now: these and the rest by the store's lock */
    apr_time_t used;
    struct slot_t *next;  /* spare */
} slot_t;

struct oks_idp_store_t {
    oks_directory_t *directory;
    oks_counters_t *counters;
    apr_interval_time_t overlap;
    apr_thread_mutex_t *lock; /* over the next four */
    apr_pool_t *pool;
    apr_hash_t *slots;        /* metadata_key -> slot_t */
    slot_t *spare;            /* empty ones */
    apr_time_t looked;        /* for those that are not used */
};

static apr_status_t release(void *data)
{
    loaded_t *loaded = data;
    if (atomic_fetch_sub(&loaded->refs, 1) == 1) apr_pool_destroy(loaded->pool);
    return APR_SUCCESS;
}

static apr_status_t destroy(void *data)
{
    oks_idp_store_t *store = data;
    for (apr_hash_index_t *i = apr_hash_first(NULL, store->slots); i; i = apr_hash_next(i)) {
        slot_t *slot = apr_hash_this_val(i);
        if (slot->loaded) release(slot->loaded);
        free(slot->key);
    }
    apr_pool_destroy(store->pool);
    return APR_SUCCESS;
}

oks_err_t *oks_idp_store_create(oks_idp_store_t **store, oks_directory_t *directory, oks_counters_t *counters,
                                apr_interval_time_t overlap, apr_pool_t *pool)
{
    oks_idp_store_t *made = apr_pcalloc(pool, sizeof *made);
    made->directory = directory;
    made->counters = counters;
    made->overlap = overlap;
    /* Unmanaged: requests make slots in it, and no two threads share an allocator. */
    apr_status_t status = apr_pool_create_unmanaged_ex(&made->pool, NULL, NULL);
    if (status == APR_SUCCESS) status = apr_thread_mutex_create(&made->lock, APR_THREAD_MUTEX_DEFAULT, pool);
    if (status != APR_SUCCESS) return oks_err_from(pool, OKS_R_INTERNAL, status, NULL, "mutex");
    made->slots = apr_hash_make(made->pool);
    apr_pool_cleanup_register(pool, made, destroy, apr_pool_cleanup_null);
    *store = made;
    return NULL;
}

/* So long ago; or so far ahead, that the clock was set back. */
static bool is_over(apr_time_t since, apr_time_t now)
{
    return now - since >= OKS_FLOW_IDP_KEPT || since - now >= OKS_FLOW_IDP_KEPT;
}

/* Their organization is gone, has another document, or nobody signs in to it. */
static void spare_unused(oks_idp_store_t *store, apr_time_t now)
{
    for (apr_hash_index_t *i = apr_hash_first(NULL, store->slots); i; i = apr_hash_next(i)) {
        slot_t *slot = apr_hash_this_val(i);
        if (slot->users || !is_over(slot->used, now)) continue;
        apr_hash_set(store->slots, slot->key, APR_HASH_KEY_STRING, NULL);
        if (slot->loaded) release(slot->loaded);
        free(slot->key);
        *slot = (slot_t){ .lock = slot->lock, .next = store->spare };
        store->spare = slot;
    }
    store->looked = now;
}

static slot_t *new_slot(oks_idp_store_t *store, const char *key)
{
    slot_t *slot = store->spare;
    if (!slot) {
        slot = apr_pcalloc(store->pool, sizeof *slot);
        if (apr_thread_mutex_create(&slot->lock, APR_THREAD_MUTEX_DEFAULT, store->pool) != APR_SUCCESS) return NULL;
        store->spare = slot;
    }
    slot->key = strdup(key);
    if (!slot->key) return NULL;
    store->spare = slot->next;
    apr_hash_set(store->slots, slot->key, APR_HASH_KEY_STRING, slot);
    return slot;
}

/* To be given back by leave(). */
static slot_t *enter(oks_idp_store_t *store, const char *key, apr_time_t now)
{
    apr_thread_mutex_lock(store->lock);
    if (is_over(store->looked, now)) spare_unused(store, now);
    slot_t *slot = apr_hash_get(store->slots, key, APR_HASH_KEY_STRING);
    if (!slot) slot = new_slot(store, key);
    if (slot) slot->users++;
    if (slot) slot->used = now;
    apr_thread_mutex_unlock(store->lock);
    return slot;
}

static void leave(oks_idp_store_t *store, slot_t *slot)
{
    apr_thread_mutex_lock(store->lock);
    slot->users--;
    apr_thread_mutex_unlock(store->lock);
}

static oks_err_t *parse(loaded_t *made, const oks_idp_store_t *store, const oks_org_t *org, oks_span_t content, apr_time_t now)
{
    oks_saml_idp_t *idp;
    const oks_overlap_t overlap = { .window = store->overlap, .now = now };
    if (org->oidc) return oks_provider_parse(&made->oidc, org, content, made->pool);
    OKS_TRY(oks_saml_metadata_parse(&idp, content, made->pool));
    made->idp = idp;
    return oks_overlap_add(idp, &made->until, store->directory, org->metadata_key, &overlap, made->pool);
}

static oks_err_t *load(loaded_t **loaded, const oks_idp_store_t *store, const oks_org_t *org, apr_time_t now, apr_pool_t *scratch)
{
    oks_document_t *document;
    apr_pool_t *own;
    *loaded = NULL;
    OKS_TRY(oks_directory_document(&document, store->directory, org->metadata_key, scratch));
    if (!document) return NULL;
    /* Outlives the request; unmanaged, so that no two threads share an allocator. */
    if (apr_pool_create_unmanaged_ex(&own, NULL, NULL) != APR_SUCCESS)
        return oks_err(scratch, OKS_R_INTERNAL, "out of memory for metadata");
    loaded_t *made = apr_pcalloc(own, sizeof *made);
    atomic_init(&made->refs, 1);
    made->pool = own;
    oks_err_t *err = parse(made, store, org, document->content, now);
    if (err) {
        err = oks_err(scratch, err->reason, "%s", err->detail ? err->detail : "");
        apr_pool_destroy(own);
        return err;
    }
    *loaded = made;
    return NULL;
}

/* With the slot's lock held. An error keeps the copy at hand: the last good one serves, but no certificate beyond its end. */
static oks_err_t *refresh(slot_t *slot, const oks_idp_store_t *store, const oks_org_t *org, apr_time_t now, apr_pool_t *scratch)
{
    uint32_t seen = oks_counter_get(store->counters, oks_counter_of_document(org->metadata_key));
    bool ended = slot->loaded && slot->loaded->until && slot->loaded->until <= now;
    loaded_t *fresh;
    if (slot->read && slot->seen == seen && !ended) return NULL;
    oks_err_t *err = load(&fresh, store, org, now, scratch);
    if (err) return slot->loaded && !ended ? NULL : err;
    if (slot->loaded) release(slot->loaded);
    slot->loaded = fresh;
    slot->seen = seen;
    slot->read = fresh != NULL; /* while there is none, look again each time */
    return NULL;
}

static oks_err_t *not_there(const oks_flow_t *flow, const char *key, apr_pool_t *pool)
{
    oks_document_t *failure;
    OKS_TRY(oks_directory_document(&failure, flow->directory, oks_flow_failure_key(key, pool), pool));
    return oks_err(pool, OKS_R_FLOW_IDP_UNAVAILABLE, "%s was not fetched yet%s%s", key, failure ? "; last try: " : "",
                   failure ? oks_span_dup(failure->content, pool) : "");
}

/* The organization's documents, held until `pool` is cleared. */
static oks_err_t *hold(const loaded_t **held, const oks_flow_t *flow, const oks_org_t *org, apr_time_t now, apr_pool_t *pool)
{
    if (!org->metadata_key) return oks_err(pool, OKS_R_FLOW_IDP_UNAVAILABLE, "no metadata configured");
    slot_t *slot = enter(flow->idps, org->metadata_key, now);
    if (!slot) return oks_err(pool, OKS_R_INTERNAL, "mutex");
    apr_thread_mutex_lock(slot->lock);
    oks_err_t *err = refresh(slot, flow->idps, org, now, pool);
    loaded_t *loaded = slot->loaded;
    if (loaded) atomic_fetch_add(&loaded->refs, 1);
    apr_thread_mutex_unlock(slot->lock);
    leave(flow->idps, slot);
    if (err) return err;
    if (!loaded) { /* or another server, where no organization names it any more, has removed it */
        oks_counter_add(flow->counters, oks_flow_missing_counter(org->metadata_key, pool));
        return not_there(flow, org->metadata_key, pool);
    }
    apr_pool_cleanup_register(pool, loaded, release, apr_pool_cleanup_null);
    *held = loaded;
    return NULL;
}

oks_err_t *oks_idp_check_valid(const oks_saml_idp_t *idp, apr_time_t now, apr_interval_time_t skew, apr_pool_t *pool)
{
    if (!idp->valid_until || now - skew < idp->valid_until) return NULL;
    return oks_err(pool, OKS_R_SAML_METADATA_EXPIRED, "validUntil %s", oks_time_format(idp->valid_until, pool));
}

oks_err_t *oks_flow_idp(const oks_saml_idp_t **idp, const oks_flow_t *flow, const oks_org_t *org, apr_time_t now, apr_pool_t *pool)
{
    const loaded_t *held;
    *idp = org->static_idp;
    if (!*idp) {
        OKS_TRY(hold(&held, flow, org, now, pool));
        *idp = held->idp;
    }
    return oks_idp_check_valid(*idp, now, org->skew, pool);
}

oks_err_t *oks_flow_provider(oks_provider_t *provider, const oks_flow_t *flow, const oks_org_t *org, apr_time_t now,
                             apr_pool_t *pool)
{
    const loaded_t *held;
    OKS_TRY(hold(&held, flow, org, now, pool));
    *provider = held->oidc;
    return NULL;
}
