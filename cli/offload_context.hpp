// SPDX-License-Identifier: Apache-2.0
// A library context with the provider in it, configured as `asyncjob run` would: the test of a
// configuration, by what the provider itself says.
//
// Threads: one at a time. Next layer down: config.hpp, libcrypto.
#pragma once

#include <openssl/types.h>

#include <filesystem>
#include <memory>
#include <string>

#include "config.hpp"

namespace asyncjob::cli {

class OffloadContext {
  public:
    // Loads the user's configuration (none where the path is empty) and the provider. Throws
    // Failure with `status` and the error queue's words.
    OffloadContext(const std::filesystem::path& user, OffloadOptions options, int status);

    OSSL_LIB_CTX* get() const { return library_.get(); }

  private:
    struct Free {
        void operator()(OSSL_LIB_CTX* library) const;
        void operator()(OSSL_PROVIDER* provider) const;
    };
    std::unique_ptr<OSSL_LIB_CTX, Free> library_;
    std::unique_ptr<OSSL_PROVIDER, Free> provider_;
};

// Why OpenSSL does not activate the provider by the user's configuration as it stands; "" if it
// does.
std::string why_not_active(const std::filesystem::path& user);

}  // namespace asyncjob::cli
