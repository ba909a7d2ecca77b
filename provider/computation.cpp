// SPDX-License-Identifier: Apache-2.0
// Computations. Contract: computation.hpp.
#include "computation.hpp"

#include <openssl/async.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <pthread.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <unordered_map>
#include <utility>
#include <vector>

#include "error_queue.hpp"
#include "notifier.hpp"
#include "workers.hpp"

namespace offload {

namespace {

// Larger than any key's output; a caller that passes a size like SIZE_MAX means "enough".
constexpr std::size_t largest_copy = 65536;

// A job that is resumed before its work is done (some servers do so at every event), or whose
// pausing is blocked, waits a little before it pauses again, twice as long each time: it must
// neither spin nor hold its thread up.
constexpr auto first_wait = std::chrono::microseconds(1);
constexpr auto longest_wait = std::chrono::microseconds(1024);

// Bytes that may be secret.
class SecretBytes {
  public:
    explicit SecretBytes(std::size_t size) : bytes_(size) {}
    SecretBytes(const unsigned char* from, std::size_t size) : bytes_(from, from + size) {}
    ~SecretBytes() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }
    SecretBytes(const SecretBytes&) = delete;
    SecretBytes& operator=(const SecretBytes&) = delete;

    unsigned char* data() { return bytes_.data(); }

  private:
    std::vector<unsigned char> bytes_;
};

// Inner contexts that workers have.
class ContextsInUse {
  public:
    // Around a fork. The child has no workers, so it has no contexts in use.
    void before_fork() { mutex_.lock(); }
    void in_parent() { mutex_.unlock(); }
    void in_child() {
        contexts_.clear();
        mutex_.unlock();
    }

    // Waits while the worker of an abandoned computation has the context.
    void wait_for(void* context) {
        std::unique_lock lock(mutex_);
        ended_.wait(lock, [&] { return contexts_.count(context) == 0; });
    }

    void begin(void* context) {
        const std::lock_guard lock(mutex_);
        contexts_.emplace(context, nullptr);
    }

    void end(void* context) {
        void (*inner_free)(void*) = nullptr;
        {
            const std::lock_guard lock(mutex_);
            const auto found = contexts_.find(context);
            inner_free = found->second;
            contexts_.erase(found);
        }
        ended_.notify_all();
        if (inner_free != nullptr)
            inner_free(context);
    }

    // Whether end() will free it.
    bool leave_to_worker(void* context, void (*inner_free)(void*)) {
        const std::lock_guard lock(mutex_);
        const auto found = contexts_.find(context);
        if (found == contexts_.end())
            return false;
        found->second = inner_free;
        return true;
    }

  private:
    std::mutex mutex_;
    std::condition_variable ended_;
    std::unordered_map<void*, void (*)(void*)> contexts_;
};

ContextsInUse& contexts_in_use() {
    static auto* const contexts = [] {
        pthread_atfork([] { contexts_in_use().before_fork(); },
                       [] { contexts_in_use().in_parent(); }, [] { contexts_in_use().in_child(); });
        // Never destroyed: workers may outlast static objects. Nor is memory asked for, whose lack
        // nobody could be told of here.
        alignas(ContextsInUse) static std::byte place[sizeof(ContextsInUse)];
        return new (place) ContextsInUse;
    }();
    return *contexts;
}

class Computation {
  public:
    Computation(const Inner& inner, void* context, std::size_t out_length, std::size_t out_size,
                const unsigned char* in, std::size_t in_length)
        : inner_(inner),
          context_(context),
          out_(out_size),
          out_length_(out_length),
          out_size_(out_size),
          in_(in, in_length),
          in_length_(in_length) {}

    [[nodiscard]] bool notify_by(ASYNC_WAIT_CTX* wait) { return notifier_.for_job(wait); }

    [[nodiscard]] Notifier::Published publish(ASYNC_WAIT_CTX* wait) noexcept {
        return notifier_.publish(wait);
    }

    // On a worker.
    void run() {
        if (!is_abandoned()) {
            ERR_clear_error();
            result_ =
                inner_(context_, out_.data(), &out_length_, out_size_, in_.data(), in_length_);
            take_errors();
        }
        contexts_in_use().end(context_);
        const std::lock_guard lock(mutex_);
        done_ = true;
        // Under the lock: a job that sees done_ takes the signal back, and it must be there.
        if (!abandoned_)
            notifier_.signal();
        condition_.notify_all();
    }

    // On the job's thread: whether the result is there, after waiting for it a little.
    [[nodiscard]] bool finished_within(std::chrono::microseconds time) {
        std::unique_lock lock(mutex_);
        if (!condition_.wait_for(lock, time, [this] { return done_; }))
            return false;
        notifier_.take_back();
        return true;
    }

    // Whether the worker that had it was left behind in the parent of a fork; nothing else of
    // this object may be used then, its lock may be held for ever.
    [[nodiscard]] bool is_lost() const { return generation_ != workers::generation(); }

    // When it is lost.
    void keep_for_ever(std::shared_ptr<Computation> self) { self_ = std::move(self); }

    // The job was cancelled: nobody will look at the result.
    void abandon() {
        const std::lock_guard lock(mutex_);
        abandoned_ = true;
        if (done_)
            notifier_.take_back();
    }

    int take_result(unsigned char* out, std::size_t* out_length) {
        errors_.give();
        *out_length = out_length_;
        if (result_ > 0 && out_length_ <= out_size_)
            std::copy_n(out_.data(), out_length_, out);
        return result_;
    }

  private:
    void take_errors() {
        try {
            errors_.take();
        } catch (const std::bad_alloc&) {
            ERR_clear_error();  // the result alone has to tell
        }
    }

    bool is_abandoned() {
        const std::lock_guard lock(mutex_);
        return abandoned_;
    }

    const Inner inner_;
    void* const context_;
    SecretBytes out_;
    std::size_t out_length_;
    const std::size_t out_size_;
    SecretBytes in_;
    const std::size_t in_length_;
    Notifier notifier_;
    ErrorQueue errors_;
    int result_ = 0;
    const unsigned generation_ = workers::generation();
    std::shared_ptr<Computation> self_;

    std::mutex mutex_;
    std::condition_variable condition_;
    bool done_ = false;
    bool abandoned_ = false;
};

// Pauses the job with an empty error queue, as its owner's SSL_get_error() expects. False if
// the job was cancelled.
bool pause() {
    ErrorQueue kept;
    try {
        if (ERR_peek_error() != 0)
            kept.take();
    } catch (const std::bad_alloc&) {
        ERR_clear_error();
    }
    const bool resumed = ASYNC_pause_job() == 1;
    kept.give();
    return resumed;
}

int fail(const char* why) {
    ERR_raise_data(ERR_LIB_PROV, ERR_R_INTERRUPTED_OR_CANCELLED, "offload: %s", why);
    return 0;
}

// Starts the computation on a worker. NULL if it must be done in place.
std::shared_ptr<Computation> start(const Inner& inner, void* context, unsigned char* out,
                                   const std::size_t* out_length, std::size_t out_size,
                                   const unsigned char* in, std::size_t in_length) {
    if (out == nullptr || out_size > largest_copy || in_length > largest_copy)
        return nullptr;
    ASYNC_JOB* const job = ASYNC_get_current_job();
    ASYNC_WAIT_CTX* const wait = job != nullptr ? ASYNC_get_wait_ctx(job) : nullptr;
    if (wait == nullptr)
        return nullptr;
    auto computation =
        std::make_shared<Computation>(inner, context, *out_length, out_size, in, in_length);
    if (!computation->notify_by(wait))
        return nullptr;
    std::function<void()> work = [computation] { computation->run(); };
    contexts_in_use().begin(context);
    if (!workers::post(std::move(work))) {
        contexts_in_use().end(context);
        return nullptr;
    }
    return computation;
}

}  // namespace

int compute(const Inner& inner, void* context, unsigned char* out, std::size_t* out_length,
            std::size_t out_size, const unsigned char* in, std::size_t in_length) noexcept {
    contexts_in_use().wait_for(context);
    std::shared_ptr<Computation> computation;
    try {
        computation = start(inner, context, out, out_length, out_size, in, in_length);
    } catch (const std::exception&) {
        // No memory for it; the inner function may need none.
    }
    if (computation == nullptr)
        return inner(context, out, out_length, out_size, in, in_length);

    const auto published = computation->publish(ASYNC_get_wait_ctx(ASYNC_get_current_job()));
    if (published == Notifier::Published::not_at_all) {
        // Nobody would know when to resume the job.
        while (!computation->finished_within(longest_wait)) {
        }
        return computation->take_result(out, out_length);
    }
    bool must_pause = published == Notifier::Published::now;
    auto wait = std::chrono::microseconds(0);
    for (;;) {
        if (!must_pause && computation->finished_within(wait))
            return computation->take_result(out, out_length);
        const bool resumed = pause();
        if (computation->is_lost()) {
            // What the two processes shared stays as it is, for ever.
            computation->keep_for_ever(computation);
            return fail("the process was forked while a worker had the private-key operation");
        }
        if (!resumed) {
            computation->abandon();
            return fail("the job was cancelled while it waited for a private-key operation");
        }
        must_pause = false;
        wait = std::clamp(2 * wait, first_wait, longest_wait);
    }
}

void free_context(void (*inner_free)(void*), void* context) noexcept {
    if (context == nullptr || !contexts_in_use().leave_to_worker(context, inner_free))
        inner_free(context);
}

}  // namespace offload
