/* A file of OktaSSOOrgDir: what could stand in <OktaSSOOrg NAME>, read as httpd reads .htaccess. */
#include <string.h>

#include <apr_strings.h>

#include "orgdir.h"

#include <util_varbuf.h>

static apr_status_t next_char(char *c, void *text_)
{
    oks_span_t *text = text_;
    if (!text->len) return APR_EOF;
    *c = *text->ptr;
    text->ptr++, text->len--;
    return APR_SUCCESS;
}

static apr_status_t next_line(void *buffer, apr_size_t size, void *text)
{
    char *out = buffer, *end = out + size - 1;
    if (!((oks_span_t *)text)->len) return APR_EOF;
    while (out < end && next_char(out, text) == APR_SUCCESS)
        if (*out++ == '\n') break;
    *out = '\0';
    return APR_SUCCESS;
}

/* `text` is used up by the reading. */
static ap_configfile_t *open_text(oks_span_t *text, const char *path, apr_pool_t *pool)
{
    return ap_pcfg_open_custom(pool, path, text, next_char, next_line, NULL);
}

/* Before httpd makes directives of it: some of its own act while they are read, and variables are filled in. What a line is says
 * httpd's reader here as there, so that both agree on where pasted metadata begins and ends. */
static const char *check_lines(oks_span_t text, const char *path, apr_pool_t *pool)
{
    struct ap_varbuf line;
    apr_status_t status;
    bool in_xml = false;
    if (memchr(text.ptr, '\0', text.len)) return "a NUL byte";
    ap_configfile_t *lines = open_text(&text, path, pool);
    ap_varbuf_init(pool, &line, 1024);
    while ((status = ap_varbuf_cfg_getline(&line, lines, OKS_ORG_FILE_MAX)) == APR_SUCCESS) {
        if (strstr(line.buf, "${")) return "${...} cannot stand here";
        if (in_xml) in_xml = strcasecmp(line.buf, "</" OKS_XML_SECTION ">") != 0;
        else if (strcasecmp(line.buf, "<" OKS_XML_SECTION ">") == 0) in_xml = true;
        else if (*line.buf && *line.buf != '#' && strncasecmp(line.buf, "OktaSSO", 7) != 0)
            return apr_psprintf(pool, "line %d: only OktaSSO... settings of the organization can stand here",
                                (int)lines->line_number);
    }
    return APR_STATUS_IS_EOF(status) ? NULL : ap_pcfg_strerror(pool, lines, status);
}

const char *oks_httpd_parse_org(oks_org_conf_t *section, oks_server_conf_t *conf, const char *path, oks_span_t text,
                                apr_pool_t *keep, apr_pool_t *scratch)
{
    ap_directive_t *tree = NULL;
    const char *error = check_lines(text, path, scratch);
    if (error) return error;
    cmd_parms parms = { .override = ACCESS_CONF, .limited = -1, .pool = keep, .temp_pool = scratch, .server = conf->server };
    parms.config_file = open_text(&text, path, scratch);
    error = ap_build_config(&parms, scratch, scratch, &tree);
    if (error) return apr_psprintf(scratch, "line %d: %s", (int)parms.config_file->line_number, error);
    if ((error = oks_httpd_check_section(tree, scratch))) return error;
    conf->open_section = section;
    error = tree ? ap_walk_config(tree, &parms, conf->server->lookup_defaults) : NULL;
    conf->open_section = NULL;
    return error ? apr_psprintf(scratch, "line %d: %s", parms.err_directive ? parms.err_directive->line_num : 0, error) : NULL;
}
