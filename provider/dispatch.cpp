// SPDX-License-Identifier: Apache-2.0
// Dispatch tables. Contract: dispatch.hpp.
#include "dispatch.hpp"

#include <openssl/core_dispatch.h>

#include "computation.hpp"
#include "trampoline.hpp"

namespace offload {

namespace {

// sign, digest_sign, decrypt.
struct WithInput {
    static int call(decltype(Inner::with_input) inner, void* context, unsigned char* out,
                    std::size_t* out_length, std::size_t out_size, const unsigned char* in,
                    std::size_t in_length) {
        return compute({inner, nullptr}, context, out, out_length, out_size, in, in_length);
    }
};

// digest_sign_final, derive.
struct WithoutInput {
    static int call(decltype(Inner::without_input) inner, void* context, unsigned char* out,
                    std::size_t* out_length, std::size_t out_size) {
        return compute({nullptr, inner}, context, out, out_length, out_size, nullptr, 0);
    }
};

struct FreeContext {
    static void call(void (*inner)(void*), void* context) { free_context(inner, context); }
};

template <typename Function, typename Replace>
void replace(OSSL_DISPATCH& entry) {
    auto* const inner = reinterpret_cast<Function*>(entry.function);
    entry.function = reinterpret_cast<void (*)()>(Trampolines<Function, Replace>::of(inner));
}

using WithInputFunction = int(void*, unsigned char*, std::size_t*, std::size_t,
                              const unsigned char*, std::size_t);
using WithoutInputFunction = int(void*, unsigned char*, std::size_t*, std::size_t);
using FreeFunction = void(void*);

void replace_signature(OSSL_DISPATCH& entry) {
    switch (entry.function_id) {
        case OSSL_FUNC_SIGNATURE_SIGN:
        case OSSL_FUNC_SIGNATURE_DIGEST_SIGN:
            return replace<WithInputFunction, WithInput>(entry);
        case OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL:
            return replace<WithoutInputFunction, WithoutInput>(entry);
        case OSSL_FUNC_SIGNATURE_FREECTX:
            return replace<FreeFunction, FreeContext>(entry);
        default:
            return;
    }
}

void replace_asym_cipher(OSSL_DISPATCH& entry) {
    switch (entry.function_id) {
        case OSSL_FUNC_ASYM_CIPHER_DECRYPT:
            return replace<WithInputFunction, WithInput>(entry);
        case OSSL_FUNC_ASYM_CIPHER_FREECTX:
            return replace<FreeFunction, FreeContext>(entry);
        default:
            return;
    }
}

void replace_keyexch(OSSL_DISPATCH& entry) {
    switch (entry.function_id) {
        case OSSL_FUNC_KEYEXCH_DERIVE:
            return replace<WithoutInputFunction, WithoutInput>(entry);
        case OSSL_FUNC_KEYEXCH_FREECTX:
            return replace<FreeFunction, FreeContext>(entry);
        default:
            return;
    }
}

}  // namespace

Dispatch offloading(int operation_id, const OSSL_DISPATCH* inner) {
    Dispatch table;
    for (; inner->function_id != 0; ++inner) {
        OSSL_DISPATCH& entry = table.emplace_back(*inner);
        if (operation_id == OSSL_OP_SIGNATURE)
            replace_signature(entry);
        else if (operation_id == OSSL_OP_ASYM_CIPHER)
            replace_asym_cipher(entry);
        else if (operation_id == OSSL_OP_KEYEXCH)
            replace_keyexch(entry);
    }
    table.push_back({0, nullptr});
    return table;
}

}  // namespace offload
