/* Writing of scene.json and tracks.safetensors. Poses are stored as one tensor for each part, so that other
 * tools can read them without knowing a struct: person.N.image [count, 33, 4] and so on. */
#include "stage/scene_file.h"
#include "tensor/safetensors.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

/* Data that must live until the file is written. */
typedef struct {
  SafetensorsWriter *writer;
  GPtrArray *owned;
} Tensors;

static float *tensor_new(Tensors *tensors, const char *name, int rows, int columns, int depth) {
  float *data = g_new0(float, (gsize)rows *(gsize)columns *(gsize)depth);
  gint64 shape[3] = {rows, columns, depth};
  g_ptr_array_add(tensors->owned, data);
  safetensors_add(tensors->writer, name, DTYPE_F32, shape, depth > 1 ? 3 : columns > 1 ? 2 : 1, data);
  return data;
}

static void add_landmarks(Tensors *tensors, const Track *track, const char *part, gsize offset) {
  g_autofree char *name = g_strdup_printf("person.%d.%s", track->id, part);
  float *data = tensor_new(tensors, name, track->count, POSE_LANDMARKS, 4);
  for (int i = 0; i < track->count; i++)
    memcpy(data + (gsize)i * POSE_LANDMARKS * 4, (const char *)&track->poses[i] + offset,
           POSE_LANDMARKS * 4 * sizeof(float));
}

static void add_track(Tensors *tensors, const Track *track) {
  g_autofree char *slot = g_strdup_printf("person.%d.slot", track->id),
                  *score = g_strdup_printf("person.%d.score", track->id);
  g_autofree char *box = g_strdup_printf("person.%d.box", track->id),
                  *region = g_strdup_printf("person.%d.region", track->id);
  gint64 shape[1] = {track->count};
  add_landmarks(tensors, track, "image", offsetof(Pose, image));
  add_landmarks(tensors, track, "world", offsetof(Pose, world));
  float *scores = tensor_new(tensors, score, track->count, 1, 1),
        *boxes = tensor_new(tensors, box, track->count, 4, 1);
  float *regions = tensor_new(tensors, region, track->count, 5, 1);
  for (int i = 0; i < track->count; i++) {
    const Pose *pose = &track->poses[i];
    const float place[5] = {pose->region.cx, pose->region.cy, pose->region.width, pose->region.height,
                            pose->region.rotation};
    scores[i] = pose->score;
    memcpy(boxes + i * 4, pose->box, sizeof pose->box);
    memcpy(regions + i * 5, place, sizeof place);
  }
  safetensors_add(tensors->writer, slot, DTYPE_I8, shape, 1, track->slot);
}

static gboolean save_tracks(const Scene *scene, const char *path, GError **error) {
  g_autoptr(SafetensorsWriter) writer = safetensors_writer_new();
  g_autoptr(GPtrArray) owned = g_ptr_array_new_with_free_func(g_free);
  Tensors tensors = {writer, owned};
  gint64 frames[1] = {scene->tracks->frames};
  safetensors_set_metadata(writer, "format", "troupe scene");
  safetensors_add(writer, "time", DTYPE_F64, frames, 1, scene->tracks->time_s);
  for (guint i = 0; i < scene->tracks->tracks->len; i++)
    add_track(&tensors, scene->tracks->tracks->pdata[i]);
  for (guint i = 0; i < scene->plates->len; i++) {
    const Plate *plate = scene->plates->pdata[i];
    gint64 shape[3] = {plate->count, 3, 3};
    g_autofree char *name = g_strdup_printf("plate.%u.homography", i);
    if (!plate->still)
      safetensors_add(writer, name, DTYPE_F32, shape, 3, plate->homography);
  }
  return safetensors_write(writer, path, error);
}

static json_t *video_json(const VideoInfo *info) {
  return json_pack("{s:i, s:i, s:[i,i], s:[i,i], s:[i,i], s:I, s:f, s:b, s:i, s:i, s:i, s:i}", "width",
                   info->width, "height", info->height, "time_base", info->time_base.num, info->time_base.den,
                   "frame_rate", info->frame_rate.num, info->frame_rate.den, "aspect", info->aspect.num,
                   info->aspect.den, "frames", (json_int_t)info->frames, "seconds", info->seconds, "sound",
                   info->sound, "range", info->range, "matrix", info->matrix, "primaries", info->primaries,
                   "transfer", info->transfer);
}

static json_t *front_json(const Front *front) {
  json_t *begin = json_array();
  for (int i = 0; i <= front->spans; i++)
    json_array_append_new(begin, json_integer(front->begin[i]));
  return json_pack("{s:i, s:i, s:i, s:i, s:o}", "x", front->x, "y", front->y, "width", front->width, "height",
                   front->height, "begin", begin);
}

static json_t *plates_json(const Scene *scene) {
  json_t *plates = json_array();
  for (guint i = 0; i < scene->plates->len; i++) {
    const Plate *plate = scene->plates->pdata[i];
    g_autofree char *picture = scene_plate_name((int)i, plate->width, plate->height),
                    *known = scene_known_name((int)i);
    json_t *json =
        json_pack("{s:i, s:i, s:b, s:i, s:i, s:f, s:f, s:s, s:s}", "first", plate->first, "count",
                  plate->count, "still", plate->still, "width", plate->width, "height", plate->height, "x0",
                  (double)plate->x0, "y0", (double)plate->y0, "picture", picture, "known", known);
    if (plate->front)
      json_object_set_new(json, "front", front_json(plate->front));
    json_array_append_new(plates, json);
  }
  return plates;
}

static json_t *scene_json(const Scene *scene, const char *source) {
  json_t *cuts = json_array(), *people = json_array();
  for (guint i = 0; i < scene->tracks->cuts->len; i++)
    json_array_append_new(cuts, json_integer(g_array_index(scene->tracks->cuts, int, i)));
  for (guint i = 0; i < scene->tracks->tracks->len; i++) {
    const Track *track = scene->tracks->tracks->pdata[i];
    json_array_append_new(
        people, json_pack("{s:i, s:i, s:i}", "id", track->id, "first", track->first, "count", track->count));
  }
  return json_pack("{s:s, s:i, s:s, s:s, s:o, s:{s:s, s:i, s:i}, s:o, s:o, s:o}", "format", "troupe scene",
                   "version", 1, "model", scene->model, "source", source, "video", video_json(&scene->info),
                   "masks", "file", SCENE_MASKS, "width", scene->tracks->mask_width, "height",
                   scene->tracks->mask_height, "cuts", cuts, "people", people, "plates", plates_json(scene));
}

gboolean scene_save(const Scene *scene, const char *folder, const char *source, GError **error) {
  g_autofree char *tracks = g_build_filename(folder, SCENE_TRACKS, NULL),
                  *path = g_build_filename(folder, SCENE_JSON, NULL);
  if (!save_tracks(scene, tracks, error))
    return FALSE;
  json_t *json = scene_json(scene, source);
  int failed = !json || json_dump_file(json, path, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0;
  json_decref(json);
  return failed ? fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", path, g_strerror(errno)) : TRUE;
}
