/* Single-shot detectors of people and faces: BlazeFace's scheme (Bazarevsky et al. 2019), as MediaPipe
 * trained it. A detector is not for two threads at once. */
#pragma once
#include "perception/region.h"

#define DETECTION_MAX_KEYPOINTS 6

/* Key points of a person: 0 mid-hip, 1 a point that gives the whole body's size and turn, 2 mid-shoulder, 3
 * the same for the upper body. Of a face: right eye, left eye, nose tip, mouth, right ear, left ear (the
 * person's right and left). */
typedef struct {
  float score;  /* 0..1 */
  float box[4]; /* x0, y0, x1, y1; pixels, meant for regions that are not turned */
  float keypoint[DETECTION_MAX_KEYPOINTS][2]; /* pixels */
} Detection;

typedef enum { DETECTOR_PERSON, DETECTOR_FACE } DetectorKind;

typedef struct Detector Detector;

Detector *detector_new(DetectorKind kind, const char *models, GError **error);
void detector_free(Detector *detector);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Detector, detector_free)

/* What MediaPipe's graphs ask for. */
#define DETECTOR_THRESHOLD 0.5f

/* Everything in the region (NULL: the whole picture) that scores at least `threshold`, best first,
 * overlapping boxes merged into one; after those, where `faint` is lower, what scores at least that, merged
 * among itself. element type Detection (transfer full). */
gboolean detector_find(Detector *detector, const Image *rgb, const Region *region, float threshold,
                       float faint, GArray **detections, GError **error);
