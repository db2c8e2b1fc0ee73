/* The pose says roughly where the face is; a detector finds it there; the mesh network looks at what the
 * detector found, or goes on with the mesh of the frame before where both agree. */
#include "perception/face.h"
#include "nn/graph.h"
#include "nn/models.h"
#include "perception/attention.h"
#include "perception/detector.h"
#include <math.h>
#include <string.h>

#define CROP 192
#define PRESENT 0.5f
#define DETECTOR_KEYPOINTS 6

/* Of MediaPipe's holistic graphs. */
static const RegionLimits limits = {15 * (float)G_PI / 180, 0.1f, 0.3f, 0.2f};

struct FaceReader {
  Detector *detector;
  Graph *mesh; /* one of the two */
  Attention *attention;
};

static Graph *mesh_new(const char *models, GError **error) {
  g_autoptr(GBytes) bytes = network_load(NETWORK_FACE_MESH, models, error);
  g_autoptr(Tflite) model = bytes ? tflite_parse(bytes, error) : NULL;
  g_autoptr(Graph) graph = model ? graph_new(model, NULL, 0, NULL, 0, error) : NULL;
  if (graph && (graph_input_size(graph, 0) != 3 * CROP * CROP ||
                graph_output_size(graph, 0) != 3 * FACE_MESH || graph_output_size(graph, 1) != 1))
    return fault_null(error, FAULT_NETWORK, "The network %s has another form than expected.",
                      network_name(NETWORK_FACE_MESH));
  return g_steal_pointer(&graph);
}

FaceReader *face_reader_new(gboolean attention, const char *models, GError **error) {
  g_autoptr(FaceReader) reader = g_new0(FaceReader, 1);
  if (!(reader->detector = detector_new(DETECTOR_FACE, models, error)))
    return NULL;
  if (attention ? !(reader->attention = attention_new(models, error))
                : !(reader->mesh = mesh_new(models, error)))
    return NULL;
  return g_steal_pointer(&reader);
}

void face_reader_free(FaceReader *reader) {
  if (!reader)
    return;
  detector_free(reader->detector);
  graph_free(reader->mesh);
  attention_free(reader->attention);
  g_free(reader);
}

/* Three times the box around the pose's eyes, ears, nose and mouth. */
static Region region_from_pose(const Pose *pose) {
  float point[POSE_MOUTH_RIGHT + 1][2];
  for (int i = 0; i <= POSE_MOUTH_RIGHT; i++) {
    point[i][0] = pose->image[i].x;
    point[i][1] = pose->image[i].y;
  }
  Region region =
      region_from_points(point, POSE_MOUTH_RIGHT + 1, point[POSE_RIGHT_EYE], point[POSE_LEFT_EYE]);
  return region_grow(region, 3, 0);
}

/* The previous mesh's region, where it holds against the fresh one. */
static Region choose(const Face *previous, Region fresh) {
  if (!previous || !previous->found)
    return fresh;
  float point[FACE_POINTS][2];
  for (int i = 0; i < previous->count; i++)
    memcpy(point[i], previous->point[i], sizeof point[i]);
  Region own = region_grow(region_from_points(point, previous->count, point[33], point[263]), 1.5f, 0);
  return region_is_sane(&own) && region_holds(&own, &fresh, point, previous->count, &limits) ? own : fresh;
}

static gboolean run(FaceReader *reader, const Image *rgb, Face *face, GError **error) {
  float logit;
  float *input = reader->attention ? attention_input(reader->attention) : graph_input(reader->mesh, 0);
  region_crop(rgb, &face->region, CROP, 0, 1, BORDER_REPLICATE, input);
  if (reader->attention) {
    if (!attention_run(reader->attention, &logit, face->point, error))
      return FALSE;
    face->count = FACE_POINTS;
  } else {
    if (!graph_run(reader->mesh, error))
      return FALSE;
    memcpy(face->point, graph_output(reader->mesh, 0), 3 * FACE_MESH * sizeof(float));
    logit = graph_output(reader->mesh, 1)[0];
    face->count = FACE_MESH;
  }
  face->score = 1 / (1 + expf(-logit));
  for (int i = 0; i < face->count; i++) {
    float *p = face->point[i];
    region_to_picture(&face->region, p[0] / CROP, p[1] / CROP, &p[0], &p[1]);
    p[2] *= face->region.width / CROP;
  }
  face->found = face->score > PRESENT;
  return TRUE;
}

gboolean face_read(FaceReader *reader, const Image *rgb, const Pose *pose, const Face *previous, Face *face,
                   GError **error) {
  g_autoptr(GArray) detections = NULL;
  Face result = {0};
  Region around = region_from_pose(pose);
  if (!detector_find(reader->detector, rgb, &around, DETECTOR_THRESHOLD, DETECTOR_THRESHOLD, &detections,
                     error))
    return FALSE;
  if (detections->len) {
    const Detection *d = &g_array_index(detections, Detection, 0);
    Region fresh = region_from_points(d->keypoint, DETECTOR_KEYPOINTS, d->keypoint[0], d->keypoint[1]);
    result.region = choose(previous, region_grow(fresh, 2, -0.1f));
    if (region_is_sane(&result.region) && !run(reader, rgb, &result, error))
      return FALSE;
  }
  *face = result;
  return TRUE;
}
