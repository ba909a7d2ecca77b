// SPDX-License-Identifier: Apache-2.0
// What a fork, and a slow waker, can leave in a mailbox: states that lie between two steps of
// another thread.
#include <gtest/gtest.h>

#include "wake.hpp"

namespace asyncjob {
namespace {

class MailboxTest : public testing::Test {
  protected:
    MailboxTest() {
        for (WakeSlot*& slot : slots)
            slot = mailbox.make_slot(reinterpret_cast<ASYNC_JOB*>(&slot));
    }
    ~MailboxTest() override { mailbox.leave(); }

    static void wake(WakeSlot* slot) { EXPECT_TRUE(slot->wake(slot->generation())); }

    // The next slot that was woken; NULL if there is none.
    WakeSlot* take() {
        mailbox.collect();
        WakeSlot* slot = mailbox.next();
        while (slot != nullptr && !Mailbox::drop(slot))
            slot = mailbox.next();
        mailbox.settle(0);
        return slot;
    }

    Mailbox& mailbox = *Mailbox::take();
    WakeSlot* slots[4]{};
};

TEST_F(MailboxTest, MendQueuesWhatAWakerOfTheParentHadNotPushed) {
    wake(slots[2]);
    // The waker was between its two steps when the process forked.
    slots[1]->state.fetch_or(WakeSlot::is_woken | WakeSlot::is_linked);
    wake(slots[0]);
    EXPECT_EQ(take(), slots[2]);
    wake(slots[1]);
    EXPECT_EQ(take(), slots[0]);
    EXPECT_EQ(take(), nullptr) << "its waker is not there any more";
    mailbox.mend();
    EXPECT_EQ(take(), slots[1]);
    EXPECT_EQ(take(), nullptr);
}

TEST_F(MailboxTest, MendKeepsWhatIsQueuedAndWhatIsDeferredAsItIs) {
    for (WakeSlot* const slot : slots)
        wake(slot);
    mailbox.collect();
    ASSERT_EQ(mailbox.next(), slots[0]);
    Mailbox::defer(slots[0]);
    mailbox.mend();
    for (WakeSlot* const slot : {slots[1], slots[2], slots[3]})
        EXPECT_EQ(take(), slot);
    EXPECT_EQ(take(), nullptr);
    mailbox.queue_again(slots[0]);
    EXPECT_EQ(take(), slots[0]);
    EXPECT_EQ(take(), nullptr);
}

TEST_F(MailboxTest, ASlotIsNotUsedAgainWhileAWakerIsAboutToPushIt) {
    WakeSlot* const slot = slots[3];
    const std::uint64_t generation = slot->generation();
    slot->state.fetch_or(WakeSlot::is_woken | WakeSlot::is_linked);
    mailbox.end(slot);
    EXPECT_FALSE(slot->wake(generation));
    ASYNC_JOB* const job = reinterpret_cast<ASYNC_JOB*>(this);
    EXPECT_NE(mailbox.make_slot(job), slot);
    EXPECT_EQ(take(), nullptr);
    EXPECT_NE(mailbox.make_slot(job), slot);
}

TEST_F(MailboxTest, ASlotThatEndedInTheListIsUsedAgainWhenItWasTakenOut) {
    WakeSlot* const slot = slots[3];
    wake(slot);
    mailbox.end(slot);
    ASYNC_JOB* const job = reinterpret_cast<ASYNC_JOB*>(this);
    EXPECT_NE(mailbox.make_slot(job), slot);
    EXPECT_EQ(take(), nullptr);
    EXPECT_EQ(mailbox.make_slot(job), slot);
    EXPECT_EQ(take(), nullptr);
}

TEST_F(MailboxTest, TheGenerationsOfJobsAreThoseOfNoFreeSlot) {
    for (WakeSlot* const slot : slots) {
        EXPECT_EQ(slot->generation() % 2, 1U);
        mailbox.end(slot);
        EXPECT_EQ(slot->generation() % 2, 0U);
        EXPECT_FALSE(slot->wake(slot->generation() + 1));
        EXPECT_FALSE(slot->wake(slot->generation() - 1));
    }
}

TEST_F(MailboxTest, AMailboxThatWasLeftIsTheNextOnesAndEmpty) {
    wake(slots[1]);
    const std::uint64_t generation = slots[1]->generation();
    WakeSlot* const slot = slots[1];
    mailbox.leave();
    EXPECT_FALSE(slot->wake(generation));
    EXPECT_EQ(Mailbox::take(), &mailbox);
    EXPECT_EQ(take(), nullptr);
}

}  // namespace
}  // namespace asyncjob
