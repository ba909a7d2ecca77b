// SPDX-License-Identifier: Apache-2.0
// TLS handshakes over BIO pairs in a library context with the provider: versions, keys,
// groups, and libssl's asynchronous mode with fds and with callbacks.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "support.hpp"

namespace {

using namespace test;

using SslCtxPtr = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, FreeWith<SSL_free>>;
using X509Ptr = std::unique_ptr<X509, FreeWith<X509_free>>;

struct TlsCase {
    std::string name;
    Options options;
    int version;
    KeyType key;
    const char* groups;
    const char* ciphers;  // of TLS 1.2
    int offloaded;        // private-key operations of the server that are
};

std::ostream& operator<<(std::ostream& out, const TlsCase& tls) {
    return out << tls.name;
}

const Options all_operations{{"operations", "all"}};
const char* const ecdhe = "ECDHE+AESGCM";

const TlsCase cases[] = {
    {"Tls12Rsa", {}, TLS1_2_VERSION, KeyType::rsa, "P-256", ecdhe, 1},
    {"Tls13Rsa", {}, TLS1_3_VERSION, KeyType::rsa, "X25519", ecdhe, 1},
    {"Tls12RsaKeyExchange", {}, TLS1_2_VERSION, KeyType::rsa, "P-256", "kRSA+AESGCM", 1},
    {"Tls12Ecdsa", {}, TLS1_2_VERSION, KeyType::ec, "P-256", ecdhe, 0},
    {"Tls13Ecdsa", {}, TLS1_3_VERSION, KeyType::ec, "X448", ecdhe, 0},
    {"Tls12RsaAllOperations", all_operations, TLS1_2_VERSION, KeyType::rsa, "P-256", ecdhe, 2},
    {"Tls13RsaAllOperations", all_operations, TLS1_3_VERSION, KeyType::rsa, "X25519", ecdhe, 2},
    {"Tls13RsaAllOperationsFfdhe", all_operations, TLS1_3_VERSION, KeyType::rsa, "ffdhe2048", ecdhe,
     2},
    {"Tls12EcdsaAllOperations", all_operations, TLS1_2_VERSION, KeyType::ec, "P-256", ecdhe, 2},
    {"Tls13EcdsaAllOperations", all_operations, TLS1_3_VERSION, KeyType::ec, "P-256", ecdhe, 2},
    {"Tls13Ed25519AllOperations", all_operations, TLS1_3_VERSION, KeyType::ed25519, "X25519", ecdhe,
     2},
    {"Tls12Ed25519AllOperations", all_operations, TLS1_2_VERSION, KeyType::ed25519, "X25519", ecdhe,
     2},
};

X509Ptr certificate_for(OSSL_LIB_CTX* library, EVP_PKEY* key, KeyType type) {
    X509Ptr certificate(X509_new_ex(library, nullptr));
    X509_set_version(certificate.get(), X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -60);
    X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 3600);
    X509_set_pubkey(certificate.get(), key);
    X509_NAME* const name = X509_get_subject_name(certificate.get());
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
    X509_set_issuer_name(certificate.get(), name);
    EXPECT_GT(X509_sign(certificate.get(), key, type == KeyType::ed25519 ? nullptr : EVP_sha256()),
              0)
        << take_errors();
    return certificate;
}

class Tls : public testing::TestWithParam<TlsCase> {
  protected:
    Tls() {
        EXPECT_EQ(library_.failure(), "");
        const PkeyPtr key = key_in(library_.get(), GetParam().key);
        const X509Ptr certificate = certificate_for(library_.get(), key.get(), GetParam().key);
        server_context_ = new_context(TLS_server_method());
        client_context_ = new_context(TLS_client_method());
        EXPECT_EQ(SSL_CTX_use_certificate(server_context_.get(), certificate.get()), 1);
        EXPECT_EQ(SSL_CTX_use_PrivateKey(server_context_.get(), key.get()), 1) << take_errors();
        X509_STORE_add_cert(SSL_CTX_get_cert_store(client_context_.get()), certificate.get());
        SSL_CTX_set_verify(client_context_.get(), SSL_VERIFY_PEER, nullptr);
    }

    [[nodiscard]] SslCtxPtr new_context(const SSL_METHOD* method) const {
        SslCtxPtr context(SSL_CTX_new_ex(library_.get(), nullptr, method));
        EXPECT_NE(context, nullptr) << take_errors();
        EXPECT_EQ(SSL_CTX_set_min_proto_version(context.get(), GetParam().version), 1);
        EXPECT_EQ(SSL_CTX_set_max_proto_version(context.get(), GetParam().version), 1);
        EXPECT_EQ(SSL_CTX_set1_groups_list(context.get(), GetParam().groups), 1) << take_errors();
        EXPECT_EQ(SSL_CTX_set_cipher_list(context.get(), GetParam().ciphers), 1);
        return context;
    }

    // A connection; the ends of a BIO pair.
    void connect() {
        server_.reset(SSL_new(server_context_.get()));
        client_.reset(SSL_new(client_context_.get()));
        BIO* server_bio = nullptr;
        BIO* client_bio = nullptr;
        ASSERT_EQ(BIO_new_bio_pair(&server_bio, 0, &client_bio, 0), 1);
        SSL_set_bio(server_.get(), server_bio, server_bio);
        SSL_set_bio(client_.get(), client_bio, client_bio);
        SSL_set_accept_state(server_.get());
        SSL_set_connect_state(client_.get());
    }

    // Goes on until both ends are connected. Calls wait() while the server is paused; returns
    // how often it was.
    template <typename WaitFunction>
    int shake_hands(WaitFunction wait) {
        int pauses = 0;
        bool done[2] = {};
        for (int steps = 0; steps < 10'000 && !(done[0] && done[1]); ++steps) {
            for (SSL* const end : {server_.get(), client_.get()}) {
                bool& is_done = done[end == client_.get() ? 1 : 0];
                if (is_done)
                    continue;
                const int result = SSL_do_handshake(end);
                is_done = result == 1;
                switch (SSL_get_error(end, result)) {
                    case SSL_ERROR_WANT_ASYNC:
                        ++pauses;
                        wait();
                        break;
                    case SSL_ERROR_NONE:
                    case SSL_ERROR_WANT_READ:
                    case SSL_ERROR_WANT_WRITE:
                        break;
                    default:
                        ADD_FAILURE() << take_errors();
                        return pauses;
                }
            }
        }
        EXPECT_TRUE(done[0] && done[1]);
        return pauses;
    }

    void wait_for_fd() const {
        std::size_t count = 0;
        ASSERT_EQ(SSL_get_all_async_fds(server_.get(), nullptr, &count), 1);
        ASSERT_EQ(count, 1U);
        int fd = -1;
        ASSERT_EQ(SSL_get_all_async_fds(server_.get(), &fd, &count), 1);
        EXPECT_TRUE(becomes_readable(fd, Wait::long_enough));
    }

    Library library_{GetParam().options};
    SslCtxPtr server_context_;
    SslCtxPtr client_context_;
    SslPtr server_;
    SslPtr client_;
};

INSTANTIATE_TEST_SUITE_P(Handshakes, Tls, testing::ValuesIn(cases),
                         [](const auto& info) { return info.param.name; });

TEST_P(Tls, HandshakesWithoutJobs) {
    connect();
    const int before = interpose::pauses;
    EXPECT_EQ(shake_hands([] { ADD_FAILURE() << "paused"; }), 0);
    EXPECT_EQ(interpose::pauses, before);
}

TEST_P(Tls, HandshakesInJobsPauseOnceForEachOffloadedOperation) {
    SSL_CTX_set_mode(server_context_.get(), SSL_MODE_ASYNC);
    for (int connection = 0; connection < 3; ++connection) {
        connect();
        Gate gate;  // for the first operation; a worker may be done with a later one at once
        const int before = interpose::pauses;
        const int pauses = shake_hands([&] {
            gate.open();
            wait_for_fd();
        });
        EXPECT_LE(pauses, GetParam().offloaded);
        EXPECT_EQ(pauses > 0, GetParam().offloaded > 0);
        EXPECT_EQ(interpose::pauses - before, pauses);
    }
}

TEST_P(Tls, HandshakesSurviveEarlyResumes) {
    SSL_CTX_set_mode(server_context_.get(), SSL_MODE_ASYNC);
    connect();
    shake_hands([] { usleep(50); });
}

TEST_P(Tls, HandshakesInJobsCallBack) {
    static std::atomic<int> calls;
    calls = 0;
    SSL_CTX_set_mode(server_context_.get(), SSL_MODE_ASYNC);
    SSL_CTX_set_async_callback(server_context_.get(), [](SSL*, void*) { return ++calls; });
    connect();
    Gate gate;
    int pauses = 0;
    shake_hands([&] {
        gate.open();
        ++pauses;
        while (calls < pauses)
            usleep(100);
    });
    EXPECT_EQ(calls, GetParam().offloaded);
}

// The connection goes while its handshake is paused, with its buffers and its wait context.
TEST_P(Tls, AConnectionMayBeFreedWhileItIsPaused) {
    if (GetParam().offloaded == 0)
        GTEST_SKIP() << "nothing is offloaded";
    SSL_CTX_set_mode(server_context_.get(), SSL_MODE_ASYNC);
    connect();
    Gate gate;
    EXPECT_LE(SSL_do_handshake(client_.get()), 0);
    int result = SSL_do_handshake(server_.get());
    EXPECT_LE(result, 0);
    if (SSL_get_error(server_.get(), result) == SSL_ERROR_WANT_READ) {
        EXPECT_LE(SSL_do_handshake(client_.get()), 0);
        result = SSL_do_handshake(server_.get());
    }
    EXPECT_EQ(SSL_get_error(server_.get(), result), SSL_ERROR_WANT_ASYNC);
    server_.reset();
    gate.open();
    { const Gate the_worker_is_past_it; }
}

}  // namespace
