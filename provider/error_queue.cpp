// SPDX-License-Identifier: Apache-2.0
// Error queues. Contract: error_queue.hpp.
#include "error_queue.hpp"

#include <openssl/err.h>

namespace offload {

void ErrorQueue::take() {
    const char* file = nullptr;
    const char* function = nullptr;
    const char* data = nullptr;
    int line = 0;
    int flags = 0;
    while (ERR_clear_last_mark() == 1)
        ++marks_;
    while (const unsigned long code = ERR_get_error_all(&file, &line, &function, &data, &flags)) {
        const bool text = data != nullptr && (flags & ERR_TXT_STRING) != 0;
        entries_.push_back({code, line, file != nullptr ? file : "",
                            function != nullptr ? function : "", text ? data : ""});
    }
}

void ErrorQueue::give() const {
    for (const Entry& entry : entries_) {
        ERR_new();
        ERR_set_debug(entry.file.c_str(), entry.line, entry.function.c_str());
        if (entry.data.empty())
            ERR_set_error(ERR_GET_LIB(entry.code), ERR_GET_REASON(entry.code), nullptr);
        else
            ERR_set_error(ERR_GET_LIB(entry.code), ERR_GET_REASON(entry.code), "%s",
                          entry.data.c_str());
    }
    for (int mark = 0; mark < marks_; ++mark)
        (void)ERR_set_mark();
}

}  // namespace offload
