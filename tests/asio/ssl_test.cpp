// SPDX-License-Identifier: Apache-2.0
// ssl_stream: connections over sockets of this machine, whose handshakes wait in a callback.
#include <array>
#include <asyncjob/asio/ssl_stream.hpp>
#include <deque>
#include <optional>
#include <thread>
#include <vector>

#include "support.hpp"
#include "tls/certificate.hpp"
#ifdef ASYNCJOB_ASIO_BOOST
#include <boost/asio/ssl.hpp>
#else
#include <asio/ssl.hpp>
#endif

using test::Counted;
using test::Ending;
using test::Pipe;
using test::run;
using test::run_until;
using namespace std::chrono_literals;
using asyncjob::use_job;
using Tcp = asio::ip::tcp;
using Stream = asyncjob::ssl_stream<Tcp::socket>;

namespace {

class SslStream : public testing::TestWithParam<int> {
  protected:
    SslStream()
        : server_context_(asio::ssl::context::tls_server),
          client_context_(asio::ssl::context::tls_client) {
        const tls::Identity identity = tls::make_identity();
        SSL_CTX* const server = server_context_.native_handle();
        EXPECT_EQ(SSL_CTX_use_certificate(server, identity.certificate.get()), 1);
        EXPECT_EQ(SSL_CTX_use_PrivateKey(server, identity.key.get()), 1);
        SSL_CTX_set_cert_cb(server, certificate, this);
        SSL_CTX* const client = client_context_.native_handle();
        X509_STORE_add_cert(SSL_CTX_get_cert_store(client), identity.certificate.get());
        SSL_CTX_set_verify(client, SSL_VERIFY_PEER, nullptr);
        for (SSL_CTX* const each : {server, client}) {
            SSL_CTX_set_min_proto_version(each, GetParam());
            SSL_CTX_set_max_proto_version(each, GetParam());
        }
    }

    // What the callback does, in the handshake's job.
    std::function<bool()> in_callback_ = [] { return true; };

    static int certificate(SSL* /*ssl*/, void* self) {
        return static_cast<SslStream*>(self)->in_callback_() ? 1 : 0;
    }

    static bool sleep(std::chrono::milliseconds time) {
        ErrorCode error;
        asio::steady_timer timer(asyncjob::job_executor(), time);
        timer.async_wait(use_job(error));
        return !error;
    }

    struct Pair {
        Pair(asio::io_context& context, SslStream& test)
            : server(context, test.server_context_), client(context, test.client_context_) {
            Tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
            client.next_layer().connect(acceptor.local_endpoint());
            acceptor.accept(server.next_layer());
        }
        void shake_hands() {
            client.async_handshake(Stream::client,
                                   [this](const ErrorCode& error) { client_ended = error; });
            server.async_handshake(Stream::server,
                                   [this](const ErrorCode& error) { server_ended = error; });
        }
        [[nodiscard]] bool is_ready() const {
            return client_ended == ErrorCode() && server_ended == ErrorCode();
        }
        Stream server;
        Stream client;
        std::optional<ErrorCode> client_ended;
        std::optional<ErrorCode> server_ended;
    };

    asio::ssl::context server_context_;
    asio::ssl::context client_context_;
};

std::string version(const testing::TestParamInfo<int>& info) {
    return info.param == TLS1_2_VERSION ? "TLS1_2" : "TLS1_3";
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Versions, SslStream, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         version);

TEST_P(SslStream, ServesWhileHandshakesWait) {
    asio::io_context context;
    int waiting = 0;
    int most = 0;
    in_callback_ = [&] {
        most = std::max(most, ++waiting);
        const bool is_well = sleep(5ms);
        --waiting;
        return is_well;
    };
    std::deque<Pair> pairs;
    for (int i = 0; i < 50; ++i)
        pairs.emplace_back(context, *this).shake_hands();
    run(context);
    for (const Pair& pair : pairs)
        EXPECT_TRUE(pair.is_ready());
    EXPECT_GT(most, 25);
    EXPECT_EQ(test::live_jobs(), 0U);
}

TEST_P(SslStream, CarriesDataBothWaysAtOnce) {
    asio::io_context context;
    Pair pair(context, *this);
    in_callback_ = [] { return sleep(1ms); };
    pair.shake_hands();
    run(context);
    ASSERT_TRUE(pair.is_ready());

    constexpr std::size_t size = 1'000'003;
    const std::string sent(size, 'x');
    std::array<std::string, 2> received{std::string(size, ' '), std::string(size, ' ')};
    int done = 0;
    const auto count = [&](const ErrorCode& error, std::size_t bytes) {
        EXPECT_FALSE(error) << error.message();
        EXPECT_EQ(bytes, size);
        ++done;
    };
    asio::async_read(pair.client, asio::buffer(received[0]), count);
    asio::async_read(pair.server, asio::buffer(received[1]), count);
    asio::async_write(pair.client, asio::buffer(sent), count);
    asio::async_write(pair.server, asio::buffer(sent), count);
    run(context);
    EXPECT_EQ(done, 4);
    EXPECT_EQ(received[0], sent);
    EXPECT_EQ(received[1], sent);

    // Nothing is nothing.
    pair.client.async_write_some(asio::const_buffer(), [&](const ErrorCode& error, std::size_t n) {
        EXPECT_FALSE(error);
        EXPECT_EQ(n, 0U);
        ++done;
    });
    run(context);
    EXPECT_EQ(done, 5);

    // Goodbyes.
    std::array<std::optional<ErrorCode>, 3> ends;
    char byte = 0;
    pair.server.async_read_some(asio::buffer(&byte, 1), [&](const ErrorCode& error, std::size_t) {
        ends[0] = error;
        pair.server.async_shutdown([&](const ErrorCode& other) { ends[1] = other; });
    });
    pair.client.async_shutdown([&](const ErrorCode& error) { ends[2] = error; });
    run(context);
    EXPECT_EQ(ends[0], asio::error::eof);
    EXPECT_EQ(ends[1], ErrorCode());
    EXPECT_EQ(ends[2], ErrorCode());
}

TEST_P(SslStream, TellsAPeerThatJustClosesFromOneThatSaysGoodbye) {
    asio::io_context context;
    Pair pair(context, *this);
    pair.shake_hands();
    run(context);
    ASSERT_TRUE(pair.is_ready());
    pair.client.next_layer().shutdown(Tcp::socket::shutdown_send);
    std::optional<ErrorCode> ended;
    char byte = 0;
    pair.server.async_read_some(asio::buffer(&byte, 1),
                                [&](const ErrorCode& error, std::size_t) { ended = error; });
    run(context);
    EXPECT_EQ(ended, asio::ssl::error::stream_truncated);
}

TEST_P(SslStream, UnderstandsAsiosOwn) {
    asio::io_context context;
    in_callback_ = [] { return sleep(1ms); };
    Tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    asio::ssl::stream<Tcp::socket> client(context, client_context_);
    client.next_layer().connect(acceptor.local_endpoint());
    Ending ending;
    std::string reply;
    asyncjob::async_run(
        context,
        [&] {
            Stream server(acceptor.accept(), server_context_);
            server.async_handshake(Stream::server, use_job);
            std::string text;
            const std::size_t size =
                asio::async_read_until(server, asio::dynamic_buffer(text), '\n', use_job);
            EXPECT_EQ(size, 9U);
            asio::async_write(server,
                              std::array<asio::const_buffer, 2>{asio::buffer(text.data(), 4),
                                                                asio::buffer("and two", 7)},
                              use_job);
            server.async_shutdown(use_job);
        },
        std::ref(ending));
    asyncjob::async_run(
        context,
        [&] {
            client.async_handshake(asio::ssl::stream_base::client, use_job);
            asio::async_write(client, asio::buffer("one line\n", 9), use_job);
            ErrorCode error;
            reply.resize(64);
            reply.resize(asio::async_read(client, asio::buffer(reply), use_job(error)));
            EXPECT_EQ(error, asio::error::eof);
            client.async_shutdown(use_job(error));
        },
        asio::detached);
    run(context);
    EXPECT_EQ(ending.what(), "");
    EXPECT_EQ(reply, "one and two");
}

TEST_P(SslStream, FailsAsOpenSslSays) {
    asio::io_context context;
    Pair pair(context, *this);
    in_callback_ = [] { return false; };
    pair.shake_hands();
    run(context);
    ASSERT_TRUE(pair.server_ended.has_value());
    ASSERT_TRUE(pair.client_ended.has_value());
    EXPECT_EQ(pair.server_ended->category(), asio::error::get_ssl_category());
    EXPECT_NE(pair.server_ended->message().find("cert cb error"), std::string::npos)
        << pair.server_ended->message();
    EXPECT_TRUE(*pair.client_ended);
}

TEST_P(SslStream, WaitsForRoomInAFullPool) {
    asyncjob::init_thread(2, 0);
    asio::io_context context;
    in_callback_ = [] { return sleep(1ms); };
    std::deque<Pair> pairs;
    std::vector<Ending> endings(10);
    for (Ending& ending : endings) {
        pairs.emplace_back(context, *this).shake_hands();
        asyncjob::async_run(
            context, [] { sleep(1ms); }, std::ref(ending));
    }
    run(context);
    for (const Pair& pair : pairs)
        EXPECT_TRUE(pair.is_ready());
    for (const Ending& ending : endings)
        EXPECT_EQ(ending.calls, 1);
    asyncjob::cleanup_thread();
}

// What the callback of a handshake waits for, when the connection ends.
enum class Waiting { operation, fd, wake, nothing };

class EndOfStream : public SslStream {
  protected:
    void wait_for(Waiting waiting) {
        in_callback_ = [this, waiting] {
            const Counted in_frames(frames_);
            ++begun_;
            try {
                switch (waiting) {
                    case Waiting::operation:
                        return sleep(10min);
                    case Waiting::fd:
                        test::wait_for(pipe_.in());
                        break;
                    case Waiting::wake:
                        handle_ = asyncjob::this_job::handle();
                        while (asyncjob::this_job::wait() != asyncjob::Resumed::woken) {
                        }
                        break;
                    case Waiting::nothing:
                        break;
                }
            } catch (const asyncjob::Cancelled&) {
                return false;
            }
            return true;
        };
    }

    Pipe pipe_;
    asyncjob::Handle handle_;
    int frames_ = 0;
    int begun_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Versions, EndOfStream, testing::Values(TLS1_2_VERSION, TLS1_3_VERSION),
                         version);

TEST_P(EndOfStream, WaitsForFdsAndWakes) {
    for (const Waiting waiting : {Waiting::fd, Waiting::wake}) {
        asio::io_context context;
        wait_for(waiting);
        Pair pair(context, *this);
        pair.shake_hands();
        const int before = begun_;
        run_until(context, [&] { return begun_ == before + 1; });
        context.poll();
        EXPECT_FALSE(pair.server_ended.has_value());
        std::thread other([&] {
            if (waiting == Waiting::wake)
                asyncjob::wake(handle_);
            else
                pipe_.write('a');
        });
        run(context);
        other.join();
        EXPECT_TRUE(pair.is_ready());
        EXPECT_EQ(frames_, 0);
    }
}

TEST_P(EndOfStream, ByCloseWhateverItWaitsFor) {
    for (const Waiting waiting :
         {Waiting::operation, Waiting::fd, Waiting::wake, Waiting::nothing}) {
        for (const bool by_destructor : {false, true}) {
#ifndef ASYNCJOB_ASIO_HAS_CANCELLATION
            if (waiting == Waiting::operation)
                continue;  // it would wait for as long as that
#endif
            asio::io_context context;
            wait_for(waiting);
            auto pair = std::make_unique<Pair>(context, *this);
            Stream server = std::move(pair->server);
            std::optional<ErrorCode> ended;
            int handlers = 0;
            server.async_handshake(Stream::server, [&, counted = Counted(handlers)](
                                                       const ErrorCode& error) { ended = error; });
            if (waiting != Waiting::nothing) {
                pair->client.async_handshake(Stream::client,
                                             [](const ErrorCode& error) { EXPECT_TRUE(error); });
                const int before = begun_;
                run_until(context, [&] { return begun_ == before + 1; });
                EXPECT_EQ(frames_, 1);
            }
            if (by_destructor)
                const Stream gone = std::move(server);
            else
                server.close();
            EXPECT_FALSE(ended.has_value()) << "not within the call";
            run(context);
            EXPECT_EQ(ended, asio::error::operation_aborted);
            EXPECT_EQ(frames_, 0);
            EXPECT_EQ(handlers, 0);
            EXPECT_EQ(test::live_jobs(), 0U);
        }
    }
}

TEST_P(EndOfStream, WithItsContextWhateverItWaitsFor) {
    for (const Waiting waiting :
         {Waiting::operation, Waiting::fd, Waiting::wake, Waiting::nothing}) {
        int handlers = 0;
        {
            asio::io_context context;
            wait_for(waiting);
            // Its handler holds the stream.
            const auto pair = std::make_shared<Pair>(context, *this);
            pair->server.async_handshake(
                Stream::server, [pair, counted = Counted(handlers)](const ErrorCode&) { FAIL(); });
            if (waiting != Waiting::nothing) {
                pair->client.async_handshake(
                    Stream::client, [pair, counted = Counted(handlers)](const ErrorCode&) {});
                const int before = begun_;
                run_until(context, [&] { return begun_ == before + 1; });
                EXPECT_EQ(frames_, 1);
            }
        }
        EXPECT_EQ(frames_, 0);
        EXPECT_EQ(handlers, 0);
        EXPECT_EQ(test::live_jobs(), 0U);
    }
}

#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
TEST_P(EndOfStream, BySlotWhateverItWaitsFor) {
    for (const Waiting waiting :
         {Waiting::operation, Waiting::fd, Waiting::wake, Waiting::nothing}) {
        asio::io_context context;
        wait_for(waiting);
        Pair pair(context, *this);
        asio::cancellation_signal signal;
        std::optional<ErrorCode> ended;
        pair.server.async_handshake(
            Stream::server,
            test::cancellable(signal, [&](const ErrorCode& error) { ended = error; }));
        if (waiting != Waiting::nothing) {
            pair.client.async_handshake(Stream::client, [](const ErrorCode&) {});
            const int before = begun_;
            run_until(context, [&] { return begun_ == before + 1; });
            context.poll();
        }
        signal.emit(asio::cancellation_type::terminal);
        EXPECT_FALSE(ended.has_value()) << "not within the call";
        run_until(context, [&] { return ended.has_value(); });
        EXPECT_EQ(ended, asio::error::operation_aborted);
        EXPECT_EQ(frames_, 0);
        pair.server.close();
        run(context);
    }
}

TEST_P(EndOfStream, ACancelledReadLeavesTheConnectionInOrder) {
    asio::io_context context;
    wait_for(Waiting::nothing);
    Pair pair(context, *this);
    pair.shake_hands();
    run(context);
    ASSERT_TRUE(pair.is_ready());
    asio::cancellation_signal signal;
    std::optional<ErrorCode> ended;
    char byte = 0;
    pair.server.async_read_some(
        asio::buffer(&byte, 1),
        test::cancellable(signal, [&](const ErrorCode& error, std::size_t) { ended = error; }));
    context.poll();
    signal.emit(asio::cancellation_type::partial);
    run_until(context, [&] { return ended.has_value(); });
    EXPECT_EQ(ended, asio::error::operation_aborted);
    asio::async_write(pair.client, asio::buffer("x", 1), [](const ErrorCode&, std::size_t) {});
    pair.server.async_read_some(asio::buffer(&byte, 1),
                                [&](const ErrorCode& error, std::size_t) { ended = error; });
    run(context);
    EXPECT_EQ(ended, ErrorCode());
    EXPECT_EQ(byte, 'x');
}
#endif
