// SPDX-License-Identifier: Apache-2.0
// The provider's section of openssl.cnf, read through the core's parameters:
//
//   threads       worker threads of a process, 1 to 1024; default: the number of CPUs
//   inner         the provider that computes; default: default
//   inner_config  an openssl.cnf for the inner provider's own library context
//   operations    what to offload, see operations.hpp; default: rsa-sign rsa-decrypt, or all
//                 where inner is not default, since its keys live in a device
//
// Threads: used while the provider loads. Next layer down: libcrypto.
#pragma once

#include <openssl/core.h>
#include <openssl/core_dispatch.h>

#include <string>

#include "operations.hpp"

namespace offload {

struct Config {
    unsigned threads = 1;
    std::string inner = "default";
    std::string inner_config;  // empty: none
    Operations operations{};
    bool every_algorithm = false;  // of a device, whatever its name
};

// Reads and checks the section. Returns an empty string, or what is wrong and with which
// value.
std::string read_config(const OSSL_CORE_HANDLE* handle, OSSL_FUNC_core_get_params_fn* get_params,
                        Config& config);

}  // namespace offload
