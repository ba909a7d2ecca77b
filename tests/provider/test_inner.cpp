// SPDX-License-Identifier: Apache-2.0
// The provider module of test_inner.hpp. It offers key management, signatures, asymmetric
// decryption and key exchange for the names RSA and TEST. A result is the version byte, then
// the input.
#include "test_inner.hpp"

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/proverr.h>

#include <cstring>
#include <string>

namespace {

using test_inner::Control;

// Never destroyed: workers may be at it during exit.
Control& control() {
    static auto* const only = new Control;
    return *only;
}

using Function = void (*)();

template <typename Type>
Function function(Type* pointer) {
    return reinterpret_cast<Function>(pointer);
}

// Keys.
struct Key {};

void* key_new(void* /*provctx*/) {
    return new Key;
}
void key_free(void* key) {
    delete static_cast<Key*>(key);
}
int key_has(const void* /*key*/, int /*selection*/) {
    return 1;
}
void* gen_init(void* /*provctx*/, int /*selection*/, const OSSL_PARAM* /*params*/) {
    return new Key;
}
void* gen(void* /*genctx*/, OSSL_CALLBACK* /*progress*/, void* /*arg*/) {
    return new Key;
}
int key_get_params(void* /*key*/, OSSL_PARAM* params) {
    OSSL_PARAM* const size = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_MAX_SIZE);
    return size == nullptr || OSSL_PARAM_set_int(size, 64);
}
const OSSL_PARAM* key_gettable_params(void* /*provctx*/) {
    static const OSSL_PARAM table[] = {OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, nullptr),
                                       OSSL_PARAM_END};
    return table;
}

const OSSL_DISPATCH key_functions[] = {
    {OSSL_FUNC_KEYMGMT_NEW, function(key_new)},
    {OSSL_FUNC_KEYMGMT_FREE, function(key_free)},
    {OSSL_FUNC_KEYMGMT_HAS, function(key_has)},
    {OSSL_FUNC_KEYMGMT_GEN_INIT, function(gen_init)},
    {OSSL_FUNC_KEYMGMT_GEN, function(gen)},
    {OSSL_FUNC_KEYMGMT_GEN_CLEANUP, function(key_free)},
    {OSSL_FUNC_KEYMGMT_GET_PARAMS, function(key_get_params)},
    {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, function(key_gettable_params)},
    {0, nullptr},
};

// Operations.
struct Context {
    std::string data;  // of digest_sign_update()
};

void* signature_new(void* /*provctx*/, const char* /*propq*/) {
    const std::lock_guard lock(control().mutex);
    ++control().contexts;
    return new Context;
}
void* context_new(void* /*provctx*/) {
    return signature_new(nullptr, nullptr);
}
void context_free(void* context) {
    delete static_cast<Context*>(context);
    const std::lock_guard lock(control().mutex);
    --control().contexts;
    control().changed.notify_all();
}
int init(void* /*context*/, void* /*key*/, const OSSL_PARAM* /*params*/) {
    return 1;
}
int digest_init(void* /*context*/, const char* /*digest*/, void* /*key*/,
                const OSSL_PARAM* /*params*/) {
    return 1;
}
int set_peer(void* /*context*/, void* /*peer*/) {
    return 1;
}

// Touches the context before and after it waits, so that tools see one that was freed.
int compute(void* opaque, unsigned char* out, std::size_t* out_length, std::size_t out_size,
            const unsigned char* in, std::size_t in_length) {
    auto* const context = static_cast<Context*>(opaque);
    if (out == nullptr) {
        *out_length = 64;
        return 1;
    }
    context->data.assign(reinterpret_cast<const char*>(in), in_length);
    Control& told = control();
    std::unique_lock lock(told.mutex);
    if (told.before != nullptr)
        told.before();
    told.thread = std::this_thread::get_id();
    ++told.holding;
    told.changed.notify_all();
    told.changed.wait(lock, [&told] { return !told.hold; });
    --told.holding;
    ++told.computed;
    told.changed.notify_all();
    if (told.providers == 0)
        ++told.used_after_teardown;
    if (told.fail) {
        ERR_raise_data(ERR_LIB_PROV, PROV_R_FAILED_TO_SIGN, "the device says no, code %d", 7);
        ERR_raise_data(ERR_LIB_USER, 42, "and once more");
        return 0;
    }
    if (out_size < context->data.size() + 1)
        return 0;
    out[0] = told.version;
    if (!context->data.empty())
        std::memcpy(out + 1, context->data.data(), context->data.size());
    *out_length = context->data.size() + 1;
    return 1;
}

int digest_update(void* context, const unsigned char* data, std::size_t length) {
    static_cast<Context*>(context)->data.append(reinterpret_cast<const char*>(data), length);
    return 1;
}

int digest_final(void* opaque, unsigned char* out, std::size_t* out_length, std::size_t out_size) {
    const std::string data = static_cast<Context*>(opaque)->data;
    return compute(opaque, out, out_length, out_size,
                   reinterpret_cast<const unsigned char*>(data.data()), data.size());
}

int derive(void* context, unsigned char* out, std::size_t* out_length, std::size_t out_size) {
    return compute(context, out, out_length, out_size, nullptr, 0);
}

const OSSL_DISPATCH signature_functions[] = {
    {OSSL_FUNC_SIGNATURE_NEWCTX, function(signature_new)},
    {OSSL_FUNC_SIGNATURE_FREECTX, function(context_free)},
    {OSSL_FUNC_SIGNATURE_SIGN_INIT, function(init)},
    {OSSL_FUNC_SIGNATURE_SIGN, function(compute)},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, function(digest_init)},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, function(digest_update)},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, function(digest_final)},
    {0, nullptr},
};
const OSSL_DISPATCH cipher_functions[] = {
    {OSSL_FUNC_ASYM_CIPHER_NEWCTX, function(context_new)},
    {OSSL_FUNC_ASYM_CIPHER_FREECTX, function(context_free)},
    {OSSL_FUNC_ASYM_CIPHER_DECRYPT_INIT, function(init)},
    {OSSL_FUNC_ASYM_CIPHER_DECRYPT, function(compute)},
    {0, nullptr},
};
const OSSL_DISPATCH exchange_functions[] = {
    {OSSL_FUNC_KEYEXCH_NEWCTX, function(context_new)},
    {OSSL_FUNC_KEYEXCH_FREECTX, function(context_free)},
    {OSSL_FUNC_KEYEXCH_INIT, function(init)},
    {OSSL_FUNC_KEYEXCH_SET_PEER, function(set_peer)},
    {OSSL_FUNC_KEYEXCH_DERIVE, function(derive)},
    {0, nullptr},
};

constexpr const char* properties = "provider=test_inner,test.kind=device";

#define BOTH_NAMES(table)                                                  \
    {                                                                      \
        {"RSA", properties, table, ""}, {"TEST", properties, table, ""}, { \
            nullptr, nullptr, nullptr, nullptr                             \
        }                                                                  \
    }
const OSSL_ALGORITHM keys[] = BOTH_NAMES(key_functions);
const OSSL_ALGORITHM signatures[] = BOTH_NAMES(signature_functions);
const OSSL_ALGORITHM ciphers[] = BOTH_NAMES(cipher_functions);
const OSSL_ALGORITHM exchanges[] = BOTH_NAMES(exchange_functions);

const OSSL_ALGORITHM* query(void* /*provctx*/, int operation, int* no_cache) {
    const std::lock_guard lock(control().mutex);
    *no_cache = control().no_cache ? 1 : 0;
    ++control().queries;
    switch (operation) {
        case OSSL_OP_KEYMGMT:
            return keys;
        case OSSL_OP_SIGNATURE:
            return control().no_signatures ? nullptr : signatures;
        case OSSL_OP_ASYM_CIPHER:
            return ciphers;
        case OSSL_OP_KEYEXCH:
            return exchanges;
        default:
            return nullptr;
    }
}

void unquery(void* /*provctx*/, int /*operation*/, const OSSL_ALGORITHM* /*algorithms*/) {
    const std::lock_guard lock(control().mutex);
    ++control().unqueries;
}

void teardown(void* provctx) {
    delete static_cast<int*>(provctx);
    const std::lock_guard lock(control().mutex);
    --control().providers;
}

const OSSL_DISPATCH provider_functions[] = {
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, function(query)},
    {OSSL_FUNC_PROVIDER_UNQUERY_OPERATION, function(unquery)},
    {OSSL_FUNC_PROVIDER_TEARDOWN, function(teardown)},
    {0, nullptr},
};

}  // namespace

extern "C" __attribute__((visibility("default"))) Control* test_inner_control() {
    return &control();
}

extern "C" __attribute__((visibility("default"))) OSSL_provider_init_fn OSSL_provider_init;

int OSSL_provider_init(const OSSL_CORE_HANDLE* /*handle*/, const OSSL_DISPATCH* /*in*/,
                       const OSSL_DISPATCH** out, void** provctx) {
    const std::lock_guard lock(control().mutex);
    *provctx = control().one_context ? nullptr : new int(0);
    *out = provider_functions;
    ++control().providers;
    return 1;
}
