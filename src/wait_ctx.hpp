// SPDX-License-Identifier: Apache-2.0
// async_wait_ctx_st: the wait fds of a session with their rounds, the notification callback
// and the status (S18 to S27).
//
// The table holds entries in the order they were set; every listing goes backwards, newest
// first. An entry that is cleared in a later round than it was set stays, marked, until the
// round ends, so that the round's changes can be told.
//
// Owner: the application, through capi.cpp; a job only points to one. Threads: one at a
// time; the status may be used by any, and the callback read by any while nobody sets it.
// Next layer down: libc.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "api.hpp"

struct async_wait_ctx_st {
  private:
    bool changed_ = false;  // see has_changes(); comes first, see arch/offsets.h

  public:
    using Cleanup = void (*)(ASYNC_WAIT_CTX*, const void*, OSSL_ASYNC_FD, void*);

    async_wait_ctx_st() = default;
    async_wait_ctx_st(const async_wait_ctx_st&) = delete;
    async_wait_ctx_st& operator=(const async_wait_ctx_st&) = delete;
    ~async_wait_ctx_st();

    // Calls the cleanups of the live fds, newest first. The last use before destruction;
    // false if it is already under way, further up the stack.
    [[nodiscard]] bool begin_end() noexcept;

    // False: out of memory, nothing changed.
    [[nodiscard]] bool add(const void* key, OSSL_ASYNC_FD fd, void* data, Cleanup cleanup) noexcept;
    [[nodiscard]] bool find(const void* key, OSSL_ASYNC_FD* fd, void** data) const noexcept;
    [[nodiscard]] bool clear(const void* key) noexcept;

    void list(OSSL_ASYNC_FD* fds, std::size_t& count) const noexcept;
    void list_changed(OSSL_ASYNC_FD* added, std::size_t& added_count, OSSL_ASYNC_FD* deleted,
                      std::size_t& deleted_count) const noexcept;

    // Lists up to `most` live fds of a context that its thread may be changing, or may have freed:
    // all is read by copies. Returns how many; what they are worth is for the caller to know.
    [[nodiscard]] static std::size_t peek_fds(const async_wait_ctx_st* context, OSSL_ASYNC_FD* fds,
                                              std::size_t most,
                                              bool (*copy)(void*, const void*,
                                                           std::size_t)) noexcept;

    // Whether anything may have been added or deleted in this round.
    [[nodiscard]] bool has_changes() const noexcept { return changed_; }

    // A paused job of this context is being resumed.
    void end_round() noexcept {
        if (has_changes())
            forget_changes();
    }

    ASYNC_callback_fn callback = nullptr;
    void* callback_arg = nullptr;
    std::atomic<int> status = ASYNC_STATUS_UNSUPPORTED;

  private:
    enum class State : std::uint8_t { kept, added, deleted };

    struct Entry {
        const void* key;
        void* data;
        Cleanup cleanup;
        std::uint64_t serial;  // tells an entry from another with the same key
        OSSL_ASYNC_FD fd;
        State state;
    };

    // Most contexts have one fd, one for each provider that waits.
    static constexpr std::size_t inline_capacity = 4;

    [[nodiscard]] const Entry* newest(const void* key) const noexcept;
    void erase(Entry* entry) noexcept;
    void forget_changes() noexcept;

    bool ending_ = false;
    Entry* entries_ = inline_;
    std::size_t size_ = 0;
    std::size_t capacity_ = inline_capacity;
    std::size_t added_ = 0;    // entries in state added
    std::size_t deleted_ = 0;  // entries in state deleted
    std::uint64_t next_serial_ = 1;
    Entry inline_[inline_capacity];
};
