// SPDX-License-Identifier: Apache-2.0
// Argument copies and job headers. Contract: job.hpp.
#include "job.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#include "os/memory.hpp"

namespace {

// Copies up to this size go to the top of the job's stack, next to its first frame.
constexpr std::size_t largest_stack_args = 4096;

// Fits any type, vectors included.
constexpr std::size_t args_alignment = 64;

}  // namespace

void* async_job_st::copy_args(const void* from, std::size_t size) {
    std::byte* const high = fiber.stack.high;
    if (size <= largest_stack_args) {
        std::byte* const copy =
            high - (size + args_alignment - 1) / args_alignment * args_alignment;
        asyncjob::sanitizer::about_to_write(copy, size);
        std::memcpy(copy, from, size);
        args = copy;
        return copy;
    }
    if (posix_memalign(&heap_args, args_alignment, size) != 0) {
        heap_args = nullptr;
        return nullptr;
    }
    std::memcpy(heap_args, from, size);
    args = heap_args;
    return high;
}

void async_job_st::free_args() {
    std::free(heap_args);
    heap_args = nullptr;
}

namespace asyncjob {

namespace {

// Headers of threads that have ended. Taken as a whole, so there is no ABA.
std::atomic<Job*> left_over = nullptr;

// A list of new headers, NULL when out of memory.
Job* make_chunk(std::size_t size) {
    std::byte* const chunk = os::map(size);
    if (chunk == nullptr)
        return nullptr;
    Job* list = nullptr;
    for (std::size_t at = size / sizeof(Job); at > 0; --at) {
        Job* const job = new (chunk + (at - 1) * sizeof(Job)) Job{};
        job->next = list;
        list = job;
    }
    return list;
}

}  // namespace

Job* HeaderSource::take() noexcept {
    if (spare_ == nullptr)
        spare_ = left_over.exchange(nullptr, std::memory_order_acquire);
    if (spare_ == nullptr) {
        spare_ = make_chunk(next_chunk_);
        if (spare_ == nullptr)
            spare_ = make_chunk(first_chunk);  // where address space is short
        else if (next_chunk_ < largest_chunk)
            next_chunk_ *= 2;
    }
    Job* const job = spare_;
    if (job != nullptr)
        spare_ = job->next;
    return job;
}

void HeaderSource::leave() noexcept {
    if (spare_ == nullptr)
        return;
    Job* last = spare_;
    while (last->next != nullptr)
        last = last->next;
    last->next = left_over.load(std::memory_order_relaxed);
    while (!left_over.compare_exchange_weak(last->next, spare_, std::memory_order_release,
                                            std::memory_order_relaxed)) {
    }
    spare_ = nullptr;
}

}  // namespace asyncjob
