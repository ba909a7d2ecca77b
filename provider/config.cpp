// SPDX-License-Identifier: Apache-2.0
// Configuration. Contract: config.hpp.
#include "config.hpp"

#include <openssl/params.h>

#include <charconv>
#include <thread>

namespace offload {

namespace {

constexpr unsigned most_threads = 1024;

std::string parse_threads(std::string_view text, unsigned& threads) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), threads);
    if (error != std::errc{} || end != text.data() + text.size() || threads < 1 ||
        threads > most_threads)
        return "threads: '" + std::string(text) + "' is not a number from 1 to " +
               std::to_string(most_threads);
    return {};
}

}  // namespace

std::string read_config(const OSSL_CORE_HANDLE* handle, OSSL_FUNC_core_get_params_fn* get_params,
                        Config& config) {
    char* threads = nullptr;
    char* inner = nullptr;
    char* inner_config = nullptr;
    char* operations = nullptr;
    OSSL_PARAM wanted[] = {
        OSSL_PARAM_construct_utf8_ptr("threads", &threads, 0),
        OSSL_PARAM_construct_utf8_ptr("inner", &inner, 0),
        OSSL_PARAM_construct_utf8_ptr("inner_config", &inner_config, 0),
        OSSL_PARAM_construct_utf8_ptr("operations", &operations, 0),
        OSSL_PARAM_construct_end(),
    };
    if (get_params(handle, wanted) != 1)
        return "the provider's section cannot be read";

    const unsigned cpus = std::thread::hardware_concurrency();
    config.threads = cpus > 0 ? cpus : 1;
    if (threads != nullptr) {
        if (std::string wrong = parse_threads(threads, config.threads); !wrong.empty())
            return wrong;
    }
    if (inner != nullptr)
        config.inner = inner;
    if (config.inner.empty() || config.inner == "offload")
        return "inner: '" + config.inner + "' cannot be wrapped; name the provider that computes";
    if (inner_config != nullptr)
        config.inner_config = inner_config;
    const char* const chosen = operations != nullptr       ? operations
                               : config.inner == "default" ? "rsa-sign rsa-decrypt"
                                                           : "all";
    std::string wrong = parse_operations(chosen, config.operations);
    config.every_algorithm = config.operations.all() && config.inner != "default";
    return wrong;
}

}  // namespace offload
