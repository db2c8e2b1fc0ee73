/* The tasks of a child. Private to engine/. */
#pragma once
#include "base/fault.h"
#include "base/progress.h"
#include "media/video_join.h"
#include <jansson.h>

/* Why a task failed: the name of a Refusal (static), and one sentence for the user. */
typedef struct {
  const char *code;
  char *message; /* transfer full */
} Failure;

typedef struct {
  json_t *task;
  const char *models; /* folder of the networks, or NULL */
  gint64 memory;      /* bytes that it may have; 0: no limit */
  Progress *progress;
  Failure failure;
} Work;

/* Each gives its result (transfer full), or NULL with work->failure filled. */
json_t *task_inspect_picture(Work *work);
json_t *task_inspect_pictures(Work *work);
json_t *task_inspect_video(Work *work);
json_t *task_inspect(Work *work);
json_t *task_train(Work *work);
json_t *task_generate(Work *work);
json_t *task_character(Work *work);
json_t *task_scene(Work *work);
json_t *task_render(Work *work);

/* What makes one video of the parts of a render (transfer full; tasks_render.c), or NULL with work->failure
 * filled. */
VideoJoin *render_join_new(Work *work, gboolean audio);

/* --- what they share (tasks.c) --- */

/* A string of the task; NULL with a failure when it is not there. */
const char *work_string(Work *work, const char *key);
json_t *work_fail(Work *work, const char *code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* From a GError, which it frees. Nobody, a full disk and our own mistakes have their codes; input: the code
 * of FAULT_INPUT, limit: of FAULT_LIMIT, usage: of FAULT_USAGE (each NULL: internal). path: in the message it
 * is called `name` ("The picture"). */
typedef struct {
  const char *path, *name, *input, *limit, *usage;
} Blame;
json_t *work_fail_with(Work *work, GError *error, const Blame *blame);
