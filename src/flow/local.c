/* Local accounts: the alternative sign-in, HTTP Basic, and break-glass (DESIGN.md 5). httpd's providers judge the password. */
#include <string.h>

#include <apr_strings.h>

#include "flow_private.h"

#define BREAK_GLASS_GROUP "break-glass" /* for OktaSSORole */

bool oks_flow_offers_local(const oks_org_t *org)
{
    return org->local_providers && org->require_sso == OKS_REQUIRE_SSO_OFF;
}

static bool is_break_glass(const oks_org_t *org, const char *user)
{
    for (const char *const *account = org->break_glass; account && *account; account++)
        if (strcmp(*account, user) == 0) return true;
    return false;
}

oks_err_t *oks_local_check_session(const oks_org_t *org, const oks_record_t *record, const char *user, apr_pool_t *pool)
{
    if (strcmp(record->protocol, OKS_PROTOCOL_LOCAL) == 0 && !oks_flow_offers_local(org))
        return oks_err(pool, OKS_R_FLOW_SESSION_LOCAL, NULL);
    if (strcmp(record->protocol, OKS_PROTOCOL_BREAK_GLASS) == 0 && !is_break_glass(org, user))
        return oks_err(pool, OKS_R_FLOW_SESSION_LOCAL, "\"%s\" is no break-glass account any more",
                       oks_log_escape(oks_span_z(user), 100, pool));
    return NULL;
}

/* A record with an address was found or made by that address; one without is the account's own. Its subject is the account's
 * name only then: anywhere else it is what an identity provider says. */
const char *oks_local_account(const oks_session_t *session)
{
    bool own = !strcmp(session->protocol, OKS_PROTOCOL_BREAK_GLASS) || !strcmp(session->protocol, OKS_PROTOCOL_LOCAL);
    if (!own) return NULL;
    return *session->profile->email ? session->profile->email : session->profile->subject;
}

bool oks_local_withholds(const oks_org_t *org, const oks_session_t *session, const char *group)
{
    return org->break_glass && !strcmp(group, BREAK_GLASS_GROUP) && strcmp(session->protocol, OKS_PROTOCOL_BREAK_GLASS) != 0;
}

/* ---- Passwords ---- */

typedef struct attempt_t {
    const oks_flow_t *flow;
    const oks_org_t *org;
    const oks_request_t *request;
    bool break_glass;
    const char *user;
    const char *password;
    apr_pool_t *pool;
} attempt_t;

#define WAIT_STEP apr_time_from_msec(20)

/* What a password counts for: an account, or an address. `asking`: how many of them are being checked. */
typedef struct count_t {
    const char *key, *asking;
} count_t;

static void add_count(apr_array_header_t *counts, const char *key)
{
    count_t *count = apr_array_push(counts);
    count->key = key;
    count->asking = apr_pstrcat(counts->pool, "asking\n", key, NULL);
}

static bool is_too_long(const char *user)
{
    return strlen(user) > OKS_EMAIL_MAX;
}

/* The account at each of the providers, whatever others an organization asks beside it: organizations that ask one have the same
 * accounts there. A provider may take several spellings for one. All that are too long to be anybody's are one. */
static apr_array_header_t *counts_of(const attempt_t *attempt)
{
    apr_pool_t *pool = attempt->pool;
    apr_array_header_t *counts = apr_array_make(pool, 4, sizeof(count_t));
    const char *user = is_too_long(attempt->user) ? "" : oks_loose_key(attempt->user, pool);
    for (const char *const *name = attempt->org->local_providers; *name; name++)
        add_count(counts, apr_pstrcat(pool, "account\n", *name, "\n\n", user, NULL));
    add_count(counts, apr_pstrcat(pool, "address\n", oks_flow_client_net(attempt->request->client, pool), NULL));
    return counts;
}

static void settle(const attempt_t *attempt, const apr_array_header_t *counts, int ntaken, bool wrong)
{
    oks_limiter_t *limiter = attempt->flow->limiter;
    const apr_time_t now = attempt->request->now;
    for (int i = 0; i < ntaken; i++) {
        const count_t *count = &APR_ARRAY_IDX(counts, i, count_t);
        if (!wrong) oks_limiter_give(limiter, count->key, OKS_FLOW_FAILURES_WINDOW, now);
        oks_limiter_give(limiter, count->asking, OKS_FLOW_FAILURES_WINDOW, now);
    }
}

/* Takes all, or none; NULL, or the first that has no room. */
static const count_t *find_full(const attempt_t *attempt, const apr_array_header_t *counts)
{
    oks_limiter_t *limiter = attempt->flow->limiter;
    const apr_time_t now = attempt->request->now;
    for (int i = 0; i < counts->nelts; i++) {
        const count_t *count = &APR_ARRAY_IDX(counts, i, count_t);
        if (!oks_limiter_take(limiter, count->key, OKS_FLOW_FAILURES_MAX, OKS_FLOW_FAILURES_WINDOW, now)) {
            settle(attempt, counts, i, false);
            return count;
        }
        oks_limiter_fail(limiter, count->asking, OKS_FLOW_FAILURES_WINDOW, now);
    }
    return NULL;
}

/* Counted before the provider is asked, so that of many guesses at once no more are answered than of one after the other. Who
 * finds no more than the others' passwords in his way, which may all be right, waits for them; and is told of no wrong ones. */
static oks_err_t *take(const attempt_t *attempt, const apr_array_header_t *counts, const char *told)
{
    const count_t *full;
    apr_interval_time_t waited = 0;
    while ((full = find_full(attempt, counts))) {
        if (oks_limiter_allows(attempt->flow->limiter, full->asking, 1, OKS_FLOW_FAILURES_WINDOW, attempt->request->now))
            return oks_err(attempt->pool, OKS_R_FLOW_LOCAL_LIMITED, "%s", told);
        if (waited >= OKS_FLOW_PASSWORD_WAIT) return oks_err(attempt->pool, OKS_R_FLOW_LOCAL_BUSY, "%s", told);
        apr_sleep(WAIT_STEP);
        waited += WAIT_STEP;
    }
    return NULL;
}

/* Can this be the name of one account? With a blank at an end it would be somebody else's to us, and to a provider that does not
 * compare trailing blanks (SQL, LDAP) the same person's. */
static bool is_possible_name(const char *user)
{
    const oks_span_t name = oks_span_z(user);
    return oks_utf8_ok(name) && !strpbrk(user, "\r\n:") && name.len <= OKS_EMAIL_MAX && oks_span_trim(name).len == name.len;
}

/* mod_ssl's FakeBasicAuth keeps the subject of a certificate as an account with this password, which anybody may know. */
static bool is_certificate(const attempt_t *attempt)
{
    return *attempt->user == '/' && strcmp(attempt->password, "password") == 0;
}

/* Also for an account that is none of break-glass: how long it takes would tell which ones are. */
static oks_password_t ask(const attempt_t *attempt)
{
    const oks_request_t *request = attempt->request;
    const bool possible = is_possible_name(attempt->user) && strlen(attempt->password) <= OKS_FLOW_PASSWORD_MAX;
    const bool listed = !attempt->break_glass || is_break_glass(attempt->org, attempt->user);
    if (!possible || is_certificate(attempt)) return OKS_PASSWORD_WRONG;
    oks_password_t verdict = request->check_password(request->baton, attempt->org, attempt->user, attempt->password);
    return verdict == OKS_PASSWORD_GOOD && !listed ? OKS_PASSWORD_WRONG : verdict;
}

/* For the log, which may know whose name is on no list; no dearer for the one than for the other. */
static const char *told_of(const attempt_t *attempt)
{
    const bool listed = !attempt->break_glass || is_break_glass(attempt->org, attempt->user);
    return apr_psprintf(attempt->pool, "account \"%s\" from %s%s%s", oks_log_escape(oks_span_z(attempt->user), 100, attempt->pool),
                        attempt->request->client, listed ? "" : " is no OktaSSOBreakGlass account of ",
                        listed ? "" : attempt->org->name);
}

/* httpd's own line says what failed, and not that our URL is another place than the application's. */
static oks_err_t *unavailable(const attempt_t *attempt)
{
    if (!*attempt->request->local_path) return oks_err(attempt->pool, OKS_R_FLOW_LOCAL_UNAVAILABLE, NULL);
    return oks_err(attempt->pool, OKS_R_FLOW_LOCAL_UNAVAILABLE, "what the provider needs (AuthUserFile) must hold for %s, too: put "
                   "it into <Location \"/\">", attempt->flow->path);
}

/* All that is wrong with an account reads alike to the visitor: no such account, not of this list, another password. */
static oks_err_t *check_password(const attempt_t *attempt)
{
    apr_pool_t *pool = attempt->pool;
    const apr_array_header_t *counts = counts_of(attempt);
    const char *told = told_of(attempt);
    OKS_TRY(take(attempt, counts, told));
    oks_password_t verdict = ask(attempt);
    settle(attempt, counts, counts->nelts, verdict == OKS_PASSWORD_WRONG);
    if (verdict == OKS_PASSWORD_GOOD) return NULL;
    if (verdict == OKS_PASSWORD_UNAVAILABLE) return unavailable(attempt);
    return oks_err(pool, OKS_R_FLOW_LOCAL_WRONG, "%s", told);
}

/* An account that is an address is the person of that address; a record that Okta has filled keeps what it says. Break-glass
 * accounts are nobody's record but their own. */
static oks_profile_t *profile_of(const attempt_t *attempt)
{
    apr_pool_t *pool = attempt->pool;
    oks_profile_t *profile = apr_pcalloc(pool, sizeof *profile);
    bool is_address = oks_email_ok(oks_span_z(attempt->user));
    profile->subject = attempt->user;
    profile->email = is_address && !attempt->break_glass ? attempt->user : "";
    profile->first_name = profile->last_name = profile->name = "";
    profile->groups = apr_array_make(pool, 1, sizeof(const char *));
    if (attempt->break_glass) APR_ARRAY_PUSH(profile->groups, const char *) = BREAK_GLASS_GROUP;
    return profile;
}

static oks_err_t *prepare(oks_login_t *login, const attempt_t *attempt)
{
    apr_time_t now = attempt->request->now;
    OKS_TRY(oks_login_init(login, attempt->flow, attempt->org, profile_of(attempt), now, attempt->pool));
    login->account_kind = login->protocol = attempt->break_glass ? OKS_PROTOCOL_BREAK_GLASS : OKS_PROTOCOL_LOCAL;
    login->keep_profile = !attempt->break_glass;
    login->provisioning = OKS_PROVISIONING_JIT; /* who keeps local accounts has made this one */
    login->claim = oks_hex_encode(oks_span((char *)login->session.bytes, OKS_ID_LEN), attempt->pool);
    login->claim_until = now;
    login->authn_instant = now;
    if (attempt->break_glass && login->expires > now + OKS_FLOW_BREAK_GLASS_LIFETIME)
        login->expires = now + OKS_FLOW_BREAK_GLASS_LIFETIME;
    return NULL;
}

/* ---- The form ---- */

/* Bound to this browser, so that no other site can sign somebody in as somebody else. */
static oks_err_t *show_form(oks_answer_t **answer, const attempt_t *attempt, const oks_state_t *from, const oks_err_t *err)
{
    const oks_flow_t *flow = attempt->flow;
    const oks_request_t *request = attempt->request;
    apr_pool_t *pool = attempt->pool;
    const char *sealed, *hidden[] = { "state", NULL, NULL };
    const bool again = err && !is_too_long(attempt->user);
    const char *inputs[] = { "username", "User name", again ? attempt->user : "", "username",
                             "password", "Password", "", "current-password", NULL };
    oks_state_t state = *from;
    state.expires = request->now + OKS_FLOW_PENDING_LIFETIME;
    OKS_TRY(oks_random_bytes(state.request, sizeof state.request, pool));
    oks_answer_t *made = oks_flow_answer(err ? oks_reason_info(err->reason)->http_status : 200,
                                         err ? "refused" : "login.ask", pool);
    OKS_TRY(oks_state_bind(&state, made, request, pool));
    OKS_TRY(oks_state_seal(&sealed, flow, attempt->org, &state, pool));
    hidden[1] = sealed;
    oks_page_form_t form = {
        .heading = attempt->break_glass ? "Emergency sign-in" : "Sign in", .hidden = hidden, .inputs = inputs, .submit = "Sign in",
        .action = apr_pstrcat(pool, flow->path, attempt->break_glass ? "/break-glass/" : "/login/", attempt->org->name, NULL),
        .error = err ? oks_reason_info(err->reason)->visitor : NULL,
    };
    if (attempt->break_glass) {
        form.note = "For accounts kept for emergencies. Each use is recorded.";
    } else {
        form.other_label = "Sign in through your organization's identity provider";
        form.other_url = oks_flow_login_url(flow, attempt->org, request, NULL, state.return_path, &state.demand, pool);
        form.other_url = apr_pstrcat(pool, form.other_url, "&sso=1", NULL);
    }
    oks_flow_show(made, request, OKS_PAGE_FORM, oks_flow_form_page(request, &form, pool), pool);
    made->err = err;
    made->org = attempt->org->name;
    *answer = made;
    return NULL;
}

oks_err_t *oks_flow_local_form(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                               const char *return_path, const oks_demand_t *demand, apr_pool_t *pool)
{
    attempt_t attempt = { .flow = flow, .org = org, .request = request, .pool = pool };
    oks_state_t state = { .return_path = return_path, .demand = *demand };
    return show_form(answer, &attempt, &state, NULL);
}

/* The answer to a form that was filled in. */
static oks_err_t *submitted(oks_answer_t **answer, attempt_t *attempt, const apr_array_header_t *params)
{
    oks_span_t user, password, sealed;
    oks_state_t *state;
    oks_login_t login;
    apr_pool_t *pool = attempt->pool;
    OKS_TRY(oks_form_get(&user, params, "username", pool));
    OKS_TRY(oks_form_get(&password, params, "password", pool));
    OKS_TRY(oks_form_get(&sealed, params, "state", pool));
    if (!user.len || !password.len) return oks_err(pool, OKS_R_FLOW_PARAMETER_MISSING, "%s", user.len ? "password" : "username");
    OKS_TRY(oks_state_unseal(&state, attempt->flow, attempt->org, sealed, pool));
    OKS_TRY(oks_state_check(state, attempt->request, pool));
    attempt->user = oks_span_dup(oks_span_trim(user), pool);
    attempt->password = oks_span_dup(password, pool);
    oks_err_t *err = check_password(attempt);
    if (err && oks_flow_is_navigation(attempt->request)) return show_form(answer, attempt, state, err);
    if (err) return err;
    OKS_TRY(prepare(&login, attempt));
    OKS_TRY(oks_flow_sign_in(answer, attempt->flow, attempt->org, attempt->request, &login, state->return_path, pool));
    (*answer)->event = attempt->break_glass ? "login.break_glass" : "login.local";
    (*answer)->user = attempt->user;
    (*answer)->loud = attempt->break_glass;
    return NULL;
}

oks_err_t *oks_flow_local_login(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                                const apr_array_header_t *params, apr_pool_t *pool)
{
    attempt_t attempt = { .flow = flow, .org = org, .request = request, .pool = pool };
    if (!oks_flow_offers_local(org)) return oks_err(pool, OKS_R_FLOW_SSO_REQUIRED, NULL);
    return submitted(answer, &attempt, params);
}

/* /break-glass/{org}: never through the identity provider, whatever is wrong with it. */
oks_err_t *oks_flow_serve_break_glass(oks_answer_t **answer, const oks_flow_t *flow, const oks_org_t *org,
                                      const oks_request_t *request, apr_pool_t *pool)
{
    apr_array_header_t *params;
    attempt_t attempt = { .flow = flow, .org = org, .request = request, .break_glass = true, .pool = pool };
    oks_state_t state = { 0 };
    if (!org->break_glass) return oks_err(pool, OKS_R_FLOW_PATH_UNKNOWN, NULL);
    OKS_TRY(oks_flow_form(&params, request, pool));
    if (strcmp(request->method, "POST") == 0) {
        oks_err_t *err = submitted(answer, &attempt, params);
        if (!err && (*answer)->err) (*answer)->loud = true;
        return err;
    }
    OKS_TRY(oks_flow_return(&state.return_path, params, pool));
    return show_form(answer, &attempt, &state, NULL);
}

/* ---- HTTP Basic ---- */

/* The one session of an account that comes without a cookie: its id is known beforehand, so that requests share it. */
static void session_of(oks_id_t *session, const attempt_t *attempt)
{
    unsigned char digest[OKS_SHA256_LEN];
    oks_sha256(digest, oks_span_z(apr_pstrcat(attempt->pool, "basic\n", attempt->org->name, "\n", attempt->flow->vhost, "\n",
                                              attempt->user, NULL)));
    memcpy(session->bytes, digest, OKS_ID_LEN);
}

/* *theirs: the account still leads to that record: by its address, or because it was made for the account and no other one has the
 * address, which may be another person's since. */
static oks_err_t *check_owner(bool *theirs, const oks_session_t *session, const attempt_t *attempt)
{
    static const oks_user_key_t keys[] = { OKS_USER_NAME, OKS_USER_EMAIL };
    const char *account = attempt->user;
    const char *id = oks_hex_encode(oks_span((const char *)session->user.bytes, OKS_ID_LEN), attempt->pool);
    *theirs = !oks_email_ok(oks_span_z(account)) || oks_same_name(account, session->profile->email, attempt->pool);
    if (*theirs) return NULL;
    *theirs = strcmp(session->profile->subject, account) == 0;
    for (int i = 0; i < 2; i++) {
        oks_user_row_t *row;
        OKS_TRY(oks_directory_user(&row, attempt->flow->directory, attempt->org->name, keys[i], account, attempt->pool));
        if (row) *theirs = strcmp(row->id, id) == 0;
        if (row) return NULL;
    }
    return NULL;
}

/* The user of that session; makes it where there is none. Of two requests that try, one may find it made. */
static oks_err_t *find_user(oks_id_t *user, bool *made, const attempt_t *attempt, const oks_id_t *id)
{
    const oks_flow_t *flow = attempt->flow;
    apr_pool_t *pool = attempt->pool;
    oks_session_t *session;
    oks_login_t login;
    oks_err_t *err = oks_directory_session(&session, flow->directory, id, attempt->request->now, pool);
    bool theirs = true;
    if (!err) OKS_TRY(check_owner(&theirs, session, attempt));
    if (err ? err->reason == OKS_R_DIRECTORY_SESSION_ABSENT : !theirs) {
        OKS_TRY(oks_directory_session_end(flow->directory, id, pool)); /* one that has expired, or is another's */
        OKS_TRY(prepare(&login, attempt));
        login.session = *id;
        err = oks_login_write(user, flow, attempt->org, &login, pool);
        *made = !err;
        if (!err) return NULL;
        if (err->reason == OKS_R_DIRECTORY_UNAVAILABLE)
            err = oks_directory_session(&session, flow->directory, id, attempt->request->now, pool);
    }
    if (!err) *user = session->user;
    return err;
}

oks_err_t *oks_flow_check_basic(oks_pass_t *pass, const oks_flow_t *flow, const oks_org_t *org, const oks_request_t *request,
                                const char *user, const char *password, apr_pool_t *pool)
{
    attempt_t attempt = { .flow = flow, .org = org, .request = request, .user = user, .password = password, .pool = pool };
    oks_id_t id, owner;
    bool made = false;
    memset(pass, 0, sizeof *pass);
    if (!oks_flow_offers_local(org)) return oks_err(pool, OKS_R_FLOW_SSO_REQUIRED, NULL);
    if (request->demand && request->demand->authn_contexts) /* the age of the login is never a question: it's now */
        return oks_err(pool, OKS_R_FLOW_AUTHN_WEAK, "wanted %s, got a password", *request->demand->authn_contexts);
    if (!*user) return oks_err(pool, OKS_R_FLOW_LOCAL_WRONG, "no user name");
    OKS_TRY(check_password(&attempt));
    session_of(&id, &attempt);
    OKS_TRY(find_user(&owner, &made, &attempt, &id));
    OKS_TRY(oks_flow_find_session(pass, flow, org, &id, &owner, request->now, pool));
    pass->began = made;
    return NULL;
}
