// SPDX-License-Identifier: Apache-2.0
// Names of operations, algorithms and key types. Contract: operations.hpp.
#include "operations.hpp"

#include <openssl/core_dispatch.h>
#include <strings.h>

#include <array>

namespace offload {

namespace {

struct Description {
    std::string_view name;
    int operation_id;
    std::string_view algorithms;  // those that are offloaded
    std::string_view offered;     // those of the same key types, and the types
};

constexpr std::array<Description, static_cast<std::size_t>(Operation::count)> descriptions{{
    {"rsa-sign", OSSL_OP_SIGNATURE, "RSA", "RSA:RSA-PSS"},
    {"rsa-decrypt", OSSL_OP_ASYM_CIPHER, "RSA", "RSA:RSA-PSS"},
    {"ecdsa-sign", OSSL_OP_SIGNATURE, "ECDSA", "EC:ECDSA:ECDH"},
    {"eddsa-sign", OSSL_OP_SIGNATURE, "ED25519:ED448", "ED25519:ED448"},
    {"dsa-sign", OSSL_OP_SIGNATURE, "DSA", "DSA"},
    {"ec-derive", OSSL_OP_KEYEXCH, "ECDH", "EC:ECDSA:ECDH"},
    {"x-derive", OSSL_OP_KEYEXCH, "X25519:X448", "X25519:X448"},
    {"dh-derive", OSSL_OP_KEYEXCH, "DH", "DH:DHX"},
}};

// Calls visit(part) for the parts of a list until it returns true; whether it did.
template <typename Visit>
bool any_part(std::string_view list, std::string_view separators, Visit visit) {
    while (!list.empty()) {
        const std::size_t end = list.find_first_of(separators);
        const std::string_view part = list.substr(0, end);
        if (!part.empty() && visit(part))
            return true;
        list = end == std::string_view::npos ? std::string_view{} : list.substr(end + 1);
    }
    return false;
}

bool same_name(std::string_view a, std::string_view b) {
    return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

bool share_a_name(std::string_view a, std::string_view b) {
    return any_part(a, ":", [b](std::string_view one) {
        return any_part(b, ":", [one](std::string_view other) { return same_name(one, other); });
    });
}

std::string known_names() {
    std::string names = "all";
    for (const Description& description : descriptions)
        names.append(" ").append(description.name);
    return names;
}

}  // namespace

std::string parse_operations(std::string_view list, Operations& operations) {
    operations.reset();
    std::string wrong;
    any_part(list, " ,\t", [&](std::string_view name) {
        if (name == "all") {
            operations.set();
            return false;
        }
        for (std::size_t at = 0; at < descriptions.size(); ++at) {
            if (same_name(name, descriptions[at].name)) {
                operations.set(at);
                return false;
            }
        }
        wrong = name;
        return true;
    });
    if (!wrong.empty())
        return "operations: '" + wrong + "' is not one of: " + known_names();
    if (operations.none())
        return "operations: the list is empty; it takes some of: " + known_names();
    return {};
}

bool is_offloaded(int operation_id, std::string_view names, const Operations& operations) {
    for (std::size_t at = 0; at < descriptions.size(); ++at) {
        if (operations.test(at) && descriptions[at].operation_id == operation_id &&
            share_a_name(names, descriptions[at].algorithms))
            return true;
    }
    return false;
}

bool is_offered(std::string_view names, const Operations& operations) {
    for (std::size_t at = 0; at < descriptions.size(); ++at) {
        if (operations.test(at) && share_a_name(names, descriptions[at].offered))
            return true;
    }
    return false;
}

}  // namespace offload
