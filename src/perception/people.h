/* Who is in a picture: everybody that the detector finds and the landmark network confirms, besides those who
 * are known.
 *
 * MediaPipe's detector is made for one person who fills the picture. So that others are found too, it also
 * looks at parts of the picture and listens to its fainter answers; those count only when the landmark
 * network is certain and reads the same body again in the region that its own reading gives. On drawings and
 * on furniture it does not. */
#pragma once
#include "perception/body.h"

typedef struct {
  BodyReading reading;
  gboolean plain; /* found as MediaPipe would: in the whole picture, above its threshold; read once */
} Found;

/* How many parts a picture of this size has. */
int people_parts(int width, int height);

/* What the detector answers about the whole picture and then, from part `first` on (counted round), about
 * `count` parts: one element for each (transfer full). Leaves the landmark network alone, so that another
 * thread may use that one meanwhile. NULL with *error set. */
GPtrArray *people_look(PoseEstimator *estimator, const Image *rgb, int first, int count, GError **error);

/* Follows up what people_look answered about this picture. known [n_known]: poses in it that need not be
 * found. Element type of the result: Found * (transfer full), those found plainly first, then by size. NULL
 * with *error set. */
GPtrArray *people_find(PoseEstimator *estimator, const Image *rgb, const GPtrArray *looks,
                       const Pose *const *known, int n_known, GError **error);
