// SPDX-License-Identifier: Apache-2.0
// Where the library and the provider are. Contract: layout.hpp.
#include "layout.hpp"

#include <asyncjob/control.h>
#include <dlfcn.h>

#include <string>

#include "failure.hpp"

namespace asyncjob::cli {

namespace fs = std::filesystem;

fs::path find_library(int status) {
    // A name that no libcrypto has.
    Dl_info info{};
    const auto address = reinterpret_cast<void*>(asyncjob_left_behind);
    const fs::path loaded =
        dladdr(address, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
    if (loaded.filename().string().find(".so") == std::string::npos)
        throw Failure(status,
                      "this asyncjob does not use the shared library libasyncjob.so, so "
                      "there is nothing to preload; build it with the shared library");
    // The name stays what the loader looked for; only the folder is resolved.
    const fs::path library = fs::canonical(loaded.parent_path()) / loaded.filename();
    if (library.string().find_first_of(" :\n") != std::string::npos)
        throw Failure(status, "LD_PRELOAD cannot hold '" + library.string() +
                                  "', as spaces and colons separate its entries; install asyncjob "
                                  "in a folder without them");
    return library;
}

fs::path find_module(int status) {
    const fs::path folder = find_library(status).parent_path();
    const fs::path installed = folder / "ossl-modules" / "offload.so";
    const fs::path built = folder.parent_path() / "provider" / "offload.so";
    for (const fs::path& candidate : {installed, built}) {
        std::error_code ignored;
        if (fs::is_regular_file(candidate, ignored))
            return candidate;
    }
    throw Failure(status, "the provider offload.so is neither " + installed.string() + " nor " +
                              built.string() + "; install it, or build with ASYNCJOB_PROVIDER=ON");
}

}  // namespace asyncjob::cli
