/* The landmark network sees a square crop and answers with 39 points (33 landmarks, two anchors, four
 * unused), a flag, a mask, heat maps that refine the points, and the landmarks once more in metres. */
#include "perception/body.h"
#include "nn/graph.h"
#include "nn/models.h"
#include "perception/estimator.h"
#include <math.h>
#include <string.h>

#define CROP 256
#define POINTS 39
#define POINT_VALUES 5 /* x, y, z, visibility, presence */
#define HEAT 64
#define HEAT_REACH 3
#define HEAT_MIN 0.5f
#define REGION_SCALE 1.25f
#define SAME_BODY 0.08f /* of its size: a limb may differ, the whole may not */

enum { OUT_POINTS, OUT_FLAG, OUT_MASK, OUT_HEAT, OUT_WORLD };

static float sigmoid(float v) {
  return 1 / (1 + expf(-v));
}

PoseEstimator *pose_estimator_new(PoseNetwork network, const char *models, GError **error) {
  static const Network networks[] = {
      [POSE_LITE] = NETWORK_POSE_LITE, [POSE_FULL] = NETWORK_POSE_FULL, [POSE_HEAVY] = NETWORK_POSE_HEAVY};
  static const gsize outputs[] = {POINTS * POINT_VALUES, 1, CROP * CROP, HEAT * HEAT * POINTS, POINTS * 3};
  g_autoptr(PoseEstimator) estimator = g_new0(PoseEstimator, 1);
  if (!(estimator->detector = detector_new(DETECTOR_PERSON, models, error)))
    return NULL;
  g_autoptr(GBytes) bytes = network_load(networks[network], models, error);
  g_autoptr(Tflite) model = bytes ? tflite_parse(bytes, error) : NULL;
  if (!model || !(estimator->landmarks = graph_new(model, NULL, 0, NULL, 0, error)))
    return NULL;
  gboolean good = graph_input_size(estimator->landmarks, 0) == 3 * CROP * CROP;
  for (gsize i = 0; i < G_N_ELEMENTS(outputs); i++)
    good = good && graph_output_size(estimator->landmarks, (int)i) == outputs[i];
  if (!good)
    return fault_null(error, FAULT_NETWORK, "The network %s has another form than expected.",
                      network_name(networks[network]));
  return g_steal_pointer(&estimator);
}

void pose_estimator_free(PoseEstimator *estimator) {
  if (!estimator)
    return;
  detector_free(estimator->detector);
  graph_free(estimator->landmarks);
  g_free(estimator);
}

gboolean body_detect(PoseEstimator *estimator, const Image *rgb, const Region *where, float threshold,
                     float faint, GArray **detections, GError **error) {
  return detector_find(estimator->detector, rgb, where, threshold, faint, detections, error);
}

Region body_region_from_detection(const Detection *d) {
  return region_grow(region_from_line(d->keypoint[0], d->keypoint[1], (float)G_PI / 2), REGION_SCALE, 0);
}

Region body_region_from_anchors(const float anchor[2][2]) {
  return region_grow(region_from_line(anchor[0], anchor[1], (float)G_PI / 2), REGION_SCALE, 0);
}

/* Moves (x, y), 0..1 of the crop, to the centre of mass of the heat around it where that is hot enough. */
static void refine(const float *heat, int point, float *x, float *y) {
  float fx = *x * HEAT, fy = *y * HEAT;
  if (!(fx > -1 && fx < HEAT && fy > -1 && fy < HEAT))
    return;
  int column = (int)fx, row = (int)fy;
  float sum = 0, sum_x = 0, sum_y = 0, top = 0;
  for (int r = MAX(row - HEAT_REACH, 0); r <= MIN(row + HEAT_REACH, HEAT - 1); r++)
    for (int c = MAX(column - HEAT_REACH, 0); c <= MIN(column + HEAT_REACH, HEAT - 1); c++) {
      float p = sigmoid(heat[(r * HEAT + c) * POINTS + point]);
      sum += p;
      sum_x += p * (float)c;
      sum_y += p * (float)r;
      top = MAX(top, p);
    }
  if (top < HEAT_MIN)
    return;
  *x = sum_x / sum / HEAT;
  *y = sum_y / sum / HEAT;
}

static void read_points(const Graph *graph, const Region *region, BodyReading *reading) {
  const float *points = graph_output(graph, OUT_POINTS), *heat = graph_output(graph, OUT_HEAT);
  const float *world = graph_output(graph, OUT_WORLD);
  float c = cosf(region->rotation), s = sinf(region->rotation);
  for (int i = 0; i < POSE_LANDMARKS + 2; i++) {
    const float *p = points + i * POINT_VALUES, *w = world + 3 * i;
    float u = p[0] / CROP, v = p[1] / CROP, x, y;
    refine(heat, i, &u, &v);
    region_to_picture(region, u, v, &x, &y);
    if (i >= POSE_LANDMARKS) {
      reading->anchor[i - POSE_LANDMARKS][0] = x;
      reading->anchor[i - POSE_LANDMARKS][1] = y;
      continue;
    }
    float visibility = sigmoid(p[3]);
    reading->pose.image[i] = (Landmark){x, y, p[2] / CROP * region->width, visibility};
    reading->pose.world[i] = (Landmark){w[0] * c - w[1] * s, w[0] * s + w[1] * c, w[2], visibility};
  }
}

/* Around the landmarks that are seen, or around all where hardly any is. */
static void find_box(Pose *pose, int width, int height) {
  float low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
  for (int pass = 0, seen = 0; pass < 2 && seen < 4; pass++)
    for (int i = 0; i < POSE_LANDMARKS; i++) {
      const Landmark *l = &pose->image[i];
      if (pass == 0 && l->visibility < 0.5f)
        continue;
      seen++;
      low[0] = MIN(low[0], l->x), high[0] = MAX(high[0], l->x);
      low[1] = MIN(low[1], l->y), high[1] = MAX(high[1], l->y);
    }
  pose->box[0] = CLAMP(low[0], 0, (float)width);
  pose->box[1] = CLAMP(low[1], 0, (float)height);
  pose->box[2] = CLAMP(high[0], 0, (float)width) - pose->box[0];
  pose->box[3] = CLAMP(high[1], 0, (float)height) - pose->box[1];
}

gboolean body_read(PoseEstimator *estimator, const Image *rgb, const Region *region, BodyReading *reading,
                   GError **error) {
  Graph *graph = estimator->landmarks;
  region_crop(rgb, region, CROP, 0, 1, BORDER_REPLICATE, graph_input(graph, 0));
  if (!graph_run(graph, error))
    return FALSE;
  reading->pose.score = graph_output(graph, OUT_FLAG)[0];
  reading->pose.region = *region;
  read_points(graph, region, reading);
  find_box(&reading->pose, rgb->width, rgb->height);
  memcpy(reading->mask, graph_output(graph, OUT_MASK), sizeof reading->mask);
  return TRUE;
}

/* Bilinear sample of the square mask at u, v in 0..1. */
static float mask_sample(const guint8 *mask, float u, float v) {
  float x = u * BODY_MASK_SIDE - 0.5f, y = v * BODY_MASK_SIDE - 0.5f;
  int ix = floor_int(x), iy = floor_int(y);
  float ax = x - (float)ix, ay = y - (float)iy;
  int x0 = MAX(ix, 0), x1 = MIN(ix + 1, BODY_MASK_SIDE - 1);
  int y0 = MAX(iy, 0), y1 = MIN(iy + 1, BODY_MASK_SIDE - 1);
  const guint8 *top = mask + y0 * BODY_MASK_SIDE, *bottom = mask + y1 * BODY_MASK_SIDE;
  float a = top[x0] + ax * (float)(top[x1] - top[x0]), b = bottom[x0] + ax * (float)(bottom[x1] - bottom[x0]);
  return a + ay * (b - a);
}

Image *body_mask(const BodyReading *reading, int width, int height, int mask_width, int mask_height) {
  return body_mask_over(reading->mask, &reading->pose.region, width, height, mask_width, mask_height);
}

Image *body_mask_over(const float *logits, const Region *r, int width, int height, int mask_width,
                      int mask_height) {
  Image *out = image_new(mask_width, mask_height, 1);
  g_autofree guint8 *mask = g_malloc(BODY_MASK_SIDE * BODY_MASK_SIDE);
  for (int i = 0; i < BODY_MASK_SIDE * BODY_MASK_SIDE; i++)
    mask[i] = (guint8)(255 * sigmoid(logits[i]) + 0.5f);
  float c = cosf(r->rotation), s = sinf(r->rotation);
  float step_x = (float)width / (float)mask_width, step_y = (float)height / (float)mask_height;
  /* Rows and columns that the turned square can reach. */
  float reach_x = 0.5f * (fabsf(c) * r->width + fabsf(s) * r->height);
  float reach_y = 0.5f * (fabsf(s) * r->width + fabsf(c) * r->height);
  int x0 = (int)CLAMP((r->cx - reach_x) / step_x - 1, 0, (float)mask_width);
  int x1 = (int)CLAMP((r->cx + reach_x) / step_x + 2, 0, (float)mask_width);
  int y0 = (int)CLAMP((r->cy - reach_y) / step_y - 1, 0, (float)mask_height);
  int y1 = (int)CLAMP((r->cy + reach_y) / step_y + 2, 0, (float)mask_height);
  float per_width = 1 / r->width, per_height = 1 / r->height;
  for (int j = y0; j < y1; j++) {
    guint8 *row = image_at(out, 0, j);
    float dy = ((float)j + 0.5f) * step_y - r->cy;
    for (int i = x0; i < x1; i++) {
      float dx = ((float)i + 0.5f) * step_x - r->cx;
      float u = (dx * c + dy * s) * per_width + 0.5f, v = (-dx * s + dy * c) * per_height + 0.5f;
      if (u >= 0 && u <= 1 && v >= 0 && v <= 1)
        row[i] = (guint8)(mask_sample(mask, u, v) + 0.5f);
    }
  }
  return out;
}

float body_distance(const Pose *a, const Pose *b, float dx, float dy) {
  float size = 0.5f * (hypotf(a->box[2], a->box[3]) + hypotf(b->box[2], b->box[3])), sum = 0, weight = 0;
  for (int i = POSE_LEFT_SHOULDER; i <= POSE_RIGHT_ANKLE; i++) {
    if (i >= POSE_LEFT_PINKY && i <= POSE_RIGHT_THUMB)
      continue;
    float w = MIN(a->image[i].visibility, b->image[i].visibility) + 0.05f;
    sum += w * hypotf(a->image[i].x + dx - b->image[i].x, a->image[i].y + dy - b->image[i].y);
    weight += w;
  }
  return sum / weight / MAX(size, 1);
}

gboolean body_is_same(const Pose *a, const Pose *b) {
  return body_distance(a, b, 0, 0) < SAME_BODY;
}
