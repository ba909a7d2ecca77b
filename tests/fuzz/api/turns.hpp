// SPDX-License-Identifier: Apache-2.0
// Threads of which one at a time goes on, the one that has its turn, so that a program of several
// threads does the same each time. A thread gives the turn away wherever it is: in a job, a hook, a
// callback.
//
// Threads: the first, which made this, and those that it starts.
#pragma once

#include <condition_variable>
#include <mutex>

namespace fuzz {

class Turns {
  public:
    // Gives the turn to `to`; returns when `own` has it.
    void give(int to, int own) {
        std::unique_lock lock(mutex_);
        turn_ = to;
        changed_.notify_all();
        changed_.wait(lock, [&] { return turn_ == own; });
    }

    // For a thread that ends.
    void give_for_good(int to) {
        const std::lock_guard lock(mutex_);
        turn_ = to;
        changed_.notify_all();
    }

    void wait_for(int own) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return turn_ == own; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    int turn_ = 0;
};

}  // namespace fuzz
