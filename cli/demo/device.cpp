// SPDX-License-Identifier: Apache-2.0
// offload-demo-device.so, the provider `demo-device`: RSA with keys in a slow device, for
// which the default provider stands in, after a sleep before each signature.
//
// It wraps the default provider as offload does: its context is handed out as this one's own,
// and of its functions only those that sign are replaced. `microseconds` in its section of
// openssl.cnf is the time that a signature takes; 5000 if it is not there.
//
// Threads: as libcrypto calls; any number may sleep at a time, each on its own signature.
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include <charconv>
#include <chrono>
#include <cstring>
#include <exception>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace {

static OSSL_FUNC_provider_teardown_fn teardown;
static OSSL_FUNC_provider_query_operation_fn query_operation;
static OSSL_FUNC_signature_sign_fn sign;
static OSSL_FUNC_signature_digest_sign_final_fn digest_sign_final;

// One device in a process, with one plug: loaded into several library contexts it serves all.
struct Device {
    std::chrono::microseconds time{5000};
    OSSL_FUNC_signature_sign_fn* sign = nullptr;
    OSSL_FUNC_signature_digest_sign_final_fn* digest_sign_final = nullptr;
    std::vector<OSSL_DISPATCH> signature;
    std::vector<OSSL_ALGORITHM> key_management;
    std::vector<OSSL_ALGORITHM> signatures;
};
Device device;

// A provider's context tells the instances apart.
struct Instance {
    OSSL_LIB_CTX* library;
    OSSL_PROVIDER* inner;
};
std::vector<Instance> instances;

void work() {
    std::this_thread::sleep_for(device.time);
}

int sign(void* context, unsigned char* out, size_t* out_length, size_t out_size,
         const unsigned char* in, size_t in_length) {
    if (out != nullptr)
        work();
    return device.sign(context, out, out_length, out_size, in, in_length);
}

int digest_sign_final(void* context, unsigned char* out, size_t* out_length, size_t out_size) {
    if (out != nullptr)
        work();
    return device.digest_sign_final(context, out, out_length, out_size);
}

bool is_rsa(const OSSL_ALGORITHM& algorithm) {
    constexpr std::string_view rsa = "RSA";
    const std::string_view names = algorithm.algorithm_names;
    return names == rsa || names.starts_with("RSA:") || names.starts_with("RSA-PSS:");
}

void copy_signature(const OSSL_DISPATCH* from) {
    device.signature.clear();
    for (; from->function_id != 0; ++from) {
        OSSL_DISPATCH& entry = device.signature.emplace_back(*from);
        if (entry.function_id == OSSL_FUNC_SIGNATURE_SIGN) {
            device.sign = OSSL_FUNC_signature_sign(from);
            entry.function = reinterpret_cast<void (*)()>(sign);
        } else if (entry.function_id == OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL) {
            device.digest_sign_final = OSSL_FUNC_signature_digest_sign_final(from);
            entry.function = reinterpret_cast<void (*)()>(digest_sign_final);
        }
    }
    device.signature.push_back({0, nullptr});
}

std::vector<OSSL_ALGORITHM> copy_rsa(OSSL_PROVIDER* inner, int operation_id) {
    std::vector<OSSL_ALGORITHM> copies;
    int no_cache = 0;
    const OSSL_ALGORITHM* from = OSSL_PROVIDER_query_operation(inner, operation_id, &no_cache);
    for (; from != nullptr && from->algorithm_names != nullptr; ++from) {
        if (!is_rsa(*from))
            continue;
        OSSL_ALGORITHM& copy = copies.emplace_back(*from);
        copy.property_definition = "provider=demo-device";
        if (operation_id == OSSL_OP_SIGNATURE) {
            copy_signature(from->implementation);
            copy.implementation = device.signature.data();
        }
    }
    copies.push_back({});
    return copies;
}

const OSSL_ALGORITHM* query_operation(void* /*provctx*/, int operation_id, int* no_cache) {
    *no_cache = 0;
    switch (operation_id) {
        case OSSL_OP_KEYMGMT:
            return device.key_management.data();
        case OSSL_OP_SIGNATURE:
            return device.signatures.data();
        default:
            return nullptr;
    }
}

void teardown(void* provctx) {
    for (auto instance = instances.begin(); instance != instances.end(); ++instance) {
        if (OSSL_PROVIDER_get0_provider_ctx(instance->inner) == provctx) {
            OSSL_PROVIDER_unload(instance->inner);
            OSSL_LIB_CTX_free(instance->library);
            instances.erase(instance);
            return;
        }
    }
}

// False if the section has a value that is no number.
bool read_time(const OSSL_CORE_HANDLE* handle, const OSSL_DISPATCH* in) {
    for (; in->function_id != 0; ++in) {
        if (in->function_id != OSSL_FUNC_CORE_GET_PARAMS)
            continue;
        char* text = nullptr;
        OSSL_PARAM wanted[] = {
            OSSL_PARAM_construct_utf8_ptr("microseconds", &text, 0),
            OSSL_PARAM_construct_end(),
        };
        if (OSSL_FUNC_core_get_params(in)(handle, wanted) != 1)
            return false;
        if (text == nullptr)
            return true;
        unsigned microseconds = 0;
        const char* const end = text + std::strlen(text);
        const auto [stop, error] = std::from_chars(text, end, microseconds);
        device.time = std::chrono::microseconds(microseconds);
        return error == std::errc{} && stop == end;
    }
    return true;
}

const OSSL_DISPATCH provider_functions[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, reinterpret_cast<void (*)()>(teardown)},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(query_operation)},
    {0, nullptr},
};

}  // namespace

extern "C" __attribute__((visibility("default"))) OSSL_provider_init_fn OSSL_provider_init;

int OSSL_provider_init(const OSSL_CORE_HANDLE* handle, const OSSL_DISPATCH* in,
                       const OSSL_DISPATCH** out, void** provctx) {
    if (!read_time(handle, in))
        return 0;
    OSSL_LIB_CTX* const library = OSSL_LIB_CTX_new();
    OSSL_PROVIDER* const inner =
        library != nullptr ? OSSL_PROVIDER_load(library, "default") : nullptr;
    try {
        if (inner != nullptr) {
            if (instances.empty()) {
                device.key_management = copy_rsa(inner, OSSL_OP_KEYMGMT);
                device.signatures = copy_rsa(inner, OSSL_OP_SIGNATURE);
            }
            instances.push_back({library, inner});
            *provctx = OSSL_PROVIDER_get0_provider_ctx(inner);
            *out = provider_functions;
            return 1;
        }
    } catch (const std::exception&) {
        // No memory: not loaded.
    }
    OSSL_PROVIDER_unload(inner);
    OSSL_LIB_CTX_free(library);
    return 0;
}
