// SPDX-License-Identifier: Apache-2.0
// A line of text, as far as there is room, for code that may run in a signal handler: snprintf()
// is not for those.
//
// Owner: dump.cpp and overflow.cpp. Threads: that of the line. Next layer down: os/file.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "os/file.hpp"

namespace asyncjob {

class Line {
  public:
    Line& text(const char* more) {
        while (*more != '\0' && size_ < sizeof text_ - 1)
            text_[size_++] = *more++;
        return *this;
    }
    Line& number(std::uint64_t value, unsigned base = 10, unsigned digits = 1) {
        char reversed[20];
        unsigned count = 0;
        do {
            reversed[count++] = "0123456789abcdef"[value % base];
            value /= base;
        } while (value != 0);
        for (; digits > count; --digits)
            text("0");
        while (count > 0) {
            const char digit[] = {reversed[--count], '\0'};
            text(digit);
        }
        return *this;
    }
    Line& signed_number(std::int64_t value) {
        if (value < 0)
            return text("-").number(std::uint64_t{0} - static_cast<std::uint64_t>(value));
        return number(static_cast<std::uint64_t>(value));
    }
    Line& address(const void* address) {
        return text("0x").number(reinterpret_cast<std::uintptr_t>(address), 16);
    }
    [[nodiscard]] bool write(int fd) {
        text_[size_++] = '\n';
        return os::write_all(fd, text_, size_);
    }
    [[nodiscard]] bool write_last_words(int fd) {
        text_[size_++] = '\n';
        return os::write_last_words(fd, text_, size_);
    }

  private:
    char text_[512];
    std::size_t size_ = 0;
};

}  // namespace asyncjob
