// SPDX-License-Identifier: Apache-2.0
// Contract: support.hpp.
#include "support.hpp"

#include <openssl/err.h>

#include <cerrno>
#include <cstring>
#include <system_error>

namespace tls {

int check(int result, const char* what) {
    if (result < 0)
        throw std::system_error(errno, std::generic_category(), what);
    return result;
}

std::string describe_failure(const char* what, int ssl_error) {
    const int error_number = errno;
    const unsigned long code = ERR_get_error();
    std::string text = what;
    text += ": ";
    if (code != 0) {
        char reason[256];
        ERR_error_string_n(code, reason, sizeof reason);
        text += reason;
    } else if (ssl_error == SSL_ERROR_SYSCALL) {
        text +=
            error_number != 0 ? std::strerror(error_number) : "unexpected end of the connection";
    } else {
        text += "SSL error " + std::to_string(ssl_error);
    }
    return text;
}

int milliseconds_until(Clock::time_point then) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(then - Clock::now()).count();
    return static_cast<int>(std::clamp<long long>(left, 0, 1'000'000));
}

}  // namespace tls
