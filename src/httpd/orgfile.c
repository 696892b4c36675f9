/* A file of OktaSSOOrgDir: what could stand in <OktaSSOOrg NAME>, read as httpd reads .htaccess. */
#include <string.h>

#include <apr_cstr.h>
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

/* What can stand there: settings of the organization, blank lines, comments, and the tag of pasted metadata. */
static bool line_ok(const char *line)
{
    return !*line || *line == '#' || apr_cstr_casecmpn(line, "OktaSSO", 7) == 0 ||
           apr_cstr_casecmp(line, "<" OKS_XML_SECTION ">") == 0;
}

/* Of the section that the file itself is. */
static bool is_org_tag(const char *line)
{
    static const char *const tags[] = { "<OktaSSOOrg", "</OktaSSOOrg" };
    for (apr_size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        const apr_size_t len = strlen(tags[i]);
        if (apr_cstr_casecmpn(line, tags[i], len) == 0 && strchr(" \t>", line[len])) return true;
    }
    return false;
}

/* Before httpd acts on them: some of its directives do so while they are read. httpd's own reader says what a line is; `joined` has
 * each on a line of its own, under its number, so that nothing is left to be read in another way. */
static const char *check_lines(struct ap_varbuf *joined, ap_configfile_t *file, apr_pool_t *pool)
{
    struct ap_varbuf line;
    apr_status_t status;
    bool in_xml = false;
    unsigned number = 0;
    ap_varbuf_init(pool, &line, 1024);
    while ((status = ap_varbuf_cfg_getline(&line, file, 2 * OKS_ORG_FILE_MAX)) == APR_SUCCESS) {
        const bool continued = ++number < file->line_number;
        if (strstr(line.buf, "${")) /* httpd would write its own variables there */
            return apr_psprintf(pool, "line %u: ${...} cannot stand here", file->line_number);
        if ((in_xml && continued) || (line.strlen && line.buf[line.strlen - 1] == '\\'))
            return apr_psprintf(pool, "line %u: no backslash can stand at the end of such a line", number);
        if (!in_xml && is_org_tag(line.buf))
            return apr_psprintf(pool, "line %u: leave <OktaSSOOrg ...> and </OktaSSOOrg> out: the file's name says whose settings "
                                "these are", number);
        if (!in_xml && !line_ok(line.buf))
            return apr_psprintf(pool, "line %u: only OktaSSO... settings of the organization can stand here", number);
        if (apr_cstr_casecmp(line.buf, in_xml ? "</" OKS_XML_SECTION ">" : "<" OKS_XML_SECTION ">") == 0) in_xml = !in_xml;
        for (; number < file->line_number; number++) ap_varbuf_strcat(joined, "\n");
        ap_varbuf_strcat(joined, line.buf);
        ap_varbuf_strcat(joined, "\n");
    }
    return APR_STATUS_IS_EOF(status) && !line.strlen ? NULL : "its last line is none for httpd";
}

const char *oks_httpd_parse_org(oks_org_conf_t *section, oks_server_conf_t *conf, const char *path, oks_span_t text,
                                apr_pool_t *keep, apr_pool_t *scratch)
{
    ap_directive_t *tree = NULL;
    struct ap_varbuf joined;
    if (memchr(text.ptr, '\0', text.len)) return "a NUL byte";
    if (oks_span_skip_mark(text).len != text.len)
        return "line 1: the file begins with a byte order mark: save it as UTF-8 without one";
    text = oks_span_z(apr_pstrcat(scratch, oks_span_dup(text, scratch), "\n", NULL)); /* else httpd may lose the last line */
    ap_varbuf_init(scratch, &joined, text.len);
    const char *error = check_lines(&joined, ap_pcfg_open_custom(scratch, path, &text, next_char, next_line, NULL), scratch);
    if (error) return error;
    text = oks_span_z(joined.buf);
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
