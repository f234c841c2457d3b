# Sourced by packaging/quickstart, packaging/test, packaging/bench and .ci/run; not a program of its own.
# Owns: finding Swift, installing Debian packages with a word beforehand, running long steps with an honest
# sign of life, free ports, and a private PostgreSQL cluster that is gone afterwards.
# shellcheck shell=bash disable=SC2034

say() { printf '%s\n' "$*"; }
heading() { printf '\n== %s\n' "$*"; }
die() {
    printf '\n%s\n' "$*" >&2
    exit 1
}

# Scripts clean up in an EXIT trap, which runs inside whatever function ended the script and sees its locals:
# no local here may be called as a global that such a trap reads (folder, daemon, scratch, ...).

# Everything is relative to the checkout, wherever the caller stands.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1

# Makes a temporary folder that other users may pass through (a PostgreSQL server runs as another user).
temporary_folder() {
    local made
    made=$(mktemp -d "${TMPDIR:-/tmp}/logboom.XXXXXXXX")
    chmod 711 "$made"
    printf '%s\n' "$made"
}

# ---- Swift

swift_help='Where to get it:
  Debian 13 or newer (amd64, arm64)   apt install swiftlang, when it offers 6.2 or newer
                                      (Debian testing and unstable have 6.2)
  Debian 12 (amd64, arm64)            the Debian 12 download from https://www.swift.org/install/linux/
  Raspberry Pi OS, 64 bit             the Debian arm64 download from the same page
Unpack it to /opt/swift, or put its usr/bin folder on PATH, and run this again.'

# Puts a Swift of 6.2 or newer on PATH, or explains where one is to be had and ends.
need_swift() {
    local place version major minor
    if ! command -v swift >/dev/null 2>&1; then
        for place in /opt/swift/usr/bin /usr/libexec/swift/bin /usr/local/swift/usr/bin; do
            if [ -x "$place/swift" ]; then
                PATH="$place:$PATH"
                export PATH
                break
            fi
        done
    fi
    command -v swift >/dev/null 2>&1 || die "Swift 6.2 or newer is needed to build Logboom, and there is none on this machine.
$swift_help"
    need_swift_libraries
    version=$({ swift --version 2>/dev/null || true; } |
        sed -n 's/.*Swift version \([0-9][0-9]*\(\.[0-9][0-9]*\)*\).*/\1/p' | head -n 1)
    major=${version%%.*}
    minor=${version#*.}
    minor=${minor%%.*}
    case "$major$minor" in
        '' | *[!0-9]*) die "\`swift --version\` does not say which version it is; Swift 6.2 or newer is needed.
$swift_help" ;;
    esac
    if [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 2 ]; }; then
        die "Swift 6.2 or newer is needed to build Logboom; this is $version ($(command -v swift)).
$swift_help"
    fi
    swift_version=$version
}

# An unpacked tool chain brings no libraries of the system's along, and a bare Debian lacks some of them: swift would
# end with the loader's message, before a word of ours. Debian's own package (swiftlang) depends on what it needs.
need_swift_libraries() {
    local bin program library packages=() unknown=()
    bin=$(dirname "$(readlink -f "$(command -v swift)")")
    while read -r library; do
        case "$library" in
            libcurl.so.4) packages+=(libcurl4) ;;
            libedit.so.2) packages+=(libedit2) ;;
            libncurses.so.6) packages+=(libncurses6) ;;
            libpython3.*.so.*) library=${library%%.so*} packages+=("$library") ;;
            libsqlite3.so.0) packages+=(libsqlite3-0) ;;
            libstdc++.so.6) packages+=(libstdc++6) ;;
            libtinfo.so.6) packages+=(libtinfo6) ;;
            libxml2.so.2) packages+=(libxml2) ;;
            libz.so.1) packages+=(zlib1g) ;;
            libz3.so.4) packages+=(libz3-4) ;;
            *) unknown+=("$library") ;;
        esac
    done < <(
        for program in swift swift-build swift-test swift-frontend clang ld.lld; do
            [ ! -x "$bin/$program" ] || ldd "$bin/$program" 2>/dev/null | sed -n 's/^[[:space:]]*\(.*\) => not found.*/\1/p'
        done | sort -u
    )
    [ ${#unknown[@]} -eq 0 ] || die "Swift in $bin needs libraries that are not here: ${unknown[*]}
Is it a download for another system or release?
$swift_help"
    install_packages "for the Swift in $bin" ${packages[@]+"${packages[@]}"}
}

# What the binaries we ship are built with on every processor: no symbols, and each function a section of its own, so that the linker
# leaves out what nobody calls and puts what runs side by side.
# The run-time check for overlapping access, which debug builds keep in all code, is a tenth of a small request in SwiftNIO.
# Swift's static library exports every public symbol of a program for others to load (static-stdlib-args.lnk); nobody does,
# and the dynamic linker would read the 2 MB of their names at each start.
shipped_flags() {
    printf '%s\n' -Xswiftc -enforce-exclusivity=unchecked -Xswiftc -Xfrontend -Xswiftc -function-sections \
        -Xlinker -s -Xlinker --no-export-dynamic
}

# And where lld links: compact relocations, constants apart from data, functions in the order of use
# (docs/decisions/0016-code-in-order-of-use.md).
lld_flags() {
    printf '%s\n' -Xlinker -z -Xlinker pack-relative-relocs -Xlinker "--script=$root/packaging/sections.ld" \
        -Xlinker "--symbol-ordering-file=$root/packaging/code-order.txt" -Xlinker --no-warn-symbol-ordering
}

# The flags of the binaries we ship: the above, and no shared Swift library to load.
# They cost nothing at run time and a good part of the resident file pages (docs/benchmarks.md).
release_flags() {
    local bin
    bin=$(dirname "$(readlink -f "$(command -v swift)")")
    printf '%s\n' -c release
    shipped_flags
    if [ -d "$bin/../lib/swift_static" ]; then
        printf '%s\n' --static-swift-stdlib
    fi
    if [ -x "$bin/ld.lld" ] || command -v ld.lld >/dev/null 2>&1; then
        printf '%s\n' -Xswiftc -use-ld=lld
        lld_flags
    fi
}

# Builds the two programs and sets $binaries to the folder they are in.
build_release() {
    local flags
    mapfile -t flags < <(release_flags)
    run_quietly "release build of logboomd" swift build "${flags[@]}" --product logboomd
    run_quietly "release build of logboom" swift build "${flags[@]}" --product logboom
    binaries=$(swift build "${flags[@]}" --show-bin-path)
    [ -x "$binaries/logboomd" ] && [ -x "$binaries/logboom" ] ||
        die "The build ended well but left no logboomd and logboom in $binaries."
}

# ---- long steps

# run_quietly LABEL COMMAND...: one line every 15 s instead of a thousand, and the end of the log if it fails.
run_quietly() {
    local label=$1 log started pid status line last=0 elapsed
    shift
    log=$(mktemp "${TMPDIR:-/tmp}/logboom-step.XXXXXXXX")
    started=$SECONDS
    say "$label ..."
    "$@" >"$log" 2>&1 </dev/null &
    pid=$!
    running_step=$pid
    while kill -0 "$pid" 2>/dev/null; do
        sleep 1 &
        wait $! || true
        elapsed=$((SECONDS - started))
        if [ $((elapsed / 15)) -gt "$last" ]; then
            last=$((elapsed / 15))
            line=$(tail -c 400 "$log" | tr '\r' '\n' | sed '/^[[:space:]]*$/d' | tail -n 1 | cut -c 1-90)
            printf '  %4d s  %s\n' "$elapsed" "$line"
        fi
    done
    status=0
    wait "$pid" || status=$?
    running_step=
    if [ "$status" -ne 0 ]; then
        say "The end of its output:"
        tail -n 60 "$log" | cut -c 1-400
        rm -f "$log"
        printf '\n%s failed after %d s (status %d).\n' "$label" $((SECONDS - started)) "$status" >&2
        return "$status"
    fi
    rm -f "$log"
    printf '%s: done in %d s\n' "$label" $((SECONDS - started))
}
running_step=

# ---- Debian packages

package_installed() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# The packages without which nothing here builds, as far as they are missing; one a line.
missing_build_packages() {
    local name
    for name in libpq-dev libssl-dev libsqlite3-dev libsystemd-dev zlib1g-dev; do
        package_installed "$name" || printf '%s\n' "$name"
    done
    [ -e /usr/include/stdio.h ] || printf '%s\n' libc6-dev
    # A Swift tool chain brings its own clang but links against the system's libstdc++ and libgcc.
    compgen -G '/usr/lib/gcc/*/*/libstdc++.so' >/dev/null || printf '%s\n' g++
    command -v git >/dev/null 2>&1 || printf '%s\n' git
    command -v curl >/dev/null 2>&1 || printf '%s\n' curl
    [ -e /etc/ssl/certs/ca-certificates.crt ] || printf '%s\n' ca-certificates
}

# The newest PostgreSQL server's folder of programs; nothing when there is none.
postgres_bin() {
    local place
    for place in $(compgen -G '/usr/lib/postgresql/*/bin' | sort -t/ -k5 -rV); do
        if [ -x "$place/initdb" ] && [ -x "$place/postgres" ]; then
            printf '%s\n' "$place"
            return
        fi
    done
}

# install_packages REASON NAME...: says what and why, then installs; ends with the line to type when it may not.
install_packages() {
    local reason=$1 runner=()
    shift
    [ $# -gt 0 ] || return 0
    say "Missing here, $reason: $*"
    command -v apt-get >/dev/null 2>&1 ||
        die "This script knows Debian's apt only. Please install what the list above names in your system's way, then run it again."
    if [ "$(id -u)" -ne 0 ]; then
        command -v sudo >/dev/null 2>&1 || die "Installing needs root, and there is no sudo. As root, please run:
  apt-get update && apt-get install -y --no-install-recommends $*
and then this script again."
        runner=(sudo)
        # With no terminal there is nobody to type a password: find out now instead of waiting for ever.
        if [ ! -t 0 ]; then
            sudo -n true 2>/dev/null || die "Installing needs a password for sudo, and there is no terminal to ask on. Please run:
  sudo apt-get update && sudo apt-get install -y --no-install-recommends $*
and then this script again."
        else
            sudo -v || die "sudo did not let us in; nothing was installed."
        fi
    fi
    say "Installing with apt-get: $*"
    # Lists may be days old or, in a container image, absent. A stale list is no reason to stop if the install works.
    run_quietly "apt-get update" "${runner[@]}" apt-get -q update || true
    run_quietly "apt-get install" "${runner[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=120 install "$@" ||
        die "apt-get could not install: $*"
}

# Installs a PostgreSQL server if there is none, and leaves no cluster of it behind: ours live in temporary folders.
need_postgres_server() {
    local drop_in=/etc/postgresql-common/createcluster.d/logboom-no-cluster.conf runner=()
    [ -z "$(postgres_bin)" ] || return 0
    [ "$(id -u)" -eq 0 ] || runner=(sudo)
    # postgresql-common first: it owns the folder where "make no cluster at install" can be said. The word is taken
    # back afterwards, so that a server installed later for real use behaves as Debian's handbook says.
    package_installed postgresql-common || install_packages "for PostgreSQL" postgresql-common
    "${runner[@]}" mkdir -p "$(dirname "$drop_in")"
    printf 'create_main_cluster = false\n' | "${runner[@]}" tee "$drop_in" >/dev/null
    if ! (install_packages "a PostgreSQL server (no cluster of it will be created or started)" postgresql); then
        "${runner[@]}" rm -f "$drop_in"
        exit 1
    fi
    "${runner[@]}" rm -f "$drop_in"
    [ -n "$(postgres_bin)" ] || die "apt-get installed postgresql, yet there is no initdb in /usr/lib/postgresql/*/bin."
}

# The archive that this machine's apt reads Debian from.
debian_mirror() {
    local found
    found=$({ sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/*.sources
        sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list; } 2>/dev/null |
        grep -E '/debian/?$' | head -n 1) || true
    [ -n "$found" ] || die "apt on this machine has no Debian archive in its sources."
    printf '%s\n' "$found"
}

# ---- network

port_is_busy() {
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# The first free port at or after $1, within 50.
free_port() {
    local port=$1
    while port_is_busy "$port"; do
        port=$((port + 1))
        [ "$port" -lt $(($1 + 50)) ] || die "No free port between $1 and $port on 127.0.0.1."
    done
    printf '%s\n' "$port"
}

# wait_for SECONDS COMMAND...: until it succeeds; fails when the time is over or $watched_pid has ended.
watched_pid=
wait_for() {
    local limit=$((SECONDS + $1))
    shift
    while ! "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$limit" ] || return 1
        if [ -n "$watched_pid" ] && ! kill -0 "$watched_pid" 2>/dev/null; then
            return 1
        fi
        sleep 0.1
    done
}

# ---- a private PostgreSQL cluster: unix socket only, in a folder of its own

cluster_folder=

as_postgres() {
    if [ "$(id -u)" -eq 0 ]; then
        (cd / && runuser -u postgres -- "$@")
    else
        "$@"
    fi
}

# start_cluster FOLDER: sets $cluster_socket; role and database `logboom` are there. Trust is safe: only root and the
# cluster's own user can enter the socket's folder (mode 700).
start_cluster() {
    local bin
    bin=$(postgres_bin)
    cluster_folder=$1
    mkdir -p "$cluster_folder/data" "$cluster_folder/socket"
    chmod 700 "$cluster_folder/data" "$cluster_folder/socket"
    if [ "$(id -u)" -eq 0 ]; then
        chown -R postgres "$cluster_folder"
    fi
    as_postgres "$bin/initdb" -D "$cluster_folder/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 \
        >"$cluster_folder.initdb.log" 2>&1 || {
        cat "$cluster_folder.initdb.log"
        die "initdb did not make a cluster in $cluster_folder."
    }
    rm -f "$cluster_folder.initdb.log"
    cluster_socket=$cluster_folder/socket
    as_postgres "$bin/pg_ctl" -D "$cluster_folder/data" -l "$cluster_folder/server.log" -w -t 30 -s \
        -o "-c listen_addresses='' -c unix_socket_directories='$cluster_socket'" start || {
        cat "$cluster_folder/server.log" 2>/dev/null
        cluster_folder=
        die "PostgreSQL did not start."
    }
    cluster_sql postgres -q -c 'CREATE ROLE logboom LOGIN' -c 'CREATE DATABASE logboom OWNER logboom'
}

# cluster_sql DATABASE PSQL-ARGUMENTS...
cluster_sql() {
    local database=$1
    shift
    "$(postgres_bin)/psql" -X -h "$cluster_socket" -U postgres -d "$database" -v ON_ERROR_STOP=1 "$@"
}

stop_cluster() {
    [ -n "$cluster_folder" ] || return 0
    as_postgres "$(postgres_bin)/pg_ctl" -D "$cluster_folder/data" -m fast -w -t 20 -s stop >/dev/null 2>&1 || true
    rm -rf "$cluster_folder"
    cluster_folder=
}

# stop_child PID SECONDS: SIGTERM, a while to finish, then SIGKILL with a word about it. Sets $child_status.
stop_child() {
    local pid=$1 limit=$((SECONDS + $2))
    kill -TERM "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null; do
        if [ "$SECONDS" -ge "$limit" ]; then
            say "Process $pid did not end within $2 s of SIGTERM and is killed." >&2
            kill -KILL "$pid" 2>/dev/null || true
            break
        fi
        sleep 0.1
    done
    child_status=0
    wait "$pid" 2>/dev/null || child_status=$?
}
