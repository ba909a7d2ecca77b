// SPDX-License-Identifier: Apache-2.0
// What can be offloaded: names for the configuration, the inner provider's algorithms that
// each of them stands for, and the key types that have to be offered with it.
//
// A key belongs to the provider that manages it, so whoever offers an operation offers all
// operations of that key's type; those that are not named in the configuration are the inner
// provider's own functions.
//
// Threads: constants. Next layer down: none.
#pragma once

#include <bitset>
#include <string>
#include <string_view>

namespace offload {

enum class Operation {
    rsa_sign,
    rsa_decrypt,
    ecdsa_sign,
    eddsa_sign,
    dsa_sign,
    ec_derive,
    x_derive,
    dh_derive,
    count
};

using Operations = std::bitset<static_cast<std::size_t>(Operation::count)>;

// Reads a list of names, separated by spaces or commas; "all" is all of them. Returns an
// empty string, or the name that is wrong and those that are known.
std::string parse_operations(std::string_view list, Operations& operations);

// Whether an algorithm of the inner provider (names separated by colons) is one of the
// operations to be computed on a worker, by OSSL_OP_*.
bool is_offloaded(int operation_id, std::string_view names, const Operations& operations);

// Whether an algorithm works on a key type that one of the operations needs.
bool is_offered(std::string_view names, const Operations& operations);

}  // namespace offload
