// SPDX-License-Identifier: Apache-2.0
// Stands for what OpenSSL 3.5's libssl has and 3.0's has not: SSL_set_quic_tls_cbs(), in its
// version (quic_libssl.map), which keeps the first callbacks that it gets; and play_quic(), which
// calls them as a handshake does. Next layer down: quic_libssl.hpp.
#include "quic_libssl.hpp"

#include <algorithm>
#include <iterator>

namespace {

using Function = void (*)();
Function functions[quic::callbacks] = {};
void* argument = nullptr;

template <class... Args>
int call(int id, Args... args) {
    const Function function = functions[id - quic::first];
    return reinterpret_cast<int (*)(Args..., void*)>(function)(args..., argument);
}

}  // namespace

int SSL_set_quic_tls_cbs(SSL* /*ssl*/, const OSSL_DISPATCH* table, void* arg) {
    for (; table->function_id != 0; ++table) {
        const int at = table->function_id - quic::first;
        if (at >= 0 && at < quic::callbacks && functions[at] == nullptr)
            functions[at] = table->function;
    }
    argument = arg;
    return std::find(std::begin(functions), std::end(functions), nullptr) == std::end(functions);
}

std::vector<int> play_quic(SSL* ssl) {
    const unsigned char bytes[] = {1, 2, 3};
    const unsigned char* received = nullptr;
    std::size_t size = 0;
    int id = quic::first;
    std::vector<int> results;
    results.push_back(call(id++, ssl, &bytes[0], sizeof bytes, &size));
    results.push_back(call(id++, ssl, &received, &size));
    results.push_back(call(id++, ssl, sizeof bytes));
    results.push_back(call(id++, ssl, std::uint32_t{2}, 1, &bytes[0], sizeof bytes));
    results.push_back(call(id++, ssl, &bytes[0], sizeof bytes));
    results.push_back(call(id++, ssl, static_cast<unsigned char>(40)));
    return results;
}
