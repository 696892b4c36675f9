/* A signed word to backends: the identity that the headers carry, as a JWT (RFC 7519) of ES256, and the keys to check it by.
 * The keys are made here, kept sealed in the directory, and replaced in time, announced before they sign. */
#include <string.h>

#include <apr_hash.h>
#include <apr_strings.h>
#include <apr_thread_mutex.h>

#include "flow_private.h"
#include "oktasso/json.h"

#define TOKEN_LIFETIME apr_time_from_sec(60)
#define TOKEN_REUSE apr_time_from_sec(30)           /* for so long the same token goes out again */
#define TOKEN_MAX OKS_FLOW_FIELD_MAX                /* bytes: longer, and the groups stay out */
#define KEY_LIFETIME apr_time_from_sec(90 * 86400)  /* then another one is announced, */
#define KEY_NOTICE apr_time_from_sec(3600)          /* which signs after so long, */
#define KEY_OVERLAP apr_time_from_sec(86400)        /* and the one before stays published for so long */
#define KEYS_MAX 4
#define KEYS_TEXT_MAX (16 * 1024)
#define JWKS_MAX_AGE "max-age=900"                  /* well within the notice */
#define TOKENS 4096                                 /* kept in a child; two sessions of one slot sign in turn */
#define LOCKS 64

/* One virtual host's keys, oldest first. Never freed before the child ends: they change four times a year. */
typedef struct keyset_t {
    const char *text;          /* as it is in the directory */
    int count;
    apr_time_t since[KEYS_MAX];
    const char *pem[KEYS_MAX];
    oks_jws_key_t *key[KEYS_MAX];
    uint32_t seen;             /* the document's counter before it was read */
} keyset_t;

typedef struct token_t {
    oks_id_t session;
    uint32_t seen[4];          /* the record's: with another one the facts may be others */
    apr_time_t issued;
    char *issuer;              /* malloc: one block with the token behind it */
    const char *text;
} token_t;

struct oks_assertions_t {
    apr_pool_t *pool;          /* under `lock`, as the next one */
    apr_hash_t *keysets;       /* virtual host -> keyset_t */
    apr_thread_mutex_t *lock;
    apr_thread_mutex_t *locks[LOCKS];
    token_t tokens[TOKENS];    /* each under locks[its number % LOCKS] */
};

static apr_status_t destroy(void *data)
{
    oks_assertions_t *assertions = data;
    for (int i = 0; i < TOKENS; i++) free(assertions->tokens[i].issuer);
    apr_pool_destroy(assertions->pool);
    return APR_SUCCESS;
}

oks_err_t *oks_assertions_create(oks_assertions_t **assertions, apr_pool_t *pool)
{
    oks_assertions_t *made = apr_pcalloc(pool, sizeof *made);
    /* Unmanaged: requests allocate from it, and no two threads share an allocator. */
    apr_status_t status = apr_pool_create_unmanaged_ex(&made->pool, NULL, NULL);
    if (status != APR_SUCCESS) return oks_err_from(pool, OKS_R_INTERNAL, status, NULL, "a pool");
    apr_pool_cleanup_register(pool, made, destroy, apr_pool_cleanup_null);
    made->keysets = apr_hash_make(made->pool);
    status = apr_thread_mutex_create(&made->lock, APR_THREAD_MUTEX_DEFAULT, pool);
    for (int i = 0; i < LOCKS && status == APR_SUCCESS; i++)
        status = apr_thread_mutex_create(&made->locks[i], APR_THREAD_MUTEX_DEFAULT, pool);
    if (status != APR_SUCCESS) return oks_err_from(pool, OKS_R_INTERNAL, status, NULL, "locks");
    *assertions = made;
    return NULL;
}

/* ---- Keys ---- */

static const char *document_key(const oks_flow_t *flow, apr_pool_t *pool)
{
    return apr_pstrcat(pool, "assertion-keys:", flow->vhost, NULL);
}

static oks_err_t *write_keys(const char **sealed, const oks_flow_t *flow, const keyset_t *set, apr_pool_t *pool)
{
    json_t *keys = json_array();
    for (int i = 0; i < set->count; i++)
        json_array_append_new(keys, json_pack("{s:I, s:s}", "since", (json_int_t)apr_time_sec(set->since[i]), "pem", set->pem[i]));
    const char *text = oks_json_text(json_pack("{s:o}", "keys", keys), pool);
    if (!text) return oks_err(pool, OKS_R_INTERNAL, "out of memory for keys");
    return oks_seal(sealed, flow->keys, oks_span_z(document_key(flow, pool)), oks_span_z(text), pool);
}

static oks_err_t *read_keys(keyset_t *set, const oks_flow_t *flow, const oks_document_t *kept, apr_pool_t *keep, apr_pool_t *pool)
{
    oks_span_t text;
    json_t *document, *keys, *each;
    size_t i;
    OKS_TRY(oks_flow_open_kept(&text, flow, document_key(flow, pool), kept, pool));
    OKS_TRY(oks_json_parse(&document, text, KEYS_TEXT_MAX, pool));
    keys = json_object_get(document, "keys");
    set->count = 0;
    json_array_foreach(keys, i, each) {
        if (set->count == KEYS_MAX) break;
        set->pem[set->count] = apr_pstrdup(keep, oks_json_string(each, "pem"));
        set->since[set->count] = apr_time_from_sec(json_integer_value(json_object_get(each, "since")));
        oks_err_t *err = oks_jws_key_parse(&set->key[set->count], oks_span_z(set->pem[set->count]), NULL, keep);
        if (err) return oks_err(pool, err->reason, "a signing key of the directory");
        set->count++;
    }
    return set->count ? NULL : oks_err(pool, OKS_R_CRYPTO_KEY_MALFORMED, "no signing key in the directory");
}

/* Announces the next key, and lets go of the one before the last; true when something changed. */
static oks_err_t *rotate(bool *changed, keyset_t *set, apr_time_t now, apr_pool_t *pool)
{
    int gone = 0;
    while (gone + 1 < set->count && set->since[gone + 1] + KEY_OVERLAP <= now) gone++;
    set->count -= gone;
    memmove(set->since, set->since + gone, sizeof set->since[0] * (apr_size_t)set->count);
    memmove(set->pem, set->pem + gone, sizeof set->pem[0] * (apr_size_t)set->count);
    *changed = gone > 0;
    if (set->count == KEYS_MAX || (set->count && set->since[set->count - 1] + KEY_LIFETIME > now)) return NULL;
    OKS_TRY(oks_jws_key_make(&set->pem[set->count], pool));
    set->since[set->count] = set->count ? now + KEY_NOTICE : now; /* the very first one need not be announced */
    set->count++;
    *changed = true;
    return NULL;
}

/* What the directory has, made or replaced when it is time. */
static oks_err_t *load_keys(keyset_t *set, const oks_flow_t *flow, apr_time_t now, apr_pool_t *keep, apr_pool_t *pool)
{
    oks_document_t *document, next = { .fetched = now };
    const char *key = document_key(flow, pool), *sealed;
    bool changed;
    OKS_TRY(oks_directory_document(&document, flow->directory, key, pool));
    if (document && set->text && oks_span_eq_z(document->content, set->text) && set->since[set->count - 1] + KEY_LIFETIME > now)
        return NULL;
    if (document) OKS_TRY(read_keys(set, flow, document, keep, pool));
    OKS_TRY(rotate(&changed, set, now, pool));
    if (changed) {
        OKS_TRY(write_keys(&sealed, flow, set, pool));
        next.content = oks_span_z(sealed);
        OKS_TRY((document ? oks_directory_document_put : oks_directory_document_keep)(flow->directory, key, &next, pool));
        OKS_TRY(oks_directory_document(&document, flow->directory, key, pool)); /* of several that made one, one has won */
        if (!document) return oks_err(pool, OKS_R_DIRECTORY_UNAVAILABLE, "the keys that were just written");
        OKS_TRY(read_keys(set, flow, document, keep, pool));
    }
    set->text = oks_span_dup(document->content, keep);
    return NULL;
}

/* With the lock held. An error keeps what is at hand, and nothing else: it may come back with each request. */
static oks_err_t *refresh(keyset_t *set, const oks_flow_t *flow, apr_time_t now, apr_pool_t *keep, apr_pool_t *pool)
{
    apr_pool_t *own;
    uint32_t seen = oks_counter_get(flow->counters, oks_counter_of_document(document_key(flow, pool)));
    keyset_t fresh = *set;
    if (set->count && set->seen == seen && set->since[set->count - 1] + KEY_LIFETIME > now) return NULL;
    apr_pool_create(&own, keep);
    oks_err_t *err = load_keys(&fresh, flow, now, own, pool);
    if (err || fresh.text == set->text) apr_pool_destroy(own);
    if (err) return set->count ? NULL : err;
    *set = fresh;
    set->seen = seen;
    return NULL;
}

/* A copy of this virtual host's keys as they are now. */
static oks_err_t *keys_of(keyset_t *set, const oks_flow_t *flow, apr_time_t now, apr_pool_t *pool)
{
    oks_assertions_t *assertions = flow->assertions;
    apr_thread_mutex_lock(assertions->lock);
    keyset_t *kept = apr_hash_get(assertions->keysets, flow->vhost, APR_HASH_KEY_STRING);
    if (!kept) {
        kept = apr_pcalloc(assertions->pool, sizeof *kept);
        apr_hash_set(assertions->keysets, apr_pstrdup(assertions->pool, flow->vhost), APR_HASH_KEY_STRING, kept);
    }
    oks_err_t *err = refresh(kept, flow, now, assertions->pool, pool);
    *set = *kept;
    apr_thread_mutex_unlock(assertions->lock);
    return err;
}

/* The newest that signs already. */
static const oks_jws_key_t *signer(const keyset_t *set, apr_time_t now)
{
    int i = set->count - 1;
    while (i > 0 && set->since[i] > now) i--;
    return set->key[i];
}

/* ---- Tokens ---- */

static const char *issuer_of(const oks_flow_t *flow, const char *base_url, apr_pool_t *pool)
{
    return apr_pstrcat(pool, base_url, flow->path, NULL);
}

static json_t *claims_of(const oks_flow_t *flow, const oks_record_t *record, const char *base_url, bool groups, apr_time_t now,
                         apr_pool_t *pool)
{
    static const char *const fields[] = { "user", "email", "name", "role", "org" };
    json_int_t issued = (json_int_t)apr_time_sec(now);
    json_t *claims = json_pack("{s:s, s:s, s:s, s:I, s:I}", "iss", issuer_of(flow, base_url, pool), "sub",
                               oks_hex_encode(oks_span((const char *)record->user.bytes, OKS_ID_LEN), pool), "aud", base_url, "iat",
                               issued, "exp", issued + (json_int_t)apr_time_sec(TOKEN_LIFETIME));
    for (apr_size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        const char *value = oks_record_field(record, fields[i]);
        if (value) json_object_set_new(claims, fields[i], json_string(value));
    }
    json_t *list = json_array();
    for (int i = 0; i < record->ngroups && groups; i++) json_array_append_new(list, json_string(record->groups[i]));
    if (groups) json_object_set(claims, "groups", list);
    else json_object_set_new(claims, "groups_left_out", json_true());
    json_decref(list);
    return claims;
}

static oks_err_t *sign(const char **token, const oks_flow_t *flow, const oks_record_t *record, const char *base_url, bool groups,
                       apr_time_t now, apr_pool_t *pool)
{
    keyset_t set;
    OKS_TRY(keys_of(&set, flow, now, pool));
    const char *text = oks_json_text(claims_of(flow, record, base_url, groups, now, pool), pool);
    if (!text) return oks_err(pool, OKS_R_INTERNAL, "out of memory for claims");
    return oks_jws_sign(token, signer(&set, now), NULL, oks_span_z(text), pool);
}

static bool is_of(const token_t *token, const oks_record_t *record, const char *issuer, apr_time_t now)
{
    return token->text && memcmp(&token->session, &record->session, sizeof token->session) == 0 &&
           token->seen[0] == record->seen_session && token->seen[1] == record->seen_user && token->seen[2] == record->seen_org &&
           token->seen[3] == record->org_version &&
           token->issued <= now && now - token->issued < TOKEN_REUSE && strcmp(token->issuer, issuer) == 0;
}

static void keep(token_t *slot, const oks_record_t *record, const char *issuer, const char *text, apr_time_t now)
{
    apr_size_t issuer_size = strlen(issuer) + 1, text_size = strlen(text) + 1;
    char *block = malloc(issuer_size + text_size);
    free(slot->issuer);
    memset(slot, 0, sizeof *slot);
    if (!block) return;
    memcpy(block, issuer, issuer_size);
    memcpy(block + issuer_size, text, text_size);
    *slot = (token_t){ .session = record->session, .issued = now, .issuer = block, .text = block + issuer_size,
                       .seen = { record->seen_session, record->seen_user, record->seen_org, record->org_version } };
}

oks_err_t *oks_flow_assertion(const char **token, const oks_flow_t *flow, const oks_record_t *record, const char *base_url,
                              apr_time_t now, apr_pool_t *pool)
{
    const char *issuer = issuer_of(flow, base_url, pool);
    uint32_t number;
    memcpy(&number, record->session.bytes, sizeof number);
    number %= TOKENS;
    token_t *slot = &flow->assertions->tokens[number];
    apr_thread_mutex_t *lock = flow->assertions->locks[number % LOCKS];
    apr_thread_mutex_lock(lock);
    *token = is_of(slot, record, issuer, now) ? apr_pstrdup(pool, slot->text) : NULL;
    apr_thread_mutex_unlock(lock);
    if (*token) return NULL;
    OKS_TRY(sign(token, flow, record, base_url, true, now, pool));
    if (strlen(*token) > TOKEN_MAX) OKS_TRY(sign(token, flow, record, base_url, false, now, pool));
    apr_thread_mutex_lock(lock);
    keep(slot, record, issuer, *token, now);
    apr_thread_mutex_unlock(lock);
    return NULL;
}

/* /jwks: RFC 7517, with the key that will sign next. */
oks_err_t *oks_flow_serve_jwks(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                               apr_pool_t *pool)
{
    keyset_t set;
    const char *list = "", *jwk;
    OKS_TRY(keys_of(&set, flow, request->now, pool));
    for (int i = 0; i < set.count; i++) {
        OKS_TRY(oks_jws_key_jwk(&jwk, set.key[i], pool));
        list = apr_pstrcat(pool, list, i ? "," : "", jwk, NULL);
    }
    *answer = oks_flow_answer(200, "jwks", pool);
    apr_table_setn((*answer)->headers, "Cache-Control", "public, " JWKS_MAX_AGE);
    (*answer)->content_type = "application/jwk-set+json";
    (*answer)->body = apr_pstrcat(pool, "{\"keys\":[", list, "]}", NULL);
    return NULL;
}
