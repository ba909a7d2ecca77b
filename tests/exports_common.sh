# SPDX-License-Identifier: Apache-2.0
# What the tests of exported names share (sourced, with set -eu): $library is looked at, $work is a
# folder that goes away, and $status becomes 1 with a complaint.

if nm -D "$library" | grep -qE '__(asan|tsan|ubsan)_'; then
    echo "skipped: a library with a sanitizer needs that sanitizer"
    exit 77
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
status=0
complain() {
    echo "$*" >&2
    status=1
}

# functions_of HEADER PREFIX: what is left of it without comments.
functions_of() {
    sed -e 's|/\*.*\*/||' -e '/\/\*/,/\*\//d' "$1" | grep -oE "\\b$2[a-z0-9_]+\\(" | tr -d '('
}

# What any library of ours must be.
check_library() {
    needed=$(readelf -dW "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\].*/\1/p' | tr '\n' ' ')
    [ "$needed" = "libc.so.6 " ] || complain "needed: $needed"
    flags=$(readelf -lW "$library" | awk '$1 == "GNU_STACK" {print $(NF - 1)}')
    [ "$flags" = RW ] || complain "the stack's flags are '$flags', not RW"
    ! readelf -dW "$library" | grep -E 'TEXTREL' || complain "there are text relocations"
}
