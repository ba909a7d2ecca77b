// SPDX-License-Identifier: Apache-2.0
// The openssl.cnf of `asyncjob run`: the user's, included as it is, and behind it what adds
// the provider. Later lines of a section win, so the user's sections are extended in place:
// everything else in them (ssl_conf, engines, oid_section, other providers) stays in force.
//
// Threads: any. Next layer down: libcrypto's NCONF.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>

namespace asyncjob::cli {

// The provider's section. What is not set stays as the provider has it.
struct OffloadOptions {
    std::filesystem::path module;
    bool activate = true;  // else it is only described, for OSSL_PROVIDER_load()
    std::optional<std::string> threads;
    std::optional<std::string> inner;
    std::optional<std::string> inner_config;
    std::optional<std::string> operations;

    // Those of the provider, with their names.
    struct Setting {
        const char* key;
        const std::optional<std::string>& value;
    };
    [[nodiscard]] std::array<Setting, 4> settings() const {
        return {{{"threads", threads},
                 {"inner", inner},
                 {"inner_config", inner_config},
                 {"operations", operations}}};
    }
};

// The file that OpenSSL would read: $OPENSSL_CONF or its default, absolute. Empty if there is
// no such file, which OpenSSL takes as no configuration.
std::filesystem::path find_user_config();

// Sets what is not set and stands in the user's own section for the provider, if there is one.
// Throws Failure with `status` if the user's configuration cannot be read.
void add_users_settings(const std::filesystem::path& user, OffloadOptions& options, int status);

// Whether the user's configuration activates the provider itself. Throws as above.
bool activates_offload(const std::filesystem::path& user, int status);

// The text of the configuration; `user` may be empty. Throws Failure with `status` if the
// user's cannot be read or cannot be combined with the provider.
std::string compose_config(const std::filesystem::path& user, const OffloadOptions& options,
                           int status);

}  // namespace asyncjob::cli
