/* A Scene's folder: what is written is read, what is damaged is refused, what fails leaves nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "base/files.h"
#include "clip.h"
#include "media/grey_video.h"
#include "media/picture.h"
#include "stage/plate.h"
#include "stage/scene_file.h"
#include <glib/gstdio.h>
#include <jansson.h>

enum { W = 64, H = 96, MASK_W = 32, MASK_H = 48, FRAMES = 10 };

static char *new_folder(void) {
  char *folder = g_dir_make_tmp("scene-XXXXXX", NULL);
  assert_non_null(folder);
  return folder;
}

static Track *make_track(int id, int first, int count, gint8 slot) {
  Track *track = g_new0(Track, 1);
  *track = (Track){id, first, count, g_new(gint8, count), g_new0(Pose, count)};
  for (int i = 0; i < count; i++) {
    Pose *pose = &track->poses[i];
    track->slot[i] = i == 2 ? -1 : slot;
    pose->score = 0.9f;
    pose->box[2] = (float)(10 * id + i);
    pose->region = (Region){1, 2, 3, 4, 0.5f};
    for (int k = 0; k < POSE_LANDMARKS; k++) {
      pose->image[k] = (Landmark){(float)k, (float)i, (float)id, 0.5f};
      pose->world[k] = (Landmark){0.01f * (float)k, -0.1f * (float)i, 0.25f, 1};
    }
  }
  return track;
}

static Plate *make_plate(int first, int count, gboolean still) {
  Plate *plate = g_new0(Plate, 1);
  *plate = (Plate){.first = first, .count = count, .still = still, .width = still ? W : W + 20, .height = H};
  plate->x0 = still ? 0 : -7;
  plate->homography = g_malloc0_n((gsize)count, sizeof *plate->homography);
  for (int i = 0; i < count; i++)
    memcpy(plate->homography[i], (const float[9]){1, 0, still ? 0 : (float)i, 0, 1, 0, 0, 0, 1},
           sizeof(float[9]));
  return plate;
}

static void track_free(gpointer data) {
  Track *track = data;
  g_free(track->slot);
  g_free(track->poses);
  g_free(track);
}

static Scene *make_scene(void) {
  Scene *scene = g_new0(Scene, 1);
  scene->model = g_strdup("V3_Preview");
  scene->info = clip_info(W, H);
  scene->info.frames = FRAMES;
  scene->tracks = g_new0(Tracks, 1);
  *scene->tracks = (Tracks){W,
                            H,
                            FRAMES,
                            g_new(double, FRAMES),
                            MASK_W,
                            MASK_H,
                            g_array_new(FALSE, FALSE, sizeof(int)),
                            g_ptr_array_new_with_free_func(track_free)};
  for (int i = 0; i < FRAMES; i++)
    scene->tracks->time_s[i] = i / 25.0;
  const int cuts[] = {0, 6};
  g_array_append_vals(scene->tracks->cuts, cuts, 2);
  g_ptr_array_add(scene->tracks->tracks, make_track(1, 0, FRAMES, 0));
  g_ptr_array_add(scene->tracks->tracks, make_track(2, 3, 5, 1));
  scene->plates = g_ptr_array_new_with_free_func((GDestroyNotify)plate_free);
  g_ptr_array_add(scene->plates, make_plate(0, 6, TRUE));
  g_ptr_array_add(scene->plates, make_plate(6, 4, FALSE));
  return scene;
}

/* Person 1 on the left in frames without 2, person 2 on the right in frames 3, 4, 6, 7. */
static void write_masks(const char *folder) {
  g_autofree char *path = g_build_filename(folder, SCENE_MASKS, NULL);
  g_autoptr(GreyVideoOut) out = grey_video_out_open(path, MASK_W, MASK_H, 2, NULL);
  assert_non_null(out);
  for (int i = 0; i < FRAMES; i++)
    for (int slot = 0; slot < 2; slot++) {
      if ((slot == 0 && i == 2) || (slot == 1 && (i < 3 || i > 7 || i == 5)))
        continue;
      g_autoptr(Image) mask = image_new(MASK_W, MASK_H, 1);
      for (int y = 0; y < MASK_H; y++)
        memset(image_at(mask, slot * MASK_W / 2, y), 100 + i, MASK_W / 2);
      assert_true(grey_video_out_write(out, slot, i, mask, NULL));
    }
  assert_true(grey_video_out_finish(out, NULL));
}

static char *write_scene(void) {
  char *folder = new_folder();
  Scene *scene = make_scene();
  assert_true(scene_save(scene, folder, "source.mp4", NULL));
  g_autofree char *source = g_build_filename(folder, "source.mp4", NULL);
  assert_true(g_file_set_contents(source, "video", 5, NULL));
  for (int i = 0; i < 2; i++) {
    const Plate *plate = scene->plates->pdata[i];
    g_autoptr(Image) picture = image_new(plate->width, plate->height, 3),
                     known = image_new(plate->width, plate->height, 1);
    memset(picture->pixels, 50 + i, (gsize)plate->width * (gsize)plate->height * 3);
    known->pixels[5] = 255;
    g_autofree char *name = scene_plate_name(i, plate->width, plate->height),
                    *known_name = scene_known_name(i);
    g_autofree char *path = g_build_filename(folder, name, NULL),
                    *known_path = g_build_filename(folder, known_name, NULL);
    assert_true(picture_save(picture, path, NULL) && picture_save(known, known_path, NULL));
  }
  write_masks(folder);
  scene_free(scene);
  return folder;
}

static void reads_what_was_written(void **state) {
  g_autofree char *folder = write_scene();
  GError *error = NULL;
  g_autoptr(Scene) scene = scene_load(folder, &error);
  if (!scene)
    fail_msg("%s", error->message);
  Scene *truth = make_scene();
  assert_string_equal(scene->model, "V3_Preview");
  assert_memory_equal(&scene->info, &truth->info, sizeof truth->info);
  assert_int_equal(scene->tracks->frames, FRAMES);
  assert_int_equal(scene->tracks->mask_width, MASK_W);
  assert_memory_equal(scene->tracks->time_s, truth->tracks->time_s, FRAMES * sizeof(double));
  assert_int_equal(scene->tracks->cuts->len, 2);
  assert_int_equal(scene->tracks->tracks->len, 2);
  for (guint i = 0; i < 2; i++) {
    const Track *a = scene->tracks->tracks->pdata[i], *b = truth->tracks->tracks->pdata[i];
    assert_true(a->id == b->id && a->first == b->first && a->count == b->count);
    assert_memory_equal(a->slot, b->slot, (gsize)b->count);
    assert_memory_equal(a->poses, b->poses, (gsize)b->count * sizeof(Pose));
    const Plate *p = scene->plates->pdata[i], *q = truth->plates->pdata[i];
    assert_true(p->first == q->first && p->count == q->count && p->still == q->still && p->x0 == q->x0);
    assert_memory_equal(p->homography, q->homography, (gsize)q->count * sizeof *q->homography);
  }
  for (int frame = 0; frame < FRAMES; frame++) {
    const Plate *plate = scene_plate(scene, frame, &error);
    assert_non_null(plate);
    assert_int_equal(plate->picture->pixels[0], frame < 6 ? 50 : 51);
    assert_int_equal(plate->known->pixels[5], 255);
    assert_int_equal(plate->known->pixels[6], 0);
  }
  scene_free(truth);
  files_remove_tree(folder);
}

static void tells_masks_apart(void **state) {
  g_autofree char *folder = write_scene();
  g_autoptr(Scene) scene = scene_load(folder, NULL);
  g_autoptr(SceneMasks) masks = scene_masks_open(scene, 0, NULL);
  assert_non_null(masks);
  for (int frame = 0; frame < FRAMES; frame++) {
    if (frame == 1)
      continue; /* frames may be passed over */
    for (guint person = 0; person < 2; person++) {
      g_autoptr(Image) mask = NULL, others = NULL;
      assert_true(scene_masks_at(masks, frame, person, &mask, &others, NULL));
      gboolean one = frame != 2, two = frame >= 3 && frame <= 7 && frame != 5;
      assert_true((mask != NULL) == (person ? two : one));
      assert_true((others != NULL) == (person ? one : two));
      if (mask)
        assert_int_equal(mask->pixels[person ? MASK_W - 1 : 0], 100 + frame);
      if (others)
        assert_int_equal(others->pixels[person ? MASK_W - 1 : 0], 0);
    }
    g_autoptr(Image) both = NULL;
    assert_true(scene_masks_union(masks, frame, (const gboolean[]){TRUE, TRUE}, &both, NULL));
    if (frame == 4)
      assert_true(both->pixels[0] == 104 && both->pixels[MASK_W - 1] == 104);
  }
  files_remove_tree(folder);
}

static void asks_for_the_right_model(void **state) {
  Scene *scene = make_scene();
  g_autoptr(GError) error = NULL;
  assert_true(scene_check_model(scene, "V3_Preview", NULL));
  assert_false(scene_check_model(scene, "V4_Preview", &error));
  assert_string_equal(error->message,
                      "This Scene was prepared for V3_Preview; prepare it again with --model V4_Preview.");
  scene_free(scene);
}

static void refuse(const char *folder, const char *what) {
  g_autoptr(GError) error = NULL;
  Scene *scene = scene_load(folder, &error);
  if (scene)
    fail_msg("accepted with %s", what);
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
}

/* Writes scene.json with one value, at a path like plates/0/count, replaced (or removed where value is NULL).
 */
static void damage(const char *folder, const char *where, json_t *value) {
  g_autofree char *path = g_build_filename(folder, SCENE_JSON, NULL), *before = NULL;
  gsize length;
  assert_true(g_file_get_contents(path, &before, &length, NULL));
  json_t *root = json_loads(before, 0, NULL), *at = root;
  g_auto(GStrv) steps = g_strsplit(where, "/", -1);
  for (int i = 0; steps[i]; i++) {
    gboolean last = !steps[i + 1];
    if (json_is_array(at) && last)
      json_array_set(at, (gsize)atoi(steps[i]), value);
    else if (json_is_array(at))
      at = json_array_get(at, (gsize)atoi(steps[i]));
    else if (last && value)
      json_object_set(at, steps[i], value);
    else if (last)
      json_object_del(at, steps[i]);
    else
      at = json_object_get(at, steps[i]);
  }
  assert_int_equal(json_dump_file(root, path, 0), 0);
  refuse(folder, where);
  assert_true(g_file_set_contents(path, before, (gssize)length, NULL));
  json_decref(root);
  json_decref(value);
}

static void refuses_damaged_numbers(void **state) {
  g_autofree char *folder = write_scene();
  damage(folder, "format", json_string("something else"));
  damage(folder, "version", json_integer(2));
  damage(folder, "model", NULL);
  damage(folder, "source", json_string("../../etc/passwd"));
  damage(folder, "source", json_string("absent.mp4"));
  damage(folder, "video/width", json_integer(-64));
  damage(folder, "video/width", json_integer(65));
  damage(folder, "video/width", json_integer(1 << 30));
  damage(folder, "video/height", json_string("96"));
  damage(folder, "video/frames", json_integer(0));
  damage(folder, "video/frames", json_integer(11));
  damage(folder, "video/frames", json_integer(G_MAXINT64));
  damage(folder, "video/time_base/1", json_integer(0));
  damage(folder, "video/frame_rate", json_array());
  damage(folder, "video/seconds", NULL);
  damage(folder, "masks/width", json_integer(0));
  damage(folder, "cuts/0", json_integer(1));
  damage(folder, "cuts/1", json_integer(0));
  damage(folder, "cuts/1", json_integer(10));
  damage(folder, "cuts", json_array());
  damage(folder, "people", json_array());
  damage(folder, "people/0/id", json_integer(7));
  damage(folder, "people/1/first", json_integer(6));
  damage(folder, "people/1/count", json_integer(4));
  damage(folder, "people/1/count", json_integer(G_MAXINT));
  damage(folder, "plates", json_array());
  damage(folder, "plates/0/count", json_integer(5));
  damage(folder, "plates/1/first", json_integer(5));
  damage(folder, "plates/1/count", json_integer(5));
  damage(folder, "plates/0/still", json_false());
  damage(folder, "plates/0/width", json_integer(66));
  damage(folder, "plates/1/width", json_integer(1 << 20));
  damage(folder, "plates/1/x0", json_real(1e30));
  g_autoptr(Scene) scene = scene_load(folder, NULL);
  assert_non_null(scene); /* undamaged again */
  files_remove_tree(folder);
}

static void refuses_damaged_files(void **state) {
  const char *needed[] = {SCENE_JSON, SCENE_TRACKS, SCENE_MASKS, "source.mp4"};
  for (gsize i = 0; i < G_N_ELEMENTS(needed); i++) {
    g_autofree char *folder = write_scene(), *path = g_build_filename(folder, needed[i], NULL);
    g_unlink(path);
    refuse(folder, needed[i]);
    files_remove_tree(folder);
  }
  g_autofree char *folder = write_scene(), *tracks = g_build_filename(folder, SCENE_TRACKS, NULL),
                  *data = NULL;
  gsize length;
  assert_true(g_file_get_contents(tracks, &data, &length, NULL));
  for (gsize size = 0; size < length; size += length / 7) {
    assert_true(g_file_set_contents(tracks, data, (gssize)size, NULL));
    refuse(folder, "a truncated tensor file");
  }
  files_remove_tree(folder);
  refuse("/nonexistent", "no folder");
}

static void refuses_damaged_pictures(void **state) {
  g_autofree char *folder = write_scene();
  g_autofree char *plate = g_build_filename(folder, "plate-0.png", NULL),
                  *masks = g_build_filename(folder, SCENE_MASKS, NULL);
  g_autoptr(Image) small = image_new(W - 2, H, 3);
  assert_true(picture_save(small, plate, NULL));
  assert_true(g_file_set_contents(masks, "no video", -1, NULL));
  g_autoptr(Scene) scene = scene_load(folder, NULL);
  assert_non_null(scene);
  g_autoptr(GError) error = NULL, second = NULL;
  assert_null(scene_plate(scene, 0, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
  assert_null(scene_masks_open(scene, 0, &second));
  assert_true(g_error_matches(second, FAULT, FAULT_INPUT));
  files_remove_tree(folder);
}

/* --- the whole way, where there are networks and a video --- */

static char *shared_video(void) {
  const char *shared = g_getenv("TROUPE_SHARED");
  char *video = g_build_filename(shared ? shared : "../shared", "media", "dance.mp4", NULL);
  if (!g_file_test(video, G_FILE_TEST_EXISTS)) {
    print_message("skipped: ../shared is absent\n");
    g_free(video);
    skip();
  }
  return video;
}

/* The first frames of the video, small. */
static char *shorten(const char *video, const char *folder, int frames) {
  char *path = g_build_filename(folder, "short.mp4", NULL);
  g_autoptr(VideoIn) in = video_in_open(video, NULL);
  assert_non_null(in);
  g_autoptr(VideoOut) out = video_out_open(path, video_in_info(in), NULL, (VideoQuality){0}, NULL);
  assert_non_null(out);
  for (int i = 0; i < frames; i++) {
    AVFrame *frame = video_in_next(in, NULL);
    assert_non_null(frame);
    assert_true(video_out_write(out, frame, NULL));
    av_frame_free(&frame);
  }
  assert_true(video_out_finish(out, NULL));
  return path;
}

static int count_entries(const char *folder) {
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  int count = 0;
  while (g_dir_read_name(dir))
    count++;
  return count;
}

static void prepares_a_video(void **state) {
  g_autofree char *video = shared_video(), *work = new_folder(), *clip = shorten(video, work, 20);
  g_autofree char *folder = g_build_filename(work, "scene", NULL);
  const SceneOptions options = {.model = "V4_Preview", .network = POSE_FULL};
  GError *error = NULL;
  g_autoptr(Scene) scene = scene_prepare(clip, folder, &options, NULL, &error);
  if (!scene)
    fail_msg("%s", error->message);
  assert_int_equal(scene->tracks->frames, 20);
  assert_int_equal(scene->tracks->tracks->len, 1);
  assert_int_equal(scene->plates->len, 1);
  assert_true(((Plate *)scene->plates->pdata[0])->still);
  assert_non_null(scene_plate(scene, 0, NULL));
  assert_int_equal(count_entries(work), 2);
  /* nothing is left of what was cancelled */
  g_autofree char *second = g_build_filename(work, "second", NULL);
  g_autoptr(Progress) progress = progress_new(NULL, NULL);
  g_autoptr(GError) cancelled = NULL;
  progress_cancel(progress);
  assert_null(scene_prepare(clip, second, &options, progress, &cancelled));
  assert_true(g_error_matches(cancelled, FAULT, FAULT_CANCELLED));
  assert_int_equal(count_entries(work), 2);
  files_remove_tree(work);
}

static void leaves_nothing_of_a_bad_video(void **state) {
  g_autofree char *work = new_folder(), *folder = g_build_filename(work, "scene", NULL),
                  *video = g_build_filename(work, "bad.mp4", NULL);
  assert_true(g_file_set_contents(video, "this is no video", -1, NULL));
  const SceneOptions options = {.model = "V4_Preview", .network = POSE_FULL};
  g_autoptr(GError) error = NULL;
  assert_null(scene_prepare(video, folder, &options, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INPUT));
  assert_int_equal(count_entries(work), 1);
  files_remove_tree(work);
}

int main(int argc, char **argv) {
  picture_init(argv[0], NULL);
  video_init();
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_what_was_written),   cmocka_unit_test(tells_masks_apart),
      cmocka_unit_test(asks_for_the_right_model), cmocka_unit_test(refuses_damaged_numbers),
      cmocka_unit_test(refuses_damaged_files),    cmocka_unit_test(refuses_damaged_pictures),
      cmocka_unit_test(prepares_a_video),         cmocka_unit_test(leaves_nothing_of_a_bad_video),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
