/* What the files of the room httpd share at run time. */
#ifndef OKTASSO_HTTPD_MODULE_H
#define OKTASSO_HTTPD_MODULE_H

#include "conf.h"

#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>

#define OKS_HTTPD_AUTH_TYPE "OktaSSO"

/* What is known of one request; made when it is read, before anything else. */
typedef struct oks_request_note_t {
    const char *cookies;      /* the Cookie header as received; ours are gone from headers_in */
    const char *password;     /* the Authorization header of a local account, once it's gone from headers_in */
    const char *own;          /* below OktaSSOPath: the rest of the path; else NULL */
    const oks_pass_t *pass;   /* the identity, once the check has passed */
    const apr_array_header_t *headers; /* oks_header_t: under which names it goes out */
    const oks_org_t *org;     /* of this Location, once found */
    const char *assertion;    /* the signed identity, where a header of it goes out */
    bool type_known, ours;    /* is AuthType ours? */
    bool judging;             /* our own auth_checker is waiting for httpd's */
} oks_request_note_t;

/* request.c */
oks_request_note_t *oks_httpd_note(request_rec *r);
int oks_httpd_read_request(request_rec *r);          /* post_read_request */
int oks_httpd_pre_translate(request_rec *r);         /* pre_translate_name */
int oks_httpd_translate(request_rec *r);             /* translate_name */
int oks_httpd_map_to_storage(request_rec *r);
int oks_httpd_fixup(request_rec *r);                 /* before and after other modules' fixups */
int oks_httpd_fixup_last(request_rec *r);
int oks_httpd_handle(request_rec *r);
void oks_httpd_scrub(request_rec *r);
void oks_httpd_apply(request_rec *r, const oks_request_note_t *note);

/* value.c: request -> value, answer -> request */
/* What the check of a session needs (the hot path); the rest is for answers of ours. */
void oks_httpd_value(oks_request_t *value, request_rec *r);
void oks_httpd_value_rest(oks_request_t *value, request_rec *r);
/* OktaSSOBaseURL, else ServerName with the connection's scheme and port. Never from Host or X-Forwarded-*. */
const char *oks_httpd_base_url(const request_rec *r);
void oks_httpd_log(request_rec *r, const oks_answer_t *answer, const char *id);
/* Writes the answer; DONE, or the bare status for a sub-request (which must not write). */
int oks_httpd_send(request_rec *r, const oks_answer_t *answer, const char *id);

/* audit.c */
int oks_httpd_open_logs(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *main_server); /* open_logs */
void oks_httpd_audit(request_rec *r, const oks_answer_t *answer, const char *id);

/* auth.c */
int oks_httpd_check_authn(request_rec *r);
int oks_httpd_check_access(request_rec *r);
int oks_httpd_forget_user(request_rec *r);           /* first in check_access and check_access_ex */
int oks_httpd_check_access_ex(request_rec *r);
int oks_httpd_check_authz(request_rec *r);
/* The page of a refusal; org may be NULL. */
int oks_httpd_refuse(request_rec *r, const char *org, const oks_err_t *err);

/* local.c */
oks_password_t oks_httpd_check_password(void *r, const oks_org_t *org, const char *user, const char *password);
/* The session of HTTP Basic credentials, where there is none of a cookie; else `refusal`, or a better reason. */
oks_err_t *oks_httpd_check_basic(oks_pass_t *pass, const oks_flow_t *flow, const oks_org_t *org, oks_request_t *value,
                                 request_rec *r, oks_err_t *refusal) OKS_MUST_USE;
/* No backend needs the password any more. `header`: the Authorization header that it came in, or NULL. */
void oks_httpd_hide_password(request_rec *r, const char *header);
/* The organization that requires SSO and was got around by another AuthType; or NULL. */
const oks_org_t *oks_httpd_bypassed(request_rec *r);

/* authz.c */
void oks_httpd_register_authz(apr_pool_t *pool);

/* runtime.c */
/* From here to oks_httpd_as_root(), as httpd's User: what this User owns, or may have put there, is not for root to open. True when
 * there is something to go back to. */
bool oks_httpd_as_user(void);
void oks_httpd_as_root(bool lowered);
int oks_httpd_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
void oks_httpd_child_init(apr_pool_t *pchild, server_rec *s);
/* OktaSSOCertificateOverlap */
apr_interval_time_t oks_httpd_certificate_overlap(const server_rec *main_server);
const oks_flow_t *oks_httpd_flow(const request_rec *r); /* NULL: this child could not start */
/* Shared by all children, of two generations, too, as the counters are: so a child that takes the background work over goes on
 * where the one before it ended. */
typedef struct oks_change_log_t {
    _Atomic int64_t followed;    /* see oks_flow_t */
    _Atomic int64_t sequence;    /* see oks_directory_follow() */
} oks_change_log_t;
typedef struct oks_runtime_t {
    const char *directory_spec;
    const oks_keyring_t *keys;
    oks_counters_t *counters;
    oks_limiter_t *limiter;
    oks_change_log_t *log;
    oks_directory_t *directory;  /* in children */
} oks_runtime_t;
extern oks_runtime_t oks_httpd_runtime; /* written at start and in child_init alone */

/* watchdog.c */
int oks_httpd_watchdog_start(server_rec *s, apr_pool_t *pconf);
void oks_httpd_watchdog_child(apr_pool_t *pchild); /* after mod_watchdog's child_init: ends before its thread is waited for */

#endif
