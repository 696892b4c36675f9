/* Start-up: state directory, keys, database, shared counters; and each child's handles. */
#include <string.h>

#include <apr_file_io.h>
#include <apr_shm.h>
#include <apr_strings.h>

#include "module.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ap_mpm.h>
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

/* ---- Files of the state directory ---- */

typedef struct state_t {
    const char *dir, *keys, *database; /* NULL: keys from elsewhere; no file */
    const char *named;                 /* the file of OktaSSOKeys; or NULL */
    bool dry;                          /* configtest: only looks */
    apr_array_header_t *made;          /* const char *: files that were not there */
} state_t;

static const char *name_of(uid_t id, apr_pool_t *pool)
{
    const struct passwd *user = getpwuid(id);
    return user ? apr_pstrdup(pool, user->pw_name) : apr_psprintf(pool, "%lu", (unsigned long)id);
}

static oks_err_t *unusable(apr_pool_t *pool, apr_status_t status, const char *what, const char *path)
{
    return oks_err_from(pool, OKS_R_HTTPD_STATE_UNUSABLE, status, NULL, "%s %s", what, path);
}

static bool is_there(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

/* Of a fresh file system, too. */
static bool is_empty(DIR *dir)
{
    bool empty = true;
    for (const struct dirent *entry; empty && (entry = readdir(dir)) != NULL;)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || strcmp(entry->d_name, "lost+found") == 0;
    return empty;
}

/* What is told to be done is chown -h: the User before may have left links. */
static oks_err_t *foreign_dir(const char *path, uid_t owner, apr_pool_t *pool)
{
    const char *user = name_of(ap_unixd_config.user_id, pool), *database = apr_pstrcat(pool, path, "/directory.db", NULL);
    const bool has_database = is_there(database);
    if (has_database || is_there(apr_pstrcat(pool, path, "/session.keys", NULL)))
        return oks_err(pool, OKS_R_HTTPD_STATE_UNUSABLE, "the state directory %s belongs to %s, and httpd's User is %s: chown -h "
                       "%s %s/%s", path, name_of(owner, pool), user, user, path,
                       has_database ? apr_psprintf(pool, " %s*", database) : "");
    return oks_err(pool, OKS_R_HTTPD_STATE_UNUSABLE, "the state directory %s belongs to %s and is no empty directory: name one of "
                   "httpd's own, such as OktaSSOStateDir %s/oktasso; or, if nothing else uses it, chown -h %s %s", path,
                   name_of(owner, pool), path, user, path);
}

/* Belongs to the User that children run as: SQLite makes files beside the database. Only an empty one is given away: with the owner
 * of another, such as /etc/apache2, what lies in it would be the User's. No link: the User may have put it there. */
static oks_err_t *give_state_dir(const state_t *state, apr_pool_t *pool)
{
    struct stat info;
    if (geteuid() != 0) return NULL;
    if (stat(state->dir, &info) != 0) return unusable(pool, APR_FROM_OS_ERROR(errno), "the state directory", state->dir);
    if (info.st_uid == ap_unixd_config.user_id) return NULL;
    const int fd = open(state->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    const bool empty = dir && is_empty(dir);
    const int failed = empty && !state->dry ? fchown(fd, ap_unixd_config.user_id, ap_unixd_config.group_id) : 0;
    const apr_status_t status = APR_FROM_OS_ERROR(errno);
    if (dir) closedir(dir);
    if (!empty) return foreign_dir(state->dir, info.st_uid, pool);
    return failed ? unusable(pool, status, "chown", state->dir) : NULL;
}

static oks_err_t *make_state_dir(const state_t *state, apr_pool_t *pool)
{
    const apr_fileperms_t own = APR_FPROT_UREAD | APR_FPROT_UWRITE | APR_FPROT_UEXECUTE;
    const char *parent = ap_make_dirstr_parent(pool, state->dir); /* which httpd's User passes through */
    if (state->dry) return is_there(state->dir) ? give_state_dir(state, pool) : NULL;
    apr_status_t status = apr_dir_make_recursive(parent, own | APR_FPROT_GREAD | APR_FPROT_GEXECUTE | APR_FPROT_WREAD |
                                                 APR_FPROT_WEXECUTE, pool);
    if (status == APR_SUCCESS) status = apr_dir_make_recursive(state->dir, own, pool);
    return status == APR_SUCCESS ? give_state_dir(state, pool) : unusable(pool, status, "the state directory", state->dir);
}

/* As the User. */
static oks_err_t *make_database(const state_t *state, apr_pool_t *pool)
{
    apr_file_t *file;
    apr_finfo_t info;
    const char *path = state->database;
    const bool absent = APR_STATUS_IS_ENOENT(apr_stat(&info, path, APR_FINFO_TYPE, pool));
    if (absent && state->dry) return NULL;
    apr_status_t status = apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_WRITE | APR_FOPEN_CREATE,
                                        APR_FPROT_UREAD | APR_FPROT_UWRITE, pool);
    const char *user = name_of(geteuid(), pool);
    if (APR_STATUS_IS_EACCES(status))
        return oks_err_from(pool, OKS_R_HTTPD_STATE_UNUSABLE, status, NULL, "%s cannot %s the database %s: chown -h %s it and "
                            "its directory, and let %s pass all directories above", user, absent ? "make" : "open", path, user,
                            user);
    if (status != APR_SUCCESS) return unusable(pool, status, "the database", path);
    apr_file_close(file);
    if (absent) APR_ARRAY_PUSH(state->made, const char *) = path;
    return NULL;
}

static oks_err_t *check_mode(const char *path, mode_t refused, apr_pool_t *pool)
{
    if (!refused) return NULL;
    return oks_err(pool, OKS_R_CRYPTO_KEYS_MALFORMED, "%s: others can read it, and with it be anybody: chmod 600, and make a "
                   "new key if somebody may have", path);
}

/* Our own key file lies where httpd's User may have put another one in its place: a link, or something that never ends. */
static oks_err_t *check_keys(const char *path, apr_pool_t *pool)
{
    struct stat info;
    if (lstat(path, &info) != 0) return unusable(pool, APR_FROM_OS_ERROR(errno), "the key file", path);
    if (!S_ISREG(info.st_mode) || info.st_uid != geteuid())
        return oks_err(pool, OKS_R_CRYPTO_KEYS_MALFORMED, "%s: no file of the user that starts httpd: chown root, if it is yours",
                       path);
    return check_mode(path, info.st_mode & (S_IRWXG | S_IRWXO), pool);
}

/* Where it lies, who owns it and which group reads it is the administrator's choice. */
static oks_err_t *check_named_keys(const char *path, apr_pool_t *pool)
{
    struct stat info;
    if (stat(path, &info) != 0) return unusable(pool, APR_FROM_OS_ERROR(errno), "the key file", path);
    return check_mode(path, S_ISREG(info.st_mode) ? info.st_mode & (S_IWGRP | S_IRWXO) : 0, pool);
}

/* Made at the first start, 0600: exclusively, so that two servers starting at once end up with one file. Half of it would be in the
 * way of the next start. */
static oks_err_t *make_keys(const state_t *state, apr_pool_t *pool)
{
    const char *line, *path = state->keys;
    apr_file_t *file;
    OKS_TRY(oks_keyring_new_line(&line, pool));
    apr_status_t status = apr_file_open(&file, path, APR_FOPEN_WRITE | APR_FOPEN_CREATE | APR_FOPEN_EXCL,
                                        APR_FPROT_UREAD | APR_FPROT_UWRITE, pool);
    if (APR_STATUS_IS_EEXIST(status)) return NULL;
    if (status != APR_SUCCESS) return unusable(pool, status, "the key file", path);
    status = apr_file_write_full(file, line, strlen(line), NULL);
    apr_status_t closed = apr_file_close(file);
    if (status == APR_SUCCESS) status = closed;
    if (status == APR_SUCCESS) {
        APR_ARRAY_PUSH(state->made, const char *) = path;
        return NULL;
    }
    apr_file_remove(path, pool);
    return unusable(pool, status, "writing", path);
}

static oks_err_t *prepare_state(const state_t *state, apr_pool_t *pool)
{
    OKS_TRY(make_state_dir(state, pool));
    if (state->keys && !state->dry) OKS_TRY(make_keys(state, pool));
    if (state->keys && is_there(state->keys)) OKS_TRY(check_keys(state->keys, pool));
    if (state->named) OKS_TRY(check_named_keys(state->named, pool));
    if (!state->database) return NULL;
    const bool lowered = oks_httpd_as_user();
    oks_err_t *err = make_database(state, pool);
    oks_httpd_as_root(lowered);
    return err;
}

/* Without a slash at its end. */
static const char *state_dir(const oks_server_conf_t *conf, apr_pool_t *pool)
{
    char *path = apr_pstrdup(pool, conf->state_dir ? conf->state_dir : OKS_STATE_DIR);
    for (apr_size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--) path[len - 1] = '\0';
    return path;
}

static const char *directory_spec(const oks_server_conf_t *conf, apr_pool_t *pool)
{
    return conf->directory ? conf->directory : apr_pstrcat(pool, SQLITE, state_dir(conf, pool), "/directory.db", NULL);
}

static state_t state_of(const oks_server_conf_t *conf, apr_pool_t *pool)
{
    const char *dir = state_dir(conf, pool), *spec = directory_spec(conf, pool);
    const bool is_file = conf->keys && strncmp(conf->keys, "file:", 5) == 0;
    return (state_t){ .dir = dir, .keys = conf->keys ? NULL : apr_pstrcat(pool, dir, "/session.keys", NULL),
                      .database = strncmp(spec, SQLITE, sizeof SQLITE - 1) == 0 ? spec + sizeof SQLITE - 1 : NULL,
                      .named = is_file ? ap_server_root_relative(pool, conf->keys + 5) : NULL,
                      .made = apr_array_make(pool, 2, sizeof(const char *)) };
}

const char *oks_httpd_check_state(const server_rec *main_server, apr_pool_t *pool)
{
    state_t state = state_of(oks_httpd_server_conf(main_server), pool);
    if (geteuid() != 0) return NULL;
    state.dry = true;
    oks_err_t *err = prepare_state(&state, pool);
    return err ? oks_err_text(err, pool) : NULL;
}

/* A slip of the pen in a path looks like a first start, too. */
static void tell_of_new(server_rec *s, const apr_array_header_t *made)
{
    const char *const *path = (const char *const *)made->elts;
    if (made->nelts)
        ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, s, "OKS0050: made anew: %s%s%s: users, sessions and SCIM tokens of other ones "
                     "are not known here; if there are other ones, see OktaSSOStateDir, OktaSSODirectory and OktaSSOKeys", path[0],
                     made->nelts > 1 ? ", " : "", made->nelts > 1 ? path[1] : "");
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

/* A graceful one, or not: httpd has run before, and serves more than what needs the database. */
static bool is_restart(void)
{
    int generation = 0;
    return ap_mpm_query(AP_MPMQ_GENERATION, &generation) == APR_SUCCESS && generation > 0;
}

/* Opens, migrates and closes: nothing of the database crosses fork(). Where httpd would end with it, a restart goes on without the
 * database: each child looks at the schema before it uses it, and answers 503 until it is there. */
static oks_err_t *migrate(server_rec *s, const char *spec, oks_counters_t *counters, bool warn, apr_pool_t *ptemp)
{
    apr_pool_t *own;
    oks_directory_t *directory;
    apr_pool_create(&own, ptemp);
    oks_err_t *err = oks_directory_open(&directory, spec, 1, counters, own);
    if (!err) err = oks_directory_migrate(directory, own);
    if (!err && warn) err = warn_of_lock_out(s, directory, own);
    if (err && (err->reason != OKS_R_DIRECTORY_UNAVAILABLE || !is_restart())) return err; /* it lives in `own`; httpd ends */
    if (err)
        ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "OKS0068: restarted without the directory: %s: what needs it answers 503 "
                     "until it is back; if the module was updated, restart once more then", oks_err_text(err, own));
    apr_pool_destroy(own);
    return NULL;
}

static oks_err_t *start(server_rec *s, apr_pool_t *pconf, apr_pool_t *ptemp, bool first)
{
    const oks_server_conf_t *conf = oks_httpd_server_conf(s);
    const state_t state = state_of(conf, ptemp);
    oks_runtime_t *runtime = &oks_httpd_runtime;
    memset(runtime, 0, sizeof *runtime);
    runtime->directory_spec = directory_spec(conf, pconf);
    oks_err_t *err = prepare_state(&state, ptemp);
    tell_of_new(s, state.made);
    if (err) return err;
    OKS_TRY(read_keys(&runtime->keys, conf->keys ? conf->keys : apr_pstrcat(ptemp, "file:", state.keys, NULL), pconf, ptemp));
    OKS_TRY(share_memory(runtime, s->process->pool, ptemp));
    const bool lowered = oks_httpd_as_user();
    err = migrate(s, runtime->directory_spec, runtime->counters, !first, ptemp);
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
