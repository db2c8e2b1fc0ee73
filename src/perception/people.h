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

/* known [n_known]: poses in this picture that need not be found. Looks at the whole and, from part `first` on
 * (counted round), at `count` parts. Element type of the result: Found * (transfer full), those found plainly
 * first, then by size. NULL with *error set. */
GPtrArray *people_find(PoseEstimator *estimator, const Image *rgb, const Pose *const *known, int n_known,
                       int first, int count, GError **error);
