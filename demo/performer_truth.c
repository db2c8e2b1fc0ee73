/* Frames are added as they are rendered; only counts and JSON stay in memory. */
#include "performer_truth.h"
#include "media/picture.h"
#include "performer_threads.h"
#include <jansson.h>
#include <math.h>

struct Truth {
  char *folder;
  const Pan *pan;
  int people;
  json_t *person[FLESH_MAX_PEOPLE], *homographies;
  Image *visible, *lit;
};

Truth *truth_new(const char *folder, const Pan *pan, int people, GError **error) {
  g_autofree char *masks = g_build_filename(folder, "masks", NULL);
  if (g_mkdir_with_parents(masks, 0777) != 0)
    return fault_null(error, FAULT_OUTPUT, "%s cannot be made: %s.", masks, g_strerror(errno));
  Truth *truth = g_new0(Truth, 1);
  truth->folder = g_strdup(folder);
  truth->pan = pan;
  truth->people = people;
  for (int i = 0; i < people; i++)
    truth->person[i] = json_array();
  truth->homographies = json_array();
  truth->visible = image_new(pan->canvas->width, pan->canvas->height, 1);
  truth->lit = image_new(pan->canvas->width, pan->canvas->height, 1);
  return truth;
}

void truth_free(Truth *truth) {
  if (truth == NULL)
    return;
  for (int i = 0; i < truth->people; i++)
    json_decref(truth->person[i]);
  json_decref(truth->homographies);
  image_free(truth->visible);
  image_free(truth->lit);
  g_free(truth->folder);
  g_free(truth);
}

static json_t *numbers(const float *v, int n) {
  json_t *array = json_array();
  for (int i = 0; i < n; i++)
    json_array_append_new(array, json_real(v[i]));
  return array;
}

static json_t *person_frame(const Flesh *flesh, int person, const Camera *camera, const Image *mask) {
  vec3s points[POSE_LANDMARKS];
  float radius[POSE_LANDMARKS];
  body_landmarks(&flesh->body[person], points, radius);
  vec3s hips = glms_vec3_scale(glms_vec3_add(points[POSE_LEFT_HIP], points[POSE_RIGHT_HIP]), 0.5f);
  float x, y, hip_depth, depth;
  camera_project(camera, hips, &x, &y, &hip_depth);
  json_t *image = json_array(), *world = json_array();
  for (int i = 0; i < POSE_LANDMARKS; i++) {
    camera_project(camera, points[i], &x, &y, &depth);
    float seen = stage_sees(flesh, camera, points[i], radius[i]) ? 1 : 0;
    float pixel[4] = {x, y, (depth - hip_depth) * camera->focal / hip_depth, seen};
    json_array_append_new(image, numbers(pixel, 4));
    vec3s metre = glms_mat3_mulv(camera->turn, glms_vec3_sub(points[i], hips));
    json_array_append_new(world, numbers(metre.raw, 3));
  }
  int x0 = mask->width, y0 = mask->height, x1 = 0, y1 = 0;
  for (int v = 0; v < mask->height; v++)
    for (int u = 0; u < mask->width; u++)
      if (*image_at(mask, u, v) >= 128) {
        x0 = MIN(x0, u);
        y0 = MIN(y0, v);
        x1 = MAX(x1, u + 1);
        y1 = MAX(y1, v + 1);
      }
  float box[4] = {(float)x0, (float)y0, (float)MAX(x1 - x0, 0), (float)MAX(y1 - y0, 0)};
  return json_pack("{s:o, s:o, s:o}", "box", numbers(box, 4), "landmarks", image, "world", world);
}

typedef struct {
  Truth *truth;
  const Shot *shot;
  float inverse[9]; /* frame 0 to this frame */
} Count;

static void count_row(int y, gpointer user) {
  Count *count = user;
  Truth *truth = count->truth;
  const float *h = count->inverse;
  for (int x = 0; x < truth->visible->width; x++) {
    float u = (float)(x + truth->pan->x0) + 0.5f, v = (float)(y + truth->pan->y0) + 0.5f,
          w = h[6] * u + h[7] * v + h[8];
    int fx = (int)floorf((h[0] * u + h[1] * v + h[2]) / w),
        fy = (int)floorf((h[3] * u + h[4] * v + h[5]) / w);
    if (fx < 0 || fy < 0 || fx >= truth->pan->width || fy >= truth->pan->height)
      continue;
    for (int i = 0; i < truth->people; i++)
      if (*image_at(count->shot->mask[i], fx, fy) > 0)
        goto covered;
    guint8 *visible = image_at(truth->visible, x, y), *lit = image_at(truth->lit, x, y);
    *visible = (guint8)MIN(*visible + 1, 255);
    if (*image_at(count->shot->light, fx, fy) >= 250)
      *lit = (guint8)MIN(*lit + 1, 255);
  covered:;
  }
}

static void count_background(Truth *truth, const float homography[9], const Shot *shot) {
  mat3s m;
  for (int r = 0; r < 3; r++)
    for (int c = 0; c < 3; c++)
      m.col[c].raw[r] = homography[3 * r + c];
  m = glms_mat3_inv(m);
  Count count = {truth, shot, {0}};
  for (int r = 0; r < 3; r++)
    for (int c = 0; c < 3; c++)
      count.inverse[3 * r + c] = m.col[c].raw[r];
  threads_rows(truth->visible->height, count_row, &count);
}

gboolean truth_frame(Truth *truth, int frame, const Flesh *flesh, const Camera *camera, const Shot *shot,
                     GError **error) {
  float h[9];
  pan_homography(truth->pan, frame, h);
  json_array_append_new(truth->homographies, numbers(h, 9));
  count_background(truth, h, shot);
  for (int i = 0; i < truth->people; i++) {
    json_array_append_new(truth->person[i], person_frame(flesh, i, camera, shot->mask[i]));
    g_autofree char *path = g_strdup_printf("%s/masks/%d-%04d.png", truth->folder, i + 1, frame);
    if (!picture_save(shot->mask[i], path, error))
      return FALSE;
  }
  return TRUE;
}

static gboolean save(const Truth *truth, const Image *image, const char *name, GError **error) {
  g_autofree char *path = g_build_filename(truth->folder, name, NULL);
  return picture_save(image, path, error);
}

gboolean truth_finish(Truth *truth, GError **error) {
  json_t *people = json_array();
  for (int i = 0; i < truth->people; i++)
    json_array_append_new(people, json_pack("{s:i, s:O}", "id", i + 1, "frames", truth->person[i]));
  const Pan *pan = truth->pan;
  json_t *root = json_pack("{s:i, s:i, s:i, s:i, s:b, s:{s:s, s:i, s:i}, s:o, s:O}", "width", pan->width,
                           "height", pan->height, "frames", pan->frames, "frame_rate", 24, "moving",
                           (int)pan->moving, "background", "file", "background.png", "x", pan->x0, "y",
                           pan->y0, "people", people, "homographies", truth->homographies);
  g_autofree char *path = g_build_filename(truth->folder, "truth.json", NULL);
  int failed = json_dump_file(root, path, JSON_COMPACT | JSON_REAL_PRECISION(9));
  json_decref(root);
  if (failed)
    return fault(error, FAULT_OUTPUT, "%s cannot be written.", path);
  return save(truth, pan->canvas, "background.png", error) &&
         save(truth, truth->visible, "visible.png", error) && save(truth, truth->lit, "lit.png", error);
}
