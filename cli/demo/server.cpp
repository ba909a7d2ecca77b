// SPDX-License-Identifier: Apache-2.0
// Contract: server.hpp.
//
// Sockets of TLS connections are watched for edges, so that a client that sends or closes
// while its job is paused wakes nobody. A worker may be done before the job has paused, so
// on_ready() may come for a connection that goes on without it, and that ends first.
#include "server.hpp"

#include <openssl/async.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <stdexcept>

#include "plain.hpp"

namespace asyncjob::demo {

namespace {

// What an epoll event is about: one of these, or a connection by its lane.
enum Source : std::uint64_t { tls_listener, plain_listener, plain_connection, wake_up, first_lane };

}  // namespace

struct Server::Connection {
    Server& server;
    const unsigned lane;
    const Clock::time_point accepted = Clock::now();
    bool paused = false;
    Clock::time_point paused_at;
    Fd socket;
    SslPtr ssl;
};

Server::Server(SSL_CTX* context, bool with_jobs, Clock::time_point begin, Window window)
    : context_(context),
      with_jobs_(with_jobs),
      begin_(begin),
      window_(window),
      tls_(listen_on_loopback()),
      plain_(listen_on_loopback()),
      epoll_(check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wake_(check(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")) {
    watch(tls_.socket.get(), EPOLLIN, tls_listener);
    watch(plain_.socket.get(), EPOLLIN, plain_listener);
    watch(wake_.get(), EPOLLIN, wake_up);
}

// After a failure there may be paused jobs; a worker still has them and will call on_ready(),
// so what it touches is left behind.
Server::~Server() {
    for (auto& connection : lanes_) {
        if (connection != nullptr && connection->paused)
            (void)connection.release();
    }
}

void Server::watch(int fd, std::uint32_t events, std::uint64_t source) {
    epoll_event event{.events = events, .data = {.u64 = source}};
    check(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void Server::stop() {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    eventfd_write(wake_.get(), 1);
}

// On a worker: the connection's job can go on.
int Server::on_ready(SSL* /*ssl*/, void* connection) {
    auto* const ready = static_cast<Connection*>(connection);
    Server& server = ready->server;
    const std::lock_guard lock(server.mutex_);
    server.ready_.push_back(ready);
    return eventfd_write(server.wake_.get(), 1) == 0 ? 1 : 0;
}

ServerReport Server::run(Clock::time_point deadline) {
    for (;;) {
        {
            const std::lock_guard lock(mutex_);
            if (stopping_ && live_ == 0)
                break;
        }
        const auto left =
            std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
        if (left <= 0)
            throw std::runtime_error("the server did not come to an end in time, with " +
                                     std::to_string(live_) + " connections open and " +
                                     std::to_string(paused_) + " jobs paused");
        std::array<epoll_event, 64> events;
        const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                     static_cast<int>(left));
        if (count < 0 && errno != EINTR)
            check(count, "epoll_wait");
        for (int i = 0; i < count; ++i)
            handle(events[i].data.u64);
    }
    return std::move(report_);
}

void Server::handle(std::uint64_t source) {
    switch (source) {
        case tls_listener:
            return accept_tls();
        case plain_listener:
            return accept_plain();
        case plain_connection:
            return answer_plain();
        case wake_up:
            return resume_ready();
        default:
            break;
    }
    Connection* const connection = lanes_[source - first_lane].get();
    if (connection != nullptr && !connection->paused)
        drive(*connection);
}

void Server::accept_tls() {
    for (;;) {
        Fd socket(accept4(tls_.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (socket.get() < 0)
            return;
        const auto free = std::find(lanes_.begin(), lanes_.end(), nullptr);
        const auto lane = static_cast<unsigned>(free - lanes_.begin());
        if (free == lanes_.end())
            lanes_.emplace_back();
        lanes_[lane].reset(new Connection{.server = *this,
                                          .lane = lane,
                                          .paused_at = {},
                                          .socket = std::move(socket),
                                          .ssl = SslPtr(SSL_new(context_))});
        Connection& connection = *lanes_[lane];
        SSL* const ssl = connection.ssl.get();
        if (ssl == nullptr || SSL_set_fd(ssl, connection.socket.get()) != 1)
            throw std::runtime_error(describe_failure("the server"));
        if (with_jobs_) {
            SSL_set_mode(ssl, SSL_MODE_ASYNC);
            SSL_set_async_callback(ssl, on_ready);
            SSL_set_async_callback_arg(ssl, &connection);
        }
        SSL_set_accept_state(ssl);
        ++live_;
        watch(connection.socket.get(), EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
              first_lane + lane);
    }
}

void Server::accept_plain() {
    plain_connection_ =
        Fd(check(accept4(plain_.socket.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC),
                 "accepting the connection of plain requests"));
    watch(plain_connection_.get(), EPOLLIN, plain_connection);
}

void Server::answer_plain() {
    std::array<char, 64 * plain_size> bytes;
    const ssize_t size = read(plain_connection_.get(), bytes.data(), bytes.size());
    if (size <= 0) {
        if (size == 0 || errno == ECONNRESET)
            plain_connection_ = Fd();
        return;
    }
    if (send(plain_connection_.get(), bytes.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) !=
        size)
        throw std::runtime_error("plain requests: the client takes no more answers");
}

void Server::resume_ready() {
    eventfd_t count = 0;
    eventfd_read(wake_.get(), &count);
    // Those that were ready by now: more may come while these are served.
    for (std::size_t left = ready_count(); left > 0; --left) {
        if (Connection* const connection = take_ready(); connection != nullptr)
            drive(*connection);
    }
}

std::size_t Server::ready_count() {
    const std::lock_guard lock(mutex_);
    return ready_.size();
}

Server::Connection* Server::take_ready() {
    const std::lock_guard lock(mutex_);
    if (ready_.empty())
        return nullptr;
    Connection* const first = ready_.front();
    ready_.pop_front();
    return first;
}

// Goes on with a handshake until it has to wait; after it, replies and closes.
void Server::drive(Connection& connection) {
    SSL* const ssl = connection.ssl.get();
    const Clock::time_point start = Clock::now();
    if (connection.paused) {
        record(connection.lane, Activity::paused, connection.paused_at, start);
        connection.paused = false;
        --paused_;
    }
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(ssl);
    int error = SSL_get_error(ssl, result);
    if (result == 1) {
        // A session's first bytes: they always fit the empty buffer of a new socket.
        result = SSL_write(ssl, "\n", 1);
        error = SSL_get_error(ssl, result);
        SSL_shutdown(ssl);
    }
    const Clock::time_point now = Clock::now();
    record(connection.lane, Activity::running, start, now);
    if (error == SSL_ERROR_WANT_ASYNC) {
        connection.paused = true;
        connection.paused_at = now;
        ++report_.pauses;
        report_.peak_paused = std::max(report_.peak_paused, ++paused_);
        return;
    }
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return;
    end(connection, result == 1 ? "" : describe_failure("the server", ssl, result));
}

void Server::end(Connection& connection, const std::string& failure) {
    if (!failure.empty()) {
        ++report_.failed;
        if (report_.first_failure.empty())
            report_.first_failure = failure;
    }
    record(connection.lane, Activity::open, connection.accepted, Clock::now());
    --live_;
    {
        const std::lock_guard lock(mutex_);
        std::erase(ready_, &connection);
    }
    lanes_[connection.lane].reset();
}

void Server::record(unsigned lane, Activity activity, Clock::time_point begin,
                    Clock::time_point end) {
    const double from = std::max(Milliseconds(begin - begin_).count(), window_.begin);
    const double to = std::min(Milliseconds(end - begin_).count(), window_.end);
    if (from < to)
        report_.spans.push_back({.lane = lane, .activity = activity, .begin = from, .end = to});
}

}  // namespace asyncjob::demo
