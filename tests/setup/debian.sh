# SPDX-License-Identifier: MIT
# What the scripts here have in common: where packages come from, this machine's network settings, and entering
# another root. Sourced by bash, with `set -euo pipefail`; needs root.

# This machine's Debian sources, one line each, with the suite asked for in place of this machine's own.
debian_sources() { # suite
    local own
    own=$(. /etc/os-release && echo "$VERSION_CODENAME")
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        sed -n "s#^\([^ ]*/debian\(-security\)\?/\) $own\([^ ]*\) \(main\)\$#deb \1 $1\3 \4#p" | sort -u
}

# Proxies, certificates and pip's settings of this machine hold in the new system too.
copy_network_settings() { # root
    local file
    for file in /etc/resolv.conf /etc/hosts /etc/pip.conf "${SSL_CERT_FILE-}" "${PIP_CERT-}" "${REQUESTS_CA_BUNDLE-}"; do
        if [ -n "$file" ] && [ -f "$file" ]; then
            mkdir -p "$1$(dirname "$file")"
            # Not through a link of the new system: that could point outside it.
            cp --remove-destination --dereference "$file" "$1$file"
        fi
    done
}

# The files of a working tree as they are, committed or not, without what git ignores. Each name ends with a zero byte.
working_tree() { # checkout
    git -C "$1" ls-files -co --exclude-standard -z
}

# Runs a command in /root/eegd of another root, in namespaces of its own: processes and mounts end with it.
inside() { # root, command line
    local root=$1 name settings=()
    for name in ${!PIP_*} ${!SSL_CERT_*} REQUESTS_CA_BUNDLE http_proxy https_proxy no_proxy \
        HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        # A path of this machine that the other root does not have is none of its settings.
        case ${!name-} in
        '') ;;
        /*) [ ! -e "$root${!name}" ] || settings+=("$name=${!name}") ;;
        *) settings+=("$name=${!name}") ;;
        esac
    done
    unshare --mount --pid --fork --kill-child --propagation private \
        bash -euc '
            root=$1; shift
            mount --rbind /dev "$root/dev"
            mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
            mount -t proc proc "$root/proc" 2>/dev/null || mount --rbind /proc "$root/proc"
            # Not exec: process 1 stays a shell, which reaps orphans. A test that is process 1 would hear no signals.
            chroot "$root" "$@" || exit $?
            exit 0' bash "$root" \
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb \
        "${settings[@]}" bash -c "cd /root/eegd && $2"
}
