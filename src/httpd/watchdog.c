/* Background work, by mod_watchdog, in one child: the change log and expired rows in its own thread; fetches in threads beside
 * it, so that an identity provider that is dead or slow delays neither these nor the other ones. */
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include <apr_optional.h>
#include <apr_strings.h>
#include <apr_thread_pool.h>

#include "module.h"
#include "orgdir.h"

#include <mod_watchdog.h>

APLOG_USE_MODULE(oktasso);

#define NAME "oktasso"
#define SWEEP_SECONDS 60
#define REFRESH_SECONDS 3600      /* of a document that was fetched well and says nothing; */
#define REFRESH_SECONDS_MIN 900   /* and the bounds of what one says */
#define REFRESH_SECONDS_MAX 86400
#define FETCH_THREADS (OKS_NET_PARALLEL_ORIGIN_MAX + 4) /* one dead server never has them all */
#define RETRY_SECONDS_MIN 2
#define RETRY_SECONDS_MAX 300
#define REFETCH_SECONDS 60        /* at most so often, when a signature does not verify, or nothing is there */
#define FORGET_SECONDS 600        /* after which a document that no organization names goes: another server may name it still */
#define FORGET_AT_ONCE 5          /* documents, so that the change log waits for no more */
#define EXPIRY_SECONDS 3600       /* how often the certificates are looked at */

typedef enum fetch_state_t { FETCH_IDLE, FETCH_RUNNING, FETCH_DONE } fetch_state_t;

/* While it is running, its thread has it; else the watchdog's. */
typedef struct fetch_job_t {
    char *key;              /* the organization's metadata_key */
    const oks_org_entry_t *entry; /* held; NULL: nobody wants it, */
    apr_time_t unwanted;    /* since then */
    uint32_t round;         /* when an organization last wanted it */
    oks_fetch_t fetch;
    _Atomic int state;      /* fetch_state_t */
    apr_pool_t *pool;       /* of one run: the error is in it */
    oks_net_t *net;
    oks_err_t *err;
    int max_age;
    apr_time_t due;         /* by ticks(), and so on */
    apr_time_t wished;      /* when it was last fetched because of a signature; 0: never */
    uint32_t wanted;        /* its refetch counter, as last seen */
    apr_time_t fetched;     /* when it was last fetched well, */
    uint32_t missed;        /* and its missing counter then */
    int retry;              /* seconds, doubled with each failure; 0: the last fetch was good */
} fetch_job_t;

typedef struct watch_t {
    server_rec *server;
    apr_hash_t *jobs;         /* metadata_key -> fetch_job_t, malloc */
    uint32_t round, version;  /* version: of all OktaSSOOrgDir, when the jobs were last made */
    bool behind;              /* a job that nobody wants is still running */
    apr_pool_t *pool;         /* of the child's threads; NULL: not started */
    apr_thread_pool_t *threads;
    oks_net_t *net;
    apr_time_t sweep_due;
    apr_time_t expiry_due;
    ap_watchdog_t *watchdog;
    apr_thread_mutex_t *lock; /* of all of this: the child ends in another thread than the work is done in */
    bool begun;               /* it has run once, and goes on at its own pace */
    bool ended;               /* nothing of the child may be used any more */
    apr_hash_t *told;         /* fingerprint -> the fewest days that were told */
    bool failing;             /* so that a database that stays away is logged once */
} watch_t;

/* What is due goes by this: the time of day may have been wrong, and be set right. */
static apr_time_t ticks(void)
{
    struct timespec now = { 0 };
    clock_gettime(CLOCK_MONOTONIC, &now);
    return apr_time_make(now.tv_sec, now.tv_nsec / 1000);
}

static void report(watch_t *watch, int level, const char *what, const oks_err_t *err, apr_pool_t *pool)
{
    ap_log_error(APLOG_MARK, level, 0, watch->server, "OKS0030: %s: %s", what, oks_err_text(err, pool));
}

/* ---- What is to be fetched ---- */

/* Those of the configuration and of files, held until `pool` is cleared. */
static const apr_array_header_t *all_orgs(const oks_server_conf_t *conf, apr_pool_t *pool)
{
    apr_array_header_t *entries = apr_array_make(pool, 8, sizeof(const oks_org_entry_t *));
    for (apr_hash_index_t *i = apr_hash_first(pool, conf->orgs); i; i = apr_hash_next(i))
        APR_ARRAY_PUSH(entries, const oks_org_entry_t *) = apr_hash_this_val(i);
    if (conf->dir) apr_array_cat(entries, oks_orgdir_all(conf->dir, pool));
    return entries;
}

/* One for each document; of organizations that share it, the first one's whose requests reach farthest. */
static void want(watch_t *watch, const oks_org_entry_t *entry, apr_pool_t *pool)
{
    const char *key = entry->org.enabled ? entry->org.metadata_key : NULL;
    fetch_job_t *job = key ? apr_hash_get(watch->jobs, key, APR_HASH_KEY_STRING) : NULL;
    if (!key || (job && job->round == watch->round && job->fetch.org->reach <= entry->org.reach)) return;
    if (!job) {
        job = calloc(1, sizeof *job);
        if (!job || !(job->key = strdup(key))) return free(job);
        apr_hash_set(watch->jobs, job->key, APR_HASH_KEY_STRING, job);
        /* It is due at once: what was wished before is no wish for another fetch. */
        job->wanted = oks_counter_get(oks_httpd_runtime.counters, oks_flow_refetch_counter(key, pool));
    }
    job->round = watch->round;
    if (job->entry == entry || atomic_load(&job->state) != FETCH_IDLE) return;
    oks_org_entry_hold(entry);
    if (job->entry) oks_org_entry_release(job->entry);
    job->entry = entry;
    job->fetch = (oks_fetch_t){ .org = &entry->org, .http = &oks_httpd_server_conf(watch->server)->http,
                                .overlap = oks_httpd_certificate_overlap(watch->server) };
}

static void drop_unwanted(watch_t *watch, apr_pool_t *pool)
{
    watch->behind = false;
    for (apr_hash_index_t *i = apr_hash_first(pool, watch->jobs); i; i = apr_hash_next(i)) {
        fetch_job_t *job = apr_hash_this_val(i);
        if (atomic_load(&job->state) != FETCH_IDLE && (job->round != watch->round || job->entry->batch)) watch->behind = true;
        if (job->round == watch->round || !job->entry || atomic_load(&job->state) != FETCH_IDLE) continue;
        oks_org_entry_release(job->entry);
        job->entry = NULL;
        job->unwanted = ticks();
    }
}

/* Once, and again when organizations of files have changed. */
static void make_jobs(watch_t *watch, apr_pool_t *pool)
{
    uint32_t version = 1;
    for (server_rec *s = watch->server; s; s = s->next) {
        const oks_server_conf_t *conf = oks_httpd_server_conf(s);
        if (conf->dir) oks_orgdir_watch(conf->dir, pool);
        if (conf->dir) version += oks_orgdir_version(conf->dir);
    }
    if (watch->version == version && !watch->behind) return;
    watch->version = version;
    watch->round++;
    for (server_rec *s = watch->server; s; s = s->next) {
        const apr_array_header_t *entries = all_orgs(oks_httpd_server_conf(s), pool);
        for (int i = 0; i < entries->nelts; i++) want(watch, APR_ARRAY_IDX(entries, i, const oks_org_entry_t *), pool);
    }
    drop_unwanted(watch, pool);
}

/* ---- What is to be forgotten ---- */

/* By an organization that is not enabled, too: want() passes it over. */
static bool is_named(const watch_t *watch, const char *key, apr_pool_t *pool)
{
    for (server_rec *s = watch->server; s; s = s->next) {
        const apr_array_header_t *entries = all_orgs(oks_httpd_server_conf(s), pool);
        for (int i = 0; i < entries->nelts; i++) {
            const char *its = APR_ARRAY_IDX(entries, i, const oks_org_entry_t *)->org.metadata_key;
            if (its && strcmp(its, key) == 0) return true;
        }
    }
    return false;
}

/* Only the watchdog has a job that nobody wants. */
static void forget(watch_t *watch, fetch_job_t *job, apr_time_t tick, apr_pool_t *pool)
{
    job->unwanted = tick; /* if it cannot be now */
    if (is_named(watch, job->key, pool) || oks_flow_fetch_forget(oks_httpd_runtime.directory, job->key, pool) != NULL) return;
    apr_hash_set(watch->jobs, job->key, APR_HASH_KEY_STRING, NULL);
    free(job->key);
    free(job);
}

/* ---- Fetching ---- */

static void *APR_THREAD_FUNC fetch(apr_thread_t *thread, void *data)
{
    fetch_job_t *job = data;
    job->err = oks_flow_fetch(&job->max_age, oks_httpd_runtime.directory, job->net, &job->fetch, apr_time_now(), job->pool);
    atomic_store(&job->state, FETCH_DONE);
    return NULL;
}

/* Unmanaged: no two threads share an allocator. */
static void start_fetch(watch_t *watch, fetch_job_t *job)
{
    if (apr_pool_create_unmanaged_ex(&job->pool, NULL, NULL) != APR_SUCCESS) return; /* looked at again in a second */
    job->net = watch->net;
    atomic_store(&job->state, FETCH_RUNNING);
    if (apr_thread_pool_push(watch->threads, fetch, job, APR_THREAD_TASK_PRIORITY_NORMAL, watch) == APR_SUCCESS) return;
    atomic_store(&job->state, FETCH_IDLE);
    apr_pool_destroy(job->pool);
}

static int refresh_seconds(int max_age)
{
    if (max_age < 0) return REFRESH_SECONDS;
    return max_age < REFRESH_SECONDS_MIN ? REFRESH_SECONDS_MIN : max_age > REFRESH_SECONDS_MAX ? REFRESH_SECONDS_MAX : max_age;
}

static void see_result(watch_t *watch, fetch_job_t *job, apr_time_t tick, apr_pool_t *pool)
{
    if (!job->err) {
        if (job->retry)
            ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, watch->server, "OKS0031: metadata %s fetched again",
                         job->fetch.org->metadata_key);
        job->retry = 0;
        job->fetched = tick;
        job->missed = oks_counter_get(oks_httpd_runtime.counters, oks_flow_missing_counter(job->key, pool)); /* here it is */
        job->due = tick + apr_time_from_sec(refresh_seconds(job->max_age));
        watch->expiry_due = tick;
        return;
    }
    if (job->err->reason == OKS_R_NET_BUSY) return; /* its turn has not come, others fetch from the same server: it stays due */
    report(watch, job->retry ? APLOG_INFO : APLOG_WARNING, apr_pstrcat(pool, "metadata ", job->fetch.org->metadata_key, NULL),
           job->err, pool);
    job->retry = job->retry ? job->retry * 2 : RETRY_SECONDS_MIN;
    if (job->retry > RETRY_SECONDS_MAX) job->retry = RETRY_SECONDS_MAX;
    job->due = tick + apr_time_from_sec(job->retry);
}

/* Somebody's signature did not verify, or the document that was fetched is gone. */
static void see_wish(fetch_job_t *job, apr_time_t tick, apr_pool_t *pool)
{
    uint32_t wanted = oks_counter_get(oks_httpd_runtime.counters, oks_flow_refetch_counter(job->key, pool));
    if (!job->retry && tick >= job->fetched + apr_time_from_sec(REFETCH_SECONDS) &&
        job->missed != oks_counter_get(oks_httpd_runtime.counters, oks_flow_missing_counter(job->key, pool))) job->due = tick;
    if (wanted == job->wanted || (job->wished && tick < job->wished + apr_time_from_sec(REFETCH_SECONDS))) return;
    job->wanted = wanted;
    job->wished = tick;
    if (job->due > tick && !job->retry) job->due = tick;
}

static void look_at_job(watch_t *watch, fetch_job_t *job, apr_time_t tick, apr_pool_t *pool)
{
    int state = atomic_load(&job->state);
    if (state == FETCH_RUNNING) return;
    if (state == FETCH_DONE) {
        see_result(watch, job, tick, pool);
        apr_pool_destroy(job->pool);
        atomic_store(&job->state, FETCH_IDLE);
    }
    see_wish(job, tick, pool);
    if (job->due <= tick) start_fetch(watch, job);
}

static void look_at_jobs(watch_t *watch, apr_time_t tick, apr_pool_t *pool)
{
    int forgotten = 0;
    for (apr_hash_index_t *i = apr_hash_first(pool, watch->jobs); i; i = apr_hash_next(i)) {
        fetch_job_t *job = apr_hash_this_val(i);
        if (job->entry) look_at_job(watch, job, tick, pool);
        else if (job->unwanted + apr_time_from_sec(FORGET_SECONDS) <= tick && forgotten++ < FORGET_AT_ONCE)
            forget(watch, job, tick, pool);
    }
}

/* The step of 60, 30, 14, 7, 1 days that the certificate is within; 0 for none, and for one that has expired: then it's
 * too late for a warning, and the key in it goes on working (OKTA.md B.1.2). */
static int expiry_step(apr_time_t end, apr_time_t now)
{
    static const int steps[] = { 1, 7, 14, 30, 60 };
    if (end <= now) return 0;
    for (apr_size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (end - now <= apr_time_from_sec(steps[i] * 86400L)) return steps[i];
    return 0;
}

/* Is that to be told, or was it, and at no later step? */
static bool is_news(watch_t *watch, const char *key, int step)
{
    apr_pool_t *pool = apr_hash_pool_get(watch->told);
    int *told = apr_hash_get(watch->told, key, APR_HASH_KEY_STRING);
    if (!step || (told && *told <= step)) return false;
    if (!told) {
        told = apr_palloc(pool, sizeof *told);
        apr_hash_set(watch->told, apr_pstrdup(pool, key), APR_HASH_KEY_STRING, told);
    }
    *told = step;
    return true;
}

/* Of the document as a whole. One that is fetched is renewed in time, or its fetch fails and tells. */
static void look_at_metadata(watch_t *watch, const oks_org_t *org, const oks_saml_idp_t *idp, apr_time_t now, apr_pool_t *pool)
{
    int step = org->static_idp && idp->valid_until ? expiry_step(idp->valid_until, now) : 0;
    if (idp->skipped && is_news(watch, apr_pstrcat(pool, org->name, " skipped ", idp->skipped, NULL), 1))
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, watch->server, "OKS0034: a signing certificate in the metadata of %s's identity "
                     "provider is left out: %s", org->name, idp->skipped);
    if (is_news(watch, apr_pstrcat(pool, org->name, " metadata", NULL), step))
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, watch->server, "OKS0035: the metadata of %s's identity provider may be used for "
                     "%d day%s more at most: validUntil %s", org->name, step, step == 1 ? "" : "s",
                     oks_time_format(idp->valid_until, pool));
}

static void warn_of_expiry(watch_t *watch, const oks_org_t *org, const oks_cert_t *cert, apr_time_t now)
{
    int step = expiry_step(cert->not_after, now);
    if (!is_news(watch, cert->fingerprint, step)) return;
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, watch->server, "OKS0033: a signing certificate of %s's identity provider expires "
                 "within %d day%s: SHA-256 %.16s", org->name, step, step == 1 ? "" : "s", cert->fingerprint);
}

static void look_at_certificates(watch_t *watch, apr_time_t now, apr_pool_t *pool)
{
    for (server_rec *s = watch->server; s; s = s->next) {
        const oks_server_conf_t *conf = oks_httpd_server_conf(s);
        const apr_array_header_t *entries = conf->flow ? all_orgs(conf, pool) : NULL;
        for (int i = 0; entries && i < entries->nelts; i++) {
            const oks_org_t *org = &APR_ARRAY_IDX(entries, i, const oks_org_entry_t *)->org;
            const oks_saml_idp_t *idp;
            if (!org->enabled || org->oidc || oks_flow_idp(&idp, conf->flow, org, now, pool) != NULL) continue;
            look_at_metadata(watch, org, idp, now, pool);
            for (int k = 0; k < idp->certs->nelts; k++) warn_of_expiry(watch, org, APR_ARRAY_IDX(idp->certs, k, oks_cert_t *), now);
        }
    }
}

static void run(watch_t *watch, apr_pool_t *pool)
{
    oks_directory_t *directory = oks_httpd_runtime.directory;
    const apr_time_t now = apr_time_now(), tick = ticks();
    int64_t sequence = atomic_load(&oks_httpd_runtime.log->sequence);
    oks_err_t *err = oks_directory_follow(directory, &sequence, pool);
    if (!err) {
        atomic_store(&oks_httpd_runtime.log->sequence, sequence);
        atomic_store(&oks_httpd_runtime.log->followed, now);
    }
    if (!err && watch->sweep_due <= tick) {
        bool more = false;
        err = oks_directory_sweep(&more, directory, now, pool);
        watch->sweep_due = more ? tick : tick + apr_time_from_sec(SWEEP_SECONDS); /* the next time this runs */
    }
    if (err && !watch->failing) report(watch, APLOG_ERR, "background work", err, pool);
    watch->failing = err != NULL;
    if (err) return;
    make_jobs(watch, pool);
    look_at_jobs(watch, tick, pool);
    if (watch->expiry_due <= tick) {
        look_at_certificates(watch, now, pool);
        watch->expiry_due = tick + apr_time_from_sec(EXPIRY_SECONDS);
    }
}

static void start_threads(watch_t *watch, apr_pool_t *pool)
{
    oks_err_t *err = NULL;
    if (apr_pool_create_unmanaged_ex(&watch->pool, NULL, NULL) == APR_SUCCESS) {
        err = oks_net_create(&watch->net, watch->pool);
        if (!err && apr_thread_pool_create(&watch->threads, 0, FETCH_THREADS, watch->pool) == APR_SUCCESS) return;
    }
    report(watch, APLOG_ERR, "no threads for fetches", err ? err : oks_err(pool, OKS_R_INTERNAL, NULL), pool);
    watch->pool = NULL;
}

static void stop_threads(watch_t *watch)
{
    if (!watch->pool) return;
    oks_net_stop(watch->net);
    apr_thread_pool_destroy(watch->threads);
    for (apr_hash_index_t *i = apr_hash_first(watch->pool, watch->jobs); i; i = apr_hash_next(i)) {
        fetch_job_t *job = apr_hash_this_val(i);
        if (atomic_exchange(&job->state, FETCH_IDLE) != FETCH_IDLE) apr_pool_destroy(job->pool);
    }
    apr_pool_destroy(watch->pool);
    watch->pool = NULL;
}

static apr_status_t step(int state, void *data, apr_pool_t *pool)
{
    watch_t *watch = data;
    APR_OPTIONAL_FN_TYPE(ap_watchdog_set_callback_interval) *set_interval =
        APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_set_callback_interval);
    apr_thread_mutex_lock(watch->lock);
    if (state == AP_WATCHDOG_STATE_STARTING && !watch->ended) start_threads(watch, pool);
    if (state == AP_WATCHDOG_STATE_RUNNING && !watch->ended && watch->pool && oks_httpd_runtime.directory) {
        if (!watch->begun && set_interval) set_interval(watch->watchdog, AP_WD_TM_INTERVAL, watch, step);
        watch->begun = true;
        run(watch, pool);
    }
    apr_thread_mutex_unlock(watch->lock);
    return APR_SUCCESS;
}

/* While all that the child has is still there. AP_WATCHDOG_STATE_STOPPING would come during a step, and not at all to a thread that
 * has just been made and will take its first step when the rest is gone. */
static apr_status_t end(void *data)
{
    watch_t *watch = data;
    apr_thread_mutex_lock(watch->lock);
    watch->ended = true;
    stop_threads(watch);
    apr_thread_mutex_unlock(watch->lock);
    return APR_SUCCESS;
}

static watch_t *current; /* of this configuration */

void oks_httpd_watchdog_child(apr_pool_t *pchild)
{
    if (current) apr_pool_pre_cleanup_register(pchild, current, end);
}

int oks_httpd_watchdog_start(server_rec *s, apr_pool_t *pconf)
{
    APR_OPTIONAL_FN_TYPE(ap_watchdog_get_instance) *get = APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_get_instance);
    APR_OPTIONAL_FN_TYPE(ap_watchdog_register_callback) *add = APR_RETRIEVE_OPTIONAL_FN(ap_watchdog_register_callback);
    apr_pool_t *own;
    watch_t *watch = apr_pcalloc(pconf, sizeof *watch);
    watch->server = s;
    apr_pool_create(&own, pconf); /* of the watchdog's thread alone */
    watch->jobs = apr_hash_make(own);
    apr_thread_mutex_create(&watch->lock, APR_THREAD_MUTEX_DEFAULT, pconf);
    current = watch;
    watch->told = apr_hash_make(own);
    if (!get || !add || get(&watch->watchdog, NAME, 0, 1, pconf) != APR_SUCCESS ||
        add(watch->watchdog, AP_WD_TM_SLICE, watch, step) != APR_SUCCESS) { /* at first as soon as the child is ready */
        ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "OKS0032: mod_watchdog gives no watchdog");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return OK;
}
