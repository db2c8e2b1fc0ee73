/* Making something of a Template: a Render of its Scene, or a Generation of its prompt. */
#pragma once
#include "app/accounts/accounts.h"
#include "app/inputs/inputs.h"
#include "app/jobs/jobs.h"

/* What the request said of one variable. */
typedef struct {
  const char *key;
  const char
      *text; /* a text; of an image its address, its data URI or the key of an upload or result; or NULL */
  InputSource file; /* a file part; its path NULL: none */
} TemplateValue;

typedef struct {
  const char *template_id;
  const TemplateValue *values; /* the last one of a key counts */
  int value_count;
  const json_t *characters; /* {key: id of a Character}, or NULL */
  gint64 seed;              /* of a Generation; -1: made up */
  const char *webhook_url, *dialect, *id_prefix;
  gboolean dry_run;
} TemplateUse;

/* A value is looked for among the characters, then the values, then it is the variable's default_value. In
 * this order: REFUSAL_TEMPLATE, REFUSAL_TEMPLATE_BROKEN, REFUSAL_VARIABLE (unknown, required and missing, too
 * short or too long, of another kind), those of keys, data URIs and Characters, then those of render_create
 * and generation_create. *job stays NULL for a dry run.
 *
 * In a Scene with one person a picture may play as well as a Character, even one that is still being made; in
 * one with several people a picture may play the first if nobody else is cast. */
gboolean template_use(App *app, const Caller *caller, const TemplateUse *use, Job **job, gint64 *price,
                      GError **error);
