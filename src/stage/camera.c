/* The first frame is the first key frame; corners are found on it outside the people. For every further frame
 * the motion from the key frame is predicted to be that of the frame before, each corner's surroundings are
 * drawn from the key frame as they should look now, and the small remaining displacement is measured on the
 * frame. When that fails for many (the camera moved fast), it is measured on smaller pictures first. When the
 * frame no longer shows enough of the key frame, it becomes the next key frame.
 *
 * A camera counts as still while most corners stay within STILL of where they were in the first frame; a few
 * frames in which they do not, as during a flash or a knock, do not end it. */
#include "stage/camera.h"
#include "base/simd.h"
#include "stage/motion.h"

#include <math.h>
#include <string.h>

enum {
  CELL = 20,   /* at most one corner per cell of so many pixels */
  BORDER = 10, /* pixels at the border without corners */
  RADIUS = 5,  /* of the window around a corner */
  WINDOW = 2 * RADIUS + 1,
  TEMPLATE = WINDOW + 2, /* with a rim for the gradients */
  LEVELS = 5,            /* pictures of halved size */
  LEVEL_MIN = 24,        /* no picture is smaller */
  ROUNDS = 12,           /* of Lucas-Kanade */
  FEATURES_MIN = 12,
  GROW = 6,      /* pixels around people that may move with them */
  STRAY_MAX = 2, /* frames in a row in which a still camera may seem to move */
};

static const double STILL = 0.35;    /* pixels of the reduced picture */
static const double RESTING = 0.6;   /* share of the corners that rest where the camera does */
static const double TOLERANCE = 0.7; /* of a right match, likewise */
static const double MATCHED =
    0.55; /* share of the corners in view that must be found again, else look again */
static const double IN_VIEW = 0.5;     /* share of a key frame's corners that must be in view */
static const double GROWTH_MAX = 1.35; /* change of size against the key frame */
static const float CORNER = 4;         /* smaller eigenvalue of the mean structure tensor, squared levels */
static const float ALIKE = 0.75f;      /* correlation of a found window with what was looked for */

typedef struct {
  int levels;
  Image *level[LEVELS]; /* grey; the first belongs to the key frame or frame, too */
} Pyramid;

typedef struct {
  float x, y;
} Corner;

typedef struct {
  double h[9];
} Step;

struct Camera {
  int width, height; /* of the video */
  int factor;        /* of the reduction */
  Pyramid key;
  GArray *corners; /* Corner, of the key frame */
  double key_to_first[9];
  double key_to_now[9]; /* motion from the key frame into the latest frame */
  GArray *motions;      /* Step: frame -> first, reduced pixels */
  gboolean moved;
  int stray, trusted;
};

static const double identity[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};

/* --- pictures --- */

static int factor_for(int width, int height) {
  return (MAX(width, height) + CAMERA_SIDE - 1) / CAMERA_SIDE;
}

FASTEST static Image *reduced_grey(const AVFrame *frame) {
  int factor = factor_for(frame->width, frame->height), area = factor * factor;
  Image *grey = image_new(frame->width / factor, frame->height / factor, 1);
  g_autofree guint16 *sum = g_new(guint16, grey->width * factor);
  for (int y = 0; y < grey->height; y++) {
    memset(sum, 0, sizeof *sum * (gsize)(grey->width * factor));
    for (int k = 0; k < factor; k++) {
      const guint8 *row = frame->data[0] + (gssize)(y * factor + k) * frame->linesize[0];
      for (int x = 0; x < grey->width * factor; x++)
        sum[x] = (guint16)(sum[x] + row[x]);
    }
    guint8 *to = image_at(grey, 0, y);
    for (int x = 0; x < grey->width; x++) {
      int total = area / 2;
      for (int k = 0; k < factor; k++)
        total += sum[x * factor + k];
      to[x] = (guint8)(total / area);
    }
  }
  return grey;
}

Image *camera_grey(const AVFrame *frame) {
  return reduced_grey(frame);
}

static Image *halve(const Image *from) {
  Image *half = image_new(from->width / 2, from->height / 2, 1);
  for (int y = 0; y < half->height; y++) {
    const guint8 *a = image_at(from, 0, 2 * y), *b = image_at(from, 0, 2 * y + 1);
    guint8 *to = image_at(half, 0, y);
    for (int x = 0; x < half->width; x++)
      to[x] = (guint8)((a[2 * x] + a[2 * x + 1] + b[2 * x] + b[2 * x + 1] + 2) / 4);
  }
  return half;
}

/* All levels or only the first. */
static Pyramid pyramid_new(const Image *grey) {
  Pyramid pyramid = {.levels = 1};
  pyramid.level[0] = image_copy(grey);
  return pyramid;
}

static void pyramid_complete(Pyramid *pyramid) {
  while (pyramid->levels < LEVELS) {
    const Image *last = pyramid->level[pyramid->levels - 1];
    if (MIN(last->width, last->height) / 2 < LEVEL_MIN)
      return;
    pyramid->level[pyramid->levels++] = halve(last);
  }
}

static void pyramid_clear(Pyramid *pyramid) {
  for (int i = 0; i < pyramid->levels; i++)
    image_free(pyramid->level[i]);
  pyramid->levels = 0;
}

/* Bilinear; (x, y) lies at least one pixel inside. */
static float sample(const Image *image, float x, float y) {
  int x0 = (int)x, y0 = (int)y;
  float fx = x - (float)x0, fy = y - (float)y0;
  const guint8 *a = image_at(image, x0, y0), *b = a + image->width;
  float top = (float)a[0] + fx * (float)(a[1] - a[0]), bottom = (float)b[0] + fx * (float)(b[1] - b[0]);
  return top + fy * (bottom - top);
}

static gboolean inside(const Image *image, double x, double y, double margin) {
  return x >= margin && y >= margin && x < image->width - 1 - margin && y < image->height - 1 - margin;
}

/* --- corners --- */

/* Somebody at (x, y) of the reduced picture, or so near that the window would see them. */
static gboolean somebody(const Image *people, const Image *grey, double x, double y) {
  if (!people)
    return FALSE;
  for (int k = 0; k < 9; k++) {
    double px = x + (k % 3 - 1) * GROW, py = y + (k / 3 - 1) * GROW;
    int mx = (int)((px + 0.5) * people->width / grey->width),
        my = (int)((py + 0.5) * people->height / grey->height);
    if (*image_at(people, CLAMP(mx, 0, people->width - 1), CLAMP(my, 0, people->height - 1)) > 25)
      return TRUE;
  }
  return FALSE;
}

/* The smaller eigenvalue of the mean structure tensor in a 7 x 7 window. */
static float cornerness(const Image *grey, int x, int y) {
  float xx = 0, xy = 0, yy = 0;
  for (int dy = -3; dy <= 3; dy++)
    for (int dx = -3; dx <= 3; dx++) {
      const guint8 *p = image_at(grey, x + dx, y + dy);
      float gx = 0.5f * (float)(p[1] - p[-1]), gy = 0.5f * (float)(p[grey->width] - p[-grey->width]);
      xx += gx * gx;
      xy += gx * gy;
      yy += gy * gy;
    }
  float mean = (xx + yy) / 2, half = (xx - yy) / 2;
  return (mean - sqrtf(half * half + xy * xy)) / 49;
}

/* The best corner of every cell. */
static void find_corners(GArray *corners, const Image *grey, const Image *people) {
  g_array_set_size(corners, 0);
  for (int cy = BORDER; cy < grey->height - BORDER; cy += CELL)
    for (int cx = BORDER; cx < grey->width - BORDER; cx += CELL) {
      float best = CORNER;
      Corner corner = {-1, -1};
      for (int y = cy; y < MIN(cy + CELL, grey->height - BORDER); y += 2)
        for (int x = cx; x < MIN(cx + CELL, grey->width - BORDER); x += 2) {
          float value = cornerness(grey, x, y);
          if (value > best && !somebody(people, grey, x, y)) {
            best = value;
            corner = (Corner){(float)x, (float)y};
          }
        }
      if (corner.x >= 0)
        g_array_append_val(corners, corner);
    }
}

/* --- Lucas-Kanade --- */

/* What is looked for: a window with its gradients, freed from its mean. */
typedef struct {
  float value[WINDOW * WINDOW], gx[WINDOW * WINDOW], gy[WINDOW * WINDOW];
  float xx, xy, yy, norm;
} Window;

/* The surroundings of `now` as the key picture shows them, where to_key leads from now to the key picture. */
static gboolean window_from_key(Window *window, const Image *key, const double to_key[9],
                                const double now[2]) {
  float patch[TEMPLATE * TEMPLATE];
  double centre[2], right[2], below[2];
  motion_apply(to_key, now, centre);
  motion_apply(to_key, (double[]){now[0] + 1, now[1]}, right);
  motion_apply(to_key, (double[]){now[0], now[1] + 1}, below);
  double ux = right[0] - centre[0], uy = right[1] - centre[1], vx = below[0] - centre[0],
         vy = below[1] - centre[1];
  double reach = (RADIUS + 1) * (MAX(fabs(ux), fabs(uy)) + MAX(fabs(vx), fabs(vy)));
  if (!(reach < 100) || !inside(key, centre[0], centre[1], reach + 1))
    return FALSE;
  for (int j = 0; j < TEMPLATE; j++)
    for (int i = 0; i < TEMPLATE; i++) {
      double dx = i - RADIUS - 1, dy = j - RADIUS - 1;
      patch[j * TEMPLATE + i] =
          sample(key, (float)(centre[0] + dx * ux + dy * vx), (float)(centre[1] + dx * uy + dy * vy));
    }
  memset(window, 0, sizeof *window);
  float mean = 0;
  for (int k = 0; k < WINDOW * WINDOW; k++) {
    const float *p = patch + (k / WINDOW + 1) * TEMPLATE + k % WINDOW + 1;
    window->value[k] = p[0];
    window->gx[k] = 0.5f * (p[1] - p[-1]);
    window->gy[k] = 0.5f * (p[TEMPLATE] - p[-TEMPLATE]);
    window->xx += window->gx[k] * window->gx[k];
    window->xy += window->gx[k] * window->gy[k];
    window->yy += window->gy[k] * window->gy[k];
    mean += p[0] / (WINDOW * WINDOW);
  }
  for (int k = 0; k < WINDOW * WINDOW; k++) {
    window->value[k] -= mean;
    window->norm += window->value[k] * window->value[k];
  }
  return window->xx * window->yy - window->xy * window->xy > 1e-3f * window->norm * window->norm / 100 + 1;
}

/* The window of the picture around at, freed from its mean; returns the sum of its squares. */
static float cut_window(const Image *image, const double at[2], float value[WINDOW * WINDOW]) {
  float mean = 0, squares = 0;
  for (int k = 0; k < WINDOW * WINDOW; k++) {
    value[k] = sample(image, (float)at[0] + (float)(k % WINDOW - RADIUS),
                      (float)at[1] + (float)(k / WINDOW - RADIUS));
    mean += value[k] / (WINDOW * WINDOW);
  }
  for (int k = 0; k < WINDOW * WINDOW; k++) {
    value[k] -= mean;
    squares += value[k] * value[k];
  }
  return squares;
}

/* Moves `at` to where the picture shows the window. FALSE when it is lost. alike: check in the end that it is
 * the same. */
static gboolean follow(const Window *window, const Image *image, double at[2], gboolean check) {
  double start[2] = {at[0], at[1]};
  float value[WINDOW * WINDOW];
  float determinant = window->xx * window->yy - window->xy * window->xy;
  for (int round = 0; round < ROUNDS; round++) {
    if (!inside(image, at[0], at[1], RADIUS + 1))
      return FALSE;
    cut_window(image, at, value);
    float bx = 0, by = 0;
    for (int k = 0; k < WINDOW * WINDOW; k++) {
      float d = value[k] - window->value[k];
      bx += d * window->gx[k];
      by += d * window->gy[k];
    }
    float dx = (window->yy * bx - window->xy * by) / determinant,
          dy = (window->xx * by - window->xy * bx) / determinant;
    float length = sqrtf(dx * dx + dy * dy), limit = length > 2 ? 2 / length : 1;
    at[0] -= dx * limit;
    at[1] -= dy * limit;
    if (length < 0.01f)
      break;
  }
  if (!inside(image, at[0], at[1], RADIUS + 1) || hypot(at[0] - start[0], at[1] - start[1]) > WINDOW)
    return FALSE;
  if (!check)
    return TRUE;
  float squares = cut_window(image, at, value), product = 0;
  for (int k = 0; k < WINDOW * WINDOW; k++)
    product += value[k] * window->value[k];
  return product > ALIKE * sqrtf(squares * window->norm + 1e-6f);
}

/* --- matching a frame with the key frame --- */

/* A motion of full-size pictures as one of pictures halved `level` times; pixel centres are integers. */
static void motion_at_level(const double h[9], int level, double scaled[9]) {
  double scale = 1 << level, shift = (scale - 1) / 2;
  double up[9] = {scale, 0, shift, 0, scale, shift, 0, 0, 1}, down[9];
  motion_invert(up, down);
  motion_multiply(h, up, scaled);
  motion_multiply(down, scaled, scaled);
}

/* The way back. */
static void motion_from_level(const double scaled[9], int level, double h[9]) {
  double scale = 1 << level, shift = (scale - 1) / 2;
  double up[9] = {scale, 0, shift, 0, scale, shift, 0, 0, 1}, down[9];
  motion_invert(up, down);
  motion_multiply(scaled, down, h);
  motion_multiply(up, h, h);
}

/* Measures on one level where the key frame's corners are now, given a prediction; both in that level's
 * pixels. visible: how many of them should be in view. */
static int match_level(const Camera *camera, const Pyramid *now, int level, const double predicted[9],
                       const Image *people, Match *matches, int *visible) {
  const Image *key = camera->key.level[level], *image = now->level[level];
  double to_key[9], scale = 1 << level;
  int count = 0;
  *visible = 0;
  if (!motion_invert(predicted, to_key))
    return 0;
  for (guint i = 0; i < camera->corners->len; i++) {
    Corner corner = g_array_index(camera->corners, Corner, i);
    Match match = {.from = {(corner.x + 0.5) / scale - 0.5, (corner.y + 0.5) / scale - 0.5}};
    motion_apply(predicted, match.from, match.to);
    Window window;
    if (!inside(image, match.to[0], match.to[1], RADIUS + 2) ||
        somebody(people, image, match.to[0], match.to[1]) || !window_from_key(&window, key, to_key, match.to))
      continue;
    ++*visible;
    if (follow(&window, image, match.to, TRUE))
      matches[count++] = match;
  }
  return count;
}

/* How a frame was matched with the key frame. */
typedef struct {
  Motion motion; /* key frame -> this frame; freedom 0 when none was found */
  int visible;   /* corners that should be in view */
  int matched;   /* corners that were found */
  int resting;   /* of those, the ones that did not move */
} Found;

static int count_resting(const Match *matches, int count) {
  int resting = 0;
  for (int i = 0; i < count; i++)
    resting += hypot(matches[i].to[0] - matches[i].from[0], matches[i].to[1] - matches[i].from[1]) <= STILL;
  return resting;
}

/* Measures on the levels from top down, each starting from what the one above found. */
static Found match_frame(const Camera *camera, const Pyramid *now, const double predicted[9], int top,
                         const Image *people) {
  g_autofree Match *matches = g_new(Match, camera->corners->len + 1);
  Found found = {0};
  memcpy(found.motion.h, predicted, sizeof found.motion.h);
  for (int level = top; level >= 0; level--) {
    const Image *image = now->level[level];
    double guess[9];
    motion_at_level(found.motion.h, level, guess);
    found.matched = match_level(camera, now, level, guess, people, matches, &found.visible);
    found.resting = count_resting(matches, found.matched);
    Motion motion =
        motion_fit(matches, found.matched, guess, TOLERANCE, (int[]){image->width, image->height});
    found.motion.inliers = motion.inliers;
    found.motion.freedom = motion.freedom;
    if (motion.freedom)
      motion_from_level(motion.h, level, found.motion.h);
  }
  return found;
}

/* The shift of the whole picture by up to a third, found on the smallest level: for jerks that no window
 * survives. */
static void shift_prediction(const Camera *camera, const Pyramid *now, const Image *people,
                             double predicted[9]) {
  int level = MIN(camera->key.levels, now->levels) - 1;
  const Image *key = camera->key.level[level], *image = now->level[level];
  double before[9], best_cost = 1e30, scale = 1 << level;
  motion_at_level(predicted, level, before);
  int rx = image->width / 3, ry = image->height / 3, best_x = 0, best_y = 0;
  for (int dy = -ry; dy <= ry; dy++)
    for (int dx = -rx; dx <= rx; dx++) {
      double cost = 0;
      int count = 0;
      for (int y = 0; y < key->height; y += 2)
        for (int x = 0; x < key->width; x += 2) {
          double to[2];
          motion_apply(before, (double[]){x, y}, to);
          int u = (int)(to[0] + 0.5) + dx, v = (int)(to[1] + 0.5) + dy;
          if (u < 0 || v < 0 || u >= image->width || v >= image->height || somebody(people, image, u, v))
            continue;
          cost += abs(*image_at(key, x, y) - *image_at(image, u, v));
          count++;
        }
      if (count * 12 < key->width * key->height)
        continue;
      cost = cost / count + 0.02 * hypot(dx, dy);
      if (cost < best_cost) {
        best_cost = cost;
        best_x = dx;
        best_y = dy;
      }
    }
  motion_multiply((double[]){1, 0, best_x * scale, 0, 1, best_y * scale, 0, 0, 1}, predicted, predicted);
}

/* The largest displacement of a corner of the picture. */
static double displacement(const double h[9], const Image *grey) {
  double largest = 0;
  for (int corner = 0; corner < 4; corner++) {
    double from[2] = {corner & 1 ? grey->width - 1 : 0, corner & 2 ? grey->height - 1 : 0}, to[2];
    motion_apply(h, from, to);
    largest = MAX(largest, hypot(to[0] - from[0], to[1] - from[1]));
  }
  return largest;
}

static void make_key(Camera *camera, Pyramid *now, const Image *people, const double to_first[9]) {
  pyramid_clear(&camera->key);
  camera->key = *now;
  pyramid_complete(&camera->key);
  now->levels = 0;
  find_corners(camera->corners, camera->key.level[0], people);
  memcpy(camera->key_to_first, to_first, sizeof camera->key_to_first);
  memcpy(camera->key_to_now, identity, sizeof identity);
}

static gboolean good(const Found *found) {
  return found->motion.freedom &&
         found->motion.inliers >= MAX(FEATURES_MIN / 2, (int)(MATCHED * found->visible));
}

/* --- the module --- */

Camera *camera_new(int width, int height) {
  Camera *camera = g_new0(Camera, 1);
  camera->width = width;
  camera->height = height;
  camera->factor = factor_for(width, height);
  camera->corners = g_array_new(FALSE, FALSE, sizeof(Corner));
  camera->motions = g_array_new(FALSE, FALSE, sizeof(Step));
  return camera;
}

void camera_free(Camera *camera) {
  if (!camera)
    return;
  pyramid_clear(&camera->key);
  g_array_unref(camera->corners);
  g_array_unref(camera->motions);
  g_free(camera);
}

static void remember(Camera *camera, const double to_first[9], gboolean resting) {
  g_array_append_vals(camera->motions, to_first, 1);
  camera->stray = resting ? 0 : camera->stray + 1;
  camera->moved |= camera->stray > STRAY_MAX;
}

void camera_add(Camera *camera, const Image *grey, const Image *people) {
  Pyramid now = pyramid_new(grey);
  if (!camera->motions->len) {
    make_key(camera, &now, people, identity);
    remember(camera, identity, TRUE);
    camera->trusted++;
    return;
  }
  double last[9], to_first[9], inverse[9];
  memcpy(last, camera->key_to_now, sizeof last);
  if ((int)camera->corners->len < FEATURES_MIN) { /* nothing to hold on to: it stays where it was */
    memcpy(to_first, g_array_index(camera->motions, Step, camera->motions->len - 1).h, sizeof to_first);
    make_key(camera, &now, people, to_first);
    remember(camera, to_first, TRUE);
    return;
  }
  Found found = match_frame(camera, &now, last, 0, people);
  if (!good(&found)) {
    pyramid_complete(&now);
    found = match_frame(camera, &now, last, MIN(now.levels, 4) - 1, people);
  }
  if (!good(&found)) {
    double predicted[9];
    memcpy(predicted, last, sizeof predicted);
    shift_prediction(camera, &now, people, predicted);
    Found second = match_frame(camera, &now, predicted, MIN(now.levels, 3) - 1, people);
    if (second.motion.inliers > found.motion.inliers)
      found = second;
  }
  camera->trusted += good(&found);
  if (found.motion.freedom && (good(&found) || found.motion.inliers >= FEATURES_MIN))
    memcpy(camera->key_to_now, found.motion.h, sizeof found.motion.h);
  if (!motion_invert(camera->key_to_now, inverse)) {
    memcpy(camera->key_to_now, last, sizeof last);
    motion_invert(last, inverse);
  }
  motion_multiply(camera->key_to_first, inverse, to_first);
  gboolean first_key = memcmp(camera->key_to_first, identity, sizeof identity) == 0;
  remember(camera, to_first,
           first_key ? found.resting >= RESTING * found.matched : displacement(to_first, grey) <= STILL);
  double growth = sqrt(
      fabs(camera->key_to_now[0] * camera->key_to_now[4] - camera->key_to_now[1] * camera->key_to_now[3]));
  if (found.visible < IN_VIEW * camera->corners->len || growth > GROWTH_MAX || growth < 1 / GROWTH_MAX)
    make_key(camera, &now, people, to_first);
  pyramid_clear(&now);
}

int camera_count(const Camera *camera) {
  return (int)camera->motions->len;
}

gboolean camera_still(const Camera *camera) {
  return !camera->moved;
}

void camera_homography(const Camera *camera, int index, float homography[9]) {
  g_return_if_fail(index >= 0 && index < (int)camera->motions->len);
  double h[9], up[9] = {camera->factor,
                        0,
                        (camera->factor - 1) / 2.0,
                        0,
                        camera->factor,
                        (camera->factor - 1) / 2.0,
                        0,
                        0,
                        1},
               down[9];
  const double *motion = camera->moved ? g_array_index(camera->motions, Step, index).h : identity;
  motion_invert(up, down);
  motion_multiply(motion, down, h);
  motion_multiply(up, h, h);
  for (int k = 0; k < 9; k++)
    homography[k] = camera->moved ? (float)h[k] : (float)identity[k];
}

float camera_trust(const Camera *camera) {
  return camera->motions->len ? (float)camera->trusted / (float)camera->motions->len : 1;
}
