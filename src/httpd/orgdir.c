/* OktaSSOOrgDir: one file for each organization, NAME.conf, read again while httpd runs. Each child has a table of its own; the
 * watchdog's child looks for changes and moves a shared counter, and a child that sees it moved reads again at its next request.
 * What is read at once lives in one pool, until the last of its organizations is gone and the last request has let go. */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <apr_file_info.h>
#include <apr_strings.h>

#include "module.h"
#include "orgdir.h"

#include <http_log.h>

APLOG_USE_MODULE(oktasso);

#define SUFFIX ".conf"
#define MISNAMED "%s/%s is of no organization: names have a-z, 0-9 and - alone: rename it"
#define SETTLE apr_time_from_sec(1)     /* a file that changed less than this ago may be half written */
#define LOOK_EVERY apr_time_from_sec(5) /* at each file; at the directory's own time each second */
#define SCAN_EVERY apr_time_from_msec(250) /* for a file that is too fresh, at a request */

#define REASON_SIZE 120 /* of the system's words for an error */

#define WANTED (APR_FINFO_MTIME | APR_FINFO_CTIME | APR_FINFO_SIZE | APR_FINFO_INODE | APR_FINFO_TYPE)

typedef struct batch_t {
    apr_pool_t *pool;
    _Atomic int refs;
} batch_t;

typedef struct file_t {
    const char *name;        /* the organization's */
    oks_org_entry_t *entry;  /* in force; NULL: none */
    apr_time_t mtime;        /* of the newest text, good or bad; */
    apr_time_t ctime;        /* also of a chmod, after which it may be readable */
    apr_off_t size;
    apr_ino_t inode;
    char *error;             /* what is wrong with it: malloc */
    bool known;              /* read, and not gone since */
    bool there, news;        /* news: not logged yet */
    bool waits;              /* bad only because another one has its name or domain; */
    bool elsewhere;          /* one of another virtual host */
    bool newcomer;           /* in force since this very scan */
    bool contested;          /* of two that came at once and claim one domain: not in force, but what it claims is nobody's */
} file_t;

typedef struct seen_t {      /* in one scan */
    file_t *file;
    apr_finfo_t info;
} seen_t;

/* Over what the directories have read, in a running child; one for all: names are compared between them. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct oks_orgdir_t {
    oks_server_conf_t *conf;
    const char *path;
    apr_pool_t *pool;
    apr_hash_t *files;        /* name -> file_t, also of files that are gone */
    apr_hash_t *domains;      /* the configuration's and the files' */
    uint32_t version, seen;   /* seen: the counter when the files were last read */
    uint32_t announced;       /* the version that other children were told of */
    bool freed;               /* a domain: one that waits for it may have it */
    int requiring;            /* organizations that require SSO */
    bool unread;              /* never read in this process, or something was too fresh */
    apr_status_t gone;        /* why the directory cannot be read; APR_SUCCESS: it can be */
    bool gone_told;
    apr_hash_t *misnamed;     /* "Acme.conf" -> bool: not logged yet */
    apr_time_t mtime, look_due;
    apr_time_t scanned;       /* when; 0: it is due */
};

/* ---- Who holds what ---- */

static void batch_release(batch_t *batch)
{
    if (atomic_fetch_sub(&batch->refs, 1) == 1) apr_pool_destroy(batch->pool);
}

void oks_org_entry_hold(const oks_org_entry_t *entry)
{
    if (entry->batch) atomic_fetch_add(&((batch_t *)entry->batch)->refs, 1);
}

void oks_org_entry_release(const oks_org_entry_t *entry)
{
    if (entry->batch) batch_release(entry->batch);
}

static apr_status_t release_entry(void *entry)
{
    oks_org_entry_release(entry);
    return APR_SUCCESS;
}

static oks_org_entry_t *in_force(const file_t *file)
{
    return file && !file->contested ? file->entry : NULL;
}

static const oks_org_entry_t *hold_in(oks_org_entry_t *entry, apr_pool_t *pool)
{
    if (!entry) return NULL;
    oks_org_entry_hold(entry);
    apr_pool_cleanup_register(pool, entry, release_entry, apr_pool_cleanup_null);
    return entry;
}

static apr_status_t destroy(void *data)
{
    oks_orgdir_t *dir = data;
    for (apr_hash_index_t *i = apr_hash_first(NULL, dir->files); i; i = apr_hash_next(i)) {
        file_t *file = apr_hash_this_val(i);
        if (file->entry) oks_org_entry_release(file->entry);
        free(file->error);
    }
    apr_pool_destroy(dir->pool);
    return APR_SUCCESS;
}

const char *oks_orgdir_create(oks_orgdir_t **dir, oks_server_conf_t *conf, apr_pool_t *pool)
{
    oks_orgdir_t *made = apr_pcalloc(pool, sizeof *made);
    if (apr_pool_create_unmanaged_ex(&made->pool, NULL, NULL) != APR_SUCCESS) return "OktaSSOOrgDir: out of memory";
    made->conf = conf;
    made->path = conf->org_dir;
    made->files = apr_hash_make(made->pool);
    made->misnamed = apr_hash_make(made->pool);
    made->domains = apr_hash_copy(made->pool, conf->domains);
    made->unread = true;
    apr_pool_cleanup_register(pool, made, destroy, apr_pool_cleanup_null);
    *dir = made;
    return NULL;
}

/* ---- One file ---- */

/* `entry` (or nothing) in place of what was in force. */
static void put_in_force(oks_orgdir_t *dir, file_t *file, oks_org_entry_t *entry)
{
    if (file->entry) {
        dir->freed = dir->freed || file->entry->org.email_domains;
        oks_httpd_set_domains(dir->domains, file->entry, NULL);
        oks_org_entry_release(file->entry);
    }
    file->entry = entry;
    if (entry) oks_httpd_set_domains(dir->domains, entry, entry);
}

/* By whatever name: a link to it is the same one. */
static bool is_same_dir(const char *one, const char *other, apr_pool_t *pool)
{
    apr_finfo_t a, b;
    const apr_int32_t what = APR_FINFO_INODE | APR_FINFO_DEV;
    if (strcmp(one, other) == 0) return true;
    return apr_stat(&a, one, what, pool) == APR_SUCCESS && apr_stat(&b, other, what, pool) == APR_SUCCESS && a.inode == b.inode &&
           a.device == b.device;
}

/* The virtual hosts share one directory of users, in which a name is one organization's. What a new file says of its identity
 * provider proves nothing, since it may bring a token for SCIM: it has no name that another virtual host has. */
static const char *check_elsewhere(const oks_orgdir_t *dir, const char *name, apr_pool_t *pool)
{
    apr_finfo_t info;
    for (const server_rec *s = dir->conf->main_server; s; s = s->next) {
        const oks_server_conf_t *other = oks_httpd_server_conf(s);
        if (other == dir->conf) continue;
        const oks_org_entry_t *same = apr_hash_get(other->orgs, name, APR_HASH_KEY_STRING);
        const char *taken = same ? same->where : NULL;
        if (!taken && other->org_dir && !is_same_dir(other->org_dir, dir->path, pool)) {
            const file_t *file = other->dir ? apr_hash_get(other->dir->files, name, APR_HASH_KEY_STRING) : NULL;
            const char *path = apr_pstrcat(pool, other->org_dir, "/", name, SUFFIX, NULL);
            if ((file && file->entry) || apr_stat(&info, path, APR_FINFO_TYPE, pool) == APR_SUCCESS) taken = path;
        }
        if (taken)
            return apr_psprintf(pool, "the virtual host %s has an organization %s, too (%s): they share one directory of users, in "
                                "which a name is one organization's: take two names", other->vhost, name, taken);
    }
    return NULL;
}

static const char *judge(oks_orgdir_t *dir, file_t *file, const oks_org_entry_t *entry, apr_pool_t *pool)
{
    if (apr_hash_get(dir->conf->orgs, file->name, APR_HASH_KEY_STRING))
        return apr_psprintf(pool, "the organization %s is defined in httpd's configuration, too: keep one of them", file->name);
    const char *error = file->entry ? NULL : check_elsewhere(dir, file->name, pool); /* who is in force may change */
    file->elsewhere = error != NULL;
    if (error) return error;
    if (file->entry) oks_httpd_set_domains(dir->domains, file->entry, NULL); /* its own may stay */
    error = oks_httpd_check_domains(dir->domains, entry, pool);
    if (file->entry && error) oks_httpd_set_domains(dir->domains, file->entry, file->entry); /* nothing has changed */
    return error;
}

/* Whose claims cannot stand beside those of `entry`, when nobody knows which of the two came first: httpd has just begun to look. A
 * file's age says nothing, since an owner may edit his. */
static void contest(oks_orgdir_t *dir, const oks_org_entry_t *entry, apr_pool_t *pool)
{
    apr_hash_t *claims = apr_hash_make(pool);
    oks_httpd_set_domains(claims, entry, entry);
    for (apr_hash_index_t *i = apr_hash_first(pool, dir->files); i; i = apr_hash_next(i)) {
        file_t *file = apr_hash_this_val(i);
        if (!file->entry || !file->newcomer || !oks_httpd_check_domains(claims, file->entry, pool)) continue;
        file->contested = true;
        free(file->error);
        file->error = strdup(apr_psprintf(pool, "one of its domains is claimed by %s, too, and nobody knows who had it first: "
                                          "take it from one of them", entry->org.name));
    }
}

/* Who may write a file here may not yet run commands as httpd, nor read what httpd may read: a secret goes to the token endpoint
 * that the same file names. */
static const char *check_secret(const oks_setting_t *setting, apr_pool_t *pool)
{
    static const char *const elsewhere[] = { "exec:", "file:", "env:" };
    const oks_client_conf_t *secret = setting->value;
    for (apr_size_t i = 0; setting->text && i < sizeof elsewhere / sizeof elsewhere[0]; i++)
        if (strncmp(secret->source, elsewhere[i], strlen(elsewhere[i])) == 0)
            return apr_psprintf(pool, "%s: OktaSSOClientSecret: in a file of OktaSSOOrgDir the secret stands there itself, without "
                                "%s", setting->where, elsewhere[i]);
    return NULL;
}

/* What the server's configuration has of these is for the provider that it names. */
static const char *check_inherited(const oks_org_conf_t *section, const oks_org_conf_t *defaults, apr_pool_t *pool)
{
    static const oks_setting_id_t secrets[] = { OKS_SET_CLIENT_SECRET, OKS_SET_CLIENT_KEY };
    const bool own = section->set[OKS_SET_METADATA].text || section->set[OKS_SET_METADATA_XML].text;
    const bool oidc = section->set[OKS_SET_CLIENT_ID].text || defaults->set[OKS_SET_CLIENT_ID].text;
    if (!own || !oidc || section->set[OKS_SET_CLIENT_SECRET].text || section->set[OKS_SET_CLIENT_KEY].text) return NULL;
    for (apr_size_t i = 0; i < sizeof secrets / sizeof secrets[0]; i++)
        if (defaults->set[secrets[i]].text)
            return apr_psprintf(pool, "%s of httpd's configuration does not go to a provider that a file names: write it into the "
                                "file", oks_httpd_setting_directive(secrets[i]));
    return NULL;
}

static const char *read_org(oks_org_entry_t **entry, oks_orgdir_t *dir, file_t *file, batch_t *batch, apr_pool_t *scratch)
{
    oks_span_t text;
    const char *path = apr_pstrcat(scratch, dir->path, "/", file->name, SUFFIX, NULL);
    oks_org_conf_t *section = apr_pcalloc(scratch, sizeof *section);
    section->name = apr_pstrdup(batch->pool, file->name);
    section->where = path;
    const char *error = oks_httpd_read_file(&text, path, OKS_ORG_FILE_MAX, scratch);
    if (!error) error = oks_httpd_parse_org(section, dir->conf, path, text, batch->pool, scratch);
    if (!error) error = check_secret(&section->set[OKS_SET_CLIENT_SECRET], scratch);
    if (!error) error = check_inherited(section, dir->conf->defaults, scratch);
    if (!error) error = oks_httpd_complete_org(entry, dir->conf, section, batch->pool);
    if (error) return error;
    (*entry)->org.of_file = true;
    (*entry)->org.reach = dir->conf->org_dir_private ? OKS_NET_ANYWHERE : OKS_NET_PUBLIC;
    error = judge(dir, file, *entry, scratch);
    file->waits = error != NULL;
    if (error) contest(dir, *entry, scratch);
    return error;
}

static void read_file(oks_orgdir_t *dir, file_t *file, const apr_finfo_t *info, batch_t *batch, apr_pool_t *pool)
{
    apr_pool_t *scratch;
    oks_org_entry_t *entry = NULL;
    apr_pool_create(&scratch, pool);
    file->waits = file->elsewhere = false;
    const char *error = read_org(&entry, dir, file, batch, scratch);
    file->mtime = info->mtime;
    file->ctime = info->ctime;
    file->size = info->size;
    file->inode = info->inode;
    file->known = file->news = true;
    free(file->error);
    file->error = error ? strdup(error) : NULL;
    if (!error) {
        entry->batch = batch;
        entry->org.version = ++dir->version;
        oks_org_entry_hold(entry);
        file->newcomer = !file->entry || file->newcomer;
        put_in_force(dir, file, entry);
    }
    apr_pool_destroy(scratch);
}

/* ---- The directory ---- */

static file_t *file_of(oks_orgdir_t *dir, const char *stem)
{
    file_t *file = apr_hash_get(dir->files, stem, APR_HASH_KEY_STRING);
    if (file) return file;
    file = apr_pcalloc(dir->pool, sizeof *file);
    file->name = apr_pstrdup(dir->pool, stem);
    apr_hash_set(dir->files, file->name, APR_HASH_KEY_STRING, file);
    return file;
}

/* Has it changed, or has another virtual host given up what it waits for? */
static bool is_news(const oks_orgdir_t *dir, const seen_t *seen, apr_pool_t *pool)
{
    const file_t *file = seen->file;
    const apr_finfo_t *info = &seen->info;
    return !file->known || file->mtime != info->mtime || file->ctime != info->ctime || file->size != info->size ||
           file->inode != info->inode || (file->elsewhere && !check_elsewhere(dir, file->name, pool));
}

static bool has_suffix(const char *file_name)
{
    apr_size_t len = strlen(file_name), suffix = sizeof SUFFIX - 1;
    return len > suffix && strcmp(file_name + len - suffix, SUFFIX) == 0;
}

/* The organization's name of "NAME.conf"; NULL: not one of ours (an editor's own copy, a README). */
static const char *stem_of(const char *file_name, apr_pool_t *pool)
{
    apr_size_t len = strlen(file_name), suffix = sizeof SUFFIX - 1;
    if (!has_suffix(file_name)) return NULL;
    return oks_org_name_ok(oks_span(file_name, len - suffix)) ? apr_pstrmemdup(pool, file_name, len - suffix) : NULL;
}

/* What lies hidden is an editor's own. */
static void note_misnamed(oks_orgdir_t *dir, const char *file_name)
{
    if (*file_name == '.' || apr_hash_get(dir->misnamed, file_name, APR_HASH_KEY_STRING)) return;
    bool *news = apr_palloc(dir->pool, sizeof *news);
    *news = true;
    apr_hash_set(dir->misnamed, apr_pstrdup(dir->pool, file_name), APR_HASH_KEY_STRING, news);
}

static batch_t *new_batch(void)
{
    apr_pool_t *pool;
    if (apr_pool_create_unmanaged_ex(&pool, NULL, NULL) != APR_SUCCESS) return NULL;
    batch_t *batch = apr_pcalloc(pool, sizeof *batch);
    batch->pool = pool;
    atomic_init(&batch->refs, 1);
    return batch;
}

/* The elder first: the same order in each child. */
static int by_age(const void *one_, const void *other_)
{
    const seen_t *one = one_, *other = other_;
    if (one->info.mtime != other->info.mtime) return one->info.mtime < other->info.mtime ? -1 : 1;
    return strcmp(one->file->name, other->file->name);
}

/* seen_t of all files; NULL with `gone` when the directory cannot be read, or not to its end. */
static apr_array_header_t *look(oks_orgdir_t *dir, apr_pool_t *pool)
{
    apr_dir_t *handle;
    apr_finfo_t info;
    apr_status_t read;
    if ((dir->gone = apr_dir_open(&handle, dir->path, pool)) != APR_SUCCESS) return NULL;
    for (apr_hash_index_t *i = apr_hash_first(NULL, dir->files); i; i = apr_hash_next(i))
        ((file_t *)apr_hash_this_val(i))->there = false;
    apr_array_header_t *all = apr_array_make(pool, 64, sizeof(seen_t));
    while ((read = apr_dir_read(&info, APR_FINFO_NAME, handle)) == APR_SUCCESS) {
        const char *stem = stem_of(info.name, pool);
        if (!stem && has_suffix(info.name)) note_misnamed(dir, info.name);
        if (!stem) continue;
        file_t *file = file_of(dir, stem);
        apr_status_t status = apr_stat(&info, apr_pstrcat(pool, dir->path, "/", stem, SUFFIX, NULL), WANTED, pool);
        file->there = !APR_STATUS_IS_ENOENT(status);
        if (status == APR_SUCCESS && info.filetype == APR_REG) APR_ARRAY_PUSH(all, seen_t) = (seen_t){ file, info };
    }
    apr_dir_close(handle);
    if (!APR_STATUS_IS_ENOENT(read)) {
        dir->gone = read;
        return NULL;
    }
    qsort(all->elts, (size_t)all->nelts, sizeof(seen_t), by_age);
    return all;
}

static void drop_gone(oks_orgdir_t *dir)
{
    for (apr_hash_index_t *i = apr_hash_first(NULL, dir->files); i; i = apr_hash_next(i)) {
        file_t *file = apr_hash_this_val(i);
        if (!file->there && file->known) {
            put_in_force(dir, file, NULL);
            free(file->error);
            file->error = NULL;
            file->known = false;
            file->waits = file->elsewhere = false;
            file->news = true;
            dir->version++;
        }
    }
}

/* Those that wait for what has just been given up. */
static void read_waiting(oks_orgdir_t *dir, const apr_array_header_t *all, batch_t *batch, apr_pool_t *pool)
{
    while (dir->freed) {
        dir->freed = false;
        for (int i = 0; i < all->nelts; i++) {
            const seen_t *seen = &APR_ARRAY_IDX(all, i, seen_t);
            if (seen->file->waits) read_file(dir, seen->file, &seen->info, batch, pool);
        }
    }
}

/* A claim is contested as long as the other file makes it: all that wait are asked again. */
static void settle_contests(oks_orgdir_t *dir, const apr_array_header_t *all, batch_t *batch, apr_pool_t *pool)
{
    apr_array_header_t *before = apr_array_make(pool, 4, sizeof(file_t *));
    for (int i = 0; i < all->nelts; i++) {
        file_t *file = APR_ARRAY_IDX(all, i, seen_t).file;
        if (!file->contested) continue;
        file->contested = false;
        APR_ARRAY_PUSH(before, file_t *) = file;
    }
    for (int i = 0; before->nelts && i < all->nelts; i++) {
        const seen_t *seen = &APR_ARRAY_IDX(all, i, seen_t);
        bool news = seen->file->news;
        if (!seen->file->waits) continue;
        read_file(dir, seen->file, &seen->info, batch, pool);
        if (seen->file->waits) seen->file->news = news; /* nothing new */
    }
    for (int i = 0; i < before->nelts; i++) {
        file_t *file = APR_ARRAY_IDX(before, i, file_t *);
        file->news = true;
        if (file->contested) continue;
        free(file->error);
        file->error = NULL;
    }
    for (int i = 0; i < all->nelts; i++) {
        file_t *file = APR_ARRAY_IDX(all, i, seen_t).file;
        file->newcomer = file->contested;
    }
}

/* Reads what has changed, with the lock held. A directory that cannot be read leaves everything in force. */
static void scan(oks_orgdir_t *dir, bool settled, apr_pool_t *pool)
{
    apr_time_t now = dir->scanned = apr_time_now();
    const uint32_t version = dir->version;
    const apr_array_header_t *all = look(dir, pool);
    batch_t *batch = all ? new_batch() : NULL;
    dir->unread = !batch; /* a child looks again: nobody tells it a second time */
    if (!batch) return;
    drop_gone(dir);
    read_waiting(dir, all, batch, pool);
    for (int i = 0; i < all->nelts; i++) {
        const seen_t *seen = &APR_ARRAY_IDX(all, i, seen_t);
        bool fresh = settled && now - seen->info.mtime < SETTLE && seen->info.mtime <= now;
        if (!is_news(dir, seen, pool)) continue;
        if (fresh) dir->unread = true;
        else read_file(dir, seen->file, &seen->info, batch, pool);
        read_waiting(dir, all, batch, pool);
    }
    if (dir->version != version) settle_contests(dir, all, batch, pool);
    dir->requiring = 0;
    for (int i = 0; i < all->nelts; i++) {
        const oks_org_entry_t *entry = in_force(APR_ARRAY_IDX(all, i, seen_t).file);
        if (entry && entry->org.enabled && entry->org.require_sso != OKS_REQUIRE_SSO_OFF) dir->requiring++;
    }
    batch_release(batch);
}

static uint32_t counter_of(const oks_orgdir_t *dir, apr_pool_t *pool)
{
    return oks_counter_of_document(apr_pstrcat(pool, "orgdir:", dir->path, NULL));
}

/* With the lock held, in a child. */
static void refresh(oks_orgdir_t *dir, apr_pool_t *pool)
{
    apr_pool_t *scratch;
    uint32_t seen = oks_counter_get(oks_httpd_runtime.counters, counter_of(dir, pool));
    /* A file that is written again and again stays too fresh: not each request looks at all of them for its sake. */
    apr_time_t since = apr_time_now() - dir->scanned;
    if (dir->seen == seen && (!dir->unread || (dir->scanned && since >= 0 && since < SCAN_EVERY))) return;
    apr_pool_create(&scratch, pool);
    scan(dir, true, scratch);
    apr_pool_destroy(scratch);
    dir->seen = seen;
}

/* ---- Start, and the watchdog ---- */

static void tell(oks_orgdir_t *dir)
{
    const server_rec *s = dir->conf->server;
    char reason[REASON_SIZE];
    if (dir->gone && !dir->gone_told)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "OKS0039: OktaSSOOrgDir %s cannot be read: %s; what was in force stays",
                     dir->path, apr_strerror(dir->gone, reason, sizeof reason));
    dir->gone_told = dir->gone != APR_SUCCESS;
    for (apr_hash_index_t *i = apr_hash_first(NULL, dir->misnamed); i; i = apr_hash_next(i)) {
        bool *news = apr_hash_this_val(i);
        if (*news)
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "OKS0055: " MISNAMED, dir->path, (const char *)apr_hash_this_key(i));
        *news = false;
    }
    for (apr_hash_index_t *i = apr_hash_first(NULL, dir->files); i; i = apr_hash_next(i)) {
        file_t *file = apr_hash_this_val(i);
        if (file->news && file->error)
            ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "OKS0037: %s/%s%s: %s; %s", dir->path, file->name, SUFFIX, file->error,
                         in_force(file) ? "what was in force before stays"
                         : file->contested ? "it is not in force" : "the organization is unknown");
        else if (file->news)
            ap_log_error(APLOG_MARK, APLOG_INFO, 0, s, "OKS0038: the organization %s is %s", file->name,
                         file->entry ? "in force as its file says" : "gone with its file");
        file->news = false;
    }
}

const char *oks_orgdir_start(oks_orgdir_t *dir, bool strict, apr_pool_t *pool)
{
    char reason[REASON_SIZE];
    const bool lowered = oks_httpd_as_user(); /* as children will read them, and no more */
    scan(dir, false, pool);
    oks_httpd_as_root(lowered);
    if (strict && dir->gone)
        return apr_psprintf(pool, "OktaSSOOrgDir: the directory %s cannot be read: %s", dir->path,
                            apr_strerror(dir->gone, reason, sizeof reason));
    apr_hash_index_t *misnamed = strict ? apr_hash_first(pool, dir->misnamed) : NULL;
    if (misnamed) return apr_psprintf(pool, MISNAMED, dir->path, (const char *)apr_hash_this_key(misnamed));
    for (apr_hash_index_t *i = apr_hash_first(pool, dir->files); i; i = apr_hash_next(i)) {
        file_t *file = apr_hash_this_val(i);
        file->news = file->error != NULL; /* for the error log, which is not open yet */
        if (strict && file->error) return apr_psprintf(pool, "%s/%s%s: %s", dir->path, file->name, SUFFIX, file->error);
    }
    dir->unread = true; /* children look once more: they may be younger than the next change */
    dir->scanned = 0;
    dir->announced = dir->version;
    return NULL;
}

bool oks_orgdir_has(const oks_orgdir_t *dir, const char *name)
{
    return in_force(apr_hash_get(dir->files, name, APR_HASH_KEY_STRING)) != NULL;
}

void oks_orgdir_watch(oks_orgdir_t *dir, apr_pool_t *pool)
{
    apr_finfo_t info;
    apr_time_t now = apr_time_now();
    bool stat = apr_stat(&info, dir->path, APR_FINFO_MTIME, pool) == APR_SUCCESS;
    pthread_mutex_lock(&lock);
    bool look_now = !stat || dir->unread || info.mtime != dir->mtime || dir->look_due <= now;
    if (look_now) {
        dir->mtime = stat ? info.mtime : 0;
        dir->look_due = now + LOOK_EVERY;
        scan(dir, true, pool);
    }
    /* Also of what a request of this child has read. Who reads the log line can count on it in every child. */
    bool news = dir->announced != dir->version;
    if (news) oks_counter_add(oks_httpd_runtime.counters, counter_of(dir, pool));
    dir->announced = dir->version;
    if (news || look_now) tell(dir);
    pthread_mutex_unlock(&lock);
}

/* ---- Looking up ---- */

const oks_org_entry_t *oks_orgdir_find(oks_orgdir_t *dir, oks_span_t name, apr_pool_t *pool)
{
    pthread_mutex_lock(&lock);
    refresh(dir, pool);
    const file_t *file = apr_hash_get(dir->files, name.ptr, (apr_ssize_t)name.len);
    const oks_org_entry_t *entry = hold_in(in_force(file), pool);
    pthread_mutex_unlock(&lock);
    return entry;
}

const oks_org_entry_t *oks_orgdir_find_domain(oks_orgdir_t *dir, char *domain, apr_pool_t *pool)
{
    pthread_mutex_lock(&lock);
    refresh(dir, pool);
    oks_org_entry_t *owner = oks_httpd_domain_owner(dir->domains, domain);
    const file_t *file = owner ? apr_hash_get(dir->files, owner->org.name, APR_HASH_KEY_STRING) : NULL;
    const oks_org_entry_t *entry = hold_in(file && file->contested ? NULL : owner, pool);
    pthread_mutex_unlock(&lock);
    return entry;
}

/* The first one, and how many there are. */
static oks_org_entry_t *first_of(int *count, const oks_orgdir_t *dir, bool (*is)(const oks_org_t *org, const void *what),
                                 const void *what)
{
    oks_org_entry_t *found = NULL;
    *count = 0;
    for (apr_hash_index_t *i = apr_hash_first(NULL, dir->files); i; i = apr_hash_next(i)) {
        file_t *file = apr_hash_this_val(i);
        oks_org_entry_t *entry = in_force(file);
        if (entry && is(&entry->org, what) && (*count)++ == 0) found = entry;
    }
    return found;
}

static bool has_issuer(const oks_org_t *org, const void *host)
{
    return org->oidc && strcmp(org->oidc->host, host) == 0;
}

static bool requires_sso(const oks_org_t *org, const void *unused)
{
    return org->enabled && org->require_sso != OKS_REQUIRE_SSO_OFF;
}

const oks_org_entry_t *oks_orgdir_find_issuer(int *count, oks_orgdir_t *dir, const char *host, apr_pool_t *pool)
{
    pthread_mutex_lock(&lock);
    refresh(dir, pool);
    const oks_org_entry_t *entry = hold_in(first_of(count, dir, has_issuer, host), pool);
    pthread_mutex_unlock(&lock);
    return entry;
}

const oks_org_entry_t *oks_orgdir_find_requiring(oks_orgdir_t *dir, apr_pool_t *pool)
{
    int count;
    const oks_org_entry_t *entry = NULL;
    pthread_mutex_lock(&lock);
    refresh(dir, pool);
    if (dir->requiring) entry = hold_in(first_of(&count, dir, requires_sso, NULL), pool);
    pthread_mutex_unlock(&lock);
    return entry;
}

bool oks_orgdir_requires(oks_orgdir_t *dir, apr_pool_t *pool)
{
    pthread_mutex_lock(&lock);
    refresh(dir, pool);
    bool requires = dir->requiring > 0;
    pthread_mutex_unlock(&lock);
    return requires;
}

static apr_status_t release_all(void *entries_)
{
    const apr_array_header_t *entries = entries_;
    for (int i = 0; i < entries->nelts; i++) oks_org_entry_release(APR_ARRAY_IDX(entries, i, const oks_org_entry_t *));
    return APR_SUCCESS;
}

const apr_array_header_t *oks_orgdir_all(oks_orgdir_t *dir, apr_pool_t *pool)
{
    apr_array_header_t *entries = apr_array_make(pool, 64, sizeof(const oks_org_entry_t *));
    pthread_mutex_lock(&lock);
    for (apr_hash_index_t *i = apr_hash_first(NULL, dir->files); i; i = apr_hash_next(i)) {
        const file_t *file = apr_hash_this_val(i);
        if (!in_force(file)) continue;
        oks_org_entry_hold(file->entry);
        APR_ARRAY_PUSH(entries, const oks_org_entry_t *) = file->entry;
    }
    pthread_mutex_unlock(&lock);
    apr_pool_cleanup_register(pool, entries, release_all, apr_pool_cleanup_null);
    return entries;
}

uint32_t oks_orgdir_version(oks_orgdir_t *dir)
{
    pthread_mutex_lock(&lock);
    uint32_t version = dir->version;
    pthread_mutex_unlock(&lock);
    return version;
}
