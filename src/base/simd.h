/* Loops that are worth compiling twice: once for every processor, once for those with AVX2, chosen when the
 * program starts. The arithmetic is the same, so are the results.
 *
 *   FASTEST static void add_rows(...) */
#pragma once

#if defined(__x86_64__) && defined(__gnu_linux__)
#define FASTEST __attribute__((target_clones("avx2", "default")))
#else
#define FASTEST
#endif
