/* JSON from others: jansson with limits, and what to read of it. */
#ifndef OKTASSO_JSON_H
#define OKTASSO_JSON_H

#include <jansson.h>

#include "oktasso/base.h"

#define OKS_JSON_DEPTH_MAX 32            /* nested arrays and objects */
#define OKS_JSON_CONTAINERS_MAX 250000   /* of them in all: each takes some hundred bytes */
#define OKS_JSON_VALUES_MAX 1000000      /* and what stands in them */

/* Once per process. From then on it ends where memory for JSON does, as APR's pools end it: jansson would leave out what does not
 * fit, and half a resource would be written. */
void oks_json_init(void);
/* One JSON object (RFC 8259) of at most `max` bytes, in UTF-8, without a repeated name, without NUL, and without a number that
 * overflows. Freed with `pool`. base.json.malformed, whose detail quotes nothing of the text; base.json.too_large. */
oks_err_t *oks_json_parse(json_t **object, oks_span_t text, apr_size_t max, apr_pool_t *pool) OKS_MUST_USE;
/* The member when it is a string; NULL when it is absent or something else. It lives as long as the object. */
const char *oks_json_string(const json_t *object, const char *name);
/* Gives the reference to `pool`, which lets go of it when it is cleared. */
json_t *oks_json_own(json_t *json, apr_pool_t *pool);
/* Compact text, in `pool`; takes the reference. NULL when memory is out. */
const char *oks_json_text(json_t *json, apr_pool_t *pool);
/* The same, with \uXXXX for whatever is not ASCII. */
const char *oks_json_ascii(json_t *json, apr_pool_t *pool);

#endif
