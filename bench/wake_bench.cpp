// SPDX-License-Identifier: Apache-2.0
// Times how paused jobs are told that they can go on, from the telling to the pause after: with
// this library's wakes, and the usual way, with an eventfd for each job that the loop's epoll
// watches. All in one thread, so that the figures hold no waiting.
//
// Next layer down: api.hpp.
#include <asyncjob/control.h>
#include <benchmark/benchmark.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "api.hpp"
#include "peers.hpp"

namespace {

using benchmark::State;

bool stop = false;

template <const Api& api>
int pause_until_stop(void* /*args*/) {
    while (!stop)
        api.pause_job();
    return 0;
}

// Paused jobs; they end with this object.
template <const Api& api>
class Jobs {
  public:
    explicit Jobs(std::size_t count) : names_(count) {
        stop = false;
        for (std::size_t at = 0; at < count; ++at)
            is_good = resume(at) && is_good;
    }
    ~Jobs() {
        stop = true;
        for (std::size_t at = 0; at < names_.size(); ++at)
            resume(at);
        api.wait_ctx_free(wait_);
    }
    Jobs(const Jobs&) = delete;
    Jobs& operator=(const Jobs&) = delete;

    ASYNC_JOB* operator[](std::size_t at) const { return names_[at]; }

    // Whether the job has paused again.
    bool resume(std::size_t at) { return resume(names_[at]); }
    bool resume(ASYNC_JOB*& name) {
        int result = 0;
        return api.start_job(&name, wait_, &result, pause_until_stop<api>, nullptr, 0) ==
               ASYNC_PAUSE;
    }

    bool is_good = true;

  private:
    ASYNC_WAIT_CTX* wait_ = api.wait_ctx_new();  // libcrypto cannot pause without one
    std::vector<ASYNC_JOB*> names_;
};

void by_wakes(State& state, std::size_t count) {
    Jobs<ours> jobs(count);
    std::vector<asyncjob_handle> handles(count);
    for (std::size_t at = 0; at < count; ++at)
        jobs.is_good = asyncjob_get_handle(jobs[at], &handles[at]) == 1 && jobs.is_good;
    pollfd ready{asyncjob_ready_fd(), POLLIN, 0};
    std::vector<ASYNC_JOB*> taken(count);
    while (jobs.is_good && state.KeepRunningBatch(static_cast<std::int64_t>(count))) {
        for (const asyncjob_handle handle : handles)
            asyncjob_wake(handle);
        jobs.is_good = poll(&ready, 1, 0) == 1 && asyncjob_take_ready(taken.data(), count) == count;
        for (ASYNC_JOB*& job : taken)
            jobs.is_good = jobs.is_good && jobs.resume(job);
    }
    if (!jobs.is_good)
        state.SkipWithError("a job was not ready, or did not pause");
}

template <const Api& api>
void by_eventfds(State& state, std::size_t count) {
    Jobs<api> jobs(count);
    std::vector<int> fds(count);
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (std::size_t at = 0; at < count; ++at) {
        fds[at] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = at;
        jobs.is_good = epoll_ctl(epoll, EPOLL_CTL_ADD, fds[at], &event) == 0 && jobs.is_good;
    }
    std::vector<epoll_event> events(count);
    while (jobs.is_good && state.KeepRunningBatch(static_cast<std::int64_t>(count))) {
        for (const int fd : fds)
            eventfd_write(fd, 1);
        const int ready = epoll_wait(epoll, events.data(), static_cast<int>(count), 0);
        jobs.is_good = ready == static_cast<int>(count);
        for (std::size_t at = 0; jobs.is_good && at < count; ++at) {
            eventfd_t value = 0;
            eventfd_read(fds[events[at].data.u64], &value);
            jobs.is_good = jobs.resume(events[at].data.u64);
        }
    }
    if (!jobs.is_good)
        state.SkipWithError("a job was not ready, or did not pause");
    for (const int fd : fds)
        close(fd);
    close(epoll);
}

}  // namespace

void add_wake_benchmarks() {
    for (const std::size_t count : {1U, 64U}) {
        const std::string name = "wake-" + std::to_string(count);
        benchmark::RegisterBenchmark((name + "/ours").c_str(), by_wakes, count);
        benchmark::RegisterBenchmark((name + "-eventfds/ours").c_str(), by_eventfds<ours>, count);
        if (stock.library.empty())
            continue;
        // libcrypto has no such call.
        benchmark::RegisterBenchmark((name + "/stock").c_str(), by_eventfds<stock>, count);
        benchmark::RegisterBenchmark((name + "-eventfds/stock").c_str(), by_eventfds<stock>, count);
    }
}
