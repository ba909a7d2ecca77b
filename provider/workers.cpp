// SPDX-License-Identifier: Apache-2.0
// Worker threads. Contract: workers.hpp.
//
// Asio's io_context is the queue. Its thread_pool is not used, as it waits for ever in its
// constructor's clean-up when the system refuses one of its threads.
#include "workers.hpp"

#include <openssl/crypto.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace offload::workers {

namespace {

// The first version of the kernel's struct sched_attr, whose header does not go with <sched.h>.
struct SchedulingAttributes {
    std::uint32_t size = sizeof(SchedulingAttributes);
    std::uint32_t policy = SCHED_BATCH;
    std::uint64_t flags = 0;
    std::int32_t nice = 0;
    std::uint32_t priority = 0;
    std::uint64_t runtime = 200'000;  // ns
    std::uint64_t deadline = 0;
    std::uint64_t period = 0;
};

// For threads that compute. One of the class SCHED_BATCH never takes the CPU from the one that
// wakes it: the server's, which has yet to pause its job. And from Linux 6.12 on `runtime` is its
// slice, for which it keeps the CPU when the server's thread wakes; the default is some 3 ms. With
// HAProxy's thread and two workers on two CPUs, the 99th percentile of plain requests was 2.4 ms
// instead of 2.7 ms, and 2.3 ms instead of 3.6 ms where others wanted the CPUs as well.
void yield_to_server() {
    const sched_param none{};
    (void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &none);
    const SchedulingAttributes attributes{
        .nice = getpriority(PRIO_PROCESS, static_cast<id_t>(gettid()))};
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

class Pool {
  public:
    // Starts as many of `count` threads as the system allows; at least one, or throws.
    Pool(unsigned count, bool computing) : guard_(queue_.get_executor()) {
        // Signals are for the application's threads.
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        try {
            while (threads_.size() < count)
                threads_.emplace_back([this, computing] {
                    if (computing)
                        yield_to_server();
                    queue_.run();
                });
        } catch (const std::exception&) {  // no thread to be had, or no memory for one
            if (threads_.empty()) {
                pthread_sigmask(SIG_SETMASK, &before, nullptr);
                throw;
            }
        }
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    // Finishes all work.
    ~Pool() {
        guard_.reset();
        for (std::thread& thread : threads_)
            thread.join();
    }

    // Drops the work that no thread has begun.
    void drop() { queue_.stop(); }

    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    void post(std::function<void()> work) { asio::post(queue_, std::move(work)); }

  private:
    asio::io_context queue_;
    asio::executor_work_guard<asio::io_context::executor_type> guard_;
    std::vector<std::thread> threads_;
};

// Trivially destructible, so that work which arrives during exit() finds it.
std::mutex mutex;
Pool* pool = nullptr;
unsigned thread_count = 1;
bool work_computes = false;
bool ended = false;
bool follows_process = false;
std::atomic<unsigned> forks = 0;

// The threads of the parent do not exist in the child, nor can its pool be destroyed there.
void in_child() {
    pool = nullptr;
    forks.fetch_add(1, std::memory_order_relaxed);
    mutex.unlock();
}

void at_exit() {
    Pool* last = nullptr;
    {
        const std::lock_guard lock(mutex);
        ended = true;
        last = std::exchange(pool, nullptr);
    }
    if (last != nullptr)
        last->drop();
    delete last;
}

void follow_process() {
    if (follows_process)
        return;
    pthread_atfork([] { mutex.lock(); }, [] { mutex.unlock(); }, in_child);
    OPENSSL_atexit(at_exit);
    follows_process = true;
}

}  // namespace

void prepare(unsigned count, bool computing) {
    const std::lock_guard lock(mutex);
    thread_count = std::max(thread_count, count);
    work_computes = work_computes || computing;
}

bool post(std::function<void()> work) {
    const std::lock_guard lock(mutex);
    if (ended)
        return false;
    try {
        follow_process();
        if (pool == nullptr)
            pool = new Pool(thread_count, work_computes);
        pool->post(std::move(work));
        return true;
    } catch (const std::exception&) {
        return false;  // no memory, or no thread: the caller computes in place
    }
}

void finish() {
    Pool* last = nullptr;
    {
        const std::lock_guard lock(mutex);
        last = std::exchange(pool, nullptr);
    }
    delete last;
}

unsigned generation() {
    return forks.load(std::memory_order_relaxed);
}

}  // namespace offload::workers
