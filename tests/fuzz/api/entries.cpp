// SPDX-License-Identifier: Apache-2.0
// What the library calls. Contract: entries.hpp.
#include "entries.hpp"

#include "check.hpp"
#include "machine.hpp"

namespace fuzz {

namespace {

thread_local Machine* of_thread = nullptr;

int number_of(const void* arg) {
    return static_cast<int>(reinterpret_cast<std::uintptr_t>(arg));
}

template <int number>
int never_called(void*) {
    differ("a callback that nobody calls", number, 0);
}

}  // namespace

void Entries::enter(Machine& machine) {
    of_thread = &machine;
}

template <std::size_t size>
int Entries::function(void* args) {
    return of_thread->function(args, size);
}

int (*Entries::function_for(std::size_t size))(void*) {
    switch (size) {
        case 0:
            return function<0>;
        case 1:
            return function<1>;
        case 4:
            return function<4>;
        case 24:
            return function<24>;
        case 64:
            return function<64>;
        case 200:
            return function<200>;
        case 512:
            return function<512>;
        case 513:
            return function<513>;
        case 1025:
            return function<1025>;
        case 4000:
            return function<4000>;
        default:
            return function<50000>;
    }
}

void Entries::enter_hook(ASYNC_JOB* job, void* arg) {
    of_thread->hook(job, number_of(arg), true);
}
void Entries::leave_hook(ASYNC_JOB* job, void* arg) {
    of_thread->hook(job, number_of(arg), false);
}
void Entries::slot_free(void* arg) {
    of_thread->slot_free(number_of(arg));
}
void Entries::note_destroyed(void* value) {
    of_thread->destroy(static_cast<int>(Destructor::notes),
                       reinterpret_cast<std::uintptr_t>(value));
}
void Entries::store_again(void* value) {
    of_thread->destroy(static_cast<int>(Destructor::stores_again),
                       reinterpret_cast<std::uintptr_t>(value));
}
void Entries::clean_up(ASYNC_WAIT_CTX* ctx, const void* key, OSSL_ASYNC_FD fd, void* data) {
    if (of_thread != nullptr)
        of_thread->clean_up(ctx, key, fd, data);
}

ASYNC_callback_fn Entries::callback(int number) {
    constexpr ASYNC_callback_fn all[] = {never_called<1>, never_called<2>, never_called<3>};
    return all[number % 3];
}

}  // namespace fuzz
