// SPDX-License-Identifier: Apache-2.0
// Dispatch tables of the operations that are offloaded, made from the inner provider's: all
// its functions, but for those that compute with a private key and those that free a context.
//
// Threads: any. Next layer down: trampoline.hpp, computation.hpp.
#pragma once

#include <openssl/core.h>

#include <vector>

namespace offload {

using Dispatch = std::vector<OSSL_DISPATCH>;

// A copy of an inner table, with its end mark, for an OSSL_OP_*. An operation that is never
// offloaded is copied as it is.
Dispatch offloading(int operation_id, const OSSL_DISPATCH* inner);

}  // namespace offload
