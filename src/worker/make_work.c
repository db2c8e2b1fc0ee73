/* Making a Character or a Scene: one child each; where a Character has several pictures, one before it that
 * looks at them. */
#include "app/making/characters.h"
#include "worker/kinds.h"

const char *spec_string(Run *run, const char *key) {
  return json_string_value(json_object_get(run_job(run)->spec, key));
}

int usual_cores(Run *run) {
  return (int)run_app(run)->settings->render_cores;
}

static char *object_path(Run *run, const char *object, GError **error) {
  if (!object)
    return fault_null(error, FAULT_INTERNAL, "The job names no input.");
  return objects_path(run_app(run)->objects, object, error);
}

json_t *character_task(Run *run, const char *object, const char *out, GError **error) {
  g_autofree char *picture = object_path(run, object, error);
  return picture ? json_pack("{s:s, s:s, s:s}", "do", "character", "picture", picture, "out", out) : NULL;
}

json_t *scene_task(Run *run, const char *object, const char *model, const char *out, GError **error) {
  g_autofree char *video = object_path(run, object, error);
  return video ? json_pack("{s:s, s:s, s:s, s:s}", "do", "scene", "video", video, "model",
                           model ? model : run_job(run)->pool, "out", out)
               : NULL;
}

/* Runs the task as one part of the work and takes its folder. */
static gboolean make(Run *run, json_t *task, const char *out, int part, Yield *yield, GError **error) {
  Step step = {.task = task, .part = part, .cores = usual_cores(run), .share = 1};
  json_auto_t *result = run_step(run, &step, error);
  g_autofree char *folder = result ? run_keep(run, "folder", out, FALSE, error) : NULL;
  if (!folder)
    return FALSE;
  json_object_set_new(result, "folder", json_string(folder));
  yield->result = json_incref(result);
  yield->objects = json_pack("{s:s}", "folder", folder);
  yield->charge = run_job(run)->price;
  return TRUE;
}

/* Which of several pictures shows most of the body; what was found of each is told at once, for it says why
 * when none is good enough. */
static gboolean choose(Run *run, const json_t *pictures, size_t *chosen, GError **error) {
  json_t *paths = json_array(), *item;
  size_t i;
  json_auto_t *task = json_pack("{s:s, s:o}", "do", "inspect", "pictures", paths);
  json_array_foreach(pictures, i, item) {
    g_autofree char *path = object_path(run, json_string_value(item), error);
    if (!path)
      return FALSE;
    json_array_append_new(paths, json_string(path));
  }
  Step step = {.task = task, .part = 0, .cores = usual_cores(run), .share = 1};
  json_auto_t *result = run_step(run, &step, error);
  if (!result)
    return FALSE;
  json_int_t best = json_integer_value(json_object_get(result, "chosen"));
  const json_t *report = json_object_get(result, "pictures");
  *chosen = best >= 0 && best < (json_int_t)json_array_size(pictures) ? (size_t)best : 0;
  return json_array_size(report) != json_array_size(pictures)
             ? fault(error, FAULT_INTERNAL, "The engine lost count of the pictures.")
             : character_inspected(run_app(run), run_job(run), report, (int)*chosen, error);
}

gboolean character_work(Run *run, Yield *yield, GError **error) {
  const double parts[] = {1, 1};
  const char *only = spec_string(run, "picture"); /* in jobs of the time when there was one */
  json_t *given = json_object_get(run_job(run)->spec, "pictures");
  json_auto_t *pictures = given ? json_incref(given) : json_pack("[s]", only ? only : "");
  size_t chosen = 0;
  gboolean several = json_array_size(pictures) > 1;
  run_parts(run, parts, several ? 2 : 1);
  if (several && !choose(run, pictures, &chosen, error))
    return FALSE;
  const char *picture = json_string_value(json_array_get(pictures, chosen));
  g_autofree char *out = run_path(run, "character");
  json_auto_t *task = character_task(run, picture, out, error);
  if (!task || !make(run, task, out, several, yield, error))
    return FALSE;
  json_object_set_new(yield->objects, "picture", json_string(picture)); /* of the rig from now on */
  return TRUE;
}

gboolean scene_work(Run *run, Yield *yield, GError **error) {
  const double all = 1;
  g_autofree char *out = run_path(run, "scene");
  json_auto_t *task = scene_task(run, spec_string(run, "video"), spec_string(run, "model"), out, error);
  run_parts(run, &all, 1);
  return task && make(run, task, out, 0, yield, error);
}
