/* The network's mask is right about where the figure is and wrong about its edge by one or two per cent of
 * its height. So the mask only decides what is certain; the band between is matted from the picture's
 * colours. */
#include "puppet/cutout.h"

#include "base/fault.h"
#include "puppet/alpha.h"
#include "puppet/foreground.h"
#include "puppet/matte.h"
#include "puppet/trimap.h"

#include <math.h>
#include <string.h>

#define PRESENT 26 /* mask value from which the network suspects the figure */
#define SOLID 128
#define FEET 0.12f           /* of the height, from the bottom: where a figure's shadow meets it */
#define MATTE_HEIGHT 1100.0f /* the band is matted at a size where the figure is at most this high */
#define ROUGH_HEIGHT 420.0f
#define SOLVE_ROUNDS 40
#define FINE_HEIGHT 2000.0f /* and its alpha refined at up to this */

/* Of an alpha channel that is a cutout: shares of all pixels, and of the largest piece among the solid ones.
 */
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

static TrimapHead find_head(const Box *figure_box, const Image *mask, const Figure *figure) {
  if (figure) {
    const float(*joint)[2] = figure->joint;
    float x = (joint[JOINT_LEFT_EAR][0] + joint[JOINT_RIGHT_EAR][0]) / 2;
    float y = (joint[JOINT_LEFT_EAR][1] + joint[JOINT_RIGHT_EAR][1]) / 2;
    float dx = joint[JOINT_HEAD][0] - (joint[JOINT_LEFT_SHOULDER][0] + joint[JOINT_RIGHT_SHOULDER][0]) / 2;
    float dy = joint[JOINT_HEAD][1] - (joint[JOINT_LEFT_SHOULDER][1] + joint[JOINT_RIGHT_SHOULDER][1]) / 2;
    return (TrimapHead){x, y, 1.4f * hypotf(dx, dy)};
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

/* --- passes
 * ----------------------------------------------------------------------------------------------------- */

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
  MatteScale matte_scale = {0.01f * height, task->bottom * scale - FEET * height};
  g_autoptr(MattePrior) prior = matte_prior_new(rgb, trimap, &matte_scale);
  Plane *alpha = matte_solve(rgb, trimap, prior->alpha, prior->trust, NULL, SOLVE_ROUNDS);
  alpha_stretch(alpha);
  foreground_estimate(colours, rgb, alpha, (int)(0.05f * height), MAX(1, (int)(0.004f * height)));
  alpha_resolve_veils(alpha, rgb, colours->ground, height);
  alpha_drop_islands(alpha, height);
  alpha_close_holes(alpha, height);
  return alpha;
}

/* --- sizes
 * ----------------------------------------------------------------------------------------------------- */

static Plane *refine(const Image *rgb, const Plane *coarse_alpha, const Colours *coarse) {
  int w = rgb->width, h = rgb->height;
  gsize n = (gsize)w * (gsize)h;
  g_autoptr(Plane) alpha = plane_resize(coarse_alpha, w, h);
  g_autoptr(Image) figure = image_resize(coarse->figure, w, h), ground = image_resize(coarse->ground, w, h);
  g_autoptr(Plane) trimap = plane_copy(alpha), guess = plane_new(w, h), trust = plane_new(w, h);
  for (gsize i = 0; i < n; i++)
    trimap->v[i] = alpha->v[i] > 0.004f && alpha->v[i] < 0.996f;
  plane_dilate(trimap, 2.0f);
  for (gsize i = 0; i < n; i++) {
    if (trimap->v[i] < 0.5f) {
      trimap->v[i] = alpha->v[i] < 0.5f ? 0 : 1;
      continue;
    }
    trimap->v[i] = MATTE_UNKNOWN;
    float dot = 0, square = 0, left = 0;
    for (gsize k = i * 3; k < i * 3 + 3; k++) {
      float d = (float)figure->pixels[k] - ground->pixels[k];
      dot += d * ((float)rgb->pixels[k] - ground->pixels[k]);
      square += d * d;
    }
    float a = CLAMP(dot / MAX(square, 1.0f), 0.0f, 1.0f);
    for (gsize k = i * 3; k < i * 3 + 3; k++) {
      float e = (float)rgb->pixels[k] - a * figure->pixels[k] - (1 - a) * ground->pixels[k];
      left += e * e;
    }
    guess->v[i] = a;
    trust->v[i] = expf(-sqrtf(left) / 6) * MIN(1.0f, sqrtf(square) / 40);
  }
  return matte_solve(rgb, trimap, guess, trust, alpha, 12);
}

static Image *assemble(const Image *rgb, Box crop, const Image *colours, const Plane *alpha) {
  Image *result = image_new(rgb->width, rgb->height, 4);
  for (int y = 0; y < crop.height; y++)
    for (int x = 0; x < crop.width; x++) {
      guint8 *to = image_at(result, crop.x + x, crop.y + y);
      memcpy(to, image_at(colours, x, y), 3);
      to[3] = (guint8)(*plane_at(alpha, x, y) * 255.0f + 0.5f);
    }
  return result;
}

static Image *scaled(const Image *image, float scale) {
  return image_resize(image, MAX(1, (int)lroundf((float)image->width * scale)),
                      MAX(1, (int)lroundf((float)image->height * scale)));
}

Image *cutout_refine(const Image *rgb, const Image *coarse, const Figure *figure, GError **error) {
  if (rgb->channels != 3 || coarse->channels != 1 || rgb->width != coarse->width ||
      rgb->height != coarse->height)
    return fault_null(error, FAULT_INTERNAL, "A cutout needs an RGB picture and a mask of the same size.");
  Box body, crop;
  if (!mask_box(coarse, SOLID, &body) || !mask_box(coarse, PRESENT, &crop))
    return fault_null(error, FAULT_NOBODY, "The mask of the figure is empty: nothing can be cut out.");
  Task task = {.head = find_head(&body, coarse, figure), .height = (float)body.height};
  int margin = 8 + body.height / 20;
  g_autoptr(Image) picture =
      image_crop(rgb, crop.x - margin, crop.y - margin, crop.width + 2 * margin, crop.height + 2 * margin);
  g_autoptr(Image) mask =
      image_crop(coarse, crop.x - margin, crop.y - margin, crop.width + 2 * margin, crop.height + 2 * margin);
  crop = (Box){MAX(0, crop.x - margin), MAX(0, crop.y - margin), picture->width, picture->height};
  task.head.x -= (float)crop.x;
  task.head.y -= (float)crop.y;
  task.bottom = (float)(body.y + body.height - crop.y);

  float scale = MIN(1.0f, ROUGH_HEIGHT / task.height);
  g_autoptr(Image) rough = scaled(picture, scale), rough_mask_image = scaled(mask, scale);
  g_autoptr(Plane) rough_mask = plane_from_image(rough_mask_image, 0);
  Colours colours;
  task.margins = (TrimapMargins){0.010f, 0.020f, 0.015f, 0.035f};
  g_autoptr(Plane) rough_alpha = matte_pass(rough, rough_mask, &task, scale, &colours);
  foreground_clear(&colours);

  scale = MIN(1.0f, MATTE_HEIGHT / task.height);
  g_autoptr(Image) small = scaled(picture, scale);
  g_autoptr(Plane) small_mask = plane_resize(rough_alpha, small->width, small->height);
  task.margins = (TrimapMargins){0.006f, 0.008f, 0.008f, 0.020f};
  g_autoptr(Plane) alpha = matte_pass(small, small_mask, &task, scale, &colours);
  g_autoptr(Plane) fine = scale < 1 ? refine(picture, alpha, &colours) : plane_copy(alpha);
  foreground_clear(&colours);
  foreground_estimate(&colours, picture, fine, (int)(0.05f * (float)body.height),
                      MAX(1, (int)(0.004f * (float)body.height)));
  foreground_extend(colours.figure, fine, 0.6f, 0.02f * (float)body.height);
  Image *result = assemble(rgb, crop, colours.figure, fine);
  foreground_clear(&colours);
  return result;
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
