/* oktassoctl: what an administrator does with the directory, beside httpd. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_getopt.h>
#include <apr_strings.h>

#include "oktasso/crypto.h"
#include "oktasso/directory.h"

#define SQLITE "sqlite3:"
#define TOKEN_BYTES 32
#define LABEL_MAX 64                 /* bytes */
#define OWNER_SHOWN 80               /* bytes */
#define DIRECTORY_VARIABLE "OKTASSO_DIRECTORY"

enum { DONE = 0, FAILED = 1, MISUSED = 2 };

typedef struct call_t {
    oks_directory_t *directory;
    const char *org;
    const char *label, *owner; /* of a new token; owner may be NULL */
    const char *id;            /* of one that ends; or a user's name */
    apr_pool_t *pool;
} call_t;

static const char usage[] =
    "usage: oktassoctl [--directory SPEC] COMMAND\n"
    "\n"
    "  scim-token new ORG [--label TEXT] [--owner USERNAME]\n"
    "                               makes a token for Okta's SCIM client; it is shown this once\n"
    "  scim-token list ORG          the tokens: id, label, owner, made, last used\n"
    "  scim-token revoke ORG ID     ends one, from the next request on\n"
    "  user relink ORG NAME         forgets the NameID or sub of the user with this userName or address: the next login with it\n"
    "                               brings its own\n"
    "  user relink-all ORG          the same of everybody, when Okta sends another NameID for all\n"
    "  help                         shows this\n"
    "\n"
    "SPEC is what OktaSSODirectory says: sqlite3:PATH or pgsql:CONNINFO. Default: $" DIRECTORY_VARIABLE ", else\n"
    "  " SQLITE OKS_STATE_DIR "/directory.db\n"
    "A token with an owner ends when this user is deactivated. Tokens of the configuration (OktaSSOSCIMToken) are not listed.\n";

static int fail(const oks_err_t *err, apr_pool_t *pool)
{
    fprintf(stderr, "oktassoctl: %s\n", oks_err_text(err, pool));
    return FAILED;
}

static int misuse(const char *what)
{
    fprintf(stderr, "oktassoctl: %s\n", what);
    return MISUSED;
}

static void warn_of_org(const call_t *call, const char *verb)
{
    fprintf(stderr, "There %s no user, group or token of %s in the directory yet, only of others: is the name right? (httpd's "
            "configuration, which knows, is not read here.)\n", verb, call->org);
}

/* ---- SCIM tokens ---- */

static int new_token(const call_t *call)
{
    unsigned char bytes[TOKEN_BYTES], digest[OKS_SHA256_LEN];
    const oks_scim_token_t wanted = { .label = call->label, .owner = call->owner };
    bool is_new;
    oks_err_t *err = oks_directory_org_is_new(&is_new, call->directory, call->org, call->pool);
    if (!err) err = oks_random_bytes(bytes, sizeof bytes, call->pool);
    if (err) return fail(err, call->pool);
    const char *secret = oks_base64url_encode(oks_span((char *)bytes, sizeof bytes), call->pool);
    const char *token = apr_pstrcat(call->pool, OKS_TOKEN_PREFIX, secret, NULL);
    oks_sha256(digest, oks_span_z(token));
    err = oks_directory_token_add(call->directory, call->org, digest, &wanted, apr_time_now(), call->pool);
    if (err && err->reason == OKS_R_DIRECTORY_USER_UNKNOWN) {
        fprintf(stderr, "oktassoctl: %s has no active user %s in the directory (%s)\n", call->org, call->owner,
                oks_reason_info(err->reason)->code);
        return FAILED;
    }
    if (err) return fail(err, call->pool);
    if (puts(token) == EOF || fflush(stdout) != 0) {
        fprintf(stderr, "oktassoctl: the token was made but could not be shown: %s; revoke it\n", strerror(errno));
        return FAILED;
    }
    fprintf(stderr, "This is the token; it is not shown again. In Okta, give it to the SCIM connection of %s (HTTP Header).\n",
            call->org);
    if (is_new) warn_of_org(call, "was");
    return DONE;
}

static const char *day(apr_time_t time, apr_pool_t *pool)
{
    return time ? oks_time_format(time, pool) : "never";
}

static int list_tokens(const call_t *call)
{
    apr_array_header_t *tokens;
    bool is_new;
    oks_err_t *err = oks_directory_tokens(&tokens, call->directory, call->org, call->pool);
    if (!err) err = oks_directory_org_is_new(&is_new, call->directory, call->org, call->pool);
    if (err) return fail(err, call->pool);
    if (is_new) warn_of_org(call, "is");
    printf("%-*s  %-20s  %-20s  %-24s  %s\n", OKS_TOKEN_ID_LEN, "ID", "MADE", "LAST USED", "LABEL", "OWNER");
    for (int i = 0; i < tokens->nelts; i++) {
        const oks_scim_token_t *token = &APR_ARRAY_IDX(tokens, i, oks_scim_token_t);
        printf("%s  %-20s  %-20s  %-24s  %s%s\n", token->id, day(token->created, call->pool), day(token->last_used, call->pool),
               oks_log_escape(oks_span_z(token->label), LABEL_MAX, call->pool),
               token->owner ? oks_log_escape(oks_span_z(token->owner), OWNER_SHOWN, call->pool) : "-",
               token->owner_inactive ? " (inactive: the token has ended)" : "");
    }
    if (fflush(stdout) == 0 && !ferror(stdout)) return DONE;
    fprintf(stderr, "oktassoctl: the list could not be shown: %s\n", strerror(errno));
    return FAILED;
}

static int revoke_token(const call_t *call)
{
    bool removed;
    oks_err_t *err = oks_directory_token_remove(&removed, call->directory, call->org, call->id, call->pool);
    if (err) return fail(err, call->pool);
    if (!removed) {
        fprintf(stderr, "oktassoctl: %s has no token %s: see oktassoctl scim-token list %s\n", call->org, call->id, call->org);
        return FAILED;
    }
    fprintf(stderr, "The token %s of %s has ended.\n", call->id, call->org);
    return DONE;
}

/* ---- Users ---- */

static int relinked_nobody(const call_t *call)
{
    bool is_new;
    const char *code = oks_reason_info(OKS_R_DIRECTORY_USER_UNKNOWN)->code;
    if (call->id) fprintf(stderr, "oktassoctl: %s has no user %s in the directory (%s)\n", call->org, call->id, code);
    else fprintf(stderr, "oktassoctl: %s has nobody to relink in the directory (%s)\n", call->org, code);
    oks_err_t *err = oks_directory_org_is_new(&is_new, call->directory, call->org, call->pool);
    if (err) return fail(err, call->pool);
    if (is_new) warn_of_org(call, "is");
    return FAILED;
}

static int relink(const call_t *call)
{
    int count;
    oks_err_t *err = oks_directory_relink(&count, call->directory, call->org, call->id, call->pool);
    if (err) return fail(err, call->pool);
    if (!count) return relinked_nobody(call);
    fprintf(stderr, "%d of %s: the next login brings its own NameID or sub.\n", count, call->org);
    return DONE;
}

typedef struct command_t {
    const char *group, *name;
    int operands; /* after the two words; */
    const char *wants; /* their names */
    int (*run)(const call_t *call);
} command_t;

static const command_t commands[] = {
    { "scim-token", "new", 1, "ORG", new_token },
    { "scim-token", "list", 1, "ORG", list_tokens },
    { "scim-token", "revoke", 2, "ORG ID", revoke_token },
    { "user", "relink", 2, "ORG NAME", relink },
    { "user", "relink-all", 1, "ORG", relink },
};

/* ---- The directory ---- */

/* SQLite would make the file that is not there, for nobody's use. */
static bool is_there(const char *spec)
{
    if (strncmp(spec, SQLITE, sizeof SQLITE - 1) != 0 || access(spec + sizeof SQLITE - 1, R_OK) == 0) return true;
    const int code = errno;
    fprintf(stderr, "oktassoctl: %s: %s\n%s\n", spec + sizeof SQLITE - 1, strerror(code), code == EACCES
            ? "it is for root and for httpd's User: run oktassoctl as one of them"
            : "httpd makes it at its first start; if OktaSSODirectory or OktaSSOStateDir says another place, say --directory");
    return false;
}

/* Root becomes the owner of the database's directory, who may have put anything there. */
static bool become_owner(const char *spec, apr_pool_t *pool)
{
    struct stat info;
    if (geteuid() != 0 || strncmp(spec, SQLITE, sizeof SQLITE - 1) != 0) return true;
    const char *folder = apr_pstrcat(pool, spec + sizeof SQLITE - 1, NULL), *slash = strrchr(folder, '/');
    folder = slash ? apr_pstrmemdup(pool, folder, (apr_size_t)(slash - folder) + 1) : ".";
    if (stat(folder, &info) != 0 || info.st_uid == 0) return true;
    if (setgroups(0, NULL) == 0 && setgid(info.st_gid) == 0 && setuid(info.st_uid) == 0) return true;
    fprintf(stderr, "oktassoctl: cannot become the owner of %s: %s\n", folder, strerror(errno));
    return false;
}

static int run(const command_t *command, call_t *call, const char *spec)
{
    oks_counters_t *counters = apr_pcalloc(call->pool, sizeof *counters); /* nobody looks at ours: servers read the change log */
    if (!become_owner(spec, call->pool) || !is_there(spec)) return FAILED;
    oks_err_t *err = oks_directory_open(&call->directory, spec, 1, counters, call->pool);
    return err ? fail(err, call->pool) : command->run(call);
}

/* ---- The command line ---- */

static const apr_getopt_option_t options[] = {
    { "directory", 'd', true, NULL }, { "label", 'l', true, NULL }, { "owner", 'o', true, NULL }, { "help", 'h', false, NULL },
    { "version", 'V', false, NULL },
    { NULL, 0, false, NULL }
};

static bool label_ok(const char *label)
{
    for (const char *p = label; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) return false;
    return strlen(label) <= LABEL_MAX && oks_utf8_ok(oks_span_z(label));
}

static const char *joined(int argc, const char *const *argv, apr_pool_t *pool)
{
    const char *text = "";
    for (int i = 0; i < argc; i++) text = apr_pstrcat(pool, text, " ", argv[i], NULL);
    return text;
}

/* "scim-token wants one of: new, list, revoke" */
static const char *not_a_command(int argc, const char *const *argv, apr_pool_t *pool)
{
    const char *names = NULL;
    for (apr_size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (!strcmp(argv[0], commands[i].group))
            names = apr_pstrcat(pool, names ? names : "", names ? ", " : "", commands[i].name, NULL);
    if (names) return apr_psprintf(pool, "%s wants one of: %s", argv[0], names);
    return apr_psprintf(pool, "no such command:%s; see oktassoctl help", joined(argc, argv, pool));
}

/* NULL, with *error: there is none, or its operands are too few or too many. */
static const command_t *find_command(const char **error, int argc, const char *const *argv, apr_pool_t *pool)
{
    const command_t *found = NULL;
    for (apr_size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (argc >= 2 && !strcmp(argv[0], commands[i].group) && !strcmp(argv[1], commands[i].name)) found = &commands[i];
    if (found && argc == 2 + found->operands) return found;
    if (!found) *error = not_a_command(argc, argv, pool);
    else {
        const int end = 2 + found->operands; /* what is beyond it is too much */
        *error = apr_psprintf(pool, "%s %s wants %s%s%s", found->group, found->name, found->wants, argc > end ? "; too much:" : "",
                              argc > end ? joined(argc - end, argv + end, pool) : "");
    }
    return NULL;
}

int main(int argc, const char *const *argv, const char *const *env)
{
    apr_getopt_t *reader;
    const char *value, *error, *spec = getenv(DIRECTORY_VARIABLE);
    call_t call = { .label = "" };
    apr_status_t status;
    int option;
    if (apr_app_initialize(&argc, &argv, &env) != APR_SUCCESS || atexit(apr_terminate) != 0) return FAILED;
    apr_pool_create(&call.pool, NULL);
    apr_getopt_init(&reader, call.pool, argc, argv);
    reader->interleave = true;
    while ((status = apr_getopt_long(reader, options, &option, &value)) == APR_SUCCESS) {
        switch (option) {
        case 'd': spec = value; break;
        case 'l': call.label = value; break;
        case 'o': call.owner = value; break;
        case 'V': puts("oktassoctl " OKS_VERSION); return DONE;
        default: fputs(usage, stdout); return DONE;
        }
    }
    const char *const *words = (const char *const *)reader->argv + reader->ind;
    if (status != APR_EOF || reader->ind == argc) { /* apr_getopt has named the option */
        fputs(usage, stderr);
        return MISUSED;
    }
    if (!strcmp(words[0], "help")) {
        fputs(usage, stdout);
        return DONE;
    }
    const command_t *command = find_command(&error, argc - reader->ind, words, call.pool);
    if (!command) return misuse(error);
    if (spec && *spec == '/') spec = apr_pstrcat(call.pool, SQLITE, spec, NULL); /* a path alone can be nothing else */
    call.org = words[2];
    call.id = command->operands == 2 ? words[3] : NULL;
    if (!oks_org_name_ok(oks_span_z(call.org)))
        return misuse(apr_pstrcat(call.pool, call.org, " is no organization name: 1 to 63 of a-z, 0-9 and -", NULL));
    if (!label_ok(call.label)) return misuse("a label is text of at most 64 bytes");
    return run(command, &call, spec && *spec ? spec : SQLITE OKS_STATE_DIR "/directory.db");
}
