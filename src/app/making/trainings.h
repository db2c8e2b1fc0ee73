/* Trainings: a Character's pictures become its LoRA (identity/training/character_training.h), in pool
 * identity.
 *
 * Job JOB_TRAINING, subject the Character. Spec: {"pictures": [OBJECT…], "trigger", "class", "model", "seed",
 * "steps" or absent}. While it runs the job's partial result holds {"step", "steps", "loss", "previews":
 * OBJECT or absent, "checkpoint": OBJECT or absent}; the next attempt goes on from the checkpoint, a folder.
 * Result: {"lora": OBJECT, "chart": OBJECT, "previews": OBJECT, "steps", "loss", "notes": […]}; held by the
 * Character in the roles "lora", "chart", "previews". A Character that is trained again keeps what it has
 * until the new Training has ended well, and can be drawn meanwhile. */
#pragma once
#include "app/making/characters.h"

#define TRAINING_PRICE (500 * CREDIT)
#define TRAINING_FEW 10
#define TRAINING_MANY 30
#define TRAINING_PICTURE_BYTES (10 * 1000 * 1000)

/* The Training of a Character, the newest. */
typedef struct {
  char *job;
  char *status;  /* "training", "ready", "failed" */
  char *trigger; /* the word that calls it */
  char *class, *model;
  char *error, *error_code; /* of a failed one */
  double progress;          /* 0..100 */
  gint64 step, steps;       /* 0: not begun */
  double loss;              /* NAN before there is one */
  gint64 credits;           /* reserved, or charged once it has ended */
  gint64 created, completed;
  char *lora, *chart, *previews; /* objects, or NULL */
} TrainingRow;
void training_row_free(TrainingRow *row);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TrainingRow, training_row_free)

typedef struct {
  const char *name;         /* of a new Character; NULL: "Character" */
  const char *character_id; /* one that exists: its own pictures are learnt, and those given here are added */
  const InputSource *pictures;
  int picture_count;   /* with the Character's own TRAINING_FEW..TRAINING_MANY */
  const char *trigger; /* 1..40 letters, digits, - and _; NULL: made up, "CHAR" and seven of A-Z, 0-9 */
  const char *class;   /* "person" */
  const char *model;   /* NULL: the first that is there and trainable */
  gint64 seed;         /* -1: made up */
  gint64 steps;        /* 0: the recipe's */
  const char *webhook_url, *dialect;
  gboolean dry_run;
} TrainingRequest;

/* In this order: fields, number of pictures, their URLs, credits, downloads and looks; then Character, rig
 * job (free) and training job in one transaction. A Character whose training runs already:
 * REFUSAL_CONFLICT. REFUSAL_PICTURES_FEW, _MANY, REFUSAL_URL_FORM, REFUSAL_URL, REFUSAL_PICTURE_*,
 * REFUSAL_TRIGGER, REFUSAL_MODEL, REFUSAL_TRAINER (nothing here can train), REFUSAL_CREDITS,
 * REFUSAL_CHARACTER. *row stays NULL for a dry run. */
gboolean training_create(App *app, const Caller *caller, const TrainingRequest *request, CharacterRow **row,
                         gint64 *price, GError **error);
/* NULL without an error when the Character was never trained. */
TrainingRow *training_read(Session *session, const CharacterRow *character, GError **error);
TrainingRow *training_get(App *app, const CharacterRow *character, GError **error);
