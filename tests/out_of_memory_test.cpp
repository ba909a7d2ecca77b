// SPDX-License-Identifier: Apache-2.0
// Memory that runs out, at each step of each call that needs some (S10): this program's own
// malloc(), mmap() and so on bind before libc's, and fail when they are told to. Every
// attempt runs in a child that has not used jobs yet, so that each step is a first one.
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "support.hpp"

namespace test {
namespace {

enum class Fails { one, all_from_there };

// Fails the `left`-th call from now on. No locks, no allocation: it runs inside malloc().
struct Plan {
    bool armed = false;
    Fails how = Fails::one;
    int left = 0;
    int failed = 0;
} plan;

[[maybe_unused]] bool fails_now() {
    if (!plan.armed)
        return false;
    if (plan.left > 0)
        --plan.left;
    if (plan.left > 0 || (plan.how == Fails::one && plan.failed > 0))
        return false;
    ++plan.failed;
    return true;
}

// What the library holds: the blocks and mappings that its own code asked for.
struct Holdings {
    struct Piece {
        const void* address;
        std::size_t size;
    };
    std::array<Piece, 512> pieces{};

    void add(const void* address, std::size_t size) {
        for (Piece& piece : pieces) {
            if (piece.address == nullptr) {
                piece = {address, size};
                return;
            }
        }
        std::abort();
    }
    void remove(const void* address) {
        if (address == nullptr)
            return;
        for (Piece& piece : pieces) {
            if (piece.address == address)
                piece = {};
        }
    }
    [[nodiscard]] std::size_t bytes() const {
        std::size_t sum = 0;
        for (const Piece& piece : pieces)
            sum += piece.size;
        return sum;
    }
} holdings;

// The library's code, by which its calls are told from those of libc and of the test.
std::uintptr_t code_low = 0;
std::uintptr_t code_high = 0;

__attribute__((constructor)) void find_the_librarys_code() {
    dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void*) {
            if (std::strstr(info->dlpi_name, "libasyncjob.so") == nullptr)
                return 0;
            for (int i = 0; i < info->dlpi_phnum; ++i) {
                const auto& header = info->dlpi_phdr[i];
                if (header.p_type == PT_LOAD && (header.p_flags & PF_X) != 0) {
                    code_low = info->dlpi_addr + header.p_vaddr;
                    code_high = code_low + header.p_memsz;
                }
            }
            return 1;
        },
        nullptr);
}

[[maybe_unused]] void note(const void* caller, const void* address, std::size_t size) {
    const auto at = reinterpret_cast<std::uintptr_t>(caller);
    if (address != nullptr && at >= code_low && at < code_high)
        holdings.add(address, size);
}

#define CALLER __builtin_return_address(0)

}  // namespace
}  // namespace test

#if !ASYNCJOB_TEST_ASAN && !ASYNCJOB_TEST_TSAN

extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* block, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
void __libc_free(void* block);

void* malloc(std::size_t size) {
    void* const block = test::fails_now() ? nullptr : __libc_malloc(size);
    test::note(CALLER, block, size);
    if (block == nullptr)
        errno = ENOMEM;
    return block;
}

void* calloc(std::size_t count, std::size_t size) {
    void* const block = test::fails_now() ? nullptr : __libc_calloc(count, size);
    test::note(CALLER, block, count * size);
    return block;
}

void* realloc(void* old, std::size_t size) {
    if (test::fails_now())
        return nullptr;
    test::holdings.remove(old);
    void* const block = __libc_realloc(old, size);
    test::note(CALLER, block, size);
    return block;
}

int posix_memalign(void** block, std::size_t alignment, std::size_t size) {
    if (test::fails_now())
        return ENOMEM;
    *block = __libc_memalign(alignment, size);
    test::note(CALLER, *block, size);
    return *block == nullptr ? ENOMEM : 0;
}

void free(void* block) {
    test::holdings.remove(block);
    __libc_free(block);
}

void* mmap(void* at, std::size_t size, int protection, int flags, int fd, off_t offset) {
    void* address = MAP_FAILED;
    if (test::fails_now())
        errno = ENOMEM;
    else
        address =
            reinterpret_cast<void*>(syscall(SYS_mmap, at, size, protection, flags, fd, offset));
    // Addresses alone, put in the place of memory, are not held.
    if (address != MAP_FAILED && (flags & MAP_FIXED) != 0)
        test::holdings.remove(address);
    if (address != MAP_FAILED && protection != PROT_READ)
        test::note(CALLER, address, size);
    return address;
}

int munmap(void* address, std::size_t size) {
    test::holdings.remove(address);
    return static_cast<int>(syscall(SYS_munmap, address, size));
}

int madvise(void* address, std::size_t size, int advice) {
    if (test::fails_now()) {
        errno = ENOMEM;
        return -1;
    }
    return static_cast<int>(syscall(SYS_madvise, address, size, advice));
}

int mprotect(void* address, std::size_t size, int protection) {
    if (test::fails_now()) {
        errno = ENOMEM;
        return -1;
    }
    return static_cast<int>(syscall(SYS_mprotect, address, size, protection));
}

int pthread_setspecific(pthread_key_t key, const void* value) {
    if (test::fails_now())
        return ENOMEM;
    static const auto next = reinterpret_cast<int (*)(pthread_key_t, const void*)>(
        dlsym(RTLD_NEXT, "pthread_setspecific"));
    return next(key, value);
}

}  // extern "C"
#endif

namespace test {
namespace {

// A call that needs memory. Returns whether it succeeded; checks its own results.
struct Step {
    const char* name;
    void (*prepare)();
    bool (*call)();
    void (*undo)();  // gives back what prepare() and a successful call() have made
    // Bytes that a failed call may leave to the next: headers, which stay for good; and a
    // start whose arguments cannot be copied leaves the job that it made in the pool.
    std::size_t may_leave = 128 * kib;
};

std::ostream& operator<<(std::ostream& out, const Step& step) {
    return out << step.name;
}

ASYNC_WAIT_CTX* wait = nullptr;

bool start_with(std::size_t size) {
    static char args[100 * kib];
    ASYNC_JOB* job = nullptr;
    int result = 99;
    const int status =
        ASYNC_start_job(&job, nullptr, &result, return_seven, size == 0 ? nullptr : args, size);
    EXPECT_EQ(job, nullptr);
    if (status == ASYNC_FINISH) {
        EXPECT_EQ(result, 7);
        return true;
    }
    EXPECT_EQ(status, ASYNC_ERR) << "ASYNC_NO_JOBS means the limit, nothing else";
    EXPECT_EQ(result, 99);
    return false;
}

void set_fds(int count) {
    for (int fd = 0; fd < count; ++fd)
        EXPECT_EQ(ASYNC_WAIT_CTX_set_wait_fd(wait, nullptr, fd, nullptr, nullptr), 1);
}

std::size_t number_of_fds() {
    std::size_t count = 0;
    EXPECT_EQ(ASYNC_WAIT_CTX_get_all_fds(wait, nullptr, &count), 1);
    return count;
}

// The table grows at the fifth fd, and then each time it is full.
template <int count>
bool set_one_more_fd() {
    const bool done = ASYNC_WAIT_CTX_set_wait_fd(wait, nullptr, count, nullptr, nullptr) == 1;
    EXPECT_EQ(number_of_fds(), static_cast<std::size_t>(count + (done ? 1 : 0)));
    return done;
}

void free_wait() {
    ASYNC_WAIT_CTX_free(wait);
    wait = nullptr;
}

asyncjob_key key = 0;

// In a job. To store nothing takes no memory.
int store_value(void*) {
    EXPECT_EQ(asyncjob_set_local(key, nullptr), 1);
    const int stored = asyncjob_set_local(key, &key);
    EXPECT_EQ(asyncjob_get_local(key), stored == 1 ? &key : nullptr);
    return stored;
}

bool start_with_value() {
    ASYNC_JOB* job = nullptr;
    int stored = 0;
    return ASYNC_start_job(&job, nullptr, &stored, store_value, nullptr, 0) == ASYNC_FINISH &&
           stored == 1;
}

void on_switch(ASYNC_JOB*, void*) {}

bool add_hooks() {
    return asyncjob_add_switch_hooks(on_switch, on_switch, nullptr) == 1;
}

constexpr auto nothing = [] {};

const std::vector<Step> steps = {
    {"Start", nothing, [] { return start_with(0); }, nothing},
    {"StartWithSmallArguments", nothing, [] { return start_with(100); }, nothing},
    {"StartWithLargeArguments", nothing, [] { return start_with(100 * kib); }, nothing, 3 * mib},
    {"StartInAPoolWithALimit", [] { EXPECT_EQ(ASYNC_init_thread(3, 0), 1); },
     [] { return start_with(2000); }, nothing, 3 * mib},
    // Where mappings cannot be changed, slabs cannot be retired: the next call uses them.
    {"InitThread", nothing, [] { return ASYNC_init_thread(0, 30) == 1; }, nothing, 8 * mib},
    {"InitThreadAgain", [] { EXPECT_EQ(ASYNC_init_thread(0, 5), 1); },
     [] { return ASYNC_init_thread(300, 200) == 1; }, nothing, 40 * mib},
    {"NewWaitContext", nothing, [] { return (wait = ASYNC_WAIT_CTX_new()) != nullptr; }, free_wait},
    {"FifthFd", [] { wait = ASYNC_WAIT_CTX_new(), set_fds(4); }, set_one_more_fd<4>, free_wait},
    {"ThirtyThirdFd", [] { wait = ASYNC_WAIT_CTX_new(), set_fds(32); }, set_one_more_fd<32>,
     free_wait},
    {"StoreAValue", [] { EXPECT_EQ(asyncjob_key_create(&key, nullptr), 1); }, start_with_value,
     [] { EXPECT_EQ(asyncjob_key_delete(key), 1); }, 3 * mib},
    {"AddHooks", nothing, add_hooks,
     [] { EXPECT_EQ(asyncjob_remove_switch_hooks(on_switch, on_switch, nullptr), 1); }},
};

class MemoryRunsOut : public testing::TestWithParam<Step> {
  protected:
    void SetUp() override {
        if (under_asan || under_tsan)
            GTEST_SKIP() << "the tool brings its own malloc()";
    }
};
INSTANTIATE_TEST_SUITE_P(S10, MemoryRunsOut, testing::ValuesIn(steps),
                         [](const auto& info) { return info.param.name; });

// The bytes that the library holds after one undisturbed attempt and a cleanup.
std::size_t keeps_for_good(const Step& step) {
    step.prepare();
    EXPECT_TRUE(step.call());
    step.undo();
    expect_jobs_work();
    ASYNC_cleanup_thread();
    return holdings.bytes();
}

// Fails the n-th allocation. In the child; returns whether there was an n-th.
bool attempt(const Step& step, Fails how, int n, std::size_t kept) {
    step.prepare();
    const int no_reason = asyncjob_last_reason();
    EXPECT_EQ(no_reason, 0);
    // More often than there are headers in a chunk: one that is lost each time shows.
    constexpr int times = 300;
    bool succeeded = false;
    bool failed = false;
    const std::size_t before = holdings.bytes();
    for (int time = 0; time < times && !succeeded; ++time) {
        plan = {true, how, n, 0};
        succeeded = step.call();
        plan.armed = false;
        failed = failed || plan.failed > 0;
        if (!succeeded) {
            EXPECT_LT(holdings.bytes(), before + step.may_leave) << "something was made";
        }
    }
    if (!succeeded) {
        const int reason = asyncjob_last_reason();
        EXPECT_TRUE(reason == ASYNCJOB_R_NO_MEMORY || reason == ASYNCJOB_R_NO_STACK ||
                    reason == ASYNCJOB_R_NO_GUARD || reason == ASYNCJOB_R_NO_MAPPINGS ||
                    reason == ASYNC_R_INIT_FAILED)
            << asyncjob_reason_string(reason);
        EXPECT_TRUE(step.call()) << "the next call does not work";
    }
    step.undo();
    expect_jobs_work();
    ASYNC_cleanup_thread();
    // Headers stay for good, in chunks whose sizes depend on which of them could be had.
    constexpr std::size_t header_chunk = 32 * kib;
    EXPECT_LE(holdings.bytes(), kept + header_chunk) << "something was leaked";
    return failed;
}

TEST_P(MemoryRunsOut, AtAnyStepIsAnErrorThatLeaksNothingAndTheNextCallWorks) {
    constexpr int most_steps = 2000;
    const Step& step = GetParam();
    // What a child tells its parent.
    auto* const told = static_cast<std::size_t*>(mmap(
        nullptr, sizeof(std::size_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    ASSERT_TRUE(passes_in_child([&] { *told = keeps_for_good(step); }));
    const std::size_t kept = *told;
    for (const Fails how : {Fails::one, Fails::all_from_there}) {
        int n = 0;
        do {
            ++n;
            ASSERT_TRUE(passes_in_child([&] { *told = attempt(step, how, n, kept) ? 1 : 0; }))
                << "allocation " << n;
        } while (*told != 0 && n < most_steps);
        EXPECT_GT(n, 1) << "no allocation was seen";
        EXPECT_LT(n, most_steps);
    }
    munmap(told, sizeof(std::size_t));
}

// A thread cannot be registered without a key; when there is one again, it can.
TEST(KeysRunOut, S10IsAnErrorAndTheNextCallWorks) {
    EXPECT_TRUE(passes_in_child([] {
        std::vector<pthread_key_t> keys;
        for (pthread_key_t key = 0; pthread_key_create(&key, nullptr) == 0;)
            keys.push_back(key);
        ASYNC_JOB* job = nullptr;
        int result = 99;
        EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, return_seven, nullptr, 0), ASYNC_ERR);
        EXPECT_EQ(asyncjob_last_reason(), ASYNC_R_INIT_FAILED);
        EXPECT_EQ(ASYNC_init_thread(1, 1), 0);
        for (const pthread_key_t key : keys)
            pthread_key_delete(key);
        expect_jobs_work();
    }));
}

// Address space that runs out is no limit of the pool.
TEST(AddressSpaceRunsOut, S10IsAnErrorAndTheJobsThatThereAreGoOn) {
    if (memory_is_watched())
        GTEST_SKIP() << "the tool needs the address space";
    EXPECT_TRUE(passes_in_child([] {
        const std::size_t room = Memory::now().address_space + 64 * mib;
        const rlimit limit{room, room};
        ASSERT_EQ(setrlimit(RLIMIT_AS, &limit), 0);
        constexpr std::size_t too_many = 64 * mib / (128 * kib);
        std::vector<ASYNC_JOB*> jobs;
        jobs.reserve(too_many);
        int status = ASYNC_ERR;
        int result = 0;
        do {
            ASYNC_JOB* job = nullptr;
            status = ASYNC_start_job(&job, nullptr, &result, pause_once, nullptr, 0);
            if (status == ASYNC_PAUSE)
                jobs.push_back(job);
        } while (status == ASYNC_PAUSE && jobs.size() < too_many);
        EXPECT_EQ(status, ASYNC_ERR);
        EXPECT_EQ(asyncjob_last_reason(), ASYNCJOB_R_NO_ADDRESSES);
        EXPECT_GT(jobs.size(), too_many * 8 / 10) << "smaller slabs would have fitted";
        for (ASYNC_JOB* job : jobs)
            EXPECT_EQ(ASYNC_start_job(&job, nullptr, &result, nullptr, nullptr, 0), ASYNC_FINISH);
        expect_jobs_work();
    }));
}

}  // namespace
}  // namespace test
