// SPDX-License-Identifier: Apache-2.0
// Notifiers. Contract: notifier.hpp.
#include "notifier.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdint>
#include <mutex>
#include <new>

namespace offload {

// What a wait context and the workers of its jobs share: an eventfd, open until the wait
// context ends, and the leave to notify, which ends with it too.
class Channel {
  public:
    explicit Channel(int descriptor) : descriptor_(descriptor) {}
    ~Channel() { close(); }
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    void signal(ASYNC_callback_fn callback, void* callback_arg) {
        const std::lock_guard lock(mutex_);
        if (descriptor_ < 0)
            return;  // the callback's argument may be gone as well
        const std::uint64_t one = 1;
        if (callback != nullptr)
            (void)callback(callback_arg);
        else
            (void)!::write(descriptor_, &one, sizeof(one));
    }

    void take_back() {
        const std::lock_guard lock(mutex_);
        std::uint64_t one = 0;
        if (descriptor_ >= 0)
            (void)!::read(descriptor_, &one, sizeof(one));
    }

    void close() {
        const std::lock_guard lock(mutex_);
        if (descriptor_ >= 0)
            ::close(descriptor_);
        descriptor_ = -1;
    }

  private:
    std::mutex mutex_;
    int descriptor_;
};

namespace {

// The address is this provider's key in every wait context.
const char key = 0;

// The wait context is being freed; a worker may still hold the channel.
void wait_context_ends(ASYNC_WAIT_CTX* /*wait*/, const void* /*key*/, OSSL_ASYNC_FD /*fd*/,
                       void* data) {
    auto* const channel = static_cast<std::shared_ptr<Channel>*>(data);
    (*channel)->close();
    delete channel;
}

}  // namespace

bool Notifier::for_job(ASYNC_WAIT_CTX* wait) {
    // With a callback too: only an fd's cleanup tells of the wait context's end.
    void* data = nullptr;
    OSSL_ASYNC_FD known = OSSL_BAD_ASYNC_FD;
    if (ASYNC_WAIT_CTX_get_fd(wait, &key, &known, &data) == 1) {
        channel_ = *static_cast<std::shared_ptr<Channel>*>(data);
    } else {
        // A semaphore: several paused jobs of one wait context each take their own signal.
        unpublished_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK | EFD_SEMAPHORE);
        if (unpublished_ < 0)
            return false;
        try {
            channel_ = std::make_shared<Channel>(unpublished_);
        } catch (...) {
            ::close(unpublished_);
            throw;
        }
    }
    if (ASYNC_WAIT_CTX_get_callback(wait, &callback_, &callback_arg_) == 1 && callback_ != nullptr)
        return ASYNC_WAIT_CTX_set_status(wait, ASYNC_STATUS_OK) == 1;
    callback_ = nullptr;
    return true;
}

Notifier::Published Notifier::publish(ASYNC_WAIT_CTX* wait) noexcept {
    if (unpublished_ < 0)
        return Published::before;
    auto* const held = new (std::nothrow) std::shared_ptr<Channel>(channel_);
    if (held == nullptr ||
        ASYNC_WAIT_CTX_set_wait_fd(wait, &key, unpublished_, held, wait_context_ends) != 1) {
        delete held;
        return Published::not_at_all;
    }
    unpublished_ = -1;
    return Published::now;
}

void Notifier::signal() const {
    channel_->signal(callback_, callback_arg_);
}

void Notifier::take_back() const {
    if (callback_ == nullptr)
        channel_->take_back();
}

}  // namespace offload
