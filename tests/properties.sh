#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the object files promise, and whether the assembly keeps it: branches go to landing pads alone
# (IBT, BTI), return addresses are signed (PAC), nobody promises to get along with shadow stacks
# (SHSTK, GCS), and backtraces end at the entry of a fiber.
# Usage: properties.sh CPU READELF OBJDUMP ARCHIVE LIBRARY
#
# The linker promises only what all files do, the C library's start-up files among them, which
# Debian 12 builds without: so it is the objects that are looked at.
set -eu
cpu=$1 readelf=$2 objdump=$3 archive=$4 library=$5
export LC_ALL=C

# Of the assembly, what can be called through a pointer: on x86-64 what is exported.
case $cpu in
x86_64)  features='IBT'      pads='endbr64'     functions='ASYNC_[a-z_]+' least=2 address='r16 \(rip\)' ;;
aarch64) features='BTI, PAC' pads='paciasp|bti' functions='asyncjob_context_[a-z_]+' least=11 address='r30 \(x30\)' ;;
riscv64) features='' address='r1 \(ra\)' ;;
*) echo "skipped: $cpu is not known here"; exit 77 ;;
esac

fail() { echo "$*" >&2; exit 1; }

"$readelf" --debug-dump=frames "$archive" 2>/dev/null | awk -v wanted="DW_CFA_undefined: $address" '
    /^File: / { assembly = $2 ~ /\(context_.*\.S\./ }
    assembly && $0 ~ wanted { found = 1 }
    END { exit !found }' || fail "the return address is not undefined at the entry of a fiber"

[ -n "$features" ] || exit 0 # no such protection

"$readelf" -n "$archive" 2>/dev/null | awk -v wanted="feature: $features\$" '
    function check() { if (file != "" && !found) { print file ": not " wanted; bad = 1 } }
    /^File: / { check(); file = $0; found = 0; ++files }
    $0 ~ wanted { found = 1 }
    /SHSTK|GCS/ { print file ": " $0; bad = 1 }
    END { check(); if (files < 20) { print "only " files + 0 " objects"; bad = 1 } exit bad }' ||
    fail "an object promises something else"
if "$readelf" -n "$library" | grep -E 'SHSTK|GCS'; then
    fail "the library claims to get along with shadow stacks"
fi

"$objdump" -d --no-show-raw-insn "$archive" | awk -v names="^<($functions)>:\$" -v pads="^($pads)\$" -v least="$least" '
    /^[^ ]+:     file format/ { assembly = $1 ~ /^(context|short)_.*\.S\./ }
    wanted != "" && $2 != "" { if ($2 !~ pads) { print wanted " begins with " $2; bad = 1 } wanted = "" }
    assembly && $2 ~ names { wanted = $2; ++count }
    END { if (count < least) { print "only " count + 0 " functions"; bad = 1 } exit bad }' ||
    fail "a function has no landing pad"
