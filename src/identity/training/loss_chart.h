/* What a training looked like, as pictures for people. */
#pragma once
#include "identity/training/lora_training.h"

/* The loss of every step as a dot, its running mean as a line, the held-out pictures' as a second line; the
 * learning rate below (transfer full, RGB). title is drawn above. */
Image *loss_chart(const LoraStep *steps, gint64 count, const char *title);

/* Rows of pictures of any size with a label before each row (transfer full, RGB). cells: row after row,
 * `columns` each, NULL for none; not owned. */
Image *labelled_sheet(const Image *const *cells, int rows, int columns, const char *const *labels);
