// SPDX-License-Identifier: Apache-2.0
// One private-key computation of the inner provider, run on a worker while the job that
// asked for it is paused; or in place, wherever it cannot be offloaded: outside a job,
// without a wait context, or short of an fd, a thread or memory.
//
// What a worker touches belongs to the computation: copies of input and output, since the
// caller's buffers may be freed while its job is paused, and the inner context, whose free
// function is held back while a worker has it (see free_context()). Secrets are cleared.
//
// Threads: compute() and free_context() on any. Next layer down: notifier.hpp, workers.hpp.
#pragma once

#include <cstddef>

namespace offload {

// The inner function, in one of two shapes; the other pointer is NULL.
struct Inner {
    int (*with_input)(void* context, unsigned char* out, std::size_t* out_length,
                      std::size_t out_size, const unsigned char* in, std::size_t in_length);
    int (*without_input)(void* context, unsigned char* out, std::size_t* out_length,
                         std::size_t out_size);

    int operator()(void* context, unsigned char* out, std::size_t* out_length, std::size_t out_size,
                   const unsigned char* in, std::size_t in_length) const {
        return with_input != nullptr ? with_input(context, out, out_length, out_size, in, in_length)
                                     : without_input(context, out, out_length, out_size);
    }
};

// Computes as `inner` does and returns what it returns; 0 with an error if the job was
// cancelled meanwhile. `out` NULL asks for a size and is never offloaded.
int compute(const Inner& inner, void* context, unsigned char* out, std::size_t* out_length,
            std::size_t out_size, const unsigned char* in, std::size_t in_length) noexcept;

// Frees an inner context, now or when the worker that has it is done with it.
void free_context(void (*inner_free)(void*), void* context) noexcept;

}  // namespace offload
