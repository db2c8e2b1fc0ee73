/* Loops that are worth compiling twice: once for every processor, once for those with AVX2, chosen when the
 * program starts. The arithmetic is the same, so are the results.
 *
 *   FASTEST static void add_rows(...)
 *
 * Only for static functions: clang 14 gives others a name under which nobody finds them.
 *
 * The choice is made while the program is being loaded, before the thread sanitizer has begun, so there it is
 * left out. */
#pragma once

#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_THREAD__)
#define FASTEST __attribute__((target_clones("avx2", "default")))
#else
#define FASTEST
#endif
