// SPDX-License-Identifier: Apache-2.0
// Contract: lookup.hpp.
#include "lookup.hpp"

#include <sys/eventfd.h>

#include <chrono>

namespace tls {

namespace {
constexpr auto patience = std::chrono::seconds(5);
}

LookupService::LookupService(std::size_t expected) : expected_(expected) {
    waiting_.reserve(expected);
    thread_ = std::thread([this] { answer(); });
}

void LookupService::ask(int answer_fd) noexcept {
    {
        const std::lock_guard lock(mutex_);
        waiting_.push_back(answer_fd);
    }
    changed_.notify_one();
}

void LookupService::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_one();
    if (thread_.joinable())
        thread_.join();
}

void LookupService::answer() {
    std::vector<int> ready;
    ready.reserve(expected_);
    std::unique_lock lock(mutex_);
    while (!stopping_) {
        const std::size_t seen = waiting_.size();
        const bool news = changed_.wait_for(lock, patience, [&] {
            return stopping_ || waiting_.size() >= expected_ || waiting_.size() != seen;
        });
        if (stopping_ || (news && waiting_.size() < expected_))
            continue;
        ready.swap(waiting_);
        lock.unlock();
        for (const int fd : ready)
            eventfd_write(fd, 1);
        ready.clear();
        lock.lock();
    }
}

}  // namespace tls
