// SPDX-License-Identifier: Apache-2.0
// Where the library and the provider modules are: the library is the one that this program
// runs on, modules lie beside it, as installed or as built.
//
// Threads: any. Next layer down: the dynamic loader.
#pragma once

#include <filesystem>
#include <string>

namespace asyncjob::cli {

// libasyncjob.so, absolute. Throws Failure with `status` if it is not a shared library or if
// its path cannot stand in LD_PRELOAD.
std::filesystem::path find_library(int status);

// libasyncjob-ssl.so, absolute. Throws as above, or naming the places it looked at.
std::filesystem::path find_ssl_library(int status);

// offload.so, absolute. Throws Failure with `status`, naming the places it looked at.
std::filesystem::path find_offload(int status);

// Another module of ours, absolute; `built` is its folder in the build tree. Throws as above.
std::filesystem::path find_module(const char* file, const char* built, int status);

}  // namespace asyncjob::cli
