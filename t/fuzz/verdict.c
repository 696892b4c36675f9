/* Says of each file what we make of it, for t/fuzz/test_agree.py: one line a file, "accepted" or the reason.
 *   verdict saml METADATA NOW ACS REQUEST AUDIENCE KEY FILE...   (KEY: PEM that decrypts, or "-")
 *   verdict jws JWKS FILE... */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_file_io.h>
#include <apr_general.h>
#include <apr_strings.h>

#include "oktasso/saml.h"

static apr_pool_t *global;

static oks_span_t read_file(const char *path, apr_pool_t *pool)
{
    apr_file_t *file;
    apr_finfo_t info;
    if (apr_file_open(&file, path, APR_READ | APR_BINARY, 0, pool) || apr_file_info_get(&info, APR_FINFO_SIZE, file)) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(2);
    }
    char *bytes = apr_palloc(pool, (apr_size_t)info.size + 1);
    apr_size_t len = 0;
    if (info.size) apr_file_read_full(file, bytes, (apr_size_t)info.size, &len);
    apr_file_close(file);
    return oks_span(bytes, len);
}

static void must(const oks_err_t *err)
{
    if (!err) return;
    fprintf(stderr, "%s\n", oks_err_text(err, global));
    exit(2);
}

static void say(const char *path, const oks_err_t *err)
{
    printf("%s %s\n", path, err ? oks_reason_info(err->reason)->code : "accepted");
}

static void judge_saml(char **args, int files)
{
    oks_saml_idp_t *idp;
    const char *audiences[] = { args[4], NULL };
    oks_saml_expect_t expect = { .acs_url = args[2], .request_id = args[3], .audiences = audiences,
                                 .skew = apr_time_from_sec(120) };
    must(oks_saml_init(global));
    must(oks_saml_metadata_parse(&idp, read_file(args[0], global), global));
    must(oks_time_parse(&expect.now, oks_span_z(args[1]), global));
    expect.idp = idp;
    if (strcmp(args[5], "-") != 0) {
        oks_keypair_t *pair;
        oks_span_t pem = read_file(args[5], global);
        apr_array_header_t *keys = apr_array_make(global, 1, sizeof(oks_keypair_t *));
        must(oks_keypair_parse(&pair, pem, pem, global));
        APR_ARRAY_PUSH(keys, oks_keypair_t *) = pair;
        expect.keys = keys;
    }
    for (int i = 0; i < files; i++) {
        apr_pool_t *pool;
        oks_identity_t *identity;
        apr_pool_create(&pool, global);
        const char *value = oks_base64_encode(read_file(args[6 + i], pool), pool);
        say(args[6 + i], oks_saml_response_verify(&identity, oks_span_z(value), &expect, pool));
        apr_pool_destroy(pool);
    }
}

static void judge_jws(char **args, int files)
{
    oks_jwks_t *keys;
    must(oks_jwks_parse(&keys, read_file(args[0], global), global));
    for (int i = 0; i < files; i++) {
        apr_pool_t *pool;
        oks_span_t payload;
        apr_pool_create(&pool, global);
        say(args[1 + i], oks_jws_verify(&payload, NULL, read_file(args[1 + i], pool), keys, 0, NULL, pool));
        apr_pool_destroy(pool);
    }
}

int main(int argc, char **argv)
{
    apr_initialize();
    apr_pool_create(&global, NULL);
    if (argc > 8 && strcmp(argv[1], "saml") == 0) judge_saml(argv + 2, argc - 8);
    else if (argc > 3 && strcmp(argv[1], "jws") == 0) judge_jws(argv + 2, argc - 3);
    else return 2;
    apr_pool_destroy(global);
    apr_terminate();
    return 0;
}
