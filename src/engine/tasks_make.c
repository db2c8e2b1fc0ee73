/* Making a Character from a picture and a Scene from a video. */
#include "engine/tasks.h"
#include "puppet/character.h"
#include "puppet/render.h"
#include "stage/scene.h"

json_t *task_character(Work *work) {
  const char *picture = work_string(work, "picture"), *out = work_string(work, "out");
  if (!picture || !out)
    return NULL;
  GError *error = NULL;
  CharacterOptions options = {.models = work->models};
  Blame blame = {picture, "The picture", "picture_broken", "picture_too_large", NULL};
  g_autoptr(Character) character = character_make(picture, &options, work->progress, &error);
  if (!character || !character_save(character, out, &error))
    return work_fail_with(work, error, &blame);
  return json_pack("{s:i, s:i}", "width", character->cutout->width, "height", character->cutout->height);
}

/* By time on screen; among equals the order of their ids. */
static int compare_seen(gconstpointer a, gconstpointer b) {
  const Track *p = *(Track *const *)a, *q = *(Track *const *)b;
  if (p->count != q->count)
    return p->count < q->count ? 1 : -1;
  return (p->id > q->id) - (p->id < q->id);
}

static json_t *describe_people(const Tracks *tracks) {
  g_autoptr(GPtrArray) sorted = g_ptr_array_new();
  g_ptr_array_extend(sorted, tracks->tracks, NULL, NULL);
  g_ptr_array_sort(sorted, compare_seen);
  json_t *people = json_array();
  for (guint i = 0; i < sorted->len; i++) {
    const Track *track = sorted->pdata[i];
    json_array_append_new(people, json_pack("{s:i, s:i}", "id", track->id, "frames", track->count));
  }
  return people;
}

json_t *task_scene(Work *work) {
  const char *video = work_string(work, "video"), *out = work_string(work, "out"),
             *model = work_string(work, "model");
  GError *error = NULL;
  if (!video || !out || !model)
    return NULL;
  if (!render_model_known(model, &error))
    return work_fail_with(work, error, &(Blame){.usage = "model"});
  SceneOptions options = {.model = model, .network = POSE_FULL, .models = work->models};
  /* Its header kept the limits when it was inspected: a file that turns out otherwise is damaged. */
  Blame blame = {video, "The video", "video_broken", "video_broken", NULL};
  g_autoptr(Scene) scene = scene_prepare(video, out, &options, work->progress, &error);
  if (!scene)
    return work_fail_with(work, error, &blame);
  const VideoInfo *info = &scene->info;
  return json_pack("{s:f, s:f, s:i, s:i, s:i, s:b, s:o}", "seconds", info->seconds, "fps",
                   av_q2d(info->frame_rate), "frames", scene->tracks->frames, "width", info->width, "height",
                   info->height, "sound", info->sound, "people", describe_people(scene->tracks));
}
