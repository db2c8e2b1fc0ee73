/* Characters of an account.
 *
 * A Character has one to thirty pictures. Its rig is made from one of them by a job: spec {"pictures":
 * [OBJECT…]}; result {"folder": OBJECT, "notes": […]}. Before that, where there are several, chosen becomes
 * the best picture of the whole body, as the inspection of all of them finds, and report what it said of each
 * (identity/inspect/inspect_json.h); both stay when no rig can be made. Holds: "picture" (the chosen one; the
 * first before), "picture-0" …, "folder". What a Training adds is in app/making/trainings.h. */
#pragma once
#include "app/inputs/inputs.h"
#include "app/jobs/jobs.h"

#define CHARACTER_PRICE (1 * CREDIT)

typedef struct {
  char *id, *account, *name, *description, *status; /* pending, processing, ready, failed */
  char *job, *error, *error_code;
  gint64 credits; /* settled; hundredths; -1 before */
  gint64 created, completed;
  char *folder;       /* object, once ready */
  char *picture;      /* object: of the rig */
  json_t *pictures;   /* [OBJECT…], at least one */
  json_t *report;     /* of each picture, or NULL before */
  int chosen;         /* index of the rig's picture */
  char *training;     /* job of the newest Training, or NULL */
  gboolean published; /* everybody may see and use it */
} CharacterRow;
void character_row_free(CharacterRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CharacterRow, character_row_free)

typedef struct {
  const char *name; /* 1..100 characters after trimming */
  const char *description;
  InputSource image;
  const InputSource *more; /* further pictures */
  int more_count;
  gboolean free; /* costs nothing */
  const char *webhook_url;
  const char *dialect; /* in which the webhook speaks; NULL: the key's */
  gboolean dry_run;    /* validate and price only: *row stays NULL */
} CharacterRequest;

/* Validates, takes the picture, inserts Character and job. price: what is (or would be) reserved. REFUSAL_*.
 */
gboolean character_create(App *app, const Caller *caller, const CharacterRequest *request, CharacterRow **row,
                          gint64 *price, GError **error);
/* REFUSAL_CHARACTER. */
CharacterRow *character_get(App *app, const char *account, const char *id, GError **error);
/* The same within a session. */
CharacterRow *character_read(Session *session, const char *account, const char *id, GError **error);
/* Newest first; q: part of the name, or NULL. total: of all that match. published: also those of others that
 * are published. */
GPtrArray *character_list(App *app, const char *account, const char *q, gboolean published, int limit,
                          int offset, gint64 *total, GError **error);
/* One that this account may use: its own, or a published one. REFUSAL_CHARACTER. */
CharacterRow *character_usable(Session *session, const char *account, const char *id, GError **error);
/* What the worker of its job has found before the rig is made: report is borrowed. Nothing happens when the
 * Character is gone, or is another job's by now. */
gboolean character_inspected(App *app, const Job *job, const json_t *report, int chosen, GError **error);
/* Everybody may see and use it from now on, or not any more. REFUSAL_CHARACTER. */
gboolean character_publish(App *app, const char *account, const char *id, gboolean published, GError **error);
/* name or description NULL: unchanged. */
gboolean character_update(App *app, const char *account, const char *id, const char *name,
                          const char *description, GError **error);
/* Gone from every list at once; its jobs are cancelled and refunded; its objects go with the next sweep. */
gboolean character_delete(App *app, const char *account, const char *id, GError **error);
