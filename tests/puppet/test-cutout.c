/* Cutting out figures whose alpha and colours are known, because they were drawn on their ground here. */
#include "puppet/cutout/cutout.h"

#include "base/fault.h"
#include "puppet/cutout/agreement.h"
#include "puppet/cutout/alpha.h"
#include "puppet/cutout/foreground.h"
#include "puppet/cutout/matte.h"
#include "puppet/cutout/trimap.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* --- a figure on a ground ------------------------------------------------------------------------ */

typedef struct {
  Image *picture, *coarse;
  Plane *alpha;  /* the truth */
  Image *colour; /* the figure's own colours, everywhere */
  float scale;   /* pixels per unit of the drawing, which is 90 x 160 */
} Scene;

typedef enum { PLAIN = 0, SHADOW = 1, GLOW = 2, DEBRIS = 4, DOUBT = 8, GLOVE = 16 } SceneParts;

static void scene_clear(Scene *scene) {
  image_free(scene->picture);
  image_free(scene->coarse);
  plane_free(scene->alpha);
  image_free(scene->colour);
}

static float noise(int x, int y) {
  guint32 h = (guint32)x * 374761393u + (guint32)y * 668265263u;
  h = (h ^ (h >> 13)) * 1274126177u;
  return (float)((h ^ (h >> 16)) & 255) / 255.0f - 0.5f;
}

/* Distance of (x, y) to the segment a-b. */
static float to_segment(float x, float y, float ax, float ay, float bx, float by) {
  float dx = bx - ax, dy = by - ay;
  float t = CLAMP(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0.0f, 1.0f);
  return hypotf(x - ax - t * dx, y - ay - t * dy);
}

/* Signed distance to the body, negative inside, in units of the drawing. */
static float body_distance(float x, float y) {
  float d = hypotf((x - 45) / 0.8f, y - 28) * 0.8f - 10; /* head */
  d = MIN(d, to_segment(x, y, 45, 40, 45, 44) - 4);      /* neck */
  d = MIN(d, to_segment(x, y, 45, 56, 45, 86) - 13);     /* trunk */
  d = MIN(d, to_segment(x, y, 34, 50, 20, 68) - 3.5f);   /* arms, the left one akimbo */
  d = MIN(d, to_segment(x, y, 20, 68, 33, 84) - 3);
  d = MIN(d, to_segment(x, y, 56, 50, 74, 74) - 3.5f);
  d = MIN(d, to_segment(x, y, 39, 92, 36, 140) - 5); /* legs */
  d = MIN(d, to_segment(x, y, 51, 92, 56, 140) - 5);
  return d;
}

/* Distance to the nearest hair that stands off the head. */
static float hair_distance(float x, float y) {
  float d = 1000;
  for (int k = 0; k < 12; k++) {
    float a = -0.35f - 0.22f * (float)k, bend = 0.25f * sinf((float)k * 2.1f);
    float x0 = 45 + 8 * cosf(a), y0 = 28 + 9 * sinf(a), x1 = 45 + 14 * cosf(a + bend),
          y1 = 28 + 15 * sinf(a + bend);
    d = MIN(d, to_segment(x, y, x0, y0, x1, y1));
  }
  return d;
}

static void figure_colour(float x, float y, float colour[3]) {
  float wave = 12 * sinf(x * 0.9f) * cosf(y * 0.5f);
  if (y < 38) { /* hair, and a face in it */
    gboolean face = hypotf(x - 45, (y - 30) / 1.2f) < 5.5f;
    memcpy(colour, face ? (float[]){224, 172, 146} : (float[]){52, 34, 28}, 3 * sizeof *colour);
  } else if (y < 90) {
    memcpy(colour, (float[]){40 + wave, 74 + wave, 168 + wave}, 3 * sizeof *colour);
  } else {
    memcpy(colour, (float[]){30, 128 + wave, 150 + wave}, 3 * sizeof *colour);
  }
}

static void ground_colour(float x, float y, float colour[3]) {
  float light = 0.25f * x + 6 * sinf(x * 0.21f + y * 0.13f);
  if (y > 125)
    memcpy(colour, (float[]){136 + light, 130 + light, 126 + light}, 3 * sizeof *colour);
  else
    memcpy(colour, (float[]){196 + light, 184 + light, 172 + light}, 3 * sizeof *colour);
}

/* What a network sees: the body without hair, coarse and soft, a little too large. */
static Image *rough_mask(const Plane *body, float scale) {
  int w = MAX(2, (int)(90 / 0.75f)), h = MAX(2, (int)(160 / 0.75f));
  g_autoptr(Plane) low = plane_resize(body, w, h);
  plane_blur(low, 0.8f);
  for (int i = 0; i < w * h; i++)
    low->v[i] = smooth_step(0.15f, 0.75f, low->v[i]);
  g_autoptr(Plane) mask = plane_resize(low, (int)(90 * scale), (int)(160 * scale));
  return plane_to_image(mask);
}

static Scene scene_new(float scale, SceneParts parts) {
  int w = (int)(90 * scale), h = (int)(160 * scale);
  Scene scene = {image_new(w, h, 3), NULL, plane_new(w, h), image_new(w, h, 3), scale};
  g_autoptr(Plane) seen = plane_new(w, h);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      float u = ((float)x + 0.5f) / scale, v = ((float)y + 0.5f) / scale, figure[3], ground[3];
      float body = body_distance(u, v), edge = CLAMP(0.5f - body * scale / 1.6f, 0.0f, 1.0f);
      float hair = 0.85f * CLAMP(0.5f + (0.22f - hair_distance(u, v)) * scale, 0.0f, 1.0f);
      float alpha = MAX(edge, hair);
      figure_colour(u, v, figure);
      ground_colour(u, v, ground);
      if ((parts & DOUBT) && hypotf(u - 45, v - 66) < 0.7f) /* a pendant of the ground's colour */
        memcpy(figure, ground, sizeof figure);
      *plane_at(seen, x, y) = edge;
      for (int c = 0; c < 3 && (parts & GLOW); c++)
        ground[c] *= 0.3f; /* night */
      if ((parts & GLOW) && alpha < 1 && v > 44 && v < 120 && body < 4) {
        float shine = 0.8f * (1 - MAX(body, 0.0f) / 4);
        for (int c = 0; c < 3; c++)
          figure[c] = alpha * figure[c] + (1 - alpha) * 255;
        alpha = MAX(alpha, shine);
        *plane_at(seen, x, y) = MAX(edge, 0.6f * shine);
      }
      if ((parts & SHADOW) && v > 132 && hypotf((u - 64) / 6, (v - 142) / 3.5f) < 1) {
        for (int c = 0; c < 3; c++)
          ground[c] *= 0.62f;
        *plane_at(seen, x, y) = MAX(*plane_at(seen, x, y), 0.55f);
      }
      if ((parts & GLOVE) && u > 66 && v > 60 && v < 90) { /* its colour is halfway to the ground's */
        for (int c = 0; c < 3; c++)
          figure[c] = 0.5f * figure[c] + 0.5f * ground[c];
        *plane_at(seen, x, y) *= 0.7f;
      }
      if ((parts & DEBRIS) && hypotf(u - 80, v - 30) < 2) /* far from the figure, but in the mask */
        *plane_at(seen, x, y) = 1;
      if ((parts & DOUBT) && hypotf(u - 45, v - 66) < 3) /* the network looks through the chest */
        *plane_at(seen, x, y) = 0.3f;
      *plane_at(scene.alpha, x, y) = alpha;
      for (int c = 0; c < 3; c++) {
        float colour = alpha * figure[c] + (1 - alpha) * ground[c] + 4 * noise(3 * x + c, y);
        image_at(scene.colour, x, y)[c] = (guint8)CLAMP(figure[c] + 0.5f, 0.0f, 255.0f);
        image_at(scene.picture, x, y)[c] = (guint8)CLAMP(colour + 0.5f, 0.0f, 255.0f);
      }
    }
  scene.coarse = rough_mask(seen, scale);
  return scene;
}

static float cut_alpha(const Image *cutout, int x, int y) {
  return (float)image_at(cutout, x, y)[3] / 255.0f;
}

/* --- measures ------------------------------------------------------------------------------------ */

typedef struct {
  double alpha;    /* mean |error| within the band around the true edge */
  double coarse;   /* that of the coarse mask */
  double gradient; /* mean |error of the gradient's length| */
  double colour;   /* mean colour error of the figure where it is at least a fifth there, 8-bit levels */
  double mixed;    /* the picture's own error there */
} Errors;

static float slope(float left, float right, float up, float down) {
  return hypotf(right - left, down - up) / 2;
}

static Errors measure(const Scene *scene, const Image *cutout) {
  int w = scene->alpha->width, h = scene->alpha->height;
  g_autoptr(Plane) edge = plane_new(w, h);
  for (int i = 0; i < w * h; i++)
    edge->v[i] = scene->alpha->v[i] > 0.02f && scene->alpha->v[i] < 0.98f;
  g_autoptr(Plane) distance = plane_distance(edge, 0.5f, NULL);
  Errors errors = {0};
  double band = 0, partial = 0;
  for (int y = 1; y < h - 1; y++)
    for (int x = 1; x < w - 1; x++) {
      if (*plane_at(distance, x, y) > 1.5f * scene->scale)
        continue;
      band++;
      float truth = *plane_at(scene->alpha, x, y);
      errors.alpha += fabsf(cut_alpha(cutout, x, y) - truth);
      errors.coarse += fabsf((float)*image_at(scene->coarse, x, y) / 255.0f - truth);
      errors.gradient += fabsf(slope(cut_alpha(cutout, x - 1, y), cut_alpha(cutout, x + 1, y),
                                     cut_alpha(cutout, x, y - 1), cut_alpha(cutout, x, y + 1)) -
                               slope(*plane_at(scene->alpha, x - 1, y), *plane_at(scene->alpha, x + 1, y),
                                     *plane_at(scene->alpha, x, y - 1), *plane_at(scene->alpha, x, y + 1)));
      if (truth < 0.2f || truth > 0.95f)
        continue;
      partial++;
      for (int c = 0; c < 3; c++) {
        int own = image_at(scene->colour, x, y)[c];
        errors.colour += abs(image_at(cutout, x, y)[c] - own) / 3.0;
        errors.mixed += abs(image_at(scene->picture, x, y)[c] - own) / 3.0;
      }
    }
  errors.alpha /= band;
  errors.coarse /= band;
  errors.gradient /= band;
  errors.colour /= partial;
  errors.mixed /= partial;
  return errors;
}

static Image *cut(const Scene *scene) {
  GError *error = NULL;
  Image *cutout = cutout_refine(scene->picture, scene->coarse, NULL, &error);
  assert_null(error);
  assert_non_null(cutout);
  assert_int_equal(cutout->width, scene->picture->width);
  assert_int_equal(cutout->height, scene->picture->height);
  assert_int_equal(cutout->channels, 4);
  return cutout;
}

static void assert_below(const char *what, double value, double limit) {
  print_message("  %s: %.4f (limit %.4f)\n", what, value, limit);
  assert_true(value < limit);
}

static Image *filled(int width, int height, int channels, guint8 value) {
  Image *image = image_new(width, height, channels);
  memset(image->pixels, value, (gsize)width * (gsize)height * (gsize)channels);
  return image;
}

/* --- tests --------------------------------------------------------------------------------------- */

static void test_known_alpha(void **state) {
  Scene scene = scene_new(4, PLAIN);
  g_autoptr(Image) cutout = cut(&scene);
  Errors errors = measure(&scene, cutout);
  assert_below("alpha", errors.alpha, 0.008);
  assert_below("alpha against the coarse mask", errors.alpha / errors.coarse, 0.12);
  assert_below("gradient", errors.gradient, 0.005);
  assert_below("colour", errors.colour, 9);
  assert_below("colour against the picture", errors.colour / errors.mixed, 0.2);
  scene_clear(&scene);
}

/* Through the smaller working size and back up. */
static void test_large_picture(void **state) {
  Scene scene = scene_new(16, PLAIN);
  g_autoptr(Image) cutout = cut(&scene);
  Errors errors = measure(&scene, cutout);
  assert_below("alpha", errors.alpha, 0.008);
  assert_below("gradient", errors.gradient, 0.005);
  assert_below("colour", errors.colour, 9);
  scene_clear(&scene);
}

/* Hair strands that the mask has never seen come back at about their true strength. */
static void test_hair(void **state) {
  Scene scene = scene_new(6, PLAIN);
  g_autoptr(Image) cutout = cut(&scene);
  double found = 0, there = 0;
  for (int y = 0; y < scene.alpha->height / 4; y++)
    for (int x = 0; x < scene.alpha->width; x++)
      if (body_distance(((float)x + 0.5f) / 6, ((float)y + 0.5f) / 6) > 0.6f) {
        found += cut_alpha(cutout, x, y);
        there += *plane_at(scene.alpha, x, y);
      }
  print_message("  hair: %.3f of the truth\n", found / there);
  assert_true(found > 0.7 * there && found < 1.3 * there);
  scene_clear(&scene);
}

/* Inside the figure nothing is clear, even where the mask was in doubt; outside nothing is left, even where
 * the mask saw something; the gap at the arm stays open. */
static void test_whole_and_alone(void **state) {
  Scene scene = scene_new(4, DEBRIS | DOUBT);
  g_autoptr(Image) cutout = cut(&scene);
  for (int y = 0; y < cutout->height; y++)
    for (int x = 0; x < cutout->width; x++) {
      float u = ((float)x + 0.5f) / 4, v = ((float)y + 0.5f) / 4, body = body_distance(u, v);
      if (body < -1)
        assert_true(cut_alpha(cutout, x, y) > 0.98f);
      if (body > 6 && hair_distance(u, v) > 3)
        assert_true(cut_alpha(cutout, x, y) < 0.02f);
    }
  assert_true(cut_alpha(cutout, 4 * 29, 4 * 69) < 0.05f);
  scene_clear(&scene);
}

/* What looks half transparent but is broad and does not shine is opaque. */
static void test_opaque_where_colours_waver(void **state) {
  Scene scene = scene_new(4, GLOVE);
  g_autoptr(Image) cutout = cut(&scene);
  double sum = 0, count = 0;
  for (int y = 4 * 60; y < 4 * 90; y++)
    for (int x = 4 * 67; x < cutout->width; x++)
      if (body_distance(((float)x + 0.5f) / 4, ((float)y + 0.5f) / 4) < -0.5f) {
        sum += cut_alpha(cutout, x, y);
        count++;
      }
  print_message("  glove: %.3f\n", sum / count);
  assert_true(sum / count > 0.95);
  scene_clear(&scene);
}

/* Joints that are not numbers do no harm. */
static void test_senseless_joints(void **state) {
  Scene scene = scene_new(2, PLAIN);
  Figure figure = {0};
  for (int j = 0; j < JOINTS; j++)
    figure.joint[j][0] = figure.joint[j][1] = j % 2 ? NAN : 1e30f;
  g_autoptr(Image) cutout = cutout_refine(scene.picture, scene.coarse, &figure, NULL);
  assert_non_null(cutout);
  assert_true(cut_alpha(cutout, 45 * 2, 66 * 2) > 0.98f);
  scene_clear(&scene);
}

static double mean_in_ellipse(const Image *cutout, float scale, float cx, float cy, float rx, float ry) {
  double sum = 0, count = 0;
  for (int y = 0; y < cutout->height; y++)
    for (int x = 0; x < cutout->width; x++) {
      float u = ((float)x + 0.5f) / scale, v = ((float)y + 0.5f) / scale;
      if (hypotf((u - cx) / rx, (v - cy) / ry) < 1 && body_distance(u, v) > 0.5f) {
        sum += cut_alpha(cutout, x, y);
        count++;
      }
    }
  return sum / count;
}

static void test_shadow_at_the_feet(void **state) {
  Scene scene = scene_new(4, SHADOW);
  g_autoptr(Image) cutout = cut(&scene);
  assert_below("alpha of the shadow", mean_in_ellipse(cutout, 4, 64, 142, 6, 3.5f), 0.1);
  scene_clear(&scene);
}

/* A shine around the figure is part of it, half transparent as it is. */
static void test_glow(void **state) {
  Scene scene = scene_new(4, GLOW);
  g_autoptr(Image) cutout = cut(&scene);
  int soft = 0, ring = 0;
  for (int y = 0; y < cutout->height; y++)
    for (int x = 0; x < cutout->width; x++) {
      float body = body_distance(((float)x + 0.5f) / 4, ((float)y + 0.5f) / 4);
      if (body < 0.5f || body > 3 || y < 44 * 4 || y >= 120 * 4)
        continue;
      ring++;
      soft += cut_alpha(cutout, x, y) > 0.15f && cut_alpha(cutout, x, y) < 0.85f;
    }
  print_message("  glow: %d of %d pixels half transparent\n", soft, ring);
  assert_true(soft > 0.4 * ring);
  scene_clear(&scene);
}

/* Around the figure its colours go on, and no ground shows; further out there is nothing. */
static void test_colours_go_on(void **state) {
  Scene scene = scene_new(4, PLAIN);
  g_autoptr(Image) cutout = cut(&scene);
  for (int y = 4 * 56; y < 4 * 84; y++) {
    int x = 0;
    while (image_at(cutout, x, y)[3] < 8) /* from the left to the arm */
      x++;
    const guint8 *beside = image_at(cutout, x - 3, y);
    assert_true(beside[2] > beside[0] + 60); /* blue sleeve, grey ground */
  }
  assert_memory_equal(image_at(cutout, 0, 0), ((guint8[]){0, 0, 0, 0}), 4);
  scene_clear(&scene);
}

static void test_same_again(void **state) {
  Scene scene = scene_new(3, PLAIN);
  g_autoptr(Image) first = cut(&scene), second = cut(&scene);
  assert_memory_equal(first->pixels, second->pixels, (gsize)first->width * (gsize)first->height * 4);
  scene_clear(&scene);
}

/* --- inputs that are hardly pictures ------------------------------------------------------------- */

static void test_empty_mask(void **state) {
  g_autoptr(Image) rgb = filled(64, 64, 3, 90), mask = filled(64, 64, 1, 0);
  g_autoptr(GError) error = NULL;
  assert_null(cutout_refine(rgb, mask, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_NOBODY));
}

static void test_wrong_sizes(void **state) {
  g_autoptr(Image) rgb = filled(64, 64, 3, 90), mask = filled(63, 64, 1, 255), rgba = filled(64, 64, 4, 90);
  g_autoptr(GError) error = NULL;
  assert_null(cutout_refine(rgb, mask, NULL, &error));
  assert_true(g_error_matches(error, FAULT, FAULT_INTERNAL));
  g_autoptr(GError) other = NULL;
  g_autoptr(Image) fitting = filled(64, 64, 1, 255);
  assert_null(cutout_refine(rgba, fitting, NULL, &other));
  assert_non_null(other);
}

static void test_full_mask(void **state) {
  for (int side = 1; side <= 64; side += 9) {
    g_autoptr(Image) rgb = filled(side, 2 * side, 3, 90), mask = filled(side, 2 * side, 1, 255);
    g_autoptr(Image) cutout = cutout_refine(rgb, mask, NULL, NULL);
    for (int i = 0; i < side * 2 * side; i++)
      assert_memory_equal(cutout->pixels + 4 * i, ((guint8[]){90, 90, 90, 255}), 4);
  }
}

static void test_single_pixel(void **state) {
  g_autoptr(Image) rgb = filled(64, 64, 3, 200), mask = filled(64, 64, 1, 0);
  memset(image_at(rgb, 20, 30), 10, 3);
  *image_at(mask, 20, 30) = 255;
  g_autoptr(Image) cutout = cutout_refine(rgb, mask, NULL, NULL);
  assert_non_null(cutout);
  assert_int_equal(image_at(cutout, 60, 60)[3], 0);
}

/* Faint everywhere: still the best there is. */
static void test_faint_mask(void **state) {
  Scene scene = scene_new(3, PLAIN);
  for (int i = 0; i < scene.coarse->width * scene.coarse->height; i++)
    scene.coarse->pixels[i] = (guint8)(scene.coarse->pixels[i] * 0.6f);
  g_autoptr(Image) cutout = cut(&scene);
  assert_true(cut_alpha(cutout, 45 * 3, 66 * 3) > 0.98f);
  scene_clear(&scene);
}

/* Cut off by the picture's borders: solid up to them. */
static void test_touching_borders(void **state) {
  Scene scene = scene_new(4, PLAIN);
  g_autoptr(Image) rgb = image_crop(scene.picture, 25 * 4, 20 * 4, 45 * 4, 90 * 4);
  g_autoptr(Image) mask = image_crop(scene.coarse, 25 * 4, 20 * 4, 45 * 4, 90 * 4);
  g_autoptr(Image) cutout = cutout_refine(rgb, mask, NULL, NULL);
  assert_non_null(cutout);
  int bottom = cutout->height - 1;
  assert_true(cut_alpha(cutout, (38 - 25) * 4, bottom) > 0.98f);
  assert_true(cut_alpha(cutout, (45 - 25) * 4, 0) > 0.98f);
  assert_true(cut_alpha(cutout, 2, bottom) < 0.05f);
  scene_clear(&scene);
}

static void test_tiny_picture(void **state) {
  for (int w = 1; w <= 7; w++)
    for (int h = 1; h <= 7; h++) {
      g_autoptr(Image) rgb = filled(w, h, 3, 200), mask = filled(w, h, 1, 60);
      *image_at(mask, w / 2, h / 2) = 255;
      g_autoptr(Image) cutout = cutout_refine(rgb, mask, NULL, NULL);
      assert_non_null(cutout);
    }
  Scene scene = scene_new(0.72f, PLAIN); /* 64 x 115 */
  g_autoptr(Image) cutout = cut(&scene);
  assert_true(cut_alpha(cutout, (int)(45 * 0.72f), (int)(66 * 0.72f)) > 0.98f);
  assert_true(cut_alpha(cutout, 2, 2) < 0.02f);
  scene_clear(&scene);
}

/* --- the parts ----------------------------------------------------------------------------------- */

/* Between two constant colours alpha is exactly linear in colour: the closed form finds it from its ends
 * alone. */
static void test_matte_of_a_ramp(void **state) {
  int w = 200, h = 24;
  g_autoptr(Image) rgb = image_new(w, h, 3);
  g_autoptr(Plane) trimap = plane_new(w, h), nothing = plane_new(w, h);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      float alpha = smooth_step(20, 180, (float)x);
      for (int c = 0; c < 3; c++)
        image_at(rgb, x, y)[c] =
            (guint8)(alpha * (220 - 90 * (float)c) + (1 - alpha) * (30 + 70 * (float)c) + 0.5f);
      *plane_at(trimap, x, y) = x < 10 ? 0 : x >= 190 ? 1 : 0.5f;
    }
  g_autoptr(Plane) alpha = matte_solve(rgb, trimap, nothing, nothing, NULL, 400);
  double worst = 0;
  for (int x = 0; x < w; x++)
    worst = MAX(worst, fabs(*plane_at(alpha, x, h / 2) - smooth_step(20, 180, (float)x)));
  assert_below("ramp", worst, 0.04);
}

/* Where colours say nothing, the guess decides as far as it is trusted, and elsewhere what surrounds. */
static void test_matte_follows_what_is_trusted(void **state) {
  int side = 96;
  g_autoptr(Image) rgb = filled(side, side, 3, 120);
  g_autoptr(Plane) trimap = plane_new(side, side), guess = plane_new(side, side);
  g_autoptr(Plane) trust = plane_new(side, side);
  for (int y = 0; y < side; y++)
    for (int x = 0; x < side; x++) {
      *plane_at(trimap, x, y) = y < 2 ? 0 : 0.5f;
      *plane_at(guess, x, y) = 1;
      *plane_at(trust, x, y) = x < side / 2;
    }
  g_autoptr(Plane) alpha = matte_solve(rgb, trimap, guess, trust, NULL, 200);
  print_message("  trusted: %.3f\n", *plane_at(alpha, 10, 60));
  assert_true(*plane_at(alpha, 10, 60) > 0.95f);
  memset(trust->v, 0, sizeof *trust->v * (gsize)(side * side));
  g_autoptr(Plane) unguided = matte_solve(rgb, trimap, guess, trust, NULL, 200);
  assert_true(*plane_at(unguided, 10, 60) < 0.05f);
}

/* Across hundreds of unknown pixels in a few rounds: only by way of the coarser levels. */
static void test_matte_reaches_far(void **state) {
  int w = 500, h = 200;
  g_autoptr(Image) rgb = filled(w, h, 3, 50);
  g_autoptr(Plane) trimap = plane_new(w, h), guess = plane_new(w, h), trust = plane_new(w, h);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++)
      *plane_at(trimap, x, y) = x < 40 ? 1 : 0.5f;
  g_autoptr(Plane) alpha = matte_solve(rgb, trimap, guess, trust, NULL, 20);
  print_message("  reached: %.3f\n", *plane_at(alpha, 250, 100));
  assert_true(*plane_at(alpha, 250, 100) > 0.5f);
}

/* Mixtures of two colours on either side: found, and trusted; a colour of neither side is not trusted. */
static void test_prior(void **state) {
  int w = 120, h = 40;
  g_autoptr(Image) rgb = image_new(w, h, 3);
  g_autoptr(Plane) trimap = plane_new(w, h);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      float alpha = CLAMP(((float)x - 50) / 20, 0.0f, 1.0f);
      const float figure[3] = {200, 60, 40}, ground[3] = {40, 120, 190};
      for (int c = 0; c < 3; c++)
        image_at(rgb, x, y)[c] = (guint8)(alpha * figure[c] + (1 - alpha) * ground[c] + 0.5f);
      if (x >= 58 && x < 62 && y >= 18 && y < 22)
        memcpy(image_at(rgb, x, y), ((guint8[]){10, 250, 10}), 3);
      *plane_at(trimap, x, y) = x < 45 ? 0 : x >= 75 ? 1 : 0.5f;
    }
  g_autoptr(MattePrior) prior = matte_prior_new(rgb, trimap, &(MatteScale){5, G_MAXFLOAT});
  for (int x = 45; x < 75; x++) {
    float alpha = CLAMP(((float)x - 50) / 20, 0.0f, 1.0f);
    assert_true(fabsf(*plane_at(prior->alpha, x, 10) - alpha) < 0.05f);
    assert_true(*plane_at(prior->trust, x, 10) > 0.6f);
  }
  assert_true(*plane_at(prior->trust, 60, 20) < 0.1f);
  assert_true(*plane_at(prior->alpha, 10, 10) == 0 && *plane_at(prior->alpha, 100, 10) == 1);
}

/* White paint on grey stone that a blue shadow crosses: below `shaded_from` the shadow is stone. */
static void test_prior_knows_shadows(void **state) {
  int side = 60;
  g_autoptr(Image) rgb = image_new(side, side, 3);
  g_autoptr(Plane) trimap = plane_new(side, side);
  for (int y = 0; y < side; y++)
    for (int x = 0; x < side; x++) {
      const guint8 stone[3] = {130, 125, 120}, shadow[3] = {70, 73, 78}, white[3] = {235, 235, 240};
      const guint8 sole[3] = {20, 22, 30};
      memcpy(image_at(rgb, x, y), x >= 40 ? (y % 8 < 4 ? white : sole) : x >= 25 ? shadow : stone, 3);
      *plane_at(trimap, x, y) = x < 20 ? 0 : x >= 45 ? 1 : 0.5f;
    }
  g_autoptr(MattePrior) prior = matte_prior_new(rgb, trimap, &(MatteScale){5, 30});
  assert_true(*plane_at(prior->alpha, 32, 15) > 0.2f);
  assert_true(*plane_at(prior->alpha, 32, 45) == 0);
  for (int y = 34; y < 56; y++)
    assert_true(*plane_at(prior->alpha, 42, y) > 0.95f);
}

static void test_veils(void **state) {
  int side = 240;
  g_autoptr(Plane) alpha = plane_new(side, side);
  g_autoptr(Image) rgb = filled(side, side, 3, 100), ground = filled(side, side, 3, 100);
  for (int y = 0; y < side; y++)
    for (int x = 0; x < side; x++) {
      gboolean hair = y >= 120 && y < 124, light = y >= 160 && y < 200;
      *plane_at(alpha, x, y) = y < 40 ? 0.7f : y < 80 ? 0.25f : hair || light ? 0.5f : 0;
      if (y >= 150 && y < 210)
        memset(image_at(rgb, x, y), 180, 3);
    }
  alpha_resolve_veils(alpha, rgb, ground, 600);
  assert_true(*plane_at(alpha, 120, 20) > 0.95f);
  assert_true(*plane_at(alpha, 120, 60) < 0.05f);
  assert_true(fabsf(*plane_at(alpha, 120, 122) - 0.5f) < 0.05f);
  assert_true(fabsf(*plane_at(alpha, 120, 180) - 0.5f) < 0.05f);
}

static void test_stretch(void **state) {
  g_autoptr(Plane) alpha = plane_new(3, 1);
  memcpy(alpha->v, ((float[]){0.08f, 0.51f, 0.93f}), 3 * sizeof *alpha->v);
  alpha_stretch(alpha);
  assert_true(alpha->v[0] == 0 && fabsf(alpha->v[1] - 0.5f) < 0.01f && alpha->v[2] == 1);
}

/* A red figure with spill on its rim at the left and an ink line at the right, on blue. */
static void test_extension(void **state) {
  int w = 120, h = 30;
  g_autoptr(Image) figure = image_new(w, h, 3), ground = image_new(w, h, 3);
  g_autoptr(Plane) alpha = plane_new(w, h);
  for (int y = 0; y < h; y++)
    for (int x = 0; x < w; x++) {
      const guint8 red[3] = {200, 40, 40}, blue[3] = {40, 40, 200}, spill[3] = {160, 40, 80};
      const guint8 ink[3] = {5, 5, 5};
      *plane_at(alpha, x, y) = x >= 40 && x < 80;
      memcpy(image_at(ground, x, y), blue, 3);
      memcpy(image_at(figure, x, y), x < 40 || x >= 80 ? blue : x == 40 ? spill : x == 79 ? ink : red, 3);
    }
  foreground_extend(figure, ground, alpha, 0.6f, 1.5f, 20);
  assert_true(abs(image_at(figure, 40, 15)[2] - 40) < 12); /* no blue on the rim */
  assert_true(image_at(figure, 79, 15)[0] < 20);           /* ink stays */
  assert_true(image_at(figure, 30, 15)[0] > 150);          /* red goes on */
  assert_true(image_at(figure, 30, 15)[2] < 80);
  assert_memory_equal(image_at(figure, 10, 15), ((guint8[]){0, 0, 0}), 3);
}

static void test_trimap(void **state) {
  g_autoptr(Plane) mask = plane_new(100, 60);
  for (int y = 0; y < 60; y++)
    for (int x = 0; x < 100; x++)
      *plane_at(mask, x, y) =
          (x >= 20 && x < 60) || (x >= 80 && x < 84); /* a body and a stick, to both borders */
  TrimapMargins margins = {5, 8, 5, 8};
  g_autoptr(Plane) trimap = trimap_new(mask, &margins, &(TrimapHead){0});
  for (int y = 0; y < 60; y++) {
    assert_true(*plane_at(trimap, 5, y) == 0);
    assert_true(*plane_at(trimap, 14, y) > 0 && *plane_at(trimap, 14, y) < 1);
    assert_true(*plane_at(trimap, 22, y) > 0 && *plane_at(trimap, 22, y) < 1);
    assert_true(*plane_at(trimap, 40, y) == 1);
    assert_true(*plane_at(trimap, 70, y) == 0);
    assert_true(*plane_at(trimap, 79, y) > 0 && *plane_at(trimap, 79, y) < 1);
  }
}

static void test_islands_and_holes(void **state) {
  g_autoptr(Plane) alpha = plane_new(300, 300);
  for (int y = 0; y < 300; y++)
    for (int x = 0; x < 300; x++) {
      gboolean hole = hypotf((float)x - 150, (float)y - 150) < 1.5f,
               gap = hypotf((float)x - 150, (float)y - 90) < 20;
      gboolean body = x > 50 && x < 250 && y > 20 && y < 280 && !hole && !gap;
      gboolean near = x >= 251 && x < 255 && y > 100 && y<120, far = x> 280 && y > 100 && y < 120;
      *plane_at(alpha, x, y) = body || near || far;
    }
  alpha_drop_islands(alpha, 300);
  alpha_close_holes(alpha, 300);
  assert_true(*plane_at(alpha, 150, 150) == 1);
  assert_true(*plane_at(alpha, 150, 90) == 0);
  assert_true(*plane_at(alpha, 253, 110) == 1);
  assert_true(*plane_at(alpha, 290, 110) == 0);
}

static void test_has_alpha(void **state) {
  g_autoptr(Image) rgb = filled(50, 50, 3, 9), opaque = filled(50, 50, 4, 255), clear = filled(50, 50, 4, 0);
  assert_false(cutout_has_alpha(rgb));
  assert_false(cutout_has_alpha(opaque));
  assert_false(cutout_has_alpha(clear));
  for (int y = 10; y < 40; y++)
    for (int x = 10; x < 40; x++)
      image_at(clear, x, y)[3] = 255;
  assert_true(cutout_has_alpha(clear));
  for (int y = 0; y < 50; y++) /* two halves of the same size */
    image_at(clear, 25, y)[3] = image_at(clear, 24, y)[3] = 0;
  assert_false(cutout_has_alpha(clear));
  g_autoptr(Image) veil = filled(50, 50, 4, 128);
  assert_false(cutout_has_alpha(veil));
}

/* Three readings of somebody before others: each takes somebody else for a part of him. */
static void test_others_are_left_out(void **state) {
  Figure figure = {.source = FIGURE_FROM_POSE, .height = 400};
  const float places[][3] = {{JOINT_HEAD, 100, 60},
                             {JOINT_LEFT_EAR, 115, 55},
                             {JOINT_RIGHT_EAR, 85, 55},
                             {JOINT_LEFT_SHOULDER, 140, 110},
                             {JOINT_RIGHT_SHOULDER, 60, 110}};
  for (gsize i = 0; i < G_N_ELEMENTS(places); i++)
    memcpy(figure.joint[(int)places[i][0]], &places[i][1], 2 * sizeof(float));
  Image *masks[3];
  for (int k = 0; k < 3; k++) {
    masks[k] = image_new(200, 200, 1);
    for (int y = 0; y < 200; y++)
      for (int x = 0; x < 200; x++) {
        gboolean body = x >= 70 && x < 150 && y >= 30, other = k < 2 ? x >= 160 && y > 80 && k == 0 : x < 40;
        gboolean worn = k == 0 && x >= 58 && x < 70 && y >= 50 && y < 60; /* only the first sees it */
        *image_at(masks[k], x, y) = body || worn ? 255 : other ? 250 : x < 70 ? 120 : 0;
      }
  }
  g_autoptr(Image) agreed = mask_agreement((const Image *const *)masks, 3, &figure);
  assert_int_equal(*image_at(agreed, 100, 150), 255);
  assert_int_equal(*image_at(agreed, 80, 40), 255);
  assert_int_equal(*image_at(agreed, 64, 55), 255);
  assert_true(*image_at(agreed, 170, 150) < 26);
  assert_true(*image_at(agreed, 20, 150) < 26);
  for (int k = 0; k < 3; k++)
    image_free(masks[k]);
}

static void test_mirror(void **state) {
  Image *image = image_new(3, 2, 3);
  for (int i = 0; i < 18; i++)
    image->pixels[i] = (guint8)i;
  g_autoptr(Image) mirrored = image_mirrored(image), again = image_mirrored(mirrored);
  assert_memory_equal(mirrored->pixels, ((guint8[]){6, 7, 8, 3, 4, 5, 0, 1, 2}), 9);
  assert_memory_equal(again->pixels, image->pixels, 18);
  image_free(image);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_known_alpha),
      cmocka_unit_test(test_others_are_left_out),
      cmocka_unit_test(test_mirror),
      cmocka_unit_test(test_large_picture),
      cmocka_unit_test(test_hair),
      cmocka_unit_test(test_whole_and_alone),
      cmocka_unit_test(test_shadow_at_the_feet),
      cmocka_unit_test(test_glow),
      cmocka_unit_test(test_colours_go_on),
      cmocka_unit_test(test_same_again),
      cmocka_unit_test(test_opaque_where_colours_waver),
      cmocka_unit_test(test_senseless_joints),
      cmocka_unit_test(test_empty_mask),
      cmocka_unit_test(test_wrong_sizes),
      cmocka_unit_test(test_full_mask),
      cmocka_unit_test(test_single_pixel),
      cmocka_unit_test(test_faint_mask),
      cmocka_unit_test(test_touching_borders),
      cmocka_unit_test(test_tiny_picture),
      cmocka_unit_test(test_matte_of_a_ramp),
      cmocka_unit_test(test_matte_follows_what_is_trusted),
      cmocka_unit_test(test_matte_reaches_far),
      cmocka_unit_test(test_prior),
      cmocka_unit_test(test_prior_knows_shadows),
      cmocka_unit_test(test_veils),
      cmocka_unit_test(test_stretch),
      cmocka_unit_test(test_extension),
      cmocka_unit_test(test_trimap),
      cmocka_unit_test(test_islands_and_holes),
      cmocka_unit_test(test_has_alpha),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
