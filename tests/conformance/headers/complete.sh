#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Our header declares every function and defines every constant that OpenSSL's does.
# (redeclared.h checks that what both have is the same.) ASYNC_F_* are left out: function
# codes of OpenSSL 1.1, all 0 and deprecated. Usage: complete.sh COMPILER INCLUDE
set -eu
compiler=$1
include=$2

# Functions, types and constants of a header, one a line.
names() {
    echo "#include <$1>" | "$compiler" -I "$include" -x c -E -P - |
        grep -oE '\bASYNC_[A-Za-z0-9_]+' | sort -u
    echo "#include <$1>" | "$compiler" -I "$include" -x c -E -dM - |
        sed -nE 's/^#define ((ASYNC|OSSL_(BAD_)?ASYNC|OPENSSL_ASYNC_H|HEADER_ASYNC_H)[A-Za-z0-9_]*).*/\1/p'
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
names openssl/async.h | grep -v '^ASYNC_F_' | sort -u >"$work/openssls"
names asyncjob/async.h | sort -u >"$work/ours"
grep -qx ASYNC_start_job "$work/openssls"

missing=$(comm -23 "$work/openssls" "$work/ours")
if [ -n "$missing" ]; then
    echo "not in asyncjob/async.h:" $missing >&2
    exit 1
fi
echo "all of $(wc -l <"$work/openssls") names are there"
