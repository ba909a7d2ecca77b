// SPDX-License-Identifier: Apache-2.0
// The error queue. Contract: errors.hpp.
#include "errors.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace asyncjob::ssl {

ErrorsKept::ErrorsKept(const Libssl& libssl) noexcept : libssl_(libssl), error_number_(errno) {
    while (libssl.ERR_clear_last_mark() == 1)
        ++marks_;
    Entry** place = &first_;
    const char* file = nullptr;
    const char* function = nullptr;
    const char* data = nullptr;
    int line = 0;
    int flags = 0;
    while (const unsigned long code =
               libssl.ERR_get_error_all(&file, &line, &function, &data, &flags)) {
        *place = make(code, file, line, function, (flags & ERR_TXT_STRING) != 0 ? data : nullptr);
        if (*place != nullptr)
            place = &(*place)->next;
    }
}

ErrorsKept::~ErrorsKept() {
    libssl_.ERR_clear_error();
    while (first_ != nullptr) {
        Entry* const entry = first_;
        first_ = entry->next;
        libssl_.ERR_new();
        libssl_.ERR_set_debug(entry->file, entry->line, entry->function);
        libssl_.ERR_set_error(ERR_GET_LIB(entry->code), ERR_GET_REASON(entry->code),
                              entry->data[0] != '\0' ? "%s" : nullptr, entry->data);
        std::free(entry);
    }
    for (; marks_ > 0; --marks_)
        (void)libssl_.ERR_set_mark();
    errno = error_number_;
}

ErrorsKept::Entry* ErrorsKept::make(unsigned long code, const char* file, int line,
                                    const char* function, const char* data) noexcept {
    const char* texts[] = {file, function, data};
    std::size_t sizes[3];
    std::size_t size = sizeof(Entry);
    for (int i = 0; i < 3; ++i) {
        if (texts[i] == nullptr)
            texts[i] = "";
        sizes[i] = std::strlen(texts[i]) + 1;
        size += sizes[i];
    }
    auto* const entry = static_cast<Entry*>(std::malloc(size));
    if (entry == nullptr)
        return nullptr;
    auto* to = reinterpret_cast<char*>(entry + 1);
    for (int i = 0; i < 3; ++i) {
        texts[i] = static_cast<const char*>(std::memcpy(to, texts[i], sizes[i]));
        to += sizes[i];
    }
    *entry = {nullptr, code, line, texts[0], texts[1], texts[2]};
    return entry;
}

}  // namespace asyncjob::ssl
