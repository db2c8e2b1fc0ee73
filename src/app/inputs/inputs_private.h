/* What one input and several have in common: files in the store's drafts, and how they are looked at. */
#pragma once
#include "app/inputs/inputs.h"

#define LOOK_SILENCE 60 /* an inspection says nothing until it is done */

typedef struct {
  gboolean picture;
  const char *what;  /* for messages */
  const char *kinds; /* that are understood */
  const char *task;
  gint64 bytes, seconds;
  Refusal format, too_large, broken;
} InputFacts;
extern const InputFacts input_facts[]; /* by InputKind */

/* A file in the store's drafts that goes when it is not taken further. */
typedef struct {
  char *path, *hash;
  gint64 bytes;
} Draft;
void draft_clear(Draft *draft);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Draft, draft_clear)

/* Downloads it where it has a URL; then the cheap checks: bytes, and how it begins. */
gboolean draft_take(App *app, const InputFacts *kind, const InputSource *source, Draft *draft,
                    GError **error);
/* The look of an engine child. */
gboolean draft_look(App *app, const InputFacts *kind, const InputSource *source, const Draft *draft,
                    json_t **facts, GError **error);
/* What a child said that did not like it; code NULL: it was killed or crashed. */
gboolean draft_refused(const InputFacts *kind, const InputSource *source, const char *code,
                       const char *message, GError **error);
