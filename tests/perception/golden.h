/* What the tests of this room share: pictures and recorded results of the official implementation. */
#pragma once
#include "base/image.h"
#include "perception/pose.h"
#include <jansson.h>

/* Full path of a file of the golden data, or NULL (after printing why) where the data is absent. */
char *golden_path(const char *name);
/* Parsed JSON, NULL where absent. A damaged file ends the test. */
json_t *golden_json(const char *name);
/* RGB (or grey where channels is 1), decoded with accurate integer DCT. */
Image *golden_image(const char *name, int channels);

double golden_number(json_t *object, const char *key);
double golden_at(json_t *array, gsize index);

/* Greatest and mean of differences. */
typedef struct {
  double worst, sum;
  int count;
} Spread;
void spread_add(Spread *spread, double difference);
double spread_mean(const Spread *spread);

/* Intersection over union of two masks at 127, and their mean absolute difference in levels. */
double mask_iou(const Image *a, const Image *b);
double mask_difference(const Image *a, const Image *b);
