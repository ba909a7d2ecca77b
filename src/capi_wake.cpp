// SPDX-License-Identifier: Apache-2.0
// The functions of asyncjob/control.h about wakes, ready jobs and pauses: checks arguments, and
// turns failures into reasons, as capi.cpp does.
//
// Threads: as that header says. Next layer down: job_wake.hpp, wake.hpp.
#include <ctime>

#include "api.hpp"
#include "job_wake.hpp"
#include "os/clock.hpp"
#include "probes.hpp"
#include "reason.hpp"
#include "thread_state.hpp"
#include "trace.hpp"
#include "wake.hpp"

using asyncjob::fail;
using asyncjob::Reason;
using asyncjob::succeed;
using asyncjob::WakeSlot;

namespace {

namespace os = asyncjob::os;

// Times that are too far away to count them in nanoseconds are as good as never.
os::Time time_of(const timespec& deadline) {
    if (deadline.tv_sec >= os::never / os::second)
        return os::never;
    return deadline.tv_sec < 0 ? 0 : deadline.tv_sec * os::second + deadline.tv_nsec;
}

}  // namespace

int asyncjob_get_handle(ASYNC_JOB* job, asyncjob_handle* handle) {
    if (job == nullptr || handle == nullptr)
        return fail(Reason::null_argument, __func__);
    return succeed(asyncjob::get_handle(job, *handle), __func__);
}

int asyncjob_wake(asyncjob_handle handle) {
    if (handle.slot == nullptr)
        return fail(Reason::null_argument, __func__);
    WakeSlot& slot = *static_cast<WakeSlot*>(handle.slot);
    // Before the wake: the job may be another one afterwards, and must not be seen to go on first.
    const ASYNC_JOB* const job = slot.job;
    const bool is_traced = asyncjob::trace::is_on.load(std::memory_order_relaxed);
    const os::Time now = is_traced ? os::now() : 0;
    if (slot.wake(handle.generation)) [[likely]] {
        ASYNCJOB_PROBE1(wake, job);
        if (is_traced)
            asyncjob::trace::note_wake(job, now);
        return 1;
    }
    // Not on the error queue: it is nothing that a TLS connection of this thread should fail for.
    asyncjob::this_thread.last_reason = static_cast<int>(Reason::stale_handle);
    return 0;
}

int asyncjob_ready_fd(void) {
    int fd = os::no_fd;
    const Reason reason = asyncjob::ready_fd(fd);
    if (reason != Reason::none)
        (void)fail(reason, __func__);
    return fd;
}

size_t asyncjob_take_ready(ASYNC_JOB** jobs, size_t max) {
    if (jobs == nullptr && max != 0) {
        (void)fail(Reason::null_argument, __func__);
        return 0;
    }
    return asyncjob::take_ready(jobs, max);
}

int asyncjob_pause(void) {
    int meaning = 0;
    // It has no deadline, so it cannot fail.
    (void)asyncjob::pause_until(os::never, meaning);
    return meaning;
}

int asyncjob_pause_until(const struct timespec* deadline) {
    Reason reason = Reason::null_argument;
    int meaning = 0;
    if (deadline != nullptr) {
        reason = deadline->tv_nsec < 0 || deadline->tv_nsec >= os::second
                     ? Reason::invalid_deadline
                     : asyncjob::pause_until(time_of(*deadline), meaning);
    }
    if (reason == Reason::none)
        return meaning;
    (void)fail(reason, __func__);
    return ASYNCJOB_PAUSE_FAILED;
}

int asyncjob_can_pause(void) {
    return asyncjob::can_pause() ? 1 : 0;
}
