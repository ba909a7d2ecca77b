// SPDX-License-Identifier: Apache-2.0
// A client for the server tests and benchmarks: many full TLS handshakes, some at a time, on one
// thread, each with an HTTP request whose reply must come. It prints one line of counts.
//
// Usage: handshake_client PORT COUNT AT-A-TIME VERSION(1.2|1.3) CA-FILE [ECHO]
// A COUNT like 2.5s stands for those that can be begun in that time; "in time" are those that
// ended in it. With ECHO a line is sent in place of a request, and the reply is not looked at.
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto patience = std::chrono::seconds(200);

struct Counts {
    unsigned started = 0;
    unsigned handshakes = 0;
    unsigned replies = 0;
    std::string first_failure;
};

[[noreturn]] void die(const char* what) {
    std::perror(what);
    ERR_print_errors_fp(stderr);
    std::exit(2);
}

class Connection {
  public:
    Connection(SSL_CTX* context, const sockaddr_in& server, bool echo) : echo_(echo) {
        socket_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (socket_ < 0)
            die("socket");
        if (connect(socket_, reinterpret_cast<const sockaddr*>(&server), sizeof server) != 0 &&
            errno != EINPROGRESS)
            die("connect");
        ssl_ = SSL_new(context);
        SSL_set_fd(ssl_, socket_);
        SSL_set_tlsext_host_name(ssl_, "localhost");
        SSL_set_connect_state(ssl_);
    }
    ~Connection() {
        SSL_free(ssl_);
        close(socket_);
    }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    [[nodiscard]] int socket_fd() const { return socket_; }

    // Goes on as far as the socket allows. Whether the connection has ended.
    bool go_on(Counts& counts) {
        for (;;) {
            const int result = step();
            if (result > 0) {
                if (phase_ == Phase::handshake)
                    ++counts.handshakes;
                if (phase_ == Phase::reply) {
                    counts.replies += echo_ || reply_.rfind("HTTP/1.1 200", 0) == 0 ? 1 : 0;
                    SSL_shutdown(ssl_);
                    return true;
                }
                phase_ = phase_ == Phase::handshake ? Phase::request : Phase::reply;
                continue;
            }
            const int error = SSL_get_error(ssl_, result);
            if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
                return false;
            if (counts.first_failure.empty())
                counts.first_failure = describe(error);
            return true;
        }
    }

  private:
    enum class Phase { handshake, request, reply };

    int step() {
        static const std::string request =
            "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        static const std::string line = "hello\n";
        switch (phase_) {
            case Phase::handshake:
                return SSL_do_handshake(ssl_);
            case Phase::request: {
                const std::string& text = echo_ ? line : request;
                return SSL_write(ssl_, text.data(), static_cast<int>(text.size()));
            }
            case Phase::reply:
                break;
        }
        if (echo_)
            return 1;
        char buffer[4096];
        const int got = SSL_read(ssl_, buffer, sizeof buffer);
        if (got > 0)
            reply_.assign(buffer, static_cast<std::size_t>(got));
        return got;
    }

    [[nodiscard]] std::string describe(int error) const {
        static const char* const phases[] = {"handshake", "request", "reply"};
        char reason[256] = "";
        if (const unsigned long code = ERR_get_error(); code != 0)
            ERR_error_string_n(code, reason, sizeof reason);
        const int verified = static_cast<int>(SSL_get_verify_result(ssl_));
        return std::string(phases[static_cast<int>(phase_)]) + ": SSL error " +
               std::to_string(error) + ", " + reason + ", errno " + std::strerror(errno) +
               ", verification " + X509_verify_cert_error_string(verified);
    }

    const bool echo_;
    int socket_;
    SSL* ssl_;
    Phase phase_ = Phase::handshake;
    std::string reply_;
};

SSL_CTX* make_context(const std::string& version, const char* ca_file) {
    SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
    const int protocol = version == "1.2" ? TLS1_2_VERSION : TLS1_3_VERSION;
    if (context == nullptr || SSL_CTX_set_min_proto_version(context, protocol) != 1 ||
        SSL_CTX_set_max_proto_version(context, protocol) != 1 ||
        SSL_CTX_load_verify_locations(context, ca_file, nullptr) != 1)
        die("context");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
    return context;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 6) {
        std::fprintf(stderr, "usage: %s PORT COUNT AT-A-TIME 1.2|1.3 CA-FILE [ECHO]\n", argv[0]);
        return 2;
    }
    sockaddr_in server{};
    server.sin_family = AF_INET;
    server.sin_port = htons(static_cast<std::uint16_t>(std::atoi(argv[1])));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const bool timed = std::strchr(argv[2], 's') != nullptr;
    const auto count = static_cast<unsigned>(std::atoi(argv[2]));
    const std::chrono::duration<double> time =
        timed ? std::chrono::duration<double>(std::atof(argv[2])) : patience;
    const auto at_a_time = static_cast<std::size_t>(std::atoi(argv[3]));
    SSL_CTX* const context = make_context(argv[4], argv[5]);
    const bool echo = argc > 6;

    const int epoll = epoll_create1(0);
    if (epoll < 0)
        die("epoll_create1");
    const auto begin = Clock::now();
    Counts counts;
    std::vector<std::unique_ptr<Connection>> live;
    unsigned in_time = 0;
    const auto more_to_start = [&] {
        return timed ? Clock::now() - begin < time : counts.started < count;
    };
    while ((!live.empty() || more_to_start()) && Clock::now() - begin < patience) {
        while (live.size() < at_a_time && more_to_start()) {
            auto& made = live.emplace_back(std::make_unique<Connection>(context, server, echo));
            epoll_event interest{};
            interest.events = EPOLLIN | EPOLLOUT | EPOLLET;
            interest.data.ptr = made.get();
            if (epoll_ctl(epoll, EPOLL_CTL_ADD, made->socket_fd(), &interest) != 0)
                die("epoll_ctl");
            ++counts.started;
        }
        epoll_event events[64];
        const int ready = epoll_wait(epoll, events, 64, 1000);
        for (int at = 0; at < ready; ++at) {
            auto* const connection = static_cast<Connection*>(events[at].data.ptr);
            if (!connection->go_on(counts))
                continue;
            if (Clock::now() - begin < time)
                in_time = counts.replies;
            live.erase(std::find_if(live.begin(), live.end(), [connection](const auto& one) {
                return one.get() == connection;
            }));
        }
    }
    const std::chrono::duration<double> seconds = Clock::now() - begin;
    std::printf("started %u handshakes %u replies %u seconds %.3f in time %u failure %s\n",
                counts.started, counts.handshakes, counts.replies, seconds.count(), in_time,
                counts.first_failure.empty() ? "none" : counts.first_failure.c_str());
    SSL_CTX_free(context);
    const unsigned expected = timed ? counts.started : count;
    return counts.handshakes == expected && counts.replies == expected ? 0 : 1;
}
