// SPDX-License-Identifier: Apache-2.0
// offload.so: an OpenSSL 3 provider that wraps another and computes with private keys on
// worker threads while the calling job is paused. See provider(7), and config.hpp for its
// section of openssl.cnf.
//
// The context that this provider hands out is the inner provider's, so that all inner
// functions work on it as they are; a list here leads back from it.
//
// Threads: as libcrypto calls. Next layer down: inner.hpp.
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/proverr.h>
#include <openssl/provider.h>
#include <pthread.h>

#include <cstdarg>
#include <exception>
#include <memory>
#include <mutex>
#include <vector>

#include "config.hpp"
#include "inner.hpp"
#include "workers.hpp"

namespace offload {

namespace {

static OSSL_FUNC_provider_teardown_fn teardown;
static OSSL_FUNC_provider_gettable_params_fn gettable_params;
static OSSL_FUNC_provider_get_params_fn get_params;
static OSSL_FUNC_provider_query_operation_fn query_operation;
static OSSL_FUNC_provider_unquery_operation_fn unquery_operation;
static OSSL_FUNC_provider_get_capabilities_fn get_capabilities;

std::mutex instances_mutex;
std::vector<std::unique_ptr<InnerProvider>>& instances() {
    static auto* const all = new std::vector<std::unique_ptr<InnerProvider>>;
    return *all;
}

// A fork must not leave the lock held in the child.
void follow_forks() {
    static std::once_flag once;
    std::call_once(once, [] {
        pthread_atfork([] { instances_mutex.lock(); }, [] { instances_mutex.unlock(); },
                       [] { instances_mutex.unlock(); });
    });
}

InnerProvider* instance_of(void* provctx) {
    const std::lock_guard lock(instances_mutex);
    for (const auto& instance : instances()) {
        if (instance->context() == provctx)
            return instance.get();
    }
    return nullptr;
}

void teardown(void* provctx) {
    std::unique_ptr<InnerProvider> gone;
    const std::lock_guard lock(instances_mutex);
    for (auto& instance : instances()) {
        if (instance->context() == provctx) {
            gone = std::move(instance);
            std::swap(instance, instances().back());
            instances().pop_back();
            break;
        }
    }
}

const OSSL_PARAM* gettable_params(void* /*provctx*/) {
    static const OSSL_PARAM table[] = {
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_NAME, OSSL_PARAM_UTF8_PTR, nullptr, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_VERSION, OSSL_PARAM_UTF8_PTR, nullptr, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_BUILDINFO, OSSL_PARAM_UTF8_PTR, nullptr, 0),
        OSSL_PARAM_DEFN(OSSL_PROV_PARAM_STATUS, OSSL_PARAM_INTEGER, nullptr, 0),
        OSSL_PARAM_END,
    };
    return table;
}

int get_params(void* /*provctx*/, OSSL_PARAM params[]) {
    OSSL_PARAM* const name = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_NAME);
    OSSL_PARAM* const version = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_VERSION);
    OSSL_PARAM* const build = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_BUILDINFO);
    OSSL_PARAM* const status = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS);
    return (name == nullptr || OSSL_PARAM_set_utf8_ptr(name, "asyncjob offload provider")) &&
                   (version == nullptr || OSSL_PARAM_set_utf8_ptr(version, ASYNCJOB_VERSION)) &&
                   (build == nullptr || OSSL_PARAM_set_utf8_ptr(build, ASYNCJOB_VERSION)) &&
                   (status == nullptr || OSSL_PARAM_set_int(status, 1))
               ? 1
               : 0;
}

const OSSL_ALGORITHM* query_operation(void* provctx, int operation_id, int* no_cache) {
    *no_cache = 0;
    InnerProvider* const inner = instance_of(provctx);
    try {
        return inner != nullptr ? inner->query(operation_id, no_cache) : nullptr;
    } catch (const std::exception&) {
        *no_cache = 1;  // no memory now; ask again
        return nullptr;
    }
}

void unquery_operation(void* provctx, int operation_id, const OSSL_ALGORITHM* algorithms) {
    if (InnerProvider* const inner = instance_of(provctx); inner != nullptr)
        inner->unquery(operation_id, algorithms);
}

// TLS-GROUP and the like: libssl takes a group only from the provider that manages its keys.
int get_capabilities(void* provctx, const char* capability, OSSL_CALLBACK* callback, void* arg) {
    InnerProvider* const inner = instance_of(provctx);
    return inner != nullptr
               ? OSSL_PROVIDER_get_capabilities(inner->provider(), capability, callback, arg)
               : 0;
}

// The few functions of libcrypto's core that loading needs.
struct Core {
    OSSL_FUNC_core_get_params_fn* get_params = nullptr;
    OSSL_FUNC_core_new_error_fn* new_error = nullptr;
    OSSL_FUNC_core_vset_error_fn* vset_error = nullptr;

    explicit Core(const OSSL_DISPATCH* in) {
        for (; in->function_id != 0; ++in) {
            if (in->function_id == OSSL_FUNC_CORE_GET_PARAMS)
                get_params = OSSL_FUNC_core_get_params(in);
            else if (in->function_id == OSSL_FUNC_CORE_NEW_ERROR)
                new_error = OSSL_FUNC_core_new_error(in);
            else if (in->function_id == OSSL_FUNC_CORE_VSET_ERROR)
                vset_error = OSSL_FUNC_core_vset_error(in);
        }
    }

    void raise(const OSSL_CORE_HANDLE* handle, const char* format, ...) const {
        if (new_error == nullptr || vset_error == nullptr)
            return;
        va_list args;
        va_start(args, format);
        new_error(handle);
        vset_error(handle, PROV_R_INVALID_CONFIG_DATA, format, args);
        va_end(args);
    }
};

// Names the cause on the error queue, or returns the instance.
std::unique_ptr<InnerProvider> load(const OSSL_CORE_HANDLE* handle, const Core& core) {
    Config config;
    if (std::string wrong = read_config(handle, core.get_params, config); !wrong.empty()) {
        core.raise(handle, "offload: %s", wrong.c_str());
        return nullptr;
    }
    workers::prepare(config.threads, config.inner == "default");
    auto inner = std::make_unique<InnerProvider>(std::move(config));
    if (std::string wrong = inner->load(); !wrong.empty()) {
        core.raise(handle, "offload: %s", wrong.c_str());
        return nullptr;
    }
    return inner;
}

const OSSL_DISPATCH provider_functions[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, reinterpret_cast<void (*)()>(teardown)},
    {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, reinterpret_cast<void (*)()>(gettable_params)},
    {OSSL_FUNC_PROVIDER_GET_PARAMS, reinterpret_cast<void (*)()>(get_params)},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<void (*)()>(query_operation)},
    {OSSL_FUNC_PROVIDER_UNQUERY_OPERATION, reinterpret_cast<void (*)()>(unquery_operation)},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, reinterpret_cast<void (*)()>(get_capabilities)},
    {0, nullptr},
};

}  // namespace

}  // namespace offload

extern "C" __attribute__((visibility("default"))) OSSL_provider_init_fn OSSL_provider_init;

int OSSL_provider_init(const OSSL_CORE_HANDLE* handle, const OSSL_DISPATCH* in,
                       const OSSL_DISPATCH** out, void** provctx) {
    const offload::Core core(in);
    if (core.get_params == nullptr)
        return 0;
    try {
        std::unique_ptr<offload::InnerProvider> inner = offload::load(handle, core);
        if (inner == nullptr)
            return 0;
        offload::follow_forks();
        *provctx = inner->context();
        *out = offload::provider_functions;
        const std::lock_guard lock(offload::instances_mutex);
        offload::instances().push_back(std::move(inner));
        return 1;
    } catch (const std::exception& error) {
        core.raise(handle, "offload: %s", error.what());
        return 0;
    }
}
