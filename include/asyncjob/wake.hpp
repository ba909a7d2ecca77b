// SPDX-License-Identifier: Apache-2.0
// asyncjob/wake.hpp: telling a thread from another one that a job of its can go on, and asking
// which can.
//
// Threads: a Handle may be copied to any. Next layer down: asyncjob/control.h.
#ifndef ASYNCJOB_WAKE_HPP
#define ASYNCJOB_WAKE_HPP

#include <cstddef>
#include <span>

#include "control.h"
#include "error.hpp"

namespace asyncjob {
inline namespace cxx1 {

// Stands for one job, also beyond its end. From Job::handle() or this_job::handle(); no two jobs
// have equal ones. One made by its default constructor stands for no job.
//
// Example:
//     const asyncjob::Handle none;
//     assert(!none && none == asyncjob::Handle());
class Handle {
  public:
    Handle() noexcept = default;

    // Of C's handle.
    //
    // Example:
    //     auto job = asyncjob::make_job(nullptr, [] { asyncjob::pause(); });
    //     job.resume();
    //     asyncjob_handle handle;
    //     assert(asyncjob_get_handle(job.native_handle(), &handle) == 1);
    //     assert(asyncjob::Handle(handle) == job.handle());
    explicit Handle(asyncjob_handle handle) noexcept : handle_(handle) {}

    // C's handle, for asyncjob_wake().
    //
    // Example:
    //     auto job = asyncjob::make_job(nullptr, [] { asyncjob::pause(); });
    //     job.resume();
    //     assert(asyncjob_wake(job.handle().native_handle()) == 1);
    [[nodiscard]] asyncjob_handle native_handle() const noexcept { return handle_; }

    // Whether it stands for a job, which may have ended.
    explicit operator bool() const noexcept { return handle_.slot != nullptr; }

    friend bool operator==(const Handle& one, const Handle& other) noexcept {
        return one.handle_.slot == other.handle_.slot &&
               one.handle_.generation == other.handle_.generation;
    }

  private:
    asyncjob_handle handle_{};
};

namespace detail {

// Of a job that must be there.
inline Handle handle_of(ASYNC_JOB* job, Errc if_none, const char* what) {
    asyncjob_handle handle{};
    if (job == nullptr)
        fail(if_none, what);
    if (asyncjob_get_handle(job, &handle) == 0)
        fail(what);
    return Handle(handle);
}

}  // namespace detail

// Tells the job's thread that the job can go on: its ready_fd() becomes readable, and take_ready()
// lists the job. What the caller did before, the job sees when it goes on. A wake is kept until
// the job has heard of it. Any thread; takes no lock.
//
// Returns whether there still was such a job: a wake that comes late is no mistake. Throws
// std::system_error with Errc::null_argument for a Handle that stands for none.
//
// Example:
//     auto job = asyncjob::make_job(nullptr, [] { return asyncjob::this_job::wait(); });
//     job.resume();
//     const asyncjob::Handle handle = job.handle();
//     std::thread([handle] { asyncjob::wake(handle); }).join();
//     ASYNC_JOB* ready[8];
//     assert(asyncjob::take_ready(ready) == 1 && ready[0] == job.native_handle());
//     job.resume();
//     assert(job.result() == asyncjob::Resumed::woken);
//     assert(!asyncjob::wake(handle));
inline bool wake(const Handle& handle) {
    if (asyncjob_wake(handle.native_handle()) != 0)
        return true;
    if (!handle)
        detail::fail(Errc::null_argument, "asyncjob::wake");
    return false;
}

// The calling thread's file descriptor for poll(), select() or epoll: readable while take_ready()
// may find jobs. One for all jobs of the thread; the library's, not to be read or closed.
//
// Throws std::system_error with Errc::no_fd, no_memory, not_capable or init_failed.
//
// Example:
//     pollfd ready{asyncjob::ready_fd(), POLLIN, 0};
//     if (poll(&ready, 1, 0) == 1) {
//         ASYNC_JOB* jobs[16];
//         const std::size_t count = asyncjob::take_ready(jobs);
//         assert(count <= 16);  // and at times 0
//     }
[[nodiscard]] inline int ready_fd() {
    const int fd = asyncjob_ready_fd();
    if (fd < 0)
        detail::fail("asyncjob::ready_fd");
    return fd;
}

// Lists paused jobs of the calling thread that were woken, then those whose deadline has passed,
// as many as there is room for. Returns how many. Each is the native_handle() of a Job, which
// resume() goes on with; a job is listed once for each time that it pauses.
//
// Example: see wake().
[[nodiscard]] inline std::size_t take_ready(std::span<ASYNC_JOB*> into) noexcept {
    return asyncjob_take_ready(into.data(), into.size());
}

}  // namespace cxx1
}  // namespace asyncjob

#endif
