// SPDX-License-Identifier: Apache-2.0
// asyncjob::WaitContext: its fds, what becomes of their callables, moving it, and C code that uses
// the same context.
#include <optional>

#include "support.hpp"

namespace test {
namespace {

using asyncjob::Errc;
using asyncjob::WaitContext;
using Fds = std::vector<int>;

// Addresses to use as keys.
constexpr char key_one = 0;
constexpr char key_two = 0;

TEST(WaitContext, ListsItsFdsTheNewestFirst) {
    WaitContext wait;
    EXPECT_EQ(wait.fds(), Fds{});
    wait.set_wait_fd(&key_one, 3);
    wait.set_wait_fd(&key_two, 4);
    wait.set_wait_fd(&key_one, 5);
    EXPECT_EQ(wait.fds(), (Fds{5, 4, 3}));
    EXPECT_TRUE(wait.clear_fd(&key_one));
    EXPECT_EQ(wait.fds(), (Fds{4, 3}));
    EXPECT_TRUE(wait.clear_fd(&key_one));
    EXPECT_FALSE(wait.clear_fd(&key_one));
    EXPECT_EQ(wait.fds(), Fds{4});
}

TEST(WaitContext, TellsWhatHasChangedInThisRound) {
    WaitContext wait;
    asyncjob::Job<void> job(wait, [&] {
        wait.set_wait_fd(&key_one, 3);
        wait.set_wait_fd(&key_two, 4);
        asyncjob::pause();
        wait.clear_fd(&key_one);
        wait.set_wait_fd(&key_one, 5);
        asyncjob::pause();
    });
    job.resume();
    EXPECT_EQ(wait.changed().added, (Fds{4, 3}));
    EXPECT_EQ(wait.changed().deleted, Fds{});
    job.resume();
    EXPECT_EQ(wait.changed().added, Fds{5});
    EXPECT_EQ(wait.changed().deleted, Fds{3});
    job.resume();
    EXPECT_EQ(wait.changed().added, Fds{});
}

TEST(WaitContext, IsTheJobs) {
    WaitContext wait;
    ASYNC_WAIT_CTX* seen = nullptr;
    asyncjob::Job<void> job(wait,
                            [&] { seen = ASYNC_get_wait_ctx(asyncjob::this_job::current()); });
    job.resume();
    EXPECT_EQ(seen, wait.native_handle());
    EXPECT_NE(seen, nullptr);
}

// A callable that notes its calls and its end.
struct Notes {
    Fds called;
    int ended = 0;
};
class OnCleanup {
  public:
    explicit OnCleanup(Notes& notes) : notes_(&notes) {}
    OnCleanup(OnCleanup&& other) noexcept : notes_(std::exchange(other.notes_, nullptr)) {}
    OnCleanup& operator=(OnCleanup&&) = delete;
    ~OnCleanup() {
        if (notes_ != nullptr)
            ++notes_->ended;
    }
    void operator()(int fd) { notes_->called.push_back(fd); }

  private:
    Notes* notes_;
};

TEST(OnCleanup, IsCalledForEachFdThatIsLeftTheNewestFirst) {
    Notes notes;
    int calls = 0;
    {
        WaitContext wait;
        wait.set_wait_fd(&key_one, 3, OnCleanup(notes));
        wait.set_wait_fd(&key_one, 4, OnCleanup(notes));
        wait.set_wait_fd(&key_two, 5, [&calls] { ++calls; });
        wait.set_wait_fd(&key_two, 6);
        EXPECT_EQ(notes.ended, 0);
    }
    EXPECT_EQ(notes.called, (Fds{4, 3}));
    EXPECT_EQ(notes.ended, 2);
    EXPECT_EQ(calls, 1);
}

TEST(OnCleanup, IsDestroyedAndNotCalledWhenTheFdIsCleared) {
    Notes notes;
    Notes others;
    {
        WaitContext wait;
        wait.set_wait_fd(&key_one, 3, OnCleanup(others));
        wait.set_wait_fd(&key_one, 4, OnCleanup(notes));
        EXPECT_TRUE(wait.clear_fd(&key_one));
        EXPECT_EQ(notes.ended, 1);
        EXPECT_EQ(others.ended, 0);
    }
    EXPECT_EQ(notes.called, Fds{});
    EXPECT_EQ(others.called, Fds{3});
}

TEST(OnCleanup, MayUseTheContext) {
    std::optional<WaitContext> wait(std::in_place);
    Notes notes;
    Fds seen;
    bool was_cleared = false;
    wait->set_wait_fd(&key_one, 3, OnCleanup(notes));
    wait->set_wait_fd(&key_two, 4, [&, context = &*wait, held = std::make_unique<int>(7)] {
        seen = context->fds();
        was_cleared = context->clear_fd(&key_one) && context->clear_fd(&key_two);
        EXPECT_EQ(*held, 7);  // it has not been destroyed by that
    });
    wait.reset();
    EXPECT_EQ(seen, (Fds{4, 3}));
    EXPECT_TRUE(was_cleared);
    EXPECT_EQ(notes.called, Fds{});
    EXPECT_EQ(notes.ended, 1);
}

TEST(WaitContext, MovesWithAllThatItHas) {
    Notes notes;
    {
        WaitContext first;
        first.set_wait_fd(&key_one, 3, OnCleanup(notes));
        asyncjob::Job<void> job(first, [] { asyncjob::pause(); });
        job.resume();
        WaitContext second = std::move(first);
        EXPECT_EQ(first.native_handle(), nullptr);
        EXPECT_EQ(second.fds(), Fds{3});
        EXPECT_TRUE(job.resume());
        Notes replaced;
        WaitContext third;
        third.set_wait_fd(&key_one, 4, OnCleanup(replaced));
        third = std::move(second);
        EXPECT_EQ(replaced.called, Fds{4});
        EXPECT_EQ(replaced.ended, 1);
        EXPECT_EQ(notes.called, Fds{});
        EXPECT_EQ(third.fds(), Fds{3});
    }
    EXPECT_EQ(notes.called, Fds{3});
}

TEST(WaitContext, ThatWasMovedFromSaysSo) {
    WaitContext wait;
    const WaitContext other = std::move(wait);
    EXPECT_EQ(code_of([&] { wait.set_wait_fd(&key_one, 3); }), Errc::null_argument);
    Notes notes;
    EXPECT_EQ(code_of([&] { wait.set_wait_fd(&key_one, 3, OnCleanup(notes)); }),
              Errc::null_argument);
    EXPECT_EQ(notes.ended, 1);
    EXPECT_EQ(code_of([&] { wait.clear_fd(&key_one); }), Errc::null_argument);
    EXPECT_EQ(code_of([&] { (void)wait.fds(); }), Errc::null_argument);
    EXPECT_EQ(code_of([&] { (void)wait.changed(); }), Errc::null_argument);
    wait = WaitContext();
    EXPECT_EQ(wait.fds(), Fds{});
}

void count_call(ASYNC_WAIT_CTX* /*context*/, const void* /*key*/, int /*fd*/, void* data) {
    ++*static_cast<int*>(data);
}

TEST(WaitContext, LeavesAloneWhatCCodeHasSet) {
    int calls = 0;
    Notes notes;
    {
        WaitContext wait;
        wait.set_wait_fd(&key_one, 3, OnCleanup(notes));
        ASYNC_WAIT_CTX_set_wait_fd(wait.native_handle(), &key_one, 4, &calls, count_call);
        ASYNC_WAIT_CTX_set_wait_fd(wait.native_handle(), &key_two, 5, &calls, count_call);
        EXPECT_TRUE(wait.clear_fd(&key_one));
        EXPECT_EQ(wait.fds(), (Fds{5, 3}));
        // And C code may clear what was set here; the callable ends with the context.
        EXPECT_EQ(ASYNC_WAIT_CTX_clear_fd(wait.native_handle(), &key_one), 1);
        EXPECT_EQ(notes.ended, 0);
    }
    EXPECT_EQ(calls, 1);
    EXPECT_EQ(notes.called, Fds{});
    EXPECT_EQ(notes.ended, 1);
}

}  // namespace
}  // namespace test
