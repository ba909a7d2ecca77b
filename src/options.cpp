// SPDX-License-Identifier: Apache-2.0
// Options of a thread. Contract: options.hpp.
#include "options.hpp"

#include <algorithm>
#include <cstring>

namespace asyncjob {

namespace {

// That of the first version; fields that come later go behind it.
constexpr std::size_t least_size = sizeof(asyncjob_thread_options);

// A page: what claims to be larger is not a size that was forgotten to be set, but garbage.
constexpr std::size_t largest_size = 4096;

// Whether all that a later version has behind ours asks for nothing.
bool is_zero_from(const std::byte* at, const std::byte* end) {
    return std::all_of(at, end, [](std::byte byte) { return byte == std::byte{0}; });
}

}  // namespace

Reason read_options(const asyncjob_thread_options& from, PoolOptions& to) noexcept {
    const auto* const bytes = reinterpret_cast<const std::byte*>(&from);
    if (from.size < least_size || from.size > largest_size ||
        !is_zero_from(bytes + std::min(from.size, sizeof from), bytes + from.size))
        return Reason::invalid_struct_size;
    if (from.max_jobs != 0 && from.prepared_jobs > from.max_jobs)
        return Reason::invalid_pool_size;
    if (from.stack_size < ASYNCJOB_STACK_MIN || from.stack_size > ASYNCJOB_STACK_MAX)
        return Reason::invalid_stack_size;
    if ((from.guard != ASYNCJOB_GUARD_NONE && from.guard != ASYNCJOB_GUARD_EACH) ||
        (from.stamp_pauses != 0 && from.stamp_pauses != 1))
        return Reason::invalid_option;
    to = {from.max_jobs,
          from.prepared_jobs,
          from.idle_high_water,
          {round_stack_size(from.stack_size), from.guard == ASYNCJOB_GUARD_EACH},
          from.stamp_pauses == 1};
    return Reason::none;
}

asyncjob_thread_options show_options(const PoolOptions& options) noexcept {
    asyncjob_thread_options shown{};
    shown.size = sizeof shown;
    shown.max_jobs = options.max;
    shown.prepared_jobs = options.prepared;
    shown.stack_size = options.stacks.usable;
    shown.idle_high_water = options.idle_high_water;
    shown.guard = options.stacks.is_guarded ? ASYNCJOB_GUARD_EACH : ASYNCJOB_GUARD_NONE;
    shown.stamp_pauses = options.stamps_pauses ? 1 : 0;
    return shown;
}

Reason give_struct(void* to, std::size_t size, const void* from, std::size_t known,
                   std::size_t least) noexcept {
    if (to == nullptr)
        return Reason::null_argument;
    if (size < least || size > largest_size)
        return Reason::invalid_struct_size;
    std::memset(to, 0, size);
    std::memcpy(to, from, std::min(size, known));
    return Reason::none;
}

}  // namespace asyncjob
