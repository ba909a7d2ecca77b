// SPDX-License-Identifier: Apache-2.0
// The wrapped provider. Contract: inner.hpp.
#include "inner.hpp"

#include <openssl/core_dispatch.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "workers.hpp"

namespace offload {

namespace {

// The property "provider=..." says who offers an algorithm; all others stay.
std::string own_properties(const char* inner) {
    std::string result = "provider=offload";
    std::string rest = inner != nullptr ? inner : "";
    while (!rest.empty()) {
        const std::size_t end = rest.find(',');
        std::string part = rest.substr(0, end);
        rest = end == std::string::npos ? "" : rest.substr(end + 1);
        part.erase(0, part.find_first_not_of(' '));
        if (!part.empty() && part.rfind("provider", 0) != 0)
            result.append(",").append(part);
    }
    return result;
}

}  // namespace

InnerProvider::~InnerProvider() {
    workers::finish();
    for (const Offer& offer : offers_)
        OSSL_PROVIDER_unquery_operation(provider_, offer.operation_id, offer.inner);
    if (provider_ != nullptr)
        OSSL_PROVIDER_unload(provider_);
    OSSL_LIB_CTX_free(library_);
}

std::string InnerProvider::load() {
    library_ = OSSL_LIB_CTX_new();
    if (library_ == nullptr)
        return "no memory for the inner provider's library context";
    // libcrypto takes a directory for an empty file.
    std::error_code ignored;
    if (!config_.inner_config.empty() &&
        (std::filesystem::is_directory(config_.inner_config, ignored) ||
         OSSL_LIB_CTX_load_config(library_, config_.inner_config.c_str()) != 1))
        return "inner_config: '" + config_.inner_config + "' cannot be loaded";
    provider_ = OSSL_PROVIDER_load(library_, config_.inner.c_str());
    if (provider_ == nullptr)
        return "inner: the provider '" + config_.inner + "' cannot be loaded";
    return {};
}

void* InnerProvider::context() const {
    return OSSL_PROVIDER_get0_provider_ctx(provider_);
}

// From the default provider only what the offloaded keys need: it is at hand in the
// application's library context too, where the rest stays. A device's provider is not.
bool InnerProvider::passes_on(int operation_id, const char* names) const {
    const bool is_default = config_.inner == "default";
    switch (operation_id) {
        case OSSL_OP_KEYMGMT:
        case OSSL_OP_KEYEXCH:
        case OSSL_OP_SIGNATURE:
        case OSSL_OP_ASYM_CIPHER:
        case OSSL_OP_KEM:
            return !is_default || is_offered(names, config_.operations);
        case OSSL_OP_STORE:
        case OSSL_OP_DECODER:
        case OSSL_OP_ENCODER:
            return !is_default;
        default:
            return false;
    }
}

void InnerProvider::fill(Offer& offer) const {
    for (const OSSL_ALGORITHM* from = offer.inner; from->algorithm_names != nullptr; ++from) {
        if (!passes_on(offer.operation_id, from->algorithm_names))
            continue;
        OSSL_ALGORITHM algorithm = *from;
        algorithm.property_definition =
            offer.properties.emplace_back(own_properties(from->property_definition)).c_str();
        if (config_.every_algorithm ||
            is_offloaded(offer.operation_id, from->algorithm_names, config_.operations)) {
            algorithm.implementation =
                offer.tables.emplace_back(offloading(offer.operation_id, from->implementation))
                    .data();
        }
        offer.algorithms.push_back(algorithm);
    }
    offer.algorithms.push_back({});
}

const OSSL_ALGORITHM* InnerProvider::query(int operation_id, int* no_cache) {
    const std::lock_guard lock(mutex_);
    for (const Offer& offer : offers_) {
        if (offer.operation_id == operation_id && offer.cached) {
            *no_cache = 0;
            return offer.algorithms.empty() ? nullptr : offer.algorithms.data();
        }
    }
    // Before the inner provider is asked: what it has told must be told to be done with.
    Offer& offer = offers_.emplace_back();
    int inner_no_cache = 0;
    offer.operation_id = operation_id;
    offer.inner = OSSL_PROVIDER_query_operation(provider_, operation_id, &inner_no_cache);
    offer.cached = inner_no_cache == 0;
    *no_cache = inner_no_cache;
    if (offer.inner == nullptr) {
        OSSL_PROVIDER_unquery_operation(provider_, operation_id, nullptr);
        offers_.pop_back();
        return nullptr;
    }
    try {
        fill(offer);
    } catch (...) {
        OSSL_PROVIDER_unquery_operation(provider_, operation_id, offer.inner);
        offers_.pop_back();
        throw;
    }
    return offer.algorithms.empty() ? nullptr : offer.algorithms.data();
}

void InnerProvider::unquery(int operation_id, const OSSL_ALGORITHM* algorithms) {
    const std::lock_guard lock(mutex_);
    const auto done = std::find_if(offers_.begin(), offers_.end(), [&](const Offer& offer) {
        return offer.operation_id == operation_id && !offer.cached &&
               offer.algorithms.data() == algorithms;
    });
    if (done == offers_.end())
        return;
    OSSL_PROVIDER_unquery_operation(provider_, operation_id, done->inner);
    offers_.erase(done);
}

}  // namespace offload
