// SPDX-License-Identifier: Apache-2.0
// Where the provider modules are: in a folder that the user names, or where ../layout.hpp finds
// them.
#pragma once

#include <filesystem>
#include <string>

namespace asyncjob::demo {

struct Modules {
    std::filesystem::path offload;
    std::filesystem::path device;
};

// folder is empty to look in the usual places. Throws std::runtime_error that says where it
// looked.
Modules find_modules(const std::string& folder);

}  // namespace asyncjob::demo
