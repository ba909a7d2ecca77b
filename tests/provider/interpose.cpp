// SPDX-License-Identifier: Apache-2.0
// Interposed functions. Contract: interpose.hpp.
#include "interpose.hpp"

#include <dlfcn.h>
#include <openssl/async.h>
#include <pthread.h>

#include <cerrno>

namespace {

template <typename Function>
Function* next(const char* name) {
    return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

int ASYNC_pause_job() {
    static auto* const pause_job = next<int()>("ASYNC_pause_job");
    ++interpose::pauses;
    if (interpose::cancel_pauses > 0) {
        --interpose::cancel_pauses;
        if (interpose::before_cancel != nullptr)
            interpose::before_cancel();
        return 0;
    }
    return pause_job();
}

extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes,
                              void* (*start)(void*), void* arg) {
    static auto* const create = next<decltype(pthread_create)>("pthread_create");
    if (interpose::no_thread)
        return EAGAIN;
    ++interpose::threads;
    return create(thread, attributes, start, arg);
}
