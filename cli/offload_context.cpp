// SPDX-License-Identifier: Apache-2.0
// Loading a configuration. Contract: offload_context.hpp.
#include "offload_context.hpp"

#include <openssl/bio.h>
#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/provider.h>

#include "errors.hpp"
#include "failure.hpp"

namespace asyncjob::cli {

void OffloadContext::Free::operator()(OSSL_LIB_CTX* library) const {
    OSSL_LIB_CTX_free(library);
}

void OffloadContext::Free::operator()(OSSL_PROVIDER* provider) const {
    OSSL_PROVIDER_unload(provider);
}

OffloadContext::OffloadContext(const std::filesystem::path& user, OffloadOptions options,
                               int status)
    : library_(OSSL_LIB_CTX_new()) {
    // A provider that the configuration activates and that then does not load is passed over
    // by OpenSSL, and its words are dropped.
    options.activate = false;
    const std::string config = compose_config(user, options, status);
    ERR_clear_error();
    const std::unique_ptr<CONF, decltype(&NCONF_free)> conf(NCONF_new_ex(library_.get(), nullptr),
                                                            NCONF_free);
    const std::unique_ptr<BIO, decltype(&BIO_free)> text(
        BIO_new_mem_buf(config.data(), static_cast<int>(config.size())), BIO_free);
    long line = 0;
    if (library_ != nullptr && conf != nullptr && text != nullptr &&
        NCONF_load_bio(conf.get(), text.get(), &line) == 1 &&
        CONF_modules_load(conf.get(), nullptr, 0) == 1)
        provider_.reset(OSSL_PROVIDER_load(library_.get(), "offload"));
    if (provider_ == nullptr)
        throw Failure(status, take_errors());
}

std::string why_not_active(const std::filesystem::path& user) {
    const std::unique_ptr<OSSL_LIB_CTX, decltype(&OSSL_LIB_CTX_free)> library(OSSL_LIB_CTX_new(),
                                                                              OSSL_LIB_CTX_free);
    ERR_clear_error();
    if (library == nullptr || OSSL_LIB_CTX_load_config(library.get(), user.c_str()) != 1)
        return take_errors();
    if (OSSL_PROVIDER_available(library.get(), "offload") == 1)
        return "";
    // Its words have been dropped, so once more.
    ERR_clear_error();
    const std::unique_ptr<OSSL_PROVIDER, decltype(&OSSL_PROVIDER_unload)> provider(
        OSSL_PROVIDER_load(library.get(), "offload"), OSSL_PROVIDER_unload);
    return take_errors();
}

}  // namespace asyncjob::cli
