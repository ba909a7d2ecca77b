// SPDX-License-Identifier: Apache-2.0
// The two implementations as tables of functions, in one process.
//
// Ours is the linked library, or one that is loaded with dlopen(). libcrypto's is a second copy of
// it, loaded so that its references bind to itself: in the copy that the program is linked with,
// ASYNC_start_job() makes a pool through the name ASYNC_init_thread, which binds to our library
// here.
#pragma once

#include <openssl/async.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include <string>
#include <vector>

namespace differential {

// X(member, function)
#define DIFFERENTIAL_JOB_FUNCTIONS(X)                  \
    X(init_thread, ASYNC_init_thread)                  \
    X(cleanup_thread, ASYNC_cleanup_thread)            \
    X(is_capable, ASYNC_is_capable)                    \
    X(start_job, ASYNC_start_job)                      \
    X(pause_job, ASYNC_pause_job)                      \
    X(get_current_job, ASYNC_get_current_job)          \
    X(get_wait_ctx, ASYNC_get_wait_ctx)                \
    X(block_pause, ASYNC_block_pause)                  \
    X(unblock_pause, ASYNC_unblock_pause)              \
    X(ctx_new, ASYNC_WAIT_CTX_new)                     \
    X(ctx_free, ASYNC_WAIT_CTX_free)                   \
    X(set_wait_fd, ASYNC_WAIT_CTX_set_wait_fd)         \
    X(get_fd, ASYNC_WAIT_CTX_get_fd)                   \
    X(get_all_fds, ASYNC_WAIT_CTX_get_all_fds)         \
    X(get_changed_fds, ASYNC_WAIT_CTX_get_changed_fds) \
    X(clear_fd, ASYNC_WAIT_CTX_clear_fd)               \
    X(set_callback, ASYNC_WAIT_CTX_set_callback)       \
    X(get_callback, ASYNC_WAIT_CTX_get_callback)       \
    X(set_status, ASYNC_WAIT_CTX_set_status)           \
    X(get_status, ASYNC_WAIT_CTX_get_status)
#define DIFFERENTIAL_OTHER_FUNCTIONS(X)                \
    X(get_error, ERR_get_error)                        \
    X(lib_ctx_new, OSSL_LIB_CTX_new)                   \
    X(set0_default_lib_ctx, OSSL_LIB_CTX_set0_default) \
    X(global_lib_ctx, OSSL_LIB_CTX_get0_global_default)

struct Api {
#define DIFFERENTIAL_MEMBER(member, function) decltype(&::function) member;
    DIFFERENTIAL_JOB_FUNCTIONS(DIFFERENTIAL_MEMBER)
    DIFFERENTIAL_OTHER_FUNCTIONS(DIFFERENTIAL_MEMBER)
#undef DIFFERENTIAL_MEMBER
};

// False, with the reason in `why`, if libcrypto cannot be loaded a second time.
[[nodiscard]] bool load_libcrypto(Api& api, std::string& why);

// The linked functions; those of the job interface from the file `library` if it is not empty.
[[nodiscard]] bool load_asyncjob(Api& api, const std::string& library, std::string& why);

// Puts a fault into a table, to see whether it is found. False: no fault of that name.
[[nodiscard]] bool put_fault(Api& api, const std::string& name);
[[nodiscard]] std::vector<std::string> faults();

}  // namespace differential
