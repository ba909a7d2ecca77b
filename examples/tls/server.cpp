// SPDX-License-Identifier: Apache-2.0
// Contract: server.hpp.
//
// A socket is watched for edges, so that a peer that sends or closes while its job is paused
// wakes nobody; a wait fd is watched for its level and read by the job that it resumes.
#include "server.hpp"

#include <netinet/in.h>
#include <openssl/err.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "connection.hpp"

namespace tls {

namespace {

// What an epoll event is about: one of these two; or a connection's socket or wait fd.
enum Source : std::uint64_t { listener_source, gone_source, first_connection };

std::uint64_t source_of(std::size_t connection, bool wait_fd) {
    return first_connection + 2 * connection + (wait_fd ? 1 : 0);
}

void watch(int epoll, int fd, std::uint32_t events, std::uint64_t source) {
    epoll_event event{.events = events, .data = {.u64 = source}};
    check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

Fd listen_on_loopback(std::uint16_t& port) {
    Fd listener(check(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    check(bind(listener.get(), any, size), "bind");
    check(listen(listener.get(), SOMAXCONN), "listen");
    check(getsockname(listener.get(), any, &size), "getsockname");
    port = ntohs(address.sin_port);
    return listener;
}

}  // namespace

Server::Server(const Settings& settings, const Identity& identity)
    : settings_(settings),
      lookups_(settings.connections),
      context_(make_server_context(identity)),
      listener_(listen_on_loopback(port_)),
      gone_(check(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")),
      epoll_(check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
    Connection::pause_in(settings.callback, context_.get());
    connections_.reserve(settings.connections);
    watch(epoll_.get(), listener_.get(), EPOLLIN, listener_source);
    watch(epoll_.get(), gone_.get(), EPOLLIN, gone_source);
}

Server::~Server() {
    give_up();
}

void Server::clients_gone() {
    eventfd_write(gone_.get(), 1);
}

ServerReport Server::run() {
    Clock::time_point first;
    bool gone = false;
    while (!gone || live_ > 0) {
        std::array<epoll_event, 64> events;
        const int count = epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                     milliseconds_until(settings_.deadline));
        if (count < 0 && errno != EINTR)
            check(count, "epoll_wait");
        if (Clock::now() >= settings_.deadline) {
            report_.timed_out = true;
            break;
        }
        for (int i = 0; i < count; ++i) {
            const std::uint64_t source = events[i].data.u64;
            if (source < first_connection) {
                if (report_.accepted == 0)
                    first = Clock::now();
                accept_all();
                if (source == gone_source) {
                    gone = true;  // and all that came have been accepted
                    eventfd_t value = 0;
                    eventfd_read(gone_.get(), &value);
                }
                continue;
            }
            const bool wait_fd = (source - first_connection) % 2 == 1;
            Connection* const connection = connections_[(source - first_connection) / 2].get();
            if (connection != nullptr && connection->paused == wait_fd)
                drive(*connection);
        }
    }
    report_.seconds = std::chrono::duration<double>(Clock::now() - first).count();
    give_up();
    return report_;
}

void Server::accept_all() {
    for (;;) {
        Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (socket.get() < 0) {
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            if (errno == EAGAIN)
                return;
            check(-1, "accept");
        }
        const std::size_t id = connections_.size();
        const int fd = socket.get();
        connections_.push_back(std::make_unique<Connection>(id, context_.get(), std::move(socket),
                                                            lookups_, settings_.pauses));
        ++live_;
        ++report_.accepted;
        watch(epoll_.get(), fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, source_of(id, false));
        drive(*connections_.back());
    }
}

// One SSL call; above 0 if it did its work.
int Server::step(Connection& connection) {
    SSL* const ssl = connection.ssl();
    std::string& text = connection.text;
    switch (connection.phase) {
        case Connection::Phase::handshake:
            return SSL_accept(ssl);
        case Connection::Phase::reply:
            return SSL_write(ssl, text.data(), static_cast<int>(text.size()));
        case Connection::Phase::request:
        case Connection::Phase::end:
            break;
    }
    std::array<char, message_size> bytes;
    const int size = SSL_read(ssl, bytes.data(), static_cast<int>(message_size - text.size()));
    if (size > 0)
        text.append(bytes.data(), static_cast<std::size_t>(size));
    return size;
}

// Goes on with a connection until it has to wait.
void Server::drive(Connection& connection) {
    for (;;) {
        if (connection.paused) {
            connection.paused = false;
            --paused_;
            ++report_.resumes;
        }
        ERR_clear_error();
        errno = 0;
        const int result = step(connection);
        const int error = SSL_get_error(connection.ssl(), result);
        follow_wait_fds(connection);
        if (error == SSL_ERROR_WANT_ASYNC) {
            connection.paused = true;
            ++connection.pauses;
            ++report_.pauses;
            report_.peak_paused = std::max(report_.peak_paused, ++paused_);
            return;
        }
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
            return;
        if (error == SSL_ERROR_ZERO_RETURN && connection.phase == Connection::Phase::end)
            return end(connection, "");
        if (error != SSL_ERROR_NONE)
            return end(connection, describe_failure("server", error));
        advance(connection);
    }
}

// What follows when an SSL call has done its work.
void Server::advance(Connection& connection) {
    switch (connection.phase) {
        case Connection::Phase::handshake:
            ++(SSL_version(connection.ssl()) == TLS1_2_VERSION ? report_.tls12 : report_.tls13);
            if (connection.pauses != settings_.pauses)
                ++report_.miscounted;
            connection.phase = Connection::Phase::request;
            break;
        case Connection::Phase::request:
            if (connection.text.size() < message_size)
                break;
            connection.text = reply_to(connection.text);
            connection.phase = Connection::Phase::reply;
            break;
        case Connection::Phase::reply:
            connection.text.clear();
            connection.phase = Connection::Phase::end;
            break;
        case Connection::Phase::end:  // more than a request; the client's check will tell
            connection.text.clear();
            break;
    }
}

// Polls what the connection's wait context holds, no more and no less.
void Server::follow_wait_fds(Connection& connection) {
    std::size_t added = 0;
    std::size_t deleted = 0;
    if (SSL_get_changed_async_fds(connection.ssl(), nullptr, &added, nullptr, &deleted) != 1 ||
        added + deleted == 0)
        return;
    std::vector<int> add(added);
    std::vector<int> del(deleted);
    SSL_get_changed_async_fds(connection.ssl(), add.data(), &added, del.data(), &deleted);
    // A change is listed until a paused job is resumed, maybe more than once.
    for (const int fd : del) {
        if (std::erase(connection.polled, fd) > 0)
            check(epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr), "epoll_ctl");
    }
    for (const int fd : add) {
        if (std::find(connection.polled.begin(), connection.polled.end(), fd) !=
            connection.polled.end())
            continue;
        watch(epoll_.get(), fd, EPOLLIN, source_of(connection.id, true));
        connection.polled.push_back(fd);
    }
}

// Frees a connection, which has no paused job; failure is empty after a clean end.
void Server::end(Connection& connection, const std::string& failure) {
    if (failure.empty())
        ++report_.served;
    else if (report_.first_failure.empty())
        report_.first_failure = failure;
    --live_;
    connections_[connection.id].reset();
}

// Ends what is still going on. A paused job has frames on its stack that own things, so it is
// not freed but resumed: it finds no answer, and its handshake fails.
void Server::give_up() {
    lookups_.stop();
    for (const auto& connection : connections_) {
        if (connection == nullptr)
            continue;
        while (SSL_waiting_for_async(connection->ssl()) == 1)
            SSL_accept(connection->ssl());
    }
    connections_.clear();
    live_ = 0;
    ERR_clear_error();
}

}  // namespace tls
