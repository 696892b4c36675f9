/* The check of a protected request: ticket, deadlines, record. The hot path: with the record in memory it reads
 * three counters and makes no system call. */
#include <stdatomic.h>
#include <string.h>

#include "flow_private.h"

static apr_status_t release_record(void *record)
{
    oks_record_release(record);
    return APR_SUCCESS;
}

/* One read of the directory. The counters are taken before it, so that a write in between is seen next time. */
static oks_err_t *load_record(const oks_record_t **record, const oks_flow_t *flow, const oks_org_t *org, const oks_id_t *id,
                              const oks_id_t *user, apr_time_t now, apr_pool_t *pool)
{
    uint32_t seen_session = oks_counter_get(flow->counters, oks_counter_of_session(id));
    uint32_t seen_user = oks_counter_get(flow->counters, oks_counter_of_user(user));
    uint32_t seen_org = oks_counter_get(flow->counters, oks_counter_of_org(org->name));

    oks_session_t *session;
    OKS_TRY(oks_directory_session(&session, flow->directory, id, now, pool));
    if (memcmp(&session->user, user, sizeof *user) != 0)
        return oks_err(pool, OKS_R_DIRECTORY_SESSION_ABSENT, "the session is of another user than the ticket");

    oks_record_t *draft;
    OKS_TRY(oks_flow_render(&draft, org, session, pool));
    OKS_TRY(oks_flow_check_addresses(flow, org, draft, pool));
    draft->seen_session = seen_session;
    draft->seen_user = seen_user;
    draft->seen_org = seen_org;
    draft->org_version = org->version;
    *record = oks_cache_put(flow->cache, draft);
    if (!*record) return oks_err(pool, OKS_R_INTERNAL, "out of memory for a session record");
    return NULL;
}

/* Has the directory said nothing for longer than its grace? Then what is in memory is true no more. */
static bool is_deaf(const oks_flow_t *flow, apr_time_t now)
{
    int64_t followed = flow->followed ? atomic_load_explicit(flow->followed, memory_order_relaxed) : 0;
    return followed && now - followed > flow->grace;
}

oks_err_t *oks_flow_find_session(oks_pass_t *pass, const oks_flow_t *flow, const oks_org_t *org, const oks_id_t *session,
                                 const oks_id_t *user, apr_time_t now, apr_pool_t *pool)
{
    const oks_record_t *record = oks_cache_get(flow->cache, flow->counters, session);
    /* Roles and headers may be others; or somebody was switched off, and nobody here could hear of it. */
    if (record && (record->org_version != org->version || is_deaf(flow, now))) {
        oks_record_release(record);
        record = NULL;
    }
    if (!record) OKS_TRY(load_record(&record, flow, org, session, user, now, pool));
    apr_pool_cleanup_register(pool, record, release_record, apr_pool_cleanup_null);
    if (strcmp(record->org, org->name) != 0 || strcmp(record->vhost, flow->vhost) != 0)
        return oks_err(pool, OKS_R_DIRECTORY_SESSION_ABSENT, "the session is of another organization or virtual host");
    if (record->expires <= now) return oks_err(pool, OKS_R_FLOW_SESSION_EXPIRED, "the session's last deadline has passed");
    pass->record = record;
    pass->user = oks_record_field(record, "user");
    if (!pass->user || !*pass->user) /* SECURITY.md 1: an identity with an empty user is no identity */
        return oks_flow_no_user(org, pool);
    return oks_local_check_session(org, record, pass->user, pool);
}

/* Sliding idle time: a new ticket when more than a tenth of the idle time has gone. Nothing is written. */
static oks_err_t *slide(oks_pass_t *pass, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                        const oks_ticket_t *ticket, apr_pool_t *pool)
{
    if (request->now - ticket->issued <= org->session.idle / 10) return NULL;
    oks_ticket_t next = *ticket;
    oks_ticket_issue(&next, org, request->now);
    return oks_flow_ticket_cookie(&pass->set_cookie, flow, org, request, &next, pool);
}

oks_err_t *oks_flow_check(oks_pass_t *pass, const oks_flow_t *flow, const oks_org_t *org,
                          const oks_request_t *request, apr_pool_t *pool)
{
    oks_ticket_t ticket;
    memset(pass, 0, sizeof *pass);
    if (!oks_flow_ticket_read(&ticket, flow, org, request)) return oks_err(pool, OKS_R_FLOW_SESSION_NONE, NULL);
    if (ticket.idle_until <= request->now || ticket.last_until <= request->now)
        return oks_err(pool, OKS_R_FLOW_SESSION_EXPIRED, "%s",
                       ticket.last_until <= request->now ? "last deadline" : "idle deadline");
    OKS_TRY(oks_flow_find_session(pass, flow, org, &ticket.session, &ticket.user, request->now, pool));
    if (request->demand) OKS_TRY(oks_demand_check_session(request->demand, pass->record, request->now, org->skew, pool));
    return slide(pass, flow, org, request, &ticket, pool);
}
