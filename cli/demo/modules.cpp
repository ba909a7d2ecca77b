// SPDX-License-Identifier: Apache-2.0
// Contract: modules.hpp.
#include "modules.hpp"

#include <stdexcept>

#include "../failure.hpp"
#include "../layout.hpp"

namespace asyncjob::demo {

namespace {

namespace fs = std::filesystem;

constexpr const char* device = "offload-demo-device.so";

fs::path find_in(const fs::path& folder, const char* file) {
    std::error_code ignored;
    if (!fs::is_regular_file(folder / file, ignored))
        throw std::runtime_error("there is no " + std::string(file) + " in " + folder.string());
    return fs::weakly_canonical(folder / file);
}

}  // namespace

Modules find_modules(const std::string& folder) {
    if (!folder.empty())
        return {find_in(folder, "offload.so"), find_in(folder, device)};
    return {cli::find_offload(cli::status_failed),
            cli::find_module(device, "cli/demo", cli::status_failed)};
}

}  // namespace asyncjob::demo
