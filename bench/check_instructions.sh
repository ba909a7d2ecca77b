#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Counts the instructions that each operation of the library takes, with Valgrind's
# callgrind, and compares them with the baseline: exit 1 if one rose by more than 5 %, 77
# (a skip) if there is no baseline for this kind of build or no valgrind. Counts depend
# neither on the clock nor on what else the machine does.
#
#   check_instructions.sh [--update] PROGRAM BASELINE BUILD
#
# PROGRAM is bench/instructions; BUILD names a kind of build in BASELINE, whose lines are
# "BUILD OPERATION COUNT". --update writes the counts of this build into BASELINE.
set -euo pipefail

update=false
if [ "${1-}" = --update ]; then
    update=true
    shift
fi
if [ $# -ne 3 ]; then
    sed -n '3,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
program=$1 baseline=$2 build=$3
times=20000
allowed=5 # percent

if ! command -v valgrind >/dev/null; then
    echo "no valgrind here"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# instructions OPERATION TIMES: of a whole run.
instructions() {
    if ! valgrind --tool=callgrind --callgrind-out-file="$work/callgrind" \
        "$program" "$1" "$2" >"$work/log" 2>&1; then
        cat "$work/log" >&2
        exit 1
    fi
    sed -n 's/^summary: *\([0-9]*\).*/\1/p;s/^totals: *\([0-9]*\).*/\1/p' "$work/callgrind" | head -n 1
}

status=0
known=false
operations=$("$program")
printf '%-24s %12s %10s\n' "$build" instructions baseline
for operation in $operations; do
    idle=$(instructions "$operation" 0)
    busy=$(instructions "$operation" "$times")
    count=$(((busy - idle + times / 2) / times))
    stored=$(awk -v b="$build" -v o="$operation" '$1 == b && $2 == o { print $3 }' "$baseline")
    note=
    if [ -n "$stored" ]; then
        known=true
        if [ $((count * 100)) -gt $((stored * (100 + allowed))) ]; then
            note="  more than $allowed % above the baseline"
            status=1
        elif [ $((count * 100)) -lt $((stored * (100 - allowed))) ]; then
            note="  below the baseline: --update it"
        fi
    fi
    printf '%-24s %12d %10s%s\n' "$operation" "$count" "${stored:--}" "$note"
    echo "$build $operation $count" >>"$work/counts"
done

if $update; then
    awk -v b="$build" '$1 != b' "$baseline" >"$work/others"
    cat "$work/others" "$work/counts" >"$baseline"
elif [ $status -ne 0 ]; then
    echo "If the rise is meant: $0 --update $program $baseline $build"
elif ! $known; then
    echo "no baseline for $build"
    status=77
fi
exit $status
