/* A Render: first the Character and the Scene, where the job brings a picture and a video instead; then the
 * drawing, by one child, or in a hurry by one in as many parts as there are cores (engine/child.h).
 *
 * What is made on the way is taken into the store at once and named in the job's partial result, so another
 * attempt begins where this one ended. */
#include "app/jobs/holds.h"
#include "app/making/renders.h"
#include "worker/kinds.h"

/* About the shares of the time that a render of a few seconds takes. */
static const double weights[] = {10, 40, 50};
enum { PART_CHARACTER, PART_SCENE, PART_DRAWING };
#define MOST_CHUNKS 16

typedef struct {
  Run *run;
  gboolean fast;
  char *character, *scene; /* objects; character NULL where roles are cast */
} Material;

static void material_clear(Material *material) {
  g_free(material->character);
  g_free(material->scene);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Material, material_clear)

/* --- Character and Scene --- */

static void have_character(Material *material, char *object) {
  material->character = object;
  run_part_done(material->run, PART_CHARACTER);
  run_reach(material->run, CHECKPOINT_REF);
}

static void have_scene(Material *material, char *object) {
  material->scene = object;
  run_part_done(material->run, PART_SCENE);
  run_reach(material->run, CHECKPOINT_DRIVE | CHECKPOINT_BACKGROUND);
}

/* Runs one step and keeps its folder under the role. */
typedef struct {
  Material *material;
  Step step;
  const char *role;
  char *out, *object;
  GError *error;
} Making;

static gpointer run_making(gpointer data) {
  Making *making = data;
  Run *run = making->material->run;
  json_auto_t *result = run_step(run, &making->step, &making->error);
  making->object = result ? run_keep(run, making->role, making->out, TRUE, &making->error) : NULL;
  if (!making->object)
    run_abandon(run);
  else if (making->step.part == PART_CHARACTER)
    have_character(making->material, g_steal_pointer(&making->object));
  else
    have_scene(making->material, g_steal_pointer(&making->object));
  return NULL;
}

static void making_clear(Making *making) {
  g_clear_pointer(&making->step.task, json_decref);
  g_free(making->out);
  g_clear_error(&making->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Making, making_clear)

/* The rig of a Character that was still being made when the job was: its folder, held by the job from now on,
 * if it is ready by now (transfer full). Otherwise, or when it cannot be told, a rig is made of the picture.
 */
static char *awaited_folder(Run *run) {
  const Job *job = run_job(run);
  const char *id = spec_string(run, "character");
  g_autoptr(Session) session = id ? database_begin(run_app(run)->database, DATABASE_WRITE_SOON, NULL) : NULL;
  g_autoptr(CharacterRow) row = session ? character_usable(session, job->account, id, NULL) : NULL;
  if (!row || !row->folder)
    return NULL;
  g_autofree char *role = g_strdup_printf("input/%s", row->folder);
  if (!holds_set(session, job->id, role, row->folder, NULL) || !session_commit(session, NULL))
    return NULL;
  return g_strdup(row->folder);
}

/* What is there already, from the spec or an earlier attempt. */
static void take_made(Material *material) {
  Run *run = material->run;
  const char *character = spec_string(run, "folder"), *scene = spec_string(run, "folder_scene");
  g_autofree char *made_character = character ? g_strdup(character) : run_made(run, "character"),
                  *made_scene = scene ? g_strdup(scene) : run_made(run, "scene");
  if (!made_character)
    made_character = awaited_folder(run);
  if (made_character || json_object_get(run_job(run)->spec, "roles"))
    have_character(material, g_steal_pointer(&made_character));
  if (made_scene)
    have_scene(material, g_steal_pointer(&made_scene));
}

static gboolean plan(Material *material, Making *character, Making *scene, GError **error) {
  Run *run = material->run;
  int cores = material->fast ? 0 : usual_cores(run);
  if (!material->character && !json_object_get(run_job(run)->spec, "roles")) {
    character->out = run_path(run, "character");
    character->step = (Step){.part = PART_CHARACTER, .cores = cores, .share = 1};
    if (!(character->step.task = character_task(run, spec_string(run, "picture"), character->out, error)))
      return FALSE;
  }
  if (!material->scene) {
    scene->out = run_path(run, "scene");
    scene->step = (Step){.part = PART_SCENE, .cores = cores, .when_all = CHECKPOINT_DRIVE, .share = 1};
    if (!(scene->step.task =
              scene_task(run, spec_string(run, "video"), spec_string(run, "model"), scene->out, error)))
      return FALSE;
  }
  return TRUE;
}

/* Side by side, unless the job is held on some cores: then both have the same ones, one after the other. */
static gboolean make_material(Material *material, GError **error) {
  g_auto(Making) character = {.material = material, .role = "character"},
                 scene = {.material = material, .role = "scene"};
  take_made(material);
  if (!plan(material, &character, &scene, error))
    return FALSE;
  gboolean apart = !material->fast && usual_cores(material->run) > 0;
  GThread *thread = character.step.task && scene.step.task && !apart
                        ? g_thread_new("character", run_making, &character)
                        : NULL;
  if (character.step.task && !thread)
    run_making(&character);
  if (scene.step.task && !character.error)
    run_making(&scene);
  if (thread)
    g_thread_join(thread);
  /* The one that was only told to stop is not the reason. */
  GError **reason = scene.error && (!character.error || !g_error_matches(scene.error, FAULT, FAULT_CANCELLED))
                        ? &scene.error
                        : &character.error;
  if (!*reason)
    return TRUE;
  g_propagate_error(error, g_steal_pointer(reason));
  return FALSE;
}

/* --- drawing --- */

static json_t *cast(Material *material, GError **error) {
  Objects *objects = run_app(material->run)->objects;
  json_auto_t *roles = json_array();
  const json_t *given = json_object_get(run_job(material->run)->spec, "roles"), *item;
  size_t i;
  if (!given) {
    g_autofree char *path = objects_path(objects, material->character, error);
    return path ? json_pack("[{s:i, s:s}]", "person", 0, "character", path) : NULL;
  }
  json_array_foreach(given, i, item) {
    const char *folder = json_string_value(json_object_get(item, "folder"));
    g_autofree char *path = folder ? objects_path(objects, folder, error) : NULL;
    if (!path)
      return NULL;
    json_array_append_new(roles,
                          json_pack("{s:I, s:s}", "person",
                                    json_integer_value(json_object_get(item, "person")), "character", path));
  }
  return json_incref(roles);
}

/* The task without its outputs. */
static json_t *drawing(Material *material, GError **error) {
  const json_t *spec = run_job(material->run)->spec;
  const char *background = spec_string(material->run, "background");
  g_autofree char *scene = objects_path(run_app(material->run)->objects, material->scene, error);
  json_t *roles = scene ? cast(material, error) : NULL, *colour = json_object_get(spec, "colour"),
         *audio = json_object_get(spec, "audio");
  if (!roles)
    return NULL;
  return json_pack("{s:s, s:s, s:o, s:s, s:o, s:b}", "do", "render", "scene", scene, "roles", roles,
                   "background", background ? background : "original", "colour",
                   colour ? json_deep_copy(colour) : json_pack("[i,i,i]", 0, 255, 0), "audio",
                   audio == NULL || json_is_true(audio));
}

static gboolean wants_mask(Material *material) {
  return g_strcmp0(spec_string(material->run, "background"), "transparent") == 0;
}

/* By one child, which in a hurry has as many processes as there are cores. */
static json_t *draw(Material *material, const char *out, const char *mask, GError **error) {
  json_auto_t *task = drawing(material, error);
  int cores = material->fast ? 0 : usual_cores(material->run);
  if (!task)
    return NULL;
  json_object_set_new(task, "out", json_string(out));
  if (mask)
    json_object_set_new(task, "mask", json_string(mask));
  json_object_set_new(task, "threads", json_integer(material->fast ? 1 : cores));
  if (material->fast)
    json_object_set_new(task, "chunks", json_integer(CLAMP(g_get_num_processors(), 2, MOST_CHUNKS)));
  Step step = {.task = task, .part = PART_DRAWING, .cores = cores, .share = 1};
  return run_step(material->run, &step, error);
}

static gboolean take_results(Material *material, json_t *facts, const char *out, const char *mask,
                             Yield *yield, GError **error) {
  Run *run = material->run;
  run_part_done(run, PART_DRAWING);
  g_autofree char *video = run_keep(run, "video", out, FALSE, error);
  g_autofree char *masked = video && mask ? run_keep(run, "mask", mask, FALSE, error) : NULL;
  if (!video || (mask && !masked))
    return FALSE;
  run_reach(run, CHECKPOINT_RENDER);
  run_settle(run);
  yield->objects = json_pack("{s:s}", "video", video);
  if (masked)
    json_object_set_new(yield->objects, "mask", json_string(masked));
  yield->result = json_copy(facts);
  json_object_update(yield->result, yield->objects);
  yield->charge = MIN(render_price(json_number_value(json_object_get(facts, "seconds")), material->fast),
                      run_job(run)->price);
  return TRUE;
}

gboolean render_work(Run *run, Yield *yield, GError **error) {
  g_auto(Material) material = {.run = run, .fast = json_is_true(json_object_get(run_job(run)->spec, "fast"))};
  run_parts(run, weights, G_N_ELEMENTS(weights));
  if (!make_material(&material, error))
    return FALSE;
  g_autofree char *out = run_path(run, "video.mp4"), *mask_path = run_path(run, "mask.mp4");
  const char *mask = wants_mask(&material) ? mask_path : NULL;
  json_auto_t *facts = draw(&material, out, mask, error);
  return facts && take_results(&material, facts, out, mask, yield, error);
}
