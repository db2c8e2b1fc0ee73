#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

#include "golden.h"
#include <math.h>
#include <vips/vips.h>

char *golden_path(const char *name) {
  const char *named = g_getenv("GOLDEN_PERCEPTION"), *shared = g_getenv("TROUPE_SHARED");
  g_autofree char *folder =
      named ? g_strdup(named) : g_build_filename(shared ? shared : "../shared", "golden-perception", NULL);
  g_autofree char *path = g_build_filename(folder, name, NULL);
  if (g_file_test(path, G_FILE_TEST_EXISTS))
    return g_steal_pointer(&path);
  print_message("skipped: %s is absent\n", named ? folder : "../shared");
  return NULL;
}

json_t *golden_json(const char *name) {
  g_autofree char *path = golden_path(name);
  if (!path)
    return NULL;
  json_error_t problem;
  json_t *json = json_load_file(path, 0, &problem);
  if (!json)
    fail_msg("%s: %s", path, problem.text);
  return json;
}

Image *golden_image(const char *name, int channels) {
  g_autofree char *path = golden_path(name);
  VipsImage *in = path ? vips_image_new_from_file(path, "access", VIPS_ACCESS_SEQUENTIAL, NULL) : NULL;
  if (!in)
    fail_msg("%s cannot be read", name);
  assert_int_equal(in->Bands, channels);
  size_t size;
  guint8 *pixels = vips_image_write_to_memory(in, &size);
  Image *image = image_new(in->Xsize, in->Ysize, channels);
  assert_int_equal(size, (size_t)in->Xsize * (size_t)in->Ysize * (size_t)channels);
  memcpy(image->pixels, pixels, size);
  g_free(pixels);
  g_object_unref(in);
  return image;
}

double golden_number(json_t *object, const char *key) {
  json_t *value = json_object_get(object, key);
  assert_true(json_is_number(value));
  return json_number_value(value);
}

double golden_at(json_t *array, gsize index) {
  json_t *value = json_array_get(array, index);
  assert_true(json_is_number(value));
  return json_number_value(value);
}

void spread_add(Spread *spread, double difference) {
  /* Not a number counts as infinitely far. */
  difference = isnan(difference) ? INFINITY : fabs(difference);
  spread->worst = MAX(spread->worst, difference);
  spread->sum += difference;
  spread->count++;
}

double spread_mean(const Spread *spread) {
  return spread->count ? spread->sum / spread->count : 0;
}

double mask_iou(const Image *a, const Image *b) {
  gsize n = (gsize)a->width * (gsize)a->height, both = 0, any = 0;
  assert_int_equal(a->width, b->width);
  assert_int_equal(a->height, b->height);
  for (gsize i = 0; i < n; i++) {
    gboolean in_a = a->pixels[i] > 127, in_b = b->pixels[i] > 127;
    both += in_a && in_b;
    any += in_a || in_b;
  }
  return any ? (double)both / (double)any : 1;
}

double mask_difference(const Image *a, const Image *b) {
  gsize n = (gsize)a->width * (gsize)a->height;
  double sum = 0;
  for (gsize i = 0; i < n; i++)
    sum += abs(a->pixels[i] - b->pixels[i]);
  return sum / (double)n;
}
