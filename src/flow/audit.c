/* A decision as a line of the audit log. */
#include <string.h>

#include "flow_private.h"

#define VALUE_MAX 254 /* bytes: so a whole line goes through a pipe at once */

/* Whatever somebody sent must not keep a line from being written. */
static void add(json_t *object, const char *name, const char *value, apr_pool_t *pool)
{
    if (!value || !*value) return;
    json_t *text = strlen(value) <= VALUE_MAX ? json_string(value) : NULL;
    json_object_set_new(object, name, text ? text : json_string(oks_log_escape(oks_span_z(value), VALUE_MAX, pool)));
}

/* Of a login that failed twice, say, the reason it failed for. */
static const char *detail_of(const oks_err_t *err, apr_pool_t *pool)
{
    return err->detail || !err->cause ? err->detail : oks_err_text(err->cause, pool);
}

const char *oks_flow_audit_line(const oks_answer_t *answer, const oks_audit_t *facts, apr_pool_t *pool)
{
    json_t *line = json_object();
    add(line, "time", oks_time_format(facts->now, pool), pool);
    add(line, "event", answer->event, pool);
    json_object_set_new(line, "status", json_integer(answer->status));
    add(line, "org", answer->org, pool);
    add(line, "user", answer->user, pool);
    add(line, "group", answer->group, pool);
    add(line, "token", answer->token, pool);
    if (answer->err) {
        add(line, "reason", oks_reason_info(answer->err->reason)->code, pool);
        add(line, "detail", detail_of(answer->err, pool), pool);
    }
    add(line, "client", facts->client, pool);
    add(line, "server", facts->server, pool);
    add(line, "request", facts->request, pool);
    const char *text = oks_json_ascii(line, pool); /* no character that a terminal or a viewer acts upon */
    return text ? text : "{}";
}
