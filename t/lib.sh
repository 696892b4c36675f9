# Shell functions that t/run and t/demo share (bash; source it). Messages go to stderr.

OKS_T=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
OKS_ROOT=$(dirname "$OKS_T")
# Debian's Python has the libraries of t/packages; another python3 in PATH (pyenv, conda) has not.
OKS_PYTHON=/usr/bin/python3

oks_say() { printf '%s\n' "$*" >&2; }
oks_die() { oks_say "error: $*"; exit 1; }

# oks_packages GROUP...: the packages of those groups of t/packages; without a GROUP all of them.
oks_packages() {
    awk -v groups=" $* " '
        /^# group: / { wanted = (groups ~ /^ *$/) || index(groups, " " $3 " "); seen[$3] = 1; next }
        { sub(/#.*/, ""); gsub(/[ \t]/, "") }
        $0 != "" && wanted { print }
        END {
            n = split(groups, asked, " ")
            for (i = 1; i <= n; i++) if (!(asked[i] in seen)) { print "t/packages has no group " asked[i] > "/dev/stderr"; exit 1 }
        }' "$OKS_T/packages"
}

# oks_missing PACKAGE...: those that are not installed.
oks_missing() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
    done
}

# oks_as_root COMMAND...: directly, or by sudo; 1 when neither is possible.
oks_as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then
        # Without a terminal nobody can type a password.
        if [ -t 0 ]; then sudo "$@"; else sudo -n "$@"; fi
    else return 1; fi
}

# While packages are installed no service starts by itself (Debian Policy 9.3.3.1): tests need apache2's files, not
# a web server on port 80. An administrator's own policy-rc.d is left alone.
oks_services_hold() {
    [ -e /usr/sbin/policy-rc.d ] && return 0
    printf '#!/bin/sh\n# mod_oktasso t/lib.sh, removed again after the installation\nexit 101\n' |
        oks_as_root tee /usr/sbin/policy-rc.d >/dev/null && oks_as_root chmod 755 /usr/sbin/policy-rc.d
}
oks_services_release() {
    if grep -qs 'mod_oktasso t/lib.sh' /usr/sbin/policy-rc.d; then oks_as_root rm -f /usr/sbin/policy-rc.d; fi
}

# oks_install GROUP...: installs what is missing of the groups; ends the script with a clear message when it cannot.
oks_install() {
    command -v dpkg-query >/dev/null || {
        oks_say "This is not a Debian system: nothing is installed, install what t/packages names yourself."
        return 0
    }
    local wanted missing
    wanted=$(oks_packages "$@") || oks_die "t/packages cannot be read"
    # Word splitting is meant: one package a word.
    # shellcheck disable=SC2086
    missing=$(oks_missing $wanted)
    [ -n "$missing" ] || return 0
    missing=$(printf '%s' "$missing" | tr '\n' ' ')
    oks_say "Installing: $missing"
    # shellcheck disable=SC2086
    oks_apt_install $missing || oks_die "these packages are missing and could not be installed: $missing
Install them as root, then start this again:
    apt-get update && apt-get install --no-install-recommends $missing"
}

# oks_node: Node.js with npm; Debian's where there is none, since another's package of it excludes Debian's npm.
oks_node() { command -v node >/dev/null && command -v npm >/dev/null || oks_install node; }

oks_apt_install() {
    local status=0
    oks_as_root true 2>/dev/null || { oks_say "Neither root nor sudo without a password."; return 1; }
    if [ -z "${OKS_APT_UPDATED:-}" ]; then
        oks_as_root apt-get update -q </dev/null >&2 || oks_say "apt-get update failed; trying with the lists that are there."
        export OKS_APT_UPDATED=1
    fi
    oks_services_hold || return 1
    oks_as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" </dev/null >&2 || status=$?
    oks_services_release
    return $status
}

# oks_build DIR [CMAKE-OPTION...]: configures and builds in DIR.
oks_build() {
    local dir=$1
    shift
    # PATH decides which Python CMake and which compiler cache it finds; neither matters here.
    cmake -S "$OKS_ROOT" -B "$dir" -G Ninja "$@" </dev/null >&2 && ninja -C "$dir" >&2
}
