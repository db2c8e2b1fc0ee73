/* Making a Character or a Scene: one child each. */
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

/* Runs the task and takes its folder. */
static gboolean make(Run *run, json_t *task, const char *out, Yield *yield, GError **error) {
  const double all = 1;
  json_auto_t *owned = task;
  run_parts(run, &all, 1);
  Step step = {.task = task, .cores = usual_cores(run), .share = 1};
  json_auto_t *result = run_step(run, &step, error);
  g_autofree char *folder = result ? run_keep(run, "folder", out, FALSE, error) : NULL;
  if (!folder)
    return FALSE;
  json_object_set_new(result, "folder", json_string(folder));
  yield->result = json_incref(result);
  yield->objects = json_pack("{s:s}", "folder", folder);
  yield->charge = run_job(run)->price;
  return owned != NULL;
}

gboolean character_work(Run *run, Yield *yield, GError **error) {
  g_autofree char *out = run_path(run, "character");
  const json_t *pictures = json_object_get(run_job(run)->spec, "pictures");
  const char *picture =
      pictures ? json_string_value(json_array_get(pictures, 0)) : spec_string(run, "picture");
  json_t *task = character_task(run, picture, out, error);
  return task && make(run, task, out, yield, error);
}

gboolean scene_work(Run *run, Yield *yield, GError **error) {
  g_autofree char *out = run_path(run, "scene");
  json_t *task = scene_task(run, spec_string(run, "video"), spec_string(run, "model"), out, error);
  return task && make(run, task, out, yield, error);
}
