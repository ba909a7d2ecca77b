// SPDX-License-Identifier: Apache-2.0
// Files of this user alone: in a folder of mode 0700 below $XDG_RUNTIME_DIR, $TMPDIR or /tmp,
// named after their contents, so that equal contents are one file.
//
// Threads, processes: any number at once; a file appears complete or not at all.
// Next layer down: the file system.
#pragma once

#include <filesystem>
#include <string>

namespace asyncjob::cli {

// The path of a file of mode 0600 with these contents and the suffix, made if it is not there.
// Throws Failure with `status` if the folder is not this user's own or cannot be written.
std::filesystem::path keep_private_file(const std::string& contents, const std::string& suffix,
                                        int status);

}  // namespace asyncjob::cli
