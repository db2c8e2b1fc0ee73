/* Places are painted on a square of 128 units from far to near. Colours are those of the day (skies have
 * their own at sunset and at night); the light falls on the finished picture. Backgrounds are paler than
 * figures, so that a figure stands out from each of them without an outline. */
#include "scene_painter.h"
#include <math.h>

typedef struct {
  Easel *easel;
  cairo_t *cr;
  Light light;
  Dice *dice;
  double shift; /* sideways, of everything that stands in the distance */
} Ground;

static void band(Ground *g, double top, double bottom, Rgb colour) {
  cairo_rectangle(g->cr, -2, top, 132, bottom - top);
  easel_fill(g->easel, REGION_SCENE, colour);
}

static void fade(Ground *g, double top, double bottom, Rgb from, Rgb to) {
  if (g->easel->labels) {
    band(g, top, bottom, from);
    return;
  }
  cairo_pattern_t *pattern = cairo_pattern_create_linear(0, top, 0, bottom);
  cairo_pattern_add_color_stop_rgb(pattern, 0, from.r / 255, from.g / 255, from.b / 255);
  cairo_pattern_add_color_stop_rgb(pattern, 1, to.r / 255, to.g / 255, to.b / 255);
  cairo_rectangle(g->cr, -2, top, 132, bottom - top);
  cairo_set_source(g->cr, pattern);
  cairo_fill(g->cr);
  cairo_pattern_destroy(pattern);
}

static void disc(Ground *g, double x, double y, double rx, double ry, Rgb colour) {
  path_ellipse(g->cr, x, y, rx, ry);
  easel_fill(g->easel, REGION_SCENE, colour);
}

static void box(Ground *g, double x, double y, double width, double height, Rgb colour) {
  cairo_rectangle(g->cr, x, y, width, height);
  easel_fill(g->easel, REGION_SCENE, colour);
}

static void shape(Ground *g, const double *xy, int count, Rgb colour) {
  path_polygon(g->cr, xy, count);
  easel_fill(g->easel, REGION_SCENE, colour);
}

static void stars(Ground *g, double bottom, int count) {
  for (int i = 0; i < count; i++) {
    double x = dice_between(g->dice, 2, 126), y = dice_between(g->dice, 2, bottom);
    double r = dice_between(g->dice, 0.5, 1.1);
    box(g, x, y, 2 * r, 2 * r, (Rgb){246, 244, 224});
  }
}

static void cloud(Ground *g, double x, double y, double s, Rgb colour) {
  path_ellipse(g->cr, x, y, 11 * s, 4.4 * s);
  cairo_new_sub_path(g->cr);
  path_ellipse(g->cr, x - 3 * s, y - 3.4 * s, 5.4 * s, 5 * s);
  cairo_new_sub_path(g->cr);
  path_ellipse(g->cr, x + 4 * s, y - 2 * s, 4.6 * s, 4.2 * s);
  easel_fill(g->easel, REGION_SCENE, colour);
}

static void sky(Ground *g, double horizon, double sun_x) {
  double x = sun_x + g->shift * 0.5, y = 20 + dice_between(g->dice, -2, 2);
  switch (g->light) {
  case LIGHT_SUNSET:
    fade(g, 0, horizon + 1, (Rgb){228, 112, 120}, (Rgb){255, 212, 132});
    disc(g, x, horizon - 12, 11, 11, (Rgb){255, 240, 170});
    break;
  case LIGHT_NIGHT:
    fade(g, 0, horizon + 1, (Rgb){30, 34, 84}, (Rgb){88, 96, 158});
    stars(g, horizon - 14, 14);
    disc(g, x, y, 8, 8, (Rgb){250, 246, 214});
    disc(g, x + 3.4, y - 2.2, 6.6, 6.6, (Rgb){40, 44, 98});
    break;
  default:
    fade(g, 0, horizon + 1, (Rgb){126, 196, 244}, (Rgb){214, 238, 252});
    disc(g, x, y, 8.5, 8.5, (Rgb){255, 232, 128});
    cloud(g, 128 - sun_x + g->shift, 22, 1.0, (Rgb){250, 253, 255});
    cloud(g, 128 - sun_x + 36 + g->shift, 40, 0.7, (Rgb){244, 250, 255});
  }
}

static void round_tree(Ground *g, double x, double foot, double s) {
  box(g, x - 2.6 * s, foot - 20 * s, 5.2 * s, 20 * s, (Rgb){136, 96, 66});
  disc(g, x + 1.5 * s, foot - 27 * s, 15 * s, 15 * s, (Rgb){92, 158, 88});
  disc(g, x - 1.5 * s, foot - 30 * s, 13 * s, 12 * s, (Rgb){122, 184, 104});
}

static void paint_park(Ground *g) {
  sky(g, 76, 20);
  disc(g, 24 + g->shift, 92, 56, 28, (Rgb){168, 214, 140});
  disc(g, 112 + g->shift, 94, 54, 26, (Rgb){154, 206, 130});
  band(g, 88, 130, (Rgb){132, 196, 106});
  round_tree(g, 14 + g->shift, 96, 1.15);
  round_tree(g, 114 + g->shift, 98, 1.3);
  shape(g, (double[]){54, 88, 74, 88, 104, 130, 22, 130}, 4, (Rgb){228, 214, 176});
  for (int i = 0; i < 7; i++) {
    double x = dice_between(g->dice, 3, 125), y = dice_between(g->dice, 102, 126);
    disc(g, x, y, 1.8, 1.8, i % 2 ? (Rgb){255, 246, 250} : (Rgb){246, 140, 170});
  }
}

static void paint_beach(Ground *g) {
  sky(g, 62, 104);
  Rgb sea = g->light == LIGHT_SUNSET ? (Rgb){204, 142, 150} : (Rgb){66, 164, 208};
  band(g, 60, 90, sea);
  for (int i = 0; i < 5; i++)
    box(g, dice_between(g->dice, 0, 110), 65 + i * 4.4, 17, 1.5, rgb_light(sea, 0.5));
  cairo_move_to(g->cr, -2, 86);
  cairo_curve_to(g->cr, 30, 82, 60, 92, 130, 85);
  cairo_line_to(g->cr, 130, 130);
  cairo_line_to(g->cr, -2, 130);
  easel_fill(g->easel, REGION_SCENE, (Rgb){246, 222, 166});
  double x = 17 + g->shift;
  box(g, x - 1, 62, 2, 42, (Rgb){244, 244, 240});
  cairo_arc(g->cr, x, 66, 18, G_PI, 2 * G_PI);
  easel_fill(g->easel, REGION_SCENE, (Rgb){238, 110, 102});
  cairo_move_to(g->cr, x - 7, 66);
  cairo_curve_to(g->cr, x - 6, 54, x - 3, 48, x, 48);
  cairo_curve_to(g->cr, x + 3, 48, x + 6, 54, x + 7, 66);
  easel_fill(g->easel, REGION_SCENE, (Rgb){255, 240, 226});
  disc(g, 112 + g->shift, 112, 8, 8, (Rgb){250, 250, 250});
  cairo_move_to(g->cr, 112 + g->shift, 112);
  cairo_arc(g->cr, 112 + g->shift, 112, 8, 0.4, 1.5);
  easel_fill(g->easel, REGION_SCENE, (Rgb){90, 150, 230});
  cairo_move_to(g->cr, 112 + g->shift, 112);
  cairo_arc(g->cr, 112 + g->shift, 112, 8, 2.5, 3.6);
  easel_fill(g->easel, REGION_SCENE, (Rgb){240, 120, 110});
  disc(g, 40, 121, 2.6, 1.6, (Rgb){226, 196, 140});
  disc(g, 88, 104, 2.2, 1.3, (Rgb){226, 196, 140});
}

static void house(Ground *g, double x, double top, double width, Rgb colour) {
  box(g, x, top, width, 104 - top, colour);
  box(g, x + width - 3.5, top, 3.5, 104 - top, rgb_dark(colour, 0.16));
  Rgb pane = g->light == LIGHT_NIGHT ? (Rgb){255, 226, 140} : (Rgb){234, 244, 250};
  for (double y = top + 6; y < 94; y += 12)
    for (double c = x + 4; c < x + width - 8; c += 9)
      box(g, c, y, 5, 7, pane);
}

static void paint_city(Ground *g) {
  sky(g, 90, 66);
  const double far[5][3] = {{-4, 40, 24}, {22, 52, 22}, {46, 34, 20}, {70, 48, 26}, {98, 38, 30}};
  for (int i = 0; i < 5; i++)
    box(g, far[i][0] + g->shift * 0.5, far[i][1], far[i][2], 60, (Rgb){176, 190, 214});
  house(g, -8 + g->shift, 24, 30, (Rgb){206, 140, 124});
  house(g, 24 + g->shift, 58, 22, (Rgb){226, 200, 160});
  house(g, 82 + g->shift, 54, 21, (Rgb){180, 188, 172});
  house(g, 105 + g->shift, 18, 32, (Rgb){216, 162, 112});
  band(g, 102, 108, (Rgb){200, 200, 204});
  band(g, 108, 130, (Rgb){110, 114, 126});
  for (int i = 0; i < 5; i++)
    box(g, i * 30 - 6 + g->shift, 117, 15, 2.6, (Rgb){240, 236, 214});
}

static void fir(Ground *g, double x, double foot, double s, Rgb colour) {
  box(g, x - 2 * s, foot - 8 * s, 4 * s, 8 * s, (Rgb){112, 78, 58});
  for (int i = 0; i < 3; i++) {
    double w = (17 - 4 * i) * s, y = foot - (6 + 15 * i) * s;
    shape(g, (double[]){x - w, y, x, y - 26 * s, x + w, y}, 3, colour);
    shape(g, (double[]){x, y - 26 * s, x + w, y, x + w * 0.15, y}, 3, rgb_dark(colour, 0.14));
  }
}

static void paint_forest(Ground *g) {
  Rgb mist = g->light == LIGHT_SUNSET ? (Rgb){236, 180, 130} : (Rgb){184, 216, 190};
  fade(g, 0, 100, g->light == LIGHT_NIGHT ? (Rgb){78, 110, 130} : rgb_dark(mist, 0.2), mist);
  for (int i = 0; i < 7; i++)
    fir(g, i * 21 + g->shift * 0.5, 96, 1.35, (Rgb){128, 178, 144});
  band(g, 92, 130, (Rgb){98, 138, 84});
  for (int i = 0; i < 4; i++)
    fir(g, (double[]){6, 30, 100, 123}[i] + g->shift, 104 + (i % 2) * 4, 1.6, (Rgb){58, 124, 92});
  disc(g, 64, 120, 70, 14, (Rgb){118, 158, 90});
  for (int i = 0; i < 2; i++) {
    double x = (i ? 112 : 20) + g->shift;
    box(g, x - 1.6, 114, 3.2, 7, (Rgb){244, 234, 214});
    cairo_arc(g->cr, x, 115, 5, G_PI, 2 * G_PI);
    easel_fill(g->easel, REGION_SCENE, (Rgb){214, 78, 68});
  }
}

static void peak(Ground *g, double x, double top, double half, Rgb colour) {
  shape(g, (double[]){x - half, 96, x, top, x + half, 96}, 3, colour);
  shape(g, (double[]){x, top, x + half, 96, x + half * 0.12, 96}, 3, rgb_dark(colour, 0.2));
  double s = 0.34, h = (96 - top) * s;
  shape(g,
        (double[]){x - half * s, top + h, x, top, x + half * s, top + h, x + half * 0.16, top + h * 0.8, x,
                   top + h * 1.2, x - half * 0.14, top + h * 0.8},
        6, (Rgb){250, 252, 255});
}

static void paint_mountains(Ground *g) {
  sky(g, 92, 64);
  peak(g, 64 + g->shift * 0.6, 46, 40, (Rgb){168, 180, 208});
  peak(g, 20 + g->shift, 22, 46, (Rgb){134, 150, 186});
  peak(g, 110 + g->shift, 28, 44, (Rgb){122, 138, 176});
  band(g, 94, 104, (Rgb){126, 186, 214});
  box(g, 10 + g->shift, 97, 26, 1.5, (Rgb){214, 236, 246});
  box(g, 84 + g->shift, 99, 30, 1.5, (Rgb){214, 236, 246});
  band(g, 103, 130, (Rgb){148, 184, 128});
  disc(g, 12, 118, 12, 5, (Rgb){158, 160, 162});
  disc(g, 116, 122, 14, 6, (Rgb){146, 148, 152});
}

static void cactus(Ground *g, double x, double foot, double s) {
  cairo_t *cr = g->cr;
  cairo_set_line_cap(cr, CAIRO_LINE_CAP_ROUND);
  cairo_set_line_join(cr, CAIRO_LINE_JOIN_ROUND);
  cairo_move_to(cr, x, foot);
  cairo_line_to(cr, x, foot - 36 * s);
  easel_stroke(g->easel, REGION_SCENE, (Rgb){94, 160, 100}, 9 * s);
  cairo_move_to(cr, x, foot - 12 * s);
  cairo_line_to(cr, x - 11 * s, foot - 12 * s);
  cairo_line_to(cr, x - 11 * s, foot - 24 * s);
  cairo_move_to(cr, x, foot - 17 * s);
  cairo_line_to(cr, x + 11 * s, foot - 17 * s);
  cairo_line_to(cr, x + 11 * s, foot - 30 * s);
  easel_stroke(g->easel, REGION_SCENE, (Rgb){94, 160, 100}, 6.4 * s);
}

static void paint_desert(Ground *g) {
  if (g->light == LIGHT_DAY) {
    fade(g, 0, 84, (Rgb){250, 206, 138}, (Rgb){255, 240, 200});
    disc(g, 100 + g->shift * 0.5, 22, 11, 11, (Rgb){255, 252, 226});
  } else {
    sky(g, 84, 100);
  }
  band(g, 84, 118, (Rgb){238, 190, 122});
  shape(g, (double[]){2 + g->shift, 84, 8 + g->shift, 56, 34 + g->shift, 56, 42 + g->shift, 84}, 4,
        (Rgb){214, 142, 104});
  shape(g, (double[]){70 + g->shift, 84, 76 + g->shift, 66, 92 + g->shift, 66, 98 + g->shift, 84}, 4,
        (Rgb){224, 156, 116});
  disc(g, 30 + g->shift, 108, 74, 30, (Rgb){238, 190, 122});
  disc(g, 116 + g->shift, 116, 70, 32, (Rgb){228, 174, 104});
  band(g, 116, 130, (Rgb){222, 166, 98});
  cactus(g, 15 + g->shift, 106, 1.15);
  cactus(g, 115 + g->shift, 112, 1.35);
}

static void paint_space(Ground *g) {
  fade(g, 0, 128, (Rgb){26, 22, 58}, (Rgb){62, 42, 104});
  stars(g, 98, 34);
  double x = 25 + g->shift, y = 30;
  disc(g, x, y, 15, 15, (Rgb){206, 120, 92});
  disc(g, x - 2, y - 2, 12.5, 12.5, (Rgb){236, 158, 112});
  cairo_save(g->cr);
  cairo_translate(g->cr, x, y);
  cairo_rotate(g->cr, -0.35);
  cairo_scale(g->cr, 1, 0.28);
  cairo_arc(g->cr, 0, 0, 23, -0.25, G_PI + 0.25);
  easel_stroke(g->easel, REGION_SCENE, (Rgb){250, 222, 170}, 3.4);
  cairo_restore(g->cr);
  disc(g, 110 + g->shift, 22, 7, 7, (Rgb){150, 190, 226});
  disc(g, 64, 136, 104, 34, (Rgb){150, 148, 170});
  disc(g, 60, 139, 104, 34, (Rgb){172, 170, 190});
  disc(g, 20 + g->shift, 117, 9, 3, (Rgb){138, 136, 160});
  disc(g, 104 + g->shift, 114, 11, 3.4, (Rgb){138, 136, 160});
  disc(g, 74 + g->shift, 124, 7, 2.2, (Rgb){138, 136, 160});
}

static void window_frame(Ground *g, double x, double y, double width, double height) {
  box(g, x - 3, y - 3, width + 6, height + 6, (Rgb){250, 250, 250});
  Rgb pane = g->light == LIGHT_NIGHT    ? (Rgb){46, 54, 110}
             : g->light == LIGHT_SUNSET ? (Rgb){250, 164, 110}
                                        : (Rgb){150, 208, 242};
  box(g, x, y, width, height, pane);
  for (int i = 0; i < 4; i++) {
    double h = (double[]){12, 20, 9, 16}[i];
    box(g, x + i * width / 4, y + height - h, width / 4, h, rgb_mix(pane, (Rgb){110, 130, 170}, 0.55));
  }
  box(g, x + width / 2 - 1, y, 2, height, (Rgb){250, 250, 250});
}

static void paint_office(Ground *g) {
  band(g, 0, 104, (Rgb){214, 226, 224});
  window_frame(g, 6 + g->shift, 14, 34, 44);
  window_frame(g, 88 + g->shift, 14, 34, 44);
  band(g, 100, 130, (Rgb){158, 168, 180});
  box(g, -2, 84, 132, 6, (Rgb){206, 164, 118});
  box(g, -2, 90, 132, 18, (Rgb){182, 138, 96});
  double x = 20 + g->shift;
  box(g, x - 13, 64, 26, 17, (Rgb){66, 74, 92});
  box(g, x - 11, 66, 22, 13, (Rgb){120, 176, 206});
  box(g, x - 3, 81, 6, 3, (Rgb){66, 74, 92});
  x = 110 + g->shift;
  shape(g, (double[]){x - 6, 74, x + 6, 74, x + 4.5, 84, x - 4.5, 84}, 4, (Rgb){228, 128, 90});
  for (int i = -2; i <= 2; i++) {
    cairo_save(g->cr);
    cairo_translate(g->cr, x, 74);
    cairo_rotate(g->cr, i * 0.42);
    disc(g, 0, -9, 2.8, 9, i % 2 ? (Rgb){80, 156, 96} : (Rgb){106, 178, 112});
    cairo_restore(g->cr);
  }
}

static void paint_library(Ground *g) {
  static const Rgb covers[6] = {{190, 92, 84},   {96, 128, 164},  {214, 178, 108},
                                {104, 148, 116}, {150, 108, 142}, {222, 206, 180}};
  band(g, 0, 130, (Rgb){112, 74, 54});
  for (int row = 0; row < 4; row++) {
    double bottom = 27 + row * 28.0;
    band(g, bottom - 25, bottom, (Rgb){84, 54, 42});
    for (double x = -4 + dice_between(g->dice, 0, 4); x < 128;) {
      double w = dice_between(g->dice, 4.5, 8), h = dice_between(g->dice, 17, 23);
      Rgb cover = covers[dice_pick(g->dice, 6)];
      box(g, x, bottom - h, w, h, cover);
      box(g, x, bottom - h + 4, w, 2, rgb_light(cover, 0.4));
      x += w + (dice_unit(g->dice) < 0.12 ? 6 : 0.7);
    }
    band(g, bottom, bottom + 3, (Rgb){168, 118, 82});
  }
  band(g, 112, 130, (Rgb){178, 128, 88});
  band(g, 112, 114, (Rgb){140, 96, 66});
}

static void paint_studio(Ground *g) {
  fade(g, 0, 104, (Rgb){176, 178, 196}, (Rgb){206, 206, 220});
  if (!g->easel->labels) {
    cairo_pattern_t *glow = cairo_pattern_create_radial(64 + g->shift, 52, 6, 64 + g->shift, 52, 74);
    cairo_pattern_add_color_stop_rgba(glow, 0, 1, 1, 1, 0.75);
    cairo_pattern_add_color_stop_rgba(glow, 1, 1, 1, 1, 0);
    cairo_set_source(g->cr, glow);
    cairo_paint(g->cr);
    cairo_pattern_destroy(glow);
  }
  fade(g, 104, 130, (Rgb){192, 190, 206}, (Rgb){168, 168, 188});
}

void scene_paint(Easel *easel, Place place, Light light, Dice *dice) {
  static void (*const painters[SCENES])(Ground *) = {paint_park,      paint_beach,  paint_city,  paint_forest,
                                                     paint_mountains, paint_desert, paint_space, paint_office,
                                                     paint_library,   paint_studio};
  Ground ground = {easel, easel->cr, light, dice, dice_between(dice, -4, 4)};
  cairo_save(easel->cr);
  cairo_new_path(easel->cr);
  easel_colour(easel, REGION_SCENE, (Rgb){128, 128, 128}); /* nothing shows of what was there before */
  cairo_paint(easel->cr);
  painters[place](&ground);
  cairo_restore(easel->cr);
}
