// SPDX-License-Identifier: Apache-2.0
// The error queue. Contract: errors.hpp.
#include "errors.hpp"

#include <openssl/err.h>

namespace asyncjob::cli {

std::string take_errors() {
    std::string all;
    std::string offload;
    const char* data = nullptr;
    int flags = 0;
    while (const unsigned long code = ERR_get_error_all(nullptr, nullptr, nullptr, &data, &flags)) {
        const char* const reason = ERR_reason_error_string(code);
        const std::string detail = (flags & ERR_TXT_STRING) != 0 && data != nullptr ? data : "";
        if (detail.rfind("offload: ", 0) == 0 && offload.empty())
            offload = detail;
        all += all.empty() ? "" : "; ";
        all += reason != nullptr ? reason : "error " + std::to_string(code);
        if (!detail.empty())
            all += " (" + detail + ")";
    }
    if (!offload.empty())
        return offload;
    return all.empty() ? "OpenSSL gives no reason" : all;
}

}  // namespace asyncjob::cli
