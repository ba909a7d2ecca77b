// SPDX-License-Identifier: Apache-2.0
// A lock that is free in the child of a fork, whichever thread held it in the parent: the
// fork takes it first.
//
// Threads: any. Next layer down: libc.
#pragma once

#include <poll.h>
#include <pthread.h>

namespace asyncjob::os {

class ForkLock {
  public:
    void lock() { pthread_mutex_lock(&mutex_); }

    // For signal handlers, which may have interrupted who has the lock: gives up after a tenth of a
    // second.
    [[nodiscard]] bool lock_in_time() {
        for (int times = 0; times < 100; ++times) {
            if (pthread_mutex_trylock(&mutex_) == 0)
                return true;
            (void)poll(nullptr, 0, 1);
        }
        return false;
    }
    void unlock() { pthread_mutex_unlock(&mutex_); }

    class Guard {
      public:
        explicit Guard(ForkLock& lock) : lock_(lock) { lock_.lock(); }
        ~Guard() { lock_.unlock(); }
        Guard(const Guard&) = delete;
        Guard& operator=(const Guard&) = delete;

      private:
        ForkLock& lock_;
    };

  private:
    pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
};

// Makes forks take a lock with static storage; once, in a constructor of the library. Not
// having it is no more than a smaller risk: there is nobody to tell at that time.
template <ForkLock& lock>
void follow_forks() {
    (void)pthread_atfork([] { lock.lock(); }, [] { lock.unlock(); }, [] { lock.unlock(); });
}

}  // namespace asyncjob::os
