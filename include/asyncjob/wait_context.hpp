// SPDX-License-Identifier: Apache-2.0
// asyncjob/wait_context.hpp: what a paused job waits for, in C++.
//
// Threads: a context is used by one thread at a time. Next layer down: asyncjob/async.h.
#ifndef ASYNCJOB_WAIT_CONTEXT_HPP
#define ASYNCJOB_WAIT_CONTEXT_HPP

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "async.h"
#include "error.hpp"

namespace asyncjob {
inline namespace cxx1 {

// What WaitContext::changed() gives.
struct ChangedFds {
    std::vector<int> added;
    std::vector<int> deleted;
};

namespace detail {

// What a wait fd calls when its context ends.
class OnCleanup {
  public:
    OnCleanup() = default;
    virtual ~OnCleanup() = default;
    OnCleanup(const OnCleanup&) = delete;
    OnCleanup& operator=(const OnCleanup&) = delete;

    virtual void call(int fd) noexcept = 0;

    // As the C interface calls it.
    static void call(ASYNC_WAIT_CTX* /*context*/, const void* /*key*/, int fd,
                     void* self) noexcept {
        static_cast<OnCleanup*>(self)->call(fd);
    }
};

template <typename Callable>
class OnCleanupOf final : public OnCleanup {
  public:
    template <typename From>
    OnCleanupOf(std::in_place_t /*tag*/, From&& callable)
        : callable_(std::forward<From>(callable)) {}

    void call(int fd) noexcept override {
        if constexpr (std::is_invocable_v<Callable&, int>)
            std::invoke(callable_, fd);
        else
            std::invoke(callable_);
    }

  private:
    Callable callable_;
};

}  // namespace detail

// Owns an ASYNC_WAIT_CTX: the file descriptors that a job waits for while it is paused, which the
// code inside the job sets and the loop outside polls. One serves any number of jobs one after
// another. It must outlive the jobs that were started with it (declare it before them); moving it
// does not disturb them. A context that was moved from has no member to be called but assignment
// and native_handle().
//
// Example:
//     int fds[2];
//     assert(pipe(fds) == 0);
//     asyncjob::WaitContext wait;
//     auto job = asyncjob::make_job(wait, [&] {
//         wait.set_wait_fd(&fds, fds[0]);
//         asyncjob::pause();
//         wait.clear_fd(&fds);
//         char byte = 0;
//         return read(fds[0], &byte, 1) == 1 ? byte : '?';
//     });
//     job.resume();
//     assert(wait.fds() == std::vector{fds[0]});
//     assert(write(fds[1], "x", 1) == 1);
//     pollfd ready{wait.fds()[0], POLLIN, 0};
//     assert(poll(&ready, 1, 10000) == 1);
//     assert(job.resume() && job.result() == 'x');
//     close(fds[0]);
//     close(fds[1]);
class WaitContext {
  public:
    // Empty. Throws std::system_error with Errc::no_memory.
    WaitContext() : context_(ASYNC_WAIT_CTX_new()) {
        if (context_ == nullptr)
            detail::fail("asyncjob::WaitContext");
    }

    // Calls the on_cleanup of each fd that is still there, newest first.
    ~WaitContext() { free(); }

    WaitContext(WaitContext&& other) noexcept
        : on_cleanups_(std::move(other.on_cleanups_)),
          context_(std::exchange(other.context_, nullptr)) {}

    WaitContext& operator=(WaitContext&& other) noexcept {
        if (this != &other) {
            free();
            on_cleanups_ = std::move(other.on_cleanups_);
            context_ = std::exchange(other.context_, nullptr);
        }
        return *this;
    }

    // Adds an fd to wait for. The key is any address of the caller's own; a key set twice has two
    // fds. The fd stays the caller's.
    //
    // Throws std::system_error with Errc::no_memory or null_argument (moved from);
    // std::bad_alloc.
    //
    // Example: see WaitContext.
    void set_wait_fd(const void* key, int fd) {
        if (ASYNC_WAIT_CTX_set_wait_fd(context_, key, fd, nullptr, nullptr) == 0)
            detail::fail("asyncjob::WaitContext::set_wait_fd");
    }

    // The same; and when the context ends while the fd is still in it, on_cleanup(fd) or
    // on_cleanup() is called, once. It may be any move-only callable, must not throw, and may call
    // this context. When the fd is cleared, it is destroyed and not called.
    //
    // Example:
    //     int closed = -1;
    //     {
    //         asyncjob::WaitContext wait;
    //         const int fd = dup(0);
    //         wait.set_wait_fd(&closed, fd, [&](int which) {
    //             close(which);
    //             closed = which;
    //         });
    //     }
    //     assert(closed != -1);
    template <typename OnCleanup>
    void set_wait_fd(const void* key, int fd, OnCleanup&& on_cleanup) {
        using Owned = detail::OnCleanupOf<std::decay_t<OnCleanup>>;
        on_cleanups_.push_back(
            std::make_unique<Owned>(std::in_place, std::forward<OnCleanup>(on_cleanup)));
        if (ASYNC_WAIT_CTX_set_wait_fd(context_, key, fd, on_cleanups_.back().get(),
                                       detail::OnCleanup::call) == 0) {
            on_cleanups_.pop_back();
            detail::fail("asyncjob::WaitContext::set_wait_fd");
        }
    }

    // Takes the newest fd of a key out, and returns whether there was one. To close it is the
    // caller's business.
    //
    // Throws std::system_error with Errc::null_argument (moved from).
    //
    // Example:
    //     asyncjob::WaitContext wait;
    //     wait.set_wait_fd(&wait, 0);
    //     assert(wait.clear_fd(&wait) && !wait.clear_fd(&wait));
    bool clear_fd(const void* key) {
        void* data = nullptr;
        if (ASYNC_WAIT_CTX_get_fd(native("clear_fd"), key, nullptr, &data) == 0)
            return false;
        ASYNC_WAIT_CTX_clear_fd(context_, key);
        // The data of an fd that C code has set is not in the list.
        const auto is_data = [data](const auto& owned) { return owned.get() == data; };
        const auto found = std::find_if(on_cleanups_.begin(), on_cleanups_.end(), is_data);
        if (found != on_cleanups_.end()) {
            const std::unique_ptr<detail::OnCleanup> ends = std::move(*found);
            on_cleanups_.erase(found);
        }
        return true;
    }

    // All fds, newest first.
    //
    // Throws std::system_error with Errc::null_argument (moved from); std::bad_alloc.
    //
    // Example: see WaitContext.
    [[nodiscard]] std::vector<int> fds() const {
        std::size_t count = 0;
        ASYNC_WAIT_CTX_get_all_fds(native("fds"), nullptr, &count);
        std::vector<int> all(count);
        ASYNC_WAIT_CTX_get_all_fds(context_, all.data(), &count);
        return all;
    }

    // What was added and what was cleared since a job with this context was last resumed, for a
    // loop that keeps a set of fds to poll.
    //
    // Throws std::system_error with Errc::null_argument (moved from); std::bad_alloc.
    //
    // Example:
    //     asyncjob::WaitContext wait;
    //     auto job = asyncjob::make_job(wait, [&] {
    //         wait.set_wait_fd(&wait, 0);
    //         asyncjob::pause();
    //         wait.clear_fd(&wait);
    //         asyncjob::pause();
    //     });
    //     job.resume();
    //     asyncjob::ChangedFds changed = wait.changed();
    //     assert(changed.added == std::vector{0} && changed.deleted.empty());
    //     job.resume();
    //     changed = wait.changed();
    //     assert(changed.added.empty() && changed.deleted == std::vector{0});
    [[nodiscard]] ChangedFds changed() const {
        std::size_t added = 0;
        std::size_t deleted = 0;
        ASYNC_WAIT_CTX_get_changed_fds(native("changed"), nullptr, &added, nullptr, &deleted);
        ChangedFds changed{std::vector<int>(added), std::vector<int>(deleted)};
        ASYNC_WAIT_CTX_get_changed_fds(context_, changed.added.data(), &added,
                                       changed.deleted.data(), &deleted);
        return changed;
    }

    // The context as C knows it, to be used, not to be freed; NULL after a move from this. It may
    // have a callback and fds of C code beside those of this class.
    //
    // Example:
    //     asyncjob::WaitContext wait;
    //     assert(ASYNC_WAIT_CTX_get_status(wait.native_handle()) == ASYNC_STATUS_UNSUPPORTED);
    [[nodiscard]] ASYNC_WAIT_CTX* native_handle() const noexcept { return context_; }

  private:
    [[nodiscard]] ASYNC_WAIT_CTX* native(const char* member) const {
        if (context_ == nullptr)
            detail::fail(Errc::null_argument, member);
        return context_;
    }

    // While on_cleanups are called, none is destroyed: one may clear fds, its own too.
    void free() noexcept {
        const auto called = std::move(on_cleanups_);
        on_cleanups_.clear();
        ASYNC_WAIT_CTX_free(context_);
    }

    std::vector<std::unique_ptr<detail::OnCleanup>> on_cleanups_;
    ASYNC_WAIT_CTX* context_;
};

}  // namespace cxx1
}  // namespace asyncjob

#endif
