/* Start-up: state directory, keys, database, shared counters; and each child's handles. */
#include <string.h>

#include <apr_file_io.h>
#include <apr_shm.h>
#include <apr_strings.h>

#include "module.h"

#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <http_main.h>
#include <unixd.h>

#include "oktasso/net.h"

APLOG_USE_MODULE(oktasso);

#define SQLITE "sqlite3:"
#define KEYS_FILE_MAX 4096
#define CONNECTIONS 8            /* to the directory, per child */

oks_runtime_t oks_httpd_runtime;

static int fail(server_rec *s, const char *what, const oks_err_t *err, apr_pool_t *pool)
{
    ap_log_error(APLOG_MARK, APLOG_EMERG, 0, s, "OKS0020: %s: %s", what, oks_err_text(err, pool));
    return HTTP_INTERNAL_SERVER_ERROR;
}

static oks_err_t *system_error(apr_pool_t *pool, const char *what, const char *path)
{
    return oks_err_from(pool, OKS_R_INTERNAL, APR_FROM_OS_ERROR(errno), NULL, "%s %s", what, path);
}

static gid_t roots_groups[NGROUPS_MAX];
static int nroots_groups;

/* The User's further groups, as httpd gives them to children, in place of root's. */
static int take_groups(void)
{
    const struct passwd *user = getpwuid(ap_unixd_config.user_id);
    nroots_groups = getgroups(NGROUPS_MAX, roots_groups);
    if (nroots_groups < 0) return -1;
    return user ? initgroups(user->pw_name, ap_unixd_config.group_id) : setgroups(1, &ap_unixd_config.group_id);
}

bool oks_httpd_as_user(void)
{
    if (geteuid() != 0 || ap_unixd_config.user_id == 0) return false;
    if (take_groups() == 0 && setegid(ap_unixd_config.group_id) == 0 && seteuid(ap_unixd_config.user_id) == 0) return true;
    abort(); /* half of it would be worse than none */
}

void oks_httpd_as_root(bool lowered)
{
    if (!lowered) return;
    if (seteuid(0) != 0 || setegid(getgid()) != 0 || setgroups((size_t)nroots_groups, roots_groups) != 0) abort();
}

/* Belongs to the user that children run as: SQLite makes files beside the database. */
static oks_err_t *make_state_dir(const char *path, apr_pool_t *pool)
{
    const apr_fileperms_t own = APR_FPROT_UREAD | APR_FPROT_UWRITE | APR_FPROT_UEXECUTE;
    const char *parent = ap_make_dirstr_parent(pool, path); /* which httpd's User passes through */
    apr_status_t status = apr_dir_make_recursive(parent, own | APR_FPROT_GREAD | APR_FPROT_GEXECUTE | APR_FPROT_WREAD |
                                                 APR_FPROT_WEXECUTE, pool);
    if (status == APR_SUCCESS) status = apr_dir_make_recursive(path, own, pool);
    if (status != APR_SUCCESS) return oks_err_from(pool, OKS_R_INTERNAL, status, NULL, "the state directory %s", path);
    if (geteuid() == 0 && chown(path, ap_unixd_config.user_id, ap_unixd_config.group_id) != 0)
        return system_error(pool, "chown", path);
    return NULL;
}

static oks_err_t *make_database(const char *path, apr_pool_t *pool)
{
    apr_file_t *file;
    apr_status_t status = apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_WRITE | APR_FOPEN_CREATE,
                                        APR_FPROT_UREAD | APR_FPROT_UWRITE, pool);
    if (status != APR_SUCCESS) return oks_err_from(pool, OKS_R_INTERNAL, status, NULL, "the database %s", path);
    apr_file_close(file);
    return NULL;
}

/* Our own key file lies where httpd's User may have put another one in its place: a link, or something that never ends. */
static oks_err_t *check_keys(const char *path, apr_pool_t *pool)
{
    struct stat info;
    if (lstat(path, &info) != 0) return system_error(pool, "the key file", path);
    if (!S_ISREG(info.st_mode) || info.st_uid != geteuid())
        return oks_err(pool, OKS_R_CRYPTO_KEYS_MALFORMED, "%s: no file of the user that starts httpd: chown root, if it is yours",
                       path);
    if (info.st_mode & (S_IRWXG | S_IRWXO))
        return oks_err(pool, OKS_R_CRYPTO_KEYS_MALFORMED, "%s: others can read it, and with it be anybody: chmod 600, and make a "
                       "new key if somebody may have", path);
    return NULL;
}

/* Made at the first start, 0600: exclusively, so that two servers starting at once end up with one file. Half of it would be in the
 * way of the next start. */
static oks_err_t *make_keys(const char *path, apr_pool_t *pool)
{
    const char *line;
    apr_file_t *file;
    OKS_TRY(oks_keyring_new_line(&line, pool));
    apr_status_t status = apr_file_open(&file, path, APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_EXCL,
                                        APR_FPROT_UREAD | APR_FPROT_UWRITE, pool);
    if (APR_STATUS_IS_EEXIST(status)) return NULL;
    if (status != APR_SUCCESS) return oks_err_from(pool, OKS_R_INTERNAL, status, NULL, "the key file %s", path);
    status = apr_file_write_full(file, line, strlen(line), NULL);
    apr_status_t closed = apr_file_close(file);
    if (status == APR_SUCCESS) status = closed;
    if (status == APR_SUCCESS) return NULL;
    apr_file_remove(path, pool);
    return oks_err_from(pool, OKS_R_INTERNAL, status, NULL, "writing %s", path);
}

static oks_err_t *read_keys(const oks_keyring_t **ring, const char *source, apr_pool_t *pconf, apr_pool_t *ptemp)
{
    char text[KEYS_FILE_MAX];
    apr_size_t len;
    oks_keyring_t *made;
    const char *error = oks_httpd_read_source(&len, text, sizeof text, source, ptemp);
    if (error) return oks_err(ptemp, OKS_R_CRYPTO_KEYS_MALFORMED, "OktaSSOKeys %s: %s", source, error);
    oks_err_t *err = oks_keyring_parse(&made, oks_span(text, len), pconf);
    explicit_bzero(text, sizeof text);
    if (err) return oks_err_from(ptemp, err->reason, APR_SUCCESS, err, "%s", source);
    *ring = made;
    return NULL;
}

/* Zeroed, for the life of the parent process: children of two generations count together over a graceful restart. Its size is part
 * of its name: the module that is loaded again may be another version. */
static oks_err_t *share(void **block, const char *what, apr_size_t size, apr_pool_t *process_pool, apr_pool_t *ptemp)
{
    apr_shm_t *shm = NULL;
    const char *name = apr_psprintf(ptemp, "oktasso-%s-%" APR_SIZE_T_FMT, what, size);
    apr_pool_userdata_get(block, name, process_pool);
    if (*block) return NULL;
    apr_status_t status = apr_shm_create(&shm, size, NULL, process_pool);
    if (status != APR_SUCCESS) return oks_err_from(ptemp, OKS_R_INTERNAL, status, NULL, "shared memory");
    *block = apr_shm_baseaddr_get(shm);
    memset(*block, 0, size);
    /* Not setn: the key must outlive this module, which httpd unloads and loads at each restart. */
    apr_pool_userdata_set(*block, name, NULL, process_pool);
    return NULL;
}

static oks_err_t *share_memory(oks_runtime_t *runtime, apr_pool_t *process_pool, apr_pool_t *ptemp)
{
    void *counters, *limiter, *log;
    OKS_TRY(share(&counters, "counters", sizeof *runtime->counters, process_pool, ptemp));
    OKS_TRY(share(&limiter, "limiter", sizeof *runtime->limiter, process_pool, ptemp));
    OKS_TRY(share(&log, "change-log", sizeof *runtime->log, process_pool, ptemp));
    runtime->log = log;
    runtime->counters = counters;
    runtime->limiter = limiter;
    return oks_limiter_init(runtime->limiter, ptemp);
}

/* DESIGN.md 5: required, and nobody is known to get in by it. */
static oks_err_t *warn_of_lock_out(server_rec *main_server, oks_directory_t *directory, apr_pool_t *pool)
{
    for (server_rec *s = main_server; s; s = s->next)
        for (apr_hash_index_t *i = apr_hash_first(pool, oks_httpd_server_conf(s)->orgs); i; i = apr_hash_next(i)) {
            const oks_org_entry_t *entry = apr_hash_this_val(i);
            bool has = true;
            if (entry->org.require_sso == OKS_REQUIRE_SSO_OFF || entry->org.break_glass) continue;
            OKS_TRY(oks_directory_has_login(&has, directory, entry->org.name, pool));
            if (!has)
                ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "OKS0036: %s: OktaSSORequireSSO of the organization %s: you may lock "
                             "yourself out: nobody has signed in through its identity provider yet, and there is no "
                             "OktaSSOBreakGlass account", entry->require_where, entry->org.name);
        }
    return NULL;
}

/* Opens, migrates and closes: nothing of the database crosses fork(). */
static oks_err_t *migrate(server_rec *s, const char *spec, oks_counters_t *counters, bool warn, apr_pool_t *ptemp)
{
    apr_pool_t *own;
    oks_directory_t *directory;
    apr_pool_create(&own, ptemp);
    oks_err_t *err = oks_directory_open(&directory, spec, 1, counters, own);
    if (!err) err = oks_directory_migrate(directory, own);
    if (!err && warn) err = warn_of_lock_out(s, directory, own);
    if (err) return err; /* it lives in `own`; httpd ends */
    apr_pool_destroy(own);
    return NULL;
}

static oks_err_t *start(server_rec *s, apr_pool_t *pconf, apr_pool_t *ptemp, bool first)
{
    const oks_server_conf_t *conf = oks_httpd_server_conf(s);
    oks_runtime_t *runtime = &oks_httpd_runtime;
    const char *state_dir = conf->state_dir ? conf->state_dir : OKS_STATE_DIR;
    const char *keys = conf->keys ? conf->keys : apr_pstrcat(pconf, "file:", state_dir, "/session.keys", NULL);
    memset(runtime, 0, sizeof *runtime);
    runtime->directory_spec = conf->directory ? conf->directory
                                              : apr_pstrcat(pconf, SQLITE, state_dir, "/directory.db", NULL);
    OKS_TRY(make_state_dir(state_dir, ptemp));
    if (!conf->keys) OKS_TRY(make_keys(keys + 5, ptemp));
    if (!conf->keys) OKS_TRY(check_keys(keys + 5, ptemp));
    OKS_TRY(read_keys(&runtime->keys, keys, pconf, ptemp));
    OKS_TRY(share_memory(runtime, s->process->pool, ptemp));
    const bool is_file = strncmp(runtime->directory_spec, SQLITE, sizeof SQLITE - 1) == 0, lowered = oks_httpd_as_user();
    oks_err_t *err = is_file ? make_database(runtime->directory_spec + sizeof SQLITE - 1, ptemp) : NULL;
    if (!err) err = migrate(s, runtime->directory_spec, runtime->counters, !first, ptemp);
    oks_httpd_as_root(lowered);
    if (err) return err;
    return first ? NULL : oks_net_init(pconf);
}

int oks_httpd_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    /* httpd reads its configuration twice. What is wrong is told the first time, while it still has a terminal. */
    const bool first = ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG;
    oks_err_t *err = start(s, pconf, ptemp, first);
    if (err) return fail(s, "cannot start", err, ptemp);
    return first ? OK : oks_httpd_watchdog_start(s, pconf);
}

/* ---- Children ---- */

apr_interval_time_t oks_httpd_certificate_overlap(const server_rec *main_server)
{
    const oks_server_conf_t *conf = oks_httpd_server_conf(main_server);
    return conf->overlap ? *conf->overlap : OKS_FLOW_CERTIFICATE_OVERLAP;
}

static oks_err_t *start_child(server_rec *main_server, apr_pool_t *pool)
{
    oks_runtime_t *runtime = &oks_httpd_runtime;
    oks_cache_t *cache;
    oks_idp_store_t *idps;
    oks_assertions_t *assertions;
    oks_net_t *net;
    const apr_interval_time_t *grace = oks_httpd_server_conf(main_server)->grace;
    OKS_TRY(oks_flow_init(pool));
    OKS_TRY(oks_assertions_create(&assertions, pool));
    OKS_TRY(oks_net_create(&net, pool));
    OKS_TRY(oks_directory_open(&runtime->directory, runtime->directory_spec, CONNECTIONS, runtime->counters, pool));
    OKS_TRY(oks_cache_create(&cache, OKS_CACHE_RECORDS, OKS_CACHE_BYTES, pool));
    OKS_TRY(oks_idp_store_create(&idps, runtime->directory, runtime->counters, oks_httpd_certificate_overlap(main_server), pool));
    for (server_rec *s = main_server; s; s = s->next) {
        oks_server_conf_t *conf = oks_httpd_server_conf(s);
        oks_flow_t *flow = apr_pcalloc(pool, sizeof *flow);
        *flow = (oks_flow_t){ .path = conf->path, .vhost = conf->vhost, .keys = runtime->keys,
                              .directory = runtime->directory, .counters = runtime->counters, .cache = cache,
                              .followed = &runtime->log->followed, .grace = grace ? *grace : OKS_FLOW_DIRECTORY_GRACE,
                              .idps = idps, .net = net, .http = &oks_httpd_server_conf(main_server)->http,
                              .limiter = runtime->limiter, .assertions = assertions, .find_org = oks_httpd_find_org,
                              .find_domain = oks_httpd_find_domain, .find_issuer = oks_httpd_find_issuer, .orgs = conf };
        conf->flow = flow;
    }
    return NULL;
}

void oks_httpd_child_init(apr_pool_t *pchild, server_rec *s)
{
    oks_err_t *err = start_child(s, pchild);
    oks_httpd_watchdog_child(pchild);
    if (!err) return;
    for (server_rec *each = s; each; each = each->next) oks_httpd_server_conf(each)->flow = NULL;
    fail(s, "this child refuses all sign-ins", err, pchild);
}

const oks_flow_t *oks_httpd_flow(const request_rec *r)
{
    return oks_httpd_server_conf(r->server)->flow;
}
