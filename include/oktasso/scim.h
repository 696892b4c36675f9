/* scim: resources, filters, PATCH and errors of SCIM 2.0 (RFC 7643, 7644), on JSON. Pure: what is stored where is the business of
 * the rooms directory and flow. */
#ifndef OKTASSO_SCIM_H
#define OKTASSO_SCIM_H

#include "oktasso/base.h"
#include "oktasso/json.h"

#define OKS_SCIM_BODY_DEFAULT (8 * 1024 * 1024) /* bytes of a request: a PUT of a group of 10,000 members is almost 1 MiB */
#define OKS_SCIM_BODY_LEAST (64 * 1024)         /* what OktaSSOSCIM may make of that, */
#define OKS_SCIM_BODY_MOST (64 * 1024 * 1024)   /* and no more: JSON takes many times as much in memory */
#define OKS_SCIM_VALUE_MAX (8 * 1024)       /* bytes of one text */
#define OKS_SCIM_VALUES_MAX 1000            /* values of one attribute, members apart */
#define OKS_SCIM_MEMBERS_MAX 20000          /* members in one request: all other writers wait for it, for a second or two */
#define OKS_SCIM_RESOURCE_MAX (256 * 1024)  /* bytes of a resource as it is stored, members apart */
#define OKS_SCIM_PATCH_WORK_MAX (128 * 1024 * 1024)  /* what one PATCH compares: bytes, see oks_scim_work_t, */
#define OKS_SCIM_SEARCH_WORK_MAX (512 * 1024 * 1024) /* and a search by a filter that has no index */
#define OKS_SCIM_PAGE_MAX 1000              /* resources of one answer */
#define OKS_SCIM_FILTER_TERMS_MAX 64        /* comparisons in a filter */
#define OKS_SCIM_OPERATIONS_MAX 1000        /* of one PATCH */
#define OKS_SCIM_NAMES_MAX 200              /* names in `attributes`, and in `excludedAttributes` */
#define OKS_SCIM_FILTER_MAX (16 * 1024)     /* bytes of a filter */
#define OKS_SCIM_FILTER_DEPTH_MAX 32        /* parentheses, "not" and value paths in it */

#define OKS_SCIM_SCHEMA_USER "urn:ietf:params:scim:schemas:core:2.0:User"
#define OKS_SCIM_SCHEMA_ENTERPRISE "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
#define OKS_SCIM_SCHEMA_GROUP "urn:ietf:params:scim:schemas:core:2.0:Group"
#define OKS_SCIM_MESSAGE "urn:ietf:params:scim:api:messages:2.0:"
#define OKS_SCIM_MEDIA_TYPE "application/scim+json"

/* ---- Schemas (RFC 7643 7) --------------------------------------------------------------------------------------- */

typedef enum oks_scim_type_t {
    OKS_SCIM_STRING, OKS_SCIM_BOOLEAN, OKS_SCIM_DATE_TIME, OKS_SCIM_REFERENCE, OKS_SCIM_BINARY, OKS_SCIM_COMPLEX
} oks_scim_type_t;

typedef struct oks_scim_attr_t {
    const char *name;
    oks_scim_type_t type;
    unsigned flags;
    const struct oks_scim_attr_t *sub; /* of a complex one; ended by a row without a name */
} oks_scim_attr_t;

enum {
    OKS_SCIM_MULTI = 1,      /* multi-valued */
    OKS_SCIM_EXACT = 2,      /* caseExact */
    OKS_SCIM_READ_ONLY = 4,  /* what a client says of it is ignored */
    OKS_SCIM_REQUIRED = 8,
    OKS_SCIM_NEVER = 16,     /* returned: never; here: not kept either (password) */
    OKS_SCIM_ALWAYS = 32,    /* returned: always */
    OKS_SCIM_UNIQUE = 64     /* uniqueness: server */
};

/* A resource type. */
typedef struct oks_scim_kind_t {
    const char *name;        /* "User" */
    const char *endpoint;    /* "Users" */
    const char *schema;
    const oks_scim_attr_t *attrs;
    const char *extension;   /* a schema's URN; or NULL */
    const oks_scim_attr_t *extension_attrs;
} oks_scim_kind_t;

extern const oks_scim_kind_t oks_scim_user, oks_scim_group;

/* The answers of /ServiceProviderConfig, /ResourceTypes and /Schemas; `base` is the URL above them. `id` (may be NULL) names one;
 * NULL when there is none of that name. Owned by the caller. */
json_t *oks_scim_service_provider_config(const char *base);
json_t *oks_scim_resource_types(const char *base, const char *id);
json_t *oks_scim_schemas(const char *base, const char *id);

/* A list (RFC 7644 3.4.2); takes `resources`. */
json_t *oks_scim_list(json_t *resources, int64_t total, int64_t start);

/* ---- What comparing costs ---------------------------------------------------------------------------------------- */

/* Of one request: bytes that are compared, something for each comparison, and more for bytes that Unicode has to fold; so one is
 * about a nanosecond. Past the limit nothing equals anything, and the request is refused. */
typedef struct oks_scim_work_t {
    apr_size_t done, max;
    apr_pool_t *pool, *scratch; /* scratch: of one comparison */
} oks_scim_work_t;
void oks_scim_work_begin(oks_scim_work_t *work, apr_size_t max, apr_pool_t *pool);

/* ---- Resources --------------------------------------------------------------------------------------------------- */

/* Attribute names are the same in any case (RFC 7643 2.1): an object that has one twice is refused, however deep, so that nobody
 * understands it otherwise than we do. scim.body.malformed */
oks_err_t *oks_scim_check_names(const json_t *json, apr_pool_t *pool) OKS_MUST_USE;
/* The member of that name, in any case; or NULL. */
json_t *oks_scim_member(const json_t *object, const char *name);
/* A client's resource in its one canonical form: names as the schema spells them, values of the schema's type ("False" is false:
 * Entra), nothing that we do not know or that is ours to say. In `pool`. scim.value.invalid, scim.body.malformed. */
oks_err_t *oks_scim_read(json_t **resource, const oks_scim_kind_t *kind, json_t *in, apr_pool_t *pool) OKS_MUST_USE;
/* Applies a PatchOp message (RFC 7644 3.5.2) to a canonical resource: to `resource` itself, which is half changed when there is an
 * error. scim.body.malformed, scim.value.invalid, scim.path.invalid, scim.target.none, scim.attribute.read_only,
 * scim.filter.invalid. */
oks_err_t *oks_scim_patch(json_t *resource, const oks_scim_kind_t *kind, json_t *message, apr_pool_t *pool) OKS_MUST_USE;
/* Each name is looked up in each resource that is shown. scim.value.invalid: more than OKS_SCIM_NAMES_MAX. */
oks_err_t *oks_scim_check_projection(oks_span_t names, apr_pool_t *pool) OKS_MUST_USE;
/* Leaves of a full resource what `attributes`, or all but what `excluded` names (RFC 7644 3.9; either may be empty). */
void oks_scim_project(json_t *resource, const oks_scim_kind_t *kind, oks_span_t attributes, oks_span_t excluded, apr_pool_t *pool);

/* One operation on members, which are no part of the stored resource: they may be many. */
typedef enum oks_scim_member_op_t { OKS_SCIM_MEMBERS_ADD, OKS_SCIM_MEMBERS_REMOVE, OKS_SCIM_MEMBERS_REPLACE } oks_scim_member_op_t;
typedef struct oks_scim_members_t {
    oks_scim_member_op_t op;
    apr_array_header_t *ids;  /* const char *; NULL of a removal: all */
} oks_scim_members_t;
/* The same for a group: what it says of members goes to `members` (oks_scim_members_t), in its order. */
oks_err_t *oks_scim_patch_group(json_t *resource, apr_array_header_t *members, json_t *message, apr_pool_t *pool) OKS_MUST_USE;
/* The ids of an array of members. */
oks_err_t *oks_scim_member_ids(apr_array_header_t **ids, const json_t *array, apr_pool_t *pool) OKS_MUST_USE;

/* ---- Filters (RFC 7644 3.4.2.2) ----------------------------------------------------------------------------------- */

typedef struct oks_scim_filter_t oks_scim_filter_t;
/* scim.filter.invalid */
oks_err_t *oks_scim_filter_parse(oks_scim_filter_t **filter, const oks_scim_kind_t *kind, oks_span_t text,
                                 apr_pool_t *pool) OKS_MUST_USE;
/* Does a full resource match? scim.filter.too_many: the limit of the work is passed. */
oks_err_t *oks_scim_filter_matches(bool *matches, const oks_scim_filter_t *filter, const json_t *resource,
                                   oks_scim_work_t *work) OKS_MUST_USE;
/* Is it `path eq "text"` and nothing else? The path is as the schema spells it: "userName", "emails.value". */
bool oks_scim_filter_is_equal(const char **path, const char **text, const oks_scim_filter_t *filter, apr_pool_t *pool);

/* ---- Sorting (RFC 7644 3.4.2.3) ------------------------------------------------------------------------------------ */

/* What is kept of a full resource that may not be shown: its id, its meta.resourceType, and that value by which `path` (may be
 * empty) orders it. Owned by the caller. scim.path.invalid */
oks_err_t *oks_scim_reduce(json_t **reduced, const json_t *resource, const oks_scim_kind_t *kind, oks_span_t path,
                           apr_pool_t *pool) OKS_MUST_USE;
/* Orders resources, full or reduced, by a path; those without it come last. scim.path.invalid */
oks_err_t *oks_scim_sort(json_t *resources, const oks_scim_kind_t *kind, oks_span_t path, bool descending,
                         apr_pool_t *pool) OKS_MUST_USE;

#endif
