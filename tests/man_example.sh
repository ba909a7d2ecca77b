#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A manual page's example is a program that compiles without a warning and says what is expected.
# Usage: man_example.sh PAGE OUTPUT COMPILER [ARGUMENT...]
set -eu
page=$1
output=$2
compiler=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What is between .EX and .EE behind the heading, without the escapes of roff.
sed -n '/^\.SH EXAMPLES/,/^\.SH SEE/p' "$page" | sed -n '/^\.EX/,/^\.EE/p' |
    sed -e '/^\.E[XE]/d' -e 's/^\.PP$//' -e 's/\\-/-/g' -e 's/\\e/\\/g' -e 's/\\&//g' >"$work/example.c"
grep -q main "$work/example.c" || { echo "$page has no program" >&2; exit 1; }
"$compiler" "$work/example.c" -o "$work/example" "$@"
said=$("$work/example")
[ "$said" = "$output" ] || { echo "it says '$said' instead of '$output'" >&2; exit 1; }
