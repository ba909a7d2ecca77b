#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the object files promise, and whether the assembly keeps it: branches go to landing pads alone
# (IBT, BTI), return addresses are signed (PAC), nobody promises to get along with shadow stacks
# (SHSTK, GCS), and backtraces end at the entry of a fiber. On aarch64 and riscv64 also what the CFI
# says where the stack pointer moves; on x86-64 the test `unwind` looks at each instruction.
# Usage: properties.sh CPU READELF OBJDUMP ARCHIVE LIBRARY
#
# The linker promises only what all files do, the C library's start-up files among them, which
# Debian 12 builds without: so it is the objects that are looked at.
set -eu
cpu=$1 readelf=$2 objdump=$3 archive=$4 library=$5
export LC_ALL=C

# saved OFFSET REGISTER...: how the CFI says that these were saved one behind the other, from
# OFFSET to the CFA on.
saved() {
    offset=$1
    shift
    for register; do
        printf ' %s:c%d' "$register" "$offset"
        offset=$((offset + 8))
    done
}

# functions: of the assembly, what can be called through a pointer (on x86-64 what is exported), and
# pad, what they begin with; first_pad, what first pauses do, which have no frame.
# moves: NUMBER|INSTRUCTION|CFI: behind so many instructions like this, with the name of their
# function, it must say this, registers that are as before or undefined left out. The offsets are
# those of frame.h.
moves=
case $cpu in
x86_64)
    features='IBT' address='r16 \(rip\)'
    functions='ASYNC_[a-z_]+' least=2 pad='endbr64' first_pad=
    ;;
aarch64)
    features='BTI, PAC' address='r30 \(x30\)'
    functions='asyncjob_context_[a-z_]+' least=11 pad='paciasp' first_pad='bti c'
    kept=$(saved -160 x19 x20 x21 x22 x23 x24 x25 x26 x27 x28)
    floats=$(saved -80 v8 v9 v10 v11 v12 v13 v14 v15)
    moves="1|_start mov sp, x1\$|sp+0$kept$floats
        1|_start str xzr, \[sp, #-16\]!\$|sp+16$kept$floats
        7| mov sp, x[0-9]+\$|sp+176$kept$(saved -176 x29 ra)$floats
        7| add sp, sp, #0xb0\$|sp+0"
    ;;
riscv64)
    features='' address='r1 \(ra\)'
    kept=$(saved -192 s1 s2 s3 s4 s5 s6 s7 s8 s9 s10 s11 \
        fs0 fs1 fs2 fs3 fs4 fs5 fs6 fs7 fs8 fs9 fs10 fs11)
    frame=$(saved -208 ra s0)$kept
    moves="1|_start addi? sp,a1,-16\$|sp+16$kept
        6| mv sp,a1\$|sp+208$frame
        1| ld sp,0\(s2\)\$|sp+208$frame
        7| addi? sp,sp,208\$|sp+0"
    ;;
*) echo "skipped: $cpu is not known here"; exit 77 ;;
esac

fail() { echo "$*" >&2; exit 1; }

# The assembly's instructions, with what the CFI says there before each where that changes.
annotated() {
    "$readelf" --debug-dump=frames-interp "$archive" 2>/dev/null | awk '
        /^File: / { assembly = $2 ~ /\(context_.*\.S\./ }
        $1 == "LOC" { split($0, name) }
        assembly && $2 ~ /^sp\+/ {
            row = $1 " cfi " $2
            for (i = 3; i <= NF; ++i) if ($i != "u") row = row " " name[i] ":" $i
            print row
        }'
    "$readelf" --debug-dump=frames "$archive" 2>/dev/null | awk '
        /^File: / { assembly = $2 ~ /\(context_.*\.S\./ }
        /DW_CFA_advance_loc/ { address = $NF }
        assembly && /DW_CFA_(AARCH64_negate_ra_state|GNU_window_save)/ { print address, "cfi_sign" }'
    "$objdump" -d --no-show-raw-insn "$archive" | awk '
        /^[^ ]+:     file format/ { assembly = $1 ~ /^context_.*\.S\./ }
        $2 ~ /^<asyncjob_[a-z_]+>:$/ { name = substr($2, 2, length($2) - 3) }
        assembly && $1 ~ /^[0-9a-f]+:$/ {
            address = substr("0000000000000000" $1, length($1), 16)
            $1 = "" # and one space between the others
            print address, "code", name $0
        }'
}

"$readelf" --debug-dump=frames "$archive" 2>/dev/null | awk -v wanted="DW_CFA_undefined: $address" '
    /^File: / { assembly = $2 ~ /\(context_.*\.S\./ }
    assembly && $0 ~ wanted { found = 1 }
    END { exit !found }' || fail "the return address is not undefined at the entry of a fiber"

# Also: whenever the return address has been signed or authenticated the CFI says so, and what has
# been loaded from a frame is authenticated before it is used.
[ -z "$moves" ] || annotated | sort -s -k1,2 | moves=$moves awk '
    BEGIN {
        lines = split(ENVIRON["moves"], line, / *\n */)
        for (i = 1; i <= lines; ++i) {
            split(line[i], part, "|")
            least[i] = part[1]; move[i] = part[2]; wanted[i] = part[3]
        }
    }
    function complain(what) { print before ": " what; bad = 1 }
    $2 == "cfi" { row = substr($0, index($0, "sp+")); next }
    $2 == "cfi_sign" { turned = !turned; next }
    {
        for (i = 1; i <= lines; ++i)
            if (before ~ move[i]) {
                ++seen[i]
                if (row != wanted[i]) complain("behind it is\n    " row "\nnot " wanted[i])
                break
            }
        if (turned != (before ~ / (paciasp|autiasp)$/)) complain("the CFI has the signature wrong behind it")
        turned = 0
        before = substr($0, index($0, "code ") + 5)
        if (before ~ / ldp x29, x30, /) signed = 1
        if (before ~ / autiasp$/) signed = 0
        if (signed && before ~ / (ret|br?)( |$)/) {
            complain("leaves with a return address that is signed")
            signed = 0
        }
    }
    END {
        for (i = 1; i <= lines; ++i)
            if (seen[i] < least[i]) { print "only " seen[i] + 0 " like " move[i]; bad = 1 }
        exit bad
    }' || fail "the CFI or the signature of return addresses is wrong"

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

"$objdump" -d --no-show-raw-insn "$archive" | awk -v names="^<($functions)>:\$" -v pad="$pad" \
    -v first_pad="$first_pad" -v least="$least" '
    /^[^ ]+:     file format/ { assembly = $1 ~ /^(context|short)_.*\.S\./ }
    name != "" && $2 != "" {
        wanted = name ~ /first_pause/ ? first_pad : pad
        $1 = "" # and one space between the others
        if ($0 != " " wanted) { print name " begins with" $0 ", not " wanted; bad = 1 }
        name = ""
    }
    assembly && $2 ~ names { name = $2; ++count }
    END { if (count < least) { print "only " count + 0 " functions"; bad = 1 } exit bad }' ||
    fail "a function has no landing pad, or does not sign its return address"
