#!/bin/bash
# SPDX-License-Identifier: MIT
# Runs as root in the container that run.sh starts. One line "name|ok or FAILED|remark" per check goes to /share/table.
# Waiting is for states, never for a time alone; the longest wait for any of them is 30 s.
set -u

: >/share/table
check() { # name, command …; its output is the remark
    local name=$1 result=ok remark
    shift
    remark=$("$@" 2>&1) || result=FAILED
    printf '%s|%s|%s\n' "$name" "$result" "$(tail -n 1 <<<"$remark")" >>/share/table
    [ "$result" = ok ] || { echo "== $name"; echo "$remark"; }
}
note() { printf '%s|note|%s\n' "$1" "$2" >>/share/table; }

# The start limit counts the test's own starts, too.
ctl() { systemctl reset-failed --quiet eegd.service eegd-plugin@bandpower.service 2>/dev/null; systemctl "$@"; }
property() { systemctl show --property="$1" --value "${2:-eegd.service}"; }
until_true() { # command …
    local end=$((SECONDS + 30))
    while [ $SECONDS -lt $end ]; do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.1
    done
    echo "not within 30 s: $*"
    return 1
}
status_of() { /usr/bin/eegctl status --json | python3 -c "import json, sys; s = json.load(sys.stdin); print($1)"; }
said() { journalctl --quiet --no-pager --output=cat --unit="${2:-eegd.service}" --grep="$1" | tail -n 1 | grep .; }
is_gone() { ! "$@" >/dev/null 2>&1; }
ms_between() { echo $((($2 - $1) / 1000)); }

# ---- installation ----

installed() { dpkg --install /share/eegd.deb; }
enabled() { systemctl is-enabled eegd.service; }
ready() {
    until_true systemctl is-active eegd.service || return
    echo "ready $(ms_between "$(property ExecMainStartTimestampMonotonic)" "$(property ActiveEnterTimestampMonotonic)") ms after its start"
}
first_frame() { # the moment the start job is done
    ctl restart eegd.service && [ "$(status_of "s['stream']['frames'] > 0")" = True ]
}
status_text() { property StatusText | grep -E '^simulated: [0-9.]+ SPS, [0-9 ]+ samples, 0 lost$'; }
loud() { said "these data are no person's: simulated"; }
other_user() { is_gone runuser -u nobody -- /usr/bin/eegctl status; }
member() { runuser -u nobody -g eegd -- /usr/bin/eegctl status >/dev/null; }

check "the package installs" installed
check "its user is there" id eegd
check "the service is enabled" enabled
check "the service gets ready" ready
check "ready means that the first frame was published" first_frame
check "STATUS has rate and losses" status_text
check "simulated data are announced in the journal" loud
check "who is not in the group does not get in" other_user
check "a member of the group does" member

# ---- limits ----

limit() { grep "$1" "/proc/$(property MainPID)/limits"; }
fifo() { ps -L -o cls=,rtprio=,comm= -p "$(property MainPID)" | grep FF | sort | uniq -c | tr -s ' ' | paste -s -d ';' | grep .; }
if limit 'realtime priority' | grep -qw 99; then
    check "threads are SCHED_FIFO" fifo
else
    note "threads are SCHED_FIFO" "LimitRTPRIO=99 not applied here: this machine's root lacks CAP_SYS_RESOURCE; not tested"
fi
if limit 'locked memory' | grep -q unlimited; then
    note "memory: LimitMEMLOCK=infinity" "in force"
else
    note "memory: LimitMEMLOCK=infinity" "not applied here: this machine's root lacks CAP_SYS_RESOURCE; not tested"
fi

# ---- reload ----

pid=$(property MainPID)
reload() { # text to put in place of rate_sps
    sed -i "s/^rate_sps = .*/rate_sps = $1/" /etc/eegd/eegd.toml && systemctl reload eegd.service
}
has_rate() { [ "$(status_of "s['rate']['nominal_sps']")" = "$1" ]; }
reloaded() { reload 500 && until_true has_rate 500 && [ "$(property MainPID)" = "$pid" ]; }
refused() { is_gone reload 333 && systemctl is-active eegd.service && [ "$(property MainPID)" = "$pid" ] && said 'rate_sps = 333'; }
check "reload applies a new rate in the same process" reloaded
check "reload with a wrong file fails, and the service goes on" refused
reload 250
until_true has_rate 250

# ---- plugins ----

plugin=eegd-plugin@bandpower.service
has_stream() { /usr/bin/eegctl streams | grep bandpower; }
plugin_runs() { systemctl enable --now --quiet $plugin && until_true has_stream && systemctl is-active $plugin; }
stops_together() { systemctl stop eegd.service && [ "$(systemctl is-active $plugin)" = inactive ]; }
starts_together() { ctl start eegd.service && until_true systemctl is-active $plugin && until_true has_stream; }
check "a plugin unit runs beside the daemon" plugin_runs
check "it stops with the daemon" stops_together
check "it starts with the daemon" starts_together

mkdir -p /run/systemd/system/eegd-plugin@.service.d
printf '[Service]\nWatchdogSec=2\n' >/run/systemd/system/eegd-plugin@.service.d/quick.conf
printf '\n[plugins.bandpower]\nstep = 0.5\nmemory_mb = 900\n' >>/etc/eegd/eegd.toml
systemctl daemon-reload
ctl restart $plugin
configured() {
    until_true has_stream || return
    grep 'Max data size' "/proc/$(property MainPID $plugin)/limits" | grep 900000000 || return
    /usr/lib/eegd/bin/python -c 'import eegd; p = eegd.connect().describe("bandpower").description["params"]; print(p); assert p["step"] == 0.5'
}
plugin_runs_anew() { [ "$(property NRestarts $plugin)" -gt "$1" ] && systemctl is-active $plugin && [ "$(property MainPID $plugin)" != "$2" ]; }
plugin_hangs() {
    local before pid
    before=$(property NRestarts $plugin) pid=$(property MainPID $plugin)
    kill -STOP "$pid" && until_true plugin_runs_anew "$before" "$pid" && said 'Watchdog timeout' $plugin
}
plugin_alive() {
    local before
    before=$(property NRestarts $plugin)
    sleep 6
    [ "$(property NRestarts $plugin)" = "$before" ] && echo "6 s under WatchdogSec=2"
}
check "a plugin unit has its parameters and its limit from eegd.toml" configured
check "a plugin that works is left alone" plugin_alive
check "one that hangs is ended by the watchdog and restarted" plugin_hangs
sed -i '/^\[plugins.bandpower\]$/,$d' /etc/eegd/eegd.toml
rm -r /run/systemd/system/eegd-plugin@.service.d
systemctl daemon-reload
ctl restart $plugin

# ---- watchdog and crash ----

mkdir -p /run/systemd/system/eegd.service.d
printf '[Service]\nWatchdogSec=2\n' >/run/systemd/system/eegd.service.d/quick.conf
systemctl daemon-reload
ctl restart eegd.service
runs_anew() { [ "$(property NRestarts)" -gt "$1" ] && systemctl is-active eegd.service && [ "$(property MainPID)" != "$2" ]; }
hang() {
    local before pid
    before=$(property NRestarts) pid=$(property MainPID)
    kill -STOP "$pid" && until_true runs_anew "$before" "$pid" && journalctl --quiet --no-pager --output=cat --grep='Watchdog timeout' | tail -n 1 | grep .
}
crash() {
    local before pid
    before=$(property NRestarts) pid=$(property MainPID)
    kill -KILL "$pid" && until_true runs_anew "$before" "$pid"
}
alive() { # fed by itself for three times the watchdog's patience
    local before
    before=$(property NRestarts)
    sleep 6
    [ "$(property NRestarts)" = "$before" ] && echo "6 s under WatchdogSec=2"
}
check "a hung daemon is ended by the watchdog and restarted" hang
check "the journal then has where its threads were" said 'most recent call first'
check "a killed daemon is restarted" crash
check "its plugin comes back with it" until_true has_stream
check "a daemon that works is left alone" alive
rm -r /run/systemd/system/eegd.service.d
systemctl daemon-reload

# ---- stop ----

stop_quickly() {
    local began ended
    began=$(date +%s%N)
    systemctl stop eegd.service || return
    ended=$(date +%s%N)
    echo "$(((ended - began) / 1000000)) ms, result $(property Result)"
    [ $((ended - began)) -lt 2000000000 ] && [ "$(property Result)" = success ]
}
summary() {
    journalctl --quiet --no-pager --output=json --unit=eegd.service EEGD_STREAM=raw | tail -n 1 |
        python3 -c 'import json, sys; e = json.load(sys.stdin); print(e["MESSAGE"], "EEGD_LOST=" + e["EEGD_LOST"]); assert "stopped: " in e["MESSAGE"] and e["SYSLOG_IDENTIFIER"] == "eegd" and e["CODE_FUNC"]'
}
residue() {
    ls -A /dev/shm /run/eegd 2>/dev/null | grep -v '^/dev/shm:$' | grep . && return 1
    ps -u eegd -o pid=,args= && return 1
    echo "nothing in /dev/shm and /run/eegd, no process"
}
systemctl disable --quiet $plugin
ctl restart eegd.service
until_true status_text
check "stop ends within 2 s" stop_quickly
check "the summary is in the journal, with its fields" summary
check "nothing is left" residue

# The built-in supervisor: [plugins] run.
sed -i 's/^# run = .*/run = ["bandpower"]/' /etc/eegd/eegd.toml
supervised() {
    local pid
    ctl start eegd.service && until_true has_stream || return
    pid=$(pgrep -u eegd -f eegd.runner) || return
    echo "nice $(ps -o ni= -p "$pid"), oom_score_adj $(cat "/proc/$pid/oom_score_adj")"
    [ "$(ps -o ni= -p "$pid" | tr -d ' ')" = 0 ] && [ "$(cat "/proc/$pid/oom_score_adj")" = 0 ]
}
check "a supervised plugin stands back" supervised
hung_plugin() { kill -STOP "$(pgrep -u eegd -f eegd.runner)" && stop_quickly; }
check "stop with a plugin that hangs" hung_plugin
check "nothing is left of it" residue
sed -i 's/^run = .*/# run = []/' /etc/eegd/eegd.toml

# ---- losses ----

# The strict emulated chip loses what is read late.
sed -i 's/^# chip = "patient"/chip = "strict"/' /etc/eegd/eegd.toml
has_loss() { journalctl --quiet --no-pager --output=json --unit=eegd.service --priority=warning --grep='lost: ' EEGD_STREAM=raw | grep .; }
loss() {
    ctl restart eegd.service && until_true status_any || return
    kill -STOP "$(property MainPID)" && sleep 0.3 && kill -CONT "$(property MainPID)"
    until_true has_loss || return
    has_loss | tail -n 1 | python3 -c 'import json, sys; e = json.load(sys.stdin); print(e["MESSAGE"], "EEGD_LOST=" + e["EEGD_LOST"], "EEGD_CAUSE=" + e["EEGD_CAUSE"]); assert int(e["EEGD_LOST"]) > 0'
}
status_any() { property StatusText | grep -E ' samples, [0-9]+ lost'; }
check "a loss is told with its fields" loss
sed -i 's/^chip = "strict"/# chip = "patient"/' /etc/eegd/eegd.toml

# ---- units ----

verified() { local said; said=$(systemd-analyze verify eegd.service $plugin 2>&1) && [ -z "$said" ] || { echo "$said"; return 1; }; }
score() { systemd-analyze security --no-pager --threshold=15 "$1" | tail -n 1; [ "${PIPESTATUS[0]}" = 0 ]; }
check "systemd-analyze verify finds nothing" verified
check "systemd-analyze security of the daemon, at most 1.5" score eegd.service
check "systemd-analyze security of a plugin, at most 1.5" score $plugin

# ---- upgrade, removal ----

upgraded() {
    local pid
    ctl start eegd.service
    pid=$(property MainPID)
    echo '# mine' >>/etc/eegd/eegd.toml
    dpkg --install /share/next.deb || return
    until_true systemctl is-active eegd.service && [ "$(property MainPID)" != "$pid" ] && tail -n 1 /etc/eegd/eegd.toml | grep mine &&
        dpkg-query --show eegd
}
removed() { dpkg --remove eegd && is_gone systemctl is-active eegd.service && is_gone test -e /usr/lib/eegd -o -e /usr/bin/eegd && test -e /etc/eegd/eegd.toml; }
purged() {
    local left
    touch /var/lib/eegd/recording.bdf
    dpkg --purge eegd || return
    left=$(find /etc /usr /run /dev/shm -xdev -name '*eegd*' ! -name '*eegd-test.service' 2>/dev/null | tr '\n' ' ')
    left+=$(ls -d /var/lib/eegd /var/lib/private/eegd /var/lib/systemd/deb-systemd-helper-*/*eegd* 2>/dev/null)
    [ -z "$left" ] || { echo "left: $left"; return 1; }
}
check "an upgrade restarts the service and keeps the configuration" upgraded
check "removal stops the service and leaves the configuration" removed
check "purge leaves nothing but the user" purged

journalctl --no-pager >/share/journal
printf 'the test came to its end|ok|\n' >>/share/table
! grep -q '|FAILED|' /share/table
