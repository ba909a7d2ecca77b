#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# In a program linked with -lasyncjob before -lssl -lcrypto, every reference to an ASYNC_ name
# binds to libasyncjob: the program's own, libssl's and those of libcrypto to itself.
# Usage: bindings.sh PROGRAM
set -eu
program=$1

LD_DEBUG=bindings LD_BIND_NOW=1 "$program" 2>&1 >/dev/null |
    sed -nE "s|.*binding file ([^ ]+) .* to ([^ ]+) .*symbol \`((ASYNC_\|OSSL_LIB_CTX_set0_default)[A-Za-z0-9_]*)'.*|\1 \2 \3|p" \
        >"${TMPDIR:-/tmp}/bindings.$$"
trap 'rm -f "${TMPDIR:-/tmp}/bindings.$$"' EXIT

# The library itself looks for libcrypto's function behind its own, later on and also in the
# scope of libraries that call it: the first binding of a name is that of the reference.
awk '
    $1 ~ /libasyncjob/ || seen[$1, $3]++ { next }
    { from = $1; sub(/.*\//, "", from); count[from]++ }
    $2 !~ /libasyncjob/ { print $1 " binds " $3 " to " $2; wrong = 1 }
    END {
        for (from in count) {
            print from ": " count[from] " names bound"
            total++
        }
        # The program, libssl and libcrypto: else LD_DEBUG was not understood.
        if (total < 3) {
            print "expected bindings of three files"
            wrong = 1
        }
        exit wrong
    }' "${TMPDIR:-/tmp}/bindings.$$"
