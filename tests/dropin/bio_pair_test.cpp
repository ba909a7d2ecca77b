// SPDX-License-Identifier: Apache-2.0
// libssl's jobs, 1,000 of them paused at the same time inside a callback and resumed in
// random order: one thread, connections in memory (BIO pairs), nothing left to chance. Built
// against this library and, as its oracle, against libcrypto's own jobs.
//
// ASYNCJOB_TEST_CONNECTIONS in the environment sets another number of connections.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <openssl/async.h>
#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "tls/certificate.hpp"
#include "tls/support.hpp"
#ifndef ASYNCJOB_STOCK
#include <asyncjob/control.h>
#endif

namespace {

#ifdef ASYNCJOB_STOCK
std::size_t asyncjob_left_behind() {
    return 0;
}
#else
TEST(Library, ProvidesTheJobs) {
    Dl_info jobs{};
    Dl_info control{};
    ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, "ASYNC_start_job"), &jobs), 0);
    ASSERT_NE(dladdr(dlsym(RTLD_DEFAULT, "asyncjob_left_behind"), &control), 0);
    EXPECT_STREQ(jobs.dli_fname, control.dli_fname);
}
#endif

using tls::Callback;

constexpr int pauses = 2;

std::size_t connection_count() {
    const char* const told = std::getenv("ASYNCJOB_TEST_CONNECTIONS");
    return told != nullptr ? std::strtoul(told, nullptr, 10) : 1000;
}

using LibCtx = std::unique_ptr<OSSL_LIB_CTX, tls::FreeWith<OSSL_LIB_CTX_free>>;

OSSL_LIB_CTX* default_lib_ctx() {
    return OSSL_LIB_CTX_set0_default(nullptr);
}

struct Connection {
    std::size_t id = 0;
    OSSL_LIB_CTX* lib_ctx = nullptr;
    int entered = 0;          // pauses begun in the callback
    int left = 0;             // and ended
    std::array<char, 2> key;  // its addresses are the keys of the wait fds
    tls::SslPtr server;
    tls::SslPtr client;

    // Numbers that no fd of this process has: nobody polls them here.
    [[nodiscard]] int wait_fd(int pause) const {
        return 1'000'000 + pauses * static_cast<int>(id) + pause;
    }
};

// Runs in libssl's job: pauses twice, each time with a wait fd and a default OSSL_LIB_CTX of
// its own.
void pause_twice(Connection& connection) {
    ASYNC_WAIT_CTX* const wait = ASYNC_get_wait_ctx(ASYNC_get_current_job());
    OSSL_LIB_CTX* const before = OSSL_LIB_CTX_set0_default(connection.lib_ctx);
    EXPECT_EQ(before, OSSL_LIB_CTX_get0_global_default());
    for (int i = 0; i < pauses; ++i) {
        const int fd = connection.wait_fd(i);
        EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait, &connection.key[i], fd, nullptr, nullptr), 1);
        ++connection.entered;
        EXPECT_EQ(ASYNC_pause_job(), 1);
        ++connection.left;
        EXPECT_EQ(default_lib_ctx(), connection.lib_ctx) << "S15: the job's own";
        EXPECT_EQ(ASYNC_WAIT_CTX_clear_fd(wait, &connection.key[i]), 1);
    }
    OSSL_LIB_CTX_set0_default(before);
}

int on_client_hello(SSL* ssl, int* /*alert*/, void* /*arg*/) {
    pause_twice(*static_cast<Connection*>(SSL_get_app_data(ssl)));
    return SSL_CLIENT_HELLO_SUCCESS;
}

int on_certificate(SSL* ssl, void* /*arg*/) {
    pause_twice(*static_cast<Connection*>(SSL_get_app_data(ssl)));
    return 1;
}

using Fds = std::vector<int>;

Fds all_fds(SSL* ssl) {
    std::size_t count = 0;
    EXPECT_EQ(SSL_get_all_async_fds(ssl, nullptr, &count), 1);
    Fds fds(count);
    EXPECT_EQ(SSL_get_all_async_fds(ssl, fds.data(), &count), 1);
    return fds;
}

// Added and deleted in this round.
std::pair<Fds, Fds> changed_fds(SSL* ssl) {
    std::size_t added = 0;
    std::size_t deleted = 0;
    EXPECT_EQ(SSL_get_changed_async_fds(ssl, nullptr, &added, nullptr, &deleted), 1);
    std::pair<Fds, Fds> fds{Fds(added), Fds(deleted)};
    EXPECT_EQ(SSL_get_changed_async_fds(ssl, fds.first.data(), &added, fds.second.data(), &deleted),
              1);
    return fds;
}

// Calls the handshake of one side and returns its SSL_ERROR_*.
int shake(SSL* ssl) {
    const int error = SSL_get_error(ssl, SSL_do_handshake(ssl));
    EXPECT_EQ(ERR_peek_error(), 0U) << tls::describe_failure("handshake", error);
    return error;
}

struct Case {
    const char* name;
    int version;
    Callback callback;
};

void PrintTo(const Case& one, std::ostream* out) {
    *out << one.name;
}

class PausedHandshakes : public testing::TestWithParam<Case> {
  protected:
    void SetUp() override {
        const tls::Identity identity = tls::make_identity();
        server_context_ = tls::make_server_context(identity);
        client_context_ = tls::make_client_context(identity);
        SSL_CTX_set_mode(server_context_.get(), SSL_MODE_ASYNC);
        if (GetParam().callback == Callback::client_hello)
            SSL_CTX_set_client_hello_cb(server_context_.get(), on_client_hello, nullptr);
        else
            SSL_CTX_set_cert_cb(server_context_.get(), on_certificate, nullptr);
        for (LibCtx& lib_ctx : lib_ctxs_)
            lib_ctx.reset(OSSL_LIB_CTX_new());
        starter_lib_ctx_.reset(OSSL_LIB_CTX_new());
    }

    void connect(Connection& connection, std::size_t id) {
        const int version = GetParam().version;
        connection.id = id;
        connection.lib_ctx = lib_ctxs_[id % lib_ctxs_.size()].get();
        connection.server.reset(SSL_new(server_context_.get()));
        connection.client.reset(SSL_new(client_context_.get()));
        SSL_set_app_data(connection.server.get(), &connection);
        SSL_set_accept_state(connection.server.get());
        SSL_set_connect_state(connection.client.get());
        SSL_set_min_proto_version(connection.client.get(), version);
        SSL_set_max_proto_version(connection.client.get(), version);
        BIO* server_end = nullptr;
        BIO* client_end = nullptr;
        ASSERT_EQ(BIO_new_bio_pair(&server_end, 0, &client_end, 0), 1);
        SSL_set_bio(connection.server.get(), server_end, server_end);
        SSL_set_bio(connection.client.get(), client_end, client_end);
    }

    // Starts the handshake and lets it pause.
    void start(Connection& connection) {
        SSL* const server = connection.server.get();
        ASSERT_EQ(shake(connection.client.get()), SSL_ERROR_WANT_READ);
        ASSERT_EQ(shake(server), SSL_ERROR_WANT_ASYNC);
        EXPECT_EQ(default_lib_ctx(), OSSL_LIB_CTX_get0_global_default()) << "S15: the starter's";
        EXPECT_EQ(SSL_waiting_for_async(server), 1);
        EXPECT_EQ(connection.entered, 1);
        EXPECT_EQ(all_fds(server), Fds{connection.wait_fd(0)});
        EXPECT_EQ(changed_fds(server), std::pair(Fds{connection.wait_fd(0)}, Fds{}));
    }

    // Resumes it once, with another default OSSL_LIB_CTX on this side.
    void resume(Connection& connection) {
        SSL* const server = connection.server.get();
        const int ended = connection.left;
        OSSL_LIB_CTX* const before = OSSL_LIB_CTX_set0_default(starter_lib_ctx_.get());
        const int error = shake(server);
        EXPECT_EQ(OSSL_LIB_CTX_set0_default(before), starter_lib_ctx_.get())
            << "S15: the starter's";

        EXPECT_EQ(connection.left, ended + 1);
        const bool last = connection.left == pauses;
        EXPECT_EQ(error, last ? SSL_ERROR_WANT_READ : SSL_ERROR_WANT_ASYNC);
        EXPECT_EQ(SSL_waiting_for_async(server), last ? 0 : 1);
        const Fds waiting = last ? Fds{} : Fds{connection.wait_fd(connection.left)};
        EXPECT_EQ(all_fds(server), waiting);
        EXPECT_EQ(changed_fds(server), std::pair(waiting, Fds{connection.wait_fd(ended)}));
    }

    // Both sides of what is left of the handshake, then a request and its reply.
    static void finish(Connection& connection) {
        SSL* const server = connection.server.get();
        SSL* const client = connection.client.get();
        for (int round = 0; round < 5; ++round) {
            const int client_error = shake(client);
            const int server_error = shake(server);
            if (client_error == SSL_ERROR_NONE && server_error == SSL_ERROR_NONE)
                break;
        }
        ASSERT_EQ(SSL_is_init_finished(server), 1);
        ASSERT_EQ(SSL_is_init_finished(client), 1);
        ASSERT_EQ(SSL_version(server), GetParam().version);
        ASSERT_EQ(connection.left, pauses);

        constexpr int size = tls::message_size;
        const std::string request = tls::request_of(connection.id);
        std::string text(size, '\0');
        ASSERT_EQ(SSL_write(client, request.data(), size), size);
        ASSERT_EQ(SSL_read(server, text.data(), size), size);
        EXPECT_EQ(text, request);
        text = tls::reply_to(text);
        ASSERT_EQ(SSL_write(server, text.data(), size), size);
        ASSERT_EQ(SSL_read(client, text.data(), size), size);
        EXPECT_EQ(text, tls::reply_to(request));
        EXPECT_EQ(ERR_peek_error(), 0U);
        SSL_shutdown(client);
        SSL_shutdown(server);
    }

    void run_all() {
        const std::size_t count = connection_count();
        std::vector<Connection> connections(count);
        std::size_t paused = 0;
        for (std::size_t id = 0; id < count; ++id) {
            ASSERT_NO_FATAL_FAILURE(connect(connections[id], id));
            ASSERT_NO_FATAL_FAILURE(start(connections[id]));
        }
        for (const Connection& connection : connections)
            paused += connection.entered == 1 && connection.left == 0 ? 1 : 0;
        EXPECT_EQ(paused, count) << "all are paused at the same time";

        // Each id once for each of its pauses.
        std::vector<std::size_t> order;
        for (std::size_t id = 0; id < count; ++id)
            order.insert(order.end(), pauses, id);
        std::mt19937 random(20240229);
        std::shuffle(order.begin(), order.end(), random);
        for (const std::size_t id : order)
            resume(connections[id]);

        std::shuffle(order.begin(), order.end(), random);
        for (const std::size_t id : order) {
            if (connections[id].server == nullptr)
                continue;
            ASSERT_NO_FATAL_FAILURE(finish(connections[id]));
            connections[id].server.reset();
            connections[id].client.reset();
        }
    }

    tls::SslCtxPtr server_context_;
    tls::SslCtxPtr client_context_;
    std::array<LibCtx, 4> lib_ctxs_;
    LibCtx starter_lib_ctx_;
};

// S3, S7, S15, S19 to S23, S27: as libssl and a server use them. The jobs are those of a
// thread that ends, so that what stayed paused would be counted (S13).
TEST_P(PausedHandshakes, AllPauseAtOnceAndFinishInAnyOrder) {
    std::thread([this] { run_all(); }).join();
    EXPECT_EQ(asyncjob_left_behind(), 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Tls, PausedHandshakes,
    testing::Values(Case{"Tls12ClientHello", TLS1_2_VERSION, Callback::client_hello},
                    Case{"Tls12Certificate", TLS1_2_VERSION, Callback::certificate},
                    Case{"Tls13ClientHello", TLS1_3_VERSION, Callback::client_hello},
                    Case{"Tls13Certificate", TLS1_3_VERSION, Callback::certificate}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
