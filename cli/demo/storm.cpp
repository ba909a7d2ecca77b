// SPDX-License-Identifier: Apache-2.0
// Contract: storm.hpp.
#include "storm.hpp"

#include <openssl/err.h>
#include <pthread.h>

#include <cerrno>
#include <exception>
#include <thread>

namespace asyncjob::demo {

namespace {

constexpr std::chrono::seconds patience{5};
// A server that is gone fails all of them; each says so once or twice, and stops.
constexpr std::size_t most_failures = 3;

}  // namespace

class Storm::Client {
  public:
    Client(SSL_CTX* context, std::uint16_t port, Clock::time_point begin, Clock::time_point end)
        : context_(context), port_(port), begin_(begin), end_(end), thread_([this] { run(); }) {}

    StormReport& join() {
        if (thread_.joinable())
            thread_.join();
        return report_;
    }

  private:
    void run() {
        pthread_setname_np(pthread_self(), "storm");
        while (Clock::now() < end_ && report_.failed < most_failures) {
            const Clock::time_point start = Clock::now();
            const std::string failure = handshake();
            const Clock::time_point now = Clock::now();
            if (!failure.empty()) {
                ++report_.failed;
                if (report_.first_failure.empty())
                    report_.first_failure = failure;
            } else if (now >= begin_ && now < end_) {
                report_.handshakes.push_back(Milliseconds(now - start).count());
            }
        }
    }

    // Why it failed; empty if it did not.
    std::string handshake() try {
        const Fd socket = connect_to_loopback(port_, patience);
        const SslPtr ssl(SSL_new(context_));
        ERR_clear_error();
        if (ssl == nullptr || SSL_set_fd(ssl.get(), socket.get()) != 1 ||
            SSL_set1_host(ssl.get(), "localhost") != 1)
            return describe_failure("a client");
        errno = 0;
        int result = SSL_connect(ssl.get());
        if (result != 1)
            return describe_failure("a client's handshake", ssl.get(), result);
        // The reply says that the server, too, takes the handshake for done.
        char reply = 0;
        result = SSL_read(ssl.get(), &reply, 1);
        return result == 1 ? "" : describe_failure("a client's read", ssl.get(), result);
    } catch (const std::exception& error) {
        return std::string("a client: ") + error.what();
    }

    SSL_CTX* const context_;
    const std::uint16_t port_;
    const Clock::time_point begin_;
    const Clock::time_point end_;
    StormReport report_;
    std::thread thread_;  // last: it uses the others
};

Storm::Storm(SSL_CTX* context, std::uint16_t port, unsigned concurrent, Clock::time_point begin,
             Clock::time_point end) {
    clients_.reserve(concurrent);
    for (unsigned i = 0; i < concurrent; ++i)
        clients_.push_back(std::make_unique<Client>(context, port, begin, end));
}

Storm::~Storm() {
    join();
}

StormReport Storm::join() {
    StormReport all;
    for (const auto& client : clients_) {
        const StormReport& one = client->join();
        all.handshakes.insert(all.handshakes.end(), one.handshakes.begin(), one.handshakes.end());
        all.failed += one.failed;
        if (all.first_failure.empty())
            all.first_failure = one.first_failure;
    }
    return all;
}

}  // namespace asyncjob::demo
