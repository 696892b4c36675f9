/* What scim.c (the protocol), scimresource.c (resources and rows) and scimlist.c (lists) share. */
#ifndef OKTASSO_SCIMCALL_H
#define OKTASSO_SCIMCALL_H

#include "flow_private.h"
#include "oktasso/scim.h"

/* A request of an admitted caller. */
typedef struct oks_scim_call_t {
    const oks_flow_t *flow;
    const oks_scim_caller_t *caller;
    const oks_request_t *request;
    const oks_scim_kind_t *kind;
    const char *id;             /* of one resource; NULL: all of them */
    const char *base;           /* URL up to /v2 */
    bool made;                  /* just now: it is in no group */
    bool looking;               /* for what a filter or an order asks for: nothing is shown yet */
    const char *user, *group;   /* whom a write is about, for the log, */
    const char *event;          /* and what came of it, where that is more than a change */
    apr_array_header_t *params; /* of the query; of a search, of its body */
    bool asks_groups, asks_members; /* `filter` or `sortBy` do, which is not looked for in each resource */
    apr_pool_t *pool;
} oks_scim_call_t;

/* ---- scim.c ---- */

/* A parameter; empty when it is absent, or there twice. */
oks_span_t oks_scim_call_param(const oks_scim_call_t *call, const char *name);
/* Takes `body`. */
void oks_scim_call_set_body(oks_answer_t *answer, json_t *body, apr_pool_t *pool);

/* ---- scimresource.c: resources are full ones (id, meta, groups or members included), of call->pool ---- */

/* RFC 7644 3.14: weak, since the same version may be shown in part. */
const char *oks_scim_call_etag(int64_t version, apr_pool_t *pool);
/* Does `filter` or `sortBy` hold this attribute's name? */
bool oks_scim_call_asks(const oks_scim_call_t *call, const char *name);
/* Of an oks_user_row_t or oks_group_row_t, as call->kind says. directory.database.unavailable */
oks_err_t *oks_scim_call_full(json_t **resource, const oks_scim_call_t *call, const void *row) OKS_MUST_USE;
/* The one of call->id. scim.resource.unknown, directory.database.unavailable */
oks_err_t *oks_scim_call_find(json_t **resource, int64_t *version, const oks_scim_call_t *call) OKS_MUST_USE;
/* Makes a resource of `body`, or changes the one of call->id: by a PATCH of it or a PUT. scim.*, directory.database.unavailable */
oks_err_t *oks_scim_call_write(json_t **resource, int64_t *version, oks_scim_call_t *call, json_t *body, bool patch) OKS_MUST_USE;
/* scim.resource.unknown, scim.version.mismatch, directory.database.unavailable */
oks_err_t *oks_scim_call_delete(oks_scim_call_t *call) OKS_MUST_USE;

/* ---- scimlist.c: RFC 7644 3.4.2; scim.filter.*, scim.path.invalid, directory.database.unavailable ---- */

/* Of call->kind; where that is NULL, of users and groups together. */
oks_err_t *oks_scim_call_list(oks_answer_t **answer, oks_scim_call_t *call) OKS_MUST_USE;

#endif
