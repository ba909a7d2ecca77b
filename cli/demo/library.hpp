// SPDX-License-Identifier: Apache-2.0
// The server's library context: libcrypto with the providers of a phase, configured the way a
// user would, by an openssl.cnf.
//
// Next layer down: libcrypto.
#pragma once

#include <filesystem>

#include "modules.hpp"
#include "outcome.hpp"
#include "tls.hpp"

namespace asyncjob::demo {

// Writes the configuration into folder and loads it. Throws std::runtime_error.
LibCtxPtr make_library(const Plan& plan, const Modules& modules,
                       const std::filesystem::path& folder);

}  // namespace asyncjob::demo
