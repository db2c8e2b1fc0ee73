/* What a prompt leaves open.
 *
 * A small model has learned from captions that say almost everything; of a prompt that says little it draws a
 * mixture of all that it could mean. Its model.json therefore lists what a caption speaks of, under
 * text.unsaid, in the order in which it is decided:
 *   [{"known": "day sunset night", "say": ["day"]},
 *    {"known": "portrait half full", "say": ["portrait of", "full body picture of"], "front": true},
 *    {"known": "skin", "say": ["pale skin", "dark skin"], "who": true}, …]
 * A prompt with none of the known words is given one of the clauses, in front of it or behind it. "also"
 * lists clauses that are not given to prompts but are found in pictures (identity/training/self_caption.h).
 * What belongs to a person's looks ("who") is not said of a Character that was learned. */
#pragma once
#include "identity/text/words.h"
#include <jansson.h>

#define UNSAID_GROUPS_MAX 64
#define UNSAID_CLAUSES_MAX 256
#define UNSAID_CLAUSE_MAX_BYTES 200

/* Whether it has that form. NULL is fine, and an empty list: nothing is ever added. */
gboolean unsaid_check(const json_t *list);
/* A text, which is freed, with a clause of the group in its place: in front or behind (transfer full). */
char *unsaid_add(char *text, const json_t *group, const char *clause);
/* list: one that was checked. The same prompt and seed give the same text; learned: a Character is drawn
 * (transfer full). */
char *unsaid_complete(const json_t *list, const Words *words, const char *prompt, guint64 seed,
                      gboolean learned);
