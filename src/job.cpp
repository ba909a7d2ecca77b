// SPDX-License-Identifier: Apache-2.0
// Argument copies and job headers. Contract: job.hpp.
#include "job.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

#include "os/memory.hpp"

namespace {

// Copies up to this size go to the top of the job's stack.
constexpr std::size_t largest_stack_args = 4096;

}  // namespace

async_job_st* async_job_st::at_top_of(asyncjob::Stack& stack, unsigned last_serial) {
    // Another thread may be looking at what a stale handle points to, so the header is not
    // constructed anew: what is here is the last one's, or zeroes.
    async_job_st* const job = place_below(stack.high);
    stack.high = reinterpret_cast<std::byte*>(job);
    job->fiber = {};
    job->outer = nullptr;
    job->lib_ctx = nullptr;
    job->rest.exceptions = {};
    job->blocked = 0;
    job->errors = {};
    job->locals = {};
    job->heap_args = nullptr;
    job->become_idle(name_of(job, last_serial));
    return job;
}

void* async_job_st::copy_args(const void* from, std::size_t size, void*& top) {
    if (size > few_args)
        fiber.unusual |= asyncjob::unusual::has_large_args;
    if (size <= largest_stack_args) {
        top = place_for_args(size);
        asyncjob::sanitizer::about_to_write(static_cast<std::byte*>(top), size);
        return std::memcpy(top, from, size);
    }
    void* copy = nullptr;
    if (posix_memalign(&copy, args_alignment, size) != 0) {
        fiber.unusual &= ~asyncjob::unusual::has_large_args;
        return nullptr;
    }
    heap_args = copy;
    top = rest.stack.high;
    return std::memcpy(copy, from, size);
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
        job->become_idle(job);
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
