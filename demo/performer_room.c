/* Painter's order on each plane: ground, then what stands before it, each with an edge as soft as a
 * millimetre. The picture is supersampled, so nothing here needs to know the size of a pixel. */
#include "performer_room.h"
#include "base/plane.h"
#include "performer_look.h"
#include "performer_threads.h"
#include <math.h>

#define RGB(R, G, B) ((vec3s){{(R) / 255.0f, (G) / 255.0f, (B) / 255.0f}})

static vec3s over(vec3s below, vec3s above, float alpha) {
  return glms_vec3_lerp(below, above, CLAMP(alpha, 0.0f, 1.0f));
}

static vec3s shade(vec3s colour, float s) {
  return glms_vec3_scale(colour, s);
}

/* 1 inside the rectangle. */
static float inside(float x, float y, float x0, float y0, float x1, float y1) {
  return x > x0 && x < x1 && y > y0 && y < y1;
}

static float box_distance(float x, float y, float x0, float y0, float x1, float y1) {
  float dx = fmaxf(fmaxf(x0 - x, x - x1), 0), dy = fmaxf(fmaxf(y0 - y, y - y1), 0);
  return sqrtf(dx * dx + dy * dy);
}

static float grain(float x, float y, float seed) {
  return look_noise(x, y, seed) * 0.6f + look_noise(x * 2.3f, y * 2.3f, seed + 5) * 0.4f;
}

static vec3s floor_paint(float x, float z) {
  const float board = 0.115f;
  float row = floorf(x / board), across = x / board - row;
  float start = look_noise(row * 7.3f, 1.5f, 0) * 3, along = (z + start) / 1.35f, piece = floorf(along),
        joint = along - piece;
  float tone = 0.86f + 0.14f * look_noise(row * 3.7f + 0.5f, piece * 5.1f + 0.5f, 2);
  vec3s colour =
      over(RGB(176, 124, 80), RGB(150, 98, 60), 0.5f + 0.5f * look_noise(row * 1.9f, piece * 2.7f, 4));
  float rings = grain(x * 90, z * 5 + row, row);
  colour = shade(colour, tone * (1 + 0.09f * rings + 0.04f * look_noise(x * 400, z * 14, 1)));
  if (across < 0.025f || across > 0.985f || joint < 0.004f)
    colour = shade(colour, 0.55f);
  /* A round rug under the dance. */
  float r = sqrtf(x * x / (1.05f * 1.05f) + (z - 0.05f) * (z - 0.05f) / (0.62f * 0.62f));
  if (r < 1) {
    float ring = r * 6, a = atan2f(z / 0.62f, x / 1.05f), weave = 1 + 0.08f * look_noise(x * 260, z * 260, 7);
    vec3s rug = ring > 5.4f ? RGB(226, 214, 190) : ring > 4.6f ? RGB(52, 84, 98) : RGB(196, 178, 150);
    if (ring < 4.6f && ring > 3.5f && cosf(a * 14) * 0.42f + 0.45f > fabsf(ring - 4.05f))
      rug = RGB(170, 92, 70);
    if (ring < 2.6f)
      rug = ring > 2.2f ? RGB(52, 84, 98) : RGB(206, 190, 162);
    colour = shade(rug, weave);
  } else {
    colour = shade(colour, 1 - 0.35f * (1 - smooth_step(1.0f, 1.05f, r)));
  }
  float window_light = expf(-(x - 0.9f) * (x - 0.9f) * 0.8f) * smooth_step(-1.0f, 1.6f, z);
  colour = glms_vec3_add(colour, (vec3s){{0.10f * window_light, 0.10f * window_light, 0.09f * window_light}});
  return shade(colour,
               (0.86f + 0.10f * smooth_step(-2.0f, 0.5f, z)) * (1 - 0.45f * expf(-(ROOM_WALL_Z - z) * 7)));
}

static vec3s sunset(float u, float v) {
  vec3s sky = over(RGB(250, 196, 120), RGB(206, 96, 90), smooth_step(0.1f, 0.6f, 0.6f - v));
  float sun = hypotf((u - 0.62f) * 0.8f, v - 0.42f);
  sky = over(sky, RGB(255, 240, 200), 1 - smooth_step(0.10f, 0.11f, sun));
  float far = 0.56f - 0.10f * sinf(u * 7) - 0.05f * sinf(u * 17 + 1),
        near = 0.74f - 0.08f * sinf(u * 5 + 2) - 0.03f * sinf(u * 23);
  sky = over(sky, RGB(128, 78, 104), smooth_step(far - 0.004f, far + 0.004f, v));
  return over(sky, RGB(58, 46, 78), smooth_step(near - 0.004f, near + 0.004f, v));
}

static vec3s shapes(float u, float v) {
  vec3s c = RGB(238, 230, 214);
  c = over(c, RGB(214, 158, 60), hypotf(u - 0.35f, (v - 0.35f) * 1.3f) < 0.24f);
  c = over(c, RGB(44, 98, 104), inside(u, v, 0.45f, 0.30f, 0.82f, 0.80f));
  c = over(c, RGB(190, 74, 54), v > 0.5f && fabsf(u - 0.36f) < (v - 0.5f) * 0.6f && v < 0.88f);
  return c;
}

static vec3s framed(vec3s wall, float x, float y, float x0, float y0, float x1, float y1, vec3s wood,
                    vec3s (*paint)(float, float)) {
  float d = box_distance(x - 0.03f, y - 0.04f, x0, y0, x1, y1);
  wall = shade(wall, 1 - 0.38f * expf(-d * d / 0.0018f));
  if (!inside(x, y, x0, y0, x1, y1))
    return wall;
  float edge = fminf(fminf(x - x0, x1 - x), fminf(y - y0, y1 - y));
  if (edge < 0.022f)
    return shade(wood, 0.8f + 12 * edge * (y - y0 < 0.022f || x - x0 < 0.022f ? 1.0f : 0.4f));
  if (edge < 0.060f)
    return shade(RGB(240, 236, 226), edge < 0.030f ? 0.86f : 1.0f);
  return paint((x - x0 - 0.06f) / (x1 - x0 - 0.12f), (y - y0 - 0.06f) / (y1 - y0 - 0.12f));
}

static vec3s window_view(float x, float y) {
  vec3s sky = over(RGB(236, 244, 248), RGB(150, 196, 230), smooth_step(-1.3f, -2.4f, y));
  float cloud = grain(x * 2.4f, y * 5, 11) + 0.5f * look_noise(x * 9, y * 16, 3);
  sky = over(sky, RGB(255, 255, 255), smooth_step(0.05f, 0.6f, cloud));
  float hills = -1.36f + 0.07f * sinf(x * 3.1f) + 0.02f * look_noise(x * 25, 0, 2);
  sky = over(sky, RGB(126, 164, 120), smooth_step(hills - 0.003f, hills + 0.003f, y));
  float trees = -1.22f + 0.06f * look_noise(x * 8, 0, 7) + 0.03f * look_noise(x * 31, 0, 8);
  return over(sky, shade(RGB(74, 120, 82), 1 + 0.2f * look_noise(x * 40, y * 40, 5)),
              smooth_step(trees - 0.003f, trees + 0.003f, y));
}

static vec3s window_paint(vec3s wall, float x, float y, float x0, float x1) {
  const float y0 = -2.36f, y1 = -1.10f;
  float d = box_distance(x, y, x0, y0, x1, y1);
  wall = glms_vec3_add(wall, shade((vec3s){{0.13f, 0.12f, 0.10f}}, expf(-d * 3.2f)));
  if (inside(x, y, x0 - 0.05f, y1, x1 + 0.05f, y1 + 0.045f))
    return shade(RGB(246, 243, 236), y > y1 + 0.030f ? 0.72f : 1);
  if (inside(x, y, x0, y0, x1, y1)) {
    float edge = fminf(fminf(x - x0, x1 - x), fminf(y - y0, y1 - y));
    float bar = fminf(fabsf(x - 0.5f * (x0 + x1)), fabsf(y - (y0 + 0.42f)));
    if (edge < 0.05f || bar < 0.018f)
      return shade(RGB(246, 243, 236), edge < 0.006f || (edge > 0.044f && edge < 0.05f) ? 0.78f : 1);
    wall = window_view(x, y);
  }
  /* Curtains hang before both sides. */
  for (int side = 0; side < 2; side++) {
    float from = side == 0 ? x0 - 0.20f : x1 - 0.10f, u = (x - from) / 0.30f;
    u += 0.06f * sinf((y + 2.4f) * 2.2f) * (side == 0 ? 1 : -1);
    if (u > 0 && u < 1 && y > -2.50f && y < -0.55f) {
      float wave = sinf(u * 26 + 0.6f * sinf(y * 1.7f)) * 0.5f + 0.5f;
      wall = over(shade(RGB(226, 206, 176), 0.70f + 0.32f * wave), RGB(255, 246, 226),
                  0.18f * inside(x, y, x0, y0, x1, y1));
    }
  }
  if (y > -2.53f && y < -2.50f && x > x0 - 0.26f && x < x1 + 0.26f)
    wall = shade(RGB(120, 92, 62), 0.7f + 10 * (y + 2.53f));
  return wall;
}

static vec3s shelf_paint(vec3s wall, float x, float y, float x0, float x1) {
  float d = box_distance(x, y, x0, -2.05f, x1, 0);
  wall = shade(wall, 1 - 0.3f * expf(-d * d / 0.006f));
  if (!inside(x, y, x0, -2.05f, x1, 0))
    return wall;
  float edge = fminf(fminf(x - x0, x1 - x), y + 2.05f), level = (y + 2.05f) / 0.41f,
        in = (level - floorf(level)) * 0.41f;
  vec3s wood = shade(RGB(128, 90, 58), 0.92f + 0.10f * look_noise(x * 12, y * 90, 3));
  if (edge < 0.03f || in > 0.385f)
    return wood;
  vec3s colour = shade(RGB(78, 56, 40), 0.7f + in);
  float along = (x - x0) / 0.042f + floorf(level) * 17, book = floorf(along);
  float tall = 0.25f + 0.09f * look_noise(book * 3.3f, floorf(level), 6), dark = along - book;
  if (in > 0.385f - tall && look_noise(book * 1.7f, 4, floorf(level)) > -0.55f) {
    float hue = look_noise(book * 2.1f, floorf(level) * 3, 9) * 3;
    colour = (vec3s){
        {0.45f + 0.25f * sinf(hue), 0.42f + 0.20f * sinf(hue + 2.2f), 0.40f + 0.22f * sinf(hue + 4.1f)}};
    colour = shade(colour, 0.65f + 0.9f * dark * (1 - dark) * 2);
    if (fabsf(in - (0.385f - tall * 0.7f)) < 0.012f)
      colour = over(colour, RGB(232, 214, 160), 0.8f);
  }
  return colour;
}

static vec3s wall_paint(float x, float y) {
  /* Plaster above, panels below. */
  vec3s wall = over(RGB(118, 150, 150), RGB(150, 176, 170), smooth_step(-2.6f, -0.9f, y));
  float motif = sinf(x * 34) * sinf(y * 34);
  wall = shade(wall, 1 + 0.016f * grain(x * 60, y * 60, 1) + 0.045f * smooth_step(0.62f, 0.70f, motif));
  wall = shade(wall, 0.90f + 0.14f * expf(-0.22f * (x - 0.9f) * (x - 0.9f)));
  wall = framed(wall, x, y, -0.90f, -2.02f, -0.46f, -1.46f, RGB(92, 62, 40), sunset);
  wall = framed(wall, x, y, -1.52f, -1.86f, -1.10f, -1.36f, RGB(40, 40, 44), shapes);
  wall = framed(wall, x, y, -3.00f, -2.06f, -2.30f, -1.36f, RGB(92, 62, 40), shapes);
  wall = framed(wall, x, y, 2.95f, -2.0f, 3.6f, -1.4f, RGB(40, 40, 44), sunset);
  wall = window_paint(wall, x, y, 0.48f, 1.40f);
  wall = window_paint(wall, x, y, -4.9f, -3.7f);
  wall = shelf_paint(wall, x, y, 1.95f, 2.80f);
  wall = shelf_paint(wall, x, y, -2.15f, -1.70f);
  if (y > -0.92f && !inside(x, y, 1.95f, -2.05f, 2.80f, 0) && !inside(x, y, -2.15f, -2.05f, -1.70f, 0)) {
    vec3s cream = shade(RGB(228, 220, 204), 0.90f + 0.10f * smooth_step(0, -0.9f, y));
    float u = (x + 10) / 0.46f, in = fabsf(u - floorf(u) - 0.5f) * 0.46f,
          panel = fmaxf(in - 0.175f, fabsf(y + 0.48f) - 0.30f);
    cream = shade(cream, 1 - 0.16f * (fabsf(panel) < 0.006f) + 0.05f * (panel > -0.03f && panel < -0.006f));
    if (y < -0.86f)
      cream = shade(cream, y > -0.872f ? 0.70f : 1.05f);
    if (y > -0.13f)
      cream = shade(cream, y < -0.118f ? 0.80f : 1.02f);
    wall = shade(cream, 0.93f + 0.10f * expf(-0.22f * (x - 0.9f) * (x - 0.9f)));
  }
  return shade(wall, 1 - 0.30f * expf(y * 9));
}

/* A rubber plant in a pot, flat, on a plane of its own. */
static float plant_paint(float x, float y, vec3s *colour) {
  float alpha = 0;
  for (int i = 0; i < 15; i++) {
    float a = -0.5f * (float)G_PI + ((float)i - 7) * 0.20f + 0.12f * sinf((float)i * 5.1f),
          reach = 0.42f + 0.20f * sinf((float)i * 2.3f + 1);
    float cx = reach * cosf(a), cy = -0.42f + reach * sinf(a) * 1.25f;
    float lean = a + 0.5f * cosf(a), dx = x - cx, dy = y - cy;
    float u = dx * cosf(lean) + dy * sinf(lean), v = -dx * sinf(lean) + dy * cosf(lean), half = 0.15f;
    float width = 0.055f * (1 - (u / half) * (u / half)) * (1 - 0.3f * u / half);
    /* stem */
    float along =
        CLAMP((x * cx + (y + 0.36f) * (cy + 0.36f)) / (cx * cx + (cy + 0.36f) * (cy + 0.36f)), 0, 1);
    if (hypotf(x - cx * along, y + 0.36f - (cy + 0.36f) * along) < 0.006f) {
      *colour = RGB(86, 104, 62);
      alpha = 1;
    }
    if (fabsf(u) < half && fabsf(v) < width) {
      float vein = expf(-v * v / 0.00001f) * 0.35f, tone = 0.75f + 0.25f * sinf((float)i * 3.7f);
      *colour = glms_vec3_adds(shade(RGB(66, 128, 78), tone * (v < 0 ? 1.15f : 0.88f)), 0.2f * vein);
      alpha = 1;
    }
  }
  float taper = 0.15f + 0.10f * (-y / 0.36f);
  if (y > -0.36f && y < 0 && fabsf(x) < taper * 0.8f) {
    *colour =
        shade(RGB(188, 98, 66), 0.72f + 0.34f * sqrtf(fmaxf(1 - (x / taper + 0.3f) * (x / taper + 0.3f), 0)));
    if (y < -0.30f)
      *colour = shade(*colour, y > -0.312f ? 0.75f : 1.08f);
    alpha = 1;
  }
  return alpha;
}

vec3s room_colour(vec3s origin, vec3s d) {
  float to_wall = (ROOM_WALL_Z - origin.z) / d.z, to_floor = d.y > 1e-6f ? -origin.y / d.y : 1e9f;
  vec3s colour;
  if (to_floor < to_wall) {
    float x = origin.x + d.x * to_floor, z = origin.z + d.z * to_floor;
    colour = floor_paint(x, z);
    for (int i = 0; i < 2; i++) { /* shade under the pots */
      float dx = x - (i == 0 ? -0.86f : 1.66f), dz = z - 1.45f;
      colour = shade(colour, 1 - 0.5f * expf(-(dx * dx + dz * dz * 2) / 0.03f));
    }
  } else {
    colour = wall_paint(origin.x + d.x * to_wall, origin.y + d.y * to_wall);
  }
  float to_plant = (1.45f - origin.z) / d.z, x = origin.x + d.x * to_plant, y = origin.y + d.y * to_plant;
  vec3s leaf = colour;
  for (int i = 0; i < 2; i++) {
    float at = i == 0 ? -0.86f : 1.66f;
    if (fabsf(x - at) < 0.9f && y > -1.6f && y < 0 && plant_paint(i == 0 ? x - at : at - x, y, &leaf) > 0)
      colour = leaf;
  }
  return colour;
}

typedef struct {
  const Camera *camera;
  Image *picture;
} Painting;

static void paint_row(int y, gpointer user) {
  const Painting *painting = user;
  for (int x = 0; x < painting->camera->width; x++) {
    vec3s sum = {{0, 0, 0}};
    for (int s = 0; s < 9; s++) {
      vec3s origin, direction;
      camera_ray(painting->camera, (float)x + ((float)(s % 3) + 0.5f) / 3,
                 (float)y + ((float)(s / 3) + 0.5f) / 3, &origin, &direction);
      vec3s one = room_colour(origin, direction);
      for (int c = 0; c < 3; c++)
        sum.raw[c] += CLAMP(one.raw[c], 0.0f, 1.0f);
    }
    for (int c = 0; c < 3; c++)
      image_at(painting->picture, x, y)[c] = (guint8)lrintf(sum.raw[c] * (255.0f / 9));
  }
}

Image *room_picture(const Camera *camera) {
  Painting painting = {camera, image_new(camera->width, camera->height, 3)};
  threads_rows(camera->height, paint_row, &painting);
  return painting.picture;
}
