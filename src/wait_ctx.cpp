// SPDX-License-Identifier: Apache-2.0
// Wait contexts. Contract: wait_ctx.hpp.
#include "wait_ctx.hpp"

#include <cstdlib>
#include <cstring>
#include <limits>

async_wait_ctx_st::~async_wait_ctx_st() {
    if (entries_ != inline_)
        std::free(entries_);
}

bool async_wait_ctx_st::begin_end() noexcept {
    if (ending_)
        return false;
    ending_ = true;
    // A cleanup may list, clear and add; its own fd stays listed until it has returned.
    while (size_ > 0) {
        const Entry last = entries_[size_ - 1];
        if (last.state != State::deleted && last.cleanup != nullptr)
            last.cleanup(this, last.key, last.fd, last.data);
        for (std::size_t at = size_; at > 0; --at) {
            if (entries_[at - 1].serial == last.serial) {
                erase(&entries_[at - 1]);
                break;
            }
        }
    }
    return true;
}

bool async_wait_ctx_st::add(const void* key, OSSL_ASYNC_FD fd, void* data,
                            Cleanup cleanup) noexcept {
    if (size_ == capacity_) {
        if (capacity_ > std::numeric_limits<std::size_t>::max() / sizeof(Entry) / 2)
            return false;
        const std::size_t bytes = 2 * capacity_ * sizeof(Entry);
        void* const larger =
            entries_ == inline_ ? std::malloc(bytes) : std::realloc(entries_, bytes);
        if (larger == nullptr)
            return false;
        if (entries_ == inline_)
            std::memcpy(larger, inline_, sizeof(inline_));
        entries_ = static_cast<Entry*>(larger);
        capacity_ *= 2;
    }
    entries_[size_++] = {key, data, cleanup, next_serial_++, fd, State::added};
    ++added_;
    changed_ = true;
    return true;
}

const async_wait_ctx_st::Entry* async_wait_ctx_st::newest(const void* key) const noexcept {
    for (std::size_t at = size_; at > 0; --at) {
        const Entry& entry = entries_[at - 1];
        if (entry.key == key && entry.state != State::deleted)
            return &entry;
    }
    return nullptr;
}

bool async_wait_ctx_st::find(const void* key, OSSL_ASYNC_FD* fd, void** data) const noexcept {
    const Entry* const entry = newest(key);
    if (entry == nullptr)
        return false;
    if (fd != nullptr)
        *fd = entry->fd;
    if (data != nullptr)
        *data = entry->data;
    return true;
}

bool async_wait_ctx_st::clear(const void* key) noexcept {
    auto* const entry = const_cast<Entry*>(newest(key));
    if (entry == nullptr)
        return false;
    if (entry->state == State::added) {
        erase(entry);
    } else {
        entry->state = State::deleted;
        ++deleted_;
        changed_ = true;
    }
    return true;
}

void async_wait_ctx_st::erase(Entry* entry) noexcept {
    if (entry->state == State::added)
        --added_;
    else if (entry->state == State::deleted)
        --deleted_;
    const auto behind = static_cast<std::size_t>(entries_ + size_ - (entry + 1));
    std::memmove(entry, entry + 1, behind * sizeof(Entry));
    --size_;
}

void async_wait_ctx_st::list(OSSL_ASYNC_FD* fds, std::size_t& count) const noexcept {
    count = size_ - deleted_;
    if (fds == nullptr)
        return;
    for (std::size_t at = size_; at > 0; --at) {
        if (entries_[at - 1].state != State::deleted)
            *fds++ = entries_[at - 1].fd;
    }
}

std::size_t async_wait_ctx_st::peek_fds(const async_wait_ctx_st* context, OSSL_ASYNC_FD* fds,
                                        std::size_t most,
                                        bool (*copy)(void*, const void*, std::size_t)) noexcept {
    alignas(async_wait_ctx_st) std::byte image[sizeof(async_wait_ctx_st)];
    if (!copy(image, context, sizeof image))
        return 0;
    const auto& seen = *reinterpret_cast<const async_wait_ctx_st*>(image);
    std::size_t count = 0;
    for (std::size_t at = seen.size_; at > 0 && count < most; --at) {
        Entry entry;
        if (!copy(&entry, seen.entries_ + (at - 1), sizeof entry))
            break;
        if (entry.state != State::deleted)
            fds[count++] = entry.fd;
    }
    return count;
}

void async_wait_ctx_st::list_changed(OSSL_ASYNC_FD* added, std::size_t& added_count,
                                     OSSL_ASYNC_FD* deleted,
                                     std::size_t& deleted_count) const noexcept {
    added_count = added_;
    deleted_count = deleted_;
    for (std::size_t at = size_; at > 0; --at) {
        const Entry& entry = entries_[at - 1];
        if (entry.state == State::added && added != nullptr)
            *added++ = entry.fd;
        else if (entry.state == State::deleted && deleted != nullptr)
            *deleted++ = entry.fd;
    }
}

void async_wait_ctx_st::forget_changes() noexcept {
    std::size_t kept = 0;
    for (std::size_t at = 0; at < size_; ++at) {
        if (entries_[at].state == State::deleted)
            continue;
        entries_[kept] = entries_[at];
        entries_[kept++].state = State::kept;
    }
    size_ = kept;
    added_ = 0;
    deleted_ = 0;
    changed_ = false;
}
