// SPDX-License-Identifier: Apache-2.0
// How a job's owner is told that the work is done: by the callback of the job's wait context
// if it has one, else by an eventfd. The eventfd is published in the wait context in both cases
// and stays there until the context is freed: servers keep such fds in tables, and one that was
// closed and came back with the same number would be taken for another.
//
// Threads: for_job() on the job's thread, signal() on a worker, take_back() on the job's. A
// notifier may outlive the wait context: signal() does nothing then.
// Next layer down: <openssl/async.h>.
#pragma once

#include <openssl/async.h>

#include <memory>

namespace offload {

class Channel;

class Notifier {
  public:
    // The notifier of a job's wait context, whose eventfd may still be unpublished. False if an
    // eventfd cannot be had.
    [[nodiscard]] bool for_job(ASYNC_WAIT_CTX* wait);

    // Puts a new eventfd into the wait context. The job must pause once then, whatever has been
    // done by that time: a server learns of fds at a pause, and HAProxy aborts at the end of a
    // connection that has one which no pause told it of.
    enum class Published { now, before, not_at_all };
    [[nodiscard]] Published publish(ASYNC_WAIT_CTX* wait) noexcept;

    void signal() const;

    // Takes one signal of the eventfd back.
    void take_back() const;

  private:
    ASYNC_callback_fn callback_ = nullptr;
    void* callback_arg_ = nullptr;
    std::shared_ptr<Channel> channel_;
    int unpublished_ = -1;  // the channel's eventfd, until it is in the wait context
};

}  // namespace offload
