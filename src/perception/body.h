/* The steps that pose_find and the tracker are made of: detect, turn a detection into a region, read the
 * landmarks in a region, and from those the region for the next frame. BlazePose (Bazarevsky et al. 2020),
 * MediaPipe's graphs. */
#pragma once
#include "perception/detector.h"

#define BODY_MASK_SIDE 256

/* The landmark network's flag must pass this, or there is nobody. */
#define BODY_PRESENT 0.5f

/* What the landmark network says about one region. */
typedef struct {
  Pose pose; /* pose.score is the flag; the rest holds in any case but means nothing below BODY_PRESENT */
  float anchor[2][2]; /* pixels: mid-hip and the scale point, which make the region of the next frame */
  float mask[BODY_MASK_SIDE * BODY_MASK_SIDE]; /* logits of "person", over pose.region */
} BodyReading;

/* detector_find with the estimator's detector of people. */
gboolean body_detect(PoseEstimator *estimator, const Image *rgb, const Region *where, float threshold,
                     float faint, GArray **detections, GError **error);

Region body_region_from_detection(const Detection *detection);
Region body_region_from_anchors(const float anchor[2][2]);

/* The region must be sane (region_is_sane). */
gboolean body_read(PoseEstimator *estimator, const Image *rgb, const Region *region, BodyReading *reading,
                   GError **error);

/* The mask over the whole picture [height, width], sampled at mask_width x mask_height; 255 = person
 * (transfer full). */
Image *body_mask(const BodyReading *reading, int width, int height, int mask_width, int mask_height);
/* The same from a reading's mask and region alone. */
Image *body_mask_over(const float *logits, const Region *region, int width, int height, int mask_width,
                      int mask_height);

/* Mean distance of the joints of a, moved by (dx, dy) pixels, from those of b, as a part of the body's size
 * (the diagonal of its box). What both see counts most. */
float body_distance(const Pose *a, const Pose *b, float dx, float dy);

/* Both are of one body: the distance is small. */
gboolean body_is_same(const Pose *a, const Pose *b);
