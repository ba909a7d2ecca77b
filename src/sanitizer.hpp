// SPDX-License-Identifier: Apache-2.0
// Tells the tools that watch stacks of every switch: AddressSanitizer with LeakSanitizer,
// ThreadSanitizer, MemorySanitizer, Valgrind. In a build without them all of it is empty, so that a
// switch stays a tail call.
//
// The order around a switch: leave() on the side that goes, the switch, arrive() on the
// side that comes. Each side has a Side record, of which the suspended one's is in use.
//
// Owner: fiber.hpp. Threads: the fiber's. Next layer down: the tools' own headers.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define ASYNCJOB_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASYNCJOB_ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define ASYNCJOB_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ASYNCJOB_TSAN 1
#endif
#endif

#if defined(__has_feature)
#if __has_feature(memory_sanitizer)
#define ASYNCJOB_MSAN 1
#endif
#endif

#if defined(ASYNCJOB_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#include <sys/mman.h>

#include <cstring>
#endif
#if defined(ASYNCJOB_MSAN)
#include <sanitizer/msan_interface.h>
#endif
#if defined(ASYNCJOB_TSAN)
#include <sanitizer/tsan_interface.h>
// Of the runtime, without a header: what an instrumented function calls at its ends.
extern "C" void __tsan_func_entry(void* caller);
extern "C" void __tsan_func_exit();
#endif
#if __has_include(<valgrind/memcheck.h>)
#include <valgrind/helgrind.h>
#include <valgrind/memcheck.h>
#define ASYNCJOB_VALGRIND 1
#endif

namespace asyncjob::sanitizer {

#if defined(ASYNCJOB_ASAN) || defined(ASYNCJOB_TSAN) || defined(ASYNCJOB_MSAN)
inline constexpr bool watched = true;
#else
inline constexpr bool watched = false;  // leave() and arrive() do nothing
#endif

#if defined(ASYNCJOB_ASAN)
// LeakSanitizer searches the stack that a thread runs on. What the suspended frames of the other
// side hold is not lost either: those between `frames` and the stack's end, and the fake ones that
// they point to. What it was told of is kept, and it is told to forget just that: another side may
// write to the frames meanwhile, pointers to fake ones among others, and it ends the process where
// it is to forget what it does not know.
class SuspendedFrames {
  public:
    void begin(const void* frames, const void* low, std::size_t size, void* fake) {
        const auto* first = static_cast<const std::byte*>(low);
        const auto* const last = first + size;
        if (frames > low && frames < last)  // by ucontext they may begin in a fake one
            first = static_cast<const std::byte*>(frames);
        stack_ = {first, static_cast<std::size_t>(last - first)};
        __lsan_register_root_region(stack_.begin, stack_.size);
        if (fake != nullptr)
            find_fake_ones(fake);
    }

    void end() {
        if (stack_.begin == nullptr)
            return;
        __lsan_unregister_root_region(stack_.begin, stack_.size);
        stack_.begin = nullptr;
        for (; count_ > 0; --count_)
            __lsan_unregister_root_region(fake_[count_ - 1].begin, fake_[count_ - 1].size);
    }

    // There will be no more.
    void gone() {
        if (fake_ != nullptr)
            (void)munmap(fake_, room_ * sizeof(Region));
        fake_ = nullptr;
        room_ = 0;
    }

  private:
    struct Region {
        const void* begin;
        std::size_t size;
    };

    __attribute__((no_sanitize("address"))) void find_fake_ones(void* fake) {
        const auto* word = static_cast<void* const*>(stack_.begin);
        for (const auto* const end = word + stack_.size / sizeof *word; word < end; ++word) {
            void* first = nullptr;
            void* last = nullptr;
            if (__asan_addr_is_in_fake_stack(fake, *word, &first, &last) == nullptr ||
                (count_ > 0 && fake_[count_ - 1].begin == first) || !have_room())
                continue;
            const auto size = static_cast<std::size_t>(static_cast<std::byte*>(last) -
                                                       static_cast<std::byte*>(first));
            fake_[count_++] = {first, size};
            __lsan_register_root_region(first, size);
        }
    }

    // Without memory LeakSanitizer may report what is not lost. By mmap64(), which tests that have
    // the library's own calls fail do not know.
    bool have_room() {
        if (count_ < room_)
            return true;
        constexpr std::size_t at_first = 4096 / sizeof(Region);
        const std::size_t room = room_ > 0 ? 2 * room_ : at_first;
        void* const more = mmap64(nullptr, room * sizeof(Region), PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (more == MAP_FAILED)
            return false;
        if (count_ > 0)
            std::memcpy(more, fake_, count_ * sizeof(Region));
        gone();
        fake_ = static_cast<Region*>(more);
        room_ = room;
        return true;
    }

    Region stack_{nullptr, 0};  // NULL: none are suspended
    Region* fake_ = nullptr;
    std::size_t count_ = 0;
    std::size_t room_ = 0;
};
#endif

// What the tools know of a fiber: its stack, and the side that is suspended.
struct Fiber {
#if defined(ASYNCJOB_ASAN) || defined(ASYNCJOB_MSAN)
    const void* own_low = nullptr;  // the fiber's stack
    std::size_t own_size = 0;
    const void* other_low = nullptr;  // its resumer's stack, learnt on arrival
    std::size_t other_size = 0;
#endif
#if defined(ASYNCJOB_ASAN)
    void* own_fake = nullptr;  // fake stacks, while suspended
    void* other_fake = nullptr;
    SuspendedFrames own_frames;
    SuspendedFrames other_frames;
#endif
#if defined(ASYNCJOB_MSAN)
    int result = 0;
#endif
#if defined(ASYNCJOB_TSAN)
    void* own = nullptr;
    void* other = nullptr;
#endif
#if defined(ASYNCJOB_VALGRIND)
    unsigned valgrind_id = 0;
#endif
};

// The fiber's frames are not to be searched any more: it goes on, or nobody can resume it.
inline void forget_frames([[maybe_unused]] Fiber& fiber) {
#if defined(ASYNCJOB_ASAN)
    fiber.own_frames.end();
#endif
}

// What the header of a job refers to is not lost, from when it was made until it is gone or nobody
// can resume the job. LeakSanitizer does not search what was not allocated from it.
inline void begin_header([[maybe_unused]] const void* header, [[maybe_unused]] std::size_t size) {
#if defined(ASYNCJOB_ASAN)
    __lsan_register_root_region(header, size);
#endif
}
inline void end_header([[maybe_unused]] const void* header, [[maybe_unused]] std::size_t size) {
#if defined(ASYNCJOB_ASAN)
    __lsan_unregister_root_region(header, size);
#endif
}

// A stack was made for the fiber, or is about to be given back.
inline void made([[maybe_unused]] Fiber& fiber, [[maybe_unused]] std::byte* low,
                 [[maybe_unused]] std::byte* high) {
#if defined(ASYNCJOB_ASAN) || defined(ASYNCJOB_MSAN)
    fiber.own_low = low;
    fiber.own_size = static_cast<std::size_t>(high - low);
#endif
#if defined(ASYNCJOB_TSAN)
    fiber.own = __tsan_create_fiber(0);
#endif
#if defined(ASYNCJOB_VALGRIND)
    // The stack pointer begins at `high`, which has to count as this stack.
    fiber.valgrind_id = VALGRIND_STACK_REGISTER(low, high);
#endif
}

// Whether the process runs under memcheck. Its other tools need not be told of arguments.
inline bool under_memcheck() {
#if defined(ASYNCJOB_VALGRIND)
    [[maybe_unused]] const char byte = 0;
    [[maybe_unused]] char bits = 0;
    return VALGRIND_GET_VBITS(&byte, &bits, 1) == 1;
#else
    return false;
#endif
}

// Whether a newer system call brings a warning, and an error as of an old kernel.
inline bool knows_old_calls_only() {
#if defined(ASYNCJOB_VALGRIND)
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

// The starter puts the arguments where memcheck saw the last frames of the fiber end, and the
// fiber's first frame begins below them, with the red zone that the ABI grants it.
inline void about_to_write([[maybe_unused]] std::byte* to, [[maybe_unused]] std::size_t size) {
#if defined(ASYNCJOB_VALGRIND)
    [[maybe_unused]] constexpr std::size_t red_zone = 128;
    (void)VALGRIND_MAKE_MEM_UNDEFINED(to - red_zone, size + red_zone);
#endif
}

// helgrind does not know that atomics order what threads do: what one did before it gave a thing
// away comes before what another does after it took it.
inline void gives([[maybe_unused]] const void* thing) {
#if defined(ASYNCJOB_VALGRIND)
    ANNOTATE_HAPPENS_BEFORE(thing);
#endif
}
inline void takes([[maybe_unused]] const void* thing) {
#if defined(ASYNCJOB_VALGRIND)
    ANNOTATE_HAPPENS_AFTER(thing);
#endif
}

inline void gone([[maybe_unused]] Fiber& fiber, [[maybe_unused]] std::byte* low,
                 [[maybe_unused]] std::byte* high) {
#if defined(ASYNCJOB_ASAN)
    // Frames that ended in a jump leave their redzones poisoned; the memory is reused.
    __asan_unpoison_memory_region(fiber.own_low, fiber.own_size);
    fiber.own_frames.gone();
    fiber.other_frames.gone();
#endif
#if defined(ASYNCJOB_TSAN)
    __tsan_destroy_fiber(fiber.own);
#endif
#if defined(ASYNCJOB_VALGRIND)
    VALGRIND_STACK_DEREGISTER(fiber.valgrind_id);
    // What is below frames that ended is nobody's, but whose memory this was may use it.
    (void)VALGRIND_MAKE_MEM_UNDEFINED(low, high - low);
#endif
}

// The starter or resumer goes to the fiber.
inline void leave_to_fiber([[maybe_unused]] Fiber& fiber) {
#if defined(ASYNCJOB_ASAN)
    forget_frames(fiber);
    __sanitizer_start_switch_fiber(&fiber.other_fake, fiber.own_low, fiber.own_size);
#endif
#if defined(ASYNCJOB_TSAN)
    fiber.other = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber.own, 0);
#endif
#if defined(ASYNCJOB_MSAN)
    __msan_start_switch_fiber(fiber.own_low, fiber.own_size);
#endif
}

// First thing on the fiber's stack, after a start (`first`) or a resume. The other side's frames
// begin at `outside`.
inline void arrive_in_fiber([[maybe_unused]] Fiber& fiber, [[maybe_unused]] bool first,
                            [[maybe_unused]] const void* outside) {
#if defined(ASYNCJOB_ASAN)
    __sanitizer_finish_switch_fiber(first ? nullptr : fiber.own_fake, &fiber.other_low,
                                    &fiber.other_size);
    fiber.other_frames.begin(outside, fiber.other_low, fiber.other_size, fiber.other_fake);
#endif
#if defined(ASYNCJOB_MSAN)
    __msan_finish_switch_fiber(&fiber.other_low, &fiber.other_size);
#endif
}

// The fiber pauses, or ends (`last`).
inline void leave_fiber([[maybe_unused]] Fiber& fiber, [[maybe_unused]] bool last) {
#if defined(ASYNCJOB_ASAN)
    fiber.other_frames.end();
    __sanitizer_start_switch_fiber(last ? nullptr : &fiber.own_fake, fiber.other_low,
                                   fiber.other_size);
#endif
#if defined(ASYNCJOB_TSAN)
    // The function that ends a fiber still returns, which would take a frame off the other
    // side's record: count it as having returned, and entered there.
    if (last)
        __tsan_func_exit();
    __tsan_switch_to_fiber(fiber.other, 0);
    if (last)
        __tsan_func_entry(nullptr);
#endif
#if defined(ASYNCJOB_MSAN)
    __msan_start_switch_fiber(fiber.other_low, fiber.other_size);
#endif
}

// First thing on the resumer's stack after a pause, which has left the fiber's frames at `frames`,
// or the end (NULL).
inline void arrive_outside([[maybe_unused]] Fiber& fiber, [[maybe_unused]] const void* frames) {
#if defined(ASYNCJOB_ASAN)
    __sanitizer_finish_switch_fiber(fiber.other_fake, nullptr, nullptr);
    if (frames != nullptr)
        fiber.own_frames.begin(frames, fiber.own_low, fiber.own_size, fiber.own_fake);
#endif
#if defined(ASYNCJOB_MSAN)
    __msan_finish_switch_fiber(nullptr, nullptr);
#endif
}

// The assembly passes what a fiber's function returned, but not which bits of it are undefined:
// they are kept beside, from the one side's call to the other's.
inline void keep_result([[maybe_unused]] Fiber& fiber, [[maybe_unused]] int value) {
#if defined(ASYNCJOB_MSAN)
    fiber.result = value;
#endif
}
inline int kept_result([[maybe_unused]] const Fiber& fiber, int value) {
#if defined(ASYNCJOB_MSAN)
    value = fiber.result;
#endif
    return value;
}

// The kernel has written this, by a system call that the tools do not know.
inline void was_written([[maybe_unused]] const void* at, [[maybe_unused]] std::size_t size) {
#if defined(ASYNCJOB_MSAN)
    __msan_unpoison(at, size);
#endif
}

}  // namespace asyncjob::sanitizer
