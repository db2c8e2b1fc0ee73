/* The network's mask is right about where the figure is and wrong about its edge by one or two per cent of
 * its height. So the mask only decides what is certain; the band between is matted from the picture's
 * colours. */
#include "puppet/cutout.h"

#include "base/fault.h"
#include "puppet/foreground.h"
#include "puppet/matte.h"

#include <math.h>
#include <string.h>

#define PRESENT 26 /* mask value from which the network suspects the figure */
#define SOLID 128
#define MATTE_HEIGHT 1100.0f /* the band is matted at a size where the figure is at most this high */
#define FINE_HEIGHT 2000.0f  /* and its alpha refined at up to this */

/* Of an alpha channel that is a cutout: shares of all pixels, and of the largest piece among the solid ones.
 */
#define LEAST_CLEAR 0.02
#define LEAST_OPAQUE 0.01
#define MAIN_PIECE 0.7

typedef struct {
  int x, y, width, height;
} Box;

typedef struct {
  float x, y, radius; /* around the hair; radius 0: not known */
} Head;

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

static Head find_head(const Box *figure_box, const Image *mask, const Figure *figure) {
  if (figure) {
    const float(*joint)[2] = figure->joint;
    float x = (joint[JOINT_LEFT_EAR][0] + joint[JOINT_RIGHT_EAR][0]) / 2;
    float y = (joint[JOINT_LEFT_EAR][1] + joint[JOINT_RIGHT_EAR][1]) / 2;
    float dx = joint[JOINT_HEAD][0] - (joint[JOINT_LEFT_SHOULDER][0] + joint[JOINT_RIGHT_SHOULDER][0]) / 2;
    float dy = joint[JOINT_HEAD][1] - (joint[JOINT_LEFT_SHOULDER][1] + joint[JOINT_RIGHT_SHOULDER][1]) / 2;
    return (Head){x, y, 1.4f * hypotf(dx, dy)};
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
  return (Head){count > 0 ? (float)(sum / count) : 0, (float)figure_box->y + 0.08f * h, 0.14f * h};
}

/* --- trimap
 * ---------------------------------------------------------------------------------------------------- */

static Plane *make_trimap(const Plane *mask, float height, Head head) {
  gsize n = (gsize)mask->width * (gsize)mask->height;
  g_autoptr(Plane) unsure = plane_new(mask->width, mask->height);
  for (gsize i = 0; i < n; i++)
    unsure->v[i] = mask->v[i] > 0.9f ? 0 : 1;
  g_autoptr(Plane) depth = plane_distance(unsure, 0.5f, NULL);
  g_autoptr(Plane) beyond = plane_distance(mask, 0.1f, NULL);
  Plane *trimap = plane_new(mask->width, mask->height);
  for (int y = 0; y < mask->height; y++)
    for (int x = 0; x < mask->width; x++) {
      gboolean near_head = hypotf((float)x - head.x, (float)y - head.y) < head.radius;
      float inner = (near_head ? 0.015f : 0.010f) * height, outer = (near_head ? 0.035f : 0.014f) * height;
      gsize i = (gsize)y * (gsize)mask->width + (gsize)x;
      trimap->v[i] = depth->v[i] > inner ? 1 : beyond->v[i] > outer ? 0 : MATTE_UNKNOWN;
    }
  return trimap;
}

/* --- tidying
 * ---------------------------------------------------------------------------------------------------- */

static void stretch(Plane *alpha) {
  for (gsize i = 0; i < (gsize)alpha->width * (gsize)alpha->height; i++)
    alpha->v[i] = CLAMP((alpha->v[i] - 0.10f) / 0.82f, 0.0f, 1.0f);
}

/* Removes pieces that are small, or lie apart from the main piece. */
static void drop_islands(Plane *alpha, float height) {
  gsize n = (gsize)alpha->width * (gsize)alpha->height;
  g_autofree int *labels = g_new(int, n), *sizes = NULL;
  int count = plane_regions(alpha, 0.1f, labels, &sizes), main_piece = 0;
  for (int k = 1; k <= count; k++)
    if (main_piece == 0 || sizes[k] > sizes[main_piece])
      main_piece = k;
  g_autoptr(Plane) body = plane_new(alpha->width, alpha->height);
  for (gsize i = 0; i < n; i++)
    body->v[i] = labels[i] == main_piece && main_piece;
  g_autoptr(Plane) distance = plane_distance(body, 0.5f, NULL);
  g_autofree gboolean *near = g_new0(gboolean, count + 1);
  for (gsize i = 0; i < n; i++)
    if (distance->v[i] <= 0.01f * height)
      near[labels[i]] = TRUE;
  for (gsize i = 0; i < n; i++)
    if (labels[i] != main_piece &&
        (!labels[i] || !near[labels[i]] || sizes[labels[i]] < 0.002f * sizes[main_piece]))
      alpha->v[i] = labels[i] ? 0 : alpha->v[i];
}

/* Closes gaps too small to be seen through. */
static void close_holes(Plane *alpha, float height) {
  gsize n = (gsize)alpha->width * (gsize)alpha->height;
  g_autoptr(Plane) clear = plane_new(alpha->width, alpha->height);
  for (gsize i = 0; i < n; i++)
    clear->v[i] = 1 - alpha->v[i];
  g_autofree int *labels = g_new(int, n), *sizes = NULL;
  plane_regions(clear, 0.1f, labels, &sizes);
  for (gsize i = 0; i < n; i++)
    if (labels[i] && (float)sizes[labels[i]] < 0.00015f * height * height)
      alpha->v[i] = 1;
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
  Head head = find_head(&body, coarse, figure);
  int margin = 8 + body.height / 20;
  g_autoptr(Image) picture =
      image_crop(rgb, crop.x - margin, crop.y - margin, crop.width + 2 * margin, crop.height + 2 * margin);
  g_autoptr(Image) mask =
      image_crop(coarse, crop.x - margin, crop.y - margin, crop.width + 2 * margin, crop.height + 2 * margin);
  crop = (Box){MAX(0, crop.x - margin), MAX(0, crop.y - margin), picture->width, picture->height};

  float scale = MIN(1.0f, MATTE_HEIGHT / (float)body.height), height = (float)body.height * scale;
  g_autoptr(Image) small = scaled(picture, scale), small_mask_image = scaled(mask, scale);
  g_autoptr(Plane) small_mask = plane_from_image(small_mask_image, 0);
  Head small_head = {(head.x - (float)crop.x) * scale, (head.y - (float)crop.y) * scale, head.radius * scale};
  g_autoptr(Plane) trimap = make_trimap(small_mask, height, small_head);
  g_autoptr(MattePrior) prior = matte_prior_new(small, trimap, 0.01f * height);
  g_autoptr(Plane) alpha = matte_solve(small, trimap, prior->alpha, prior->trust, NULL, 40);
  stretch(alpha);
  drop_islands(alpha, height);
  close_holes(alpha, height);
  Colours colours;
  foreground_estimate(&colours, small, alpha, (int)(0.05f * height), MAX(1, (int)(0.004f * height)));
  g_autoptr(Plane) fine = scale < 1 ? refine(picture, alpha, &colours) : plane_copy(alpha);
  foreground_clear(&colours);
  foreground_estimate(&colours, picture, fine, (int)(0.05f * (float)body.height),
                      MAX(1, (int)(0.004f * (float)body.height)));
  foreground_extend(colours.figure, fine, 0.7f, 0.02f * (float)body.height);
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
