// SPDX-License-Identifier: Apache-2.0
// libcrypto's error queue across switches (S16): whose entries are where, that an entry comes back
// as it was, and that a cleared one does not come back.
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

#include <cerrno>
#include <cstdarg>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include "error_entries.hpp"
#include "error_queue.hpp"
#include "host.hpp"
#include "support.hpp"

// What the library declares itself, as it is built without OpenSSL's headers.
using Calls = asyncjob::host::ErrorCalls;
static_assert(std::is_same_v<decltype(Calls::make), decltype(&ERR_new)>);
static_assert(std::is_same_v<decltype(Calls::set_debug), decltype(&ERR_set_debug)>);
static_assert(std::is_same_v<decltype(Calls::set_error), decltype(&ERR_set_error)>);
static_assert(std::is_same_v<decltype(Calls::set_data), decltype(&ERR_set_error_data)>);
static_assert(std::is_same_v<decltype(Calls::peek), decltype(&ERR_peek_error)>);
static_assert(std::is_same_v<decltype(Calls::peek_all), decltype(&ERR_peek_error_all)>);
static_assert(std::is_same_v<decltype(Calls::get), decltype(&ERR_get_error)>);
static_assert(std::is_same_v<decltype(Calls::set_mark), decltype(&ERR_set_mark)>);
static_assert(std::is_same_v<decltype(Calls::pop_to_mark), decltype(&ERR_pop_to_mark)>);
static_assert(std::is_same_v<decltype(Calls::clear_last_mark), decltype(&ERR_clear_last_mark)>);
static_assert(std::is_same_v<decltype(Calls::allocate), decltype(&CRYPTO_malloc)>);
static_assert(std::is_same_v<decltype(Calls::release), decltype(&CRYPTO_free)>);
using asyncjob::ErrorState;
static_assert(sizeof(ErrorState) == sizeof(ERR_STATE) && ErrorState::size == ERR_NUM_ERRORS);
static_assert(offsetof(ErrorState, flags) == offsetof(ERR_STATE, err_flags));
static_assert(offsetof(ErrorState, marks) == offsetof(ERR_STATE, err_marks));
static_assert(offsetof(ErrorState, top) == offsetof(ERR_STATE, top));
static_assert(offsetof(ErrorState, bottom) == offsetof(ERR_STATE, bottom));

namespace {
std::atomic<bool> hides_state = false;
std::atomic<int> states_given = 0;
std::atomic<bool> out_of_memory = false;
std::atomic<bool> gets_nothing = false;

// What any of libcrypto's functions may do to errno; those of the error queue seldom do.
void change_errno() {
    errno = ENOTTY;
}

// A block that looks like an empty queue, and is none.
std::atomic<bool> gives_another = false;
ERR_STATE another;

// libcrypto's ERR_get_state(), which is deprecated.
ERR_STATE* queue() {
    static const auto get = reinterpret_cast<ERR_STATE* (*)()>(dlsym(RTLD_NEXT, "ERR_get_state"));
    return get();
}
}  // namespace

// Binds before libcrypto's, for the library under test. ERR_get_state() returns this.
extern "C" ERR_STATE* ERR_get_state() {
    ++states_given;
    ERR_STATE* const state = gives_another ? &another : queue();
    change_errno();
    return hides_state ? nullptr : state;
}

// The same: memory for an entry's data, for the library under test alone.
extern "C" void* CRYPTO_malloc(std::size_t size, const char* file, int line) {
    static const auto next =
        reinterpret_cast<decltype(&CRYPTO_malloc)>(dlsym(RTLD_NEXT, "CRYPTO_malloc"));
    if (out_of_memory && std::string(file) == "asyncjob")
        return nullptr;
    return next(size, file, line);
}

// The same: a function that is not of one piece with the others.
extern "C" unsigned long ERR_get_error() {
    static const auto next =
        reinterpret_cast<decltype(&ERR_get_error)>(dlsym(RTLD_NEXT, "ERR_get_error"));
    const unsigned long code = gets_nothing ? 0 : next();
    change_errno();
    return code;
}

extern "C" unsigned long ERR_peek_error() {
    static const auto next =
        reinterpret_cast<decltype(&ERR_peek_error)>(dlsym(RTLD_NEXT, "ERR_peek_error"));
    const unsigned long code = next();
    change_errno();
    return code;
}

namespace test {
namespace {

// Every test starts and ends with an empty queue, on a thread of its own, so that the thread finds
// its queue anew.
template <typename Body>
void on_thread(Body body) {
    std::thread([&] {
        body();
        EXPECT_EQ(take(), Reasons{});
        expect_jobs_work();
        EXPECT_EQ(ERR_peek_error(), 0U);
    }).join();
}

// The first tests of this program, as the layout is tried out once in a process. A block that is
// not what the header says:
TEST(ErrorQueue, WhereTheBlockIsNotTheQueueEntriesAreCarriedToo) {
    EXPECT_TRUE(passes_in_child([] {
        gives_another = true;
        on_thread([] {
            TestJob job([] {
                push(1);
                ASYNC_pause_job();
                EXPECT_EQ(take(), Reasons{1});
            });
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            EXPECT_EQ(take(), Reasons{});
            EXPECT_EQ(job.go(), ASYNC_FINISH);
        });
    }));
}

// To try out the layout takes an entry more.
TEST(ErrorQueue, AFullQueueIsAsItWasAfterAThreadsFirstJob) {
    EXPECT_TRUE(passes_in_child([] {
        Reasons all;
        for (int i = 1; i < ERR_NUM_ERRORS; ++i) {
            push(i);
            all.push_back(i);
        }
        TestJob job([] {});
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(take(), all);
    }));
}

TEST(ErrorQueue, AJobsEntriesStayWithItWhileItIsPaused) {
    on_thread([] {
        TestJob job([] {
            push(1);
            push(2);
            ASYNC_pause_job();
            push(3);
            EXPECT_EQ(take(), (Reasons{1, 2, 3}));
            push(4);
            for (int i = 0; i < 30; ++i)
                ASYNC_pause_job();
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(take(), Reasons{});
        for (int i = 0; i < 30; ++i) {
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            EXPECT_EQ(take(), Reasons{});
        }
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(take(), Reasons{4});
    });
}

TEST(ErrorQueue, OneJobDoesNotSeeAnothers) {
    on_thread([] {
        const auto keep = [](int reason) {
            return [reason] {
                for (int i = 0; i < 5; ++i) {
                    push(reason);
                    ASYNC_pause_job();
                    EXPECT_EQ(take(), Reasons{reason});
                }
            };
        };
        TestJob first(keep(1));
        TestJob second(keep(2));
        TestJob third([] {
            for (int i = 0; i < 5; ++i) {
                EXPECT_EQ(ERR_peek_error(), 0U);
                ASYNC_pause_job();
            }
        });
        for (int i = 0; i < 5; ++i)
            for (TestJob* job : {&first, &second, &third}) {
                EXPECT_EQ(job->go(), ASYNC_PAUSE);
                EXPECT_EQ(ERR_peek_error(), 0U);
            }
        for (TestJob* job : {&first, &second, &third})
            EXPECT_EQ(job->go(), ASYNC_FINISH);
    });
}

TEST(ErrorQueue, TheResumersEntriesAreAsideWhileTheJobRunsAndComeBack) {
    on_thread([] {
        TestJob job([] {
            ASYNC_pause_job();
            EXPECT_EQ(take(), Reasons{});
            ASYNC_pause_job();
            EXPECT_EQ(take(), Reasons{});
            push(5);
            ASYNC_pause_job();
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        push(1);
        push(2);
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        push(3);
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(take(), (Reasons{1, 2, 3}));
        push(4);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(take(), (Reasons{4, 5}));  // an end is a return
    });
}

TEST(ErrorQueue, AStartInheritsTheQueueAndAPauseLeavesItBehind) {
    on_thread([] {
        push(1);
        push(2);
        TestJob job([] {
            EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), 2);
            push(3);
            ASYNC_pause_job();
            EXPECT_EQ(take(), Reasons{3});
            push(4);
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(take(), (Reasons{1, 2}));
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(take(), Reasons{4});
    });
}

TEST(ErrorQueue, WithNothingAddedTheInheritedOnesStay) {
    on_thread([] {
        push(1);
        TestJob job([] {
            ASYNC_pause_job();
            EXPECT_EQ(ERR_peek_error(), 0U);
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(take(), Reasons{1});
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    });
}

// The second of them is the same in all that can be read of it as the one before the start.
TEST(ErrorQueue, WhatAJobClearsDoesNotComeBackAndItsOwnIsNotTakenForIt) {
    on_thread([] {
        for (int inherited = 1; inherited < 4; ++inherited) {
            for (int i = 0; i < inherited; ++i)
                push(1);
            TestJob job([inherited] {
                ERR_clear_error();
                for (int i = 0; i < inherited; ++i)
                    push(1);
                ERR_set_mark();
                ASYNC_pause_job();
                EXPECT_EQ(take(), Reasons(inherited, 1));
            });
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            EXPECT_EQ(take(), Reasons{});
            EXPECT_EQ(job.go(), ASYNC_FINISH);
            EXPECT_EQ(take(), Reasons{});
        }
    });
}

TEST(ErrorQueue, WhatAJobReadsOrPopsOfTheInheritedIsGone) {
    on_thread([] {
        push(1);
        push(2);
        push(3);
        TestJob reads([] {
            EXPECT_EQ(ERR_GET_REASON(ERR_get_error()), 1);
            push(4);
            ASYNC_pause_job();
        });
        EXPECT_EQ(reads.go(), ASYNC_PAUSE);
        EXPECT_EQ(take(), (Reasons{2, 3}));
        EXPECT_EQ(reads.go(), ASYNC_FINISH);
        EXPECT_EQ(take(), Reasons{4});

        push(1);
        TestJob reads_all([] {
            EXPECT_EQ(take(), Reasons{1});
            push(5);
            ASYNC_pause_job();
        });
        EXPECT_EQ(reads_all.go(), ASYNC_PAUSE);
        EXPECT_EQ(take(), Reasons{});
        EXPECT_EQ(reads_all.go(), ASYNC_FINISH);
        EXPECT_EQ(take(), Reasons{5});
    });
}

TEST(ErrorQueue, AJobThatNeverPausesIsAsACall) {
    on_thread([] {
        push(1);
        ERR_set_mark();
        TestJob adds([] {
            push(2);
            ERR_set_mark();
        });
        EXPECT_EQ(adds.go(), ASYNC_FINISH);
        push(3);
        EXPECT_EQ(ERR_pop_to_mark(), 1);
        EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), 2);
        EXPECT_EQ(ERR_pop_to_mark(), 1);
        EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), 1);
        EXPECT_EQ(ERR_pop_to_mark(), 0);
        EXPECT_EQ(take(), Reasons{});
        push(1);
        TestJob clears([] { ERR_clear_error(); });
        EXPECT_EQ(clears.go(), ASYNC_FINISH);
        EXPECT_EQ(take(), Reasons{});
        // No mark is left on an entry that was there: this pops all.
        push(1);
        TestJob nothing([] {});
        EXPECT_EQ(nothing.go(), ASYNC_FINISH);
        EXPECT_EQ(ERR_pop_to_mark(), 0);
    });
}

// A job is not to do this, as a function is not. It finds a mark where its starter may have none.
TEST(ErrorQueue, AJobThatPopsToAMarkWhichItHasNotSetLeavesTheInheritedEntriesBehindAndNoMark) {
    on_thread([] {
        for (const bool pushes : {false, true}) {
            push(1);
            TestJob pauses([pushes] {
                push(2);
                EXPECT_EQ(ERR_pop_to_mark(), 1);
                if (pushes)
                    push(3);
                ASYNC_pause_job();
                EXPECT_EQ(take(), pushes ? Reasons{3} : Reasons{});
            });
            EXPECT_EQ(pauses.go(), ASYNC_PAUSE);
            EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), 1);
            EXPECT_EQ(ERR_pop_to_mark(), 0);
            EXPECT_EQ(pauses.go(), ASYNC_FINISH);
        }
        push(1);
        TestJob ends([] { EXPECT_EQ(ERR_pop_to_mark(), 1); });
        EXPECT_EQ(ends.go(), ASYNC_FINISH);
        EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), 1);
        EXPECT_EQ(ERR_pop_to_mark(), 0);
    });
}

TEST(ErrorQueue, AnEntryComesBackAsItWas) {
    on_thread([] {
        static char constant[] = "a constant";
        TestJob job([] {
            const std::string text(3000, 'x');
            ERR_new();
            ERR_set_debug("some/file.c", 77, "some_function");
            ERR_set_error(ERR_LIB_SSL, 300, "%s and %d", "text", 5);
            ERR_new();
            ERR_set_debug("f", 1, "");
            ERR_set_error(ERR_LIB_SYS, ECONNRESET, nullptr);
            ERR_new();
            ERR_set_error(ERR_LIB_EVP, ERR_R_MALLOC_FAILURE, nullptr);
            ERR_add_error_data(2, "long:", text.c_str());
            ERR_new();
            ERR_set_error(ERR_LIB_X509, 5, nullptr);
            ERR_set_error_data(constant, ERR_TXT_STRING);
            ASYNC_pause_job();
            ASYNC_pause_job();
            const char* file = nullptr;
            const char* function = nullptr;
            const char* data = nullptr;
            int line = 0;
            int flags = 0;
            unsigned long code = ERR_get_error_all(&file, &line, &function, &data, &flags);
            EXPECT_EQ(code, ERR_PACK(ERR_LIB_SSL, 0, 300));
            EXPECT_STREQ(file, "some/file.c");
            EXPECT_EQ(line, 77);
            EXPECT_STREQ(function, "some_function");
            EXPECT_STREQ(data, "text and 5");
            EXPECT_EQ(flags, ERR_TXT_STRING | ERR_TXT_MALLOCED);
            code = ERR_get_error_all(&file, &line, &function, &data, &flags);
            EXPECT_TRUE(ERR_SYSTEM_ERROR(code));
            EXPECT_EQ(ERR_GET_LIB(code), ERR_LIB_SYS);
            EXPECT_EQ(ERR_GET_REASON(code), ECONNRESET);
            EXPECT_STREQ(file, "f");
            EXPECT_STREQ(function, "");
            EXPECT_STREQ(data, "");
            EXPECT_EQ(flags, 0);
            code = ERR_get_error_all(&file, &line, &function, &data, &flags);
            EXPECT_TRUE(ERR_FATAL_ERROR(code));
            EXPECT_EQ(ERR_GET_REASON(code), ERR_R_MALLOC_FAILURE);
            EXPECT_EQ(data, "long:" + text);
            code = ERR_get_error_all(&file, &line, &function, &data, &flags);
            EXPECT_EQ(ERR_GET_LIB(code), ERR_LIB_X509);
            EXPECT_EQ(static_cast<const void*>(data), constant);
            EXPECT_EQ(flags, ERR_TXT_STRING);
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        push(1);
        errno = ERANGE;
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(errno, ERANGE);
        EXPECT_EQ(take(), Reasons{1});
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    });
}

TEST(ErrorQueue, MarksStayOnTheirEntries) {
    on_thread(expect_marks_to_stay_on_their_entries);
}

// ERR_FLAG_CLEAR is how libcrypto has an entry removed at the next look, in constant time. A pause
// is no look.
TEST(ErrorQueue, AnEntryThatIsToBeClearedStaysSoAndKeepsItsMark) {
    on_thread([] {
        ERR_STATE* const state = queue();
        const auto push_to_be_cleared = [state](int reason) {
            push(reason);
            state->err_flags[state->top] |= ERR_FLAG_CLEAR;
        };
        TestJob job([&] {
            push(1);
            push_to_be_cleared(2);
            push(3);
            push_to_be_cleared(4);
            ERR_set_mark();
            ASYNC_pause_job();
            push(5);
            ASYNC_pause_job();
            EXPECT_EQ(ERR_pop_to_mark(), 1);
            EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), 3);
            EXPECT_EQ(ERR_GET_REASON(ERR_get_error()), 1);
            EXPECT_EQ(take(), Reasons{3});
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        push_to_be_cleared(6);
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        push(7);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(take(), Reasons{7});
    });
}

// Without memory, too, entries that stay are as they were.
TEST(ErrorQueue, WithoutMemoryAnEntryThatIsToBeClearedStaysSo) {
    on_thread([] {
        ERR_STATE* const state = queue();
        TestJob job([state] {
            push(1);
            ERR_add_error_data(1, "data");
            push(2);
            state->err_flags[state->top] |= ERR_FLAG_CLEAR;
            out_of_memory = true;
            ASYNC_pause_job();
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        out_of_memory = false;
        EXPECT_EQ(take(), Reasons{1});
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    });
}

// As ERR_new() alone leaves it. ERR_get_error() returns 0 for it, as for an empty queue.
TEST(ErrorQueue, AnEntryWithoutACodeIsCarriedWithThoseBehindIt) {
    on_thread([] {
        TestJob job([] {
            push(1);
            ERR_new();
            push(2);
            ASYNC_pause_job();
            EXPECT_EQ(take(), Reasons{1});
            EXPECT_EQ(take(), Reasons{2});
            ERR_new();
            push(3);
            ASYNC_pause_job();
            EXPECT_EQ(take(), Reasons{});
            EXPECT_EQ(take(), Reasons{3});
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(take(), Reasons{});
        EXPECT_EQ(take(), Reasons{});
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(take(), Reasons{});
        EXPECT_EQ(take(), Reasons{});
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    });
}

// Where functions of several libcryptos are mixed in spite of all: no endless loop.
TEST(ErrorQueue, IfNothingCanBeTakenOutAllStaysWhereItIs) {
    struct Case {
        bool hides_state;
        bool has_code;
    };
    for (const Case of : {Case{false, true}, Case{false, false}, Case{true, true}}) {
        hides_state = of.hides_state;
        on_thread([of] {
            TestJob job([of] {
                if (of.has_code)
                    push(1);
                else
                    ERR_new();
                ERR_add_error_data(1, "data");
                push(2);
                gets_nothing = true;
                ASYNC_pause_job();
            });
            alarm(20);
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            gets_nothing = false;
            alarm(0);
            EXPECT_EQ(take(), of.has_code ? (Reasons{1, 2}) : Reasons{});
            EXPECT_EQ(take(), of.has_code ? Reasons{} : Reasons{2});
            EXPECT_EQ(job.go(), ASYNC_FINISH);
        });
        hides_state = false;
    }
}

// A full ring drops its oldest entries, as for a call.
TEST(ErrorQueue, MoreEntriesThanTheRingHolds) {
    on_thread([] {
        const auto numbers = [](int from, int to) {
            Reasons reasons;
            for (int i = from; i <= to; ++i)
                reasons.push_back(i);
            return reasons;
        };
        for (int i = 1; i <= 10; ++i)
            push(i);
        TestJob job([&] {
            for (int i = 11; i <= 40; ++i)  // the inherited ones are pushed out
                push(i);
            ASYNC_pause_job();
            EXPECT_EQ(take(), numbers(26, 40));
            for (int i = 1; i <= 10; ++i)
                push(100 + i);
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(take(), Reasons{});
        for (int i = 1; i <= 10; ++i)
            push(i);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        Reasons expected = numbers(6, 10);
        for (int i = 1; i <= 10; ++i)
            expected.push_back(100 + i);
        EXPECT_EQ(take(), expected);
    });
}

TEST(ErrorQueue, NestedJobs) {
    on_thread([] {
        TestJob inner([] {
            push(3);
            ASYNC_pause_job();
            EXPECT_EQ(take(), Reasons{3});
            push(4);
        });
        push(1);
        TestJob outer([&] {
            EXPECT_EQ(inner.go(), ASYNC_PAUSE);  // both have inherited 1
            push(2);
            TestJob clears([] {
                push(9);
                ERR_clear_error();
                push(10);
                ASYNC_pause_job();
                EXPECT_EQ(take(), Reasons{10});
            });
            TestJob other([] { ASYNC_pause_job(); });
            other.go();
            EXPECT_EQ(other.go(), ASYNC_FINISH);  // 1 and 2 were aside, 1 still inherited
            ASYNC_pause_job();
            EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()), 2);
            EXPECT_EQ(inner.go(), ASYNC_FINISH);
            EXPECT_EQ(take(), (Reasons{2, 4}));
            push(5);
            EXPECT_EQ(clears.go(), ASYNC_PAUSE);
            EXPECT_EQ(take(), Reasons{});
            EXPECT_EQ(clears.go(), ASYNC_FINISH);
        });
        EXPECT_EQ(outer.go(), ASYNC_PAUSE);
        EXPECT_EQ(take(), Reasons{1});
        EXPECT_EQ(outer.go(), ASYNC_FINISH);
    });
}

TEST(ErrorQueue, ACancelIsAResume) {
    on_thread([] {
        TestJob job([] {
            push(1);
            EXPECT_EQ(ASYNC_pause_job(), 0);
            EXPECT_EQ(take(), Reasons{1});
            push(2);
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        push(3);
        EXPECT_EQ(asyncjob_cancel(&job.handle, &job.result), ASYNC_FINISH);
        EXPECT_EQ(take(), (Reasons{3, 2}));
    });
}

TEST(ErrorQueue, TogetherWithExceptionsAndErrno) {
    on_thread([] {
        push(3);
        TestJob job([] {
            EXPECT_EQ(errno, ERANGE);
            try {
                throw std::runtime_error("in the job");
            } catch (const std::runtime_error&) {
                push(1);
                errno = EDOM;
                ASYNC_pause_job();
                EXPECT_EQ(errno, EDOM);
                EXPECT_EQ(take(), Reasons{1});
                EXPECT_NE(std::current_exception(), nullptr);
            }
            errno = EDOM;
        });
        errno = ERANGE;
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(errno, ERANGE);
        EXPECT_EQ(take(), Reasons{3});
        push(2);
        EXPECT_EQ(std::current_exception(), nullptr);
        errno = ERANGE;
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(errno, EDOM);
        EXPECT_EQ(take(), Reasons{2});
    });
}

TEST(ErrorQueue, AThreadThatIsDoneWithLibcryptoGetsAnotherQueue) {
    on_thread([] {
        for (int i = 0; i < 20; ++i) {
            TestJob job([] {
                push(1);
                ASYNC_pause_job();
                EXPECT_EQ(take(), Reasons{1});
                OPENSSL_thread_stop();
                ASYNC_pause_job();
                push(2);
                ASYNC_pause_job();
                EXPECT_EQ(take(), Reasons{2});
            });
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            EXPECT_EQ(ERR_peek_error(), 0U);
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            OPENSSL_thread_stop();
            void* const in_its_place = std::malloc(sizeof(ERR_STATE));
            std::memset(in_its_place, 1, sizeof(ERR_STATE));
            errno = ERANGE;
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            EXPECT_EQ(errno, ERANGE);
            EXPECT_EQ(ERR_peek_error(), 0U);
            std::free(in_its_place);
            EXPECT_EQ(job.go(), ASYNC_FINISH);
        }
    });
}

TEST(ErrorQueue, WithoutMemoryEntriesStayInTheQueueAndNoneIsLost) {
    on_thread([] {
        TestJob job([] {
            push(1);
            push(2);
            ERR_add_error_data(1, "data");
            push(3);
            out_of_memory = true;
            ASYNC_pause_job();
            EXPECT_EQ(take(), Reasons{1});
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        out_of_memory = false;
        EXPECT_EQ(ERR_GET_REASON(ERR_peek_error()), 2);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(take(), (Reasons{2, 3}));
    });
}

// Nothing is asked of libcrypto while the queue is empty.
TEST(ErrorQueue, AnEmptyQueueCostsNoCall) {
    on_thread([] {
        TestJob job([] {
            for (int i = 0; i < 100; ++i)
                ASYNC_pause_job();
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        states_given = 0;
        for (int i = 0; i < 99; ++i)
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(states_given, 0);
    });
}

// Where libcrypto does not give its queues out, the library asks at each switch. What a job
// inherited goes with it then.
TEST(ErrorQueue, WithoutALookAtTheQueueEntriesAreCarriedToo) {
    hides_state = true;
    on_thread([] {
        push(1);
        TestJob job([] {
            ERR_clear_error();
            push(2);
            ERR_set_mark();
            ASYNC_pause_job();
            push(3);
            EXPECT_EQ(ERR_pop_to_mark(), 1);
            EXPECT_EQ(take(), Reasons{2});
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(take(), Reasons{});
        push(4);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
        EXPECT_EQ(take(), Reasons{4});
        push(5);
        TestJob inherits([] {
            EXPECT_EQ(errno, ERANGE);
            ASYNC_pause_job();
            errno = EDOM;
        });
        errno = ERANGE;
        EXPECT_EQ(inherits.go(), ASYNC_PAUSE);
        EXPECT_EQ(errno, ERANGE);
        EXPECT_EQ(take(), Reasons{});
        EXPECT_EQ(inherits.go(), ASYNC_FINISH);
        EXPECT_EQ(take(), Reasons{5});
    });
    hides_state = false;
}

// All marks are on the newest entry then, if libcrypto cannot count: too little is popped, never
// too much.
TEST(ErrorQueue, WithoutALookAtTheQueueNoEntryBeforeAMarkIsPopped) {
    if (dlsym(RTLD_DEFAULT, "ERR_count_to_mark") != nullptr)
        GTEST_SKIP() << "marks stay on their entries: error_marks_test.cpp";
    hides_state = true;
    on_thread([] {
        TestJob job([] {
            push(1);
            ERR_set_mark();
            push(2);
            ERR_set_mark();
            push(3);
            ASYNC_pause_job();
            push(4);
            EXPECT_EQ(ERR_pop_to_mark(), 1);
            EXPECT_EQ(ERR_pop_to_mark(), 1);
            EXPECT_EQ(take(), (Reasons{1, 2, 3}));
        });
        EXPECT_EQ(job.go(), ASYNC_PAUSE);
        EXPECT_EQ(job.go(), ASYNC_FINISH);
    });
    hides_state = false;
}

// The queue as it is when a thread first uses jobs.
TEST(ErrorQueue, AThreadsFirstJobFindsEntriesAlready) {
    for (const int count : {1, 5, 15}) {
        EXPECT_TRUE(passes_in_child([count] {
            for (int i = 1; i <= count; ++i)
                push(i);
            TestJob job([] {
                push(99);
                ASYNC_pause_job();
                push(98);
            });
            EXPECT_EQ(job.go(), ASYNC_PAUSE);
            EXPECT_EQ(job.go(), ASYNC_FINISH);
            Reasons all = take();
            ASSERT_GE(all.size(), 2U);
            EXPECT_EQ(all.back(), 98);
            if (count < 15) {
                EXPECT_EQ(all.size(), count + 2U);
                EXPECT_EQ(all.front(), 1);
            }
        }));
    }
}

}  // namespace
}  // namespace test
