// SPDX-License-Identifier: Apache-2.0
// What stands behind an ssl_stream: the connection of OpenSSL, the stream below, and the
// operations that are pending. The two are joined by a pair of BIOs; the stream below reads into
// and writes from the ring buffers of that pair.
//
// libssl runs each call in a job of its own, and has one at a time: while one is paused, a call
// for another operation would go on with that job. So others wait, and the paused one is called
// again when its job can go on. Nor is libssl called inside a job of the program's, where it would
// start none, and pause that one.
//
// The stream and its operations' handlers may go away at any time, so all is in one object that
// they share; operations are destroyed with their execution context (shut_down()), though their
// handlers may hold the stream.
//
// Threads: those of the stream's executor, one at a time.
//
// Next layer down: driver.hpp, service.hpp, libssl.
#pragma once

#include <malloc.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <new>
#include <optional>
#include <utility>
#include <vector>

#include "config.hpp"
#include "driver.hpp"
#include "service.hpp"
#include ASYNCJOB_ASIO_HEADER(buffer.hpp)
#include ASYNCJOB_ASIO_HEADER(ssl.hpp)

namespace asyncjob {
inline namespace ASYNCJOB_ASIO_NAMESPACE {
namespace detail {

enum class ssl_kind { connect, accept, shutdown, read, write };

// Where a connection keeps the handle of its paused job: a private field of libssl's, in the same
// place in each connection, so it is looked for once. NULL if there is none, or if it cannot be
// told how large a connection is, as the program has given OpenSSL an allocator.
inline ASYNC_JOB** find_ssl_job(SSL* ssl) {
    static std::atomic<std::ptrdiff_t> offset = -1;
    auto* const object = reinterpret_cast<std::byte*>(ssl);
    if (SSL_waiting_for_async(ssl) == 0)
        return nullptr;
    if (const std::ptrdiff_t known = offset.load(std::memory_order_relaxed); known >= 0)
        return reinterpret_cast<ASYNC_JOB**>(object + known);
    // Nothing behind it is touched, which may be another's.
    CRYPTO_malloc_fn allocate = nullptr;
    CRYPTO_get_mem_functions(&allocate, nullptr, nullptr);
    if (allocate != CRYPTO_malloc)
        return nullptr;
    ASYNC_JOB** const found = asyncjob_find_handle(object, malloc_usable_size(ssl));
    if (found == nullptr)
        return nullptr;
    // It is the job's if libssl misses the job without it.
    ASYNC_JOB* const job = std::exchange(*found, nullptr);
    const bool is_missed = SSL_waiting_for_async(ssl) == 0;
    *found = job;
    if (!is_missed)
        return nullptr;
    offset.store(reinterpret_cast<std::byte*>(found) - object, std::memory_order_relaxed);
    return found;
}

// A pending operation, of whatever handler.
class ssl_operation {
  public:
    enum class state { ready, wants_read, wants_write, wants_slot, is_flushed, is_done };

    ssl_operation(const ssl_operation&) = delete;
    ssl_operation& operator=(const ssl_operation&) = delete;

    // Calls the handler, by its executor, and destroys this before; or just destroys it.
    virtual void complete(bool in_initiation) = 0;
    virtual void destroy() = 0;

    const ssl_kind kind;
    const net::mutable_buffer buffer;
    const std::uint64_t number;
    state now = state::ready;
    error_code error;
    std::size_t bytes = 0;
    ssl_operation* next = nullptr;

  protected:
    ssl_operation(ssl_kind kind, net::mutable_buffer buffer, std::uint64_t number)
        : kind(kind), buffer(buffer), number(number) {}
    ~ssl_operation() = default;
};

template <typename Handler, typename Executor, bool has_bytes>
class ssl_operation_of final : public ssl_operation {
    using allocator_type = typename std::allocator_traits<
        net::associated_allocator_t<Handler>>::template rebind_alloc<ssl_operation_of>;
    using handler_executor = net::associated_executor_t<Handler, Executor>;

  public:
    ssl_operation_of(ssl_kind kind, net::mutable_buffer buffer, std::uint64_t number,
                     Handler&& handler, const Executor& executor)
        : ssl_operation(kind, buffer, number),
          handler_(std::move(handler)),
          work_(executor),
          handler_work_(net::get_associated_executor(handler_, executor)) {}

    static ssl_operation* make(ssl_kind kind, net::mutable_buffer buffer, std::uint64_t number,
                               Handler&& handler, const Executor& executor) {
        allocator_type allocator(net::get_associated_allocator(handler));
        ssl_operation_of* const memory = allocator.allocate(1);
        try {
            return ::new (static_cast<void*>(memory))
                ssl_operation_of(kind, buffer, number, std::move(handler), executor);
        } catch (...) {
            allocator.deallocate(memory, 1);
            throw;
        }
    }

    void complete(bool in_initiation) override {
        disconnect_slot();
        completion done{std::move(handler_), error, bytes};
        const auto work = std::move(work_);
        const auto handler_work = std::move(handler_work_);
        destroy();
        if (in_initiation)
            net::post(handler_work.get_executor(), std::move(done));
        else
            net::dispatch(handler_work.get_executor(), std::move(done));
    }

    void destroy() override {
        allocator_type allocator(net::get_associated_allocator(handler_));
        this->~ssl_operation_of();
        allocator.deallocate(this, 1);
    }

#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
    template <typename Cancel>
    void connect_slot(Cancel cancel) {
        slot_ = net::get_associated_cancellation_slot(handler_);
        if (slot_.is_connected())
            slot_.assign(std::move(cancel));
    }
    void disconnect_slot() {
        if (slot_.is_connected())
            slot_.clear();
    }
#else
    void disconnect_slot() {}
#endif

  private:
    struct completion {
        using allocator_type = net::associated_allocator_t<Handler>;
        [[nodiscard]] allocator_type get_allocator() const noexcept {
            return net::get_associated_allocator(handler);
        }
        void operator()() {
            if constexpr (has_bytes)
                std::move(handler)(error, bytes);
            else
                std::move(handler)(error);
        }
        Handler handler;
        error_code error;
        std::size_t bytes;
    };

    Handler handler_;
#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
    net::associated_cancellation_slot_t<Handler> slot_;
#endif
    net::executor_work_guard<Executor> work_;
    net::executor_work_guard<handler_executor> handler_work_;
};

template <typename Socket>
class ssl_core final : public driver {
    using executor_type = typename Socket::executor_type;
    using state = ssl_operation::state;

  public:
    template <typename Arg>
    ssl_core(Arg&& socket, SSL_CTX* context)
        : ssl_core(std::make_unique<Socket>(std::forward<Arg>(socket)), context) {}
    ssl_core(std::unique_ptr<Socket> socket, SSL_CTX* context)
        : driver(socket->get_executor()), socket_(std::move(socket)), ssl_(SSL_new(context)) {
        BIO* inside = nullptr;
        if (ssl_ == nullptr || BIO_new_bio_pair(&inside, 0, &outside_, 0) != 1) {
            SSL_free(ssl_);
            throw system_error(
                error_code(static_cast<int>(ERR_get_error()), net::error::get_ssl_category()));
        }
        SSL_set_bio(ssl_, inside, inside);
        SSL_set_mode(ssl_, SSL_MODE_ASYNC | SSL_MODE_ENABLE_PARTIAL_WRITE |
                               SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    }
    ~ssl_core() {
        for (ssl_operation* each = operations_; each != nullptr;)
            std::exchange(each, each->next)->destroy();
        // A job that is lost on another thread still refers to them.
        if (SSL_waiting_for_async(ssl_) != 0)
            return;
        BIO_free(outside_);
        SSL_free(ssl_);
    }

    [[nodiscard]] Socket& next_layer() { return *socket_; }
    [[nodiscard]] const Socket& next_layer() const { return *socket_; }
    [[nodiscard]] SSL* native_handle() { return ssl_; }
    [[nodiscard]] std::uint64_t next_number() { return ++numbers_; }

    // An operation begins: in the time of whoever has called for it.
    void begin(ssl_operation* operation) {
        ssl_operation** end = &operations_;
        while (*end != nullptr)
            end = &(*end)->next;
        *end = operation;
        run(self(), true);
    }

    void close() {
        error_code ignored;
        socket_->lowest_layer().close(ignored);
        if (std::exchange(is_closed_, true) || is_shut_down_ || operations_ == nullptr)
            return;
        ask_to_end();
        // Later: callbacks that the job is in may be the application's.
        later();
    }

    // An operation's slot says so.
    void cancel(std::uint64_t number) {
        if (paused_ != nullptr && paused_->number == number) {
            ask_to_end();
            later();
            return;
        }
        for (ssl_operation* each = operations_; each != nullptr; each = each->next) {
            if (each->number == number && each->now != state::is_done) {
                end(*each, net::error::operation_aborted);
                later();
                return;
            }
        }
    }

    void go_on(std::shared_ptr<driver> /*self*/) override {
        can_go_on_ = true;
        run(self(), false);
    }

    bool slot_is_free(std::shared_ptr<driver> which) override {
        is_queued_ = false;
        go_on(which);
        return is_queued_;
    }

    void turn_away(std::shared_ptr<driver> which) override { go_on(std::move(which)); }

    void shut_down(std::shared_ptr<driver> /*self*/) override {
        const std::shared_ptr<ssl_core> held = self();
        is_shut_down_ = true;
        ask_to_end();
        // What waits for an operation goes on when that is destroyed.
        if (has_operations() || has_turn())
            return;
        take_turn();
        if (paused_ != nullptr)
            end_job();
        end_turn();
        destroy_operations();
    }

  private:
    std::shared_ptr<ssl_core> self() {
        return std::static_pointer_cast<ssl_core>(shared_from_this());
    }

    void later() {
        net::post(executor(), [held = self()] {
            held->can_go_on_ = true;
            held->run(held, false);
        });
    }

    static void end(ssl_operation& operation, error_code error) {
        operation.error = error;
        operation.now = state::is_done;
    }

    // Does what can be done now. May destroy the stream and more: only `held` is sure to be there
    // when handlers have been called.
    static void run(const std::shared_ptr<ssl_core>& held, bool in_initiation) {
        ssl_core& core = *held;
        if (core.has_turn())
            return;  // whoever has it looks once more
        if (ASYNC_get_current_job() != nullptr) {
            // A handler is here, so that there is somebody who looks.
            if (!core.has_posted_) {
                core.has_posted_ = true;
                net::post(core.executor(), [held] {
                    held->has_posted_ = false;
                    run(held, false);
                });
            }
            return;
        }
        core.take_turn();
        core.advance();
        if (!core.is_shut_down_)
            core.move_bytes(held);
        core.end_turn();
        if (core.is_shut_down_) {
            if (core.paused_ == nullptr)
                core.destroy_operations();
            return;
        }
        core.complete_done(in_initiation);
    }

    void advance() {
        if (paused_ != nullptr && !advance_paused())
            return;
        can_go_on_ = false;
        for (ssl_operation* each = operations_; each != nullptr && paused_ == nullptr;
             each = each->next) {
            if (is_closed_ || is_shut_down_) {
                if (each->now != state::is_done)
                    end(*each, net::error::operation_aborted);
            } else if (each->now == state::ready ||
                       (each->now == state::wants_slot && !is_queued_)) {
                call(*each);
            }
        }
    }

    // False if the paused operation still is.
    bool advance_paused() {
        if (!std::exchange(can_go_on_, false))
            return false;
        if (service_ != nullptr)
            service_->stop_waiting(*this);
        if (!is_asked_to_end()) {
            call(*paused_);
            return paused_ == nullptr;
        }
        if (has_operations()) {
            cancel_operations();
            if (has_operations())
                return false;
        }
        end_job();
        return true;
    }

    // Cancels the paused job. One that cannot be, of another thread's, is lost.
    void end_job() {
        ssl_operation& operation = *std::exchange(paused_, nullptr);
        give_up_claim();
        if (ASYNC_JOB** const job = find_ssl_job(ssl_); job != nullptr) {
            const running here(*this);
            int result = 0;
            // That of a job that asyncjob_cancel_all() has ended is still there.
            if (asyncjob_cancel(job, &result) != ASYNC_FINISH &&
                asyncjob_last_reason() == ASYNCJOB_R_JOB_NOT_PAUSED)
                *job = nullptr;
            ERR_clear_error();
        }
        end(operation, net::error::operation_aborted);
        is_broken_ = true;
    }

    int call_libssl(const ssl_operation& operation) {
        const std::size_t most = std::numeric_limits<int>::max();
        const int size = static_cast<int>(std::min(operation.buffer.size(), most));
        switch (operation.kind) {
            case ssl_kind::connect:
                return SSL_connect(ssl_);
            case ssl_kind::accept:
                return SSL_accept(ssl_);
            case ssl_kind::read:
                return SSL_read(ssl_, operation.buffer.data(), size);
            case ssl_kind::write:
                return SSL_write(ssl_, operation.buffer.data(), size);
            case ssl_kind::shutdown:
                break;
        }
        // 0: its goodbye is sent, and the peer's is to be waited for.
        const int result = SSL_shutdown(ssl_);
        return result != 0 ? result : SSL_shutdown(ssl_);
    }

    // Begins the operation in libssl, or goes on with it.
    void call(ssl_operation& operation) {
        const bool has_data = operation.kind == ssl_kind::read || operation.kind == ssl_kind::write;
        if (is_broken_) {
            end(operation, net::error::operation_aborted);
            return;
        }
        if (has_data && operation.buffer.size() == 0) {
            end(operation, {});
            return;
        }
        thread_hub& hub = thread_hub::here();
        if (operation.now != state::wants_slot && paused_ == nullptr && hub.has_queue()) {
            wait_for_slot(operation, false);
            return;
        }
        ERR_clear_error();
        int result = 0;
        {
            const running here(*this);
            result = call_libssl(operation);
        }
        const int error = SSL_get_error(ssl_, result);
        if (paused_ != nullptr && error != SSL_ERROR_WANT_ASYNC) {
            paused_ = nullptr;
            give_up_claim();
        }
        if (error == SSL_ERROR_WANT_ASYNC_JOB) {
            wait_for_slot(operation, true);
            return;
        }
        take(operation, result, error);
    }

    void take(ssl_operation& operation, int result, int error) {
        switch (error) {
            case SSL_ERROR_NONE:
                operation.bytes = static_cast<std::size_t>(result);
                if (operation.kind == ssl_kind::read)
                    operation.now = state::is_done;
                else
                    operation.now = state::is_flushed;
                return;
            case SSL_ERROR_WANT_READ:
                operation.now = state::wants_read;
                if (read_error_)
                    end(operation, read_error_);
                return;
            case SSL_ERROR_WANT_WRITE:
                operation.now = state::wants_write;
                return;
            case SSL_ERROR_WANT_ASYNC:
                pause(operation);
                return;
            case SSL_ERROR_ZERO_RETURN:
                end(operation, net::error::eof);
                return;
            case SSL_ERROR_SSL:
                is_broken_ = true;
                end(operation,
                    error_code(static_cast<int>(ERR_get_error()), net::error::get_ssl_category()));
                return;
            default:
                // A callback that wants to be called again, say: in a job it can wait instead.
                is_broken_ = true;
                end(operation, net::error::operation_not_supported);
                return;
        }
    }

    void wait_for_slot(ssl_operation& operation, bool was_refused) {
        const bool waited_before = operation.now == state::wants_slot;
        operation.now = state::wants_slot;
        if (!std::exchange(is_queued_, true))
            thread_hub::here().wait_for_slot(*this, was_refused && waited_before);
    }

    void pause(ssl_operation& operation) {
        paused_ = &operation;
        home_ = std::this_thread::get_id();
        if (waits_for_operation())
            return;
        if (is_asked_to_end()) {
            later();
            return;
        }
        if (const error_code failed = wait(); failed) {
            end_job();
            operation.error = failed;
        }
    }

    error_code wait() {
        if (service_ == nullptr)
            return net::error::operation_aborted;
        if (!is_claimed_ && !service_->claim())
            return net::error::operation_not_supported;
        is_claimed_ = true;
        std::size_t count = 0;
        SSL_get_all_async_fds(ssl_, nullptr, &count);
        std::vector<int> fds(count);
        SSL_get_all_async_fds(ssl_, fds.data(), &count);
        ASYNC_JOB** const job = find_ssl_job(ssl_);
        return service_->wait(*this, job != nullptr ? *job : nullptr, fds);
    }

    void give_up_claim() {
        if (std::exchange(is_claimed_, false) && service_ != nullptr)
            service_->give_up();
    }

    // Starts to write what libssl has put into the ring, and to read what it wants.
    void move_bytes(const std::shared_ptr<ssl_core>& held) {
        bool wants_read = false;
        bool is_empty = BIO_ctrl_pending(outside_) == 0;
        for (ssl_operation* each = operations_; each != nullptr; each = each->next) {
            if (each->now == state::is_flushed && (is_empty || write_error_)) {
                each->error = is_empty ? error_code() : write_error_;
                each->now = state::is_done;
            } else if (each->now == state::wants_write && write_error_) {
                end(*each, write_error_);
            }
            wants_read = wants_read || each->now == state::wants_read;
        }
        if (!is_empty && !is_writing_ && !write_error_) {
            char* from = nullptr;
            const int size = BIO_nread0(outside_, &from);
            is_writing_ = true;
            socket_->async_write_some(net::const_buffer(from, static_cast<std::size_t>(size)),
                                      [held](const error_code& error, std::size_t size) {
                                          held->has_written(error, size);
                                          run(held, false);
                                      });
        }
        if (wants_read && !is_reading_) {
            char* to = nullptr;
            const int size = BIO_nwrite0(outside_, &to);
            is_reading_ = true;
            socket_->async_read_some(net::mutable_buffer(to, static_cast<std::size_t>(size)),
                                     [held](const error_code& error, std::size_t size) {
                                         held->has_read(error, size);
                                         run(held, false);
                                     });
        }
    }

    void has_written(const error_code& error, std::size_t size) {
        is_writing_ = false;
        char* from = nullptr;
        if (size > 0)
            BIO_nread(outside_, &from, static_cast<int>(size));
        if (error)
            write_error_ = error;
        wake(state::wants_write);
    }

    void has_read(const error_code& error, std::size_t size) {
        is_reading_ = false;
        char* to = nullptr;
        if (size > 0)
            BIO_nwrite(outside_, &to, static_cast<int>(size));
        if (error)
            read_error_ =
                error == net::error::eof ? error_code(net::ssl::error::stream_truncated) : error;
        wake(state::wants_read);
    }

    void wake(state waiting) {
        for (ssl_operation* each = operations_; each != nullptr; each = each->next) {
            if (each->now == waiting)
                each->now = state::ready;
        }
    }

    void complete_done(bool in_initiation) {
        ssl_operation* done = nullptr;
        ssl_operation** last = &done;
        for (ssl_operation** each = &operations_; *each != nullptr;) {
            ssl_operation* const operation = *each;
            if (operation->now == state::is_done) {
                *each = std::exchange(operation->next, nullptr);
                *last = operation;
                last = &operation->next;
            } else {
                each = &operation->next;
            }
        }
        while (done != nullptr)
            std::exchange(done, done->next)->complete(in_initiation);
    }

    void destroy_operations() {
        while (operations_ != nullptr)
            std::exchange(operations_, operations_->next)->destroy();
    }

    std::unique_ptr<Socket> socket_;
    SSL* const ssl_;
    BIO* outside_ = nullptr;
    ssl_operation* operations_ = nullptr;
    ssl_operation* paused_ = nullptr;  // whose job is
    std::uint64_t numbers_ = 0;
    error_code read_error_;
    error_code write_error_;
    bool can_go_on_ = false;
    bool is_reading_ = false;
    bool is_writing_ = false;
    bool is_claimed_ = false;
    bool is_queued_ = false;
    bool is_closed_ = false;
    bool is_broken_ = false;
    bool is_shut_down_ = false;
    bool has_posted_ = false;
};

template <typename Core, bool has_bytes>
class initiate_ssl {
  public:
    explicit initiate_ssl(std::shared_ptr<Core> core) : core_(std::move(core)) {}

    using executor_type = net::any_io_executor;
    [[nodiscard]] executor_type get_executor() const noexcept { return core_->executor(); }

    template <typename Handler>
    void operator()(Handler&& handler, ssl_kind kind, net::mutable_buffer buffer) const {
        const auto executor = core_->next_layer().get_executor();
        using operation = ssl_operation_of<std::decay_t<Handler>,
                                           std::remove_const_t<decltype(executor)>, has_bytes>;
        const std::uint64_t number = core_->next_number();
        std::decay_t<Handler> own(std::forward<Handler>(handler));
        ssl_operation* const made = operation::make(kind, buffer, number, std::move(own), executor);
#ifdef ASYNCJOB_ASIO_HAS_CANCELLATION
        static_cast<operation*>(made)->connect_slot([weak = std::weak_ptr<Core>(core_),
                                                     number](net::cancellation_type_t type) {
            constexpr auto any = net::cancellation_type::terminal | net::cancellation_type::partial;
            if (const auto core = weak.lock();
                core != nullptr && (type & any) != net::cancellation_type::none)
                core->cancel(number);
        });
#endif
        core_->begin(made);
    }

  private:
    std::shared_ptr<Core> core_;
};

}  // namespace detail
}  // namespace ASYNCJOB_ASIO_NAMESPACE
}  // namespace asyncjob
