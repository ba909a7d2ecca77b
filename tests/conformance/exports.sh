#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the dynamic linker sees of libasyncjob.so: exactly the public names, none with a
# version (libssl's versioned references would pass by it), libc as the only library needed,
# no executable stack, no text relocations. Usage: exports.sh LIBRARY CONTROL_H
set -eu
library=$1
control=$2
. "$(dirname "$0")/../exports_common.sh"

{
    cat <<'NAMES'
ASYNC_WAIT_CTX_clear_fd
ASYNC_WAIT_CTX_free
ASYNC_WAIT_CTX_get_all_fds
ASYNC_WAIT_CTX_get_callback
ASYNC_WAIT_CTX_get_changed_fds
ASYNC_WAIT_CTX_get_fd
ASYNC_WAIT_CTX_get_status
ASYNC_WAIT_CTX_new
ASYNC_WAIT_CTX_set_callback
ASYNC_WAIT_CTX_set_status
ASYNC_WAIT_CTX_set_wait_fd
ASYNC_block_pause
ASYNC_cleanup_thread
ASYNC_get_current_job
ASYNC_get_mem_functions
ASYNC_get_wait_ctx
ASYNC_init_thread
ASYNC_is_capable
ASYNC_pause_job
ASYNC_set_mem_functions
ASYNC_start_job
ASYNC_unblock_pause
OSSL_LIB_CTX_set0_default
NAMES
    functions_of "$control" asyncjob_
} | LC_ALL=C sort -u >"$work/expected"
# nm appends @@VERSION to a versioned name, so this checks that there is none, too.
nm -D --defined-only "$library" | awk '{print $NF}' | LC_ALL=C sort >"$work/exported"
if ! diff -u "$work/expected" "$work/exported" >"$work/diff"; then
    cat "$work/diff" >&2
    complain "the exported names (+) are not the public ones (-)"
fi

[ "$(nm -D "$library" | awk '$NF == "OSSL_LIB_CTX_set0_default" {print $(NF - 1)}')" = W ] ||
    complain "OSSL_LIB_CTX_set0_default is not weak"

check_library
[ $status -ne 0 ] || echo "$(wc -l <"$work/exported") names, as they should be"
exit $status
