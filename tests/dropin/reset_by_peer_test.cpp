// SPDX-License-Identifier: Apache-2.0
// errno through libssl's jobs, as a server sees it whose peer resets the connection. Built
// against this library and, as its oracle, against libcrypto's own jobs.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <openssl/async.h>
#include <openssl/err.h>
#include <sys/socket.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "tls/certificate.hpp"
#include "tls/support.hpp"

namespace {

// Two connected TCP sockets on loopback; the first is the server's.
std::pair<tls::Fd, tls::Fd> connected_sockets() {
    tls::Fd listener(tls::check(socket(AF_INET, SOCK_STREAM, 0), "socket"));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const any = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    tls::check(bind(listener.get(), any, size), "bind");
    tls::check(listen(listener.get(), 1), "listen");
    tls::check(getsockname(listener.get(), any, &size), "getsockname");
    tls::Fd client(tls::check(socket(AF_INET, SOCK_STREAM, 0), "socket"));
    tls::check(connect(client.get(), any, size), "connect");
    return {tls::Fd(tls::check(accept(listener.get(), nullptr, nullptr), "accept")),
            std::move(client)};
}

int reads_in_a_job;

long note_reads(BIO* /*bio*/, int operation, const char* /*data*/, std::size_t /*size*/,
                int /*argument*/, long /*number*/, int result, std::size_t* /*processed*/) {
    if (operation == BIO_CB_READ && ASYNC_get_current_job() != nullptr)
        ++reads_in_a_job;
    return result;
}

// S16: the errno with which a job ends is what its starter sees.
TEST(ResetByPeer, SslReadGivesItsErrnoThroughTheJob) {
    const tls::Identity identity = tls::make_identity();
    const tls::SslCtxPtr server_context = tls::make_server_context(identity);
    const tls::SslCtxPtr client_context = tls::make_client_context(identity);
    auto [server_socket, client_socket] = connected_sockets();
    const tls::SslPtr server(SSL_new(server_context.get()));
    tls::SslPtr client(SSL_new(client_context.get()));
    ASSERT_EQ(SSL_set_fd(server.get(), server_socket.get()), 1);
    ASSERT_EQ(SSL_set_fd(client.get(), client_socket.get()), 1);
    SSL_set_mode(server.get(), SSL_MODE_ASYNC);
    BIO_set_callback_ex(SSL_get_rbio(server.get()), note_reads);
    std::thread client_thread([&client] { EXPECT_EQ(SSL_connect(client.get()), 1); });
    EXPECT_EQ(SSL_accept(server.get()), 1);
    client_thread.join();

    const linger reset_on_close{.l_onoff = 1, .l_linger = 0};
    ASSERT_EQ(setsockopt(client_socket.get(), SOL_SOCKET, SO_LINGER, &reset_on_close,
                         sizeof reset_on_close),
              0);
    client_socket = tls::Fd();

    reads_in_a_job = 0;
    char byte = 0;
    errno = 0;
    const int result = SSL_read(server.get(), &byte, 1);
    const int error_number = errno;
    EXPECT_EQ(SSL_get_error(server.get(), result), SSL_ERROR_SYSCALL);
    EXPECT_EQ(error_number, ECONNRESET);
    EXPECT_GT(reads_in_a_job, 0);
    ERR_clear_error();
}

}  // namespace
