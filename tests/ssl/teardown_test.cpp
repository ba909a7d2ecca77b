// SPDX-License-Identifier: Apache-2.0
// SSL_free() of a connection whose job is paused: the job ends, the application is not called any
// more, the peer gets nothing, and nothing is left.
#include <thread>

#include "../support.hpp"
#include "connections.hpp"

namespace ssl_test {
namespace {

class Teardown : public testing::TestWithParam<int> {};

INSTANTIATE_TEST_SUITE_P(Tls, Teardown, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         version_name);

TEST_P(Teardown, ServerInASignature) {
    Ends ends(GetParam());
    ends.pause_handshake(ends.server);
    EXPECT_GT(ends.server_app.calls, 0);
    free_paused(ends, ends.server);
}

TEST_P(Teardown, ClientInASignature) {
    Ends ends(GetParam());
    ends.pause_handshake(ends.client);
    EXPECT_GT(ends.client_app.calls, 0);
    free_paused(ends, ends.client);
}

// From there a handshake comes by the rest of the callbacks.
TEST_P(Teardown, ServerInACallback) {
    Ends ends(GetParam());
    ends.pause_handshake(ends.server, Pause::certificate);
    free_paused(ends, ends.server);
}

// The verification has a copy of the callback.
TEST_P(Teardown, ClientInAVerification) {
    Ends ends(GetParam());
    SSL_set1_host(ends.client.get(), "elsewhere");  // one more call
    ends.pause_handshake(ends.client, Pause::verification);
    free_paused(ends, ends.client);
}

// What the application reads into may be gone as well.
TEST_P(Teardown, InAReadOfData) {
    Ends ends(GetParam());
    ends.expect_finished();
    ASSERT_EQ(SSL_write(ends.client.get(), "secret", 6), 6);
    SSL_set_mode(ends.server.get(), SSL_MODE_ASYNC);
    SSL_set_read_ahead(ends.server.get(), 1);  // all of the record is there
    armed = {Pause::message, {}};
    char buffer[6] = {};
    ASSERT_EQ(SSL_get_error(ends.server.get(), SSL_read(ends.server.get(), buffer, 6)),
              SSL_ERROR_WANT_ASYNC);
    free_paused(ends, ends.server);
    EXPECT_EQ(std::string(buffer, 6), std::string(6, '\0'));
}

TEST_P(Teardown, InAWriteOfDataThatIsNotReadAnyFurther) {
    Ends ends(GetParam());
    ends.expect_finished();
    SSL_set_mode(ends.server.get(), SSL_MODE_ASYNC);
    armed = {Pause::message, {}};
    // Many records.
    auto data = std::make_unique<std::string>(100'000, 'x');
    ASSERT_EQ(SSL_get_error(ends.server.get(), SSL_write(ends.server.get(), data->data(),
                                                         static_cast<int>(data->size()))),
              SSL_ERROR_WANT_ASYNC);
    data.reset();  // memcheck and AddressSanitizer see a read
    free_paused(ends, ends.server);
}

TEST_P(Teardown, InAShutdown) {
    Ends ends(GetParam());
    ends.expect_finished();
    SSL_set_mode(ends.server.get(), SSL_MODE_ASYNC);
    armed = {Pause::message, {}};
    ASSERT_EQ(SSL_get_error(ends.server.get(), SSL_shutdown(ends.server.get())),
              SSL_ERROR_WANT_ASYNC);
    free_paused(ends, ends.server);
}

TEST_P(Teardown, OneOfManyAndTheOthersGoOn) {
    std::vector<std::unique_ptr<Ends>> all;
    for (int i = 0; i < 20; ++i) {
        all.push_back(std::make_unique<Ends>(GetParam()));
        all.back()->pause_handshake(all.back()->server);
    }
    const std::size_t cancelled = asyncjob_ssl_cancelled();
    for (std::size_t at = 0; at < all.size(); at += 2)
        all[at]->server.reset();
    EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled + 10);
    for (std::size_t at = 1; at < all.size(); at += 2)
        all[at]->expect_finished();
}

TEST_P(Teardown, OnlyTheLastReferenceCounts) {
    Ends ends(GetParam());
    ASSERT_EQ(SSL_up_ref(ends.server.get()), 1);
    ends.pause_handshake(ends.server);
    ASSERT_EQ(SSL_up_ref(ends.server.get()), 1);
    const std::size_t cancelled = asyncjob_ssl_cancelled();
    SSL_free(ends.server.get());
    SSL_free(ends.server.get());
    EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled);
    EXPECT_EQ(SSL_waiting_for_async(ends.server.get()), 1);
    free_paused(ends, ends.server);
}

TEST_P(Teardown, AConnectionThatKeepsAReferenceFinishes) {
    Ends ends(GetParam());
    ends.pause_handshake(ends.server);
    ASSERT_EQ(SSL_up_ref(ends.server.get()), 1);
    SSL_free(ends.server.get());
    ends.expect_finished();
    EXPECT_EQ(armed.results, std::vector<int>{1});
}

// In a handshake SSL_dup() is one more reference.
TEST_P(Teardown, ADuplicateOfAPausedConnectionIsAReference) {
    Ends ends(GetParam());
    ends.pause_handshake(ends.server);
    ASSERT_EQ(SSL_dup(ends.server.get()), ends.server.get());
    const std::size_t cancelled = asyncjob_ssl_cancelled();
    SSL_free(ends.server.get());
    EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled);
    free_paused(ends, ends.server);
}

TEST_P(Teardown, InsideAnotherJob) {
    Ends ends(GetParam());
    ends.pause_handshake(ends.server);
    test::TestJob job([&] {
        free_paused(ends, ends.server);
        return ASYNC_pause_job();
    });
    EXPECT_EQ(job.go(), ASYNC_PAUSE);
    EXPECT_EQ(job.go(), ASYNC_FINISH);
    EXPECT_EQ(job.result, 1);
}

// An info callback that frees: another connection, whose job it is not in.
Ends* to_free = nullptr;
void free_other(const SSL* /*ssl*/, int type, int /*value*/) {
    if (type != SSL_CB_HANDSHAKE_DONE || to_free == nullptr)
        return;
    Ends& ends = *std::exchange(to_free, nullptr);
    const std::vector<int> own = std::exchange(armed.results, {});
    free_paused(ends, ends.server);
    armed.results = own;
}

TEST_P(Teardown, InsideTheInfoCallbackOfAnother) {
    Ends ends(GetParam());
    Ends other(GetParam());
    SSL_set_info_callback(other.server.get(), free_other);
    other.pause_handshake(other.server);
    ends.pause_handshake(ends.server);
    armed.results.clear();
    to_free = &ends;
    SSL_set_mode(other.server.get(), SSL_MODE_ASYNC);
    other.expect_finished();
    EXPECT_EQ(to_free, nullptr);
    EXPECT_EQ(ends.server, nullptr);
}

// And its own, while it has another reference, resumed and running.
void free_own(const SSL* ssl, int type, int /*value*/) {
    if (type == SSL_CB_HANDSHAKE_DONE)
        SSL_free(const_cast<SSL*>(ssl));
}

TEST_P(Teardown, InsideItsOwnInfoCallbackAReferenceIsGivenUp) {
    Ends ends(GetParam());
    SSL_set_info_callback(ends.server.get(), free_own);
    ASSERT_EQ(SSL_up_ref(ends.server.get()), 1);
    ends.pause_handshake(ends.server);
    const std::size_t cancelled = asyncjob_ssl_cancelled();
    const std::size_t lost = asyncjob_ssl_lost();
    ends.expect_finished();
    EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled);
    EXPECT_EQ(asyncjob_ssl_lost(), lost);
}

// A job that frees another connection when it is cancelled, and goes on.
int free_other_when_cancelled(SSL* /*ssl*/, void* other) {
    armed.come_by(Pause::certificate);
    Ends& ends = *static_cast<Ends*>(other);
    ends.server_app.gone = true;
    ends.server.reset();
    return 1;
}

TEST_P(Teardown, OfOneWhoseJobFreesAnother) {
    Ends other(GetParam());
    other.pause_handshake(other.server);
    Ends ends(GetParam());
    SSL_set_cert_cb(ends.server.get(), free_other_when_cancelled, &other);
    ends.pause_handshake(ends.server, Pause::certificate);
    const std::size_t cancelled = asyncjob_ssl_cancelled();
    ends.server_app.gone = true;
    ends.server.reset();
    EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled + 2);
    EXPECT_EQ(other.server, nullptr);
    EXPECT_EQ(ends.server_app.calls_after, std::vector<std::string>{});
    EXPECT_EQ(other.server_app.calls_after, std::vector<std::string>{});
    EXPECT_EQ(asyncjob_cancel_all(), 0U);
}

// Lets a thread have no more jobs than it has, and one be refused, so that the next end of a job is
// told.
void tell_of_next_end(std::size_t jobs, void (*tell)(void*), void* arg) {
    ASSERT_EQ(ASYNC_init_thread(jobs, 0), 1);
    ASSERT_EQ(asyncjob_on_slot_free(tell, arg), 1);
    test::TestJob refused([] {});
    ASSERT_EQ(refused.go(), ASYNC_NO_JOBS);
}

TEST_P(Teardown, InsideANotificationThatTheJobOfAnotherHasEnded) {
    std::thread([version = GetParam()] {
        Ends ends(version);
        Ends others(version);
        ends.pause_handshake(ends.server);
        others.pause_handshake(others.server);
        ends.server_app.gone = others.server_app.gone = true;
        const std::size_t cancelled = asyncjob_ssl_cancelled();
        tell_of_next_end(
            2, [](void* connection) { static_cast<tls::SslPtr*>(connection)->reset(); },
            &others.server);
        ends.server.reset();
        EXPECT_EQ(others.server, nullptr);
        EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled + 2);
        EXPECT_EQ(ends.server_app.calls_after, std::vector<std::string>{});
        EXPECT_EQ(others.server_app.calls_after, std::vector<std::string>{});
        EXPECT_EQ(ERR_peek_error(), 0U);
        EXPECT_EQ(asyncjob_cancel_all(), 0U);
    }).join();
}

// A job frees the first connection and is paused meanwhile, by such a notification; the job of the
// second, which is freed then, resumes it: the first is freed while the second still ends.
TEST_P(Teardown, OfTwoInTheOrderInWhichTheyBegin) {
    std::thread([version = GetParam()] {
        Ends first(version);
        Ends second(version);
        test::TestJob freeing([&] {
            tell_of_next_end(
                3, [](void* /*arg*/) { EXPECT_EQ(ASYNC_pause_job(), 1); }, nullptr);
            first.server.reset();
        });
        const auto resume = [](SSL* /*ssl*/, void* job) {
            armed.come_by(Pause::certificate);
            EXPECT_EQ(static_cast<test::TestJob*>(job)->go(), ASYNC_FINISH);
            return 1;
        };
        SSL_set_cert_cb(second.server.get(), resume, &freeing);
        first.pause_handshake(first.server);
        second.pause_handshake(second.server, Pause::certificate);
        const std::size_t cancelled = asyncjob_ssl_cancelled();
        EXPECT_EQ(freeing.go(), ASYNC_PAUSE);
        EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled);
        first.server_app.gone = second.server_app.gone = true;
        second.server.reset();
        EXPECT_EQ(first.server, nullptr);
        EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled + 2);
        EXPECT_EQ(first.server_app.calls_after, std::vector<std::string>{});
        EXPECT_EQ(second.server_app.calls_after, std::vector<std::string>{});
        EXPECT_EQ(asyncjob_cancel_all(), 0U);
    }).join();
}

// Whose callbacks are the SSL's own, not the context's.
TEST_P(Teardown, OwnCallbacksOfAConnectionAreNotCalled) {
    Ends ends(GetParam(), false);
    const auto fail = [](const SSL* ssl, int, int) { App::of(ssl).call("info"); };
    SSL_set_info_callback(ends.server.get(), fail);
    SSL_set_msg_callback(ends.server.get(), [](int, int, int, const void*, std::size_t, SSL* ssl,
                                               void*) { App::of(ssl).call("message"); });
    SSL_set_cert_cb(
        ends.server.get(),
        [](SSL* ssl, void*) {
            App::of(ssl).call("certificate");
            armed.come_by(Pause::certificate);
            return 1;
        },
        nullptr);
    SSL_set_async_callback(ends.server.get(), [](SSL* ssl, void*) {
        App::of(ssl).call("async");
        return 1;
    });
    SSL_set_not_resumable_session_callback(ends.server.get(), [](SSL* ssl, int) {
        App::of(ssl).call("not resumable");
        return 0;
    });
    SSL_set_generate_session_id(ends.server.get(), [](SSL* ssl, unsigned char*, unsigned*) {
        App::of(ssl).call("session id");
        return 1;
    });
    SSL_set_allow_early_data_cb(
        ends.server.get(),
        [](SSL* ssl, void*) {
            App::of(ssl).call("early data");
            return 1;
        },
        nullptr);
    ends.pause_handshake(ends.server, Pause::certificate);
    free_paused(ends, ends.server);
}

// As a server does that reads and writes through a BIO; a libssl that is bound to its own
// functions (-Bsymbolic) does not come by here.
TEST_P(Teardown, OfAConnectionThatABioOwns) {
    Ends ends(GetParam());
    ends.pause_handshake(ends.server);
    BIO* const owner = BIO_new(BIO_f_ssl());
    BIO_set_ssl(owner, ends.server.release(), BIO_CLOSE);
    const std::size_t cancelled = asyncjob_ssl_cancelled();
    ends.server_app.gone = true;
    BIO_free_all(owner);
    if (asyncjob_ssl_cancelled() == cancelled)
        GTEST_SKIP() << "libssl frees it by itself";
    EXPECT_EQ(ends.server_app.calls_after, std::vector<std::string>{});
    EXPECT_EQ(asyncjob_cancel_all(), 0U);
}

// A BIO of the application's that is in a read when the job pauses.
long pause_in_bio(BIO* /*bio*/, int operation, const char* /*data*/, std::size_t /*size*/,
                  int /*argument*/, long /*number*/, int result, std::size_t* /*processed*/) {
    if (operation == BIO_CB_READ)
        armed.come_by(Pause::message);
    return result;
}

TEST_P(Teardown, InsideABioThatIsGivenUp) {
    Ends ends(GetParam(), false);
    ends.expect_finished();
    SSL_set_mode(ends.server.get(), SSL_MODE_ASYNC);
    BIO_set_callback_ex(ends.server_end.get(), pause_in_bio);
    armed = {Pause::message, {}};
    char byte = 0;
    ASSERT_EQ(SSL_get_error(ends.server.get(), SSL_read(ends.server.get(), &byte, 1)),
              SSL_ERROR_WANT_ASYNC);
    ends.server_end.reset();  // what the connection has is the last reference
    const std::size_t cancelled = asyncjob_ssl_cancelled();
    ends.server.reset();
    EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled + 1);
}

TEST_P(Teardown, ClearingMakesAConnectionFitForAnother) {
    Ends ends(GetParam());
    ends.pause_handshake(ends.server);
    const std::size_t cancelled = asyncjob_ssl_cancelled();
    BIO* const bio = SSL_get_rbio(ends.server.get());
    const std::size_t pending = BIO_ctrl_pending(ends.client_end.get());
    ASSERT_EQ(SSL_clear(ends.server.get()), 1);
    EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled + 1);
    EXPECT_EQ(SSL_waiting_for_async(ends.server.get()), 0);
    EXPECT_EQ(SSL_get_rbio(ends.server.get()), bio);
    EXPECT_EQ(SSL_get_wbio(ends.server.get()), bio);
    EXPECT_EQ(BIO_ctrl_pending(ends.client_end.get()), pending);
    EXPECT_EQ(ERR_peek_error(), 0U);
    ends.connect_another_client();
    ends.expect_finished();
}

TEST_P(Teardown, OfAConnectionThatIsNotPausedIsAsEver) {
    const std::size_t cancelled = asyncjob_ssl_cancelled();
    {
        Ends ends(GetParam());
        ends.expect_finished();
        SSL_free(nullptr);
    }
    Ends begun(GetParam());
    SSL_do_handshake(begun.client.get());
    begun.client.reset();
    EXPECT_EQ(asyncjob_ssl_cancelled(), cancelled);
}

}  // namespace
}  // namespace ssl_test
