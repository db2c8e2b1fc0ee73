/* Three passes. First every frame is posed with its hip at the origin. Then the root is found: the driver's
 * hip gives the quick movement, the agreement of the feet the slow one, so that noise in four leg angles does
 * not shake the body. Last the frames are posed again, with each leg turned and lengthened by the little that
 * keeps standing feet from sliding. */
#include "puppet/motion/retarget.h"
#include "base/plane.h"
#include "puppet/motion/ground.h"
#include "puppet/motion/series.h"
#include <cglm/cglm.h>
#include <math.h>

#define DEGREES ((float)G_PI / 180)
#define HEIGHT_OVER_NOSE 1.13f   /* whole height over ankle to nose */
#define TOP_OVER_CROWN 1.06f     /* the same of a bare head over ankle to crown joint */
#define FACE_TURN (12 * DEGREES) /* of an arm's bones for a hand at the face */
#define ARM_SPAN_LIMIT 1.15f

/* The character as it stands in its picture. */
typedef struct {
  const Rig *rig;
  gboolean flat;
  float (*joint)[2];
  float shoulders[2], ears[2];
  float spine, legs, neck, span; /* picture pixels */
  float spine_angle, shoulder_line, hip_line, ear_line, neck_angle, head_yaw;
  float angle[BONES];
  float sole; /* below the ankles */
  gboolean has_legs;
  float limit[BONES]; /* of the tilt */
} Build;

typedef struct {
  const Build *build;
  const Driver *driver;
  float metres_per_pixel; /* picture pixels to the driver's metres */
  float foot_level[2];    /* usual angle of the driver's feet */
} Transfer;

/* What the third pass adds to a leg. */
typedef struct {
  float turn, stretch;
} LegFix;

static float distance(const float a[2], const float b[2]) {
  return hypotf(b[0] - a[0], b[1] - a[1]);
}

static float direction(const float a[2], const float b[2]) {
  return atan2f(b[1] - a[1], b[0] - a[0] + 1e-9f);
}

/* Leaves small values alone and never passes the limit. */
static float soft_limit(float x, float limit) {
  float r = x / limit;
  return x / sqrtf(sqrtf(1 + r * r * r * r));
}

static void halfway(const float a[2], const float b[2], float out[2]) {
  out[0] = 0.5f * (a[0] + b[0]), out[1] = 0.5f * (a[1] + b[1]);
}

static void measure(const Rig *rig, gboolean flat, Build *b) {
  *b = (Build){.rig = rig, .flat = flat, .joint = (float(*)[2])rig->figure.joint};
  float(*j)[2] = b->joint;
  halfway(j[JOINT_LEFT_SHOULDER], j[JOINT_RIGHT_SHOULDER], b->shoulders);
  halfway(j[JOINT_LEFT_EAR], j[JOINT_RIGHT_EAR], b->ears);
  b->spine = MAX(distance(j[JOINT_HIP], b->shoulders), 1.0f);
  b->neck = MAX(distance(b->shoulders, b->ears), 1.0f);
  b->spine_angle = direction(j[JOINT_HIP], b->shoulders);
  b->neck_angle = direction(b->shoulders, b->ears);
  b->shoulder_line = direction(j[JOINT_RIGHT_SHOULDER], j[JOINT_LEFT_SHOULDER]);
  b->hip_line = direction(j[JOINT_RIGHT_HIP], j[JOINT_LEFT_HIP]);
  b->ear_line = direction(j[JOINT_RIGHT_EAR], j[JOINT_LEFT_EAR]);
  float ear_width = MAX(distance(j[JOINT_RIGHT_EAR], j[JOINT_LEFT_EAR]), 1.0f);
  float nose = (j[JOINT_HEAD][0] - b->ears[0]) * cosf(b->ear_line) +
               (j[JOINT_HEAD][1] - b->ears[1]) * sinf(b->ear_line);
  b->head_yaw = -asinf(CLAMP(1.3f * nose / ear_width, -1.0f, 1.0f));
  for (int bone = 0; bone < BONES; bone++) {
    b->angle[bone] = direction(j[bone_joints[bone][0]], j[bone_joints[bone][1]]);
    b->limit[bone] = (flat ? 45 : bone >= BONE_LEFT_THIGH ? 50 : 52) * DEGREES;
  }
  float ankles = MAX(j[JOINT_LEFT_ANKLE][1], j[JOINT_RIGHT_ANKLE][1]);
  b->has_legs = ankles < rig->bottom + 0.02f * rig->figure.height;
  for (int side = 0; side < 2; side++) {
    b->legs += 0.5f * (distance(j[JOINT_LEFT_HIP + side], j[JOINT_LEFT_KNEE + side]) +
                       distance(j[JOINT_LEFT_KNEE + side], j[JOINT_LEFT_ANKLE + side]));
    b->span += distance(j[JOINT_LEFT_SHOULDER + side], j[JOINT_LEFT_ELBOW + side]) +
               distance(j[JOINT_LEFT_ELBOW + side], j[JOINT_LEFT_WRIST + side]);
  }
  b->span += distance(j[JOINT_LEFT_SHOULDER], j[JOINT_RIGHT_SHOULDER]);
  b->sole = b->has_legs ? MAX(rig->bottom - ankles, 0) : 0;
}

static float choose_size(const Build *b, const Driver *d) {
  float legs = d->length[BONE_LEFT_THIGH] + d->length[BONE_LEFT_SHIN];
  float driver = d->length[BONE_PELVIS] + d->length[BONE_HEAD], own = b->spine + b->neck;
  if (b->has_legs)
    driver += legs, own += b->legs;
  float size = driver / MAX(own, 1.0f);
  if (b->has_legs) {
    float ankles = MAX(b->joint[JOINT_LEFT_ANKLE][1], b->joint[JOINT_RIGHT_ANKLE][1]);
    /* What rises above the crown is a hat or hair; it must not make the body small. */
    float height = MIN(ankles - b->rig->top, TOP_OVER_CROWN * (ankles - b->joint[JOINT_CROWN][1]));
    size = MIN(size, driver * HEIGHT_OVER_NOSE / MAX(height, 1.0f));
  }
  float span = d->shoulder_width + 2 * (d->length[BONE_LEFT_UPPER_ARM] + d->length[BONE_LEFT_FOREARM]);
  return MIN(size, ARM_SPAN_LIMIT * span / MAX(b->span, 1.0f));
}

/* Rz(roll) Ry(yaw) Rx(pitch); yaw brings the left side (+x) toward the camera, pitch the nose down. */
static void turn_of(float roll, float yaw, float pitch, float r[3][3]) {
  float cr = cosf(roll), sr = sinf(roll), cy = cosf(yaw), sy = sinf(yaw), cp = cosf(pitch), sp = sinf(pitch);
  float m[3][3] = {{cy, sy * sp, -sy * cp}, {0, cp, sp}, {sy, -cy * sp, cy * cp}};
  for (int c = 0; c < 3; c++) {
    r[0][c] = cr * m[0][c] - sr * m[1][c];
    r[1][c] = sr * m[0][c] + cr * m[1][c];
    r[2][c] = m[2][c];
  }
}

/* Turned by `turn` in the plane, then tilted toward the camera about the normal of its direction there. */
static void limb_turn(float turn, float angle, float tilt, float r[3][3]) {
  float c = cosf(turn), s = sinf(turn), ux = cosf(angle), uy = sinf(angle), ct = cosf(tilt), st = sinf(tilt);
  /* Tilt: keeps the normal n, u goes to ct u + st z, z to ct z - st u. */
  float t[3][3] = {{uy * uy + ct * ux * ux, (ct - 1) * ux * uy, -st * ux},
                   {(ct - 1) * ux * uy, ux * ux + ct * uy * uy, -st * uy},
                   {st * ux, st * uy, ct}};
  for (int row = 0; row < 3; row++) {
    r[row][0] = t[row][0] * c + t[row][1] * s;
    r[row][1] = -t[row][0] * s + t[row][1] * c;
    r[row][2] = t[row][2];
  }
}

static void to_quaternion(float r[3][3], float q[4]) {
  mat3 m;
  for (int row = 0; row < 3; row++)
    for (int column = 0; column < 3; column++)
      m[column][row] = r[row][column];
  versor v;
  glm_mat3_quat(m, v);
  glm_vec4_ucopy(v, q);
}

/* The bone's matrix: rotation r, scale, rest point at lies at out. */
static void place(Stance *s, Bone bone, float r[3][3], float scale, const float at[2], const float out[3]) {
  to_quaternion(r, s->rotation[bone]);
  for (int row = 0; row < 3; row++) {
    for (int column = 0; column < 3; column++)
      s->matrix[bone][row][column] = scale * r[row][column];
    s->matrix[bone][row][3] = out[row] - scale * (r[row][0] * at[0] + r[row][1] * at[1]);
  }
}

static void carry(Stance *s, Bone bone, const Build *b, Joint joint) {
  const float p[3] = {b->joint[joint][0], b->joint[joint][1], 0};
  stance_apply((const float(*)[4])s->matrix[bone], p, s->joint[joint]);
}

static void pose_trunk(const Transfer *t, const DriverFrame *f, const float hip[2], Stance *s) {
  const Build *b = t->build;
  float spine_turn = wrap(f->angle[BONE_PELVIS] - b->spine_angle);
  float pelvis_turn = 0.5f * (wrap(f->hip_line - b->hip_line) + spine_turn);
  float chest_turn = 0.75f * wrap(f->shoulder_line - b->shoulder_line) + 0.25f * spine_turn;
  float chest_limit = (b->flat ? 25 : 40) * DEGREES, pelvis_limit = (b->flat ? 20 : 34) * DEGREES;
  float r[3][3], at[3] = {hip[0], hip[1], 0};
  turn_of(pelvis_turn, soft_limit(0.8f * f->pelvis_yaw, pelvis_limit), 0, r);
  place(s, BONE_PELVIS, r, s->scale, b->joint[JOINT_HIP], at);
  carry(s, BONE_PELVIS, b, JOINT_HIP);
  carry(s, BONE_PELVIS, b, JOINT_WAIST);
  carry(s, BONE_PELVIS, b, JOINT_LEFT_HIP);
  carry(s, BONE_PELVIS, b, JOINT_RIGHT_HIP);

  float length = s->scale * b->spine * CLAMP(f->spine, 0.75f, 1.04f);
  float shoulders[3] = {hip[0] + length * cosf(f->angle[BONE_PELVIS]),
                        hip[1] + length * sinf(f->angle[BONE_PELVIS]), 0};
  turn_of(chest_turn, soft_limit(0.8f * f->chest_yaw, chest_limit), 0, r);
  place(s, BONE_CHEST, r, s->scale, b->shoulders, shoulders);
  carry(s, BONE_CHEST, b, JOINT_NECK);
  carry(s, BONE_CHEST, b, JOINT_LEFT_SHOULDER);
  carry(s, BONE_CHEST, b, JOINT_RIGHT_SHOULDER);

  float roll = 0.5f * (wrap(f->ear_line - b->ear_line) + wrap(f->neck - b->neck_angle));
  float yaw = b->flat ? 0 : soft_limit(f->head_yaw - b->head_yaw, 29 * DEGREES);
  float pitch = b->flat ? 0 : soft_limit(f->head_pitch, 20 * DEGREES);
  turn_of(roll, yaw, pitch, r);
  place(s, BONE_HEAD, r, s->scale, b->joint[JOINT_NECK], s->joint[JOINT_NECK]);
  for (Joint j = JOINT_HEAD; j <= JOINT_RIGHT_EAR; j++)
    carry(s, BONE_HEAD, b, j);
}

/* One bone of a limb at its posed joint; returns its turn in the plane. */
static float pose_limb(const Transfer *t, const DriverFrame *f, Bone bone, float parent_turn,
                       const LegFix *fix, Stance *s) {
  const Build *b = t->build;
  float turn = t->driver->known[bone] ? f->angle[bone] - b->angle[bone] : parent_turn;
  float tilt = t->driver->known[bone] ? f->tilt[bone] : 0, r[3][3];
  float scale = s->scale;
  if (fix)
    turn += fix->turn, scale *= fix->stretch;
  limb_turn(turn, b->angle[bone] + turn, tilt, r);
  Joint from = bone_joints[bone][0], to = bone_joints[bone][1];
  place(s, bone, r, scale, b->joint[from], s->joint[from]);
  carry(s, bone, b, to);
  return turn;
}

/* A pictured hand bends with the driver's wrist; a drawn one also narrows and turns over as the driver's
 * does. */
static void pose_hand(const Transfer *t, const DriverFrame *f, int side, float forearm_turn, Stance *s) {
  const Build *b = t->build;
  Bone bone = BONE_LEFT_HAND + side, forearm = BONE_LEFT_FOREARM + side;
  float bend = t->driver->known[bone] ? soft_limit(0.85f * f->hand_bend[side], 69 * DEGREES) : 0;
  float angle = b->angle[forearm] + forearm_turn + bend, turn = angle - b->angle[bone], r[3][3];
  float tilt = t->driver->known[forearm] ? 0.6f * f->tilt[forearm] : 0;
  limb_turn(turn, angle, tilt, r);
  Joint wrist = bone_joints[bone][0];
  place(s, bone, r, s->scale, b->joint[wrist], s->joint[wrist]);
  if (b->rig->hand_hidden[side]) {
    float across = s->hand_width[side] * s->hand_side[side], nx = -sinf(angle), ny = cosf(angle);
    float(*m)[4] = s->matrix[bone];
    for (int c = 0; c < 4; c++) {
      float away = c < 3 ? nx * m[0][c] + ny * m[1][c]
                         : nx * (m[0][3] - s->joint[wrist][0]) + ny * (m[1][3] - s->joint[wrist][1]);
      m[0][c] += (across - 1) * away * nx, m[1][c] += (across - 1) * away * ny;
    }
  }
  carry(s, bone, b, bone_joints[bone][1]);
}

static void pose_frame(const Transfer *t, int i, const float hip[2], const LegFix *fix, Stance *s) {
  const DriverFrame *f = &t->driver->frames[i];
  s->scale = t->metres_per_pixel * f->pixels_per_metre;
  pose_trunk(t, f, hip, s);
  const Build *b = t->build;
  float chest = atan2f(s->matrix[BONE_CHEST][1][0], s->matrix[BONE_CHEST][0][0]);
  float pelvis = atan2f(s->matrix[BONE_PELVIS][1][0], s->matrix[BONE_PELVIS][0][0]);
  for (int side = 0; side < 2; side++) {
    float turn = pose_limb(t, f, BONE_LEFT_UPPER_ARM + side, chest, NULL, s);
    turn = pose_limb(t, f, BONE_LEFT_FOREARM + side, turn, NULL, s);
    pose_hand(t, f, side, turn, s);
    turn = pose_limb(t, f, BONE_LEFT_THIGH + side, pelvis, fix ? &fix[side] : NULL, s);
    turn = pose_limb(t, f, BONE_LEFT_SHIN + side, turn, fix ? &fix[side] : NULL, s);
    Bone foot = BONE_LEFT_FOOT + side;
    float r[3][3];
    float step =
        t->driver->known[foot] ? soft_limit(0.6f * (f->angle[foot] - t->foot_level[side]), 34 * DEGREES) : 0;
    turn_of(step, 0, 0, r);
    place(s, foot, r, s->scale, b->joint[bone_joints[foot][0]], s->joint[bone_joints[foot][0]]);
    carry(s, foot, b, bone_joints[foot][1]);
  }
}

/* What the driver does with its limbs' depth, as far as this character can follow. */
static void limit_tilts(const Build *b, Driver *d) {
  for (int i = 0; i < d->count; i++)
    for (int bone = BONE_LEFT_UPPER_ARM; bone < BONES; bone++)
      d->frames[i].tilt[bone] = soft_limit(d->frames[i].tilt[bone], b->limit[bone]);
}

/* A bone tilted so that it shows this much of its length, as before toward or away from the camera. */
static float tilt_for(float shown, float length, float limit, float before) {
  float tilt = acosf(CLAMP(shown / MAX(length, 1e-3f), cosf(limit), 1.0f));
  return before < -0.05f ? -tilt : tilt;
}

/* What two bones that show these lengths at these angles must turn by so that their end moves by (x, y):
 * least turns, damped (Buss, Introduction to Inverse Kinematics, 2004), and few degrees at most. */
static void turns_for(const float shown[2], const float angle[2], float x, float y, float turn[2]) {
  float jx[2], jy[2], damping = 0.05f * (shown[0] * shown[0] + shown[1] * shown[1]) + 1e-3f;
  for (int k = 0; k < 2; k++)
    jx[k] = -shown[k] * sinf(angle[k]), jy[k] = shown[k] * cosf(angle[k]);
  float a = jx[0] * jx[0] + jx[1] * jx[1] + damping, b = jx[0] * jy[0] + jx[1] * jy[1],
        c = jy[0] * jy[0] + jy[1] * jy[1] + damping, det = a * c - b * b;
  float u = (c * x - b * y) / det, v = (a * y - b * x) / det;
  for (int k = 0; k < 2; k++)
    turn[k] = soft_limit(jx[k] * u + jy[k] * v, FACE_TURN);
}

/* A hand that is at the driver's face must be at the same place of the character's, though its arm is longer
 * or its head larger. Upper arm and forearm show as much of their lengths as the place asks for; what then is
 * missing they turn on the screen, by a few degrees. Weighed by how near the face the hand is. */
static void reach_face(const Transfer *t, const Motion *motion, Driver *d, int side) {
  const Build *b = t->build;
  Bone upper = BONE_LEFT_UPPER_ARM + side, fore = BONE_LEFT_FOREARM + side;
  if (!d->known[upper] || !d->known[fore])
    return;
  g_autofree float(*turn)[2] = g_malloc0_n((gsize)d->count, sizeof *turn);
  for (int i = 0; i < d->count; i++) {
    DriverFrame *f = &d->frames[i];
    const Stance *s = &motion->stances[i];
    float head = d->length[BONE_HEAD] * f->pixels_per_metre;
    float weight =
        (1 - smooth_step(0.9f, 1.7f, distance(f->wrist[side], f->ears) / head)) * f->arm_seen[side];
    if (weight <= 0)
      continue;
    const float *shoulder = s->joint[JOINT_LEFT_SHOULDER + side], *elbow = s->joint[JOINT_LEFT_ELBOW + side];
    const float *wrist = s->joint[JOINT_LEFT_WRIST + side], *hand = s->joint[JOINT_LEFT_HAND + side];
    float face[2], ratio = CLAMP(s->scale * b->neck / head, 0.6f, 1.8f),
                   angle[2] = {direction(shoulder, elbow), direction(elbow, wrist)};
    halfway(s->joint[JOINT_LEFT_EAR], s->joint[JOINT_RIGHT_EAR], face);
    float x = face[0] + ratio * (f->hand[side][0] - f->ears[0]) - (hand[0] - wrist[0]) - shoulder[0];
    float y = face[1] + ratio * (f->hand[side][1] - f->ears[1]) - (hand[1] - wrist[1]) - shoulder[1];
    float c0 = cosf(angle[0]), s0 = sinf(angle[0]), c1 = cosf(angle[1]), s1 = sinf(angle[1]),
          det = c0 * s1 - s0 * c1;
    float bent = weight * smooth_step(0.15f, 0.5f, fabsf(det)); /* a straight arm has no choice */
    float length[2] = {
        s->scale * distance(b->joint[JOINT_LEFT_SHOULDER + side], b->joint[JOINT_LEFT_ELBOW + side]),
        s->scale * distance(b->joint[JOINT_LEFT_ELBOW + side], b->joint[JOINT_LEFT_WRIST + side])};
    if (bent > 0) {
      float first = tilt_for((x * s1 - y * c1) / det, length[0], b->limit[upper], f->tilt[upper]);
      float second = tilt_for((y * c0 - x * s0) / det, length[1], b->limit[fore], f->tilt[fore]);
      f->tilt[upper] += (first - f->tilt[upper]) * bent;
      f->tilt[fore] += (second - f->tilt[fore]) * bent;
    }
    float shown[2] = {length[0] * cosf(f->tilt[upper]), length[1] * cosf(f->tilt[fore])};
    turns_for(shown, angle, weight * (x - shown[0] * c0 - shown[1] * c1),
              weight * (y - shown[0] * s0 - shown[1] * s1), turn[i]);
  }
  gsize stride = sizeof(DriverFrame) / sizeof(float);
  series_gauss(&d->frames[0].tilt[upper], stride, d->segment, d->count, 0.05 * d->rate);
  series_gauss(&d->frames[0].tilt[fore], stride, d->segment, d->count, 0.05 * d->rate);
  for (int k = 0; k < 2; k++) {
    series_gauss(&turn[0][k], 2, d->segment, d->count, 0.05 * d->rate);
    for (int i = 0; i < d->count; i++)
      d->frames[i].angle[k ? fore : upper] += turn[i][k];
  }
}

/* Where the driver's feet ask the ankles to be: soles on the driver's soles. */
static void driver_ankles(const Transfer *t, int side, const guint8 *planted, float (*path)[2]) {
  const Driver *d = t->driver;
  for (int i = 0; i < d->count; i++) {
    const DriverFrame *f = &d->frames[i];
    float body = t->metres_per_pixel * f->pixels_per_metre * (t->build->rig->bottom - t->build->rig->top);
    float sole = t->metres_per_pixel * f->pixels_per_metre * t->build->sole;
    path[i][0] = f->ankle[side][0];
    path[i][1] =
        f->ankle[side][1] + CLAMP(d->foot_drop * f->pixels_per_metre - sole, -0.05f * body, 0.05f * body);
  }
  ground_pin(path, planted, d->segment, d->count, MAX(2, (int)lrint(0.17 * d->rate)));
}

static void find_root(const Transfer *t, const Motion *motion, guint8 *const planted[2], float (*hip)[2]) {
  const Driver *d = t->driver;
  int n = d->count;
  g_autofree float(*both)[2] = g_malloc_n(2 * (gsize)n, sizeof *both);
  g_autofree float *firmness = g_new(float, 2 * (gsize)n);
  float(*want[2])[2] = {both, both + n}, *firm[2] = {firmness, firmness + n};
  for (int side = 0; side < 2; side++) {
    driver_ankles(t, side, planted[side], want[side]);
    for (int i = 0; i < n; i++)
      firm[side][i] = planted[side][i] ? 1.0f : 0.2f;
    series_gauss(firm[side], 1, d->segment, n, 0.12 * d->rate);
  }
  float legs =
      t->metres_per_pixel * t->build->legs / (d->length[BONE_LEFT_THIGH] + d->length[BONE_LEFT_SHIN]);
  for (int i = 0; i < n; i++) {
    const DriverFrame *f = &d->frames[i];
    const Stance *s = &motion->stances[i];
    float body = s->scale * (t->build->rig->bottom - t->build->rig->top);
    float lowest = MAX(want[0][i][1], want[1][i][1]), weight[2];
    for (int side = 0; side < 2; side++)
      weight[side] = firm[side][i] * expf((want[side][i][1] - lowest) / (0.012f * body + 1e-3f));
    float first = weight[0] / (weight[0] + weight[1] + 1e-9f);
    float seen = t->build->has_legs ? f->legs_seen : 0, shoulders[2];
    halfway(s->joint[JOINT_LEFT_SHOULDER], s->joint[JOINT_RIGHT_SHOULDER], shoulders);
    for (int a = 0; a < 2; a++) {
      float feet = first * (want[0][i][a] - s->joint[JOINT_LEFT_ANKLE][a]) +
                   (1 - first) * (want[1][i][a] - s->joint[JOINT_RIGHT_ANKLE][a]);
      float top = f->shoulders[a] - shoulders[a];
      hip[i][a] = top + (feet - top) * seen - legs * f->hip[a];
    }
  }
  for (int a = 0; a < 2; a++) {
    series_gauss(&hip[0][a], 2, d->segment, n, 0.12 * d->rate);
    for (int i = 0; i < n; i++)
      hip[i][a] += legs * d->frames[i].hip[a];
  }
}

/* Standing feet: the leg turns about its hip joint and changes its length so that the ankle keeps its place.
 */
static void plant_feet(const Transfer *t, Motion *motion, guint8 *const planted[2], const float (*hip)[2]) {
  const Driver *d = t->driver;
  int n = d->count;
  g_autofree float(*path)[2] = g_malloc_n((gsize)n, sizeof *path);
  g_autofree LegFix(*fix)[2] = g_malloc_n((gsize)n, sizeof *fix);
  for (int side = 0; side < 2; side++) {
    Joint top = JOINT_LEFT_HIP + side, ankle = JOINT_LEFT_ANKLE + side;
    for (int i = 0; i < n; i++)
      for (int a = 0; a < 2; a++)
        path[i][a] = motion->stances[i].joint[ankle][a];
    ground_pin(path, planted[side], d->segment, n, MAX(2, (int)lrint(0.17 * d->rate)));
    for (int i = 0; i < n; i++) {
      const Stance *s = &motion->stances[i];
      float now = distance(s->joint[top], s->joint[ankle]);
      fix[i][side].turn = wrap(direction(s->joint[top], path[i]) - direction(s->joint[top], s->joint[ankle]));
      fix[i][side].stretch = CLAMP(distance(s->joint[top], path[i]) / MAX(now, 1.0f), 0.9f, 1.12f);
    }
  }
  for (int i = 0; i < n; i++)
    pose_frame(t, i, hip[i], fix[i], &motion->stances[i]);
}

static float head_distance(const Build *b, const Stance *s, int side) {
  const float *elbow = s->joint[JOINT_LEFT_ELBOW + side], *wrist = s->joint[JOINT_LEFT_WRIST + side];
  const float *knuckle = s->joint[JOINT_LEFT_HAND + side], *head = s->joint[JOINT_HEAD];
  float tip[2] = {2 * knuckle[0] - wrist[0], 2 * knuckle[1] - wrist[1]};
  float dx = tip[0] - elbow[0], dy = tip[1] - elbow[1];
  float at = ((head[0] - elbow[0]) * dx + (head[1] - elbow[1]) * dy) / (dx * dx + dy * dy + 1e-6f);
  at = CLAMP(at, 0.0f, 1.0f);
  float radius = MAX(b->rig->radius[BONE_HEAD], 0.3f * b->neck) * s->scale;
  return hypotf(elbow[0] + at * dx - head[0], elbow[1] + at * dy - head[1]) / MAX(radius, 1.0f);
}

/* The wrist over trunk or head: only there does it matter whether it is before or behind. */
static gboolean over_body(const Stance *s, int side) {
  const float *wrist = s->joint[JOINT_LEFT_WRIST + side], *hip = s->joint[JOINT_HIP],
              *head = s->joint[JOINT_HEAD];
  float half = 0.75f * distance(s->joint[JOINT_LEFT_SHOULDER], s->joint[JOINT_RIGHT_SHOULDER]);
  float dx = head[0] - hip[0], dy = head[1] - hip[1];
  float at = ((wrist[0] - hip[0]) * dx + (wrist[1] - hip[1]) * dy) / (dx * dx + dy * dy + 1e-6f);
  at = CLAMP(at, -0.1f, 1.2f);
  return hypotf(hip[0] + at * dx - wrist[0], hip[1] + at * dy - wrist[1]) < half;
}

/* Draw order, decided over the whole track so that nothing flickers. */
static void order_arm(const Transfer *t, Motion *motion, int side) {
  const Driver *d = t->driver;
  int n = d->count, least = MAX(3, (int)lrint(0.2 * d->rate));
  g_autofree guint8 *behind = g_new0(guint8, n);
  g_autofree guint8 *face = g_new0(guint8, n);
  g_autofree guint8 *toward = g_new0(guint8, n);
  for (int i = 0; i < n; i++) {
    const DriverFrame *f = &d->frames[i];
    const Stance *s = &motion->stances[i];
    gboolean same = i > 0 && d->segment[i] == d->segment[i - 1];
    /* Depth is a guess; a hand that is seen over a head is before it. */
    float trust = 0.12f * smooth_step(0.35f, 0.5f, f->hand_seen[side]);
    behind[i] = f->wrist_depth[side] < (same && behind[i - 1] ? -0.06f : -0.12f) && over_body(s, side);
    face[i] = head_distance(t->build, s, side) < (same && face[i - 1] ? 1.95f : 1.75f) &&
              f->wrist_head_depth[side] > (same && face[i - 1] ? -0.1f : -0.05f) - trust;
    toward[i] = f->tilt[BONE_LEFT_FOREARM + side] > (same && toward[i - 1] ? 28 : 34) * DEGREES;
  }
  series_steady(behind, d->segment, n, least);
  series_steady(face, d->segment, n, least);
  series_steady(toward, d->segment, n, least);
  for (int i = 0; i < n; i++) {
    Stance *s = &motion->stances[i];
    s->arm[side] = behind[i] ? ARM_BEHIND_BODY : face[i] ? ARM_BEFORE_FACE : ARM_BEFORE_BODY;
    s->arm_toward[side] = toward[i];
  }
}

static void order_pairs(const Transfer *t, Motion *motion) {
  const Driver *d = t->driver;
  int n = d->count, least = MAX(3, (int)lrint(0.2 * d->rate));
  g_autofree guint8 *leg = g_new0(guint8, n);
  g_autofree guint8 *arm = g_new0(guint8, n);
  for (int i = 0; i < n; i++) {
    const DriverFrame *f = &d->frames[i];
    gboolean same = i > 0 && d->segment[i] == d->segment[i - 1];
    leg[i] = f->knee_depth[0] - f->knee_depth[1] > (same && leg[i - 1] ? -0.04f : 0.04f);
    arm[i] = f->wrist_depth[0] - f->wrist_depth[1] > (same && arm[i - 1] ? -0.05f : 0.05f);
  }
  series_steady(leg, d->segment, n, least);
  series_steady(arm, d->segment, n, least);
  for (int i = 0; i < n; i++) {
    motion->stances[i].left_leg_over = leg[i];
    motion->stances[i].left_arm_over = arm[i];
  }
}

static void lift_feet(const Transfer *t, Motion *motion) {
  const Driver *d = t->driver;
  for (int i = 0; i < d->count; i++) {
    Stance *s = &motion->stances[i];
    float metre = d->frames[i].pixels_per_metre;
    float ground = MAX(d->frames[i].ankle[0][1], d->frames[i].ankle[1][1]);
    for (int side = 0; side < 2; side++)
      s->lift[side] = smooth_step(0.04f, 0.3f, (ground - d->frames[i].ankle[side][1]) / metre);
  }
}

/* The rig draws hands with the thumb toward the body's middle, as of a hanging arm. A hand that turns over
 * passes quickly through its edge, not through a line. */
static void drawn_hands(const Build *b, const Driver *d, Motion *motion) {
  for (int side = 0; side < 2; side++) {
    const float *elbow = b->joint[JOINT_LEFT_ELBOW + side], *wrist = b->joint[JOINT_LEFT_WRIST + side];
    const float *hip = b->joint[JOINT_HIP];
    float inward = (wrist[0] - elbow[0]) * (hip[1] - wrist[1]) - (wrist[1] - elbow[1]) * (hip[0] - wrist[0]);
    float drawn = inward < 0 ? -1 : 1;
    for (int i = 0; i < d->count; i++) {
      float thumb = drawn * d->frames[i].thumb_side[side];
      motion->stances[i].hand_width[side] = d->frames[i].hand_span[side];
      motion->stances[i].hand_side[side] = copysignf(MAX(fabsf(thumb), 0.35f), thumb);
    }
  }
}

/* How much smaller the figure must be so that head and hands stay in the frame wherever the driver's do. */
static float fit(const Transfer *t, const Motion *motion, const Tracks *tracks) {
  const Driver *d = t->driver;
  g_autofree float *factor = g_new(float, d->count);
  float width = (float)tracks->width;
  for (int i = 0; i < d->count; i++) {
    const Stance *s = &motion->stances[i];
    const DriverFrame *f = &d->frames[i];
    float ground = MAX(s->joint[JOINT_LEFT_ANKLE][1], s->joint[JOINT_RIGHT_ANKLE][1]);
    float crown = s->joint[JOINT_NECK][1] - s->scale * (t->build->joint[JOINT_NECK][1] - t->build->rig->top);
    factor[i] = 1;
    if (f->legs_seen > 0.5f && crown < 0 && f->ears[1] > 0 && ground > 0)
      factor[i] = MAX(0.7f, ground / (ground - crown));
    for (int side = 0; side < 2; side++) {
      const float *hand = s->joint[JOINT_LEFT_HAND + side];
      float root = s->joint[JOINT_HIP][0], theirs = f->wrist[side][0];
      if (theirs < 0 || theirs > width || root <= 0 || root >= width)
        continue;
      float room = hand[0] < 0       ? root / (root - hand[0])
                   : hand[0] > width ? (width - root) / (hand[0] - root)
                                     : 1;
      factor[i] = MIN(factor[i], MAX(0.85f, room));
    }
  }
  return series_quantile(factor, 1, d->count, 0.03);
}

Motion *motion_new(const Rig *rig, const Track *track, const Tracks *tracks, gboolean flat) {
  g_autoptr(Driver) driver = driver_new(track, tracks);
  Build build;
  measure(rig, flat, &build);
  Transfer transfer = {&build, driver, choose_size(&build, driver), {0, 0}};
  gsize stride = sizeof(DriverFrame) / sizeof(float);
  for (int side = 0; side < 2; side++)
    transfer.foot_level[side] =
        series_quantile(&driver->frames[0].angle[BONE_LEFT_FOOT + side], stride, driver->count, 0.5);
  Motion *motion = g_new0(Motion, 1);
  *motion = (Motion){track->first, track->count, g_new0(Stance, track->count), driver->back_share};
  drawn_hands(&build, driver, motion);
  limit_tilts(&build, driver);
  g_autofree guint8 *left = g_new0(guint8, track->count);
  g_autofree guint8 *right = g_new0(guint8, track->count);
  guint8 *const planted[2] = {left, right};
  ground_plants(driver, 0, left);
  ground_plants(driver, 1, right);
  g_autofree float(*hip)[2] = g_malloc0_n((gsize)track->count, sizeof *hip);
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < track->count; i++)
      pose_frame(&transfer, i, (const float[2]){0, 0}, NULL, &motion->stances[i]);
    find_root(&transfer, motion, planted, hip);
    for (int i = 0; i < track->count; i++)
      pose_frame(&transfer, i, hip[i], NULL, &motion->stances[i]);
    float smaller = round == 0 ? fit(&transfer, motion, tracks) : 1;
    if (smaller > 0.99f)
      break;
    transfer.metres_per_pixel *= smaller;
  }
  for (int side = 0; side < 2; side++)
    reach_face(&transfer, motion, driver, side);
  plant_feet(&transfer, motion, planted, (const float(*)[2])hip);
  order_arm(&transfer, motion, 0);
  order_arm(&transfer, motion, 1);
  order_pairs(&transfer, motion);
  lift_feet(&transfer, motion);
  return motion;
}

void motion_free(Motion *motion) {
  if (!motion)
    return;
  g_free(motion->stances);
  g_free(motion);
}
