/* The words of the captions, and those that people will use for the same things. */
#pragma once
#include "identity/text/words.h"

#define VOCABULARY_WIDTH 256
#define VOCABULARY_LENGTH 24

/* With vectors of standard normal numbers from one fixed seed. */
Words *vocabulary_new(void);
/* The file that words_open reads. FAULT_OUTPUT. */
gboolean vocabulary_write(const char *path, GError **error);
