// SPDX-License-Identifier: Apache-2.0
// The differential target: bytes are the choices of a sequence of tests/conformance/differential/,
// which runs on libcrypto and on the library; the first difference that is not a known deviation is
// a finding. The first byte says which deviation the sequence may meet, if any.
//
// Without AddressSanitizer, which knows nothing of libcrypto's switches and does not let a second
// copy of it be loaded.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "../conformance/differential/api.hpp"
#include "../conformance/differential/deviations.hpp"
#include "../conformance/differential/session.hpp"
#include "../conformance/differential/trace.hpp"
#include "target.hpp"

namespace {

using namespace differential;

Side libcrypto{"libcrypto", {}, {}};
Side asyncjob{"asyncjob", {}, {}};

constexpr bool is_watched() {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#elif defined(__has_feature)
    return __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||
           __has_feature(memory_sanitizer);
#else
    return false;
#endif
}

[[noreturn]] void report(const std::vector<Event>& same, std::size_t at, const Event* of_libcrypto,
                         const Event* of_asyncjob) {
    std::printf("difference found, event %zu\n", at);
    print_difference(same, at, of_libcrypto, of_asyncjob);
    std::fflush(stdout);
    std::abort();
}

}  // namespace

int LLVMFuzzerInitialize(int* /*count*/, char*** /*arguments*/) {
    std::string why;
    if (is_watched())
        why = "not under a sanitizer that follows stacks";
    if (!why.empty() || !load_libcrypto(libcrypto.api, why) ||
        !load_asyncjob(asyncjob.api, "", why)) {
        std::fprintf(stderr, "skipped: %s\n", why.c_str());
        return 1;
    }
    if (asyncjob.api.start_job == libcrypto.api.start_job) {
        std::fprintf(stderr, "this would compare libcrypto with libcrypto\n");
        std::abort();
    }
    return make_lib_ctxs(libcrypto) && make_lib_ctxs(asyncjob) ? 0 : 1;
}

int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
    if (size < 2)
        return 0;
    const auto& all = deviations();
    const Plan plan{0, 0, bytes[0] < all.size() ? all[bytes[0]].provoke : Provoke::none, bytes + 1,
                    size - 1};
    Trace expected;
    run_session(libcrypto, plan, expected);
    Trace actual(expected.events(), [&](std::size_t at, const Event* theirs, const Event& ours) {
        if (theirs == nullptr || find_deviation(*theirs, ours) == nullptr)
            report(expected.events(), at, theirs, &ours);
    });
    run_session(asyncjob, plan, actual);
    const std::size_t count = actual.events().size();
    if (!actual.over() && count < expected.events().size())
        report(expected.events(), count, &expected.events()[count], nullptr);
    return 0;
}
