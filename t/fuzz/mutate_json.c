/* See mutate.h. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "mutate.h"

/* Of libFuzzer; a replay has none, and mutates nothing. */
__attribute__((weak)) size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);

#define VALUES_MAX 512
#define TEXT_MAX 128
typedef struct values_t {
    json_t *in[VALUES_MAX]; /* the array or object that a value is in, */
    const char *key[VALUES_MAX]; /* and where: in an object, */
    size_t at[VALUES_MAX]; /* or in an array */
    unsigned count, seed;
} values_t;

static void collect(values_t *values, json_t *in)
{
    const char *key;
    json_t *each;
    size_t i;
    json_object_foreach(in, key, each) {
        if (values->count == VALUES_MAX) return;
        values->in[values->count] = in;
        values->key[values->count++] = key;
        collect(values, each);
    }
    json_array_foreach(in, i, each) {
        if (values->count == VALUES_MAX) return;
        values->in[values->count] = in;
        values->at[values->count++] = i;
        collect(values, each);
    }
}

static json_t *get(const values_t *values, unsigned n)
{
    return json_is_object(values->in[n]) ? json_object_get(values->in[n], values->key[n])
                                         : json_array_get(values->in[n], values->at[n]);
}

/* Takes the value; NULL removes what is there. */
static void put(const values_t *values, unsigned n, json_t *value)
{
    json_t *in = values->in[n];
    if (json_is_object(in) && value) json_object_set_new(in, values->key[n], value);
    else if (json_is_object(in)) json_object_del(in, values->key[n]);
    else if (value) json_array_set_new(in, values->at[n], value);
    else json_array_remove(in, values->at[n]);
}

static json_t *changed_text(const json_t *now)
{
    char text[TEXT_MAX];
    size_t len = json_string_length(now);
    if (len > TEXT_MAX) len = TEXT_MAX;
    memcpy(text, json_is_string(now) ? json_string_value(now) : "", len);
    len = LLVMFuzzerMutate((uint8_t *)text, len, TEXT_MAX);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || (unsigned char)text[i] > 0x7e) text[i] = ' ';
    return json_stringn(text, len);
}

static void change(values_t *values)
{
    unsigned one = mutate_draw(&values->seed, values->count), other = mutate_draw(&values->seed, values->count);
    json_t *copy = json_deep_copy(get(values, other));
    switch (mutate_draw(&values->seed, 6)) {
    case 0: put(values, one, copy); return;
    case 1: put(values, one, NULL); break;
    case 2: put(values, one, changed_text(get(values, one))); break;
    case 3: /* another one of the same list */
        if (json_is_array(values->in[one])) json_array_append(values->in[one], copy);
        break;
    case 4: /* under a name that stands elsewhere */
        if (json_is_object(values->in[one]) && json_is_object(values->in[other]))
            json_object_set(values->in[one], values->key[other], copy);
        break;
    default: put(values, one, mutate_draw(&values->seed, 2) ? json_boolean(mutate_draw(&values->seed, 2)) : mutate_draw(&values->seed, 2) ? json_null() : json_array());
    }
    json_decref(copy);
}

size_t mutate_json(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    values_t values = { .seed = seed };
    if (!LLVMFuzzerMutate) return size;
    json_t *json = seed % 4 ? json_loadb((const char *)data, size, 0, NULL) : NULL;
    if (!json) return LLVMFuzzerMutate(data, size, max);
    for (unsigned times = 1 + mutate_draw(&values.seed, 3); times; times--) {
        values.count = 0;
        collect(&values, json);
        if (values.count) change(&values);
    }
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(json);
    size_t len = text ? strlen(text) : 0;
    bool fits = len && len <= max;
    if (fits) memcpy(data, text, len);
    free(text);
    return fits ? len : LLVMFuzzerMutate(data, size, max);
}
