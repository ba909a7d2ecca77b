// SPDX-License-Identifier: Apache-2.0
// The slow lookup that each handshake waits for: it stands for a database, a key server, a
// card. Answers come from a thread of their own and in bulk: once `expected` lookups are
// waiting, so that as many jobs are paused at the same time; or, lest a lost connection
// block the others, when no lookup has been asked for a while.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>
#include <vector>

namespace tls {

class LookupService {
  public:
    explicit LookupService(std::size_t expected);
    ~LookupService() { stop(); }

    // Writes to the eventfd once the answer is there. The caller keeps it open until then or
    // until stop(). Any thread.
    void ask(int answer_fd) noexcept;

    // Ends the thread; what has not been answered stays so.
    void stop();

  private:
    void answer();

    const std::size_t expected_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<int> waiting_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace tls
