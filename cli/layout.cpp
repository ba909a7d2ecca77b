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

// A file of ours that lies beside the library, installed or built.
fs::path find_beside(const fs::path& installed, const fs::path& built, const char* what,
                     int status) {
    const fs::path folder = loaded_library(status).parent_path();
    for (const fs::path& candidate : {folder / installed, folder.parent_path() / built}) {
        std::error_code ignored;
        if (fs::is_regular_file(candidate, ignored))
            return candidate;
    }
    throw Failure(status, std::string("the ") + what + " " + installed.filename().string() +
                              " is neither " + (folder / installed).string() + " nor " +
                              (folder.parent_path() / built).string() +
                              "; install it, or build with ASYNCJOB_PROVIDER=ON");
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

fs::path find_ssl_library(int status) {
    (void)find_library(status);  // whether the folder can stand in LD_PRELOAD
    constexpr const char* file = "libasyncjob-ssl.so.0";
    return find_beside(file, fs::path("ssl") / file, "library", status);
}

fs::path find_module(const char* file, const char* built, int status) {
    return find_beside(fs::path("ossl-modules") / file, fs::path(built) / file, "provider", status);
}

fs::path find_offload(int status) {
    return find_module("offload.so", "provider", status);
}

}  // namespace asyncjob::cli
