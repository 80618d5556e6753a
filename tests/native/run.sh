#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs C unit tests one after the other and prints a table. What a test said is kept beside it (.log), and shown
# when it failed. Exit status 1 when any did.
#
# usage: tests/native/run.sh FLAVOUR PROGRAM…     TEST_SECONDS: how long one program may take, default 300
set -u

flavour=$1
shift
[ $# -gt 0 ] || { echo "$flavour: no C unit tests"; exit 0; }

export ASAN_OPTIONS="abort_on_error=0:detect_leaks=1:${ASAN_OPTIONS-}"
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS-}"
export TSAN_OPTIONS="halt_on_error=0:exitcode=66:${TSAN_OPTIONS-}"

# The thread sanitizer of gcc 12 cannot start where the kernel spreads mappings more widely than it knows.
run="timeout -k 5 ${TEST_SECONDS:-300}"
if [ "$flavour" = tsan ] && setarch -R true 2>/dev/null; then
    run="$run setarch -R"
fi

passed=0
failed=0
skipped=0
printf '%-32s %-8s %8s %8s\n' "C unit tests ($flavour)" result checks seconds
for program; do
    log=$program.log
    began=$(date +%s%N)
    $run "$program" >"$log" 2>&1
    status=$?
    tenths=$((($(date +%s%N) - began) / 100000000))
    case $status in
    0) result=ok passed=$((passed + 1)) ;;
    124 | 137) result=TIMEOUT failed=$((failed + 1)) ;;
    *) result=FAILED failed=$((failed + 1)) ;;
    esac
    checks=$(sed -n 's/^\([0-9]*\) checks passed.*/\1/p' "$log" | tail -n 1)
    printf '%-32s %-8s %8s %6d.%d\n' "${program##*/}" "$result" "${checks:--}" $((tenths / 10)) $((tenths % 10))
    skipped=$((skipped + $(grep -c '^skip ' "$log")))
    grep '^skip ' "$log"
    if [ "$result" != ok ]; then
        sed 's/^/    /' "$log"
        echo "    exit status $status; the whole text is in $log"
    fi
done
echo "$passed passed, $failed failed$([ $skipped = 0 ] || echo ", $skipped tests in them skipped")"
[ "$failed" = 0 ]
