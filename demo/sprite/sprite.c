/* Framing is only a scale and an anchor. The order in which the jitter's numbers are drawn is part of the
 * data: changing it changes every picture. */
#include "sprite.h"
#include "figure.h"
#include "scene_painter.h"
#include <math.h>
#include <string.h>

struct Sprite {
  int size;
  cairo_surface_t *surface;
  cairo_t *cr;
};

Sprite *sprite_new(int size) {
  g_assert(size >= 64 && size <= 1024);
  Sprite *sprite = g_new0(Sprite, 1);
  sprite->size = size;
  sprite->surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, size, size);
  sprite->cr = cairo_create(sprite->surface);
  return sprite;
}

void sprite_free(Sprite *sprite) {
  if (!sprite)
    return;
  cairo_destroy(sprite->cr);
  cairo_surface_destroy(sprite->surface);
  g_free(sprite);
}

static Rgb vary(Dice *dice, Rgb c) {
  Rgb jittered = {c.r + dice_between(dice, -6, 6), c.g + dice_between(dice, -6, 6),
                  c.b + dice_between(dice, -6, 6)};
  return (Rgb){CLAMP(jittered.r, 0, 255), CLAMP(jittered.g, 0, 255), CLAMP(jittered.b, 0, 255)};
}

static Figure figure_of(const Attributes *a, Dice *dice) {
  static const Rgb trousers[4] = {{52, 72, 124}, {176, 152, 112}, {74, 74, 86}, {104, 72, 56}};
  static const Rgb shoes[3] = {{58, 44, 44}, {150, 60, 54}, {70, 90, 110}};
  static const double bold[FRAMINGS] = {1, 1.14, 1.4};
  Figure f = {.of = a, .bold = bold[a->framing]};
  f.skin = vary(dice, skin_colours[a->skin]);
  f.hair = vary(dice, tint_colours[a->tint]);
  f.cloth = vary(dice, cloth_colours[a->cloth]);
  f.trousers = trousers[dice_pick(dice, 4)];
  f.shoe = shoes[dice_pick(dice, 3)];
  f.tilt = dice_between(dice, -0.06, 0.06);
  f.blink = dice_between(dice, -1, 1);
  for (int k = 0; k < 2; k++)
    for (int i = 0; i < 2; i++) {
      f.hand[k][i] = dice_between(dice, -0.08, 0.08);
      f.elbow[k][i] = dice_between(dice, -0.08, 0.08);
    }
  return f;
}

static void draw(Sprite *sprite, const Attributes *a, guint64 jitter, gboolean labels) {
  static const double scales[FRAMINGS] = {35, 25.5, 17.2}, anchors[FRAMINGS] = {64, 52, 35.5};
  cairo_t *cr = sprite->cr;
  Dice dice = dice_new(jitter, 1, 0), ground = dice_new(jitter, 2, 0);
  Easel easel = {cr, labels, a->style, 1};
  cairo_save(cr);
  cairo_set_antialias(cr, labels ? CAIRO_ANTIALIAS_NONE : CAIRO_ANTIALIAS_DEFAULT);
  cairo_scale(cr, sprite->size / 128.0, sprite->size / 128.0);
  if (labels) {
    easel_colour(&easel, REGION_SCENE, (Rgb){0});
    cairo_paint(cr);
  } else {
    scene_paint(&easel, a->place, a->light, &ground);
  }
  Figure f = figure_of(a, &dice);
  double scale = scales[a->framing] * dice_between(&dice, 0.96, 1.04);
  cairo_translate(cr, 64 + dice_between(&dice, -4, 4), anchors[a->framing] + dice_between(&dice, -2.5, 2.5));
  cairo_scale(cr, scale, scale);
  easel.line = 1.5 / scale;
  figure_paint(&easel, &f);
  cairo_restore(cr);
  cairo_surface_flush(sprite->surface);
}

static guint8 byte_of(double v) {
  return (guint8)lrint(CLAMP(v, 0, 255));
}

/* Light falls on the finished picture. */
static void copy_lit(const Sprite *sprite, Light light, guint8 *pixels) {
  const guint8 *data = cairo_image_surface_get_data(sprite->surface);
  int stride = cairo_image_surface_get_stride(sprite->surface);
  guint8 map[256][3];
  for (int v = 0; v < 256; v++) {
    Rgb lit = light_on(light, (Rgb){v, v, v});
    map[v][0] = byte_of(lit.r), map[v][1] = byte_of(lit.g), map[v][2] = byte_of(lit.b);
  }
  for (int y = 0; y < sprite->size; y++)
    for (int x = 0; x < sprite->size; x++, pixels += 3) {
      guint32 pixel;
      memcpy(&pixel, data + (gsize)y * stride + 4 * (gsize)x, 4);
      pixels[0] = map[pixel >> 16 & 255][0];
      pixels[1] = map[pixel >> 8 & 255][1];
      pixels[2] = map[pixel & 255][2];
    }
}

void sprite_draw(Sprite *sprite, const Attributes *a, guint64 jitter, guint8 *pixels) {
  draw(sprite, a, jitter, FALSE);
  copy_lit(sprite, a->light, pixels);
}

void sprite_background(Sprite *sprite, Place place, Light light, guint64 jitter, guint8 *pixels) {
  Dice ground = dice_new(jitter, 2, 0);
  Easel easel = {sprite->cr, FALSE, STYLE_FLAT, 1};
  cairo_save(sprite->cr);
  cairo_scale(sprite->cr, sprite->size / 128.0, sprite->size / 128.0);
  scene_paint(&easel, place, light, &ground);
  cairo_restore(sprite->cr);
  cairo_surface_flush(sprite->surface);
  copy_lit(sprite, light, pixels);
}

void sprite_label(Sprite *sprite, const Attributes *a, guint64 jitter, guint8 *labels) {
  draw(sprite, a, jitter, TRUE);
  const guint8 *data = cairo_image_surface_get_data(sprite->surface);
  int stride = cairo_image_surface_get_stride(sprite->surface);
  for (int y = 0; y < sprite->size; y++)
    for (int x = 0; x < sprite->size; x++) {
      guint32 pixel;
      memcpy(&pixel, data + (gsize)y * stride + 4 * (gsize)x, 4);
      *labels++ = (guint8)(pixel & 255);
    }
}

void sprite_sample(Sprite *sprite, guint64 seed, guint64 index, Part part, Attributes *attributes,
                   guint8 *pixels) {
  Dice dice = dice_new(seed, part, index);
  *attributes = attributes_draw(&dice, part);
  sprite_draw(sprite, attributes, dice_next(&dice), pixels);
}
