/* What making and training a Character share; all within the caller's transaction. */
#pragma once
#include "app/making/characters.h"

typedef struct {
  const char *name, *description; /* clean */
  const Input *pictures;          /* in the store */
  int count;
  gint64 price; /* of the rig */
  const char *dialect, *webhook_url;
} NewCharacter;

/* The row, what it holds and the job of its rig; the id (transfer full). */
char *character_insert(App *app, Session *session, const Caller *caller, const NewCharacter *made,
                       GError **error);
/* Adds pictures to one that is there, and to row->pictures. */
gboolean character_extend(Session *session, CharacterRow *row, const Input *pictures, int count,
                          GError **error);
