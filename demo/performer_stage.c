/* Two passes. The first sends one ray through every pixel; the second sends four more through those at whose
 * border the surface changes, and only there. Light that the lamp casts is looked up in a depth map that is
 * traced from the lamp by the same code; its coverage is at the same time the shadow on the floor. */
#include "performer_stage.h"
#include "base/plane.h"
#include "performer_look.h"
#include "performer_threads.h"
#include <math.h>
#include <string.h>

#define LAMP_WIDTH 640
#define LAMP_HEIGHT 480
#define LAMP_SCALE 150.0f

typedef struct {
  Camera camera;
  Tiles tiles;
  Plane *depth;    /* FLT_MAX-like where nothing is */
  Plane *coverage; /* blurred */
} Lamp;

typedef struct {
  const Flesh *flesh;
  const Camera *camera;
  const Image *background;
  Tiles tiles;
  Lamp lamp;
  float linear[256];
  vec3s *colour; /* [height][width] linear; of the first ray */
  gint8 *group;  /* -1: nobody */
  float *depth;
  Shot *shot;
} Frame;

void shot_clear(Shot *shot) {
  image_free(shot->picture);
  image_free(shot->light);
  for (int i = 0; i < FLESH_MAX_PEOPLE; i++)
    image_free(shot->mask[i]);
  memset(shot, 0, sizeof *shot);
}

Camera stage_camera(int width, int height, float pan, float tilt, float zoom) {
  mat4s turn = glms_rotate(glms_mat4_identity(), tilt, (vec3s){{1, 0, 0}});
  turn = glms_rotate(turn, pan, (vec3s){{0, 1, 0}});
  float side = fmaxf((float)height, (float)width * 1.25f * 0.5f);
  return (Camera){.eye = {{0, -1.15f, -4.7f}},
                  .turn = glms_mat4_pick3(turn),
                  .focal = 1.72f * side * zoom,
                  .cx = 0.5f * (float)width,
                  .cy = 0.5f * (float)height - 0.020f * side,
                  .width = width,
                  .height = height};
}

static void lamp_row(int y, gpointer user) {
  Lamp *lamp = user;
  for (int x = 0; x < LAMP_WIDTH; x++) {
    Hit hit;
    tiles_trace(&lamp->tiles, (float)x + 0.5f, (float)y + 0.5f, &hit);
    *plane_at(lamp->depth, x, y) = hit.group < 0 ? 1e6f : hit.t;
    *plane_at(lamp->coverage, x, y) = hit.group < 0 ? 0 : 1;
  }
}

static void lamp_make(Lamp *lamp, const Flesh *flesh) {
  vec3s forward = glms_vec3_normalize(glms_vec3_negate(look_lamp));
  vec3s right = glms_vec3_normalize(glms_vec3_cross((vec3s){{0, 1, 0}}, forward)),
        down = glms_vec3_cross(forward, right);
  mat3s axes = {.col = {right, down, forward}};
  vec3s stage = {{0, -0.85f, 0}};
  lamp->camera = (Camera){.eye = glms_vec3_sub(stage, glms_vec3_scale(forward, 5)),
                          .turn = glms_mat3_transpose(axes),
                          .scale = LAMP_SCALE,
                          .cx = LAMP_WIDTH * 0.5f,
                          .cy = LAMP_HEIGHT * 0.5f,
                          .width = LAMP_WIDTH,
                          .height = LAMP_HEIGHT};
  tiles_make(&lamp->tiles, flesh, &lamp->camera);
  lamp->depth = plane_new(LAMP_WIDTH, LAMP_HEIGHT);
  lamp->coverage = plane_new(LAMP_WIDTH, LAMP_HEIGHT);
  threads_rows(LAMP_HEIGHT, lamp_row, lamp);
  plane_blur(lamp->coverage, 0.055f * LAMP_SCALE);
}

static void lamp_clear(Lamp *lamp) {
  tiles_clear(&lamp->tiles);
  plane_free(lamp->depth);
  plane_free(lamp->coverage);
}

/* 1 where the lamp reaches the point of a performer, with a soft border. */
static float lamp_reaches(const Lamp *lamp, vec3s point, vec3s normal) {
  float x, y, depth, open = 0;
  camera_project(&lamp->camera, glms_vec3_add(point, glms_vec3_scale(normal, 0.012f)), &x, &y, &depth);
  int cx = (int)floorf(x - 0.5f), cy = (int)floorf(y - 0.5f);
  float fx = x - 0.5f - (float)cx, fy = y - 0.5f - (float)cy;
  /* A tent of 4 x 4 texels slid to the exact place, so that the border does not show texels. */
  for (int j = -1; j <= 2; j++)
    for (int i = -1; i <= 2; i++) {
      float weight = (i == -1 ? 1 - fx : i == 2 ? fx : 1) * (j == -1 ? 1 - fy : j == 2 ? fy : 1);
      int u = CLAMP(cx + i, 0, LAMP_WIDTH - 1), v = CLAMP(cy + j, 0, LAMP_HEIGHT - 1);
      open += weight * smooth_step(-0.030f, -0.012f, *plane_at(lamp->depth, u, v) - depth);
    }
  return open / 9;
}

/* How much light is left on the floor at a point. */
static float floor_light(const Frame *frame, float x, float z) {
  float u, v, depth, light = 1;
  camera_project(&frame->lamp.camera, (vec3s){{x, 0, z}}, &u, &v, &depth);
  if (u > 1 && v > 1 && u < LAMP_WIDTH - 1 && v < LAMP_HEIGHT - 1)
    light -= 0.26f * plane_sample(frame->lamp.coverage, u - 0.5f, v - 0.5f);
  for (int person = 0; person < frame->flesh->people; person++)
    for (int side = 0; side < 2; side++) {
      const BoneFrame *foot = &frame->flesh->body[person].bone[BONE_FOOT + side];
      vec3s at = bone_point(foot, 0, 0.08f, -0.05f);
      float dx = x - at.x, dz = z - at.z, lift = fmaxf(-at.y, 0);
      if (fabsf(dx) < 0.4f && fabsf(dz) < 0.5f)
        light *= 1 - 0.55f * expf(-(dx * dx / 0.0042f + dz * dz / 0.016f)) * expf(-lift / 0.04f);
    }
  return light;
}

static vec3s shade_hit(const Frame *frame, const Hit *hit) {
  vec3s normal = hit_normal(frame->flesh, hit);
  float openness = hit_openness(frame->flesh, hit, normal), lit = lamp_reaches(&frame->lamp, hit->at, normal);
  /* The floor takes the light of the room from what is near it. */
  openness *= 0.72f + 0.28f * smooth_step(0.0f, 0.20f, -hit->at.y);
  vec3s to_eye = glms_vec3_normalize(glms_vec3_sub(frame->camera->eye, hit->at));
  return look_colour(frame->flesh, hit, normal, openness, lit, to_eye);
}

static void first_row(int y, gpointer user) {
  Frame *frame = user;
  int width = frame->camera->width;
  for (int x = 0; x < width; x++) {
    gsize i = (gsize)y * (gsize)width + (gsize)x;
    Hit hit;
    tiles_trace(&frame->tiles, (float)x + 0.5f, (float)y + 0.5f, &hit);
    frame->group[i] = (gint8)hit.group;
    frame->depth[i] = hit.group < 0 ? 0 : hit.t;
    if (hit.group >= 0)
      frame->colour[i] = shade_hit(frame, &hit);
  }
}

static gboolean differs(const Frame *frame, gsize a, gsize b) {
  return frame->group[a] != frame->group[b] || fabsf(frame->depth[a] - frame->depth[b]) > 0.025f;
}

static gboolean at_edge(const Frame *frame, int x, int y) {
  int width = frame->camera->width, height = frame->camera->height;
  gsize i = (gsize)y * (gsize)width + (gsize)x;
  return (x > 0 && differs(frame, i, i - 1)) || (x + 1 < width && differs(frame, i, i + 1)) ||
         (y > 0 && differs(frame, i, i - (gsize)width)) ||
         (y + 1 < height && differs(frame, i, i + (gsize)width));
}

static float room_light(const Frame *frame, int x, int y) {
  vec3s origin, direction;
  camera_ray(frame->camera, (float)x + 0.5f, (float)y + 0.5f, &origin, &direction);
  if (direction.y <= 1e-4f)
    return 1;
  float t = -origin.y / direction.y, z = origin.z + direction.z * t;
  return z > 1.9f ? 1 : floor_light(frame, origin.x + direction.x * t, z);
}

static void second_row(int y, gpointer user) {
  Frame *frame = user;
  static const float sample[4][2] = {{0.375f, 0.125f}, {0.875f, 0.375f}, {0.125f, 0.625f}, {0.625f, 0.875f}};
  int width = frame->camera->width;
  for (int x = 0; x < width; x++) {
    gsize i = (gsize)y * (gsize)width + (gsize)x;
    vec3s sum = {{0, 0, 0}};
    float cover[FLESH_MAX_PEOPLE] = {0}, all = 0;
    if (at_edge(frame, x, y)) {
      for (int s = 0; s < 4; s++) {
        Hit hit;
        tiles_trace(&frame->tiles, (float)x + sample[s][0], (float)y + sample[s][1], &hit);
        if (hit.group < 0)
          continue;
        sum = glms_vec3_add(sum, glms_vec3_scale(shade_hit(frame, &hit), 0.25f));
        cover[hit.group / FLESH_GROUPS] += 0.25f;
        all += 0.25f;
      }
    } else if (frame->group[i] >= 0) {
      sum = frame->colour[i];
      cover[frame->group[i] / FLESH_GROUPS] = all = 1;
    }
    for (int person = 0; person < frame->flesh->people; person++)
      *image_at(frame->shot->mask[person], x, y) = (guint8)lrintf(255 * cover[person]);
    float light = room_light(frame, x, y);
    *image_at(frame->shot->light, x, y) = (guint8)lrintf(255 * light);
    const guint8 *room = image_at(frame->background, x, y);
    guint8 *out = image_at(frame->shot->picture, x, y);
    if (all == 0 && light > 0.998f) { /* the room as it is, to the bit */
      memcpy(out, room, 3);
      continue;
    }
    for (int c = 0; c < 3; c++) {
      float value = sum.raw[c] + (1 - all) * light * frame->linear[room[c]];
      out[c] = (guint8)lrintf(255 * srgb_from_linear(value));
    }
  }
}

void stage_shoot(const Flesh *flesh, const Camera *camera, const Image *background, Shot *shot) {
  gsize pixels = (gsize)camera->width * (gsize)camera->height;
  Frame frame = {.flesh = flesh, .camera = camera, .background = background, .shot = shot};
  frame.colour = g_new(vec3s, pixels);
  frame.group = g_new(gint8, pixels);
  frame.depth = g_new(float, pixels);
  for (int i = 0; i < 256; i++)
    frame.linear[i] = linear_from_srgb((float)i / 255);
  memset(shot, 0, sizeof *shot);
  shot->picture = image_new(camera->width, camera->height, 3);
  shot->light = image_new(camera->width, camera->height, 1);
  for (int i = 0; i < flesh->people; i++)
    shot->mask[i] = image_new(camera->width, camera->height, 1);
  tiles_make(&frame.tiles, flesh, camera);
  lamp_make(&frame.lamp, flesh);
  threads_rows(camera->height, first_row, &frame);
  threads_rows(camera->height, second_row, &frame);
  lamp_clear(&frame.lamp);
  tiles_clear(&frame.tiles);
  g_free(frame.colour);
  g_free(frame.group);
  g_free(frame.depth);
}

gboolean stage_sees(const Flesh *flesh, const Camera *camera, vec3s point, float radius) {
  float x, y, depth;
  camera_project(camera, point, &x, &y, &depth);
  if (depth <= 0 || x < 0 || y < 0 || x >= (float)camera->width || y >= (float)camera->height)
    return FALSE;
  vec3s line = glms_vec3_sub(point, camera->eye);
  float length = glms_vec3_norm(line), step;
  guint8 all[FLESH_MAX_SOLIDS];
  for (int i = 0; i < flesh->count; i++)
    all[i] = (guint8)i;
  for (float t = length - 2.5f; t < length - radius; t += fmaxf(step, 0.002f)) {
    vec3s p = glms_vec3_add(camera->eye, glms_vec3_scale(line, t / length));
    step = flesh_distance(flesh, all, flesh->count, p.raw, NULL);
    if (step < 0.001f)
      return FALSE;
  }
  return TRUE;
}
