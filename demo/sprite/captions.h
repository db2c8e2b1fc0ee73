/* From attributes to a sentence: clauses that are shuffled and dropped, so that a model learns each alone. */
#pragma once
#include "attributes.h"

/* How a caption is made. The defaults of CAPTION_LEARN are those of the training. */
typedef struct {
  double drop_clause;   /* each clause but the first on its own */
  double drop_identity; /* all that describes the person; the subject becomes "person" */
  double drop_all;      /* nothing is said: for guidance */
  gboolean shuffle;     /* the clauses of the identity */
} CaptionManner;

extern const CaptionManner caption_learn; /* .1, .15, .1, shuffled */
extern const CaptionManner caption_whole; /* everything is said, in a fixed order */

/* "full body picture of a woman tan skin round face long red hair no glasses yellow dress smiling arms down
 * in the park day flat" (transfer full). Glasses and beard, or that there are none, are never dropped alone:
 * their absence would be the same sentence as their not being mentioned. What a portrait does not show, the
 * posture of arms that hang, is not said. trigger: in place of everything that describes the person (learning
 * a new character), or NULL. */
char *caption_of(const Attributes *attributes, const CaptionManner *manner, const char *trigger, Dice *dice);
