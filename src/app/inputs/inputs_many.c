/* A few threads download; each takes the next source that nobody has. When one is refused no further one is
 * begun, and the first of the refused ones is told. Then one child looks at all of them; where that child
 * dies, each has one of its own, to find out which it was. */
#include "app/inputs/inputs_private.h"

#include "engine/child.h"

#define SIDE_BY_SIDE 4
#define LOOK_CPU 30         /* seconds, */
#define LOOK_CPU_PICTURE 10 /* and for each picture */

typedef struct {
  App *app;
  InputFacts kind;
  const InputSource *sources;
  int count;
  Draft *drafts;
  GError **problems;
  volatile gint next, failed;
} Batch;

/* --- downloads --- */

static gpointer take_some(gpointer data) {
  Batch *batch = data;
  for (int i; !g_atomic_int_get(&batch->failed) && (i = g_atomic_int_add(&batch->next, 1)) < batch->count;)
    if (!draft_take(batch->app, &batch->kind, &batch->sources[i], &batch->drafts[i], &batch->problems[i]))
      g_atomic_int_set(&batch->failed, 1);
  return NULL;
}

static gboolean first_problem(Batch *batch, GError **error) {
  for (int i = 0; i < batch->count; i++)
    if (batch->problems[i]) {
      g_propagate_error(error, g_steal_pointer(&batch->problems[i]));
      return FALSE;
    }
  return TRUE;
}

static gboolean take_all(Batch *batch, GError **error) {
  GThread *threads[SIDE_BY_SIDE];
  int count = MIN(SIDE_BY_SIDE, batch->count);
  for (int i = 0; i < count; i++)
    threads[i] = g_thread_new("download", take_some, batch);
  for (int i = 0; i < count; i++)
    g_thread_join(threads[i]);
  return first_problem(batch, error);
}

/* --- the look --- */

static gboolean look_at_each(Batch *batch, Input *inputs, GError **error) {
  for (int i = 0; i < batch->count; i++)
    if (!draft_look(batch->app, &batch->kind, &batch->sources[i], &batch->drafts[i], &inputs[i].facts, error))
      return FALSE;
  return TRUE;
}

/* Each entry is the facts of a picture, or {"code", "message"}. */
static gboolean read_facts(const Batch *batch, const json_t *result, Input *inputs, GError **error) {
  const json_t *list = json_object_get(result, "pictures");
  if ((int)json_array_size(list) != batch->count)
    return fault(error, FAULT_INTERNAL, "The engine lost count of the pictures.");
  for (int i = 0; i < batch->count; i++) {
    json_t *entry = json_array_get(list, (size_t)i);
    const char *code = json_string_value(json_object_get(entry, "code"));
    const char *message = json_string_value(json_object_get(entry, "message"));
    if (code)
      return draft_refused(&batch->kind, &batch->sources[i], code, message ? message : "refused", error);
    inputs[i].facts = json_incref(entry);
  }
  return TRUE;
}

static json_t *task_of(const Batch *batch) {
  json_t *pictures = json_array();
  for (int i = 0; i < batch->count; i++)
    json_array_append_new(pictures, json_string(batch->drafts[i].path));
  return json_pack("{s:s, s:o}", "do", "inspect-pictures", "pictures", pictures);
}

static gboolean look_at_all(Batch *batch, Input *inputs, GError **error) {
  json_auto_t *task = task_of(batch);
  const ChildLimits limits = {.models = batch->app->settings->models,
                              .memory = batch->app->settings->engine_memory,
                              .cpu_seconds = LOOK_CPU + LOOK_CPU_PICTURE * batch->count,
                              .silence = LOOK_SILENCE};
  g_auto(ChildOutcome) outcome = {0};
  if (!child_run(task, &limits, &outcome, NULL, error))
    return FALSE;
  return outcome.result ? read_facts(batch, outcome.result, inputs, error)
                        : look_at_each(batch, inputs, error);
}

/* --- all of it --- */

static gboolean keep_all(Batch *batch, Input *inputs, GError **error) {
  for (int i = 0; i < batch->count; i++)
    if (!(inputs[i].object =
              objects_put(batch->app->objects, batch->drafts[i].path, batch->drafts[i].hash, NULL, error)))
      return FALSE;
  return TRUE;
}

static gboolean take(App *app, const InputSource *sources, int count, gint64 most, gboolean keep,
                     Input *inputs, GError **error) {
  Batch batch = {.app = app, .kind = input_facts[INPUT_PICTURE], .sources = sources, .count = count};
  batch.kind.bytes = MIN(batch.kind.bytes, most);
  batch.drafts = g_new0(Draft, count);
  batch.problems = g_new0(GError *, count);
  gboolean good = take_all(&batch, error) && look_at_all(&batch, inputs, error) &&
                  (!keep || keep_all(&batch, inputs, error));
  for (int i = 0; i < count; i++) {
    draft_clear(&batch.drafts[i]);
    g_clear_error(&batch.problems[i]);
    if (!good)
      input_clear(&inputs[i]);
  }
  g_free(batch.drafts);
  g_free(batch.problems);
  return good;
}

gboolean inputs_take(App *app, const InputSource *sources, int count, gint64 most, Input *inputs,
                     GError **error) {
  return take(app, sources, count, most, TRUE, inputs, error);
}

gboolean inputs_inspect(App *app, const InputSource *sources, int count, gint64 most, Input *inputs,
                        GError **error) {
  return take(app, sources, count, most, FALSE, inputs, error);
}
