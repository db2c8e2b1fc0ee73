/* Reading of scene.json and tracks.safetensors. The folder is input like any other: every number is checked
 * before something is allocated, indexed or divided by it. A first failure is kept and later checks do
 * nothing, so that the reading reads straight down. */
#include "stage/plate.h"
#include "stage/scene_file.h"
#include "tensor/safetensors.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

enum {
  FRAMES_MAX = 300 * 1000, /* VIDEO_MAX_SECONDS at a thousand frames per second */
  PEOPLE_MAX = 4096,
};

static const double COORDINATE_MAX = 1e6;

typedef struct {
  const char *folder;
  GError *error; /* the first failure */
} Reader;

static void damaged(Reader *reader, const char *format, ...) G_GNUC_PRINTF(2, 3);
static void damaged(Reader *reader, const char *format, ...) {
  if (reader->error)
    return;
  va_list args;
  va_start(args, format);
  g_autofree char *what = g_strdup_vprintf(format, args);
  va_end(args);
  fault(&reader->error, FAULT_INPUT, "The Scene %s is damaged: %s. Prepare it again.", reader->folder, what);
}

static int read_int(Reader *reader, const json_t *object, const char *key, gint64 low, gint64 high) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_integer(value) || json_integer_value(value) < low || json_integer_value(value) > high) {
    damaged(reader, "%s in %s is missing or out of range", key, SCENE_JSON);
    return (int)low;
  }
  return (int)json_integer_value(value);
}

static double read_number(Reader *reader, const json_t *object, const char *key, double low, double high) {
  const json_t *value = json_object_get(object, key);
  double number = json_number_value(value);
  if (!json_is_number(value) || !(number >= low && number <= high)) {
    damaged(reader, "%s in %s is missing or out of range", key, SCENE_JSON);
    return low;
  }
  return number;
}

static gboolean read_bool(Reader *reader, const json_t *object, const char *key) {
  const json_t *value = json_object_get(object, key);
  if (!json_is_boolean(value))
    damaged(reader, "%s in %s is missing", key, SCENE_JSON);
  return json_is_true(value);
}

static const char *read_string(Reader *reader, const json_t *object, const char *key) {
  const char *value = json_string_value(json_object_get(object, key));
  if (!value || !*value)
    damaged(reader, "%s in %s is missing", key, SCENE_JSON);
  return value ? value : "";
}

static AVRational read_ratio(Reader *reader, const json_t *object, const char *key, int low) {
  const json_t *value = json_object_get(object, key);
  json_int_t num = json_integer_value(json_array_get(value, 0)),
             den = json_integer_value(json_array_get(value, 1));
  if (json_array_size(value) != 2 || num < low || num > G_MAXINT || den < 1 || den > G_MAXINT) {
    damaged(reader, "%s in %s is missing or out of range", key, SCENE_JSON);
    return (AVRational){1, 1};
  }
  return (AVRational){(int)num, (int)den};
}

static VideoInfo read_video(Reader *reader, const json_t *video) {
  VideoInfo info = {
      .width = read_int(reader, video, "width", 2, VIDEO_MAX_SIDE),
      .height = read_int(reader, video, "height", 2, VIDEO_MAX_SIDE),
      .time_base = read_ratio(reader, video, "time_base", 1),
      .frame_rate = read_ratio(reader, video, "frame_rate", 1),
      .aspect = read_ratio(reader, video, "aspect", 0),
      .frames = read_int(reader, video, "frames", 1, FRAMES_MAX),
      .seconds = read_number(reader, video, "seconds", 0, 1e5),
      .sound = read_bool(reader, video, "sound"),
      .range = read_int(reader, video, "range", 0, 255),
      .matrix = read_int(reader, video, "matrix", 0, 255),
      .primaries = read_int(reader, video, "primaries", 0, 255),
      .transfer = read_int(reader, video, "transfer", 0, 255),
  };
  if (info.width % 2 || info.height % 2)
    damaged(reader, "the video has an odd size");
  return info;
}

/* A tensor's numbers, all finite; NULL after a failure. */
static const float *read_floats(Reader *reader, const Safetensors *file, const char *name, gint64 rows,
                                gint64 columns, gint64 depth) {
  if (reader->error)
    return NULL;
  gint64 shape[3] = {rows, columns, depth};
  g_autoptr(GError) problem = NULL;
  const float *data = safetensors_get(file, name, DTYPE_F32, shape,
                                      depth > 1     ? 3
                                      : columns > 1 ? 2
                                                    : 1,
                                      &problem);
  if (!data) {
    damaged(reader, "%s", problem->message);
    return NULL;
  }
  for (gint64 i = 0; i < rows * columns * depth; i++)
    if (!(fabs(data[i]) <= COORDINATE_MAX)) {
      damaged(reader, "%s holds a number that cannot be", name);
      return NULL;
    }
  return data;
}

static const float *read_part(Reader *reader, const Safetensors *file, int id, const char *part, gint64 rows,
                              gint64 columns, gint64 depth) {
  g_autofree char *name = g_strdup_printf("person.%d.%s", id, part);
  return read_floats(reader, file, name, rows, columns, depth);
}

static void read_slots(Reader *reader, const Safetensors *file, Track *track) {
  gint64 shape[1] = {track->count};
  g_autofree char *name = g_strdup_printf("person.%d.slot", track->id);
  g_autoptr(GError) problem = NULL;
  if (reader->error)
    return;
  const gint8 *slot = safetensors_get(file, name, DTYPE_I8, shape, 1, &problem);
  if (!slot) {
    damaged(reader, "%s", problem->message);
    return;
  }
  for (int i = 0; i < track->count; i++)
    if (slot[i] < -1 || slot[i] >= TRACK_MAX_PEOPLE)
      damaged(reader, "%s holds a number that cannot be", name);
  track->slot = g_memdup2(slot, (gsize)track->count);
}

static void read_poses(Reader *reader, const Safetensors *file, Track *track) {
  int n = track->count, id = track->id;
  const float *image = read_part(reader, file, id, "image", n, POSE_LANDMARKS, 4);
  const float *world = read_part(reader, file, id, "world", n, POSE_LANDMARKS, 4);
  const float *score = read_part(reader, file, id, "score", n, 1, 1),
              *box = read_part(reader, file, id, "box", n, 4, 1);
  const float *region = read_part(reader, file, id, "region", n, 5, 1);
  read_slots(reader, file, track);
  if (reader->error)
    return;
  track->poses = g_new0(Pose, n);
  for (int i = 0; i < n; i++) {
    Pose *pose = &track->poses[i];
    pose->score = score[i];
    memcpy(pose->image, image + (gsize)i * POSE_LANDMARKS * 4, sizeof pose->image);
    memcpy(pose->world, world + (gsize)i * POSE_LANDMARKS * 4, sizeof pose->world);
    memcpy(pose->box, box + (gsize)i * 4, sizeof pose->box);
    const float *r = region + (gsize)i * 5;
    pose->region = (Region){r[0], r[1], r[2], r[3], r[4]};
  }
}

static void read_people(Reader *reader, const json_t *people, const Safetensors *file, Tracks *tracks) {
  gsize n = json_array_size(people);
  if (!json_is_array(people) || !n || n > PEOPLE_MAX)
    damaged(reader, "there is nobody in it");
  for (gsize i = 0; i < n && !reader->error; i++) {
    const json_t *person = json_array_get(people, i);
    Track *track = g_new0(Track, 1);
    g_ptr_array_add(tracks->tracks, track);
    track->id = read_int(reader, person, "id", (gint64)i + 1, G_MAXINT);
    track->first = read_int(reader, person, "first", 0, tracks->frames - 1);
    track->count = read_int(reader, person, "count", 1, tracks->frames - track->first);
    if (!reader->error)
      read_poses(reader, file, track);
  }
}

static void read_cuts(Reader *reader, const json_t *cuts, Tracks *tracks) {
  int last = -1;
  for (gsize i = 0; i < json_array_size(cuts) && !reader->error; i++) {
    json_int_t cut = json_integer_value(json_array_get(cuts, i));
    if (cut <= last || cut >= tracks->frames || (i == 0 && cut != 0))
      damaged(reader, "the cuts are out of order");
    last = (int)CLAMP(cut, 0, FRAMES_MAX);
    g_array_append_val(tracks->cuts, last);
  }
  if (!tracks->cuts->len)
    damaged(reader, "cuts in %s are missing", SCENE_JSON);
}

static void read_times(Reader *reader, const Safetensors *file, Tracks *tracks) {
  gint64 shape[1] = {tracks->frames};
  g_autoptr(GError) problem = NULL;
  const double *time = safetensors_get(file, "time", DTYPE_F64, shape, 1, &problem);
  if (!time) {
    damaged(reader, "%s", problem->message);
    return;
  }
  for (int i = 0; i < tracks->frames; i++)
    if (!(fabs(time[i]) < 1e6) || (i && !(time[i] > time[i - 1])))
      damaged(reader, "the times of its frames do not rise");
  tracks->time_s = g_memdup2(time, (gsize)tracks->frames * sizeof *time);
}

/* A homography that can be turned around and keeps the frame's corners finite. */
static gboolean usable(const float h[9], const VideoInfo *info) {
  float inverse[9];
  if (!homography_invert(h, inverse))
    return FALSE;
  PlateExtent extent = plate_extent_of(h, info->width, info->height);
  return extent.x1 - extent.x0 < 64 * VIDEO_MAX_SIDE && extent.y1 - extent.y0 < 64 * VIDEO_MAX_SIDE;
}

static void read_homographies(Reader *reader, const Safetensors *file, Plate *plate, guint index,
                              const VideoInfo *info) {
  g_autofree char *name = g_strdup_printf("plate.%u.homography", index);
  const float *data = plate->still ? NULL : read_floats(reader, file, name, plate->count, 3, 3);
  if (reader->error)
    return;
  plate->homography = g_malloc0_n((gsize)plate->count, sizeof *plate->homography);
  for (int i = 0; i < plate->count; i++) {
    const float identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    memcpy(plate->homography[i], plate->still ? identity : data + (gsize)i * 9, sizeof identity);
    if (!usable(plate->homography[i], info))
      damaged(reader, "%s holds a motion that cannot be", name);
  }
}

/* Of a plate's run of count frames. */
static Front *read_front(Reader *reader, const json_t *json, int count, const VideoInfo *info) {
  const json_t *begin = json_object_get(json, "begin");
  Front *front = g_new0(Front, 1);
  front->x = read_int(reader, json, "x", 0, info->width - 2);
  front->y = read_int(reader, json, "y", 0, info->height - 2);
  front->width = read_int(reader, json, "width", 2, info->width - front->x);
  front->height = read_int(reader, json, "height", 2, info->height - front->y);
  if ((front->x | front->y | front->width | front->height) & 1 || json_array_size(begin) < 2 ||
      json_array_size(begin) > FRONT_SPANS_MAX + 1)
    damaged(reader, "what stands in front of its people has no sense");
  if (reader->error)
    return front;
  front->spans = (int)json_array_size(begin) - 1;
  front->begin = g_new0(int, front->spans + 1);
  for (int i = 0; i <= front->spans; i++) {
    json_int_t frame = json_integer_value(json_array_get(begin, (gsize)i));
    if (frame < 0 || frame > count || (i == 0 && frame != 0) || (i > 0 && frame <= front->begin[i - 1]) ||
        (i == front->spans && frame != count))
      damaged(reader, "what stands in front of its people has no order");
    front->begin[i] = (int)CLAMP(frame, 0, count);
  }
  return front;
}

static void read_plates(Reader *reader, const json_t *plates, const Safetensors *file, Scene *scene) {
  int next = 0;
  for (gsize i = 0; i < json_array_size(plates) && !reader->error; i++) {
    const json_t *item = json_array_get(plates, i);
    Plate *plate = g_new0(Plate, 1);
    g_ptr_array_add(scene->plates, plate);
    plate->first = read_int(reader, item, "first", next, next);
    plate->count = read_int(reader, item, "count", 1, scene->tracks->frames - plate->first);
    plate->still = read_bool(reader, item, "still");
    plate->width = read_int(reader, item, "width", 2, (gint64)(PLATE_EXTENT_MAX * VIDEO_MAX_SIDE));
    plate->height = read_int(reader, item, "height", 2, (gint64)(PLATE_EXTENT_MAX * VIDEO_MAX_SIDE));
    plate->x0 = (float)read_number(reader, item, "x0", -COORDINATE_MAX, COORDINATE_MAX);
    plate->y0 = (float)read_number(reader, item, "y0", -COORDINATE_MAX, COORDINATE_MAX);
    if (plate->still && (plate->width != scene->info.width || plate->height != scene->info.height))
      damaged(reader, "a background has another size than the video");
    const json_t *front = json_object_get(item, "front");
    if (front && plate->still && !reader->error)
      plate->front = read_front(reader, front, plate->count, &scene->info);
    if (!reader->error)
      read_homographies(reader, file, plate, (guint)i, &scene->info);
    next = plate->first + plate->count;
  }
  if (next != scene->tracks->frames)
    damaged(reader, "its backgrounds do not cover all frames");
}

static void read_masks(Reader *reader, const json_t *masks, Tracks *tracks) {
  tracks->mask_width = read_int(reader, masks, "width", 1, VIDEO_MAX_SIDE);
  tracks->mask_height = read_int(reader, masks, "height", 1, VIDEO_MAX_SIDE);
}

static void find_source(Reader *reader, const json_t *json, Scene *scene) {
  const char *name = read_string(reader, json, "source");
  if (strchr(name, '/') || g_str_has_prefix(name, ".")) {
    damaged(reader, "its source has a path instead of a name");
    return;
  }
  scene->source = g_build_filename(scene->folder, name, NULL);
  const char *needed[] = {name, SCENE_MASKS};
  for (gsize i = 0; i < G_N_ELEMENTS(needed); i++) {
    g_autofree char *path = g_build_filename(scene->folder, needed[i], NULL);
    if (!g_file_test(path, G_FILE_TEST_IS_REGULAR))
      damaged(reader, "%s is missing", needed[i]);
  }
}

static void track_free(Track *track) {
  g_free(track->slot);
  g_free(track->poses);
  g_free(track);
}

static Tracks *tracks_new(int width, int height, int frames) {
  Tracks *tracks = g_new0(Tracks, 1);
  tracks->width = width;
  tracks->height = height;
  tracks->frames = frames;
  tracks->cuts = g_array_new(FALSE, FALSE, sizeof(int));
  tracks->tracks = g_ptr_array_new_with_free_func((GDestroyNotify)track_free);
  return tracks;
}

static void read_scene(Reader *reader, const json_t *json, const Safetensors *file, Scene *scene) {
  if (g_strcmp0(json_string_value(json_object_get(json, "format")), "troupe scene") != 0)
    damaged(reader, "%s describes something else", SCENE_JSON);
  if (json_integer_value(json_object_get(json, "version")) != 1)
    damaged(reader, "%s has a version that this program does not know", SCENE_JSON);
  scene->model = g_strdup(read_string(reader, json, "model"));
  scene->info = read_video(reader, json_object_get(json, "video"));
  find_source(reader, json, scene);
  if (reader->error)
    return;
  scene->tracks = tracks_new(scene->info.width, scene->info.height, (int)scene->info.frames);
  read_masks(reader, json_object_get(json, "masks"), scene->tracks);
  read_cuts(reader, json_object_get(json, "cuts"), scene->tracks);
  read_times(reader, file, scene->tracks);
  read_people(reader, json_object_get(json, "people"), file, scene->tracks);
  read_plates(reader, json_object_get(json, "plates"), file, scene);
}

Scene *scene_load(const char *folder, GError **error) {
  g_autofree char *path = g_build_filename(folder, SCENE_JSON, NULL),
                  *tensors = g_build_filename(folder, SCENE_TRACKS, NULL);
  if (!g_file_test(path, G_FILE_TEST_IS_REGULAR))
    return fault_null(error, FAULT_INPUT,
                      "%s is not a Scene: it has no %s. Make one with: troupe scene VIDEO -o FOLDER.", folder,
                      SCENE_JSON);
  Reader reader = {folder, NULL};
  g_autoptr(Scene) scene = g_new0(Scene, 1);
  scene->folder = g_strdup(folder);
  scene->plates = g_ptr_array_new_with_free_func((GDestroyNotify)plate_free);
  json_error_t problem;
  json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
  if (!json)
    damaged(&reader, "%s, line %d: %s", SCENE_JSON, problem.line, problem.text);
  g_autoptr(GError) trouble = NULL;
  g_autoptr(Safetensors) file = json ? safetensors_open(tensors, &trouble) : NULL;
  if (json && !file)
    damaged(&reader, "%s", trouble->message);
  if (file)
    read_scene(&reader, json, file, scene);
  json_decref(json);
  if (!reader.error)
    return g_steal_pointer(&scene);
  g_propagate_error(error, reader.error);
  return NULL;
}
