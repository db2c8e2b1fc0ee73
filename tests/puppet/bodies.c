#include "bodies.h"
#include <math.h>
#include <string.h>

enum { WIDTH = 480, HEIGHT = 520 };

const char *const body_names[BODIES] = {
    "T pose",        "arms out", "arms down", "arms against", "arms up",     "one arm up",
    "hands on hips", "skirt",    "dress",     "big head",     "fat",         "no neck",
    "stick",         "pigtails", "cat ears",  "tail",         "wide stance", "waving"};

/* All lengths in pixels of a body 440 high that stands with its feet at y = 480. */
typedef struct {
  float shoulder[2], hip[2]; /* half distance, y */
  float waist_half;          /* half width of the trunk */
  float head_y, head_radius, neck_half;
  float upper_arm, forearm, hand; /* lengths; hand to the finger tips */
  float arm_half, leg_half;
  float arm_angle[2], forearm_angle[2]; /* left, right; degrees from straight down, outward */
  float leg_angle;                      /* outward */
  float feet_y;
} Build;

static const Build adult = {.shoulder = {50, 122},
                            .hip = {24, 268},
                            .waist_half = 44,
                            .head_y = 72,
                            .head_radius = 31,
                            .neck_half = 15,
                            .upper_arm = 78,
                            .forearm = 66,
                            .hand = 42,
                            .arm_half = 13,
                            .leg_half = 20,
                            .arm_angle = {45, 45},
                            .forearm_angle = {45, 45},
                            .leg_angle = 4,
                            .feet_y = 465};

static void capsule(Image *mask, const float a[2], const float b[2], float ra, float rb) {
  float dx = b[0] - a[0], dy = b[1] - a[1], l2 = MAX(dx * dx + dy * dy, 1e-6f);
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH; x++) {
      float t = CLAMP((((float)x - a[0]) * dx + ((float)y - a[1]) * dy) / l2, 0.0f, 1.0f);
      if (hypotf((float)x - a[0] - t * dx, (float)y - a[1] - t * dy) <= ra + t * (rb - ra))
        *image_at(mask, x, y) = 255;
    }
}

/* Between two horizontal edges of given half widths around the middle. */
static void trapezium(Image *mask, float y0, float half0, float y1, float half1) {
  for (int y = (int)y0; y <= (int)y1; y++)
    for (int x = 0; x < WIDTH; x++)
      if (fabsf((float)x - WIDTH / 2.0f) <= half0 + (half1 - half0) * ((float)y - y0) / (y1 - y0))
        *image_at(mask, x, y) = 255;
}

static void set(Figure *figure, Joint joint, float x, float y) {
  figure->joint[joint][0] = x, figure->joint[joint][1] = y, figure->visibility[joint] = 1;
}

static void pose(Figure *f, const Build *b) {
  float middle = WIDTH / 2.0f;
  set(f, JOINT_HIP, middle, b->hip[1]);
  set(f, JOINT_WAIST, middle, b->hip[1] + 0.35f * (b->shoulder[1] - b->hip[1]));
  set(f, JOINT_NECK, middle, b->shoulder[1] - 6);
  set(f, JOINT_HEAD, middle, b->head_y);
  set(f, JOINT_CROWN, middle, b->head_y - b->head_radius);
  for (int side = 0; side < 2; side++) {
    float sign = side == 0 ? 1 : -1, to_radians = (float)G_PI / 180;
    float arm = b->arm_angle[side] * to_radians, fore = b->forearm_angle[side] * to_radians,
          leg = b->leg_angle * to_radians;
    float sx = middle + sign * b->shoulder[0], sy = b->shoulder[1], hx = middle + sign * b->hip[0],
          hy = b->hip[1];
    float ex = sx + sign * sinf(arm) * b->upper_arm, ey = sy + cosf(arm) * b->upper_arm;
    float wx = ex + sign * sinf(fore) * b->forearm, wy = ey + cosf(fore) * b->forearm;
    set(f, JOINT_LEFT_EAR + side, middle + sign * 0.9f * b->head_radius, b->head_y);
    set(f, JOINT_LEFT_SHOULDER + side, sx, sy);
    set(f, JOINT_LEFT_ELBOW + side, ex, ey);
    set(f, JOINT_LEFT_WRIST + side, wx, wy);
    set(f, JOINT_LEFT_HAND + side, wx + sign * sinf(fore) * 0.5f * b->hand, wy + cosf(fore) * 0.5f * b->hand);
    float length = (b->feet_y - hy) / cosf(leg);
    set(f, JOINT_LEFT_HIP + side, hx, hy);
    set(f, JOINT_LEFT_KNEE + side, hx + sign * sinf(leg) * 0.52f * length, hy + 0.52f * (b->feet_y - hy));
    set(f, JOINT_LEFT_ANKLE + side, hx + sign * sinf(leg) * length, b->feet_y);
    set(f, JOINT_LEFT_TOE + side, hx + sign * (sinf(leg) * length + 18), b->feet_y + 12);
  }
}

static void draw(Image *mask, const Figure *f, const Build *b) {
  const float(*j)[2] = f->joint;
  capsule(mask, j[JOINT_HEAD], j[JOINT_HEAD], b->head_radius, b->head_radius);
  capsule(mask, j[JOINT_HEAD], j[JOINT_NECK], b->neck_half, b->neck_half);
  trapezium(mask, b->shoulder[1] - b->arm_half, b->shoulder[0], b->hip[1] - 60, b->waist_half);
  trapezium(mask, b->hip[1] - 60, b->waist_half, b->hip[1] + 6, b->hip[0] + b->leg_half);
  for (int side = 0; side < 2; side++) {
    float tip[2] = {
        j[JOINT_LEFT_WRIST + side][0] + 2 * (j[JOINT_LEFT_HAND + side][0] - j[JOINT_LEFT_WRIST + side][0]),
        j[JOINT_LEFT_WRIST + side][1] + 2 * (j[JOINT_LEFT_HAND + side][1] - j[JOINT_LEFT_WRIST + side][1])};
    float r = b->arm_half;
    capsule(mask, j[JOINT_LEFT_SHOULDER + side], j[JOINT_LEFT_ELBOW + side], r, 0.9f * r);
    capsule(mask, j[JOINT_LEFT_ELBOW + side], j[JOINT_LEFT_WRIST + side], 0.9f * r, 0.7f * r);
    capsule(mask, j[JOINT_LEFT_WRIST + side], j[JOINT_LEFT_HAND + side], 0.7f * r, 0.95f * r);
    capsule(mask, j[JOINT_LEFT_HAND + side], tip, 0.95f * r, 0.4f * r);
    r = b->leg_half;
    capsule(mask, j[JOINT_LEFT_HIP + side], j[JOINT_LEFT_KNEE + side], r, 0.8f * r);
    capsule(mask, j[JOINT_LEFT_KNEE + side], j[JOINT_LEFT_ANKLE + side], 0.8f * r, 0.55f * r);
    capsule(mask, j[JOINT_LEFT_ANKLE + side], j[JOINT_LEFT_TOE + side], 0.6f * r, 0.5f * r);
  }
}

static void decorate(Image *mask, BodyKind kind, const Build *b) {
  float m = WIDTH / 2.0f, hip = b->hip[1];
  switch (kind) {
  case BODY_SKIRT:
    trapezium(mask, hip - 30, 46, hip + 90, 95);
    break;
  case BODY_DRESS:
    trapezium(mask, hip - 60, 44, 452, 85);
    break;
  case BODY_FAT:
    capsule(mask, (float[]){m, hip - 62}, (float[]){m, hip - 60}, 92, 92);
    break;
  case BODY_NO_NECK:
    capsule(mask, (float[]){m, 150}, (float[]){m, 230}, 80, 85);
    break;
  case BODY_PIGTAILS:
    for (int side = -1; side <= 1; side += 2) {
      float s = (float)side, root[2] = {m + s * 26, b->head_y - 12}, bow[2] = {m + s * 55, b->head_y - 22},
            end[2] = {m + s * 72, b->head_y + 26};
      capsule(mask, root, bow, 8, 10);
      capsule(mask, bow, end, 10, 5);
    }
    break;
  case BODY_CAT_EARS:
    for (int side = -1; side <= 1; side += 2) {
      float s = (float)side, root[2] = {m + s * 16, b->head_y - 22}, end[2] = {m + s * 27, b->head_y - 52};
      capsule(mask, root, end, 12, 3);
    }
    break;
  case BODY_TAIL: {
    float root[2] = {m + 30, hip - 4}, bend[2] = {m + 90, hip + 20}, end[2] = {m + 130, hip - 25};
    capsule(mask, root, bend, 8, 7);
    capsule(mask, bend, end, 7, 5);
    break;
  }
  default:
    break;
  }
}

static Build build_of(BodyKind kind) {
  Build b = adult;
  switch (kind) {
  case BODY_T_POSE:
    b.arm_angle[0] = b.arm_angle[1] = b.forearm_angle[0] = b.forearm_angle[1] = 90;
    break;
  case BODY_ARMS_DOWN:
    b.arm_angle[0] = b.arm_angle[1] = b.forearm_angle[0] = b.forearm_angle[1] = 14;
    break;
  case BODY_ARMS_AGAINST:
    b.arm_angle[0] = b.arm_angle[1] = b.forearm_angle[0] = b.forearm_angle[1] = 2;
    break;
  case BODY_ARMS_UP:
    b.arm_angle[0] = b.arm_angle[1] = 120;
    b.forearm_angle[0] = b.forearm_angle[1] = 165;
    break;
  case BODY_ONE_ARM_UP:
    b.arm_angle[0] = b.forearm_angle[0] = 150;
    b.arm_angle[1] = b.forearm_angle[1] = 20;
    break;
  case BODY_HANDS_ON_HIPS:
    b.arm_angle[0] = b.arm_angle[1] = 52;
    b.forearm_angle[0] = b.forearm_angle[1] = -52;
    b.upper_arm = 85;
    break;
  case BODY_WAVING:
    b.arm_angle[0] = 95, b.forearm_angle[0] = 172;
    b.arm_angle[1] = 52, b.forearm_angle[1] = -52;
    b.upper_arm = 85;
    break;
  case BODY_BIG_HEAD:
    b = (Build){.shoulder = {40, 262},
                .hip = {22, 362},
                .waist_half = 42,
                .head_y = 145,
                .head_radius = 100,
                .neck_half = 20,
                .upper_arm = 50,
                .forearm = 42,
                .hand = 26,
                .arm_half = 14,
                .leg_half = 19,
                .arm_angle = {55, 55},
                .forearm_angle = {55, 55},
                .leg_angle = 5,
                .feet_y = 468};
    break;
  case BODY_FAT:
    b.shoulder[0] = 62, b.hip[0] = 42, b.leg_half = 27, b.arm_half = 17;
    b.arm_angle[0] = b.arm_angle[1] = b.forearm_angle[0] = b.forearm_angle[1] = 62;
    break;
  case BODY_NO_NECK:
    b = (Build){.shoulder = {76, 190},
                .hip = {38, 300},
                .waist_half = 70,
                .head_y = 120,
                .head_radius = 50,
                .neck_half = 50,
                .upper_arm = 60,
                .forearm = 52,
                .hand = 30,
                .arm_half = 13,
                .leg_half = 17,
                .arm_angle = {70, 70},
                .forearm_angle = {100, 100},
                .leg_angle = 3,
                .feet_y = 466};
    break;
  case BODY_STICK:
    b.waist_half = 5, b.shoulder[0] = 4, b.hip[0] = 3, b.arm_half = 5, b.leg_half = 5, b.neck_half = 5;
    b.arm_angle[0] = b.arm_angle[1] = b.forearm_angle[0] = b.forearm_angle[1] = 60;
    b.leg_angle = 16;
    break;
  case BODY_WIDE_STANCE:
    b.leg_angle = 20;
    b.arm_angle[0] = b.arm_angle[1] = 70, b.forearm_angle[0] = b.forearm_angle[1] = 110;
    break;
  default:
    break;
  }
  return b;
}

static void mirror(Image *mask, Figure *f) {
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH / 2; x++) {
      guint8 *a = image_at(mask, x, y), *b = image_at(mask, WIDTH - 1 - x, y), keep = *a;
      *a = *b, *b = keep;
    }
  Figure old = *f;
  for (int i = 0; i < JOINTS; i++) {
    int from = i < JOINT_LEFT_EAR ? i : JOINT_LEFT_EAR + ((i - JOINT_LEFT_EAR) ^ 1);
    set(f, (Joint)i, WIDTH - 1 - old.joint[from][0], old.joint[from][1]);
  }
}

Image *body_draw(BodyKind kind, gboolean mirrored, Figure *figure) {
  Build build = build_of(kind);
  *figure = (Figure){.source = FIGURE_FROM_SILHOUETTE};
  Image *mask = image_new(WIDTH, HEIGHT, 1);
  pose(figure, &build);
  draw(mask, figure, &build);
  decorate(mask, kind, &build);
  if (mirrored)
    mirror(mask, figure);
  int first = HEIGHT, last = 0;
  for (int y = 0; y < HEIGHT; y++)
    for (int x = 0; x < WIDTH; x++)
      if (*image_at(mask, x, y))
        first = MIN(first, y), last = y;
  figure->height = (float)(last - first + 1);
  return mask;
}

static void hand_set(const Figure *f, int i, float p[2], const char **name) {
  /* root and hip, torso, neck; then shoulder, elbow, hand, hip, knee, foot of either side */
  static const struct {
    const char *name;
    Joint a, b;
  } table[16] = {{"root", JOINT_HIP, JOINT_HIP},
                 {"hip", JOINT_HIP, JOINT_HIP},
                 {"torso", JOINT_LEFT_SHOULDER, JOINT_RIGHT_SHOULDER},
                 {"neck", JOINT_HEAD, JOINT_HEAD},
                 {"left_shoulder", JOINT_LEFT_SHOULDER, JOINT_LEFT_SHOULDER},
                 {"right_shoulder", JOINT_RIGHT_SHOULDER, JOINT_RIGHT_SHOULDER},
                 {"left_elbow", JOINT_LEFT_ELBOW, JOINT_LEFT_ELBOW},
                 {"right_elbow", JOINT_RIGHT_ELBOW, JOINT_RIGHT_ELBOW},
                 {"left_hand", JOINT_LEFT_WRIST, JOINT_LEFT_HAND},
                 {"right_hand", JOINT_RIGHT_WRIST, JOINT_RIGHT_HAND},
                 {"left_hip", JOINT_LEFT_HIP, JOINT_LEFT_HIP},
                 {"right_hip", JOINT_RIGHT_HIP, JOINT_RIGHT_HIP},
                 {"left_knee", JOINT_LEFT_KNEE, JOINT_LEFT_KNEE},
                 {"right_knee", JOINT_RIGHT_KNEE, JOINT_RIGHT_KNEE},
                 {"left_foot", JOINT_LEFT_ANKLE, JOINT_LEFT_ANKLE},
                 {"right_foot", JOINT_RIGHT_ANKLE, JOINT_RIGHT_ANKLE}};
  for (int c = 0; c < 2; c++)
    p[c] = 0.5f * (f->joint[table[i].a][c] + f->joint[table[i].b][c]);
  *name = table[i].name;
}

float body_error(const Figure *found, const Figure *truth, float *worst, const char **worst_joint) {
  float sum = 0;
  *worst = 0;
  for (int i = 0; i < 16; i++) {
    float p[2], q[2];
    const char *name;
    hand_set(found, i, p, &name);
    hand_set(truth, i, q, &name);
    float error = hypotf(p[0] - q[0], p[1] - q[1]) / truth->height;
    sum += error;
    if (error >= *worst)
      *worst = error, *worst_joint = name;
  }
  return sum / 16;
}
