/* Sharpness is judged inside the figure, since a soft background is no fault, and against the figure's own
 * contrast, since fog and dusk are not blur. The edge of the mask is left out: it is the network's, not the
 * picture's. */
#include "identity/inspect/inspect.h"

#include "base/plane.h"
#include <math.h>
#include <string.h>

#define MASK_INSET 4.f  /* pixels */
#define SEEN .5f        /* visibility from which a joint counts as seen */
#define EDGE_SHARE .12f /* of the figure's width or height along an edge that cuts it */
#define TWENTIETH 20
#define ROUNDING (20.0 / 12) /* variance of the Laplacian of levels that were rounded to bytes */

static gboolean inside(const Plane *mask, int x, int y) {
  return !mask || *plane_at(mask, x, y) >= .5f;
}

/* NULL where too little would be left to judge. */
static Plane *inset_mask(const Image *mask) {
  if (!mask)
    return NULL;
  g_autoptr(Plane) plane = plane_from_image(mask, 0);
  plane_erode(plane, MASK_INSET);
  gsize count = 0;
  for (gsize i = 0; i < (gsize)plane->width * (gsize)plane->height; i++)
    count += plane->v[i] >= .5f;
  return count > 400 ? g_steal_pointer(&plane) : NULL;
}

static float brightness_at(const guint64 histogram[256], guint64 rank) {
  guint64 sum = 0;
  for (int level = 0; level < 256; level++)
    if ((sum += histogram[level]) > rank)
      return (float)level / 255;
  return 1;
}

Light inspect_light(const Image *rgb, const Image *mask) {
  g_autoptr(Image) grey = image_convert(rgb, 1);
  g_autoptr(Plane) figure = inset_mask(mask);
  guint64 histogram[256] = {0}, count = 0;
  double laplacian = 0, laplacian2 = 0, level = 0, level2 = 0;
  for (int y = 0; y < grey->height; y++)
    for (int x = 0; x < grey->width; x++) {
      int here = *image_at(grey, x, y);
      histogram[here]++;
      if (x < 1 || y < 1 || x > grey->width - 2 || y > grey->height - 2 || !inside(figure, x, y))
        continue;
      double l = *image_at(grey, x - 1, y) + *image_at(grey, x + 1, y) + *image_at(grey, x, y - 1) +
                 *image_at(grey, x, y + 1) - 4 * here;
      laplacian += l;
      laplacian2 += l * l;
      level += here;
      level2 += (double)here * here;
      count++;
    }
  guint64 all = (guint64)grey->width * (guint64)grey->height;
  Light light = {.dark = brightness_at(histogram, all / TWENTIETH),
                 .bright = brightness_at(histogram, all - all / TWENTIETH - 1)};
  if (!count)
    return light;
  double n = (double)count, contrast = level2 / n - level / n * (level / n);
  double detail = laplacian2 / n - laplacian / n * (laplacian / n) - ROUNDING;
  light.sharpness = (float)(MAX(detail, 0) / MAX(contrast, 1));
  return light;
}

/* --- body --- */

static gboolean in_picture(const Image *rgb, const Landmark *at) {
  return at->x >= 0 && at->y >= 0 && at->x < (float)rgb->width && at->y < (float)rgb->height;
}

/* Either of a pair is seen in the picture. */
static gboolean either(const Image *rgb, const Pose *pose, PoseLandmark a, PoseLandmark b) {
  return (in_picture(rgb, &pose->image[a]) && pose->image[a].visibility >= SEEN) ||
         (in_picture(rgb, &pose->image[b]) && pose->image[b].visibility >= SEEN);
}

static Shown shown_of(const Image *rgb, const Pose *pose) {
  if (either(rgb, pose, POSE_LEFT_ANKLE, POSE_RIGHT_ANKLE))
    return SHOWN_WHOLE;
  if (either(rgb, pose, POSE_LEFT_KNEE, POSE_RIGHT_KNEE))
    return SHOWN_KNEES;
  if (either(rgb, pose, POSE_LEFT_HIP, POSE_RIGHT_HIP))
    return SHOWN_HALF;
  return either(rgb, pose, POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER) ? SHOWN_BUST : SHOWN_HEAD;
}

static float hidden_of(const Image *rgb, const Pose *pose) {
  static const PoseLandmark joints[] = {POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER, POSE_LEFT_ELBOW,
                                        POSE_RIGHT_ELBOW,   POSE_LEFT_WRIST,     POSE_RIGHT_WRIST,
                                        POSE_LEFT_HIP,      POSE_RIGHT_HIP,      POSE_LEFT_KNEE,
                                        POSE_RIGHT_KNEE,    POSE_LEFT_ANKLE,     POSE_RIGHT_ANKLE};
  int here = 0, hidden = 0;
  for (gsize i = 0; i < G_N_ELEMENTS(joints); i++)
    if (in_picture(rgb, &pose->image[joints[i]])) {
      here++;
      hidden += pose->image[joints[i]].visibility < SEEN;
    }
  return here ? (float)hidden / (float)here : 0;
}

/* Edges along which the figure goes on outside of the picture, and the share that it covers. */
static unsigned cut_of(const Image *mask, float *share) {
  int x0 = mask->width, x1 = -1, y0 = mask->height, y1 = -1, top = 0, left = 0, right = 0;
  guint64 covered = 0;
  for (int y = 0; y < mask->height; y++)
    for (int x = 0; x < mask->width; x++)
      if (*image_at(mask, x, y) >= 128) {
        covered++;
        x0 = MIN(x0, x);
        x1 = MAX(x1, x);
        y0 = MIN(y0, y);
        y1 = MAX(y1, y);
        top += y == 0;
        left += x == 0;
        right += x == mask->width - 1;
      }
  *share = (float)((double)covered / ((double)mask->width * mask->height));
  float width = (float)(x1 - x0 + 1), height = (float)(y1 - y0 + 1);
  if (!covered)
    return 0;
  return (unsigned)((float)top > EDGE_SHARE * width ? CUT_TOP : 0) |
         (unsigned)((float)left > EDGE_SHARE * height ? CUT_LEFT : 0) |
         (unsigned)((float)right > EDGE_SHARE * height ? CUT_RIGHT : 0);
}

void inspect_body(const Image *rgb, const Pose *pose, const Image *mask, PictureReport *report) {
  report->shown = shown_of(rgb, pose);
  report->hidden = hidden_of(rgb, pose);
  report->cut = cut_of(mask, &report->figure);
}

/* --- face --- */

/* Points of the canonical face: forehead, chin, both cheeks, tip of the nose. */
enum { FOREHEAD = 10, CHIN = 152, RIGHT_CHEEK = 234, LEFT_CHEEK = 454, NOSE_TIP = 1 };

void inspect_face(const Face *face, PictureReport *report) {
  report->face = face->found;
  if (!face->found)
    return;
  const float *top = face->point[FOREHEAD], *chin = face->point[CHIN], *nose = face->point[NOSE_TIP];
  const float *a = face->point[RIGHT_CHEEK], *b = face->point[LEFT_CHEEK];
  report->face_height = hypotf(top[0] - chin[0], top[1] - chin[1]);
  float across[2] = {b[0] - a[0], b[1] - a[1]}, length = across[0] * across[0] + across[1] * across[1];
  if (length < 1)
    return;
  float along =
      ((nose[0] - a[0]) * across[0] + (nose[1] - a[1]) * across[1]) / length; /* 0 right, 1 left cheek */
  report->turn = CLAMP(2 * along - 1, -1.f, 1.f);
}
