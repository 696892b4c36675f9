"""The stand-in's pages: a plain identity provider that looks like nobody's in particular."""

import html
import json

STYLE = """
:root { --ink: #16202b; --soft: #5b6877; --line: #dde3ea; --back: #f3f5f8; --card: #fff; --accent: #2f5bd7;
        --accent-ink: #fff; --tint: #eef3ff; --bad: #b3261e; --bad-tint: #fdeceb; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8edf3; --soft: #9aa7b6; --line: #2c3846; --back: #10161d; --card: #18212b; --accent: #86a6ff;
          --accent-ink: #0d1420; --tint: #1e2a3d; --bad: #ff9c94; --bad-tint: #3a1f1f; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; background: var(--back); color: var(--ink);
       font: 16px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, "Noto Sans", "Noto Sans CJK JP", sans-serif; }
main { max-width: 29rem; margin: 0 auto; padding: 3.5rem 1rem 2rem; }
main.wide { max-width: 60rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 2rem;
        box-shadow: 0 1px 2px rgb(0 0 0 / .04), 0 12px 32px rgb(0 0 0 / .06); }
.card + .card { margin-top: 1rem; }
.mark { display: flex; align-items: center; gap: .6rem; justify-content: center; margin: 0 0 1.5rem;
        font-weight: 650; letter-spacing: -.01em; }
.mark svg { width: 1.75rem; height: 1.75rem; }
h1 { font-size: 1.4rem; line-height: 1.25; margin: 0 0 .35rem; letter-spacing: -.015em; }
h2 { font-size: .8rem; font-weight: 600; color: var(--soft); text-transform: uppercase; letter-spacing: .06em;
     margin: 0 0 .6rem; }
p { margin: 0 0 1rem; color: var(--soft); }
label { display: block; font-size: .875rem; font-weight: 550; margin: 1rem 0 .3rem; }
input[type=text], input[type=password] { width: 100%; font: inherit; color: inherit; padding: .6rem .75rem;
  background: transparent; border: 1px solid var(--line); border-radius: 9px; }
input:focus-visible, button:focus-visible, a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
button, .button { display: inline-block; font: inherit; font-weight: 600; cursor: pointer; text-decoration: none;
  color: var(--accent-ink); background: var(--accent); border: 0; border-radius: 9px; padding: .65rem 1.1rem; }
.full { width: 100%; margin-top: 1.4rem; }
.people { list-style: none; margin: 0; padding: 0; }
.people li + li { border-top: 1px solid var(--line); }
.people button { display: grid; grid-template-columns: 2.25rem 1fr; gap: 0 .75rem; align-items: center; width: 100%;
  text-align: left; color: inherit; background: none; font-weight: 400; padding: .6rem .25rem; border-radius: 8px; }
.people button:hover { background: var(--tint); }
.plain { list-style: none; margin: 0; padding: 0; }
.plain li { padding: .75rem 0; }
.plain li + li { border-top: 1px solid var(--line); }
.plain button { margin-top: .4rem; }
.face { grid-row: span 2; width: 2.25rem; height: 2.25rem; border-radius: 50%; display: grid; place-items: center;
        background: var(--tint); color: var(--accent); font-size: .85rem; font-weight: 650; }
.who { font-size: .95rem; font-weight: 550; line-height: 1.3; }
.note { font-weight: 400; font-size: .75rem; color: var(--soft); border: 1px solid var(--line); border-radius: 99px;
        padding: .05rem .5rem; margin-left: .35rem; white-space: nowrap; }
.sub { font-size: .8rem; color: var(--soft); line-height: 1.3; overflow-wrap: anywhere; }
.error { color: var(--bad); background: var(--bad-tint); border-radius: 9px; padding: .6rem .8rem; margin: 1rem 0 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: 1rem; margin-top: 1.5rem; }
.tile { display: block; padding: 1.25rem; border: 1px solid var(--line); border-radius: 12px; text-decoration: none;
        color: inherit; background: var(--card); }
.tile:hover { border-color: var(--accent); }
.tile .face { border-radius: 10px; margin-bottom: .9rem; }
.bar { display: flex; justify-content: space-between; align-items: start; gap: 1rem; flex-wrap: wrap; }
.bar form { margin: 0; }
.quiet { background: none; color: var(--accent); border: 1px solid var(--line); padding: .45rem .9rem; }
code { font: .875em ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
footer { text-align: center; font-size: .8rem; color: var(--soft); padding-top: 1.25rem; }
"""

MARK = ('<div class="mark"><svg viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
        'stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><circle cx="8" cy="15" r="4.5"/>'
        '<path d="M11.5 11.5 20 3m-4.5 4.5L19 11m-6-1 2.5 2.5"/></svg><span>{}</span></div>')


def escape(value):
    return html.escape(str(value), quote=True)


def page(title, body, wide=False, org="acme"):
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<link rel="icon" href="data:,"><link rel="stylesheet" href="/style.css"></head>'
            f'<body><main{" class=wide" if wide else ""}>'
            f'{MARK.format(escape(org.capitalize()) + " identity provider")}{body}'
            '<footer>A local stand-in for testing. Its accounts and passwords are public.</footer>'
            "</main></body></html>")


def initials(user):
    return (user.first_name.strip("#")[:1] + user.last_name[:1]).upper()


def sign_in(state, users, label, error="", username="", org="acme"):
    note = ' <span class="note">{}</span>'
    people = "".join(
        f'<li><button name="account" value="{escape(user.login)}"><span class="face" aria-hidden="true">'
        f'{escape(initials(user))}</span><span class="who">{escape(user.display_name)}'
        f'{note.format(escape(user.note)) if user.note else ""}</span>'
        f'<span class="sub">{escape(user.login)}</span></button></li>'
        for user in users)
    to = f"to continue to {escape(label)}" if label else "to see your apps"
    problem = f'<p class="error" id="error" role="alert">{escape(error)}</p>' if error else ""
    password = users[0].password if users else ""
    return page("Sign in", f"""
<div class="card"><h1>Sign in</h1><p>{to}</p>{problem}
<form method="post" action="/login" id="sign-in"><input type="hidden" name="state" value="{escape(state)}">
<label for="username">Username</label>
<input type="text" id="username" name="username" value="{escape(username)}" autocomplete="username" autofocus required>
<label for="password">Password</label>
<input type="password" id="password" name="password" autocomplete="current-password" required>
<button class="full" id="submit">Sign in</button></form></div>
<div class="card"><h2>Test accounts</h2>
<p>Pick one to sign in at once, or type it above with the password <code>{escape(password)}</code>.</p>
<form method="post" action="/login"><input type="hidden" name="state" value="{escape(state)}">
<ul class="people">{people}</ul></form></div>""", org=org)


def tiles(user, apps, org="acme"):
    items = "".join(
        f'<a class="tile" href="/app/{escape(app.name)}/{escape(app.exk)}/sso/saml" data-exk="{escape(app.exk)}">'
        f'<span class="face" aria-hidden="true">{escape(app.label[:1])}</span>'
        f'<span class="who">{escape(app.label)}</span>'
        f'<br><span class="sub">SAML 2.0</span></a>' for app in apps)
    return page("My apps", f"""
<div class="card"><div class="bar"><div><h1>My apps</h1>
<p id="me">Signed in as <b>{escape(user.display_name)}</b> ({escape(user.login)})</p></div>
<form method="post" action="/login/signout"><button class="quiet" id="signout">Sign out</button></form></div>
<div class="tiles">{items or "<p>No app is assigned to you.</p>"}</div></div>""", wide=True, org=org)


ACTIONS = {"assign": "Assign", "update": "Push profile", "deactivate": "Deactivate", "reactivate": "Reactivate", "group": "Push group"}


def provisioning(users, said, log, org="acme"):
    """What an Okta administrator does on the app's Assignments and Push Groups tabs."""
    rows = "".join(
        f'<li data-user="{escape(user.login)}"><form method="post" action="/provisioning"><input type="hidden" name="user" value="{escape(user.login)}">'
        f'<span class="who">{escape(user.display_name)}</span> <span class="sub">{escape(user.login)}</span><br>'
        + " ".join(f'<button class="quiet" name="action" value="{action}">{label}</button>' for action, label in ACTIONS.items())
        + "</form></li>" for user in users)
    calls = "".join(f"<li><code>{escape(method)} {escape(path)}</code> {status}</li>" for method, path, status in reversed(log))
    note = f'<p id="said" role="status">{escape(said)}</p>' if said else ""
    return page("Provisioning", f"""
<div class="card"><h1>Provisioning</h1><p>What Okta's SCIM client tells the app. Deactivate somebody who is signed in there, and reload the app.</p>{note}
<ul class="plain">{rows}</ul></div><div class="card"><h2>Requests</h2><ul>{calls or "<li>None yet.</li>"}</ul></div>""", wide=True, org=org)


def signed_out(org="acme"):
    return page("Signed out", '<div class="card"><h1>You are signed out</h1><p>Apps that you opened may still have '
                'sessions of their own.</p><a class="button" href="/">Sign in again</a></div>', org=org)


def problem(title, detail, org="acme"):
    return page(title, f'<div class="card"><h1>{escape(title)}</h1><p id="detail">{escape(detail)}</p>'
                '<a class="button" href="/">My apps</a></div>', org=org)


def post_form(url, fields, auto=True, org="acme"):
    """The page that brings the Response to the app: a form that sends itself, or by the button."""
    inputs = "".join(f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">' for name, value in fields)
    script = '<script>document.getElementById("appForm").submit();</script>' if auto else ""
    return page("Signing in", f"""
<div class="card"><h1>Signing you in…</h1><p>You are being sent back to the app.</p>
<form id="appForm" method="post" action="{escape(url)}">{inputs}
<button class="full" id="continue">Continue</button></form></div>{script}""", org=org)


def as_json(value):
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)
