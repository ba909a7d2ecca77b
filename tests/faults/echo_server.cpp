// SPDX-License-Identifier: Apache-2.0
// A TLS server for limits_test.py, on one thread with epoll and SSL_MODE_ASYNC, which echoes. It is
// written as servers are that must go on: what cannot be had for a connection costs that one.
//
// Usage: echo_server CERTIFICATE KEY. It prints its port, serves until SIGTERM, and prints how
// many connections there were, how often their jobs paused, and for how many something could not
// be had.
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

volatile std::sig_atomic_t ended = 0;
int epoll = -1;
int listener = -1;
unsigned long connections = 0;
unsigned long pauses = 0;
unsigned long without_room = 0;  // connections that had to wait, or were dropped

constexpr std::size_t buffer_size = 16384;

struct Connection {
    SSL* ssl;
    int socket;
    int wait_fd;  // -1: the job does not wait
    bool accepted;
    std::size_t have;  // bytes that are to be echoed
    unsigned char buffer[buffer_size];
};

// A place for each fd that there may be; both fds of a connection lead to it.
Connection* by_fd[4096];

bool watch(int fd, Connection* connection, unsigned events) {
    if (fd < 0 || fd >= static_cast<int>(sizeof by_fd / sizeof by_fd[0]))
        return false;
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return false;
    by_fd[fd] = connection;
    return true;
}

void forget(int fd) {
    epoll_ctl(epoll, EPOLL_CTL_DEL, fd, nullptr);
    by_fd[fd] = nullptr;
}

void end(Connection* connection) {
    if (connection->wait_fd >= 0)
        forget(connection->wait_fd);
    SSL_free(connection->ssl);
    if (by_fd[connection->socket] == connection)
        forget(connection->socket);
    close(connection->socket);
    std::free(connection);
}

// One call of libssl's.
int step(Connection& connection) {
    if (!connection.accepted)
        return SSL_accept(connection.ssl);
    if (connection.have > 0)
        return SSL_write(connection.ssl, connection.buffer, static_cast<int>(connection.have));
    return SSL_read(connection.ssl, connection.buffer, buffer_size);
}

// The fd that the job waits for stays where it is until the connection ends.
bool follow_wait_fd(Connection& connection) {
    std::size_t count = 0;
    int fds[4];
    if (SSL_get_all_async_fds(connection.ssl, nullptr, &count) != 1 || count == 0 || count > 4)
        return false;
    SSL_get_all_async_fds(connection.ssl, fds, &count);
    if (connection.wait_fd == fds[0])
        return true;
    if (!watch(fds[0], &connection, EPOLLIN))
        return false;
    connection.wait_fd = fds[0];
    return true;
}

void drive(Connection* connection) {
    for (;;) {
        ERR_clear_error();
        const int result = step(*connection);
        switch (SSL_get_error(connection->ssl, result)) {
            case SSL_ERROR_NONE:
                if (!connection->accepted)
                    connection->accepted = true;
                else
                    connection->have = connection->have > 0 ? 0 : static_cast<std::size_t>(result);
                continue;
            case SSL_ERROR_WANT_READ:
            case SSL_ERROR_WANT_WRITE:
                return;
            case SSL_ERROR_WANT_ASYNC:
                ++pauses;
                if (follow_wait_fd(*connection))
                    return;
                continue;  // nobody will tell: ask again
            case SSL_ERROR_ZERO_RETURN:
                return end(connection);
            default:
                without_room += connection->accepted ? 0 : 1;
                return end(connection);
        }
    }
}

// Without room for another connection the listener is left alone until there may be.
void accept_all(SSL_CTX* context) {
    for (;;) {
        const int socket = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (socket < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                ++without_room;
                usleep(1000);
            }
            return;
        }
        ++connections;
        auto* const connection = static_cast<Connection*>(std::calloc(1, sizeof(Connection)));
        SSL* const ssl = connection != nullptr ? SSL_new(context) : nullptr;
        if (ssl == nullptr || SSL_set_fd(ssl, socket) != 1) {
            ++without_room;
            SSL_free(ssl);
            std::free(connection);
            close(socket);
            continue;
        }
        connection->ssl = ssl;
        connection->socket = socket;
        connection->wait_fd = -1;
        if (!watch(socket, connection, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) {
            end(connection);
            continue;
        }
        drive(connection);
    }
}

int fail(const char* what) {
    std::fprintf(stderr, "echo_server: %s: %s\n", what, std::strerror(errno));
    ERR_print_errors_fp(stderr);
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3)
        return fail("usage: echo_server CERTIFICATE KEY");
    struct sigaction action {};
    action.sa_handler = [](int) { ended = 1; };
    sigaction(SIGTERM, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);

    SSL_CTX* const context = SSL_CTX_new(TLS_server_method());
    if (context == nullptr || SSL_CTX_use_certificate_chain_file(context, argv[1]) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, argv[2], SSL_FILETYPE_PEM) != 1)
        return fail("certificate and key");
    SSL_CTX_set_mode(context, SSL_MODE_ASYNC | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);

    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        listen(listener, SOMAXCONN) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
        !watch(listener, nullptr, EPOLLIN))
        return fail("listen");
    std::printf("port %d\n", ntohs(address.sin_port));
    std::fflush(stdout);

    while (ended == 0) {
        epoll_event events[64];
        const int count = epoll_wait(epoll, events, 64, 1000);
        for (int at = 0; at < count; ++at) {
            const int fd = events[at].data.fd;
            if (fd == listener) {
                accept_all(context);
                continue;
            }
            // Ended by an earlier event, or paused, and it is not its wait fd.
            Connection* const connection = by_fd[fd];
            if (connection == nullptr ||
                (SSL_waiting_for_async(connection->ssl) == 1 && fd != connection->wait_fd))
                continue;
            if (SSL_waiting_for_async(connection->ssl) == 0 && fd == connection->wait_fd)
                continue;
            drive(connection);
        }
    }
    std::printf("connections %lu pauses %lu without room %lu\n", connections, pauses, without_room);
    return 0;
}
