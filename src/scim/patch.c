/* PATCH (RFC 7644 3.5.2) on canonical resources: every shape of path, and the habits of Okta and Entra. */
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include "scim_private.h"

typedef enum op_t { OP_ADD, OP_REPLACE, OP_REMOVE } op_t;

/* attrPath, attrPath[filter], attrPath[filter].sub */
typedef struct target_t {
    oks_scim_path_t path;              /* without brackets: its sub is path.sub */
    oks_scim_filter_t *filter;         /* or NULL */
    const oks_scim_attr_t *sub;        /* behind the brackets, or path.sub; NULL: the value as a whole */
} target_t;

typedef struct patch_t {
    json_t *resource;
    const oks_scim_kind_t *kind;
    apr_array_header_t *members;       /* oks_scim_members_t: of a group; else NULL */
    oks_scim_work_t *work;
    apr_pool_t *pool;
} patch_t;

/* Values are compared with values, many with many: what that may cost has a limit. */
static oks_err_t *spend(const patch_t *patch, apr_size_t bytes)
{
    if (oks_scim_spend(patch->work, bytes)) return NULL;
    return oks_err(patch->pool, OKS_R_SCIM_VALUE_INVALID, "too much to compare for one PATCH");
}

static oks_err_t *full(const patch_t *patch, const oks_scim_attr_t *attr)
{
    return oks_err(patch->pool, OKS_R_SCIM_VALUE_INVALID, "%s: more than %d values", attr->name, OKS_SCIM_VALUES_MAX);
}

/* Bytes of the texts in a value. */
static apr_size_t weight_of(const json_t *value)
{
    const char *key;
    json_t *each;
    apr_size_t sum = json_string_length(value);
    json_object_foreach((json_t *)(uintptr_t)value, key, each) sum += json_string_length(each);
    return sum;
}

/* ---- Paths ---- */

static oks_err_t *no_path(oks_span_t text, apr_pool_t *pool)
{
    return oks_err(pool, OKS_R_SCIM_PATH_INVALID, "\"%s\"", oks_log_escape(text, 80, pool));
}

static oks_err_t *parse_path(target_t *target, const patch_t *patch, oks_span_t text)
{
    const char *open = text.len ? memchr(text.ptr, '[', text.len) : NULL, *close;
    memset(target, 0, sizeof *target);
    oks_span_t head = open ? oks_span(text.ptr, (apr_size_t)(open - text.ptr)) : text;
    if (text.len > OKS_SCIM_FILTER_MAX || !oks_scim_resolve(&target->path, patch->kind, head)) return no_path(text, patch->pool);
    target->sub = target->path.sub;
    if (!open) return NULL;
    close = text.ptr + text.len;
    while (close > open && *--close != ']') { }
    oks_span_t tail = oks_span(close + 1, (apr_size_t)(text.ptr + text.len - close - 1));
    if (close == open || !target->path.attr || target->path.sub || !(target->path.attr->flags & OKS_SCIM_MULTI) ||
        !target->path.attr->sub || (tail.len && *tail.ptr != '.')) return no_path(text, patch->pool);
    OKS_TRY(spend(patch, text.len * OKS_SCIM_FOLD_COST));
    OKS_TRY(oks_scim_filter_parse_value(&target->filter, target->path.attr, oks_span(open + 1, (apr_size_t)(close - open - 1)),
                                        patch->pool));
    if (!tail.len) return NULL;
    target->sub = oks_scim_find(target->path.attr->sub, oks_span(tail.ptr + 1, tail.len - 1));
    return target->sub ? NULL : no_path(text, patch->pool);
}

/* ---- Changing values ---- */

/* One primary value at most (RFC 7643 2.4): the newest. */
static oks_err_t *settle_primary(const patch_t *patch, json_t *list, const json_t *newest)
{
    json_t *each;
    size_t i;
    if (!json_is_true(json_object_get(newest, "primary"))) return NULL;
    OKS_TRY(spend(patch, json_array_size(list) * 32));
    json_array_foreach(list, i, each)
        if (each != newest && json_is_true(json_object_get(each, "primary"))) json_object_set_new(each, "primary", json_false());
    return NULL;
}

static bool same_value(const oks_scim_attr_t *attr, const json_t *one, const json_t *other, oks_scim_work_t *work)
{
    const char *a = oks_json_string(one, "value"), *b = oks_json_string(other, "value");
    const char *type = oks_json_string(one, "type"), *other_type = oks_json_string(other, "type");
    const oks_scim_attr_t *value = oks_scim_find(attr->sub, oks_span_z("value"));
    if (!value || !a || !b) return json_equal(one, other);
    return oks_scim_text_equal(value, a, b, work) && (!type || !other_type || apr_cstr_casecmp(type, other_type) == 0);
}

/* A value that is there already gains what is new in this one. */
static oks_err_t *add_value(const patch_t *patch, json_t *list, const oks_scim_attr_t *attr, json_t *value)
{
    json_t *each;
    size_t i;
    json_array_foreach(list, i, each) {
        OKS_TRY(spend(patch, weight_of(each) + weight_of(value)));
        if (!same_value(attr, each, value, patch->work)) continue;
        json_object_update(each, value);
        return settle_primary(patch, list, each);
    }
    if (json_array_size(list) >= OKS_SCIM_VALUES_MAX) return full(patch, attr);
    json_array_append(list, value);
    return settle_primary(patch, list, value);
}

static void set_or_delete(json_t *object, const char *name, json_t *value)
{
    if (value) json_object_set(object, name, value);
    else json_object_del(object, name);
}

/* The whole of an attribute. */
static oks_err_t *apply_whole(const patch_t *patch, json_t *container, const oks_scim_attr_t *attr, op_t op, json_t *value)
{
    json_t *now = json_object_get(container, attr->name), *each;
    size_t i;
    if (op == OP_REPLACE && (attr->flags & OKS_SCIM_MULTI)) {
        set_or_delete(container, attr->name, value);
    } else if (!value) {
        if (op == OP_REPLACE) json_object_del(container, attr->name);
    } else if (!now || !attr->sub) {
        json_object_set(container, attr->name, value);
    } else if (attr->flags & OKS_SCIM_MULTI) {
        json_array_foreach(value, i, each) OKS_TRY(add_value(patch, now, attr, each));
    } else {
        json_object_update(now, value);
    }
    return NULL;
}

/* Entra: remove with a value takes away these alone. */
static oks_err_t *remove_values(const patch_t *patch, json_t *container, const oks_scim_attr_t *attr, const json_t *values)
{
    json_t *now = json_object_get(container, attr->name), *each;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)values, i, each)
        for (size_t k = json_array_size(now); k-- > 0;) {
            OKS_TRY(spend(patch, weight_of(json_array_get(now, k)) + weight_of(each)));
            if (same_value(attr, json_array_get(now, k), each, patch->work)) json_array_remove(now, k);
        }
    if (!json_array_size(now)) json_object_del(container, attr->name);
    return NULL;
}

/* ---- Values that a filter finds, or all of them ---- */

static oks_err_t *apply_to_value(const patch_t *patch, json_t *list, size_t at, const target_t *target, op_t op, json_t *value)
{
    json_t *element = json_array_get(list, at);
    if (!target->sub && op == OP_REMOVE) json_array_remove(list, at);
    else if (!target->sub && op == OP_REPLACE) json_array_set(list, at, value);
    else if (!target->sub) json_object_update(element, value);
    else set_or_delete(element, target->sub->name, op == OP_REMOVE ? NULL : value);
    return op == OP_REMOVE ? NULL : settle_primary(patch, list, json_array_get(list, at));
}

/* `add` where the filter is one comparison and finds nothing: a value like that comes to be (Entra's way). */
static oks_err_t *make_value(const patch_t *patch, json_t *container, const target_t *target, json_t *value)
{
    const oks_scim_attr_t *sub;
    const char *text;
    const oks_scim_attr_t *attr = target->path.attr;
    if (!oks_scim_filter_is_sub_equal(&sub, &text, target->filter) || !value)
        return oks_err(patch->pool, OKS_R_SCIM_TARGET_NONE, "%s[...]", attr->name);
    json_t *made = oks_json_own(target->sub ? json_object() : json_deep_copy(value), patch->pool);
    if (target->sub) json_object_set(made, target->sub->name, value);
    if (!json_object_get(made, sub->name)) json_object_set_new(made, sub->name, json_string(text));
    json_t *list = json_object_get(container, attr->name);
    if (!list) {
        list = json_array();
        json_object_set_new(container, attr->name, list);
    }
    if (json_array_size(list) >= OKS_SCIM_VALUES_MAX) return full(patch, attr);
    json_array_append(list, made);
    return settle_primary(patch, list, made);
}

static oks_err_t *apply_to_values(const patch_t *patch, json_t *container, const target_t *target, op_t op, json_t *value)
{
    json_t *list = json_object_get(container, target->path.attr->name);
    bool found = false;
    for (size_t k = json_array_size(list); k-- > 0;) {
        OKS_TRY(spend(patch, 0));
        if (target->filter && !oks_scim_filter_matches_value(target->filter, json_array_get(list, k), patch->work)) continue;
        found = true;
        OKS_TRY(apply_to_value(patch, list, k, target, op, value));
    }
    if (list && !json_array_size(list)) json_object_del(container, target->path.attr->name);
    if (found || op == OP_REMOVE) return NULL; /* SECURITY.md 32 */
    if (op == OP_ADD && target->filter) return make_value(patch, container, target, value);
    return oks_err(patch->pool, OKS_R_SCIM_TARGET_NONE, "%s", target->path.attr->name);
}

/* ---- One operation ---- */

/* The value in the form of what it is for. */
static oks_err_t *read_value(json_t **value, const patch_t *patch, const target_t *target, const json_t *in)
{
    const oks_scim_attr_t *attr = target->sub ? target->sub : target->path.attr;
    if (target->filter && !target->sub) OKS_TRY(oks_scim_read_one(value, attr, json_is_array(in) ? json_array_get(in, 0) : in,
                                                                  patch->pool));
    else OKS_TRY(oks_scim_read_value(value, attr, in, patch->pool));
    oks_json_own(*value, patch->pool);
    return NULL;
}

/* The extension's own object comes to be when something is put into it, and goes with its last attribute. */
static json_t *container_of(const patch_t *patch, const target_t *target, op_t op)
{
    json_t *container = oks_scim_container(patch->resource, patch->kind, &target->path);
    if (container || op == OP_REMOVE) return container;
    container = json_object();
    json_object_set_new(patch->resource, patch->kind->extension, container);
    return container;
}

static oks_err_t *apply_single(const patch_t *patch, json_t *container, const target_t *target, op_t op, json_t *value)
{
    const oks_scim_attr_t *attr = target->path.attr;
    if (!target->sub) return apply_whole(patch, container, attr, op, value);
    json_t *object = json_object_get(container, attr->name);
    if (!object && value) {
        object = json_object();
        json_object_set_new(container, attr->name, object);
    }
    if (object) set_or_delete(object, target->sub->name, value);
    if (object && !json_object_size(object)) json_object_del(container, attr->name);
    return NULL;
}

static oks_err_t *apply_remove(const patch_t *patch, json_t *container, const target_t *target, const json_t *in)
{
    const oks_scim_attr_t *attr = target->path.attr;
    json_t *values;
    if (!(attr->flags & OKS_SCIM_MULTI)) {
        if (target->sub) return apply_single(patch, container, target, OP_REMOVE, NULL);
        json_object_del(container, attr->name);
        return NULL;
    }
    if (target->filter || target->sub) return apply_to_values(patch, container, target, OP_REMOVE, NULL);
    if (!in || json_is_null(in)) {
        json_object_del(container, attr->name);
        return NULL;
    }
    OKS_TRY(oks_scim_read_value(&values, attr, in, patch->pool));
    return remove_values(patch, container, attr, oks_json_own(values, patch->pool));
}

static oks_err_t *note_members(const patch_t *patch, const target_t *target, op_t op, const json_t *in)
{
    static const oks_scim_member_op_t ops[] = { OKS_SCIM_MEMBERS_ADD, OKS_SCIM_MEMBERS_REPLACE, OKS_SCIM_MEMBERS_REMOVE };
    oks_scim_members_t *noted = apr_array_push(patch->members);
    const oks_scim_attr_t *sub;
    const char *id;
    *noted = (oks_scim_members_t){ .op = ops[op] };
    if (target->filter && !target->sub && op == OP_REMOVE && oks_scim_filter_is_sub_equal(&sub, &id, target->filter) &&
        strcmp(sub->name, "value") == 0) {
        noted->ids = apr_array_make(patch->pool, 1, sizeof(const char *));
        APR_ARRAY_PUSH(noted->ids, const char *) = apr_pstrdup(patch->pool, id);
        return NULL;
    }
    if (target->filter || target->sub) return oks_err(patch->pool, OKS_R_SCIM_PATH_INVALID, "members by their value alone");
    if (op == OP_REMOVE && (!in || json_is_null(in))) return NULL;
    OKS_TRY(oks_scim_member_ids(&noted->ids, in, patch->pool));
    int sum = 0;
    for (int i = 0; i < patch->members->nelts; i++) {
        const apr_array_header_t *ids = APR_ARRAY_IDX(patch->members, i, oks_scim_members_t).ids;
        sum += ids ? ids->nelts : 0;
    }
    if (sum <= OKS_SCIM_MEMBERS_MAX) return NULL;
    return oks_err(patch->pool, OKS_R_SCIM_VALUE_INVALID, "members: more than %d values", OKS_SCIM_MEMBERS_MAX);
}

static oks_err_t *apply(const patch_t *patch, const target_t *target, op_t op, const json_t *in)
{
    json_t *value;
    const oks_scim_attr_t *attr = target->path.attr;
    if (patch->members && attr && strcmp(attr->name, "members") == 0) return note_members(patch, target, op, in);
    json_t *container = container_of(patch, target, op);
    if (!container) return NULL;
    oks_err_t *err;
    if (op == OP_REMOVE) {
        err = apply_remove(patch, container, target, in);
    } else {
        OKS_TRY(read_value(&value, patch, target, in));
        err = (attr->flags & OKS_SCIM_MULTI) && (target->filter || target->sub) ? apply_to_values(patch, container, target, op,
                value)
                                                                              : apply_single(patch, container, target, op, value);
    }
    if (target->path.extension && !json_object_size(container)) json_object_del(patch->resource, patch->kind->extension);
    return err;
}

static oks_err_t *apply_object(const patch_t *patch, op_t op, const json_t *value, bool extension);

/* One key of an operation without a path: an attribute, or (Entra) a path with dots or a schema's URN. What is ours to say is
 * passed over: Okta sends `id` along. */
static oks_err_t *apply_key(const patch_t *patch, op_t op, const char *key, const json_t *value, bool extension)
{
    target_t target;
    const char *path = extension ? apr_pstrcat(patch->pool, patch->kind->extension, ":", key, NULL) : key;
    memset(&target, 0, sizeof target);
    if (strchr(path, '[')) OKS_TRY(parse_path(&target, patch, oks_span_z(path)));
    else if (!oks_scim_resolve(&target.path, patch->kind, oks_span_z(path))) return NULL;
    if (!target.filter) target.sub = target.path.sub;
    if (!target.path.attr) return apply_object(patch, op, value, true);
    if (target.path.attr->flags & (OKS_SCIM_READ_ONLY | OKS_SCIM_NEVER)) return NULL;
    return apply(patch, &target, op, value);
}

static oks_err_t *apply_object(const patch_t *patch, op_t op, const json_t *value, bool extension)
{
    const char *key;
    json_t *each;
    if (!json_is_object(value)) return oks_err(patch->pool, OKS_R_SCIM_VALUE_INVALID, "without a path the value is an object");
    json_object_foreach((json_t *)(uintptr_t)value, key, each) OKS_TRY(apply_key(patch, op, key, each, extension));
    return NULL;
}

static oks_err_t *apply_path(const patch_t *patch, op_t op, oks_span_t path, const json_t *value)
{
    target_t target;
    OKS_TRY(parse_path(&target, patch, path));
    if (!target.path.attr) {
        if (op != OP_REMOVE) return apply_object(patch, op, value, true);
        json_object_del(patch->resource, patch->kind->extension);
        return NULL;
    }
    unsigned flags = target.path.attr->flags | (target.sub ? target.sub->flags : 0);
    if (flags & OKS_SCIM_READ_ONLY) return oks_err(patch->pool, OKS_R_SCIM_ATTRIBUTE_READ_ONLY, "%s", target.path.attr->name);
    if (flags & OKS_SCIM_NEVER) return NULL; /* a password is nothing that we keep */
    if (op == OP_REMOVE && (flags & OKS_SCIM_REQUIRED)) return oks_err(patch->pool, OKS_R_SCIM_VALUE_INVALID, "%s: it is required",
                                                                       target.path.attr->name);
    return apply(patch, &target, op, value);
}

static oks_err_t *operate(const patch_t *patch, const json_t *operation)
{
    static const char *const words[] = { "add", "replace", "remove" };
    oks_span_t word = oks_span_z(json_string_value(oks_scim_member(operation, "op")));
    const json_t *path = oks_scim_member(operation, "path"), *value = oks_scim_member(operation, "value");
    int op = 0;
    while (op < 3 && !oks_span_case_eq_z(word, words[op])) op++;
    if (op == 3) return oks_err(patch->pool, OKS_R_SCIM_BODY_MALFORMED, "op is one of add, replace, remove");
    if (path && !json_is_string(path)) return oks_err(patch->pool, OKS_R_SCIM_PATH_INVALID, "a path is text");
    if (op != OP_REMOVE && !value) return oks_err(patch->pool, OKS_R_SCIM_VALUE_INVALID, "an operation without a value");
    if (path && json_string_length(path)) return apply_path(patch, (op_t)op, oks_span_z(json_string_value(path)), value);
    if (op == OP_REMOVE) return oks_err(patch->pool, OKS_R_SCIM_TARGET_NONE, "remove without a path");
    return apply_object(patch, (op_t)op, value, false);
}

static oks_err_t *run(patch_t *patch, const json_t *message)
{
    json_t *operations = oks_scim_member(message, "Operations"), *each;
    size_t i;
    if (!json_is_array(operations) || !json_array_size(operations) || json_array_size(operations) > OKS_SCIM_OPERATIONS_MAX)
        return oks_err(patch->pool, OKS_R_SCIM_BODY_MALFORMED, "Operations: 1 to %d are wanted", OKS_SCIM_OPERATIONS_MAX);
    patch->work = apr_palloc(patch->pool, sizeof *patch->work);
    oks_scim_work_begin(patch->work, OKS_SCIM_PATCH_WORK_MAX, patch->pool);
    json_array_foreach(operations, i, each) OKS_TRY(operate(patch, each));
    return spend(patch, 0); /* what its last comparison said may be past the limit */
}

oks_err_t *oks_scim_patch(json_t *resource, const oks_scim_kind_t *kind, json_t *message, apr_pool_t *pool)
{
    patch_t patch = { .resource = resource, .kind = kind, .pool = pool };
    return run(&patch, message);
}

oks_err_t *oks_scim_patch_group(json_t *resource, apr_array_header_t *members, json_t *message, apr_pool_t *pool)
{
    patch_t patch = { .resource = resource, .kind = &oks_scim_group, .members = members, .pool = pool };
    return run(&patch, message);
}

oks_err_t *oks_scim_member_ids(apr_array_header_t **ids, const json_t *array, apr_pool_t *pool)
{
    json_t *list, *each;
    size_t i;
    OKS_TRY(oks_scim_read_value(&list, oks_scim_find(oks_scim_group.attrs, oks_span_z("members")), array, pool));
    oks_json_own(list, pool);
    *ids = apr_array_make(pool, (int)json_array_size(list) + 1, sizeof(const char *));
    json_array_foreach(list, i, each) {
        const char *id = oks_json_string(each, "value");
        if (!id) return oks_err(pool, OKS_R_SCIM_VALUE_INVALID, "members: a value is wanted");
        APR_ARRAY_PUSH(*ids, const char *) = id;
    }
    return NULL;
}
