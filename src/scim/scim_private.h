/* What the files of the room scim share. */
#ifndef OKTASSO_SCIM_PRIVATE_H
#define OKTASSO_SCIM_PRIVATE_H

#include "oktasso/scim.h"

/* An attribute path, resolved against the schemas. attr NULL: the whole extension. */
typedef struct oks_scim_path_t {
    const oks_scim_attr_t *attr, *sub;
    bool extension;
} oks_scim_path_t;

const oks_scim_attr_t *oks_scim_find(const oks_scim_attr_t *attrs, oks_span_t name);
/* "name.familyName", with or without a schema's URN before it. False: not known. */
bool oks_scim_resolve(oks_scim_path_t *path, const oks_scim_kind_t *kind, oks_span_t text);
/* Where the path's attribute stands in a resource; NULL: it has none. */
json_t *oks_scim_container(const json_t *resource, const oks_scim_kind_t *kind, const oks_scim_path_t *path);

/* A value in its canonical form; *out is NULL for one that stands for nothing (null, an empty list). Owned by the caller. */
oks_err_t *oks_scim_read_value(json_t **out, const oks_scim_attr_t *attr, const json_t *in, apr_pool_t *pool) OKS_MUST_USE;
/* One value of a multi-valued attribute. */
oks_err_t *oks_scim_read_one(json_t **out, const oks_scim_attr_t *attr, const json_t *in, apr_pool_t *pool) OKS_MUST_USE;

/* Counts a comparison of so many bytes. False: the limit is passed. */
bool oks_scim_spend(oks_scim_work_t *work, apr_size_t bytes);
#define OKS_SCIM_FOLD_COST 32 /* of a byte whose case is folded by Unicode */
/* Does one value (of a value path's attribute) match? */
bool oks_scim_filter_matches_value(const oks_scim_filter_t *filter, const json_t *value, oks_scim_work_t *work);
/* A filter on the sub-attributes of `attr`: what stands between brackets. */
oks_err_t *oks_scim_filter_parse_value(oks_scim_filter_t **filter, const oks_scim_attr_t *attr, oks_span_t text, apr_pool_t *pool)
    OKS_MUST_USE;
/* Its one comparison `sub eq "text"`, when it is that. */
bool oks_scim_filter_is_sub_equal(const oks_scim_attr_t **sub, const char **text, const oks_scim_filter_t *filter);
/* Equal as the attribute's caseExact says. */
bool oks_scim_text_equal(const oks_scim_attr_t *attr, const char *one, const char *other, oks_scim_work_t *work);

#endif
