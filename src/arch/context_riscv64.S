/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The switch for 64-bit RISC-V, lp64d. Contract: context.hpp; frame layout: frame.h.
 *
 * Saved: s0 to s11, fs0 to fs11 and the rounding mode, which calls keep. The flags beside it in fcsr
 * are status. The mode is loaded only where it differs: there is no better way for
 * FpMode::comparing.
 *
 * The first pause leaves a note at the top of the stack, from which the end of the fiber knows
 * whether the mode is that of a call.
 *
 * Next layer down: the processor.
 */
#include "frame.h"

/* In the place of the rounding mode: the side was left with it shared. */
#define NO_MODE -1
/* Of what the start puts at the top of the fiber's stack, the part that it uses. */
#define HAS_PAUSED 0
#define TOP_SIZE 16

#define ENTER(name)                                                           \
        .globl  name;                                                         \
        .hidden name;                                                         \
        .type   name, @function;                                              \
        .p2align 4;                                                           \
name:                                                                         \
        .cfi_startproc

#define SAVE_ONE(name, place)                                                 \
        sd      name, place(sp);                                              \
        .cfi_rel_offset name, place

#define SAVE_FLOAT(name, place)                                               \
        fsd     name, place(sp);                                              \
        .cfi_rel_offset name, place

#define LOAD_ONE(name, place)                                                 \
        ld      name, place(sp);                                              \
        .cfi_restore name

#define LOAD_FLOAT(name, place)                                               \
        fld     name, place(sp);                                              \
        .cfi_restore name

#define FRAME(one, float)                                                     \
        one(ra, ASYNCJOB_FRAME_RETURN);                                       \
        one(s0, ASYNCJOB_FRAME_S0);                                           \
        one(s1, ASYNCJOB_FRAME_S0 + 8);                                       \
        one(s2, ASYNCJOB_FRAME_S0 + 16);                                      \
        one(s3, ASYNCJOB_FRAME_S0 + 24);                                      \
        one(s4, ASYNCJOB_FRAME_S0 + 32);                                      \
        one(s5, ASYNCJOB_FRAME_S0 + 40);                                      \
        one(s6, ASYNCJOB_FRAME_S0 + 48);                                      \
        one(s7, ASYNCJOB_FRAME_S0 + 56);                                      \
        one(s8, ASYNCJOB_FRAME_S0 + 64);                                      \
        one(s9, ASYNCJOB_FRAME_S0 + 72);                                      \
        one(s10, ASYNCJOB_FRAME_S0 + 80);                                     \
        one(s11, ASYNCJOB_FRAME_S0 + 88);                                     \
        float(fs0, ASYNCJOB_FRAME_FS0);                                       \
        float(fs1, ASYNCJOB_FRAME_FS0 + 8);                                   \
        float(fs2, ASYNCJOB_FRAME_FS0 + 16);                                  \
        float(fs3, ASYNCJOB_FRAME_FS0 + 24);                                  \
        float(fs4, ASYNCJOB_FRAME_FS0 + 32);                                  \
        float(fs5, ASYNCJOB_FRAME_FS0 + 40);                                  \
        float(fs6, ASYNCJOB_FRAME_FS0 + 48);                                  \
        float(fs7, ASYNCJOB_FRAME_FS0 + 56);                                  \
        float(fs8, ASYNCJOB_FRAME_FS0 + 64);                                  \
        float(fs9, ASYNCJOB_FRAME_FS0 + 72);                                  \
        float(fs10, ASYNCJOB_FRAME_FS0 + 80);                                 \
        float(fs11, ASYNCJOB_FRAME_FS0 + 88)

/* The frame of the running side. Its CFI holds for the frame of any side that sp points to. */
#define SAVE                                                                  \
        addi    sp, sp, -ASYNCJOB_FRAME_SIZE;                                 \
        .cfi_def_cfa_offset ASYNCJOB_FRAME_SIZE;                              \
        FRAME(SAVE_ONE, SAVE_FLOAT)

/* Loads the registers of the frame at sp. */
#define RESTORE                                                               \
        FRAME(LOAD_ONE, LOAD_FLOAT);                                          \
        addi    sp, sp, ASYNCJOB_FRAME_SIZE;                                  \
        .cfi_def_cfa_offset 0

/* Stores the mode in the frame at sp. t0 has it. */
#define SAVE_MODE                                                             \
        frrm    t0;                                                           \
        sd      t0, ASYNCJOB_FRAME_FRM(sp)

#define SAVE_NO_MODE                                                          \
        li      t0, NO_MODE;                                                  \
        sd      t0, ASYNCJOB_FRAME_FRM(sp)

/* Loads that of the frame at sp, if it has one that is not the one in t0. */
#define LOAD_MODE                                                             \
        ld      t1, ASYNCJOB_FRAME_FRM(sp);                                   \
        beq     t0, t1, 1f;                                                   \
        bltz    t1, 1f;                                                       \
        fsrm    t1;                                                           \
1:

/* From the frame at sp, which goes to the slot at a0, to the frame at a1. */
#define GO                                                                    \
        sd      sp, 0(a0);                                                    \
        mv      sp, a1;                                                       \
        mv      a0, a2

        .text

/*
 * int asyncjob_context_pause(Slot* own [a0], Slot outside [a1], int value [a2])
 * int asyncjob_context_resume(Slot* outside [a0], Slot fiber [a1], int value [a2])
 * int asyncjob_context_first_pause(Slot* own [a0], Slot outside [a1], int value [a2],
 *                                 void* top [a3])
 * pauses_plain.inc has these.
 */
#define FIRST_PAUSE(name, pause)                                              \
ENTER(name);                                                                  \
        li      t0, 1;                                                        \
        sd      t0, (HAS_PAUSED - TOP_SIZE)(a3);                              \
        tail    pause;                                                        \
LEAVE(name)

#include "pauses_plain.inc"

/*
 * int asyncjob_context_start(Slot* outside [a0], void* top [a1],
 *                            int (*function)(void*) [a2], void* arg [a3], void* fiber [a4])
 *
 * Over the call s1 holds the fiber and s2 the outside's slot; ra undefined there ends every backtrace
 * at the fiber's entry, and s0 the chain of frames. What was in the registers is in the frame that
 * the slot has when the call returns.
 */
ENTER(asyncjob_context_start)
        SAVE
        SAVE_MODE
.Lstart:
        sd      sp, 0(a0)
        mv      s1, a4
        mv      s2, a0
        mv      a0, a3
        li      s0, 0
        addi    sp, a1, -TOP_SIZE
        .cfi_remember_state
        .cfi_def_cfa sp, TOP_SIZE
        .cfi_undefined ra
        .cfi_undefined s0
        sd      zero, HAS_PAUSED(sp)
        jalr    a2
        mv      a1, a0
        mv      a0, s1
        ld      t2, HAS_PAUSED(sp)
        ld      sp, 0(s2)
        .cfi_restore_state
        beqz    t2, .Lended
        frrm    t0
        LOAD_MODE
.Lended:
        RESTORE
        tail    asyncjob_context_ended
LEAVE(asyncjob_context_start)

ENTER(asyncjob_context_start_shared)
        SAVE
        SAVE_NO_MODE
        j       .Lstart
LEAVE(asyncjob_context_start_shared)

        .section .note.GNU-stack, "", @progbits
