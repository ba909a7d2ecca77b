// SPDX-License-Identifier: Apache-2.0
// Contract: connection.hpp.
#include "connection.hpp"

#include <openssl/async.h>
#include <sys/eventfd.h>

#include <stdexcept>

namespace tls {

Connection::Connection(std::size_t number, SSL_CTX* context, Fd socket, LookupService& lookups,
                       unsigned lookup_count)
    : id(number),
      lookups_(lookups),
      lookup_count_(lookup_count),
      answer_(check(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "eventfd")),
      socket_(std::move(socket)),
      ssl_(SSL_new(context)) {
    if (ssl_ == nullptr || SSL_set_fd(ssl_.get(), socket_.get()) != 1 ||
        SSL_set_app_data(ssl_.get(), this) != 1)
        throw std::runtime_error(describe_failure("SSL_new", SSL_ERROR_SSL));
    SSL_set_mode(ssl_.get(), SSL_MODE_ASYNC);
}

void Connection::pause_in(Callback callback, SSL_CTX* context) {
    if (callback == Callback::client_hello)
        SSL_CTX_set_client_hello_cb(context, on_client_hello, nullptr);
    else
        SSL_CTX_set_cert_cb(context, on_certificate, nullptr);
}

int Connection::on_client_hello(SSL* ssl, int* alert, void* /*arg*/) {
    if (static_cast<Connection*>(SSL_get_app_data(ssl))->look_up())
        return SSL_CLIENT_HELLO_SUCCESS;
    *alert = SSL_AD_INTERNAL_ERROR;
    return SSL_CLIENT_HELLO_ERROR;
}

int Connection::on_certificate(SSL* ssl, void* /*arg*/) {
    return static_cast<Connection*>(SSL_get_app_data(ssl))->look_up() ? 1 : 0;
}

// Asks, pauses libssl's job until there is an answer, and goes on: what an engine does that
// waits for its card. False if there is no answer, which is how the server ends a job.
bool Connection::look_up() noexcept {
    if (looked_up_)
        return true;
    ASYNC_WAIT_CTX* const wait = ASYNC_get_wait_ctx(ASYNC_get_current_job());
    if (ASYNC_WAIT_CTX_set_wait_fd(wait, this, answer_.get(), nullptr, nullptr) != 1)
        return false;
    looked_up_ = true;
    for (unsigned i = 0; i < lookup_count_ && looked_up_; ++i) {
        lookups_.ask(answer_.get());
        eventfd_t answer = 0;
        looked_up_ = ASYNC_pause_job() == 1 && eventfd_read(answer_.get(), &answer) == 0;
    }
    // The fd stays open: the server has yet to hear that it is out of the wait context.
    ASYNC_WAIT_CTX_clear_fd(wait, this);
    return looked_up_;
}

}  // namespace tls
