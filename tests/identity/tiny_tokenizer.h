/* A tokenizer of 256 byte tokens and whatever a test adds, as the JSON of a tokenizer.json. */
#pragma once
#include "identity/text/tokenizer_parts.h"
#include <jansson.h>

/* Merges come as "left right" in order of rank; each makes the token "leftright" (if it is not there) with
 * the next id, from 256 on. The special tokens of the chat template are 1000–1004. Transfer full. */
json_t *tiny_tokenizer(const char *const *merges);
/* Parses it as a file would be; consumes the JSON. */
Tokenizer *tiny_tokenizer_open(json_t *json, GError **error);
