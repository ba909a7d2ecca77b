// SPDX-License-Identifier: Apache-2.0
// What the tests of wakes and deadlines share: jobs with handles, the loop's side of them, and a
// look at what is behind asyncjob_ready_fd().
#pragma once

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <memory>
#include <vector>

#include "support.hpp"

namespace test {

inline asyncjob_handle handle_of(ASYNC_JOB* job) {
    asyncjob_handle handle{};
    EXPECT_EQ(asyncjob_get_handle(job, &handle), 1);
    return handle;
}

// All that are ready, of up to `max` a call.
inline std::vector<ASYNC_JOB*> take_ready(std::size_t max = 64) {
    std::vector<ASYNC_JOB*> jobs(max);
    jobs.resize(asyncjob_take_ready(jobs.data(), max));
    return jobs;
}

// Whether the thread's fd is readable, or becomes so.
inline bool is_readable(int fd, int milliseconds = 0) {
    pollfd polled{fd, POLLIN, 0};
    int count = 0;
    do
        count = poll(&polled, 1, milliseconds);
    while (count < 0 && errno == EINTR);
    EXPECT_EQ(polled.revents & ~POLLIN, 0);
    return count == 1;
}

inline constexpr int long_enough = 60'000;  // milliseconds; only a failure waits for so long

// Jobs that pause with asyncjob_pause(), and note what it meant, until they are told to stop.
class WaitingJobs {
  public:
    explicit WaitingJobs(std::size_t count) : meanings(count) {
        for (std::size_t i = 0; i < count; ++i) {
            jobs_.push_back(std::make_unique<TestJob>([this, i] {
                while (!stop_)
                    meanings[i].push_back(asyncjob_pause());
            }));
            EXPECT_EQ(jobs_.back()->go(), ASYNC_PAUSE);
            handles.push_back(handle_of((*this)[i]));
        }
    }
    ~WaitingJobs() {
        stop_ = true;
        for (const auto& job : jobs_) {
            if (job->handle != nullptr) {
                EXPECT_EQ(job->go(), ASYNC_FINISH);
            }
        }
        EXPECT_TRUE(take_ready().empty());
    }
    WaitingJobs(const WaitingJobs&) = delete;
    WaitingJobs& operator=(const WaitingJobs&) = delete;

    ASYNC_JOB* operator[](std::size_t at) const { return jobs_[at]->handle; }
    int go(std::size_t at) { return jobs_[at]->go(); }
    int finish(std::size_t at) {
        stop_ = true;
        const int status = go(at);
        stop_ = false;
        return status;
    }
    void wake(std::size_t at) const { EXPECT_EQ(asyncjob_wake(handles[at]), 1); }

    std::vector<asyncjob_handle> handles;
    std::vector<std::vector<int>> meanings;

  private:
    bool stop_ = false;
    std::vector<std::unique_ptr<TestJob>> jobs_;
};

// What Linux tells of the fds of the process, in /proc/self/fdinfo.
class FdInfo {
  public:
    // Of the fd of this kind ("eventfd", "timerfd") that the epoll fd `ready` watches.
    FdInfo(int ready, const std::string& kind) {
        std::ifstream watched(path(ready));
        for (std::string word; watched >> word;) {
            int fd = -1;
            if (word == "tfd:" && watched >> fd && link(fd) == "anon_inode:[" + kind + "]")
                fd_ = fd;
        }
        EXPECT_GE(fd_, 0) << "no " << kind << " behind fd " << ready;
    }
    [[nodiscard]] int fd() const { return fd_; }

    // How often an eventfd was written to since it was last read.
    [[nodiscard]] long event_count() const {
        std::ifstream info(path(fd_));
        for (std::string word; info >> word;) {
            long count = -1;
            if (word == "eventfd-count:" && info >> std::hex >> count)
                return count;
        }
        return -1;
    }

  private:
    static std::string path(int fd) { return "/proc/self/fdinfo/" + std::to_string(fd); }
    static std::string link(int fd) {
        std::string target(64, '\0');
        const ssize_t size =
            readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target.data(), target.size());
        target.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
        return target;
    }

    int fd_ = -1;
};

}  // namespace test
