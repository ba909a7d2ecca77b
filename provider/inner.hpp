// SPDX-License-Identifier: Apache-2.0
// The wrapped provider: loaded in a library context of its own, its algorithms copied with
// the private-key functions replaced.
//
// Threads: query() and unquery() on any. Next layer down: dispatch.hpp, operations.hpp.
#pragma once

#include <openssl/provider.h>

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "config.hpp"
#include "dispatch.hpp"

namespace offload {

class InnerProvider {
  public:
    explicit InnerProvider(Config config) : config_(std::move(config)) {}
    ~InnerProvider();
    InnerProvider(const InnerProvider&) = delete;
    InnerProvider& operator=(const InnerProvider&) = delete;

    // Loads it. Returns an empty string or what went wrong.
    std::string load();

    // The inner provider's own context, which this provider hands out as its own.
    [[nodiscard]] void* context() const;
    [[nodiscard]] OSSL_PROVIDER* provider() const { return provider_; }

    // The algorithms of an OSSL_OP_*; NULL if none are meant to be offered.
    const OSSL_ALGORITHM* query(int operation_id, int* no_cache);
    void unquery(int operation_id, const OSSL_ALGORITHM* algorithms);

  private:
    // What one query() handed out.
    struct Offer {
        int operation_id;
        bool cached;
        const OSSL_ALGORITHM* inner;
        std::vector<OSSL_ALGORITHM> algorithms;
        std::list<Dispatch> tables;
        std::list<std::string> properties;
    };

    [[nodiscard]] bool passes_on(int operation_id, const char* names) const;
    void fill(Offer& offer) const;

    Config config_;
    OSSL_LIB_CTX* library_ = nullptr;
    OSSL_PROVIDER* provider_ = nullptr;
    std::mutex mutex_;
    std::list<Offer> offers_;
};

}  // namespace offload
