/* Filters (RFC 7644 3.4.2.2): parsed into a tree whose paths are resolved, and asked of resources. */
#include <stdlib.h>
#include <string.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#include "scim_private.h"

#define STEP_COST 32 /* of a comparison, however short */

typedef enum op_t { OP_AND, OP_OR, OP_NOT, OP_VALUE, OP_PR, OP_EQ, OP_NE, OP_CO, OP_SW, OP_EW, OP_GT, OP_GE, OP_LT, OP_LE } op_t;

struct oks_scim_filter_t {
    op_t op;
    const oks_scim_kind_t *kind;
    const oks_scim_filter_t *left, *right; /* of and, or; left alone of not, and what stands in brackets */
    bool known;                            /* an attribute that nobody has matches nothing */
    oks_scim_path_t path;                  /* in brackets: of one value, path.sub alone */
    const json_t *value;
    const char *folded;                    /* a text's, once: it may be compared with a million others */
};

typedef struct parse_t {
    const char *p, *end;
    const oks_scim_kind_t *kind;
    const oks_scim_attr_t *in_value; /* between the brackets of this attribute */
    int depth, terms;
    apr_pool_t *pool;
} parse_t;

static oks_err_t *parse_or(const oks_scim_filter_t **out, parse_t *parse);

static oks_err_t *wrong(const parse_t *parse, const char *what)
{
    oks_span_t rest = oks_span(parse->p, (apr_size_t)(parse->end - parse->p));
    return oks_err(parse->pool, OKS_R_SCIM_FILTER_INVALID, "%s at \"%s\"", what, oks_log_escape(rest, 40, parse->pool));
}

static void skip(parse_t *parse)
{
    while (parse->p < parse->end && *parse->p == ' ') parse->p++;
}

static bool take_char(parse_t *parse, char c)
{
    skip(parse);
    if (parse->p == parse->end || *parse->p != c) return false;
    parse->p++;
    return true;
}

/* A word of letters that ends where words end. */
static bool take_word(parse_t *parse, const char *word)
{
    apr_size_t len = strlen(word);
    skip(parse);
    if ((apr_size_t)(parse->end - parse->p) < len || apr_cstr_casecmpn(parse->p, word, len) != 0) return false;
    if (parse->p + len < parse->end && !strchr(" ()[]", parse->p[len])) return false;
    parse->p += len;
    return true;
}

static oks_scim_filter_t *node(const parse_t *parse, op_t op)
{
    oks_scim_filter_t *made = apr_pcalloc(parse->pool, sizeof *made);
    made->op = op;
    made->kind = parse->kind;
    return made;
}

/* A JSON literal: text, number, true, false, null (RFC 7159). */
static oks_err_t *parse_value(const json_t **value, parse_t *parse)
{
    json_error_t error;
    const char *start, *p;
    skip(parse);
    start = p = parse->p;
    if (p < parse->end && *p == '"') {
        for (p++; p < parse->end && *p != '"'; p++)
            if (*p == '\\') p++;
        if (p >= parse->end) return wrong(parse, "text without its end");
        p++;
    } else {
        while (p < parse->end && !strchr(" )]", *p)) p++;
    }
    json_t *read = p > start ? json_loadb(start, (size_t)(p - start), JSON_DECODE_ANY, &error) : NULL;
    if (!read || json_is_object(read) || json_is_array(read)) {
        json_decref(read);
        return wrong(parse, "no value");
    }
    parse->p = p;
    *value = oks_json_own(read, parse->pool);
    return NULL;
}

static bool take_op(op_t *op, parse_t *parse)
{
    static const struct { const char *word; op_t op; } ops[] = {
        { "eq", OP_EQ }, { "ne", OP_NE }, { "co", OP_CO }, { "sw", OP_SW }, { "ew", OP_EW }, { "gt", OP_GT }, { "ge", OP_GE },
        { "lt", OP_LT }, { "le", OP_LE }, { "pr", OP_PR },
    };
    for (apr_size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (take_word(parse, ops[i].word)) {
            *op = ops[i].op;
            return true;
        }
    return false;
}

/* What can be compared how: no order among booleans and binary values (RFC 7644 3.4.2.2). */
static bool suits(const oks_scim_filter_t *made)
{
    const oks_scim_attr_t *attr = made->path.sub ? made->path.sub : made->path.attr;
    bool ordered = made->op >= OP_GT && made->op <= OP_LE;
    if (!made->known || made->op == OP_PR) return true;
    if (ordered && (attr->type == OKS_SCIM_BOOLEAN || attr->type == OKS_SCIM_BINARY || !json_is_string(made->value))) return false;
    return made->op == OP_EQ || made->op == OP_NE || json_is_string(made->value);
}

static bool resolve(oks_scim_filter_t *made, const parse_t *parse, oks_span_t text)
{
    if (!parse->in_value) return oks_scim_resolve(&made->path, parse->kind, text) && made->path.attr;
    made->path.attr = parse->in_value;
    made->path.sub = oks_scim_find(parse->in_value->sub, text);
    return made->path.sub != NULL;
}

/* attrPath[...] */
static oks_err_t *parse_brackets(const oks_scim_filter_t **out, parse_t *parse, oks_span_t text)
{
    oks_scim_filter_t *made = node(parse, OP_VALUE);
    if (parse->in_value) return wrong(parse, "brackets in brackets");
    made->known = resolve(made, parse, text);
    if (!made->known || !made->path.attr->sub || made->path.sub) return wrong(parse, "brackets behind an attribute without parts");
    parse->in_value = made->path.attr;
    oks_err_t *err = parse_or(&made->left, parse);
    parse->in_value = NULL;
    if (err) return err;
    if (!take_char(parse, ']')) return wrong(parse, "] is wanted");
    *out = made;
    return NULL;
}

static bool is_path_char(char c)
{
    return oks_is_letter(c) || oks_is_digit(c) || strchr("_-.:$", c);
}

static oks_err_t *parse_comparison(const oks_scim_filter_t **out, parse_t *parse)
{
    op_t op;
    skip(parse);
    const char *start = parse->p;
    while (parse->p < parse->end && is_path_char(*parse->p)) parse->p++;
    oks_span_t text = oks_span(start, (apr_size_t)(parse->p - start));
    if (!text.len) return wrong(parse, "an attribute is wanted");
    if (parse->p < parse->end && *parse->p == '[') {
        parse->p++;
        return parse_brackets(out, parse, text);
    }
    if (++parse->terms > OKS_SCIM_FILTER_TERMS_MAX) return wrong(parse, "too many comparisons");
    if (!take_op(&op, parse)) return wrong(parse, "an operator is wanted");
    oks_scim_filter_t *made = node(parse, op);
    made->known = resolve(made, parse, text);
    if (op != OP_PR) OKS_TRY(parse_value(&made->value, parse));
    if (json_is_string(made->value)) made->folded = oks_fold_key(json_string_value(made->value), parse->pool);
    if (!suits(made)) return wrong(parse, "this operator does not suit its attribute and value");
    *out = made;
    return NULL;
}

static oks_err_t *parse_factor(const oks_scim_filter_t **out, parse_t *parse)
{
    const char *start = parse->p;
    bool negated = take_word(parse, "not");
    bool open = take_char(parse, '(');
    if (negated && !open) parse->p = start; /* an attribute of that name */
    if (!open) return parse_comparison(out, parse);
    if (++parse->depth > OKS_SCIM_FILTER_DEPTH_MAX) return wrong(parse, "nested too deeply");
    OKS_TRY(parse_or(out, parse));
    parse->depth--;
    if (!take_char(parse, ')')) return wrong(parse, ") is wanted");
    if (negated) {
        oks_scim_filter_t *made = node(parse, OP_NOT);
        made->left = *out;
        *out = made;
    }
    return NULL;
}

static oks_err_t *parse_and(const oks_scim_filter_t **out, parse_t *parse)
{
    OKS_TRY(parse_factor(out, parse));
    while (take_word(parse, "and")) {
        oks_scim_filter_t *made = node(parse, OP_AND);
        made->left = *out;
        OKS_TRY(parse_factor(&made->right, parse));
        *out = made;
    }
    return NULL;
}

static oks_err_t *parse_or(const oks_scim_filter_t **out, parse_t *parse)
{
    OKS_TRY(parse_and(out, parse));
    while (take_word(parse, "or")) {
        oks_scim_filter_t *made = node(parse, OP_OR);
        made->left = *out;
        OKS_TRY(parse_and(&made->right, parse));
        *out = made;
    }
    return NULL;
}

static oks_err_t *parse_all(oks_scim_filter_t **filter, parse_t *parse, oks_span_t text)
{
    const oks_scim_filter_t *made;
    if (text.len > OKS_SCIM_FILTER_MAX)
        return oks_err(parse->pool, OKS_R_SCIM_FILTER_INVALID, "more than %d bytes", OKS_SCIM_FILTER_MAX);
    if (!oks_utf8_ok(text)) return oks_err(parse->pool, OKS_R_SCIM_FILTER_INVALID, "not UTF-8");
    parse->p = text.ptr;
    parse->end = text.ptr + text.len;
    OKS_TRY(parse_or(&made, parse));
    skip(parse);
    if (parse->p != parse->end) return wrong(parse, "something left over");
    *filter = (oks_scim_filter_t *)(uintptr_t)made;
    return NULL;
}

oks_err_t *oks_scim_filter_parse(oks_scim_filter_t **filter, const oks_scim_kind_t *kind, oks_span_t text, apr_pool_t *pool)
{
    parse_t parse = { .kind = kind, .pool = pool };
    return parse_all(filter, &parse, text);
}

oks_err_t *oks_scim_filter_parse_value(oks_scim_filter_t **filter, const oks_scim_attr_t *attr, oks_span_t text, apr_pool_t *pool)
{
    parse_t parse = { .in_value = attr, .pool = pool };
    return parse_all(filter, &parse, text);
}

/* ---- Asking ---- */

void oks_scim_work_begin(oks_scim_work_t *work, apr_size_t max, apr_pool_t *pool)
{
    *work = (oks_scim_work_t){ .max = max, .pool = pool };
    apr_pool_create(&work->scratch, pool);
}

bool oks_scim_spend(oks_scim_work_t *work, apr_size_t bytes)
{
    work->done += STEP_COST + bytes;
    return work->done <= work->max;
}

/* ASCII is folded for nothing. */
static apr_size_t fold_cost(oks_span_t text)
{
    return oks_is_ascii(text) ? text.len : text.len * OKS_SCIM_FOLD_COST;
}

bool oks_scim_text_equal(const oks_scim_attr_t *attr, const char *one, const char *other, oks_scim_work_t *work)
{
    oks_span_t a = oks_span_z(one), b = oks_span_z(other);
    if (attr->flags & OKS_SCIM_EXACT) return oks_span_eq(a, b);
    if (oks_is_ascii(a) && oks_is_ascii(b)) return oks_span_case_eq_z(a, other);
    apr_pool_clear(work->scratch);
    if (!oks_scim_spend(work, fold_cost(a) + fold_cost(b))) return false;
    return strcmp(oks_fold_key(one, work->scratch), oks_fold_key(other, work->scratch)) == 0;
}

/* xsd:dateTime (RFC 7643 2.3.5) of any time zone; without one it is UTC. */
static bool read_time(apr_time_t *when, const char *text, apr_pool_t *pool)
{
    static const char shape[] = "+00:00";
    const apr_size_t len = sizeof "2020-01-01T00:00:00" - 1;
    int minutes = 0;
    if (strlen(text) < len) return false;
    const char *zone = text + len + strcspn(text + len, "Z+-");
    if (*zone == '+' || *zone == '-') {
        for (apr_size_t i = 1; i < sizeof shape; i++)
            if (shape[i] == '0' ? !oks_is_digit(zone[i]) : zone[i] != shape[i]) return false;
        minutes = atoi(zone + 1) * 60 + atoi(zone + 4);
        if (minutes > 14 * 60 || zone[4] > '5') return false;
        if (*zone == '-') minutes = -minutes;
    } else if (*zone && strcmp(zone, "Z") != 0) {
        return false;
    }
    text = apr_pstrcat(pool, apr_pstrmemdup(pool, text, (apr_size_t)(zone - text)), "Z", NULL);
    if (oks_time_parse(when, oks_span_z(text), pool)) return false;
    *when -= apr_time_from_sec(minutes * 60);
    return true;
}

static int order(const oks_scim_attr_t *attr, const char *one, const char *other, apr_pool_t *pool)
{
    apr_time_t a, b;
    if (attr->type == OKS_SCIM_DATE_TIME && read_time(&a, one, pool) && read_time(&b, other, pool)) return (a > b) - (a < b);
    return strcmp(one, other);
}

static bool compare_text(const oks_scim_filter_t *filter, op_t op, const oks_scim_attr_t *attr, const char *have,
                         oks_scim_work_t *work)
{
    const bool folds = !(attr->flags & OKS_SCIM_EXACT) && attr->type != OKS_SCIM_DATE_TIME;
    const char *want = folds ? filter->folded : json_string_value(filter->value);
    apr_size_t have_len = strlen(have), want_len = strlen(want);
    apr_pool_t *pool = work->scratch;
    apr_pool_clear(pool);
    if (!oks_scim_spend(work, want_len + (folds ? fold_cost(oks_span(have, have_len)) : have_len))) return false;
    if (folds) have = oks_fold_key(have, pool), have_len = strlen(have);
    switch (op) {
    case OP_EQ: return order(attr, have, want, pool) == 0;
    case OP_CO: return strstr(have, want) != NULL;
    case OP_SW: return have_len >= want_len && memcmp(have, want, want_len) == 0;
    case OP_EW: return have_len >= want_len && memcmp(have + have_len - want_len, want, want_len) == 0;
    case OP_GT: return order(attr, have, want, pool) > 0;
    case OP_GE: return order(attr, have, want, pool) >= 0;
    case OP_LT: return order(attr, have, want, pool) < 0;
    case OP_LE: return order(attr, have, want, pool) <= 0;
    default: return false;
    }
}

/* One plain value. A comparison with null asks for absence. */
static bool compare_one(const oks_scim_filter_t *filter, const oks_scim_attr_t *attr, const json_t *have, oks_scim_work_t *work)
{
    op_t op = filter->op == OP_NE ? OP_EQ : filter->op;
    if (json_is_string(have) && json_is_string(filter->value))
        return compare_text(filter, op, attr, json_string_value(have), work);
    if (json_is_boolean(have) && json_is_string(filter->value) && op == OP_EQ)
        return apr_cstr_casecmp(json_string_value(filter->value), json_is_true(have) ? "true" : "false") == 0;
    return op == OP_EQ && json_equal(have, filter->value);
}

static bool is_present(const json_t *value)
{
    if (!value || json_is_null(value)) return false;
    if (json_is_string(value)) return json_string_length(value) > 0;
    if (json_is_array(value)) return json_array_size(value) > 0;
    return !json_is_object(value) || json_object_size(value) > 0;
}

/* Any value of an attribute: of a complex one its sub-attribute, or "value" when none is named. */
static bool any_matches(const oks_scim_filter_t *filter, const json_t *value, oks_scim_work_t *work)
{
    const oks_scim_attr_t *attr = filter->path.attr, *sub = filter->path.sub;
    json_t *each;
    size_t i;
    if (json_is_array(value)) {
        json_array_foreach((json_t *)(uintptr_t)value, i, each)
            if (!oks_scim_spend(work, 0) || any_matches(filter, each, work)) return true;
        return false;
    }
    if (json_is_object(value)) {
        if (!sub && filter->op == OP_PR) return is_present(value);
        if (!sub) sub = oks_scim_find(attr->sub, oks_span_z("value"));
        value = sub ? json_object_get(value, sub->name) : NULL;
        attr = sub;
    }
    if (filter->op == OP_PR) return is_present(value);
    return value && attr && compare_one(filter, attr, value, work);
}

/* `ne`: no value equals. */
static bool compare(const oks_scim_filter_t *filter, const json_t *value, oks_scim_work_t *work)
{
    bool absent_wanted = filter->op != OP_PR && json_is_null(filter->value);
    if (absent_wanted) return is_present(value) == (filter->op == OP_NE);
    return any_matches(filter, value, work) != (filter->op == OP_NE);
}

static bool ask(const oks_scim_filter_t *filter, const json_t *resource, const json_t *value, oks_scim_work_t *work)
{
    json_t *each;
    size_t i;
    if (!oks_scim_spend(work, 0)) return false;
    switch (filter->op) {
    case OP_AND: return ask(filter->left, resource, value, work) && ask(filter->right, resource, value, work);
    case OP_OR: return ask(filter->left, resource, value, work) || ask(filter->right, resource, value, work);
    case OP_NOT: return !ask(filter->left, resource, value, work);
    default: break;
    }
    if (!filter->known) return filter->op == OP_NE;
    if (value) return compare(filter, value, work);
    const json_t *container = oks_scim_container(resource, filter->kind, &filter->path);
    const json_t *found = container ? json_object_get(container, filter->path.attr->name) : NULL;
    if (filter->op != OP_VALUE) return compare(filter, found, work);
    if (json_is_object(found)) return ask(filter->left, resource, found, work);
    json_array_foreach((json_t *)(uintptr_t)found, i, each)
        if (ask(filter->left, resource, each, work)) return true;
    return false;
}

oks_err_t *oks_scim_filter_matches(bool *matches, const oks_scim_filter_t *filter, const json_t *resource, oks_scim_work_t *work)
{
    *matches = ask(filter, resource, NULL, work);
    if (work->done <= work->max) return NULL;
    return oks_err(work->pool, OKS_R_SCIM_FILTER_TOO_MANY, "too much to compare for one search");
}

bool oks_scim_filter_matches_value(const oks_scim_filter_t *filter, const json_t *value, oks_scim_work_t *work)
{
    return ask(filter, NULL, value, work);
}

/* ---- Shapes that have an index, or make a value ---- */

bool oks_scim_filter_is_equal(const char **path, const char **text, const oks_scim_filter_t *filter, apr_pool_t *pool)
{
    const oks_scim_attr_t *attr = filter->path.attr, *sub = filter->path.sub;
    bool extension = filter->path.extension;
    if (filter->op == OP_VALUE && filter->left->op == OP_EQ) filter = filter->left, sub = filter->path.sub;
    if (filter->op != OP_EQ || !filter->known || extension || !json_is_string(filter->value)) return false;
    if (!sub && attr->sub) sub = oks_scim_find(attr->sub, oks_span_z("value"));
    *path = sub ? apr_pstrcat(pool, attr->name, ".", sub->name, NULL) : attr->name;
    *text = json_string_value(filter->value);
    return true;
}

bool oks_scim_filter_is_sub_equal(const oks_scim_attr_t **sub, const char **text, const oks_scim_filter_t *filter)
{
    if (filter->op != OP_EQ || !filter->known || !json_is_string(filter->value)) return false;
    *sub = filter->path.sub;
    *text = json_string_value(filter->value);
    return true;
}

/* ---- Sorting ---- */

typedef struct sorted_t {
    json_t *resource;
    const char *key; /* NULL: it has none, and comes last */
    size_t place;
} sorted_t;

static int ascending(const void *one_, const void *other_)
{
    const sorted_t *one = one_, *other = other_;
    int way = !one->key || !other->key ? !one->key - !other->key : strcmp(one->key, other->key);
    return way ? way : (one->place > other->place) - (one->place < other->place);
}

static int descending(const void *one_, const void *other_)
{
    const sorted_t *one = one_, *other = other_;
    int way = !one->key || !other->key ? !one->key - !other->key : strcmp(other->key, one->key);
    return way ? way : (one->place > other->place) - (one->place < other->place);
}

/* Of a multi-valued attribute the primary value, or else the first. *attr: what the text is of, below path->attr or itself. */
static json_t *chosen_value(const oks_scim_attr_t **attr, const json_t *resource, const oks_scim_kind_t *kind,
                            const oks_scim_path_t *path)
{
    const json_t *container = oks_scim_container(resource, kind, path);
    json_t *value = container ? json_object_get(container, path->attr->name) : NULL, *each, *chosen = NULL;
    size_t i;
    *attr = path->attr;
    if (json_is_array(value)) {
        json_array_foreach(value, i, each)
            if (!chosen || json_is_true(json_object_get(each, "primary"))) chosen = each;
        value = chosen;
    }
    if (!json_is_object(value)) return value;
    *attr = path->sub ? path->sub : oks_scim_find(path->attr->sub, oks_span_z("value"));
    return *attr ? json_object_get(value, (*attr)->name) : NULL;
}

static const char *sort_key(const json_t *resource, const oks_scim_kind_t *kind, const oks_scim_path_t *path, apr_pool_t *pool)
{
    const oks_scim_attr_t *attr;
    const json_t *value = chosen_value(&attr, resource, kind, path);
    if (json_is_boolean(value)) return json_is_true(value) ? "1" : "0";
    if (!json_is_string(value)) return NULL;
    return attr->flags & OKS_SCIM_EXACT ? json_string_value(value) : oks_fold_key(json_string_value(value), pool);
}

static oks_err_t *sort_path(oks_scim_path_t *path, const oks_scim_kind_t *kind, oks_span_t text, apr_pool_t *pool)
{
    if (oks_scim_resolve(path, kind, text) && path->attr) return NULL;
    return oks_err(pool, OKS_R_SCIM_PATH_INVALID, "sortBy \"%s\"", oks_log_escape(text, 60, pool));
}

oks_err_t *oks_scim_reduce(json_t **reduced, const json_t *resource, const oks_scim_kind_t *kind, oks_span_t text,
                           apr_pool_t *pool)
{
    oks_scim_path_t path;
    const oks_scim_attr_t *attr = NULL;
    if (text.len) OKS_TRY(sort_path(&path, kind, text, pool));
    json_t *value = text.len ? chosen_value(&attr, resource, kind, &path) : NULL;
    *reduced = json_pack("{s:O, s:{s:s}}", "id", json_object_get(resource, "id"), "meta", "resourceType", kind->name);
    if (!value || json_is_object(value) || json_is_array(value)) return NULL;
    json_t *container = path.extension ? json_object() : *reduced, *object = NULL;
    if (path.extension) json_object_set_new(*reduced, kind->extension, container);
    if (attr == path.attr) {
        json_object_set(container, attr->name, value);
        return NULL;
    }
    object = json_object_get(container, path.attr->name); /* meta */
    if (!object) json_object_set_new(container, path.attr->name, object = json_object());
    json_object_set(object, attr->name, value);
    return NULL;
}

oks_err_t *oks_scim_sort(json_t *resources, const oks_scim_kind_t *kind, oks_span_t text, bool down, apr_pool_t *pool)
{
    oks_scim_path_t path;
    size_t count = json_array_size(resources);
    OKS_TRY(sort_path(&path, kind, text, pool));
    sorted_t *rows = apr_palloc(pool, sizeof *rows * (count + 1));
    for (size_t i = 0; i < count; i++) {
        json_t *resource = json_incref(json_array_get(resources, i));
        rows[i] = (sorted_t){ resource, sort_key(resource, kind, &path, pool), i };
    }
    qsort(rows, count, sizeof *rows, down ? descending : ascending);
    json_array_clear(resources);
    for (size_t i = 0; i < count; i++) json_array_append_new(resources, rows[i].resource);
    return NULL;
}
