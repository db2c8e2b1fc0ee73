/* Random numbers that are the same on every machine.
 *
 * Philox 4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", 2011) turns a
 * counter and a key into 128 random bits, so that any part of a stream can be made by itself; Box and
 * Muller's method (1958) turns those into normal numbers. Logarithm, sine and cosine are computed here and
 * not by the C library, whose last bits differ between versions. */
#pragma once
#include <glib.h>

void philox4x32(const guint32 counter[4], const guint32 key[2], guint32 out[4]);

/* Standard normal numbers of one of a seed's 2^64 streams. */
void noise_fill(guint64 seed, guint64 stream, gint64 count, float *out);
/* Uniform numbers, multiples of 2^-24 in [0, 1). */
void noise_uniform(guint64 seed, guint64 stream, gint64 count, float *out);
