// SPDX-License-Identifier: Apache-2.0
// Contract: modules.hpp.
#include "modules.hpp"

#include <stdexcept>
#include <vector>

namespace asyncjob::demo {

namespace {

namespace fs = std::filesystem;

fs::path find(const std::vector<fs::path>& folders, const char* file) {
    std::string looked;
    for (const fs::path& folder : folders) {
        std::error_code ignored;
        if (fs::is_regular_file(folder / file, ignored))
            return fs::weakly_canonical(folder / file);
        looked.append("\n  ").append(folder.lexically_normal().string());
    }
    throw std::runtime_error("there is no " + std::string(file) + " in any of" + looked +
                             "\nInstall the project, or name its folder with --modules.");
}

}  // namespace

Modules find_modules(const std::string& folder) {
    if (!folder.empty())
        return {find({folder}, "offload.so"), find({folder}, "offload-demo-device.so")};
    const fs::path program = fs::read_symlink("/proc/self/exe").parent_path();
    const fs::path installed = program / ".." / ASYNCJOB_LIBDIR / "ossl-modules";
    return {find({installed, program / "../provider"}, "offload.so"),
            find({installed, program / "demo", program}, "offload-demo-device.so")};
}

}  // namespace asyncjob::demo
