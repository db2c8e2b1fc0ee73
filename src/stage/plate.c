/* While frames come in, every step-th is kept; when the store is full every second of the kept is dropped and
 * the step doubled, so that the samples are spread evenly over a run whose length nobody knew.
 *
 * A mask is never exact: a fast hand is blurred beyond it, hair and shadows lie outside. So a sample counts
 * as free of people only where the masks of the frame before, its own and of the one after, grown by a share
 * of the figure's height, are all empty (clear); where nobody ever leaves that belt, a narrower one is
 * accepted (near). */
#include "stage/plate.h"
#include "stage/inpaint.h"
#include "stage/plate_front.h"
#include "stage/plate_samples.h"

#include <math.h>
#include <string.h>

#define STORE_BYTES (200 * 1000 * 1000) /* of kept frames */
#define STORE_MIN 12                    /* frames, however large they are */

static const float SOMEBODY = 0.1f;     /* mask values above are somebody */
static const float GROW_CLEAR = 0.022f; /* of the figure's height */
static const float GROW_NEAR = 0.006f;
static const float ISLAND =
    0.002f;                        /* of the plate: smaller known parts within the unknown are not believed */
static const float SHADOW = 0.03f; /* of the figure's height, below it: the shadow at the feet */

struct PlateBuilder {
  VideoInfo info;
  GPtrArray *samples; /* Sample * */
  Image *before;      /* people of the frame before, or NULL */
  FrontFinder *front;
  int capacity, step, count;
};

static void sample_free(gpointer data) {
  Sample *sample = data;
  av_frame_free(&sample->frame);
  image_free(sample->people);
  image_free(sample->tier);
  for (int c = 0; c < 3; c++)
    plane_free(sample->gain[c]);
  g_free(sample);
}

PlateBuilder *plate_builder_new(const VideoInfo *info) {
  PlateBuilder *builder = g_new0(PlateBuilder, 1);
  gint64 bytes = (gint64)info->width * info->height * 3 / 2;
  builder->info = *info;
  builder->samples = g_ptr_array_new_with_free_func(sample_free);
  builder->capacity = (int)CLAMP(STORE_BYTES / bytes, STORE_MIN, PLATE_SAMPLES_MAX) & ~1;
  builder->step = 1;
  builder->front = front_finder_new(info);
  return builder;
}

void plate_builder_free(PlateBuilder *builder) {
  if (!builder)
    return;
  g_ptr_array_unref(builder->samples);
  image_free(builder->before);
  front_finder_free(builder->front);
  g_free(builder);
}

int plate_builder_count(const PlateBuilder *builder) {
  return builder->count;
}

static void join(Image *people, const Image *more) {
  for (gsize i = 0; i < (gsize)people->width * (gsize)people->height; i++)
    people->pixels[i] = MAX(people->pixels[i], more->pixels[i]);
}

static void drop_every_second(PlateBuilder *builder) {
  builder->step *= 2;
  for (guint i = builder->samples->len; i-- > 0;)
    if (((Sample *)builder->samples->pdata[i])->index % builder->step)
      g_ptr_array_remove_index(builder->samples, i);
}

void plate_builder_add(PlateBuilder *builder, const AVFrame *frame, const Image *people) {
  g_return_if_fail(frame->width == builder->info.width && frame->height == builder->info.height);
  int index = builder->count++;
  front_finder_add(builder->front, frame, people);
  GPtrArray *samples = builder->samples;
  Sample *last = samples->len ? samples->pdata[samples->len - 1] : NULL;
  if (people && last && last->index == index - 1) {
    if (last->people)
      join(last->people, people);
    else
      last->people = image_copy(people);
  }
  if (index % builder->step == 0 && (int)samples->len == builder->capacity)
    drop_every_second(builder);
  if (index % builder->step == 0) {
    Sample *sample = g_new0(Sample, 1);
    sample->index = index;
    sample->frame = av_frame_clone(frame);
    sample->people = people ? image_copy(people) : builder->before ? image_copy(builder->before) : NULL;
    if (people && builder->before)
      join(sample->people, builder->before);
    g_ptr_array_add(samples, sample);
  }
  g_clear_pointer(&builder->before, image_free);
  builder->before = people ? image_copy(people) : NULL;
}

/* --- where nobody is --- */

/* The tallest figure's height is not known from a union of masks; that of its bounding box is never smaller.
 */
static float figure_height(const Plane *people) {
  int top = -1, bottom = -1;
  for (int y = 0; y < people->height; y++)
    for (int x = 0; x < people->width; x++)
      if (*plane_at(people, x, y) >= 0.5f) {
        top = top < 0 ? y : top;
        bottom = y;
        break;
      }
  return (float)(bottom - top + 1);
}

static void find_tiers(Sample *sample) {
  if (!sample->people)
    return;
  int w = sample->people->width, h = sample->people->height;
  g_autoptr(Plane) people = plane_from_image(sample->people, 0);
  for (int i = 0; i < w * h; i++)
    people->v[i] = people->v[i] > SOMEBODY ? 1.0f : 0.0f;
  g_clear_pointer(&sample->people, image_free);
  float height = figure_height(people);
  g_autoptr(Plane) distance = plane_distance(people, 0.5f, NULL);
  sample->tier = image_new(w, h, 1);
  int shadow = (int)(SHADOW * height);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      float d = *plane_at(distance, x, y), above = *plane_at(distance, x, MAX(y - shadow, 0));
      Tier tier = MIN(d, above) > GROW_CLEAR * height + 2 ? TIER_CLEAR
                  : d > GROW_NEAR * height + 1.5f         ? TIER_NEAR
                                                          : TIER_PERSON;
      *image_at(sample->tier, x, y) = (guint8)tier;
    }
}

/* What stands in front hides the background as a person does: near is what lies within a place of the tiers.
 */
static void cover_tiers(Sample *sample, const Front *front) {
  int span = 0, w = front->width / 2, h = front->height / 2;
  while (span + 1 < front->spans && sample->index >= front->begin[span + 1])
    span++;
  if (!sample->tier) {
    sample->tier = image_new(sample->frame->width / 4, sample->frame->height / 4, 1);
    memset(sample->tier->pixels, TIER_CLEAR, (gsize)sample->tier->width * (gsize)sample->tier->height);
  }
  Image *tier = sample->tier;
  float across = 2.0f * (float)tier->width / (float)sample->frame->width,
        down = 2.0f * (float)tier->height / (float)sample->frame->height;
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      if (!*image_at(front->alpha, x, span * h + y))
        continue;
      int tx = (int)(((float)(x + front->x / 2) + 0.5f) * across),
          ty = (int)(((float)(y + front->y / 2) + 0.5f) * down);
      for (int v = MAX(ty - 1, 0); v <= MIN(ty + 1, tier->height - 1); v++)
        for (int u = MAX(tx - 1, 0); u <= MIN(tx + 1, tier->width - 1); u++)
          *image_at(tier, u, v) = TIER_PERSON;
    }
}

/* Leaves out the frames in which somebody may be without a mask, unless that leaves too few. */
static void drop_doubtful(GPtrArray *samples, const gboolean *doubtful) {
  guint trusted = 0;
  for (guint i = 0; i < samples->len; i++)
    trusted += !doubtful[((Sample *)samples->pdata[i])->index];
  if (trusted < MAX(3, samples->len / 4))
    return;
  for (guint i = samples->len; i-- > 0;)
    if (doubtful[((Sample *)samples->pdata[i])->index])
      g_ptr_array_remove_index(samples, i);
}

/* --- geometry --- */

gboolean homography_invert(const float h[9], float inverse[9]) {
  double a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], i = h[7], j = h[8];
  double adjugate[9] = {e * j - f * i, c * i - b * j, b * f - c * e, f * g - d * j, a * j - c * g,
                        c * d - a * f, d * i - e * g, b * g - a * i, a * e - b * d};
  double determinant = a * adjugate[0] + b * adjugate[3] + c * adjugate[6];
  if (!(fabs(determinant) > 1e-12) || !(fabs(adjugate[8] / determinant) > 1e-12))
    return FALSE;
  for (int k = 0; k < 9; k++)
    inverse[k] = (float)(adjugate[k] / adjugate[8]);
  return TRUE;
}

void homography_multiply(const float a[9], const float b[9], float product[9]) {
  double result[9];
  for (int row = 0; row < 3; row++)
    for (int column = 0; column < 3; column++) {
      double sum = 0;
      for (int k = 0; k < 3; k++)
        sum += (double)a[row * 3 + k] * b[k * 3 + column];
      result[row * 3 + column] = sum;
    }
  double scale = fabs(result[8]) > 1e-12 ? 1 / result[8] : 1;
  for (int k = 0; k < 9; k++)
    product[k] = (float)(result[k] * scale);
}

PlateExtent plate_extent_of(const float homography[9], int width, int height) {
  PlateExtent extent = {1e9f, 1e9f, -1e9f, -1e9f};
  for (int corner = 0; corner < 4; corner++) {
    float x, y;
    if (!homography_apply(homography, corner & 1 ? (float)(width - 1) : 0,
                          corner & 2 ? (float)(height - 1) : 0, &x, &y))
      return (PlateExtent){-1e9f, -1e9f, 1e9f, 1e9f};
    extent = plate_extent_join(extent, (PlateExtent){x, y, x, y});
  }
  return extent;
}

PlateExtent plate_extent_join(PlateExtent a, PlateExtent b) {
  return (PlateExtent){MIN(a.x0, b.x0), MIN(a.y0, b.y0), MAX(a.x1, b.x1), MAX(a.y1, b.y1)};
}

gboolean plate_extent_fits(PlateExtent extent, int width, int height) {
  return extent.x1 - extent.x0 <= PLATE_EXTENT_MAX * (float)width - 4 &&
         extent.y1 - extent.y0 <= PLATE_EXTENT_MAX * (float)height - 4;
}

/* The plate's rectangle, and every sample's way from it into its frame. */
static void lay_out(PlateBuilder *builder, Plate *plate, int *width, int *height) {
  *width = builder->info.width;
  *height = builder->info.height;
  for (guint s = 0; s < builder->samples->len; s++)
    ((Sample *)builder->samples->pdata[s])->still = plate->still;
  if (plate->still)
    return;
  PlateExtent extent = plate_extent_of(plate->homography[0], *width, *height);
  for (int i = 1; i < plate->count; i++)
    extent = plate_extent_join(extent, plate_extent_of(plate->homography[i], *width, *height));
  plate->x0 = floorf(extent.x0);
  plate->y0 = floorf(extent.y0);
  int most_w = (int)(PLATE_EXTENT_MAX * (float)*width), most_h = (int)(PLATE_EXTENT_MAX * (float)*height);
  *width = (int)CLAMP(ceilf(extent.x1 - plate->x0) + 2, 2, (float)most_w) & ~1;
  *height = (int)CLAMP(ceilf(extent.y1 - plate->y0) + 2, 2, (float)most_h) & ~1;
  const float shift[9] = {1, 0, plate->x0, 0, 1, plate->y0, 0, 0, 1};
  for (guint s = builder->samples->len; s-- > 0;) {
    Sample *sample = builder->samples->pdata[s];
    float inverse[9];
    if (homography_invert(plate->homography[sample->index], inverse))
      homography_multiply(inverse, shift, sample->toward);
    else
      g_ptr_array_remove_index(builder->samples, s);
  }
}

/* --- putting together --- */

/* What has to be filled: the unknown, islands in it that only faults of the masks can have made, and the
 * border of what is known, whose chroma is shared with the unknown. */
static Image *hole_of(const Image *known) {
  gsize n = (gsize)known->width * (gsize)known->height;
  g_autoptr(Plane) hole = plane_from_image(known, 0);
  g_autofree int *labels = g_new(int, n), *sizes = NULL;
  plane_regions(hole, 0.5f, labels, &sizes);
  for (gsize i = 0; i < n; i++)
    hole->v[i] = labels[i] && (float)sizes[labels[i]] >= ISLAND * (float)n ? 0.0f : 1.0f;
  plane_dilate(hole, 2.0f);
  return plane_to_image(hole);
}

Plate *plate_builder_finish(PlateBuilder *builder, const gboolean *doubtful, float (*homography)[9]) {
  Plate *plate = g_new0(Plate, 1);
  plate->count = builder->count;
  plate->still = homography == NULL;
  plate->homography = homography ? homography : g_malloc0_n((gsize)builder->count, sizeof *homography);
  for (int i = 0; i < plate->count && plate->still; i++)
    memcpy(plate->homography[i], (const float[9]){1, 0, 0, 0, 1, 0, 0, 0, 1}, sizeof *homography);
  if (doubtful)
    drop_doubtful(builder->samples, doubtful);
  int width, height;
  lay_out(builder, plate, &width, &height);
  plate->width = width;
  plate->height = height;
  for (guint s = 0; s < builder->samples->len; s++)
    find_tiers(builder->samples->pdata[s]);
  plate->front = plate->still ? front_finder_finish(builder->front, builder->samples) : NULL;
  for (guint s = 0; s < builder->samples->len && plate->front; s++)
    cover_tiers(builder->samples->pdata[s], plate->front);
  samples_compensate(builder->samples, width, height);
  AVFrame *median = samples_median(builder->samples, width, height, &plate->known);
  g_ptr_array_set_size(builder->samples, 0);
  VideoInfo info = builder->info;
  info.width = width;
  info.height = height;
  g_autoptr(ColourConverter) converter = colour_converter_new(&info);
  plate->picture = image_new(width, height, 3);
  colour_to_rgb(converter, median, plate->picture);
  av_frame_free(&median);
  g_autoptr(Image) hole = hole_of(plate->known);
  for (gsize i = 0; i < (gsize)width * (gsize)height; i++)
    plate->known->pixels[i] = hole->pixels[i] ? 0 : 255;
  inpaint_fill(plate->picture, hole);
  return plate;
}

void plate_free(Plate *plate) {
  if (!plate)
    return;
  g_free(plate->homography);
  image_free(plate->picture);
  image_free(plate->known);
  front_free(plate->front);
  g_free(plate);
}

/* --- looking at it --- */

/* Bilinear between four pixels, in 1/256. */
static void view_pixel(const Image *picture, float x, float y, guint8 *to) {
  x = CLAMP(x, 0.0f, (float)(picture->width - 1));
  y = CLAMP(y, 0.0f, (float)(picture->height - 1));
  int x0 = (int)x, y0 = (int)y, fx = (int)((x - (float)x0) * 256), fy = (int)((y - (float)y0) * 256);
  const guint8 *a = image_at(picture, x0, y0), *b = x0 + 1 < picture->width ? a + 3 : a;
  gssize down = y0 + 1 < picture->height ? (gssize)picture->width * 3 : 0;
  for (int k = 0; k < 3; k++) {
    int top = a[k] * (256 - fx) + b[k] * fx, bottom = a[down + k] * (256 - fx) + b[down + k] * fx;
    to[k] = (guint8)((top * (256 - fy) + bottom * fy + 32768) >> 16);
  }
}

void plate_view(const Plate *plate, int index, Image *rgb) {
  g_return_if_fail(plate->picture && index >= 0 && index < plate->count && rgb->channels == 3);
  if (plate->still && rgb->width == plate->picture->width && rgb->height == plate->picture->height) {
    memcpy(rgb->pixels, plate->picture->pixels, (gsize)rgb->width * (gsize)rgb->height * 3);
    return;
  }
  const float *h = plate->homography[index];
  for (int y = 0; y < rgb->height; y++)
    for (int x = 0; x < rgb->width; x++) {
      float w = MAX(h[6] * (float)x + h[7] * (float)y + h[8], 1e-6f);
      float u = (h[0] * (float)x + h[1] * (float)y + h[2]) / w,
            v = (h[3] * (float)x + h[4] * (float)y + h[5]) / w;
      view_pixel(plate->picture, u - plate->x0, v - plate->y0, image_at(rgb, x, y));
    }
}
