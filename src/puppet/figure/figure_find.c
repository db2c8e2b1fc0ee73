/* Two witnesses: the network, and what is known of the figure's edge without it. Where both speak and agree
 * the network is followed, since it knows elbows and knees; where they disagree the edge is, since it is in
 * the picture. */
#include "puppet/cutout/cutout.h"
#include "puppet/figure/evidence.h"
#include "puppet/figure/figure.h"
#include "puppet/figure/silhouette.h"
#include <math.h>
#include <string.h>

#define BELIEF 0.5f      /* from which on a pose is taken */
#define LAST_RESORT 0.2f /* ... where there is nothing to contradict it */
#define ADVICE "Set the joints in a --joints file and the figure in a --mask."

typedef struct {
  Pose pose;
  Image *mask;
  Evidence evidence;
  float belief;
} Reading;

static void reading_clear(Reading *reading) {
  g_clear_pointer(&reading->mask, image_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Reading, reading_clear)

/* Transparent pixels become white: networks know cut-out people on white best. */
static Image *flatten(const Image *picture) {
  if (picture->channels == 3)
    return image_copy(picture);
  Image *rgb = image_new(picture->width, picture->height, 3);
  for (gsize i = 0; i < (gsize)picture->width * (gsize)picture->height; i++) {
    const guint8 *p = picture->pixels + 4 * i;
    for (int c = 0; c < 3; c++)
      rgb->pixels[3 * i + (gsize)c] = (guint8)((p[c] * p[3] + 255 * (255 - p[3]) + 127) / 255);
  }
  return rgb;
}

/* What is known of the figure's edge without the network, or NULL. */
static Image *find_silhouette(const Image *picture, const Image *rgb, const Image *mask) {
  if (mask)
    return image_convert(mask, 1);
  if (picture->channels == 4 && cutout_has_alpha(picture)) {
    Image *alpha = image_new(picture->width, picture->height, 1);
    for (gsize i = 0; i < (gsize)picture->width * (gsize)picture->height; i++)
      alpha->pixels[i] = picture->pixels[4 * i + 3];
    return alpha;
  }
  return cutout_outline(rgb, NULL);
}

/* Of a face alone the network may make a body that stands on its head, besides the right one. */
static gboolean upright(const Landmark *l) {
  return l[POSE_NOSE].y < 0.5f * (l[POSE_LEFT_SHOULDER].y + l[POSE_RIGHT_SHOULDER].y);
}

/* Large, in the middle, upright, and borne out. */
static float worth(const Reading *reading, int width, int height) {
  const float *box = reading->pose.box;
  float size = sqrtf(MAX(box[2] * box[3], 1.0f) / ((float)width * (float)height));
  float aside =
      hypotf((box[0] + 0.5f * box[2]) / (float)width - 0.5f, (box[1] + 0.5f * box[3]) / (float)height - 0.5f);
  return (reading->belief + 0.05f) * size * (1 - 0.5f * MIN(aside, 1.0f)) *
         (upright(reading->pose.image) ? 1 : 0.3f);
}

/* A second reading of a body that an earlier one has largely covered. */
static gboolean seen_before(GArray *poses, guint index) {
  const float *a = g_array_index(poses, Pose, index).box;
  for (guint i = 0; i < index; i++) {
    const float *b = g_array_index(poses, Pose, i).box;
    float w = MIN(a[0] + a[2], b[0] + b[2]) - MAX(a[0], b[0]),
          h = MIN(a[1] + a[3], b[1] + b[3]) - MAX(a[1], b[1]);
    if (w > 0 && h > 0 && w * h > 0.5f * MIN(a[2] * a[3], b[2] * b[3]))
      return TRUE;
  }
  return FALSE;
}

static gboolean read_picture(PoseEstimator *network, const Image *rgb, const Image *silhouette, Reading *best,
                             int *people, GError **error) {
  g_autoptr(GArray) poses = NULL;
  g_autoptr(GPtrArray) masks = NULL;
  if (!pose_find(network, rgb, &poses, &masks, error))
    return FALSE;
  float best_worth = -1;
  for (guint i = 0; i < poses->len; i++) {
    Reading reading = {.pose = g_array_index(poses, Pose, i), .mask = masks->pdata[i]};
    reading.evidence = evidence_weigh(&reading.pose, reading.mask, silhouette);
    reading.belief = evidence_belief(&reading.evidence, silhouette != NULL);
    *people += reading.belief >= BELIEF && !seen_before(poses, i);
    float value = worth(&reading, rgb->width, rgb->height);
    if (value <= best_worth)
      continue;
    best_worth = value;
    reading_clear(best);
    *best = reading;
    best->mask = image_copy(masks->pdata[i]);
  }
  return TRUE;
}

static int count_given(const GivenJoints *given) {
  int n = 0;
  for (int i = 0; given && i < JOINTS; i++)
    n += given->given[i];
  return n;
}

/* Mean distance of a figure's joints from those that the user has set, in figure heights. */
static float miss(const Figure *figure, const GivenJoints *given) {
  float sum = 0;
  for (int i = 0; i < JOINTS; i++)
    if (given->given[i])
      sum += hypotf(figure->joint[i][0] - given->at[i][0], figure->joint[i][1] - given->at[i][1]);
  return sum / ((float)MAX(count_given(given), 1) * MAX(figure->height, 1.0f));
}

/* A standing body in the mask's bounds: something for given joints to move, where nothing else is known. */
static Figure stand_in(const Image *mask) {
  static const float places[JOINTS][2] = {
      /* shares of the height from the top, of the height from the middle */
      [JOINT_HIP] = {0, 0.48f},
      [JOINT_WAIST] = {0, 0.38f},
      [JOINT_NECK] = {0, 0.18f},
      [JOINT_HEAD] = {0, 0.07f},
      [JOINT_CROWN] = {0, 0},
      [JOINT_LEFT_EAR] = {0.04f, 0.07f},
      [JOINT_RIGHT_EAR] = {-0.04f, 0.07f},
      [JOINT_LEFT_SHOULDER] = {0.11f, 0.19f},
      [JOINT_RIGHT_SHOULDER] = {-0.11f, 0.19f},
      [JOINT_LEFT_ELBOW] = {0.15f, 0.36f},
      [JOINT_RIGHT_ELBOW] = {-0.15f, 0.36f},
      [JOINT_LEFT_WRIST] = {0.17f, 0.50f},
      [JOINT_RIGHT_WRIST] = {-0.17f, 0.50f},
      [JOINT_LEFT_HAND] = {0.17f, 0.55f},
      [JOINT_RIGHT_HAND] = {-0.17f, 0.55f},
      [JOINT_LEFT_HIP] = {0.06f, 0.48f},
      [JOINT_RIGHT_HIP] = {-0.06f, 0.48f},
      [JOINT_LEFT_KNEE] = {0.07f, 0.71f},
      [JOINT_RIGHT_KNEE] = {-0.07f, 0.71f},
      [JOINT_LEFT_ANKLE] = {0.07f, 0.95f},
      [JOINT_RIGHT_ANKLE] = {-0.07f, 0.95f},
      [JOINT_LEFT_TOE] = {0.09f, 0.99f},
      [JOINT_RIGHT_TOE] = {-0.09f, 0.99f}};
  int box[4] = {mask->width, mask->height, 0, 0};
  for (int y = 0; y < mask->height; y++)
    for (int x = 0; x < mask->width; x++)
      if (*image_at(mask, x, y) >= 128) {
        box[0] = MIN(box[0], x), box[1] = MIN(box[1], y);
        box[2] = MAX(box[2], x + 1), box[3] = MAX(box[3], y + 1);
      }
  Figure figure = {.source = FIGURE_FROM_SILHOUETTE, .height = (float)MAX(box[3] - box[1], 1)};
  for (int i = 0; i < JOINTS; i++) {
    figure.joint[i][0] = 0.5f * (float)(box[0] + box[2]) + places[i][0] * figure.height;
    figure.joint[i][1] = (float)box[1] + places[i][1] * figure.height;
    figure.visibility[i] = 0.1f;
  }
  return figure;
}

static void note_reading(const Reading *reading, const Figure *figure, int people, Progress *progress) {
  if (people > 1)
    progress_note(progress, "%d people were found; the largest and most central one is taken.", people);
  if (figure->visibility[JOINT_LEFT_KNEE] <= 0 && figure->visibility[JOINT_RIGHT_KNEE] <= 0)
    progress_note(progress, "The legs are outside the picture: over the original background the performer's "
                            "own are kept. A picture of the whole body gives a better result.");
  else if (figure->visibility[JOINT_LEFT_ANKLE] <= 0 && figure->visibility[JOINT_RIGHT_ANKLE] <= 0)
    progress_note(progress, "The feet are outside the picture: over the original background the performer's "
                            "own are kept. A picture of the whole body gives a better result.");
  if (reading->belief < BELIEF)
    progress_note(progress, "The pose is uncertain; set wrong joints in a --joints file.");
}

static gboolean from_silhouette(const Image *silhouette, const GivenJoints *given, Figure *figure,
                                Progress *progress, GError **error) {
  if (silhouette_joints(silhouette, figure, error)) {
    progress_note(progress,
                  "The joints were read from the figure's outline; set wrong ones in a --joints file.");
    return TRUE;
  }
  if (count_given(given) < 6)
    return FALSE;
  g_clear_error(error);
  *figure = stand_in(silhouette);
  return TRUE;
}

gboolean figure_find(const Image *picture, PoseEstimator *network, const Image *mask,
                     const GivenJoints *given, Figure *figure, Image **coarse, Progress *progress,
                     GError **error) {
  if (picture->channels < 3)
    return fault(error, FAULT_INTERNAL, "A picture has 3 or 4 channels.");
  if (mask && (mask->width != picture->width || mask->height != picture->height))
    return fault(error, FAULT_INPUT,
                 "The mask is %d x %d pixels, the picture %d x %d; they must be the same.", mask->width,
                 mask->height, picture->width, picture->height);
  g_autoptr(Image) rgb = flatten(picture), silhouette = find_silhouette(picture, rgb, mask);
  gboolean cutout = mask || (picture->channels == 4 && cutout_has_alpha(picture));
  g_auto(Reading) reading = {0};
  int people = 0;
  if (network) {
    if (!read_picture(network, rgb, silhouette, &reading, &people, error))
      return FALSE;
  }
  Figure seen = {0}, outlined = {0};
  gboolean has_seen = reading.mask && reading.belief >= (silhouette ? BELIEF : LAST_RESORT),
           has_outlined = FALSE;
  if (has_seen)
    seen = figure_from_pose(&reading.pose, cutout ? silhouette : reading.mask);
  if (silhouette && (!has_seen || count_given(given) >= 3))
    has_outlined =
        from_silhouette(silhouette, given, &outlined, has_seen ? NULL : progress, has_seen ? NULL : error);
  if (!has_seen && !has_outlined) {
    if (silhouette) /* the reason is set */
      return FALSE;
    return fault(error, FAULT_NOBODY, "Nobody was found in the picture. " ADVICE);
  }
  gboolean use_seen = has_seen && !(has_outlined && miss(&outlined, given) < miss(&seen, given));
  *figure = use_seen ? seen : outlined;
  if (use_seen)
    note_reading(&reading, figure, people, progress);
  if (given)
    figure_give(figure, given);
  *coarse = image_copy(use_seen && !cutout ? reading.mask : silhouette);
  return TRUE;
}
