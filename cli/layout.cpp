// SPDX-License-Identifier: Apache-2.0
// Where the library and the provider are. Contract: layout.hpp.
#include "layout.hpp"

#include <asyncjob/control.h>
#include <dlfcn.h>

#include <string>

#include "failure.hpp"

namespace asyncjob::cli {

namespace fs = std::filesystem;

namespace {

// The library's file, by the name that the loader looked for; only the folder is resolved.
fs::path loaded_library(int status) {
    // A name that no libcrypto has.
    Dl_info info{};
    const auto address = reinterpret_cast<void*>(asyncjob_left_behind);
    const fs::path loaded =
        dladdr(address, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
    if (loaded.filename().string().find(".so") == std::string::npos)
        throw Failure(status,
                      "this asyncjob does not use the shared library libasyncjob.so, which it "
                      "preloads and beside which its modules lie; build it with that library");
    return fs::canonical(loaded.parent_path()) / loaded.filename();
}

}  // namespace

fs::path find_library(int status) {
    fs::path library = loaded_library(status);
    if (library.string().find_first_of(" :\n") != std::string::npos)
        throw Failure(status, "LD_PRELOAD cannot hold '" + library.string() +
                                  "', as spaces and colons separate its entries; install asyncjob "
                                  "in a folder without them");
    return library;
}

fs::path find_module(const char* file, const char* built, int status) {
    const fs::path folder = loaded_library(status).parent_path();
    const fs::path installed = folder / "ossl-modules" / file;
    const fs::path in_build_tree = folder.parent_path() / built / file;
    for (const fs::path& candidate : {installed, in_build_tree}) {
        std::error_code ignored;
        if (fs::is_regular_file(candidate, ignored))
            return candidate;
    }
    throw Failure(status, std::string("the provider ") + file + " is neither " +
                              installed.string() + " nor " + in_build_tree.string() +
                              "; install it, or build with ASYNCJOB_PROVIDER=ON");
}

fs::path find_offload(int status) {
    return find_module("offload.so", "provider", status);
}

}  // namespace asyncjob::cli
