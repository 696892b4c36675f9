/* The room scim on t/vectors/scim.json: PATCH, reading, filters, sorting and attributes; and the limits of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <apr_general.h>
#include <apr_strings.h>
#include <cmocka.h>

#include "oktasso/scim.h"

#define VECTORS OKS_SOURCE_DIR "/t/vectors/scim.json"
#define CASES_MIN 200 /* fewer: the vectors are not where they should be */

static apr_pool_t *global, *pool;
static json_t *vectors;
static int cases;

static int set_up(void **state)
{
    json_error_t error;
    apr_initialize();
    apr_pool_create(&global, NULL);
    apr_pool_create(&pool, global);
    vectors = json_load_file(VECTORS, 0, &error);
    if (!vectors) print_error("%s:%d: %s\n", VECTORS, error.line, error.text);
    return vectors ? 0 : -1;
}

static int tear_down(void **state)
{
    json_decref(vectors);
    apr_pool_destroy(global);
    apr_terminate();
    return cases < CASES_MIN;
}

/* A pool and a copy of its own for each case. */
static json_t *copy_of(const json_t *json)
{
    return oks_json_own(json_deep_copy(json), pool);
}

static const char *text_of(const json_t *json)
{
    char *dumped = json_dumps(json, JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_COMPACT);
    const char *text = apr_pstrdup(pool, dumped ? dumped : "nothing");
    free(dumped);
    return text;
}

/* The case's reason, or its result. */
static void judge(const json_t *row, const oks_err_t *err, const json_t *result, const json_t *wanted)
{
    const char *reason = oks_json_string(row, "reason");
    cases++;
    if (err && (!reason || strcmp(reason, oks_reason_info(err->reason)->code) != 0))
        fail_msg("%s: %s", text_of(row), oks_err_text(err, pool));
    if (!err && reason) fail_msg("%s: no refusal, but %s", text_of(row), text_of(result));
    if (!err && !json_equal(result, wanted)) fail_msg("%s: %s", text_of(row), text_of(result));
}

typedef void run_fn(const json_t *row);

static void run_all(const char *name, run_fn *run)
{
    json_t *row;
    size_t i;
    assert_true(json_array_size(json_object_get(vectors, name)) > 0);
    json_array_foreach(json_object_get(vectors, name), i, row) {
        apr_pool_clear(pool);
        run(row);
    }
}

/* ---- PATCH ---- */

static json_t *message_of(const json_t *operations)
{
    return oks_json_own(json_pack("{s:O}", "operations", operations), pool);
}

static void patch(const json_t *row)
{
    const json_t *given = json_object_get(row, "resource");
    json_t *resource = copy_of(given ? given : json_object_get(vectors, "person"));
    oks_err_t *err = oks_scim_patch(resource, &oks_scim_user, message_of(json_object_get(row, "operations")), pool);
    judge(row, err, resource, json_object_get(row, "result"));
}

static void message(const json_t *row)
{
    json_t *resource = copy_of(json_object_get(vectors, "person"));
    oks_err_t *err = oks_scim_patch(resource, &oks_scim_user, json_object_get(row, "message"), pool);
    judge(row, err, resource, NULL);
}

static json_t *told(const apr_array_header_t *members)
{
    static const char *const words[] = { "add", "remove", "replace" };
    json_t *all = oks_json_own(json_array(), pool);
    for (int i = 0; i < members->nelts; i++) {
        const oks_scim_members_t *change = &APR_ARRAY_IDX(members, i, oks_scim_members_t);
        json_t *ids = change->ids ? json_array() : json_null();
        for (int k = 0; change->ids && k < change->ids->nelts; k++)
            json_array_append_new(ids, json_string(APR_ARRAY_IDX(change->ids, k, const char *)));
        json_array_append_new(all, json_pack("[s, o]", words[change->op], ids));
    }
    return all;
}

static void group_patch(const json_t *row)
{
    json_t *resource = oks_json_own(json_pack("{s:s}", "displayName", "G"), pool);
    apr_array_header_t *members = apr_array_make(pool, 2, sizeof(oks_scim_members_t));
    oks_err_t *err = oks_scim_patch_group(resource, members, message_of(json_object_get(row, "operations")), pool);
    judge(row, err, resource, json_object_get(row, "result"));
    if (!err) judge(row, NULL, told(members), json_object_get(row, "members"));
}

static void patches(void **state)
{
    run_all("patches", patch);
    run_all("messages", message);
    run_all("group_patches", group_patch);
}

/* ---- Reading ---- */

static const oks_scim_kind_t *kind_of(const json_t *row)
{
    return strcmp(oks_json_string(row, "kind"), "Group") == 0 ? &oks_scim_group : &oks_scim_user;
}

/* What was read once reads the same again. */
static void read_one(const json_t *row)
{
    json_t *read = NULL, *again;
    oks_err_t *err = oks_scim_read(&read, kind_of(row), copy_of(json_object_get(row, "in")), pool);
    judge(row, err, read, json_object_get(row, "out"));
    if (err) return;
    err = oks_scim_read(&again, kind_of(row), read, pool);
    judge(row, err, again, read);
}

static void reads(void **state)
{
    run_all("reads", read_one);
}

/* ---- Filters, sorting, attributes ---- */

static void filter_one(const json_t *row)
{
    oks_scim_filter_t *filter = NULL;
    json_t *found = oks_json_own(json_array(), pool), *each;
    size_t i;
    oks_scim_work_t work;
    oks_err_t *err = oks_scim_filter_parse(&filter, &oks_scim_user, oks_span_z(oks_json_string(row, "filter")), pool);
    oks_scim_work_begin(&work, OKS_SCIM_SEARCH_WORK_MAX, pool);
    if (!err)
        json_array_foreach(json_object_get(vectors, "people"), i, each) {
            bool matches;
            assert_null(oks_scim_filter_matches(&matches, filter, each, &work));
            if (matches) json_array_append_new(found, json_integer((json_int_t)i));
        }
    judge(row, err, found, json_object_get(row, "matches"));
}

static void sort_one(const json_t *row)
{
    json_t *list = copy_of(json_object_get(vectors, "people")), *order = oks_json_own(json_array(), pool), *each;
    size_t i;
    oks_err_t *err = oks_scim_sort(list, &oks_scim_user, oks_span_z(oks_json_string(row, "by")),
                                   json_is_true(json_object_get(row, "descending")), pool);
    json_array_foreach(list, i, each) json_array_append_new(order, json_integer(atoi(oks_json_string(each, "id")) - 1));
    judge(row, err, order, json_object_get(row, "order"));
}

/* What is kept of a resource is enough to order it. */
static void sort_reduced(const json_t *row)
{
    json_t *list = oks_json_own(json_array(), pool), *order = oks_json_own(json_array(), pool), *each, *reduced;
    oks_span_t by = oks_span_z(oks_json_string(row, "by"));
    oks_err_t *err = NULL;
    size_t i;
    json_array_foreach(json_object_get(vectors, "people"), i, each) {
        if (err || (err = oks_scim_reduce(&reduced, each, &oks_scim_user, by, pool)) != NULL) break;
        assert_in_range(json_object_size(reduced), 2, 3);
        json_array_append_new(list, reduced);
    }
    if (!err) err = oks_scim_sort(list, &oks_scim_user, by, json_is_true(json_object_get(row, "descending")), pool);
    json_array_foreach(list, i, each) json_array_append_new(order, json_integer(atoi(oks_json_string(each, "id")) - 1));
    judge(row, err, order, json_object_get(row, "order"));
}

static void project_one(const json_t *row)
{
    json_t *resource = copy_of(json_object_get(vectors, "whole"));
    oks_scim_project(resource, &oks_scim_user, oks_span_z(oks_json_string(row, "attributes")),
                     oks_span_z(oks_json_string(row, "excluded")), pool);
    judge(row, NULL, resource, json_object_get(row, "out"));
}

static void filters_sorts_and_attributes(void **state)
{
    run_all("filters", filter_one);
    run_all("sorts", sort_one);
    run_all("sorts", sort_reduced);
    run_all("projections", project_one);
}

/* Which filters go by an index. */
static void filters_that_are_one_comparison(void **state)
{
    static const char *const filters[][3] = {
        { "userName eq \"x\"", "userName", "x" }, { "emails eq \"x\"", "emails.value", "x" }, { "emails.value eq \"x\"", "emails.value", "x" },
        { "emails[value eq \"x\"]", "emails.value", "x" }, { "emails[type eq \"x\"]", "emails.type", "x" }, { "id eq \"x\"", "id", "x" },
        { "userName ne \"x\"", NULL, NULL }, { "active eq true", NULL, NULL }, { "unknown eq \"x\"", NULL, NULL },
        { OKS_SCIM_SCHEMA_ENTERPRISE ":department eq \"x\"", NULL, NULL }, { "userName eq \"x\" or title pr", NULL, NULL },
        { "emails[value eq \"x\" and type pr]", NULL, NULL }, { "name[familyName eq \"x\"]", "name.familyName", "x" },
    };
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        oks_scim_filter_t *filter;
        const char *path, *text;
        assert_null(oks_scim_filter_parse(&filter, &oks_scim_user, oks_span_z(filters[i][0]), pool));
        bool is = oks_scim_filter_is_equal(&path, &text, filter, pool);
        if (is != (filters[i][1] != NULL)) fail_msg("%s", filters[i][0]);
        if (is) assert_string_equal(path, filters[i][1]);
        if (is) assert_string_equal(text, filters[i][2]);
    }
}

/* ---- Limits ---- */

static void refused_as(oks_err_t *err, oks_reason_t reason)
{
    assert_non_null(err);
    if (err->reason != reason) fail_msg("%s", oks_err_text(err, pool));
}

static json_t *values(int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(list, json_pack("{s:s}", "value", apr_psprintf(pool, "%d@a.example", i)));
    return list;
}

static char *repeated(char c, apr_size_t count)
{
    char *text = apr_palloc(pool, count + 1);
    memset(text, c, count);
    text[count] = '\0';
    return text;
}

static void limits(void **state)
{
    json_t *user = oks_json_own(json_pack("{s:s, s:o}", "userName", "x", "emails", values(OKS_SCIM_VALUES_MAX)), pool), *read;
    oks_scim_filter_t *filter;
    assert_null(oks_scim_read(&read, &oks_scim_user, user, pool));
    json_t *more = oks_json_own(json_pack("{s:[{s:s, s:s, s:[s]}]}", "Operations", "op", "add", "path", "emails", "value", "more"), pool);
    refused_as(oks_scim_patch(user, &oks_scim_user, more, pool), OKS_R_SCIM_VALUE_INVALID);
    json_t *made = oks_json_own(json_pack("{s:[{s:s, s:s, s:s}]}", "Operations", "op", "add", "path", "emails[type eq \"fax\"].value",
                                          "value", "more"), pool);
    refused_as(oks_scim_patch(user, &oks_scim_user, made, pool), OKS_R_SCIM_VALUE_INVALID);
    json_object_set_new(user, "emails", values(OKS_SCIM_VALUES_MAX + 1));
    refused_as(oks_scim_read(&read, &oks_scim_user, user, pool), OKS_R_SCIM_VALUE_INVALID);
    json_t *operations = json_array();
    for (int i = 0; i <= OKS_SCIM_OPERATIONS_MAX; i++) json_array_append_new(operations, json_pack("{s:s, s:s}", "op", "remove", "path", "title"));
    json_t *many = oks_json_own(json_pack("{s:o}", "Operations", operations), pool);
    refused_as(oks_scim_patch(user, &oks_scim_user, many, pool), OKS_R_SCIM_BODY_MALFORMED);
    json_t *long_text = oks_json_own(json_pack("{s:s}", "userName", repeated('x', OKS_SCIM_VALUE_MAX + 1)), pool);
    refused_as(oks_scim_read(&read, &oks_scim_user, long_text, pool), OKS_R_SCIM_VALUE_INVALID);
    const char *long_filter = apr_pstrcat(pool, "userName eq \"", repeated('x', OKS_SCIM_FILTER_MAX), "\"", NULL);
    refused_as(oks_scim_filter_parse(&filter, &oks_scim_user, oks_span_z(long_filter), pool), OKS_R_SCIM_FILTER_INVALID);
    refused_as(oks_scim_filter_parse(&filter, &oks_scim_user, oks_span_z("userName eq \"\xff\""), pool), OKS_R_SCIM_FILTER_INVALID);
}

static void refused_for_its_work(oks_err_t *err, oks_reason_t reason, const char *detail)
{
    refused_as(err, reason);
    assert_string_equal(err->detail, detail);
}

/* Comparisons of one PATCH: many values with many values, again and again. */
static void work_of_a_patch(void **state)
{
    static const char too_much[] = "too much to compare for one PATCH";
    json_t *user = oks_json_own(json_pack("{s:s, s:o}", "userName", "x", "emails", values(OKS_SCIM_VALUES_MAX)), pool);
    json_t *operations = json_array(), *list = values(OKS_SCIM_VALUES_MAX);
    for (int i = 0; i < 100; i++)
        json_array_append_new(operations, json_pack("{s:s, s:s, s:O}", "op", i % 2 ? "remove" : "add", "path", "emails", "value", list));
    json_decref(list);
    json_t *heavy = oks_json_own(json_pack("{s:o}", "Operations", operations), pool);
    refused_for_its_work(oks_scim_patch(user, &oks_scim_user, heavy, pool), OKS_R_SCIM_VALUE_INVALID, too_much);
}

/* `count` removals of what equals the text, or (NULL) of one address each, from a user with as many addresses as there may be. */
static oks_err_t *remove_by_filter(json_t **user, int count, const char *attr, const char *text)
{
    json_t *operations = json_array();
    *user = oks_json_own(json_pack("{s:s, s:o}", "userName", "x", "emails", values(OKS_SCIM_VALUES_MAX)), pool);
    for (int i = 0; i < count; i++) {
        const char *path = apr_pstrcat(pool, attr, "[value eq \"", text ? text : apr_psprintf(pool, "%d@a.example", i), "\"]", NULL);
        json_array_append_new(operations, json_pack("{s:s, s:s}", "op", "remove", "path", path));
    }
    return oks_scim_patch(*user, &oks_scim_user, oks_json_own(json_pack("{s:o}", "Operations", operations), pool), pool);
}

/* The filter's text counts as the values do. So few of a long one are refused, while a short one may take each value by itself. */
static void work_of_a_patch_by_filters(void **state)
{
    static const char too_much[] = "too much to compare for one PATCH";
    json_t *user;
    char *letters = repeated('\xa9', OKS_SCIM_FILTER_MAX - 100);
    for (size_t i = 0; letters[i]; i += 2) letters[i] = '\xc3'; /* each is two bytes that are folded */
    assert_null(remove_by_filter(&user, 1, "emails", letters));
    refused_for_its_work(remove_by_filter(&user, 35, "emails", letters), OKS_R_SCIM_VALUE_INVALID, too_much);
    assert_null(remove_by_filter(&user, OKS_SCIM_VALUES_MAX, "emails", NULL));
    assert_null(json_object_get(user, "emails"));
    refused_for_its_work(remove_by_filter(&user, OKS_SCIM_OPERATIONS_MAX, "photos", letters), OKS_R_SCIM_VALUE_INVALID,
                         too_much); /* it has none, but the text is folded */
}

/* Asks one group of so many members, each of them with a name of 10 letters. */
static oks_err_t *ask_members(bool *matches, int members, const char *text)
{
    oks_scim_filter_t *filter;
    oks_scim_work_t work;
    json_t *list = json_array(), *member = json_pack("{s:s, s:s}", "value", "0123", "display", "Somebody00");
    for (int i = 0; i < members; i++) json_array_append(list, member);
    json_decref(member);
    json_t *group = oks_json_own(json_pack("{s:s, s:o}", "displayName", "G", "members", list), pool);
    assert_null(oks_scim_filter_parse(&filter, &oks_scim_group, oks_span_z(text), pool));
    oks_scim_work_begin(&work, OKS_SCIM_SEARCH_WORK_MAX, pool);
    return oks_scim_filter_matches(matches, filter, group, &work);
}

/* Members may be a million; a comparison with each of them is not too much, as long as its text is not long. */
static void work_of_a_search(void **state)
{
    static const char too_much[] = "too much to compare for one search";
    bool matches;
    const char *text = repeated('z', OKS_SCIM_FILTER_MAX - 100);
    assert_null(ask_members(&matches, 1000000, "members.value eq \"0123456789abcdef0123456789abcdef\""));
    assert_false(matches);
    assert_null(ask_members(&matches, 20000, apr_pstrcat(pool, "members.display co \"", text, "\"", NULL)));
    refused_for_its_work(ask_members(&matches, 100000, apr_pstrcat(pool, "members.display co \"", text, "\"", NULL)),
                         OKS_R_SCIM_FILTER_TOO_MANY, too_much);
    text = "members.display co \"zz\"";
    for (int i = 1; i < OKS_SCIM_FILTER_TERMS_MAX; i++) text = apr_pstrcat(pool, text, " or members.display co \"zz\"", NULL);
    assert_null(ask_members(&matches, 20000, text));
    refused_for_its_work(ask_members(&matches, 1000000, text), OKS_R_SCIM_FILTER_TOO_MANY, too_much);
}

/* As many names of sub-attributes as one may write, for as many members as there may be: it took seconds. */
static void work_of_a_projection(void **state)
{
    apr_array_header_t *names = apr_array_make(pool, 256, sizeof(const char *));
    json_t *members = json_array();
    for (int i = 0; i < OKS_SCIM_NAMES_MAX; i++) APR_ARRAY_PUSH(names, const char *) = i ? "members.none" : "members.value";
    const char *text = apr_array_pstrcat(pool, names, ',');
    assert_null(oks_scim_check_projection(oks_span_z(text), pool));
    assert_null(oks_scim_check_projection(oks_span(NULL, 0), pool));
    refused_as(oks_scim_check_projection(oks_span_z(apr_pstrcat(pool, text, ",", NULL)), pool), OKS_R_SCIM_VALUE_INVALID);
    for (int i = 0; i < 200000; i++)
        json_array_append_new(members, json_pack("{s:s, s:s, s:s, s:s}", "value", "1", "display", "2", "type", "3", "$ref", "4"));
    json_t *group = oks_json_own(json_pack("{s:s, s:o}", "id", "1", "members", members), pool);
    const clock_t start = clock();
    oks_scim_project(group, &oks_scim_group, oks_span_z(text), oks_span(NULL, 0), pool);
    assert_true(clock() - start < 3 * CLOCKS_PER_SEC);
    assert_int_equal(json_object_size(json_array_get(members, 199999)), 1);
}

/* Names that a hash of APR's cannot tell apart, whatever its seed: '[' is 33 less than '|'. A million and a half bytes took half a
 * minute; now far less than a second. */
static void names_that_are_chosen_alike(void **state)
{
    enum { BITS = 16 };
    json_t *object = oks_json_own(json_object(), pool);
    for (int i = 0; i < 1 << BITS; i++) {
        char name[2 * BITS + 1] = "";
        for (int k = 0; k < BITS; k++) memcpy(name + 2 * k, i >> k & 1 ? "b[" : "a|", 3);
        json_object_set_new(object, name, json_null());
    }
    const clock_t start = clock();
    assert_null(oks_scim_check_names(object, pool));
    assert_true(clock() - start < 4 * CLOCKS_PER_SEC);
}

/* ---- What the service says of itself ---- */

static void documents(void **state)
{
    json_t *config = oks_json_own(oks_scim_service_provider_config("https://x/v2"), pool);
    assert_string_equal(oks_json_string(json_object_get(config, "meta"), "location"), "https://x/v2/ServiceProviderConfig");
    json_t *schemas = oks_json_own(oks_scim_schemas("https://x/v2", NULL), pool);
    assert_int_equal(json_integer_value(json_object_get(schemas, "totalResults")), 3);
    json_t *user = oks_json_own(oks_scim_schemas("https://x/v2", OKS_SCIM_SCHEMA_USER), pool);
    assert_string_equal(oks_json_string(user, "name"), "User");
    json_t *group = oks_json_own(oks_scim_resource_types("https://x/v2", "Group"), pool);
    assert_string_equal(oks_json_string(group, "endpoint"), "/Groups");
    assert_null(oks_scim_schemas("https://x/v2", "urn:none"));
    assert_null(oks_scim_resource_types("https://x/v2", "Device"));
    json_t *types = oks_json_own(oks_scim_resource_types("https://x/v2", NULL), pool);
    assert_int_equal(json_array_size(json_object_get(types, "Resources")), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patches), cmocka_unit_test(reads), cmocka_unit_test(filters_sorts_and_attributes),
        cmocka_unit_test(filters_that_are_one_comparison), cmocka_unit_test(limits), cmocka_unit_test(work_of_a_patch),
        cmocka_unit_test(work_of_a_patch_by_filters), cmocka_unit_test(work_of_a_search), cmocka_unit_test(documents),
        cmocka_unit_test(names_that_are_chosen_alike), cmocka_unit_test(work_of_a_projection),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
