/* The network's mask is right about where the figure is and wrong about its edge by one or two per cent of
 * its height. So the mask only decides what is certain; the band between is matted from the picture's
 * colours. */
#include "puppet/cutout/cutout.h"

#include "base/fault.h"
#include "puppet/cutout/alpha.h"
#include "puppet/cutout/detail.h"
#include "puppet/cutout/foreground.h"
#include "puppet/cutout/matte.h"
#include "puppet/cutout/trimap.h"

#include <math.h>
#include <string.h>

#define PRESENT 26 /* mask value from which the network suspects the figure */
#define SOLID 128

/* Figure heights in pixels at the three sizes of matting. */
#define ROUGH_HEIGHT 420.0f
#define MATTE_HEIGHT 1100.0f
#define FINE_HEIGHT 2000.0f
#define SOLVE_ROUNDS 40

/* Shares of the figure's height. */
#define MARGIN 0.05f    /* around the mask */
#define FEET 0.12f      /* from the bottom: where a figure's shadow meets it */
#define UNIT 0.01f      /* over which colours are taken to be stable */
#define WIDE_MEAN 0.05f /* windows of the colour estimate */
#define NARROW_MEAN 0.004f
#define RIM 0.001f         /* the ground shines into so much of the figure's edge */
#define COLOUR_REACH 0.02f /* colours go on beyond the figure */

#define TRUSTED_COLOUR 0.6f /* alpha from which a pixel's estimated colour is believed a little */

/* Of an alpha channel that is a cutout: shares of all pixels, and of the largest piece among solid ones. */
#define LEAST_CLEAR 0.02
#define LEAST_OPAQUE 0.01
#define MAIN_PIECE 0.7

typedef struct {
  int x, y, width, height;
} Box;

static gboolean mask_box(const Image *mask, guint8 threshold, Box *box) {
  int x0 = mask->width, y0 = mask->height, x1 = -1, y1 = -1;
  for (int y = 0; y < mask->height; y++)
    for (int x = 0; x < mask->width; x++)
      if (*image_at(mask, x, y) >= threshold) {
        x0 = MIN(x0, x);
        x1 = MAX(x1, x);
        y0 = MIN(y0, y);
        y1 = MAX(y1, y);
      }
  *box = (Box){x0, y0, x1 - x0 + 1, y1 - y0 + 1};
  return x1 >= 0;
}

static float neck_to_nose(const Figure *figure) {
  const float(*joint)[2] = figure->joint;
  return hypotf(joint[JOINT_HEAD][0] - (joint[JOINT_LEFT_SHOULDER][0] + joint[JOINT_RIGHT_SHOULDER][0]) / 2,
                joint[JOINT_HEAD][1] - (joint[JOINT_LEFT_SHOULDER][1] + joint[JOINT_RIGHT_SHOULDER][1]) / 2);
}

/* Height of the whole body, also of a figure that lies or of which only the upper half is in the picture. */
static float figure_height(const Box *box, const Figure *figure) {
  float height = MAX((float)box->height, 0.8f * (float)box->width);
  float whole = figure ? 9.0f * neck_to_nose(figure) : height;
  return isfinite(whole) ? CLAMP(whole, height, 1.6f * height) : height;
}

static TrimapHead find_head(const Box *figure_box, const Image *mask, const Figure *figure) {
  if (figure) {
    const float(*joint)[2] = figure->joint;
    float x = (joint[JOINT_LEFT_EAR][0] + joint[JOINT_RIGHT_EAR][0]) / 2;
    float y = (joint[JOINT_LEFT_EAR][1] + joint[JOINT_RIGHT_EAR][1]) / 2;
    return (TrimapHead){x, y, 1.4f * neck_to_nose(figure)};
  }
  /* The middle of the mask's topmost tenth. */
  double sum = 0, count = 0;
  for (int y = figure_box->y; y < figure_box->y + MAX(1, figure_box->height / 10); y++)
    for (int x = figure_box->x; x < figure_box->x + figure_box->width; x++)
      if (*image_at(mask, x, y) >= SOLID) {
        sum += x;
        count++;
      }
  float h = (float)figure_box->height;
  return (TrimapHead){count > 0 ? (float)(sum / count) : 0, (float)figure_box->y + 0.08f * h, 0.14f * h};
}

/* --- passes -------------------------------------------------------------------------------------- */

typedef struct {
  TrimapHead head;
  TrimapMargins margins; /* shares of the height */
  float height;          /* of the figure, as everything in picture pixels */
  float bottom;
} Task;

/* Everything at another size: the matte of `rgb` where `mask` leaves it open. */
static Plane *matte_pass(const Image *rgb, const Plane *mask, const Task *task, float scale,
                         Colours *colours) {
  float height = task->height * scale;
  TrimapHead head = {task->head.x * scale, task->head.y * scale, task->head.radius * scale};
  TrimapMargins margins = {task->margins.inner * height, task->margins.outer * height,
                           task->margins.head_inner * height, task->margins.head_outer * height};
  g_autoptr(Plane) trimap = trimap_new(mask, &margins, &head);
  MatteScale matte_scale = {UNIT * height, task->bottom * scale - FEET * height};
  g_autoptr(MattePrior) prior = matte_prior_new(rgb, trimap, &matte_scale);
  Plane *alpha = matte_solve(rgb, trimap, prior->alpha, prior->trust, NULL, SOLVE_ROUNDS);
  alpha_stretch(alpha);
  foreground_estimate(colours, rgb, alpha, (int)(WIDE_MEAN * height), MAX(1, (int)(NARROW_MEAN * height)));
  alpha_resolve_veils(alpha, rgb, colours->ground, height);
  alpha_drop_islands(alpha, height);
  alpha_close_holes(alpha, height);
  return alpha;
}

/* --- sizes --------------------------------------------------------------------------------------- */

static Image *scaled(const Image *image, float scale) {
  return image_resize(image, MAX(1, (int)lroundf((float)image->width * scale)),
                      MAX(1, (int)lroundf((float)image->height * scale)));
}

/* The scale at which the figure is at most `height` high and the crop has at most as many pixels as a square
 * of 1.2 times that side. */
static float scale_for(const Task *task, const Image *picture, float height) {
  float pixels = (float)picture->width * (float)picture->height;
  return MIN(1.0f, MIN(height / task->height, 1.2f * height / sqrtf(pixels)));
}

/* RGBA of the crop, through three sizes: the first finds out where the edge really runs, the second mattes a
 * narrow band around it, the third sharpens that. */
static Image *cut(const Image *picture, const Image *mask, Task *task) {
  float fine_scale = scale_for(task, picture, FINE_HEIGHT), scale = scale_for(task, picture, ROUGH_HEIGHT);
  g_autoptr(Image) fine = scaled(picture, fine_scale), rough = scaled(fine, scale / fine_scale);
  g_autoptr(Image) rough_mask_image = image_resize(mask, rough->width, rough->height);
  g_autoptr(Plane) rough_mask = plane_from_image(rough_mask_image, 0);
  Colours colours;
  task->margins = (TrimapMargins){0.010f, 0.020f, 0.015f, 0.035f};
  g_autoptr(Plane) rough_alpha = matte_pass(rough, rough_mask, task, scale, &colours);
  foreground_clear(&colours);

  scale = scale_for(task, picture, MATTE_HEIGHT);
  g_autoptr(Image) middle = scaled(fine, scale / fine_scale);
  g_autoptr(Plane) middle_mask = plane_resize(rough_alpha, middle->width, middle->height);
  task->margins = (TrimapMargins){0.006f, 0.008f, 0.008f, 0.020f};
  g_autoptr(Plane) middle_alpha = matte_pass(middle, middle_mask, task, scale, &colours);

  g_autoptr(Plane) alpha = detail_refine(fine, middle_alpha, &colours);
  foreground_clear(&colours);
  float height = task->height * fine_scale;
  foreground_estimate(&colours, fine, alpha, (int)(WIDE_MEAN * height), MAX(1, (int)(NARROW_MEAN * height)));
  foreground_extend(colours.figure, colours.ground, alpha, TRUSTED_COLOUR, MAX(1.0f, RIM * height),
                    COLOUR_REACH * height);
  Image *result = detail_assemble(picture, alpha, &colours);
  foreground_clear(&colours);
  return result;
}

static Image *paste(const Image *part, int width, int height, int left, int top) {
  Image *result = image_new(width, height, part->channels);
  for (int y = 0; y < part->height; y++)
    memcpy(image_at(result, left, top + y), image_at(part, 0, y), (gsize)part->width * (gsize)part->channels);
  return result;
}

Image *cutout_refine(const Image *rgb, const Image *coarse, const Figure *figure, GError **error) {
  if (rgb->channels != 3 || coarse->channels != 1 || rgb->width != coarse->width ||
      rgb->height != coarse->height)
    return fault_null(error, FAULT_INTERNAL, "A cutout needs an RGB picture and a mask of the same size.");
  Box body, suspected;
  if (!mask_box(coarse, SOLID, &body) || !mask_box(coarse, PRESENT, &suspected))
    return fault_null(error, FAULT_NOBODY, "The mask of the figure is empty: nothing can be cut out.");
  Task task = {.head = find_head(&body, coarse, figure), .height = figure_height(&body, figure)};
  int margin = 8 + (int)(MARGIN * task.height), left = MAX(0, suspected.x - margin),
      top = MAX(0, suspected.y - margin);
  int right = MIN(rgb->width, suspected.x + suspected.width + margin);
  int bottom = MIN(rgb->height, suspected.y + suspected.height + margin);
  g_autoptr(Image) picture = image_crop(rgb, left, top, right - left, bottom - top);
  g_autoptr(Image) mask = image_crop(coarse, left, top, right - left, bottom - top);
  task.head.x -= (float)left;
  task.head.y -= (float)top;
  task.bottom = (float)(body.y + body.height - top);
  g_autoptr(Image) part = cut(picture, mask, &task);
  return paste(part, rgb->width, rgb->height, left, top);
}

gboolean cutout_has_alpha(const Image *rgba) {
  if (rgba->channels != 4)
    return FALSE;
  gsize n = (gsize)rgba->width * (gsize)rgba->height, clear = 0, opaque = 0;
  g_autoptr(Plane) alpha = plane_from_image(rgba, 3);
  for (gsize i = 0; i < n; i++) {
    clear += alpha->v[i] < 0.06f;
    opaque += alpha->v[i] > 0.94f;
  }
  if ((double)clear < LEAST_CLEAR * (double)n || (double)opaque < LEAST_OPAQUE * (double)n)
    return FALSE;
  g_autofree int *labels = g_new(int, n), *sizes = NULL;
  int count = plane_regions(alpha, 0.5f, labels, &sizes), largest = 0;
  gsize solid = 0;
  for (int k = 1; k <= count; k++) {
    largest = MAX(largest, sizes[k]);
    solid += (gsize)sizes[k];
  }
  return (double)largest >= MAIN_PIECE * (double)solid;
}
