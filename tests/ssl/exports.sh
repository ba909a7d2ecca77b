#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the dynamic linker sees of libasyncjob-ssl.so: functions of libssl's in the version that
# libssl gives them, the names of asyncjob/ssl.h and no other, libc as the only library needed.
# Usage: exports.sh LIBRARY SSL_H
set -eu
library=$1
header=$2
. "$(dirname "$0")/../exports_common.sh"

libssl=$(ldconfig -p | awk '$1 == "libssl.so.3" {print $NF; exit}')
[ -n "$libssl" ] || { echo "skipped: no libssl.so.3"; exit 77; }
names_of() { nm -D --defined-only "$1" | awk '$(NF - 1) != "A" {print $NF}' | LC_ALL=C sort; }
names_of "$libssl" >"$work/libssl"
names_of "$library" | grep '^SSL_' >"$work/ours"
# Of an OpenSSL later than this one, which is not here to be asked.
grep -q '@@OPENSSL_3\.5\.0$' "$work/libssl" || sed -i '/@@OPENSSL_3\.5\.0$/d' "$work/ours"
foreign=$(LC_ALL=C comm -13 "$work/libssl" "$work/ours")
[ -z "$foreign" ] || complain "not libssl's, or of another version:" $foreign
grep -qx 'SSL_free@@OPENSSL_3.0.0' "$work/ours" || complain "SSL_free is missing"

functions_of "$header" asyncjob_ssl_ | sed 's/$/@@ASYNCJOB_0/' | LC_ALL=C sort -u >"$work/expected"
names_of "$library" | grep -v '^SSL_' >"$work/others"
diff -u "$work/expected" "$work/others" >&2 || complain "the other names (+) are not the header's (-)"

check_library
[ $status -ne 0 ] || echo "$(wc -l <"$work/ours") functions of libssl's, as they should be"
exit $status
