/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame that a suspended side of a fiber leaves at the low end of its stack: byte
 * offsets from its stack pointer. Shared by the assembly, by C++ and by debuggers'
 * scripts; the order is that of a return address and pushes below it.
 *
 * Next layer down: context_x86_64.S, which writes these frames.
 */
#ifndef ASYNCJOB_ARCH_FRAME_H
#define ASYNCJOB_ARCH_FRAME_H

#if defined(__x86_64__)
#define ASYNCJOB_FRAME_MXCSR 0
#define ASYNCJOB_FRAME_X87CW 4
#define ASYNCJOB_FRAME_R15 8
#define ASYNCJOB_FRAME_R14 16
#define ASYNCJOB_FRAME_R13 24
#define ASYNCJOB_FRAME_R12 32
#define ASYNCJOB_FRAME_RBX 40
#define ASYNCJOB_FRAME_RBP 48
#define ASYNCJOB_FRAME_RETURN 56 /* the return address */
#define ASYNCJOB_FRAME_SIZE 64
#endif

#endif
