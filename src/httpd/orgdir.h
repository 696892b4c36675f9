/* OktaSSOOrgDir: organizations of files, in a virtual host. Every lookup holds what it finds until `pool` is cleared. */
#ifndef OKTASSO_HTTPD_ORGDIR_H
#define OKTASSO_HTTPD_ORGDIR_H

#include "conf.h"

#define OKS_ORG_FILE_MAX (512 * 1024) /* bytes of one file; metadata may be pasted into it */

/* After the virtual host's own organizations are complete; of conf->org_dir. What is wrong, or NULL. */
const char *oks_orgdir_create(oks_orgdir_t **dir, oks_server_conf_t *conf, apr_pool_t *pool);
/* Reads all files, before there are children. `strict` (configtest): the first thing that is wrong; else NULL, and the log will
 * tell. */
const char *oks_orgdir_start(oks_orgdir_t *dir, bool strict, apr_pool_t *pool);
/* Is it in force, as far as was read at start? */
bool oks_orgdir_has(const oks_orgdir_t *dir, const char *name);
/* Once a second in one child: sees changes, tells all children, and logs. */
void oks_orgdir_watch(oks_orgdir_t *dir, apr_pool_t *pool);

const oks_org_entry_t *oks_orgdir_find(oks_orgdir_t *dir, oks_span_t name, apr_pool_t *pool);
/* `domain` in lower case; it is changed, and changed back. The configuration's own organizations are among the answers. */
const oks_org_entry_t *oks_orgdir_find_domain(oks_orgdir_t *dir, char *domain, apr_pool_t *pool);
/* The first one of that issuer host, and how many have it. */
const oks_org_entry_t *oks_orgdir_find_issuer(int *count, oks_orgdir_t *dir, const char *host, apr_pool_t *pool);
const oks_org_entry_t *oks_orgdir_find_requiring(oks_orgdir_t *dir, apr_pool_t *pool);
bool oks_orgdir_requires(oks_orgdir_t *dir, apr_pool_t *pool);

/* const oks_org_entry_t *, all of them. */
const apr_array_header_t *oks_orgdir_all(oks_orgdir_t *dir, apr_pool_t *pool);
/* Moves with each file that is read, or gone. */
uint32_t oks_orgdir_version(oks_orgdir_t *dir);

/* A reference for longer than a request. Nothing happens for organizations of the configuration, which stay. */
void oks_org_entry_hold(const oks_org_entry_t *entry);
void oks_org_entry_release(const oks_org_entry_t *entry);

#endif
