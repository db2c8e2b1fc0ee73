/* The pose's wrist and fingers give a rough region; a small network finds the hand's place and turn in it;
 * the hand network looks there, or where the hand of the frame before was if both agree. */
#include "perception/hands.h"
#include "nn/graph.h"
#include "nn/models.h"
#include <math.h>

#define CROP 224
#define RECROP 256
#define PRESENT 0.5f
#define WRIST_VISIBLE 0.1f
#define DEPTH_UNIT 0.4f

enum { OUT_POINTS, OUT_FLAG, OUT_SIDE, OUT_WORLD };

/* Of MediaPipe's holistic graphs. */
static const RegionLimits limits = {40 * (float)G_PI / 180, 0.2f, 0.4f, -0.1f};

struct HandReader {
  Graph *recrop, *landmarks;
};

static Graph *load(Network network, const char *models, const gsize *sizes, int outputs, GError **error) {
  g_autoptr(GBytes) bytes = network_load(network, models, error);
  g_autoptr(Tflite) model = bytes ? tflite_parse(bytes, error) : NULL;
  g_autoptr(Graph) graph = model ? graph_new(model, NULL, 0, NULL, 0, error) : NULL;
  if (!graph)
    return NULL;
  gboolean good = graph_input_size(graph, 0) == sizes[0];
  for (int i = 0; i < outputs; i++)
    good = good && graph_output_size(graph, i) == sizes[i + 1];
  if (!good)
    return fault_null(error, FAULT_NETWORK, "The network %s has another form than expected.",
                      network_name(network));
  return g_steal_pointer(&graph);
}

HandReader *hand_reader_new(const char *models, GError **error) {
  static const gsize recrop[] = {3 * RECROP * RECROP, 4};
  static const gsize landmarks[] = {3 * CROP * CROP, 3 * HAND_POINTS, 1, 1, 3 * HAND_POINTS};
  g_autoptr(HandReader) reader = g_new0(HandReader, 1);
  if (!(reader->recrop = load(NETWORK_HAND_RECROP, models, recrop, 1, error)) ||
      !(reader->landmarks = load(NETWORK_HAND_LANDMARKS, models, landmarks, 4, error)))
    return NULL;
  return g_steal_pointer(&reader);
}

void hand_reader_free(HandReader *reader) {
  if (!reader)
    return;
  graph_free(reader->recrop);
  graph_free(reader->landmarks);
  g_free(reader);
}

/* About the middle between wrist and finger roots, weighted towards the index. */
static Region region_from_pose(const Pose *pose, HandSide side) {
  const Landmark *wrist = &pose->image[side == HAND_LEFT ? POSE_LEFT_WRIST : POSE_RIGHT_WRIST];
  const Landmark *pinky = &pose->image[side == HAND_LEFT ? POSE_LEFT_PINKY : POSE_RIGHT_PINKY];
  const Landmark *index = &pose->image[side == HAND_LEFT ? POSE_LEFT_INDEX : POSE_RIGHT_INDEX];
  float middle[2] = {(2 * index->x + pinky->x) / 3, (2 * index->y + pinky->y) / 3};
  float dx = middle[0] - wrist->x, dy = middle[1] - wrist->y, reach = 2 * hypotf(dx, dy);
  Region region = {.cx = middle[0],
                   .cy = middle[1],
                   .width = reach,
                   .height = reach,
                   .rotation = angle_wrap((float)G_PI / 2 - atan2f(-dy, dx))};
  return region_grow(region, 2.7f, -0.1f);
}

static gboolean find_again(HandReader *reader, const Image *rgb, Region *region, GError **error) {
  region_crop(rgb, region, RECROP, 0, 1, BORDER_REPLICATE, graph_input(reader->recrop, 0));
  if (!graph_run(reader->recrop, error))
    return FALSE;
  const float *out = graph_output(reader->recrop, 0);
  float centre[2], scale_point[2];
  region_to_picture(region, out[0] / RECROP, out[1] / RECROP, &centre[0], &centre[1]);
  region_to_picture(region, out[2] / RECROP, out[3] / RECROP, &scale_point[0], &scale_point[1]);
  *region = region_grow(region_from_line(centre, scale_point, -(float)G_PI / 2), 1, -0.1f);
  return TRUE;
}

/* The palm's points stand for the hand: fingers move too much. They are boxed along the hand's own direction.
 */
static Region region_from_hand(const Hand *hand, float (*palm)[2], int *count) {
  static const guint8 of[] = {0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18};
  float low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY}, middle[2];
  *count = G_N_ELEMENTS(of);
  for (gsize i = 0; i < G_N_ELEMENTS(of); i++)
    for (int k = 0; k < 2; k++) {
      palm[i][k] = hand->image[of[i]][k];
      low[k] = MIN(low[k], palm[i][k]), high[k] = MAX(high[k], palm[i][k]);
    }
  float direction[2];
  for (int k = 0; k < 2; k++) {
    const float index = palm[4][k], middle_finger = palm[6][k], ring = palm[8][k];
    direction[k] = 0.5f * (0.5f * (index + ring) + middle_finger) - palm[0][k];
    middle[k] = 0.5f * (low[k] + high[k]);
    low[k] = INFINITY, high[k] = -INFINITY;
  }
  Region region = {.rotation = angle_wrap((float)G_PI / 2 - atan2f(-direction[1], direction[0]))};
  float c = cosf(region.rotation), s = sinf(region.rotation);
  for (int i = 0; i < *count; i++) {
    float dx = palm[i][0] - middle[0], dy = palm[i][1] - middle[1];
    float turned[2] = {dx * c + dy * s, -dx * s + dy * c};
    for (int k = 0; k < 2; k++)
      low[k] = MIN(low[k], turned[k]), high[k] = MAX(high[k], turned[k]);
  }
  float u = 0.5f * (low[0] + high[0]), v = 0.5f * (low[1] + high[1]);
  region.cx = middle[0] + u * c - v * s;
  region.cy = middle[1] + u * s + v * c;
  region.width = high[0] - low[0];
  region.height = high[1] - low[1];
  return region_grow(region, 2, -0.1f);
}

static Region choose(const Hand *previous, Region fresh) {
  float palm[HAND_POINTS][2];
  int count;
  if (!previous || !previous->found)
    return fresh;
  Region own = region_from_hand(previous, palm, &count);
  return region_is_sane(&own) && region_holds(&own, &fresh, palm, count, &limits) ? own : fresh;
}

static gboolean run(HandReader *reader, const Image *rgb, Hand *hand, GError **error) {
  Graph *graph = reader->landmarks;
  const Region *region = &hand->region;
  region_crop(rgb, region, CROP, 0, 1, BORDER_REPLICATE, graph_input(graph, 0));
  if (!graph_run(graph, error))
    return FALSE;
  float c = cosf(region->rotation), s = sinf(region->rotation);
  for (int i = 0; i < HAND_POINTS; i++) {
    const float *p = graph_output(graph, OUT_POINTS) + 3 * i, *w = graph_output(graph, OUT_WORLD) + 3 * i;
    region_to_picture(region, p[0] / CROP, p[1] / CROP, &hand->image[i][0], &hand->image[i][1]);
    hand->image[i][2] = p[2] / CROP / DEPTH_UNIT * region->width;
    hand->world[i][0] = w[0] * c - w[1] * s;
    hand->world[i][1] = w[0] * s + w[1] * c;
    hand->world[i][2] = w[2];
  }
  hand->score = graph_output(graph, OUT_FLAG)[0];
  hand->right = graph_output(graph, OUT_SIDE)[0];
  hand->found = hand->score > PRESENT;
  return TRUE;
}

gboolean hand_read(HandReader *reader, const Image *rgb, const Pose *pose, HandSide side,
                   const Hand *previous, Hand *hand, GError **error) {
  Hand result = {0};
  Region region = region_from_pose(pose, side);
  float visible = pose->image[side == HAND_LEFT ? POSE_LEFT_WRIST : POSE_RIGHT_WRIST].visibility;
  if (visible > WRIST_VISIBLE && region_is_sane(&region)) {
    if (!find_again(reader, rgb, &region, error))
      return FALSE;
    result.region = choose(previous, region);
    if (region_is_sane(&result.region) && !run(reader, rgb, &result, error))
      return FALSE;
  }
  *hand = result;
  return TRUE;
}
