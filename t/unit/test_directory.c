/* The room directory on real SQLite files: sign-ins, sessions, documents, counters, cache. */
#include <apr_thread_proc.h>

#include "scratch.h"
#include "../../src/directory/directory_private.h"

#define NOW apr_time_from_sec(1700000000)
#define HOUR apr_time_from_sec(3600)

static int number; /* makes ids and claims distinct */

static int set_up(void **state)
{
    return scratch_set_up() || oks_directory_migrate(directory, pool) ? -1 : 0; /* twice is once */
}

static oks_id_t fresh_id(void)
{
    oks_id_t id;
    memset(&id, 0, sizeof id);
    number++;
    for (int i = 0; i < OKS_ID_LEN; i++) id.bytes[i] = (unsigned char)(number * (i + 7) + i);
    memcpy(id.bytes + 8, &number, sizeof number);
    return id;
}

static oks_profile_t *person(const char *subject, const char *email)
{
    oks_profile_t *profile = apr_pcalloc(pool, sizeof *profile);
    profile->subject = subject;
    profile->email = email;
    profile->first_name = "Amelia";
    profile->last_name = "O'Brien; DROP TABLE users --";
    profile->name = "Amelia %s %lld";
    profile->groups = apr_array_make(pool, 2, sizeof(const char *));
    profile->extra = apr_table_make(pool, 2);
    APR_ARRAY_PUSH(profile->groups, const char *) = "Köln, \"Büro\"";
    apr_table_set(profile->extra, "department", "R&D");
    return profile;
}

static oks_login_t login_of(oks_profile_t *profile)
{
    oks_login_t login = { .org = "acme", .vhost = "app:443", .profile = profile, .protocol = "saml",
                          .subject_format = "f", .session_index = "i", .authn_instant = NOW, .now = NOW, .expires = NOW + HOUR };
    login.session = fresh_id();
    login.new_user = fresh_id();
    login.claim = apr_psprintf(pool, "claim%d", number);
    login.claim_until = NOW + HOUR;
    return login;
}

static void a_login_makes_a_session(void **state)
{
    oks_id_t user;
    oks_session_t *session;
    oks_login_t login = login_of(person("sub-1", "one@acme.example"));
    GOOD(oks_directory_login(&user, directory, &login, pool));
    GOOD(oks_directory_session(&session, directory, &login.session, NOW, pool));
    assert_memory_equal(&session->user, &user, sizeof user);
    assert_string_equal(session->profile->last_name, "O'Brien; DROP TABLE users --");
    assert_string_equal(session->profile->name, "Amelia %s %lld");
    assert_string_equal(APR_ARRAY_IDX(session->profile->groups, 0, const char *), "Köln, \"Büro\"");
    assert_string_equal(apr_table_get(session->profile->extra, "department"), "R&D");
    assert_true(session->expires == NOW + HOUR && session->authn_instant == NOW);
    oks_login_t next = login_of(person("sub-1", "one@acme.example")), refused = next;
    uint32_t before = oks_counter_get(counters, oks_counter_of_session(&login.session));
    next.replaces = refused.replaces = &login.session;
    refused.claim = login.claim;
    REASON(oks_directory_login(&user, directory, &refused, pool), OKS_R_DIRECTORY_CLAIM_USED);
    GOOD(oks_directory_session(&session, directory, &login.session, NOW, pool)); /* what is refused replaces nothing */
    GOOD(oks_directory_login(&user, directory, &next, pool));
    REASON(oks_directory_session(&session, directory, &login.session, NOW, pool), OKS_R_DIRECTORY_SESSION_ABSENT);
    assert_int_equal(oks_counter_get(counters, oks_counter_of_session(&login.session)), before + 1);
    login = next;
    REASON(oks_directory_session(&session, directory, &login.session, NOW + HOUR, pool), OKS_R_DIRECTORY_SESSION_ABSENT);
    GOOD(oks_directory_session_end(directory, &login.session, pool));
    REASON(oks_directory_session(&session, directory, &login.session, NOW, pool), OKS_R_DIRECTORY_SESSION_ABSENT);
    GOOD(oks_directory_session_end(directory, &login.session, pool));
}

static void a_replay_changes_nothing(void **state)
{
    oks_id_t user;
    oks_session_t *session;
    oks_login_t first = login_of(person("sub-2", "two@acme.example")), second = login_of(person("sub-2", "changed@acme.example"));
    second.claim = first.claim;
    GOOD(oks_directory_login(&user, directory, &first, pool));
    REASON(oks_directory_login(&user, directory, &second, pool), OKS_R_DIRECTORY_CLAIM_USED);
    REASON(oks_directory_session(&session, directory, &second.session, NOW, pool), OKS_R_DIRECTORY_SESSION_ABSENT);
    GOOD(oks_directory_session(&session, directory, &first.session, NOW, pool));
    assert_string_equal(session->profile->email, "two@acme.example");
    second.org = "globex"; /* another organization's claims are its own */
    GOOD(oks_directory_login(&user, directory, &second, pool));
}

static void users_are_matched_and_updated(void **state)
{
    int count;
    oks_id_t first, again, other;
    oks_session_t *session;
    oks_login_t login = login_of(person("sub-3", "three@acme.example"));
    GOOD(oks_directory_login(&first, directory, &login, pool));
    oks_profile_t *moved = person("sub-3", "Three.New@acme.example");
    APR_ARRAY_PUSH(moved->groups, const char *) = "New";
    oks_login_t later = login_of(moved);
    uint32_t before = oks_counter_get(counters, oks_counter_of_user(&first));
    GOOD(oks_directory_login(&again, directory, &later, pool));
    assert_memory_equal(&first, &again, sizeof first);
    assert_int_not_equal(before, oks_counter_get(counters, oks_counter_of_user(&first)));
    GOOD(oks_directory_session(&session, directory, &login.session, NOW, pool)); /* the older session sees it too */
    assert_int_equal(session->profile->groups->nelts, 2);
    oks_login_t by_email = login_of(person("sub-3-renamed", "THREE.NEW@acme.example"));
    REASON(oks_directory_login(&again, directory, &by_email, pool), OKS_R_DIRECTORY_SUBJECT_CHANGED);
    GOOD(oks_directory_session(&session, directory, &login.session, NOW, pool)); /* nothing of it was written */
    assert_string_equal(session->profile->subject, "sub-3");
    GOOD(oks_directory_relink(&count, directory, "globex", "Three.New@ACME.example", pool));
    assert_int_equal(count, 0);
    GOOD(oks_directory_relink(&count, directory, "acme", "Three.New@ACME.example", pool));
    assert_int_equal(count, 1);
    GOOD(oks_directory_login(&again, directory, &by_email, pool));
    assert_memory_equal(&first, &again, sizeof first);
    REASON(oks_directory_session(&session, directory, &login.session, NOW, pool), OKS_R_DIRECTORY_SESSION_ABSENT);
    GOOD(oks_directory_session(&session, directory, &by_email.session, NOW, pool));
    oks_login_t elsewhere = login_of(person("sub-3-renamed", "three.new@acme.example"));
    elsewhere.org = "globex"; /* the same address in another organization is another user */
    GOOD(oks_directory_login(&other, directory, &elsewhere, pool));
    assert_memory_not_equal(&first, &other, sizeof first);
}

static oks_err_t *switch_user(oks_user_row_t *row, void *active, apr_pool_t *unused)
{
    row->active = *(const bool *)active;
    return NULL;
}

/* As SCIM does it. */
static oks_err_t *set_active(const char *org, const oks_id_t *user, bool active)
{
    oks_user_row_t *row;
    const char *id = oks_hex_encode(oks_span((const char *)user->bytes, OKS_ID_LEN), pool);
    return oks_directory_user_edit(&row, directory, org, id, switch_user, &active, NOW, pool);
}

static oks_id_t signed_in(oks_profile_t *profile, const char *account_kind)
{
    oks_id_t user;
    oks_login_t login = login_of(profile);
    login.account_kind = account_kind;
    GOOD(oks_directory_login(&user, directory, &login, pool));
    return user;
}

/* Subjects and names of accounts byte for byte (SECURITY.md 25); addresses without regard to the case of ASCII letters alone. */
static void who_differs_in_a_byte_is_somebody_else(void **state)
{
    static const struct { const char *subject, *email, *kind; } people[] = {
        { "00uAbC", "victim@acme.example", NULL }, { "00uaBc", "mallory@acme.example", NULL },
        { "Bob", "", "local" }, { "bob", "", "local" }, { "bob", "", "break-glass" },
        { "n1", "mike@acme.example", NULL }, { "n2", "mi\u212ae@acme.example", NULL }, { "n3", "stra\u00dfe@acme.example", NULL },
        { "n4", "strasse@acme.example", NULL },
    };
    enum { COUNT = sizeof people / sizeof people[0] };
    oks_id_t ids[COUNT];
    for (int i = 0; i < COUNT; i++) {
        ids[i] = signed_in(person(people[i].subject, people[i].email), people[i].kind);
        for (int k = 0; k < i; k++) assert_memory_not_equal(&ids[i], &ids[k], sizeof ids[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        oks_id_t again = signed_in(person(people[i].subject, people[i].email), people[i].kind);
        assert_memory_equal(&ids[i], &again, sizeof again);
    }
}

/* A row as version 3 wrote it: its keys are hashes of folded text. */
static const char *row_of_version_3(const char *id, const char *scope, const char *subject, const char *email, bool deleted)
{
    const char *key = apr_pstrcat(pool, "'", oks_directory_hash("email", oks_fold_key(email, pool), pool), "'", NULL);
    return apr_psprintf(pool, "INSERT INTO users (id, org, subject, subject_key, email, email_key, user_name, user_name_key, first_name,"
                        " last_name, name, asserted_groups, extra, active, deleted, created, updated) VALUES ('%s', 'old', '%s', '%s',"
                        " '%s', %s, '%s', %s, '', '', '', '[]', '[]', %d, %d, 0, 0);", id, subject,
                        oks_directory_hash(scope, oks_fold_key(subject, pool), pool), email, *email ? key : "NULL",
                        *email ? email : subject, *email ? key : "NULL", !deleted, deleted);
}

static void a_database_of_version_3_is_migrated(void **state)
{
    static const struct { const char *id, *scope, *subject, *email; bool deleted; } rows[] = {
        { "00000000000000000000000000000001", "subject", "00uAbC", "Amelia@acme.example", false },
        { "00000000000000000000000000000002", "subject", "NameID-\u00c4", "mi\u212ae@acme.example", false },
        { "00000000000000000000000000000003", "local", "Bob", "", false },
        { "00000000000000000000000000000004", "break-glass", "Ops", "", false },
        { "00000000000000000000000000000005", "subject", "00uGone", "gone@acme.example", true },
    };
    const char *path = apr_pstrcat(pool, folder, "/version3.db", NULL), *sql = apr_pstrcat(pool, path, ".sql", NULL);
    oks_directory_t *old;
    apr_file_t *file;
    oks_login_t login;
    oks_id_t user, other;
    GOOD(oks_directory_open(&old, apr_pstrcat(pool, "sqlite3:", path, NULL), 2, counters, pool));
    GOOD(oks_directory_migrate(old, pool));
    assert_int_equal(apr_file_open(&file, sql, APR_FOPEN_WRITE | APR_FOPEN_CREATE, APR_FPROT_OS_DEFAULT, pool), APR_SUCCESS);
    apr_file_puts("BEGIN; UPDATE meta SET value = '3';\n", file);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        apr_file_puts(row_of_version_3(rows[i].id, rows[i].scope, rows[i].subject, rows[i].email, rows[i].deleted), file);
    for (int i = 100; i < 2200; i++) /* more than are read at once */
        apr_file_puts(row_of_version_3(apr_psprintf(pool, "%032d", i), "subject", apr_psprintf(pool, "S%d", i), "", false), file);
    apr_file_puts("COMMIT;\n", file);
    apr_file_close(file);
    assert_int_equal(system(apr_pstrcat(pool, "sqlite3 ", path, " < ", sql, NULL)), 0);
    GOOD(oks_directory_migrate(old, pool));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        login = login_of(person(rows[i].subject, rows[i].email));
        login.org = "old";
        login.account_kind = strcmp(rows[i].scope, "subject") ? rows[i].scope : NULL;
        if (rows[i].deleted) REASON(oks_directory_login(&user, old, &login, pool), OKS_R_DIRECTORY_USER_INACTIVE);
        else GOOD(oks_directory_login(&user, old, &login, pool));
        if (!rows[i].deleted) assert_string_equal(oks_directory_id(&user, pool), rows[i].id);
    }
    login = login_of(person("00uabc", "mike@acme.example")); /* what was the key of two others is free */
    login.org = "old";
    GOOD(oks_directory_login(&other, old, &login, pool));
    assert_memory_equal(&other, &login.new_user, sizeof other);
    login = login_of(person("S2199", ""));
    login.org = "old";
    login.provisioning = OKS_PROVISIONING_OFF;
    GOOD(oks_directory_login(&user, old, &login, pool));
}

/* An address or an account that may be another person's leads to no record that has a subject; one's own does. */
static void what_leads_to_a_record_that_has_a_subject(void **state)
{
    oks_id_t user, other;
    oks_session_t *session;
    oks_login_t account = login_of(person("link@acme.example", "link@acme.example"));
    account.account_kind = "local";
    account.keep_profile = true;
    GOOD(oks_directory_login(&user, directory, &account, pool));
    oks_login_t first = login_of(person("link@acme.example", "link@acme.example")); /* reads alike, is another kind of name */
    GOOD(oks_directory_login(&other, directory, &first, pool));
    assert_memory_equal(&user, &other, sizeof user);
    REASON(oks_directory_session(&session, directory, &account.session, NOW, pool), OKS_R_DIRECTORY_SESSION_ABSENT);

    other = signed_in(person("Link@ACME.example", "link@acme.example"), NULL); /* the same address, in another spelling */
    assert_memory_equal(&user, &other, sizeof user);
    oks_login_t admin = login_of(person("link-admin", "link@acme.example"));
    REASON(oks_directory_login(&other, directory, &admin, pool), OKS_R_DIRECTORY_SUBJECT_CHANGED);
    oks_login_t named = login_of(person("LINK@acme.example.", "elsewhere@acme.example"));
    GOOD(oks_directory_login(&other, directory, &named, pool));
    assert_memory_not_equal(&user, &other, sizeof user);
    account = login_of(person("LINK@acme.example", "LINK@acme.example")); /* its password says whose it is */
    account.account_kind = "local";
    account.keep_profile = true;
    GOOD(oks_directory_login(&other, directory, &account, pool));
    assert_memory_equal(&user, &other, sizeof user);

    GOOD(set_active("acme", &user, false));
    REASON(oks_directory_login(&other, directory, &admin, pool), OKS_R_DIRECTORY_USER_INACTIVE);
}

typedef struct push_t {
    const char *user_name, *external_id;
} push_t;

static oks_err_t *write_pushed(oks_user_row_t *row, void *baton, apr_pool_t *unused)
{
    const push_t *push = baton;
    row->user_name = row->email = push->user_name;
    row->external_id = push->external_id;
    row->resource = "{\"a\":1}";
    return NULL;
}

/* As SCIM makes somebody; the user's id. */
static const char *push(const char *user_name, const char *external_id)
{
    oks_user_row_t *row;
    push_t wanted = { user_name, external_id };
    GOOD(oks_directory_user_edit(&row, directory, "acme", NULL, write_pushed, &wanted, NOW, pool));
    return row->id;
}

static void an_externalid_of_okta_says_whose_a_record_is(void **state)
{
    static const struct { const char *external_id, *subject; bool enters; } table[] = {
        { "00uVictim00000000001", "00uMallory0000000001", false }, { "00uVictim00000000002", "00uvictim00000000002", false },
        { "00uVictim00000000003", "00uVictim00000000003", true },  { "00uVictim00000000004", "ext4@acme.example", true },
        { "00uVictim00000000005", "employee 5", true },            { "8b9f7a56-objectid", "00uEntra000000000006", true },
        { "00uVictim000000000007", "00uMallory0000000007", true }, { "00uVictim0000000-008", "00uMallory0000000008", true },
        { NULL, "00uMallory0000000009", true },
    };
    oks_id_t user;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *email = apr_psprintf(pool, "ext%d@acme.example", (int)i + 1), *id = push(email, table[i].external_id);
        oks_login_t login = login_of(person(table[i].subject, email));
        oks_err_t *err = oks_directory_login(&user, directory, &login, pool);
        if (!table[i].enters) REASON(err, OKS_R_DIRECTORY_SUBJECT_CHANGED);
        else GOOD(err);
        if (table[i].enters) assert_string_equal(oks_directory_id(&user, pool), id);
    }
    oks_login_t account = login_of(person("00uMallory0000000001", "ext1@acme.example")); /* no name of Okta's */
    account.account_kind = "local";
    GOOD(oks_directory_login(&user, directory, &account, pool));
}

static void who_was_deleted_enters_no_successor_s_record(void **state)
{
    static const struct { const char *before, *after, *subject; bool anew; } table[] = {
        { "00uGone0000000000001", "00uNext0000000000001", "00uGone0000000000001", false },
        { "00uGone0000000000002", "00uNext0000000000002", "gone-2", false }, { "gone-3", NULL, "gone-3", false },
        { NULL, "next-4", "gone-4", false }, { "gone-5", "gone-5", "employee-5", true }, { "gone-6", "gone-6", "gone-6", true },
        { NULL, NULL, "gone-7", true }, { NULL, "next-8", "gone8@acme.example", true },
    };
    bool gone = false;
    oks_id_t user;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *email = apr_psprintf(pool, "gone%d@acme.example", (int)i + 1), *old = push(email, table[i].before);
        user = signed_in(person(table[i].subject, email), NULL);
        assert_string_equal(oks_directory_id(&user, pool), old);
        GOOD(oks_directory_user_delete(directory, "acme", old, switch_user, &gone, NOW, pool));
        const char *made = push(email, table[i].after);
        for (int k = 0; k < 2; k++) {
            oks_login_t login = login_of(person(table[i].subject, email));
            oks_err_t *err = oks_directory_login(&user, directory, &login, pool);
            if (!table[i].anew) REASON(err, OKS_R_DIRECTORY_USER_INACTIVE);
            else GOOD(err);
            if (table[i].anew) assert_string_equal(oks_directory_id(&user, pool), made);
        }
        if (table[i].anew) continue;
        user = signed_in(person(table[i].after ? table[i].after : "next", email), NULL);
        assert_string_equal(oks_directory_id(&user, pool), made);
        oks_login_t login = login_of(person(table[i].subject, "elsewhere@acme.example"));
        REASON(oks_directory_login(&user, directory, &login, pool), OKS_R_DIRECTORY_USER_INACTIVE);
    }
}

static void an_address_that_somebody_gave_up_is_free(void **state)
{
    int count;
    oks_id_t sam = signed_in(person("sam", "sam@acme.example"), NULL), user = signed_in(person("sam", "samantha@acme.example"), NULL);
    assert_memory_equal(&user, &sam, sizeof user);
    oks_id_t next = signed_in(person("sam-2", "sam@acme.example"), NULL);
    assert_memory_not_equal(&next, &sam, sizeof next);
    user = signed_in(person("sam", ""), NULL); /* the subject is the name of who has no address */
    assert_memory_equal(&user, &sam, sizeof user);
    GOOD(oks_directory_relink(&count, directory, "acme", "samantha@acme.example", pool));
    assert_int_equal(count, 0);
    GOOD(oks_directory_relink(&count, directory, "acme", "sam", pool));
    assert_int_equal(count, 1);

    const char *old = push("left@acme.example", NULL); /* also a name that what was deleted has kept */
    bool gone = false;
    GOOD(oks_directory_user_delete(directory, "acme", old, switch_user, &gone, NOW, pool));
    user = signed_in(person("sam-2", "left@acme.example"), NULL);
    assert_memory_equal(&user, &next, sizeof user);

    const char *kept = push("pushed@acme.example", NULL); /* SCIM alone says how it is named */
    user = signed_in(person("pushed", "pushed@acme.example"), NULL);
    user = signed_in(person("pushed", "pushed.new@acme.example"), NULL);
    assert_string_equal(oks_directory_id(&user, pool), kept);
    oks_login_t login = login_of(person("other", "pushed@acme.example"));
    REASON(oks_directory_login(&user, directory, &login, pool), OKS_R_DIRECTORY_SUBJECT_CHANGED);
}

static void who_may_not(void **state)
{
    oks_id_t user, other;
    oks_session_t *session;
    oks_login_t login = login_of(person("sub-4", "four@acme.example"));
    login.provisioning = OKS_PROVISIONING_SCIM;
    REASON(oks_directory_login(&user, directory, &login, pool), OKS_R_DIRECTORY_USER_UNKNOWN);
    login.provisioning = OKS_PROVISIONING_OFF;
    REASON(oks_directory_login(&user, directory, &login, pool), OKS_R_DIRECTORY_USER_UNKNOWN);
    login.provisioning = OKS_PROVISIONING_JIT; /* the claim was not spent by the refusals */
    GOOD(oks_directory_login(&user, directory, &login, pool));

    oks_login_t five = login_of(person("sub-5", "five@acme.example")), mixed = login_of(person("sub-5", "four@acme.example"));
    GOOD(oks_directory_login(&other, directory, &five, pool));
    REASON(oks_directory_login(&other, directory, &mixed, pool), OKS_R_DIRECTORY_USER_CONFLICT);

    GOOD(set_active("acme", &user, false)); /* SECURITY.md 33 */
    REASON(oks_directory_session(&session, directory, &login.session, NOW, pool), OKS_R_DIRECTORY_SESSION_ABSENT);
    oks_login_t again = login_of(person("sub-4", "four@acme.example"));
    REASON(oks_directory_login(&other, directory, &again, pool), OKS_R_DIRECTORY_USER_INACTIVE);
    GOOD(set_active("acme", &user, true));
    GOOD(oks_directory_login(&other, directory, &again, pool));
    assert_memory_equal(&user, &other, sizeof user);
    REASON(set_active("globex", &user, false), OKS_R_DIRECTORY_USER_UNKNOWN);
}

static void documents_count_only_changes(void **state)
{
    oks_document_t *found, put = { .content = oks_span("a\0b", 3), .etag = "\"1\"", .fetched = NOW };
    uint32_t index = oks_counter_of_document("https://x/"), before = oks_counter_get(counters, index);
    GOOD(oks_directory_document(&found, directory, "https://x/", pool));
    assert_null(found);
    GOOD(oks_directory_document_put(directory, "https://x/", &put, pool));
    assert_int_equal(oks_counter_get(counters, index), before + 1);
    put.fetched = NOW + HOUR;
    GOOD(oks_directory_document_put(directory, "https://x/", &put, pool));
    assert_int_equal(oks_counter_get(counters, index), before + 1);
    GOOD(oks_directory_document(&found, directory, "https://x/", pool));
    assert_true(oks_span_eq(found->content, put.content) && found->fetched == NOW + HOUR);
}

static void another_server_follows(void **state)
{
    oks_counters_t *theirs = apr_pcalloc(pool, sizeof *theirs);
    oks_directory_t *other;
    oks_id_t user;
    int64_t sequence = 0;
    GOOD(oks_directory_open(&other, spec, 1, theirs, pool));
    GOOD(oks_directory_follow(other, &sequence, pool));
    memset(theirs, 0, sizeof *theirs);
    oks_login_t login = login_of(person("sub-6", "six@acme.example"));
    GOOD(oks_directory_login(&user, directory, &login, pool));
    GOOD(oks_directory_session_end(directory, &login.session, pool));
    memset(theirs, 0, sizeof *theirs);
    GOOD(oks_directory_follow(other, &sequence, pool));
    assert_int_equal(oks_counter_get(theirs, oks_counter_of_session(&login.session)), 1);
    assert_int_equal(oks_counter_get(theirs, oks_counter_of_session(&login.session) ^ 1), 0);
    GOOD(set_active("acme", &user, false));
    oks_document_t put = { .content = oks_span_z("x"), .fetched = NOW };
    GOOD(oks_directory_document_put(directory, "https://followed/", &put, pool));
    GOOD(oks_directory_follow(other, &sequence, pool));
    assert_int_equal(oks_counter_get(theirs, oks_counter_of_user(&user)), 1);
    assert_int_equal(oks_counter_get(theirs, oks_counter_of_document("https://followed/")), 1);
}

static void a_change_log_with_holes_moves_every_counter(void **state)
{
    oks_counters_t *theirs = apr_pcalloc(pool, sizeof *theirs);
    oks_directory_t *other;
    oks_document_t put = { .content = oks_span_z("y"), .fetched = NOW };
    int64_t sequence = 0;
    bool more;
    GOOD(oks_directory_open(&other, spec, 1, theirs, pool));
    GOOD(oks_directory_follow(other, &sequence, pool));
    const uint32_t of_nobody = oks_counter_of_org("nobody changed this"), seen = oks_counter_get(theirs, of_nobody);
    GOOD(oks_directory_document_put(directory, "https://swept/", &put, pool));
    GOOD(oks_directory_follow(other, &sequence, pool)); /* no hole: one moves */
    assert_int_equal(oks_counter_get(theirs, of_nobody), seen);
    assert_true(sequence > 0);

    put.content = oks_span_z("z");
    GOOD(oks_directory_document_put(directory, "https://swept/", &put, pool));
    GOOD(oks_directory_sweep(&more, directory, apr_time_now() + 2 * HOUR, pool)); /* by another server, while this one was away */
    GOOD(oks_directory_follow(other, &sequence, pool));
    assert_int_equal(oks_counter_get(theirs, of_nobody), seen + 1);

    int64_t newer = sequence + 100; /* the database was exchanged for its backup */
    GOOD(oks_directory_follow(other, &newer, pool));
    assert_int_equal(newer, sequence);
    assert_int_equal(oks_counter_get(theirs, of_nobody), seen + 2);
}

/* ---- Members ---- */

#define MEMBERS 250 /* more than one statement takes, and no multiple of it */

static oks_err_t *change_group(oks_group_row_t *row, void *changes, apr_pool_t *p)
{
    row->display_name = "Everybody";
    row->members = changes;
    return NULL;
}

static apr_array_header_t *change_of(oks_member_op_t op, const apr_array_header_t *ids, apr_array_header_t *changes)
{
    if (!changes) changes = apr_array_make(pool, 2, sizeof(oks_member_change_t));
    APR_ARRAY_PUSH(changes, oks_member_change_t) = (oks_member_change_t){ op, ids };
    return changes;
}

/* Applies the changes; how many of the members' counters a server saw move that follows. */
static int moved_by(apr_array_header_t *changes, const char **group, oks_directory_t *follower, int64_t *sequence,
                    oks_counters_t *theirs)
{
    oks_group_row_t *row;
    int moved = 0;
    GOOD(oks_directory_group_edit(&row, directory, "acme", *group, change_group, changes, NOW, pool));
    *group = row->id;
    memset(theirs, 0, sizeof *theirs);
    GOOD(oks_directory_follow(follower, sequence, pool));
    for (uint32_t i = 0; i < OKS_COUNTERS; i++) moved += (int)oks_counter_get(theirs, i);
    return moved;
}

static int count_members(const char *group)
{
    apr_array_header_t *members;
    GOOD(oks_directory_members(&members, directory, group, pool));
    return members->nelts;
}

static void many_members_in_one_change(void **state)
{
    oks_counters_t *theirs = apr_pcalloc(pool, sizeof *theirs);
    oks_directory_t *other;
    int64_t sequence = 0;
    const char *group = NULL;
    apr_array_header_t *ids = apr_array_make(pool, 3 * MEMBERS, sizeof(const char *));
    apr_array_header_t *half = apr_array_make(pool, MEMBERS, sizeof(const char *));
    GOOD(oks_directory_open(&other, spec, 1, theirs, pool));
    GOOD(oks_directory_follow(other, &sequence, pool));
    for (int i = 0; i < MEMBERS; i++) {
        oks_id_t user;
        const char *name = apr_psprintf(pool, "member-%d@acme.example", i);
        oks_login_t login = login_of(person(name, name));
        GOOD(oks_directory_login(&user, directory, &login, pool));
        APR_ARRAY_PUSH(ids, const char *) = oks_hex_encode(oks_span((const char *)user.bytes, OKS_ID_LEN), pool);
        APR_ARRAY_PUSH(ids, const char *) = "no id, \xff\xfe";
        APR_ARRAY_PUSH(ids, const char *) = APR_ARRAY_IDX(ids, 0, const char *);
        if (i % 2) APR_ARRAY_PUSH(half, const char *) = APR_ARRAY_IDX(ids, 3 * i, const char *);
    }
    APR_ARRAY_PUSH(ids, const char *) = "00000000000000000000000000000000";
    assert_int_equal(moved_by(change_of(OKS_MEMBERS_ADD, ids, NULL), &group, other, &sequence, theirs), MEMBERS);
    assert_int_equal(count_members(group), MEMBERS);
    assert_int_equal(moved_by(change_of(OKS_MEMBERS_ADD, ids, NULL), &group, other, &sequence, theirs), 0);
    assert_int_equal(moved_by(change_of(OKS_MEMBERS_REMOVE, half, NULL), &group, other, &sequence, theirs), MEMBERS / 2);
    assert_int_equal(count_members(group), MEMBERS / 2);
    assert_int_equal(moved_by(change_of(OKS_MEMBERS_REPLACE, half, NULL), &group, other, &sequence, theirs), MEMBERS);
    assert_int_equal(count_members(group), MEMBERS / 2);
    assert_int_equal(moved_by(change_of(OKS_MEMBERS_REMOVE, NULL, change_of(OKS_MEMBERS_ADD, ids, NULL)), &group, other, &sequence,
                              theirs), MEMBERS / 2);
    assert_int_equal(count_members(group), 0);
    apr_array_header_t *away = change_of(OKS_MEMBERS_REMOVE, half, change_of(OKS_MEMBERS_ADD, ids, NULL));
    assert_int_equal(moved_by(change_of(OKS_MEMBERS_ADD, half, away), &group, other, &sequence, theirs), MEMBERS);
    assert_int_equal(count_members(group), MEMBERS);
}

static void expired_rows_are_swept(void **state)
{
    oks_id_t user;
    bool more;
    oks_login_t login = login_of(person("sub-7", "seven@acme.example")), again = login_of(person("sub-7", "seven@acme.example"));
    again.claim = login.claim;
    GOOD(oks_directory_login(&user, directory, &login, pool));
    GOOD(oks_directory_sweep(&more, directory, NOW, pool));
    REASON(oks_directory_login(&user, directory, &again, pool), OKS_R_DIRECTORY_CLAIM_USED);
    GOOD(oks_directory_sweep(&more, directory, NOW + 2 * HOUR, pool));
    GOOD(oks_directory_login(&user, directory, &again, pool)); /* the assertion itself has long expired by then */
}

static void in_sqlite(const char *sql)
{
    assert_int_equal(system(apr_pstrcat(pool, "sqlite3 ", strchr(spec, ':') + 1, " \"", sql, "\"", NULL)), 0);
}

static int count_rows(const char *from)
{
    char answer[20] = "";
    FILE *out = popen(apr_pstrcat(pool, "sqlite3 ", strchr(spec, ':') + 1, " \"SELECT COUNT(*) FROM ", from, "\"", NULL), "r");
    assert_non_null(fgets(answer, sizeof answer, out));
    assert_int_equal(pclose(out), 0);
    return atoi(answer);
}

/* A minute's logins are more than one round removes, and may be more than one sweep does. */
static void many_rows_are_swept_at_once(void **state)
{
    bool more;
    in_sqlite("INSERT INTO claims WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 22500)"
              " SELECT 'many' || i, 1 FROM n");
    GOOD(oks_directory_sweep(&more, directory, NOW, pool));
    assert_true(more);
    assert_int_equal(count_rows("claims WHERE expires = 1"), 2500);
    GOOD(oks_directory_sweep(&more, directory, NOW, pool));
    assert_false(more);
    assert_int_equal(count_rows("claims WHERE expires = 1"), 0);
}

/* Rows so far back that whoever still wants them forgets everything instead: their place is taken by new ones, at once. */
static void the_change_log_does_not_outgrow_its_readers(void **state)
{
    oks_counters_t *theirs = apr_pcalloc(pool, sizeof *theirs);
    oks_directory_t *other;
    int64_t sequence = 0;
    apr_array_header_t *ids = apr_array_make(pool, MEMBERS, sizeof(const char *));
    const char *group = NULL;
    GOOD(oks_directory_open(&other, spec, 1, theirs, pool));
    for (int i = 0; i < MEMBERS; i++) {
        oks_id_t user;
        const char *name = apr_psprintf(pool, "renamed-%d@acme.example", i);
        oks_login_t login = login_of(person(name, name));
        GOOD(oks_directory_login(&user, directory, &login, pool));
        APR_ARRAY_PUSH(ids, const char *) = oks_hex_encode(oks_span((const char *)user.bytes, OKS_ID_LEN), pool);
    }
    in_sqlite("UPDATE user_groups SET display_key = id"); /* the name is free */
    moved_by(change_of(OKS_MEMBERS_ADD, ids, NULL), &group, other, &sequence, theirs);
    const char *old = apr_psprintf(pool, "changes WHERE seq <= %ld", (long)sequence), *all = "changes";
    assert_in_range(count_rows(old), MEMBERS, OKS_COUNTERS);
    in_sqlite(apr_psprintf(pool, "UPDATE change_head SET seq = seq + %d - %d", OKS_COUNTERS, MEMBERS)); /* as if others had changed */
    sequence += OKS_COUNTERS - MEMBERS;
    assert_int_equal(moved_by(change_of(OKS_MEMBERS_REMOVE, ids, NULL), &group, other, &sequence, theirs), MEMBERS);
    const int before = count_rows(all);
    assert_int_equal(count_rows(apr_psprintf(pool, "changes WHERE seq > %ld", (long)sequence - OKS_COUNTERS - MEMBERS)), MEMBERS);
    assert_int_equal(moved_by(change_of(OKS_MEMBERS_ADD, ids, NULL), &group, other, &sequence, theirs), MEMBERS);
    assert_int_equal(count_rows(all), before + MEMBERS); /* none of the last 65,536 is gone */
}

static void a_broken_database_is_not_an_empty_one(void **state)
{
    oks_directory_t *broken;
    oks_session_t *session;
    oks_document_t *document;
    oks_id_t id = fresh_id();
    const char *path = apr_pstrcat(pool, folder, "/broken.db", NULL);
    apr_file_t *file;
    apr_file_open(&file, path, APR_FOPEN_WRITE | APR_FOPEN_CREATE, APR_FPROT_OS_DEFAULT, pool);
    apr_file_puts("this is no database, and it is long enough to tell: this is no database, and it is long enough to tell", file);
    apr_file_close(file);
    GOOD(oks_directory_open(&broken, apr_pstrcat(pool, "sqlite3:", path, NULL), 2, counters, pool));
    REASON(oks_directory_session(&session, broken, &id, NOW, pool), OKS_R_DIRECTORY_UNAVAILABLE);
    REASON(oks_directory_document(&document, broken, "k", pool), OKS_R_DIRECTORY_UNAVAILABLE);
    REASON(oks_directory_open(&broken, "mysql:x", 1, counters, pool), OKS_R_DIRECTORY_UNAVAILABLE);
    const char *newer = apr_pstrcat(pool, folder, "/newer.db", NULL);
    assert_int_equal(system(apr_pstrcat(pool, "sqlite3 ", newer, " \"CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT);"
                                        " INSERT INTO meta VALUES ('schema_version','999')\"", NULL)), 0);
    GOOD(oks_directory_open(&broken, apr_pstrcat(pool, "sqlite3:", newer, NULL), 2, counters, pool));
    REASON(oks_directory_migrate(broken, pool), OKS_R_DIRECTORY_SCHEMA_NEWER);
    REASON(oks_directory_session(&session, broken, &id, NOW, pool), OKS_R_DIRECTORY_SCHEMA_NEWER);
}

/* ---- Many at once ---- */

#define THREADS 8
static oks_login_t race[THREADS];
static oks_reason_t raced[THREADS];

static void *APR_THREAD_FUNC run_race(apr_thread_t *thread, void *at)
{
    apr_pool_t *own;
    oks_id_t user;
    int i = *(int *)at;
    apr_pool_create_unmanaged_ex(&own, NULL, NULL);
    oks_err_t *err = oks_directory_login(&user, directory, &race[i], own);
    raced[i] = err ? err->reason : OKS_R_NONE;
    apr_pool_destroy(own);
    return NULL;
}

static int start_race(void)
{
    apr_thread_t *threads[THREADS];
    int numbers[THREADS], won = 0;
    apr_status_t status;
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(apr_thread_create(&threads[i], NULL, run_race, &numbers[i], pool), APR_SUCCESS);
    }
    for (int i = 0; i < THREADS; i++) apr_thread_join(&status, threads[i]);
    for (int i = 0; i < THREADS; i++) won += raced[i] == OKS_R_NONE;
    return won;
}

static void one_assertion_signs_in_once(void **state)
{
    for (int i = 0; i < THREADS; i++) {
        race[i] = login_of(person("sub-8", "eight@acme.example"));
        race[i].claim = "the same for all";
    }
    assert_int_equal(start_race(), 1);
    for (int i = 0; i < THREADS; i++) assert_true(raced[i] == OKS_R_NONE || raced[i] == OKS_R_DIRECTORY_CLAIM_USED);
}

static void one_person_is_one_user(void **state)
{
    oks_session_t *first, *session;
    for (int i = 0; i < THREADS; i++) race[i] = login_of(person("sub-9", "nine@acme.example"));
    assert_int_equal(start_race(), THREADS);
    GOOD(oks_directory_session(&first, directory, &race[0].session, NOW, pool));
    for (int i = 1; i < THREADS; i++) {
        GOOD(oks_directory_session(&session, directory, &race[i].session, NOW, pool));
        assert_memory_equal(&first->user, &session->user, sizeof first->user);
    }
}

/* ---- The record cache ---- */

static oks_record_t draft_of(const oks_id_t *session, const oks_id_t *user)
{
    static const oks_record_field_t fields[] = { { "email", "OKTASSO_EMAIL", "a@b.c" }, { "role", "OKTASSO_ROLE", "member" } };
    static const char *const groups[] = { "A", "B" };
    oks_record_t draft = { .session = *session, .user = *user, .org = "acme", .vhost = "v", .protocol = "saml",
                           .authn_context = "", .fields = fields, .nfields = 2, .groups = groups, .ngroups = 2 };
    draft.seen_session = oks_counter_get(counters, oks_counter_of_session(session));
    draft.seen_user = oks_counter_get(counters, oks_counter_of_user(user));
    draft.seen_org = oks_counter_get(counters, oks_counter_of_org("acme"));
    return draft;
}

static void records_are_true_until_a_counter_moves(void **state)
{
    oks_cache_t *cache;
    oks_id_t session = fresh_id(), user = fresh_id();
    GOOD(oks_cache_create(&cache, 128, 1 << 20, pool));
    uint32_t moved[] = { oks_counter_of_session(&session), oks_counter_of_user(&user), oks_counter_of_org("acme") };
    for (int i = 0; i < 3; i++) {
        oks_record_t draft = draft_of(&session, &user);
        oks_record_release(oks_cache_put(cache, &draft));
        const oks_record_t *record = oks_cache_get(cache, counters, &session);
        assert_non_null(record);
        assert_string_equal(oks_record_field(record, "role"), "member");
        assert_null(oks_record_field(record, "rolex"));
        assert_string_equal(record->groups[1], "B");
        oks_counter_add(counters, moved[i]);
        assert_null(oks_cache_get(cache, counters, &session));
        assert_string_equal(record->org, "acme"); /* a holder keeps what it holds */
        oks_record_release(record);
    }
}

static void the_cache_is_bounded(void **state)
{
    oks_cache_t *cache;
    apr_pool_t *own;
    oks_id_t user = fresh_id();
    const oks_record_t *held = NULL;
    apr_pool_create(&own, pool);
    GOOD(oks_cache_create(&cache, 128, 64 * 1024, own));
    int kept = 0;
    oks_id_t ids[2000];
    for (int i = 0; i < 2000; i++) {
        ids[i] = fresh_id();
        oks_record_t draft = draft_of(&ids[i], &user);
        const oks_record_t *record = oks_cache_put(cache, &draft);
        assert_non_null(record);
        if (i == 0) held = record;
        else oks_record_release(record);
    }
    for (int i = 0; i < 2000; i++) {
        const oks_record_t *record = oks_cache_get(cache, counters, &ids[i]);
        if (record) kept++, oks_record_release(record);
    }
    assert_in_range(kept, 16, 128);
    apr_pool_destroy(own); /* the cache goes, the held record stays */
    assert_string_equal(oks_record_field(held, "email"), "a@b.c");
    oks_record_release(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_login_makes_a_session), cmocka_unit_test(a_replay_changes_nothing),
        cmocka_unit_test(users_are_matched_and_updated), cmocka_unit_test(who_may_not),
        cmocka_unit_test(who_differs_in_a_byte_is_somebody_else), cmocka_unit_test(a_database_of_version_3_is_migrated),
        cmocka_unit_test(what_leads_to_a_record_that_has_a_subject),
        cmocka_unit_test(an_externalid_of_okta_says_whose_a_record_is),
        cmocka_unit_test(who_was_deleted_enters_no_successor_s_record),
        cmocka_unit_test(an_address_that_somebody_gave_up_is_free),
        cmocka_unit_test(documents_count_only_changes), cmocka_unit_test(another_server_follows),
        cmocka_unit_test(a_change_log_with_holes_moves_every_counter),
        cmocka_unit_test(many_members_in_one_change), cmocka_unit_test(expired_rows_are_swept),
        cmocka_unit_test(many_rows_are_swept_at_once),
        cmocka_unit_test(the_change_log_does_not_outgrow_its_readers),
        cmocka_unit_test(a_broken_database_is_not_an_empty_one),
        cmocka_unit_test(one_assertion_signs_in_once), cmocka_unit_test(one_person_is_one_user),
        cmocka_unit_test(records_are_true_until_a_counter_moves), cmocka_unit_test(the_cache_is_bounded),
    };
    return cmocka_run_group_tests(tests, set_up, scratch_tear_down);
}
