/* Drawing a video from what was made, whole or in parts, and joining the parts. Characters and Scenes were
 * made by this program, so what is wrong with them is nobody's input. */
#include "engine/tasks.h"
#include "puppet/render.h"

#include <math.h>
#include <string.h>

/* What a frame costs that is passed over, of one that is drawn; measured: 0.07 where all before it must be
 * decoded as far as others refer to them, next to nothing where the video has many key frames. */
#define PASS_COST 0.05
#define MAX_ROLES TRACK_MAX_PEOPLE

typedef struct {
  Role roles[MAX_ROLES];
  Character *characters[MAX_ROLES];
  int count;
} Cast;

static void cast_clear(Cast *cast) {
  for (int i = 0; i < cast->count; i++)
    character_free(cast->characters[i]);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Cast, cast_clear)

static int integer_of(const json_t *object, const char *key) {
  return (int)CLAMP(json_integer_value(json_object_get(object, key)), 0, G_MAXINT);
}

static gboolean load_cast(Work *work, Cast *cast, GError **error) {
  size_t i;
  const json_t *item;
  json_array_foreach(json_object_get(work->task, "roles"), i, item) {
    const char *folder = json_string_value(json_object_get(item, "character"));
    if (cast->count == MAX_ROLES || !folder)
      return fault(error, FAULT_INTERNAL, "The task has a role too many, or one without a Character.");
    Character *character = character_load(folder, error);
    if (!character)
      return FALSE;
    cast->characters[cast->count] = character;
    cast->roles[cast->count++] = (Role){character, integer_of(item, "person")};
  }
  return cast->count > 0 || fault(error, FAULT_INTERNAL, "The task has no roles.");
}

static gboolean read_options(Work *work, RenderOptions *options, GError **error) {
  static const char *const names[] = {"original", "solid", "transparent"};
  const char *background = json_string_value(json_object_get(work->task, "background"));
  const json_t *colour = json_object_get(work->task, "colour");
  gsize i = 0;
  while (background && i < G_N_ELEMENTS(names) && !g_str_equal(names[i], background))
    i++;
  if (!background || i == G_N_ELEMENTS(names))
    return fault(error, FAULT_INTERNAL, "The task has no background.");
  options->background = (Background)i;
  memcpy(options->colour, (guint8[]){0, 255, 0}, 3);
  for (size_t c = 0; json_array_size(colour) == 3 && c < 3; c++)
    options->colour[c] = (guint8)CLAMP(json_integer_value(json_array_get(colour, c)), 0, 255);
  options->mask = json_string_value(json_object_get(work->task, "mask"));
  options->silent = json_is_false(json_object_get(work->task, "audio"));
  options->threads = integer_of(work->task, "threads");
  return TRUE;
}

/* The first frame of chunk I of N. A chunk also passes over all frames before its own; so that all take the
 * same time, the later ones are shorter: with r the cost of a frame that is passed over,
 * f(i + 1) = (1 - r) f(i) + constant. */
static int chunk_begin(gint64 frames, gint64 chunk, gint64 chunks) {
  double share = (1 - pow(1 - PASS_COST, (double)chunk)) / (1 - pow(1 - PASS_COST, (double)chunks));
  return chunk >= chunks ? (int)frames : (int)lround((double)frames * share);
}

/* The last ones are empty where there are too few frames. */
static void choose_frames(Work *work, const Scene *scene, RenderOptions *options) {
  gint64 frames = scene->tracks->frames, chunk = integer_of(work->task, "chunk"),
         chunks = integer_of(work->task, "chunks");
  if (chunks == 0)
    return;
  options->first = chunk_begin(frames, chunk, chunks);
  options->count = chunk_begin(frames, chunk + 1, chunks) - options->first;
}

static json_t *describe(const Scene *scene, const RenderResult *result) {
  const VideoInfo *info = &scene->info;
  return json_pack("{s:i, s:i, s:f, s:i, s:i, s:b}", "frames", result->frames, "acted", result->acted,
                   "seconds", info->seconds, "width", info->width, "height", info->height, "sound",
                   info->sound);
}

json_t *task_render(Work *work) {
  const char *folder = work_string(work, "scene"), *out = work_string(work, "out");
  if (!folder || !out)
    return NULL;
  GError *error = NULL;
  RenderOptions options = {0};
  RenderResult result = {0};
  g_auto(Cast) cast = {0};
  g_autoptr(Scene) scene = scene_load(folder, &error);
  if (!scene || !load_cast(work, &cast, &error) || !read_options(work, &options, &error))
    return work_fail_with(work, error, &(Blame){0});
  choose_frames(work, scene, &options);
  if (options.count == 0 && integer_of(work->task, "chunks") > 0)
    return describe(scene, &result);
  if (!render_video(scene, cast.roles, cast.count, &options, out, &result, work->progress, &error))
    return work_fail_with(work, error, &(Blame){0});
  return describe(scene, &result);
}

VideoJoin *render_join_new(Work *work, gboolean audio) {
  const char *folder = work_string(work, "scene");
  GError *error = NULL;
  if (!folder)
    return NULL;
  g_autoptr(Scene) scene = scene_load(folder, &error);
  VideoJoin *join = scene ? video_join_new(&scene->info, audio ? scene->source : NULL, &error) : NULL;
  if (!join)
    work_fail_with(work, error, &(Blame){0});
  return join;
}
