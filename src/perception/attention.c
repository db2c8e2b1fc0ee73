/* The trunk makes a map of 48x48 features and the mesh. From the mesh follows, for each of the three parts, a
 * matrix that leads from a patch of 16x16 to that map; the patch is sampled through it and goes through the
 * part's own branch; the branch's points, in a patch four times as fine, come back through the same matrix.
 */
#include "perception/attention.h"
#include "nn/graph.h"
#include "nn/models.h"
#include <math.h>
#include <string.h>

#define MAP 48
#define CHANNELS 32
#define PATCH 16
#define PATCH_SCALE 1.5f
#define FINER 4 /* pixels of the crop per cell of the map */
#define IRIS_POINTS 5
#define RING 16 /* the first points of an eye's list go around its opening */

static const guint16 lips[] = {
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0,  267, 269, 270, 409,
    78, 95,  88, 178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415,
    76, 77,  90, 180, 85, 16, 315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408,
    62, 96,  89, 179, 86, 15, 316, 403, 319, 325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407};
static const guint16 left_eye[] = {33,  7,   163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157,
                                   173, 130, 25,  110, 24,  23,  22,  26,  112, 243, 247, 30,  29,  27,  28,
                                   56,  190, 226, 31,  228, 229, 230, 231, 232, 233, 244, 113, 225, 224, 223,
                                   222, 221, 189, 35,  124, 46,  53,  52,  65,  143, 111, 117, 118, 119, 120,
                                   121, 128, 245, 156, 70,  63,  105, 66,  107, 55,  193};
static const guint16 right_eye[] = {263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384,
                                    398, 359, 255, 339, 254, 253, 252, 256, 341, 463, 467, 260, 259, 257, 258,
                                    286, 414, 446, 261, 448, 449, 450, 451, 452, 453, 464, 342, 445, 444, 443,
                                    442, 441, 413, 265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349,
                                    350, 357, 465, 383, 300, 293, 334, 296, 336, 285, 417};

/* In the order of the file; its "left" eye is that of point 33. */
typedef struct {
  const guint16 *index;
  int points, from, to; /* the line that lies level in the patch */
  int iris;             /* number of its first iris point, 0 where there is none */
} Part;

static const Part parts[] = {
    {lips, G_N_ELEMENTS(lips), 61, 291, 0},
    {left_eye, G_N_ELEMENTS(left_eye), 33, 133, 468},
    {right_eye, G_N_ELEMENTS(right_eye), 362, 263, 473},
};
#define PARTS 3

enum { TRUNK_MESH, TRUNK_FLAG, TRUNK_MAP };

struct Attention {
  Graph *trunk, *branch[PARTS];
};

/* x' = a x + b y + c, y' = d x + e y + f */
typedef struct {
  float a, b, c, d, e, f;
} Affine;

static Graph *build_trunk(const Tflite *model, GError **error) {
  const TfliteOperator *sampler = tflite_custom(model, "TransformTensorBilinear", 0);
  if (!sampler || sampler->inputs != 2 || sampler->input[0] < 0 || model->outputs != 7)
    return fault_null(error, FAULT_NETWORK, "The face network has another form than expected.");
  return graph_new(model, NULL, 0, (int[]){model->output[0], model->output[6], sampler->input[0]}, 3, error);
}

/* Branch p leads from the patch to its points and, for an eye, to those of its iris. */
static Graph *build_branch(const Tflite *model, int p, GError **error) {
  static const int first_result[PARTS] = {0, 1, 3};
  const TfliteOperator *sampler = tflite_custom(model, "TransformTensorBilinear", p);
  int results = parts[p].iris ? 2 : 1, wanted[2];
  gboolean good = sampler && sampler->outputs == 1;
  for (int i = 0; i < results; i++) {
    const TfliteOperator *op = tflite_custom(model, "TransformLandmarks", first_result[p] + i);
    good = good && op && op->inputs == 2 && op->input[0] >= 0;
    wanted[i] = good ? op->input[0] : 0;
  }
  if (!good)
    return fault_null(error, FAULT_NETWORK, "The face network has another form than expected.");
  return graph_new(model, sampler->output, 1, wanted, results, error);
}

static gboolean has_expected_sizes(const Attention *a) {
  gboolean good = graph_input_size(a->trunk, 0) == 3 * ATTENTION_CROP * ATTENTION_CROP &&
                  graph_output_size(a->trunk, TRUNK_MESH) == 3 * FACE_MESH &&
                  graph_output_size(a->trunk, TRUNK_FLAG) == 1 &&
                  graph_output_size(a->trunk, TRUNK_MAP) == MAP * MAP * CHANNELS;
  for (int p = 0; p < PARTS; p++)
    good = good && graph_input_size(a->branch[p], 0) == PATCH * PATCH * CHANNELS &&
           graph_output_size(a->branch[p], 0) == 2 * (gsize)parts[p].points &&
           graph_output_size(a->branch[p], 1) == (parts[p].iris ? 2 * IRIS_POINTS : 0);
  return good;
}

Attention *attention_new(const char *models, GError **error) {
  g_autoptr(GBytes) bytes = network_load(NETWORK_FACE_ATTENTION, models, error);
  g_autoptr(Tflite) model = bytes ? tflite_parse(bytes, error) : NULL;
  g_autoptr(Attention) attention = g_new0(Attention, 1);
  if (!model || !(attention->trunk = build_trunk(model, error)))
    return NULL;
  for (int p = 0; p < PARTS; p++)
    if (!(attention->branch[p] = build_branch(model, p, error)))
      return NULL;
  if (!has_expected_sizes(attention))
    return fault_null(error, FAULT_NETWORK, "The face network has another form than expected.");
  return g_steal_pointer(&attention);
}

void attention_free(Attention *attention) {
  if (!attention)
    return;
  graph_free(attention->trunk);
  for (int p = 0; p < PARTS; p++)
    graph_free(attention->branch[p]);
  g_free(attention);
}

float *attention_input(Attention *attention) {
  return graph_input(attention->trunk, 0);
}

/* From the patch's cells to the map's: the part's points, turned level, with half as much again around them.
 */
static Affine patch_to_map(const float *mesh, const Part *part) {
  const float *from = mesh + 3 * part->from, *to = mesh + 3 * part->to;
  float angle = -atan2f(to[1] - from[1], to[0] - from[0]), c = cosf(angle), s = sinf(angle);
  float low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
  for (int i = 0; i < part->points; i++) {
    float px = mesh[3 * part->index[i]] / FINER, py = mesh[3 * part->index[i] + 1] / FINER;
    float x = px * c - py * s, y = px * s + py * c;
    low[0] = MIN(low[0], x), high[0] = MAX(high[0], x);
    low[1] = MIN(low[1], y), high[1] = MAX(high[1], y);
  }
  float mx = 0.5f * (low[0] + high[0]), my = 0.5f * (low[1] + high[1]);
  float sx = PATCH_SCALE * (high[0] - low[0]) / PATCH, sy = PATCH_SCALE * (high[1] - low[1]) / PATCH;
  Affine m = {.a = c * sx, .b = s * sy, .d = -s * sx, .e = c * sy};
  m.c = mx * c + my * s - (m.a + m.b) * (PATCH / 2);
  m.f = -mx * s + my * c - (m.d + m.e) * (PATCH / 2);
  return m;
}

static const float *map_cell(const float *map, int x, int y) {
  static const float nothing[CHANNELS] = {0};
  return x < 0 || y < 0 || x >= MAP || y >= MAP ? nothing : map + (y * MAP + x) * CHANNELS;
}

static void sample_patch(const float *map, const Affine *m, float *patch) {
  for (int j = 0; j < PATCH; j++)
    for (int i = 0; i < PATCH; i++, patch += CHANNELS) {
      float px = (float)i + 0.5f, py = (float)j + 0.5f;
      float x = m->a * px + m->b * py + m->c - 0.5f, y = m->d * px + m->e * py + m->f - 0.5f;
      gboolean inside = x >= 0 && x <= MAP - 1 && y >= 0 && y <= MAP - 1;
      int x0 = inside ? (int)x : -1, y0 = inside ? (int)y : -1;
      float ax = inside ? x - (float)x0 : 0, ay = inside ? y - (float)y0 : 0;
      const float *a = map_cell(map, x0, y0), *b = map_cell(map, x0 + 1, y0);
      const float *c = map_cell(map, x0, y0 + 1), *d = map_cell(map, x0 + 1, y0 + 1);
      for (int k = 0; k < CHANNELS; k++)
        patch[k] = inside ? (1 - ay) * ((1 - ax) * a[k] + ax * b[k]) + ay * ((1 - ax) * c[k] + ax * d[k]) : 0;
    }
}

/* A point of a branch, in the fine patch, to the crop's pixels. */
static void place(const Affine *m, const float *from, float *to) {
  to[0] = m->a * from[0] + m->b * from[1] + m->c * FINER;
  to[1] = m->d * from[0] + m->e * from[1] + m->f * FINER;
}

static void place_part(const Attention *attention, int p, const Affine *m, float point[FACE_POINTS][3]) {
  const Part *part = &parts[p];
  const float *own = graph_output(attention->branch[p], 0);
  float depth = 0;
  for (int i = 0; i < part->points; i++)
    place(m, own + 2 * i, point[part->index[i]]);
  if (!part->iris)
    return;
  for (int i = 0; i < RING; i++)
    depth += point[part->index[i]][2] / RING;
  const float *iris = graph_output(attention->branch[p], 1);
  for (int i = 0; i < IRIS_POINTS; i++) {
    place(m, iris + 2 * i, point[part->iris + i]);
    point[part->iris + i][2] = depth;
  }
}

gboolean attention_run(Attention *attention, float *logit, float point[FACE_POINTS][3], GError **error) {
  if (!graph_run(attention->trunk, error))
    return FALSE;
  const float *mesh = graph_output(attention->trunk, TRUNK_MESH);
  memcpy(point, mesh, 3 * FACE_MESH * sizeof *mesh);
  *logit = graph_output(attention->trunk, TRUNK_FLAG)[0];
  for (int p = 0; p < PARTS; p++) {
    Affine m = patch_to_map(mesh, &parts[p]);
    sample_patch(graph_output(attention->trunk, TRUNK_MAP), &m, graph_input(attention->branch[p], 0));
    if (!graph_run(attention->branch[p], error))
      return FALSE;
    place_part(attention, p, &m, point);
  }
  return TRUE;
}
