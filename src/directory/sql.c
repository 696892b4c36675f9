/* Every SQL text of the room. Portable between SQLite 3.24 and PostgreSQL 9.5; what differs is in the dialects.
 * Text keys of foreign origin are hashed, so that each index entry is small (PostgreSQL refuses large ones). Numbers
 * are compared to columns of type BIGINT only: apr_dbd's SQLite driver binds every argument as text, and it is the
 * column that makes a number of it. */
#include "directory_private.h"

#define TEN_OF(x) x ", " x ", " x ", " x ", " x ", " x ", " x ", " x ", " x ", " x
#define ROWS_OF(x) TEN_OF(TEN_OF(x)) /* OKS_ROWS_AT_ONCE */

#define USER_COLUMNS \
    "u.id, u.active, u.subject, u.email, u.first_name, u.last_name, u.name, u.asserted_groups, u.extra, u.deleted," \
    " u.subject_key, CASE WHEN u.resource = '{}' THEN 0 ELSE 1 END, u.external_id," \
    " u.external_key, u.user_name_key"

#define RESOURCE_COLUMNS \
    "u.id, u.active, u.user_name, u.external_id, u.resource, u.email, u.first_name, u.last_name, u.name, u.version, u.created," \
    " u.updated, u.deleted, u.subject, u.subject_key"
/* A record without the key of a userName is a local account's, which no identity provider knows: SCIM does not see it. */
#define SCIM_SEES "user_name_key IS NOT NULL"
#define GROUP_COLUMNS "g.id, g.display_name, g.resource, g.role, g.version, g.created, g.updated"

#define ANY_ROW(where) " EXISTS (SELECT 1 FROM users" where ") OR EXISTS (SELECT 1 FROM user_groups" where ") OR" \
    " EXISTS (SELECT 1 FROM scim_tokens" where ") "

const char *const oks_directory_sql[OKS_S_COUNT_] = {
    [OKS_S_CLAIM_INSERT] = "INSERT INTO claims (hash, expires) VALUES (%s, %lld) ON CONFLICT (hash) DO NOTHING",
    [OKS_S_CLAIM_READ] = "SELECT expires FROM claims WHERE hash = %s",

    [OKS_S_USER_BY_SUBJECT] = "SELECT " USER_COLUMNS " FROM users u WHERE u.org = %s AND u.subject_key = %s",
    [OKS_S_USER_BY_EMAIL] = "SELECT " USER_COLUMNS " FROM users u WHERE u.org = %s AND u.email_key = %s",
    [OKS_S_USER_INSERT] =
        "INSERT INTO users (subject, subject_key, email, email_key, first_name, last_name, name, asserted_groups,"
        " extra, updated, id, org, user_name, user_name_key, active, created)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %lld, %s, %s, %s, %s, 1, %lld) ON CONFLICT DO NOTHING",
    [OKS_S_USER_UPDATE] =
        "UPDATE users SET subject = %s, subject_key = %s, email = %s, email_key = %s, first_name = %s, last_name = %s,"
        " name = %s, asserted_groups = %s, extra = %s, updated = %lld WHERE id = %s",

    [OKS_S_USER_RENAME] = "UPDATE users SET user_name = %s, user_name_key = %s WHERE id = %s",

    /* A local account without an address has but its subject. */
    [OKS_S_USER_RELINK] =
        "UPDATE users SET subject = '', subject_key = NULL WHERE org = %s AND (user_name_key = %s OR email_key = %s)"
        " AND deleted = 0 AND " SCIM_SEES,
    /* Whoever is switched off is refused by it, too. */
    [OKS_S_USERS_RELINK] = "UPDATE users SET subject = '', subject_key = NULL WHERE org = %s AND active = 1 AND " SCIM_SEES,

    [OKS_S_SESSION_INSERT] =
        "INSERT INTO sessions (id, user_id, org, vhost, protocol, subject_format, session_index, session_index_key,"
        " authn_context, authn_instant, created, expires)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %lld, %lld, %lld)",
    [OKS_S_SESSION_READ] =
        "SELECT s.org, s.vhost, s.protocol, s.subject_format, s.session_index, s.authn_context, s.authn_instant,"
        " s.created, s.expires, " USER_COLUMNS " FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.id = %s",
    [OKS_S_SESSION_DELETE] = "DELETE FROM sessions WHERE id = %s",
    [OKS_S_SESSIONS_DELETE_OF_USER] = "DELETE FROM sessions WHERE user_id = %s",
    [OKS_S_SESSIONS_DELETE_OF_ACCOUNT] = "DELETE FROM sessions WHERE user_id = %s AND protocol = '" OKS_PROTOCOL_LOCAL "'",

    [OKS_S_DOCUMENT_READ] = "SELECT content, etag, fetched FROM documents WHERE hash = %s",
    [OKS_S_DOCUMENT_WRITE] =
        "INSERT INTO documents (hash, name, content, etag, fetched) VALUES (%s, %s, %s, %s, %lld)"
        " ON CONFLICT (hash) DO UPDATE SET content = excluded.content, etag = excluded.etag,"
        " fetched = excluded.fetched",
    [OKS_S_DOCUMENT_DELETE] = "DELETE FROM documents WHERE hash = %s",

    /* One row hands out the numbers, and stays locked until the commit: so numbers are without gaps, and become
     * visible in their order. A database's own sequences promise neither. */
    [OKS_S_CHANGE_NEXT] = "UPDATE change_head SET seq = seq + %lld",
    [OKS_S_CHANGE_INSERT] =
        "INSERT INTO changes (seq, kind, hash, at) SELECT seq - %lld, %s, %s, %lld FROM change_head",
    [OKS_S_CHANGES_INSERT] = "INSERT INTO changes (seq, kind, hash, at) VALUES " ROWS_OF("(%lld, %s, %s, %lld)"),
    [OKS_S_CHANGE_HEAD] = "SELECT seq FROM change_head",
    [OKS_S_CHANGES_BETWEEN] = "SELECT hash FROM changes WHERE seq > %lld AND seq <= %lld",
    [OKS_S_CHANGES_FORGET] =
        "DELETE FROM changes WHERE seq > (SELECT seq FROM change_head) - %lld AND seq <= (SELECT seq FROM change_head) - %lld",

    [OKS_S_USER_BY_USER_NAME] = "SELECT " USER_COLUMNS " FROM users u WHERE u.org = %s AND u.user_name_key = %s",
    /* Not unique, and what was deleted keeps its key: the living first. */
    [OKS_S_USER_BY_EXTERNAL_ID] =
        "SELECT " USER_COLUMNS " FROM users u WHERE u.org = %s AND u.external_key = %s ORDER BY u.deleted",
    [OKS_S_RESOURCE_BY_ID] = "SELECT " RESOURCE_COLUMNS " FROM users u WHERE u.org = %s AND u.id = %s AND " SCIM_SEES,
    [OKS_S_RESOURCE_BY_USER_NAME] = "SELECT " RESOURCE_COLUMNS " FROM users u WHERE u.org = %s AND u.user_name_key = %s",
    [OKS_S_RESOURCE_BY_EXTERNAL_ID] =
        "SELECT " RESOURCE_COLUMNS " FROM users u WHERE u.org = %s AND u.external_key = %s ORDER BY u.deleted",
    [OKS_S_RESOURCE_BY_EMAIL] = "SELECT " RESOURCE_COLUMNS " FROM users u WHERE u.org = %s AND u.email_key = %s",
    [OKS_S_RESOURCE_BY_SUBJECT] =
        "SELECT " RESOURCE_COLUMNS " FROM users u WHERE u.org = %s AND u.subject_key = %s AND u.deleted = 0",
    [OKS_S_RESOURCE_COUNT] = /* created: so that SQLite takes the index that has just these rows */
        "SELECT COUNT(*) FROM users WHERE org = %s AND deleted = 0 AND created >= 0 AND " SCIM_SEES,
    [OKS_S_RESOURCE_PAGE] =
        "SELECT " RESOURCE_COLUMNS " FROM users u WHERE u.org = %s AND u.deleted = 0 AND " SCIM_SEES " ORDER BY u.created, u.id"
        " LIMIT %lld OFFSET %lld",
    [OKS_S_RESOURCE_INSERT] =
        "INSERT INTO users (active, user_name, user_name_key, external_id, external_key, resource, email, email_key, first_name,"
        " last_name, name, updated, id, org, subject, asserted_groups, extra, created, version)"
        " VALUES (%lld, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %lld, %s, %s, '', '[]', '[]', %lld, 1)",
    [OKS_S_RESOURCE_UPDATE] =
        "UPDATE users SET active = %lld, user_name = %s, user_name_key = %s, external_id = %s, external_key = %s, resource = %s,"
        " email = %s, email_key = %s, first_name = %s, last_name = %s, name = %s, updated = %lld, version = version + 1"
        " WHERE id = %s",
    /* What is left of a deleted user is that nobody becomes it again by signing in. */
    [OKS_S_RESOURCE_DELETE] =
        "UPDATE users SET deleted = 1, active = 0, resource = '{}', external_id = NULL, first_name = '', last_name = '', name = '',"
        " asserted_groups = '[]', extra = '[]', updated = %lld, version = version + 1 WHERE id = %s",
    /* A denied one that another record has from now on: denied it stays, by itself. */
    [OKS_S_SUBJECT_FREE] =
        "UPDATE users SET subject_key = CASE WHEN deleted = 0 THEN '" OKS_DENIED "' || id END WHERE org = %s AND subject_key = %s",
    [OKS_S_SUBJECT_DENY] = "UPDATE users SET subject_key = %s WHERE id = %s",
    [OKS_S_ASSERTED_FORGET] = "UPDATE users SET asserted_groups = '[]', extra = '[]' WHERE id = %s",
    [OKS_S_TOKENS_MOVE] = "UPDATE scim_tokens SET owner = %s WHERE owner = %s",
    [OKS_S_MEMBERS_MOVE] =
        "INSERT INTO members (group_id, user_id) SELECT group_id, %s FROM members WHERE user_id = %s ON CONFLICT DO NOTHING",
    [OKS_S_USER_DELETE] = "DELETE FROM users WHERE id = %s",
    /* A key that somebody else has from now on; the others stand. */
    [OKS_S_DELETED_FREE_SUBJECT] = "UPDATE users SET subject_key = NULL WHERE org = %s AND subject_key = %s AND deleted = 1",
    [OKS_S_DELETED_FREE_EMAIL] = "UPDATE users SET email_key = NULL WHERE org = %s AND email_key = %s AND deleted = 1",
    [OKS_S_DELETED_FREE_USER_NAME] =
        "UPDATE users SET user_name_key = NULL WHERE org = %s AND user_name_key = %s AND deleted = 1",
    [OKS_S_DELETED_PURGE] =
        "DELETE FROM users WHERE id = %s AND deleted = 1 AND subject_key IS NULL AND external_key IS NULL AND email_key IS NULL"
        " AND user_name_key IS NULL",

    [OKS_S_GROUP_BY_ID] = "SELECT " GROUP_COLUMNS " FROM user_groups g WHERE g.org = %s AND g.id = %s",
    [OKS_S_GROUP_BY_NAME] = "SELECT " GROUP_COLUMNS " FROM user_groups g WHERE g.org = %s AND g.display_key = %s",
    [OKS_S_GROUP_COUNT] = "SELECT COUNT(*) FROM user_groups WHERE org = %s",
    [OKS_S_GROUP_PAGE] = "SELECT " GROUP_COLUMNS " FROM user_groups g WHERE g.org = %s ORDER BY g.created, g.id"
        " LIMIT %lld OFFSET %lld",
    [OKS_S_GROUP_INSERT] =
        "INSERT INTO user_groups (display_name, display_key, resource, role, updated, id, org, created, version)"
        " VALUES (%s, %s, %s, %s, %lld, %s, %s, %lld, 1)",
    [OKS_S_GROUP_UPDATE] =
        "UPDATE user_groups SET display_name = %s, display_key = %s, resource = %s, updated = %lld, version = version + 1"
        " WHERE id = %s",
    [OKS_S_GROUP_DELETE] = "DELETE FROM user_groups WHERE id = %s AND org = %s",
    [OKS_S_MEMBERS_OF_GROUP] =
        "SELECT m.user_id, u.user_name FROM members m JOIN users u ON u.id = m.user_id WHERE m.group_id = %s ORDER BY m.user_id",
    /* Each by the one index that leads to few rows, whatever PostgreSQL believes of tables that have just grown: the ids. So the
     * rest of a user is looked at here and not there, and to `group_id || ''` no index leads. */
    [OKS_S_MEMBERS_AMONG] =
        "SELECT u.id, u.org, u.deleted, u.user_name_key,"
        " (SELECT COUNT(*) FROM members m WHERE m.group_id = %s AND m.user_id = u.id)"
        " FROM users u WHERE u.id IN (" ROWS_OF("%s") ")",
    [OKS_S_MEMBERS_INSERT] =
        "INSERT INTO members (group_id, user_id) SELECT %s, id FROM users WHERE id IN (" ROWS_OF("%s") ") ON CONFLICT DO NOTHING",
    [OKS_S_MEMBERS_DELETE] = "DELETE FROM members WHERE group_id || '' = %s AND user_id IN (" ROWS_OF("%s") ")",
    [OKS_S_MEMBERS_DELETE_OF_USER] = "DELETE FROM members WHERE user_id = %s",
    [OKS_S_GROUPS_OF_USER] =
        "SELECT g.id, g.display_name, g.role FROM members m JOIN user_groups g ON g.id = m.group_id WHERE m.user_id = %s"
        " ORDER BY g.created, g.id",

    [OKS_S_TOKEN_READ] =
        "SELECT t.last_used FROM scim_tokens t LEFT JOIN users u ON u.id = t.owner"
        " WHERE t.hash = %s AND t.org = %s AND (t.owner IS NULL OR u.active = 1)",
    [OKS_S_TOKEN_USED] = "UPDATE scim_tokens SET last_used = %lld WHERE hash = %s",
    [OKS_S_TOKEN_OWNER] = "SELECT id FROM users WHERE org = %s AND user_name_key = %s AND deleted = 0 AND active = 1",
    [OKS_S_TOKEN_INSERT] =
        "INSERT INTO scim_tokens (hash, org, label, owner, created, last_used) VALUES (%s, %s, %s, %s, %lld, 0)",
    [OKS_S_TOKENS_OF_ORG] =
        "SELECT t.hash, t.label, u.user_name, u.active, t.created, t.last_used"
        " FROM scim_tokens t LEFT JOIN users u ON u.id = t.owner WHERE t.org = %s ORDER BY t.created, t.hash",
    [OKS_S_TOKEN_ORG] =
        "SELECT CASE WHEN" ANY_ROW(" WHERE org = %s") "THEN 1 ELSE 0 END, CASE WHEN" ANY_ROW("") "THEN 1 ELSE 0 END",
    [OKS_S_TOKEN_DELETE] = "DELETE FROM scim_tokens WHERE org = %s AND substr(hash, 1, " APR_STRINGIFY(OKS_TOKEN_ID_LEN) ") = %s",

    [OKS_S_KEYS_PAGE] =
        "SELECT id, subject, subject_key, email, email_key, user_name, user_name_key FROM users WHERE id > %s ORDER BY id"
        " LIMIT 1000",
    [OKS_S_KEYS_WRITE] = "UPDATE users SET subject_key = %s, email_key = %s, user_name_key = %s WHERE id = %s",

    /* DELETE has no LIMIT in either dialect. */
    [OKS_S_SWEEP_SESSIONS] =
        "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires <= %lld LIMIT " APR_STRINGIFY(OKS_SWEEP_ROWS) ")",
    [OKS_S_SWEEP_CLAIMS] =
        "DELETE FROM claims WHERE hash IN (SELECT hash FROM claims WHERE expires <= %lld LIMIT " APR_STRINGIFY(OKS_SWEEP_ROWS) ")",
    [OKS_S_SWEEP_CHANGES] =
        "DELETE FROM changes WHERE seq IN (SELECT seq FROM changes WHERE at <= %lld LIMIT " APR_STRINGIFY(OKS_SWEEP_ROWS) ")",
};

const char *const oks_directory_meta_table =
    "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)";
const char *const oks_directory_version_sql = "SELECT value FROM meta WHERE name = 'schema_version'";

/* Keys that may be absent are NULL, which unique indexes let occur any number of times. */
static const char *const version_1[] = {
    "CREATE TABLE users ("
    " id TEXT PRIMARY KEY,"
    " org TEXT NOT NULL,"
    " subject TEXT NOT NULL,"
    " subject_key TEXT,"
    " email TEXT NOT NULL,"
    " email_key TEXT,"
    " first_name TEXT NOT NULL,"
    " last_name TEXT NOT NULL,"
    " name TEXT NOT NULL,"
    " asserted_groups TEXT NOT NULL,"
    " extra TEXT NOT NULL,"
    " active BIGINT NOT NULL,"
    " created BIGINT NOT NULL,"
    " updated BIGINT NOT NULL)",
    "CREATE UNIQUE INDEX users_by_subject ON users (org, subject_key)",
    "CREATE UNIQUE INDEX users_by_email ON users (org, email_key)",

    "CREATE TABLE sessions ("
    " id TEXT PRIMARY KEY,"
    " user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,"
    " org TEXT NOT NULL,"
    " vhost TEXT NOT NULL,"
    " protocol TEXT NOT NULL,"
    " subject_format TEXT NOT NULL,"
    " session_index TEXT,"
    " session_index_key TEXT,"
    " authn_context TEXT,"
    " authn_instant BIGINT NOT NULL,"
    " created BIGINT NOT NULL,"
    " expires BIGINT NOT NULL)",
    "CREATE INDEX sessions_by_user ON sessions (user_id)",
    "CREATE INDEX sessions_by_index ON sessions (org, session_index_key)", /* single logout names a SessionIndex */
    "CREATE INDEX sessions_by_expiry ON sessions (expires)",

    "CREATE TABLE claims (hash TEXT PRIMARY KEY, expires BIGINT NOT NULL)",
    "CREATE INDEX claims_by_expiry ON claims (expires)",

    /* The content in base64: apr_dbd gives no length with a binary column, and PostgreSQL's text holds no NUL. */
    "CREATE TABLE documents ("
    " hash TEXT PRIMARY KEY,"
    " name TEXT NOT NULL,"
    " content TEXT NOT NULL,"
    " etag TEXT,"
    " fetched BIGINT NOT NULL)",

    "CREATE TABLE changes ("
    " seq BIGINT PRIMARY KEY,"
    " kind TEXT NOT NULL,"
    " hash TEXT NOT NULL,"
    " at BIGINT NOT NULL)",
    "CREATE INDEX changes_by_age ON changes (at)",
    "CREATE TABLE change_head (seq BIGINT NOT NULL)",
    "INSERT INTO change_head (seq) VALUES (0)",
    "INSERT INTO meta (name, value) VALUES ('schema_version', '1')",
    NULL
};

/* SCIM: resources, groups and members. Who signed in before has the email address, or the subject, as userName. */
static const char *const version_2[] = {
    "ALTER TABLE users ADD COLUMN user_name TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE users ADD COLUMN user_name_key TEXT",
    "ALTER TABLE users ADD COLUMN external_id TEXT",
    "ALTER TABLE users ADD COLUMN external_key TEXT",
    "ALTER TABLE users ADD COLUMN resource TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE users ADD COLUMN version BIGINT NOT NULL DEFAULT 1",
    "ALTER TABLE users ADD COLUMN deleted BIGINT NOT NULL DEFAULT 0",
    "UPDATE users SET user_name = CASE WHEN email = '' THEN subject ELSE email END, user_name_key = email_key",
    "CREATE UNIQUE INDEX users_by_user_name ON users (org, user_name_key)",
    "CREATE INDEX users_by_external_id ON users (org, external_key)",
    "CREATE INDEX users_in_order ON users (org, created, id) WHERE deleted = 0 AND " SCIM_SEES,

    "CREATE TABLE user_groups ("
    " id TEXT PRIMARY KEY,"
    " org TEXT NOT NULL,"
    " display_name TEXT NOT NULL,"
    " display_key TEXT NOT NULL,"
    " resource TEXT NOT NULL,"
    " role TEXT,"
    " version BIGINT NOT NULL,"
    " created BIGINT NOT NULL,"
    " updated BIGINT NOT NULL)",
    "CREATE UNIQUE INDEX groups_by_name ON user_groups (org, display_key)",
    "CREATE INDEX groups_in_order ON user_groups (org, created, id)",
    "CREATE TABLE members ("
    " group_id TEXT NOT NULL REFERENCES user_groups (id) ON DELETE CASCADE,"
    " user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,"
    " PRIMARY KEY (group_id, user_id))",
    "CREATE INDEX members_by_user ON members (user_id)",
    "UPDATE meta SET value = '2' WHERE name = 'schema_version'",
    NULL
};

static const char *const version_3[] = {
    /* Most users lack one of these two: what is not in an index need not be written. */
    "DROP INDEX users_by_subject",
    "CREATE UNIQUE INDEX users_by_subject ON users (org, subject_key) WHERE subject_key IS NOT NULL",
    "DROP INDEX users_by_external_id",
    "CREATE INDEX users_by_external_id ON users (org, external_key) WHERE external_key IS NOT NULL",

    "CREATE TABLE scim_tokens ("
    " hash TEXT PRIMARY KEY,"
    " org TEXT NOT NULL,"
    " label TEXT NOT NULL,"
    " owner TEXT REFERENCES users (id) ON DELETE CASCADE,"
    " created BIGINT NOT NULL,"
    " last_used BIGINT NOT NULL)",
    "CREATE INDEX scim_tokens_of_org ON scim_tokens (org, created)",
    "CREATE INDEX scim_tokens_of_owner ON scim_tokens (owner)",
    "UPDATE meta SET value = '3' WHERE name = 'schema_version'",
    NULL
};

/* Keys of subjects, addresses and userNames were folded until here: see rekey.c. */
static const char *const version_4[] = {
    "UPDATE meta SET value = '4' WHERE name = 'schema_version'",
    NULL
};

const char *const *const oks_directory_migrations[OKS_SCHEMA_VERSION] = {version_1, version_2, version_3, version_4};

/* The last busy_timeout is short on purpose. apr_dbd's SQLite driver holds one lock for the whole process while a statement
 * runs, so that one who waits inside SQLite stops every reader; when SQLite gives up, the driver lets go of that lock,
 * sleeps 100 ms and tries again, 16 times in all. Together that waits about two seconds for another writer. The first one is for
 * the program that closes the file as its last user: until it is done no other connection exists that could be stopped, and
 * reading the schema is nothing that the driver tries again. */
static const char *const sqlite3_on_open[] = {
    "PRAGMA busy_timeout = 3000", "3000",
    "PRAGMA journal_mode = WAL", "wal",
    "PRAGMA busy_timeout = 40", "40",
    "PRAGMA synchronous = FULL", "", /* a commit is on the disk before it is acknowledged, in WAL mode as well */
    "PRAGMA foreign_keys = ON", "",
    NULL
};

/* A prepared statement keeps its plan: one that was made while a table was small would read it from end to end when it has
 * grown, a hundred thousand members for each hundred that come in. Whatever has an index goes by it. */
static const char *const pgsql_on_open[] = { "SELECT set_config('enable_seqscan', 'off', false)", "off", NULL };

/* libpq waits without end for a host that is gone: in seconds, and milliseconds. */
static const char pgsql_defaults[] =
    "connect_timeout=3 keepalives_idle=5 keepalives_interval=2 keepalives_count=3 tcp_user_timeout=10000 ";

const oks_dialect_t oks_directory_dialects[] = {
    {.scheme = "sqlite3", .defaults = "", .begin = "BEGIN IMMEDIATE",
     .on_open = sqlite3_on_open, .is_file = true, .one_writer = true},
    /* One writer at a time here, too: what is looked at before a write stays so until the commit. */
    {.scheme = "pgsql", .defaults = pgsql_defaults,
     .begin = "BEGIN; SET LOCAL lock_timeout = '3s'; SELECT pg_advisory_xact_lock(7301491)",
     .on_open = pgsql_on_open, .is_file = false, .one_writer = true},
    {.scheme = NULL}
};
