// SPDX-License-Identifier: Apache-2.0
// The functions of asyncjob/control.h about a thread's options and limit, which only check.
// Contracts: there.
//
// Threads: as that header says. Next layer down: thread_state.hpp, options.hpp.
#include "api.hpp"
#include "options.hpp"
#include "reason.hpp"
#include "thread_state.hpp"

using asyncjob::fail;
using asyncjob::Reason;
using asyncjob::succeed;
using asyncjob::this_thread;

namespace {

int give(asyncjob_thread_options* to, size_t size, const asyncjob::PoolOptions& options,
         const char* function) {
    asyncjob_thread_options shown = asyncjob::show_options(options);
    shown.size = size;
    return succeed(asyncjob::give_struct(to, size, &shown, sizeof shown, sizeof shown), function);
}

}  // namespace

int asyncjob_options_default(asyncjob_thread_options* options, size_t size) {
    return give(options, size, asyncjob::PoolOptions{}, __func__);
}

int asyncjob_get_thread_options(asyncjob_thread_options* options, size_t size) {
    return give(options, size, this_thread.pool.options(), __func__);
}

int asyncjob_on_slot_free(void (*callback)(void*), void* arg) {
    return succeed(asyncjob::on_slot_free({callback, arg}), __func__);
}

int asyncjob_init_thread(const asyncjob_thread_options* options) {
    if (options == nullptr)
        return fail(Reason::null_argument, __func__);
    asyncjob::PoolOptions read;
    Reason reason = asyncjob::read_options(*options, read);
    if (reason == Reason::none)
        reason = asyncjob::init_thread(read);
    return succeed(reason, __func__);
}
