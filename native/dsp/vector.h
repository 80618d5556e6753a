/* SPDX-License-Identifier: MIT */
/*
 * Vector: how loops over samples are given to the compiler. The core is built
 * with -O2, at which GCC leaves most loops scalar; a file that includes this
 * one is compiled for vectors, and functions marked EEGD_VECTOR are built a
 * second time for AVX2, chosen once when the program is loaded. NEON is there
 * on every aarch64. No operations are fused, so results have the same bits on
 * all of them. tests/native/vectors.py shows what each loop has become.
 *
 * For C alone.
 */
#ifndef EEGD_DSP_VECTOR_H
#define EEGD_DSP_VECTOR_H

#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
#pragma GCC optimize("O3")
#endif

/* The choice runs before a sanitizer has set itself up. */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__) &&                 \
    !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define EEGD_VECTOR __attribute__((target_clones("default", "avx2")))
#else
#define EEGD_VECTOR __attribute__((noinline)) /* as the versions are: GCC judges it by itself */
#endif

#endif
