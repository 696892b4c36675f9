/* directory: users, sessions, one-time claims, documents over SQL (apr_dbd); the generation counters; the record cache. */
#ifndef OKTASSO_DIRECTORY_H
#define OKTASSO_DIRECTORY_H

#include <stdatomic.h>

#include "oktasso/json.h"

/* The protocols of sessions that no identity provider began, which are the kinds of their accounts, too. */
#define OKS_PROTOCOL_LOCAL "local"
#define OKS_PROTOCOL_BREAK_GLASS "break-glass"

#define OKS_ID_LEN 16 /* bytes of a session or user id: random, never reused */

typedef struct oks_id_t { unsigned char bytes[OKS_ID_LEN]; } oks_id_t;

/* ---- Generation counters: one block of shared memory, see DESIGN.md 1 ------------------------------------- */

#define OKS_COUNTERS 65536
typedef struct oks_counters_t { _Atomic uint32_t slot[OKS_COUNTERS]; } oks_counters_t; /* zeroed shared memory */

/* The counter a thing hashes to. Ids are already random; names are hashed. */
uint32_t oks_counter_of_session(const oks_id_t *session);
uint32_t oks_counter_of_user(const oks_id_t *user);
uint32_t oks_counter_of_org(const char *org);
uint32_t oks_counter_of_document(const char *key);
uint32_t oks_counter_get(const oks_counters_t *counters, uint32_t index);
void oks_counter_add(oks_counters_t *counters, uint32_t index);

/* ---- The directory ---------------------------------------------------------------------------------------- */

typedef struct oks_directory_t oks_directory_t; /* safe for all threads of a process; never carried over fork() */

/* Opens `spec` ("sqlite3:/PATH"), with at most `connections` at a time; nothing is opened before the first use.
 * Every failure of the database, here and below, is OKS_R_DIRECTORY_UNAVAILABLE (an answer of 503), never "absent". */
oks_err_t *oks_directory_open(oks_directory_t **directory, const char *spec, int connections,
                              oks_counters_t *counters, apr_pool_t *pool) OKS_MUST_USE;
/* Brings the schema up to date, forward only, in a transaction; one that is up to date is only read. A schema newer than this code
 * knows is OKS_R_DIRECTORY_SCHEMA_NEWER. Call once per start, before children exist; close (clear the pool) before fork. */
oks_err_t *oks_directory_migrate(oks_directory_t *directory, apr_pool_t *pool) OKS_MUST_USE;

#define OKS_PROFILE_GROUPS_MAX 1000 /* groups of one user */

/* What an assertion says of a person, after the organization's attribute mapping and sanitizing. */
typedef struct oks_profile_t {
    const char *subject;         /* the IdP's stable name: SAML NameID, OIDC sub */
    const char *email;           /* "" when unknown */
    const char *first_name;
    const char *last_name;
    const char *name;
    apr_array_header_t *groups;  /* const char * */
    apr_table_t *extra;          /* other fields by name; may be NULL */
    const char *pushed_role;     /* of a group that SCIM has pushed; or NULL */
} oks_profile_t;

typedef enum oks_provisioning_t { OKS_PROVISIONING_JIT, OKS_PROVISIONING_SCIM, OKS_PROVISIONING_OFF } oks_provisioning_t;

/* One sign-in to be written. */
typedef struct oks_login_t {
    const char *org;
    const char *vhost;           /* the virtual host's identity, see flow.h */
    const oks_profile_t *profile;
    const char *account_kind;    /* OKS_PROTOCOL_…: a local account, whose name is no identity provider's subject; NULL: SSO */
    bool keep_profile;           /* the profile only says who: a record that is there keeps its own */
    oks_provisioning_t provisioning;
    const char *claim;           /* one-time value: hashed with the organization before it is a key */
    apr_time_t claim_until;
    oks_id_t session;            /* fresh */
    oks_id_t new_user;           /* fresh: used when a record is created */
    const oks_id_t *replaces;    /* a session that ends when this one begins; or NULL */
    const char *protocol;        /* "saml", "oidc" */
    const char *subject_format;  /* for logout */
    const char *session_index;   /* or NULL */
    const char *authn_context;   /* or NULL */
    apr_time_t authn_instant;
    apr_time_t now;
    apr_time_t expires;          /* the session's last deadline */
} oks_login_t;

/* Claims the assertion, creates or updates the user, writes the session: one transaction, then the counters.
 * The user is the one of this organization with that subject (byte for byte), else with that email (without regard
 * to the case of ASCII letters).
 * Reasons: OKS_R_DIRECTORY_CLAIM_USED (replay), OKS_R_DIRECTORY_USER_INACTIVE, OKS_R_DIRECTORY_USER_UNKNOWN
 * (provisioning forbids creating), OKS_R_DIRECTORY_USER_CONFLICT (subject and email belong to two records),
 * OKS_R_DIRECTORY_SUBJECT_CHANGED (the email belongs to a record of another subject, and SCIM does not say that it is this one's;
 * or SCIM says that it is another Okta user's), OKS_R_DIRECTORY_UNAVAILABLE. After any of them nothing has changed. */
oks_err_t *oks_directory_login(oks_id_t *user, oks_directory_t *directory, const oks_login_t *login, apr_pool_t *pool)
    OKS_MUST_USE;

/* Forgets the subject of the user with this userName or address, or of all who are active (NULL): the next login that has it brings
 * its own, and ends the user's sessions. *count: of how many. */
oks_err_t *oks_directory_relink(int *count, oks_directory_t *directory, const char *org, const char *name,
                                apr_pool_t *pool) OKS_MUST_USE;

/* Has anybody of the organization ever signed in through its identity provider? */
oks_err_t *oks_directory_has_login(bool *has, oks_directory_t *directory, const char *org, apr_pool_t *pool) OKS_MUST_USE;

/* A session joined with its user. */
typedef struct oks_session_t {
    oks_id_t id;
    oks_id_t user;
    const char *org;
    const char *vhost;
    const char *protocol;
    const char *subject_format;
    const char *session_index;   /* or NULL */
    const char *authn_context;   /* or NULL */
    apr_time_t authn_instant;
    apr_time_t created;
    apr_time_t expires;
    const oks_profile_t *profile;
} oks_session_t;

/* One indexed read. OKS_R_DIRECTORY_SESSION_ABSENT when there is none, it has expired at `now`, or its user is gone;
 * OKS_R_DIRECTORY_USER_INACTIVE when the user was deactivated. */
oks_err_t *oks_directory_session(oks_session_t **session, oks_directory_t *directory, const oks_id_t *id,
                                 apr_time_t now, apr_pool_t *pool) OKS_MUST_USE;
/* Ends one session; ending one that is not there is no error. */
oks_err_t *oks_directory_session_end(oks_directory_t *directory, const oks_id_t *id, apr_pool_t *pool) OKS_MUST_USE;

/* Documents fetched from identity providers: the last good copy. */
typedef struct oks_document_t {
    oks_span_t content;
    const char *etag;     /* or NULL */
    apr_time_t fetched;   /* when it was last confirmed good */
} oks_document_t;
/* *document is NULL when there is no copy yet. */
oks_err_t *oks_directory_document(oks_document_t **document, oks_directory_t *directory, const char *key,
                                  apr_pool_t *pool) OKS_MUST_USE;
/* Puts the document unless there is one: of two that try, one wins. Read it afterwards. */
oks_err_t *oks_directory_document_keep(oks_directory_t *directory, const char *key, const oks_document_t *document,
                                       apr_pool_t *pool) OKS_MUST_USE;
/* Replaces the copy; the document's counter moves only when the content changed. */
oks_err_t *oks_directory_document_put(oks_directory_t *directory, const char *key, const oks_document_t *document,
                                      apr_pool_t *pool) OKS_MUST_USE;

/* Removes the copy, if there is one; then the counter moves. */
oks_err_t *oks_directory_document_remove(oks_directory_t *directory, const char *key, apr_pool_t *pool) OKS_MUST_USE;

/* ---- What SCIM keeps -------------------------------------------------------------------------------------------- */

typedef struct oks_user_row_t {
    const char *id;              /* hexadecimal */
    bool active;
    const char *user_name;
    const char *external_id;     /* or NULL */
    const char *resource;        /* canonical JSON without id, meta and groups; "{}": who only signed in */
    const char *email, *first_name, *last_name, *name; /* as headers show them; "" when unknown */
    const char *said_email, *said_before; /* the address that SCIM itself says, now and so far: an edit sets both. `email` may be
                                             what a login brought. */
    const char *subject, *subject_key; /* of the last login; the key is "" when there is none */
    int64_t version;
    apr_time_t created, updated;
} oks_user_row_t;
/* The address that SCIM says in a resource: the primary one or else the first, or a userName that is one; "" when there is none. As
 * long-lived as its arguments. */
const char *oks_user_email(const json_t *resource, const char *user_name);
/* The names that SCIM says in a resource become the row's, in `pool`. */
void oks_user_names(oks_user_row_t *row, const json_t *resource, apr_pool_t *pool);
/* The one that it said in row->resource, in `pool`; of a record that logins alone have written, its own.
 * directory.database.unavailable. */
oks_err_t *oks_user_said_email(const char **email, const oks_user_row_t *row, apr_pool_t *pool) OKS_MUST_USE;

typedef enum oks_member_op_t { OKS_MEMBERS_ADD, OKS_MEMBERS_REMOVE, OKS_MEMBERS_REPLACE } oks_member_op_t;
typedef struct oks_member_change_t {
    oks_member_op_t op;
    const apr_array_header_t *ids; /* const char *, of users of the organization: others are passed over; NULL of a removal: all */
} oks_member_change_t;

typedef struct oks_group_row_t {
    const char *id;
    const char *display_name;
    const char *resource;        /* as of a user; without members */
    const char *role;            /* that its members have where no OktaSSORole says otherwise; or NULL. Set when it is made. */
    int64_t version;
    apr_time_t created, updated;
    apr_array_header_t *members; /* oks_member_change_t: what an edit wants */
} oks_group_row_t;

/* Changes the row in its transaction: anything but id, subjects, version, created and updated. An error leaves all as it was. */
typedef oks_err_t *oks_user_edit_fn(oks_user_row_t *row, void *baton, apr_pool_t *pool);
typedef oks_err_t *oks_group_edit_fn(oks_group_row_t *row, void *baton, apr_pool_t *pool);

typedef enum oks_user_key_t { OKS_USER_ID, OKS_USER_NAME, OKS_USER_EXTERNAL_ID, OKS_USER_EMAIL } oks_user_key_t;
/* *row is NULL when there is none. An externalId may be several users': one of them. */
oks_err_t *oks_directory_user(oks_user_row_t **row, oks_directory_t *directory, const char *org, oks_user_key_t by, const char *key,
                              apr_pool_t *pool) OKS_MUST_USE;
/* oks_user_row_t *, in the order in which they were made; `start` counts from 0. total NULL: they are not counted. */
oks_err_t *oks_directory_users(apr_array_header_t **rows, int64_t *total, oks_directory_t *directory, const char *org,
                               int64_t start, int count, apr_pool_t *pool) OKS_MUST_USE;
/* Makes a user (id NULL) or changes one; nothing is written where nothing has changed. Who only signed in, by what is the
 * userName or externalId now, is this user; and whose name it is no longer, or never was, does not get in by it again.
 * directory.user.unknown;
 * directory.user.conflict: the userName or the address is another one's. Who is switched off loses the sessions, whatever else is
 * wrong: then a name or address that is another one's stays as it was. */
oks_err_t *oks_directory_user_edit(oks_user_row_t **row, oks_directory_t *directory, const char *org, const char *id,
                                   oks_user_edit_fn *edit, void *baton, apr_time_t now, apr_pool_t *pool) OKS_MUST_USE;
/* Sessions and memberships end; the name stays taken against signing in, until SCIM makes it anew. directory.user.unknown.
 * `check`, asked of the row in the same transaction, may refuse. */
oks_err_t *oks_directory_user_delete(oks_directory_t *directory, const char *org, const char *id, oks_user_edit_fn *check,
                                     void *baton, apr_time_t now, apr_pool_t *pool) OKS_MUST_USE;

typedef enum oks_group_key_t { OKS_GROUP_ID, OKS_GROUP_NAME } oks_group_key_t;
/* The same of groups, in the same words: directory.user.unknown, directory.user.conflict (the displayName). Whose groups are others
 * afterwards has them at the next request. */
oks_err_t *oks_directory_group(oks_group_row_t **row, oks_directory_t *directory, const char *org, oks_group_key_t by,
                               const char *key, apr_pool_t *pool) OKS_MUST_USE;
oks_err_t *oks_directory_groups(apr_array_header_t **rows, int64_t *total, oks_directory_t *directory, const char *org,
                                int64_t start, int count, apr_pool_t *pool) OKS_MUST_USE;
oks_err_t *oks_directory_group_edit(oks_group_row_t **row, oks_directory_t *directory, const char *org, const char *id,
                                    oks_group_edit_fn *edit, void *baton, apr_time_t now, apr_pool_t *pool) OKS_MUST_USE;
oks_err_t *oks_directory_group_delete(oks_directory_t *directory, const char *org, const char *id, oks_group_edit_fn *check,
                                      void *baton, apr_pool_t *pool) OKS_MUST_USE;
/* Pairs of texts, (const char *[2]): id and userName of a group's members; id and name of a user's groups. No organization is asked
 * for: `group` and `user` are ids of rows that were found in it. */
oks_err_t *oks_directory_members(apr_array_header_t **pairs, oks_directory_t *directory, const char *group,
                                 apr_pool_t *pool) OKS_MUST_USE;
oks_err_t *oks_directory_groups_of(apr_array_header_t **pairs, oks_directory_t *directory, const char *user, apr_pool_t *pool)
    OKS_MUST_USE;

/* ---- SCIM tokens that oktassoctl makes ---------------------------------------------------------------------------- */

#define OKS_TOKEN_PREFIX "oktasso_scim_" /* of each: scanners for secrets know one, and so do we */
#define OKS_TOKEN_USED_AGAIN apr_time_from_sec(60) /* so exact is a token's last use */
#define OKS_TOKEN_ID_LEN 12 /* digits of a token's name: the first ones of its SHA-256 in hexadecimal */

typedef struct oks_scim_token_t {
    const char *id;
    const char *label;
    const char *owner;        /* userName: the token ends with this user; or NULL */
    bool owner_inactive;      /* and so it has ended */
    apr_time_t created;
    apr_time_t last_used;     /* to the minute; 0: never */
} oks_scim_token_t;

/* Is it the SHA-256 (OKS_SHA256_LEN bytes) of a token of the organization? *stale: its last use is OKS_TOKEN_USED_AGAIN ago. */
oks_err_t *oks_directory_token_known(bool *known, bool *stale, oks_directory_t *directory, const char *org,
                                     const unsigned char *digest, apr_time_t now, apr_pool_t *pool) OKS_MUST_USE;
/* Notes that it was used: a write, which may wait for others. */
oks_err_t *oks_directory_token_used(oks_directory_t *directory, const unsigned char *digest, apr_time_t now,
                                    apr_pool_t *pool) OKS_MUST_USE;
/* Of `token`, label and owner count. directory.user.unknown: no such owner. */
oks_err_t *oks_directory_token_add(oks_directory_t *directory, const char *org, const unsigned char *digest,
                                   const oks_scim_token_t *token, apr_time_t now, apr_pool_t *pool) OKS_MUST_USE;
/* oks_scim_token_t, the eldest first. */
oks_err_t *oks_directory_tokens(apr_array_header_t **tokens, oks_directory_t *directory, const char *org,
                                apr_pool_t *pool) OKS_MUST_USE;
/* Has the directory users, groups or tokens of other organizations, and none of this one? */
oks_err_t *oks_directory_org_is_new(bool *is_new, oks_directory_t *directory, const char *org, apr_pool_t *pool) OKS_MUST_USE;
/* From the next request on it is wrong. */
oks_err_t *oks_directory_token_remove(bool *removed, oks_directory_t *directory, const char *org, const char *id,
                                      apr_pool_t *pool) OKS_MUST_USE;

/* Background work, once a second on each server: reads the change log after *sequence (0: from its start), and adds to the counters
 * of what others changed; to all of them when what changed cannot be told any more. *sequence must live as long as the counters. */
oks_err_t *oks_directory_follow(oks_directory_t *directory, int64_t *sequence, apr_pool_t *pool) OKS_MUST_USE;
/* Removes expired sessions and claims, and change log rows older than ten minutes: of each 20,000 at most, in transactions of a
 * thousand. *more: there may be more of them. */
oks_err_t *oks_directory_sweep(bool *more, oks_directory_t *directory, apr_time_t now, apr_pool_t *pool) OKS_MUST_USE;

/* ---- The record cache: one per child, bounded, sharded ------------------------------------------------------ */

typedef struct oks_record_field_t {
    const char *name;
    const char *variable; /* of the environment: "OKTASSO_FIRSTNAME" */
    const char *value;
} oks_record_field_t;

/* What a request needs of a session: immutable, reference-counted, one block of memory. Field values are rendered
 * once: header values as they go out. */
typedef struct oks_record_t {
    oks_id_t session;
    oks_id_t user;
    apr_time_t created;
    apr_time_t expires;
    apr_time_t authn_instant;
    const char *org;
    const char *vhost;
    const char *protocol;
    const char *authn_context;         /* "" when not said */
    const oks_record_field_t *fields;  /* email, firstName, lastName, name, groups, role, org, extra ones; absent ones left out */
    int nfields;
    const char *const *groups;         /* each by itself, as received */
    int ngroups;
    uint32_t org_version;              /* of the organization that it was rendered by */
    uint32_t seen_session, seen_user, seen_org; /* the counters' values before the directory was read */
} oks_record_t;

/* The field's value, or NULL. */
const char *oks_record_field(const oks_record_t *record, const char *name);

typedef struct oks_cache_t oks_cache_t;
#define OKS_CACHE_RECORDS 16384              /* per child, by default */
#define OKS_CACHE_BYTES (64 * 1024 * 1024)   /* per child, by default: whichever is reached first evicts */

/* A cache of at most so many records and bytes; freed with `pool`. */
oks_err_t *oks_cache_create(oks_cache_t **cache, int records, apr_size_t bytes, apr_pool_t *pool) OKS_MUST_USE;
/* The record with one reference for the caller, or NULL: absent, or a counter has moved. No system call. */
const oks_record_t *oks_cache_get(oks_cache_t *cache, const oks_counters_t *counters, const oks_id_t *session);
/* Copies `draft` (any memory) into a new record with one reference for the caller, and keeps it. Too large for the
 * cache: still returned, not kept. NULL only when memory is out. */
const oks_record_t *oks_cache_put(oks_cache_t *cache, const oks_record_t *draft);
void oks_record_release(const oks_record_t *record); /* gives a reference back */

#endif
