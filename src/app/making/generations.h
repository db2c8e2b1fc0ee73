/* Generations: pictures from a prompt, with or without a Character's LoRA, in pool identity.
 *
 * Job JOB_GENERATION, subject NULL, id "task_…" unless the request says otherwise. Spec: {"prompt",
 * "character": ID or absent, "lora": OBJECT or absent, "model", "aspect": "3:4", "count", "seed",
 * "strength", "references": [OBJECT…]}. Result: {"images": [OBJECT…], "seed", "width", "height", "notes", and
 * "image-0" … again}; held by the job in the roles "image-0" … and kept as long as results of Renders are. */
#pragma once
#include "app/making/characters.h"

#define GENERATION_PRICE (15 * CREDIT) /* for each picture */
#define GENERATION_MANY 4
#define GENERATION_PRIORITY 5      /* somebody waits for the pictures; a training takes minutes anyway */
#define GENERATION_REFERENCES 16   /* pictures to draw after */
#define GENERATION_PROMPT_MAX 5000 /* characters */
#define GENERATION_ASPECTS "1:1 16:9 9:16 4:3 3:4 3:2 2:3 21:9"

typedef struct {
  const char *prompt;
  const char *character_id;      /* or NULL */
  const char *model;             /* without a Character; NULL: the first that is there */
  const char *aspect;            /* one of GENERATION_ASPECTS; NULL: 1:1 */
  int count;                     /* 1..GENERATION_MANY */
  gint64 seed;                   /* -1: made up */
  double strength;               /* of the LoRA, 0..2; 1 */
  const InputSource *references; /* pictures to draw after */
  int reference_count;
  const char *const *reference_objects; /* pictures in the store already, NULL at the end, or NULL */
  const char *template_id;              /* only noted */
  const char *title;                    /* what lists and searches show; NULL: the prompt */
  const char *webhook_url, *dialect, *id_prefix;
  gboolean dry_run;
} GenerationRequest;

/* REFUSAL_PROMPT, REFUSAL_ASPECT, REFUSAL_INVALID, REFUSAL_CHARACTER, REFUSAL_NOT_TRAINED, REFUSAL_MODEL,
 * REFUSAL_CREDITS, and those of pictures. *job stays NULL for a dry run. */
gboolean generation_create(App *app, const Caller *caller, const GenerationRequest *request, Job **job,
                           gint64 *price, GError **error);

/* --- what an account has made: Renders and Generations as one history --- */

typedef enum { WORK_RENDERS = 1, WORK_GENERATIONS = 2 } WorkKinds;
typedef struct {
  const char *account; /* NULL: everybody's */
  gboolean others;     /* with an account: also what others have published */
  unsigned kinds;      /* of WorkKinds */
  const char *q; /* part of the title (or prompt) that it was made with, without regard to case; NULL: all */
  gboolean published; /* only those that their owners have published */
  gboolean complete;  /* only those that have a result */
  int limit, offset;
} WorkQuery;
/* Job, newest first. total may be NULL. */
GPtrArray *work_search(App *app, const WorkQuery *query, gint64 *total, GError **error);
/* Publishes a complete one (its results do not expire from then on) or takes that back. REFUSAL_NOT_FOUND,
 * REFUSAL_CONFLICT. */
gboolean work_publish(App *app, const char *account, const char *job, gboolean published, GError **error);

/* The models that can draw (app/making/drawing_models.h): [{"id", "title", "about", "resolution",
 * "trainable"}]. */
const json_t *generation_models(App *app);
