/* mod_oktasso: the module record and the list of hooks. What they do stands in src/httpd. */
#include "src/httpd/module.h"

static void register_hooks(apr_pool_t *pool)
{
    /* Own URLs are ours before these map them elsewhere. */
    static const char *const mappers[] = { "mod_rewrite.c", "mod_alias.c", "mod_proxy.c", "mod_userdir.c", NULL };
    static const char *const user_names[] = { "mod_ssl.c", NULL }; /* by SSLUserName */
    static const char *const authz_core[] = { "mod_authz_core.c", NULL };

    ap_hook_check_config(oks_httpd_complete, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_open_logs(oks_httpd_open_logs, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(oks_httpd_post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(oks_httpd_child_init, NULL, NULL, APR_HOOK_LAST);

    ap_hook_post_read_request(oks_httpd_read_request, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_pre_translate_name(oks_httpd_pre_translate, NULL, mappers, APR_HOOK_REALLY_FIRST);
    ap_hook_translate_name(oks_httpd_translate, NULL, mappers, APR_HOOK_REALLY_FIRST);
    ap_hook_map_to_storage(oks_httpd_map_to_storage, NULL, mappers, APR_HOOK_REALLY_FIRST);

    ap_hook_check_access(oks_httpd_check_access, user_names, NULL, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_access_ex(oks_httpd_forget_user, NULL, authz_core, APR_HOOK_REALLY_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_access_ex(oks_httpd_check_access_ex, authz_core, NULL, APR_HOOK_LAST, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authn(oks_httpd_check_authn, NULL, NULL, APR_HOOK_MIDDLE, AP_AUTH_INTERNAL_PER_CONF);
    ap_hook_check_authz(oks_httpd_check_authz, NULL, authz_core, APR_HOOK_FIRST, AP_AUTH_INTERNAL_PER_CONF);
    oks_httpd_register_authz(pool);

    ap_hook_fixups(oks_httpd_fixup, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_fixups(oks_httpd_fixup_last, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_handler(oks_httpd_handle, NULL, NULL, APR_HOOK_FIRST);
}

__attribute__((visibility("default"))) AP_DECLARE_MODULE(oktasso) = {
    STANDARD20_MODULE_STUFF,
    oks_httpd_create_dir_conf,
    oks_httpd_merge_dir_conf,
    oks_httpd_create_server_conf,
    oks_httpd_merge_server_conf,
    oks_httpd_commands,
    register_hooks,
    AP_MODULE_FLAG_ALWAYS_MERGE /* a virtual host without a directive of ours would else share the main server's record */
};
