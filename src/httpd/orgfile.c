/* A file of OktaSSOOrgDir: what could stand in <OktaSSOOrg NAME>, read as httpd reads .htaccess. */
#include <string.h>

#include <apr_strings.h>

#include "conf.h"

/* httpd would write its own variables there; also where a line goes on between the two characters. */
static bool has_variable(oks_span_t text)
{
    char before = '\0';
    for (apr_size_t i = 0; i < text.len; i++) {
        if (before == '$' && text.ptr[i] == '{') return true;
        if (!strchr("\\\r\n", text.ptr[i])) before = text.ptr[i];
    }
    return false;
}

/* Before httpd's own reader sees it: some of its directives act while they are read. */
static const char *check_lines(oks_span_t text, apr_pool_t *pool)
{
    oks_span_t line;
    bool continued = false, in_xml = false;
    if (memchr(text.ptr, '\0', text.len)) return "a NUL byte";
    if (has_variable(text)) return "${...} cannot stand here";
    for (int number = 1; oks_span_next(&line, &text, '\n'); number++) {
        bool goes_on = line.len && line.ptr[line.len - 1] == '\\';
        line = oks_span_trim(line);
        const char *word = apr_pstrmemdup(pool, line.ptr ? line.ptr : "", line.len < 24 ? line.len : 24);
        if (in_xml) in_xml = strncasecmp(word, "</" OKS_XML_SECTION ">", sizeof "</" OKS_XML_SECTION ">" - 1) != 0;
        else if (strncasecmp(word, "<" OKS_XML_SECTION ">", sizeof "<" OKS_XML_SECTION ">" - 1) == 0) in_xml = true;
        else if (!continued && *word && *word != '#' && strncasecmp(word, "OktaSSO", 7) != 0)
            return apr_psprintf(pool, "line %d: only OktaSSO... settings of the organization can stand here", number);
        continued = goes_on && !in_xml;
    }
    return NULL;
}

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

const char *oks_httpd_parse_org(oks_org_conf_t *section, oks_server_conf_t *conf, const char *path, oks_span_t text,
                                apr_pool_t *keep, apr_pool_t *scratch)
{
    ap_directive_t *tree = NULL;
    const char *error = check_lines(text, scratch);
    if (error) return error;
    cmd_parms parms = { .override = ACCESS_CONF, .limited = -1, .pool = keep, .temp_pool = scratch, .server = conf->server };
    parms.config_file = ap_pcfg_open_custom(scratch, path, &text, next_char, next_line, NULL);
    error = ap_build_config(&parms, scratch, scratch, &tree);
    if (error) return apr_psprintf(scratch, "line %d: %s", (int)parms.config_file->line_number, error);
    if ((error = oks_httpd_check_section(tree, scratch))) return error;
    conf->open_section = section;
    error = tree ? ap_walk_config(tree, &parms, conf->server->lookup_defaults) : NULL;
    conf->open_section = NULL;
    return error ? apr_psprintf(scratch, "line %d: %s", parms.err_directive ? parms.err_directive->line_num : 0, error) : NULL;
}
