// SPDX-License-Identifier: Apache-2.0
// What the functions have in common that stand in front of libssl's. They have libssl's version
// (exports.map), so that programs of another OpenSSL pass by.
//
// Next layer down: libssl.hpp.
#pragma once

#define ASYNCJOB_EXPORT extern "C" __attribute__((visibility("default")))

// The libssl of the function's caller.
#define ASYNCJOB_LIBSSL Libssl::of(__builtin_return_address(0))
