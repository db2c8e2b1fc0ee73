/* The network answers for a fixed set of anchors: points on a few grids, several to a cell. Each answer is a
 * logit, a box and key points relative to the anchor, in pixels of the network's input. Boxes that overlap
 * are averaged by their scores rather than suppressed, which steadies the key points. */
#include "perception/detector.h"
#include "nn/graph.h"
#include "nn/models.h"
#include <math.h>

#define MERGE_IOU 0.3f
#define LOGIT_LIMIT 100.0f

typedef struct {
  int cells, anchors; /* per side, per cell */
} Grid;

typedef struct {
  Network network;
  int size, keypoints, total;
  Grid grid[4];
} Layout;

/* Strides 8, 16, 32, 32, 32 at 224 pixels and 8, 16, 16, 16 at 128, two anchors for each layer. */
static const Layout layouts[] = {
    [DETECTOR_PERSON] = {NETWORK_POSE_DETECTION, 224, 4, 2254, {{28, 2}, {14, 2}, {7, 6}}},
    [DETECTOR_FACE] = {NETWORK_FACE_DETECTION, 128, 6, 896, {{16, 2}, {8, 6}}},
};

struct Detector {
  const Layout *layout;
  Graph *graph;
  float (*anchor)[2]; /* [total] centres, 0..1 */
};

static void make_anchors(Detector *detector) {
  int n = 0;
  detector->anchor = g_malloc_n((gsize)detector->layout->total, sizeof *detector->anchor);
  for (const Grid *grid = detector->layout->grid; grid->cells; grid++)
    for (int y = 0; y < grid->cells; y++)
      for (int x = 0; x < grid->cells; x++)
        for (int k = 0; k < grid->anchors; k++, n++) {
          detector->anchor[n][0] = ((float)x + 0.5f) / (float)grid->cells;
          detector->anchor[n][1] = ((float)y + 0.5f) / (float)grid->cells;
        }
  g_assert(n == detector->layout->total);
}

Detector *detector_new(DetectorKind kind, const char *models, GError **error) {
  g_autoptr(Detector) detector = g_new0(Detector, 1);
  const Layout *layout = detector->layout = &layouts[kind];
  g_autoptr(GBytes) bytes = network_load(layout->network, models, error);
  g_autoptr(Tflite) model = bytes ? tflite_parse(bytes, error) : NULL;
  if (!model || !(detector->graph = graph_new(model, NULL, 0, NULL, 0, error)))
    return NULL;
  gsize values = 4 + 2 * (gsize)layout->keypoints, total = (gsize)layout->total;
  if (graph_input_size(detector->graph, 0) != 3 * (gsize)layout->size * (gsize)layout->size ||
      graph_output_size(detector->graph, 0) != total * values ||
      graph_output_size(detector->graph, 1) != total)
    return fault_null(error, FAULT_NETWORK, "The network %s has another form than expected.",
                      network_name(layout->network));
  make_anchors(detector);
  return g_steal_pointer(&detector);
}

void detector_free(Detector *detector) {
  if (!detector)
    return;
  graph_free(detector->graph);
  g_free(detector->anchor);
  g_free(detector);
}

/* Answers that score from low to below high, in coordinates 0..1 of the crop. */
static GArray *decode(const Detector *detector, float low, float high) {
  const Layout *layout = detector->layout;
  const float *logits = graph_output(detector->graph, 1), *raw = graph_output(detector->graph, 0);
  float size = (float)layout->size;
  GArray *found = g_array_new(FALSE, FALSE, sizeof(Detection));
  for (int i = 0; i < layout->total; i++, raw += 4 + 2 * layout->keypoints) {
    float score = 1 / (1 + expf(-CLAMP(logits[i], -LOGIT_LIMIT, LOGIT_LIMIT)));
    if (!(score >= low && score < high) || !(raw[2] >= 0) || !(raw[3] >= 0))
      continue;
    const float *anchor = detector->anchor[i];
    float cx = raw[0] / size + anchor[0], cy = raw[1] / size + anchor[1], w = raw[2] / size,
          h = raw[3] / size;
    Detection d = {.score = score, .box = {cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2}};
    for (int k = 0; k < layout->keypoints; k++)
      for (int axis = 0; axis < 2; axis++)
        d.keypoint[k][axis] = raw[4 + 2 * k + axis] / size + anchor[axis];
    g_array_append_val(found, d);
  }
  return found;
}

static float overlap(const Detection *a, const Detection *b) {
  float w = MIN(a->box[2], b->box[2]) - MAX(a->box[0], b->box[0]);
  float h = MIN(a->box[3], b->box[3]) - MAX(a->box[1], b->box[1]);
  if (!(w > 0) || !(h > 0))
    return 0;
  float of_a = (a->box[2] - a->box[0]) * (a->box[3] - a->box[1]);
  float of_b = (b->box[2] - b->box[0]) * (b->box[3] - b->box[1]);
  return w * h / (of_a + of_b - w * h);
}

static int by_score(gconstpointer a, gconstpointer b) {
  float x = ((const Detection *)a)->score, y = ((const Detection *)b)->score;
  return x < y ? 1 : x > y ? -1 : 0; /* g_array_sort is stable */
}

static void add_weighted(Detection *sum, const Detection *d, float weight) {
  for (int k = 0; k < 4; k++)
    sum->box[k] += weight * d->box[k];
  for (int k = 0; k < DETECTION_MAX_KEYPOINTS; k++)
    for (int axis = 0; axis < 2; axis++)
      sum->keypoint[k][axis] += weight * d->keypoint[k][axis];
}

/* Takes `found` apart: the best and all that overlap it become one. */
static GArray *merge(GArray *found) {
  GArray *merged = g_array_new(FALSE, FALSE, sizeof(Detection));
  g_array_sort(found, by_score);
  while (found->len) {
    Detection best = g_array_index(found, Detection, 0), sum = {.score = best.score};
    float weight = 0;
    guint left = 0;
    for (guint i = 0; i < found->len; i++) {
      Detection *d = &g_array_index(found, Detection, i);
      if (overlap(&best, d) > MERGE_IOU) {
        add_weighted(&sum, d, d->score);
        weight += d->score;
      } else {
        g_array_index(found, Detection, left++) = *d;
      }
    }
    if (left == found->len) /* an empty box does not even overlap itself */
      break;
    g_array_set_size(found, left);
    Detection mean = {.score = sum.score};
    add_weighted(&mean, &sum, 1 / weight);
    g_array_append_val(merged, mean);
  }
  return merged;
}

gboolean detector_find(Detector *detector, const Image *rgb, const Region *region, float threshold,
                       float faint, GArray **detections, GError **error) {
  Region whole = region_of_picture(rgb->width, rgb->height);
  const Region *seen = region ? region : &whole;
  if (!region_is_sane(seen)) {
    *detections = g_array_new(FALSE, FALSE, sizeof(Detection));
    return TRUE;
  }
  region_crop(rgb, seen, detector->layout->size, -1, 1, BORDER_BLACK, graph_input(detector->graph, 0));
  if (!graph_run(detector->graph, error))
    return FALSE;
  g_autoptr(GArray) clear = decode(detector, threshold, INFINITY), rest = decode(detector, faint, threshold);
  GArray *merged = merge(clear);
  g_autoptr(GArray) merged_rest = merge(rest);
  g_array_append_vals(merged, merged_rest->data, merged_rest->len);
  for (guint i = 0; i < merged->len; i++) {
    Detection *d = &g_array_index(merged, Detection, i);
    region_to_picture(seen, d->box[0], d->box[1], &d->box[0], &d->box[1]);
    region_to_picture(seen, d->box[2], d->box[3], &d->box[2], &d->box[3]);
    for (int k = 0; k < detector->layout->keypoints; k++)
      region_to_picture(seen, d->keypoint[k][0], d->keypoint[k][1], &d->keypoint[k][0], &d->keypoint[k][1]);
  }
  *detections = merged;
  return TRUE;
}
