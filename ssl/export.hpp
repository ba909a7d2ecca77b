// SPDX-License-Identifier: Apache-2.0
// What the functions have in common that stand in front of libssl's. They have libssl's version
// (exports.map), so that programs of another OpenSSL pass by.
//
// Next layer down: libssl.hpp.
#pragma once

#include "libssl.hpp"

#define ASYNCJOB_EXPORT extern "C" __attribute__((visibility("default")))

// The libssl of the function's caller.
#define ASYNCJOB_LIBSSL Libssl::of(__builtin_return_address(0))

// libssl's function of that name. Without one the program has called what it could not have been
// linked with: the loader would have ended it, too.
#define ASYNCJOB_NEXT(LIBSSL, NAME) asyncjob::ssl::next((LIBSSL).NAME, #NAME)

namespace asyncjob::ssl {

template <class Function>
Function next(Function function, const char* name) noexcept {
    if (function == nullptr) [[unlikely]]
        give_up_missing(name);
    return function;
}

}  // namespace asyncjob::ssl
