// SPDX-License-Identifier: Apache-2.0
// The C interface of what a job has of its own: local storage and switch hooks. Checks arguments
// and turns failures into reasons. Contract: asyncjob/control.h.
//
// Threads: as that header says. Next layer down: thread_state.hpp, local.hpp, hooks.hpp.
#include "api.hpp"
#include "local.hpp"
#include "reason.hpp"
#include "thread_state.hpp"

using asyncjob::fail;
using asyncjob::Reason;
using asyncjob::succeed;
using asyncjob::this_thread;

int asyncjob_key_create(asyncjob_key* key, void (*destructor)(void*)) {
    if (key == nullptr)
        return fail(Reason::null_argument, __func__);
    return succeed(asyncjob::create_local_key(*key, destructor), __func__);
}

int asyncjob_key_delete(asyncjob_key key) {
    return succeed(asyncjob::delete_local_key(key), __func__);
}

int asyncjob_set_local(asyncjob_key key, const void* value) {
    asyncjob::Job* const job = this_thread.current_job();
    if (job == nullptr)
        return fail(Reason::not_in_job, __func__);
    return succeed(job->set_local(key, const_cast<void*>(value)), __func__);
}

void* asyncjob_get_local(asyncjob_key key) {
    const asyncjob::Job* const job = this_thread.current_job();
    return job != nullptr ? job->locals.get(key) : nullptr;
}

int asyncjob_add_switch_hooks(void (*enter)(ASYNC_JOB* job, void* arg),
                              void (*leave)(ASYNC_JOB* job, void* arg), void* arg) {
    if (enter == nullptr && leave == nullptr)
        return fail(Reason::null_argument, __func__);
    return succeed(asyncjob::add_switch_hook({enter, leave, arg}), __func__);
}

int asyncjob_remove_switch_hooks(void (*enter)(ASYNC_JOB* job, void* arg),
                                 void (*leave)(ASYNC_JOB* job, void* arg), void* arg) {
    return succeed(asyncjob::remove_switch_hook({enter, leave, arg}), __func__);
}
