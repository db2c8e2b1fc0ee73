/* A small network file, written byte by byte, with what the real ones are made of: padding, convolutions with
 * half-precision and with sparse weights, a depthwise one, PReLU, a sum, a pooling, and two heads joined at
 * the end. */
#pragma once
#include <glib.h>

#define TINY_INPUT (6 * 6 * 3)
#define TINY_OUTPUT (13 * 5)

GBytes *tiny_model(void);
/* What it computes, by the definitions. */
void tiny_reference(const float *input, float *output);
