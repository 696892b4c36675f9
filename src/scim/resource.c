/* Resources: from what clients send to the one form in which they are kept, and out again. */
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include "scim_private.h"

static oks_err_t *invalid(const oks_scim_attr_t *attr, const char *wanted, apr_pool_t *pool)
{
    return oks_err(pool, OKS_R_SCIM_VALUE_INVALID, "%s: %s", attr->name, wanted);
}

static oks_err_t *read_object(json_t **out, const oks_scim_attr_t *attrs, const json_t *in, apr_pool_t *pool);

/* Entra says "True" and "False". */
static oks_err_t *read_boolean(json_t **out, const oks_scim_attr_t *attr, const json_t *in, apr_pool_t *pool)
{
    oks_span_t text = oks_span_z(json_string_value(in));
    if (json_is_boolean(in)) *out = json_boolean(json_is_true(in));
    else if (oks_span_case_eq_z(text, "true")) *out = json_true();
    else if (oks_span_case_eq_z(text, "false")) *out = json_false();
    else return invalid(attr, "true or false is wanted", pool);
    return NULL;
}

oks_err_t *oks_scim_read_one(json_t **out, const oks_scim_attr_t *attr, const json_t *in, apr_pool_t *pool)
{
    *out = NULL;
    if (json_string_length(in) > OKS_SCIM_VALUE_MAX) return invalid(attr, "the text is too long", pool);
    if (attr->type == OKS_SCIM_COMPLEX) {
        if (json_is_object(in)) return read_object(out, attr->sub, in, pool);
        if (!json_is_string(in) || !oks_scim_find(attr->sub, oks_span_z("value"))) return invalid(attr, "an object is wanted",
                pool);
        *out = json_pack("{s:s}", "value", json_string_value(in));
        return NULL;
    }
    if (attr->type == OKS_SCIM_BOOLEAN) return read_boolean(out, attr, in, pool);
    if (!json_is_string(in)) return invalid(attr, "text is wanted", pool);
    *out = json_string(json_string_value(in));
    return NULL;
}

/* One primary value at most (RFC 7643 2.4), whatever a client says: the last. */
static void keep_one_primary(json_t *list)
{
    bool found = false;
    for (size_t k = json_array_size(list); k-- > 0;) {
        json_t *each = json_array_get(list, k);
        if (!json_is_true(json_object_get(each, "primary"))) continue;
        if (found) json_object_set_new(each, "primary", json_false());
        found = true;
    }
}

static oks_err_t *read_many(json_t **out, const oks_scim_attr_t *attr, const json_t *in, apr_pool_t *pool)
{
    size_t i, limit = strcmp(attr->name, "members") == 0 ? OKS_SCIM_MEMBERS_MAX : OKS_SCIM_VALUES_MAX;
    json_t *each, *one, *list = json_array();
    oks_err_t *err = json_array_size(in) > limit ? invalid(attr, "too many values", pool) : NULL;
    json_array_foreach(in, i, each) {
        if (err) break;
        err = oks_scim_read_one(&one, attr, each, pool);
        if (!err && one && (!json_is_object(one) || json_object_size(one))) json_array_append_new(list, one);
        else json_decref(err ? NULL : one);
    }
    keep_one_primary(list);
    *out = !err && json_array_size(list) ? list : NULL;
    if (!*out) json_decref(list);
    return err;
}

oks_err_t *oks_scim_read_value(json_t **out, const oks_scim_attr_t *attr, const json_t *in, apr_pool_t *pool)
{
    *out = NULL;
    if (json_is_null(in)) return NULL;
    if (!(attr->flags & OKS_SCIM_MULTI)) return oks_scim_read_one(out, attr, in, pool);
    if (json_is_array(in)) return read_many(out, attr, in, pool);
    json_t *list = json_pack("[O]", in);
    oks_err_t *err = read_many(out, attr, list, pool);
    json_decref(list);
    return err;
}

static oks_err_t *read_object(json_t **out, const oks_scim_attr_t *attrs, const json_t *in, apr_pool_t *pool)
{
    const char *key;
    json_t *value, *read, *made = json_object();
    oks_err_t *err = NULL;
    json_object_foreach((json_t *)(uintptr_t)in, key, value) {
        const oks_scim_attr_t *attr = oks_scim_find(attrs, oks_span_z(key));
        if (!attr || (attr->flags & (OKS_SCIM_READ_ONLY | OKS_SCIM_NEVER))) continue;
        err = oks_scim_read_value(&read, attr, value, pool);
        if (err) break;
        if (read) json_object_set_new(made, attr->name, read);
    }
    if (err) json_decref(made);
    *out = err ? NULL : made;
    return err;
}

/* Where it is said at all, the core schema is among them. */
static oks_err_t *check_schemas(const oks_scim_kind_t *kind, const json_t *schemas, apr_pool_t *pool)
{
    size_t i;
    json_t *each;
    if (!schemas) return NULL;
    json_array_foreach(schemas, i, each)
        if (json_is_string(each) && apr_cstr_casecmp(json_string_value(each), kind->schema) == 0) return NULL;
    return oks_err(pool, OKS_R_SCIM_VALUE_INVALID, "schemas: %s is wanted", kind->schema);
}

static oks_err_t *check_required(const oks_scim_kind_t *kind, const json_t *resource, apr_pool_t *pool)
{
    for (const oks_scim_attr_t *attr = kind->attrs; attr->name; attr++) {
        const char *text = oks_json_string(resource, attr->name);
        if ((attr->flags & OKS_SCIM_REQUIRED) && (!text || !*oks_span_dup(oks_span_trim(oks_span_z(text)), pool)))
            return invalid(attr, "it is required", pool);
    }
    return NULL;
}

oks_err_t *oks_scim_check_names(const json_t *json, apr_pool_t *pool)
{
    const char *key;
    json_t *each;
    size_t i;
    apr_array_header_t *names = apr_array_make(pool, (int)json_object_size(json), sizeof(const char *));
    json_object_foreach((json_t *)(uintptr_t)json, key, each) {
        APR_ARRAY_PUSH(names, const char *) = oks_lower_key(key, pool);
        OKS_TRY(oks_scim_check_names(each, pool));
    }
    key = oks_find_repeated(names);
    if (key) return oks_err(pool, OKS_R_SCIM_BODY_MALFORMED, "\"%s\" is there twice", oks_log_escape(oks_span_z(key), 60, pool));
    json_array_foreach((json_t *)(uintptr_t)json, i, each)
        if (!json_is_string(each)) OKS_TRY(oks_scim_check_names(each, pool));
    return NULL;
}

json_t *oks_scim_member(const json_t *object, const char *name)
{
    const char *key;
    json_t *each;
    json_object_foreach((json_t *)(uintptr_t)object, key, each)
        if (apr_cstr_casecmp(key, name) == 0) return each;
    return NULL;
}

oks_err_t *oks_scim_read(json_t **resource, const oks_scim_kind_t *kind, json_t *in, apr_pool_t *pool)
{
    json_t *made, *value, *extension;
    const char *key;
    OKS_TRY(check_schemas(kind, oks_scim_member(in, "schemas"), pool));
    OKS_TRY(read_object(&made, kind->attrs, in, pool));
    oks_json_own(made, pool);
    json_object_foreach(in, key, value) {
        if (!kind->extension || apr_cstr_casecmp(key, kind->extension) != 0 || !json_is_object(value)) continue;
        OKS_TRY(read_object(&extension, kind->extension_attrs, value, pool));
        if (json_object_size(extension)) json_object_set_new(made, kind->extension, extension);
        else json_decref(extension);
    }
    OKS_TRY(check_required(kind, made, pool));
    *resource = made;
    return NULL;
}

/* ---- attributes, excludedAttributes ---- */

typedef enum named_t { NOT_NAMED, NAMED, NAMED_IN_PART } named_t;

typedef struct projection_t {
    const apr_array_header_t *wanted, *unwanted; /* oks_scim_path_t, each once; NULL: none are said */
    const oks_scim_kind_t *kind;
    bool extension;
} projection_t;

static bool has_path(const apr_array_header_t *paths, const oks_scim_path_t *path)
{
    for (int i = 0; i < paths->nelts; i++) {
        const oks_scim_path_t *each = &APR_ARRAY_IDX(paths, i, oks_scim_path_t);
        if (each->attr == path->attr && each->sub == path->sub && each->extension == path->extension) return true;
    }
    return false;
}

/* A list of paths, "userName,name.givenName": read once for all values, which may be many. What nobody has is left out. */
static const apr_array_header_t *read_paths(const oks_scim_kind_t *kind, oks_span_t list, apr_pool_t *pool)
{
    oks_span_t word;
    if (!list.len) return NULL;
    apr_array_header_t *paths = apr_array_make(pool, 8, sizeof(oks_scim_path_t));
    while (oks_span_next(&word, &list, ',')) {
        oks_scim_path_t path;
        if (oks_scim_resolve(&path, kind, oks_span_trim(word)) && !has_path(paths, &path))
            APR_ARRAY_PUSH(paths, oks_scim_path_t) = path;
    }
    return paths;
}

oks_err_t *oks_scim_check_projection(oks_span_t names, apr_pool_t *pool)
{
    oks_span_t word;
    int count = 0;
    for (oks_span_t rest = names.len ? names : oks_span(NULL, 0); oks_span_next(&word, &rest, ',');) count++;
    if (count <= OKS_SCIM_NAMES_MAX) return NULL;
    return oks_err(pool, OKS_R_SCIM_VALUE_INVALID, "more than %d names of attributes", OKS_SCIM_NAMES_MAX);
}

/* Do the paths name this attribute, or `sub` of it? */
static named_t is_named(const projection_t *p, const apr_array_header_t *paths, const char *name, const char *sub)
{
    named_t found = NOT_NAMED;
    for (int i = 0; paths && i < paths->nelts; i++) {
        const oks_scim_path_t *path = &APR_ARRAY_IDX(paths, i, oks_scim_path_t);
        if (path->extension != p->extension) continue;
        if (!path->attr) return NAMED;
        if (strcmp(path->attr->name, name) != 0) continue;
        if (!path->sub || (sub && strcmp(path->sub->name, sub) == 0)) return NAMED;
        found = NAMED_IN_PART;
    }
    return found;
}

static void project_subs(json_t *value, const projection_t *p, const char *name)
{
    const char *key;
    json_t *sub;
    void *next;
    json_object_foreach_safe(value, next, key, sub) {
        bool keep = p->wanted ? is_named(p, p->wanted, name, key) == NAMED : is_named(p, p->unwanted, name, key) != NAMED;
        if (!keep) json_object_del(value, key);
    }
}

static void project_object(json_t *object, const projection_t *p)
{
    const char *key;
    json_t *value, *each;
    void *next;
    size_t i;
    json_object_foreach_safe(object, next, key, value) {
        if (!p->extension && (!strcmp(key, "id") || !strcmp(key, "schemas"))) continue;
        if (!p->extension && p->kind->extension && !strcmp(key, p->kind->extension)) continue;
        named_t named = is_named(p, p->wanted ? p->wanted : p->unwanted, key, NULL);
        if (p->wanted ? named == NOT_NAMED : named == NAMED) {
            json_object_del(object, key);
        } else if (named == NAMED_IN_PART) {
            project_subs(json_is_object(value) ? value : NULL, p, key);
            json_array_foreach(value, i, each) project_subs(each, p, key);
        }
    }
}

void oks_scim_project(json_t *resource, const oks_scim_kind_t *kind, oks_span_t attributes, oks_span_t excluded, apr_pool_t *pool)
{
    projection_t p = { .kind = kind, .wanted = read_paths(kind, attributes, pool), .unwanted = read_paths(kind, excluded, pool) };
    json_t *extension = kind->extension ? json_object_get(resource, kind->extension) : NULL;
    if (!p.wanted && !p.unwanted) return;
    project_object(resource, &p);
    if (!extension) return;
    p.extension = true;
    project_object(extension, &p);
    if (!json_object_size(extension)) json_object_del(resource, kind->extension);
}
