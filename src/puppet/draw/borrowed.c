/* Every pixel of the performer belongs to the bone that it is nearest to: an arm, the head, or a place along
 * a leg. A leg counts as one line through hip, knee and ankle that goes on above the hip, so that a picture
 * may end anywhere. */
#include "puppet/draw/borrowed.h"
#include "puppet/rig/segment.h"
#include <math.h>

#define TRUNK_SHARE 0.5f /* of a trunk that is cut must be in the picture for it to be the character's */
#define ARMS_SEEN 0.3f   /* and one elbow at least so visible */
#define OVERLAP 0.22f    /* lengths of the thigh by which the performer begins before the picture ends */
/* In lengths of the neck, from the shoulders to the ears. */
#define ARM_WIDTH 0.36f  /* half an arm's width with what the network misses it by */
#define SURE_WIDTH 0.14f /* half an arm's width */
#define LEG_WIDTH 0.4f   /* half a leg's width */
#define HEAD_RADIUS 0.8f /* around the ears */
#define FINGERS 1.2f     /* beyond the knuckles, in lengths of the palm */
#define CHIN 0.5f        /* where the head begins, from the shoulders to the ears */

static gboolean unseen(const Figure *figure, Joint left, float visibility) {
  return figure->visibility[left] <= visibility && figure->visibility[left + 1] <= visibility;
}

static float leg_end(const Rig *rig, int side) {
  const Figure *f = &rig->figure;
  float end = rig->bottom, hip = f->joint[JOINT_LEFT_HIP + side][1],
        knee = f->joint[JOINT_LEFT_KNEE + side][1], ankle = f->joint[JOINT_LEFT_ANKLE + side][1];
  if (end <= knee || ankle <= knee)
    return MIN((end - hip) / MAX(knee - hip, 1.0f), 1.0f);
  return MIN(1 + (end - knee) / (ankle - knee), 2.0f);
}

Borrowed borrowed_find(const Rig *rig) {
  const Figure *f = &rig->figure;
  Borrowed borrowed = {0};
  if (f->source != FIGURE_FROM_POSE || !unseen(f, JOINT_LEFT_ANKLE, 0))
    return borrowed;
  float shoulders = 0.5f * (f->joint[JOINT_LEFT_SHOULDER][1] + f->joint[JOINT_RIGHT_SHOULDER][1]);
  float trunk = f->joint[JOINT_HIP][1] - shoulders, shown = rig->bottom - shoulders;
  borrowed.body = !rig->drawn && unseen(f, JOINT_LEFT_HIP, 0) &&
                  (shown < TRUNK_SHARE * trunk || unseen(f, JOINT_LEFT_ELBOW, ARMS_SEEN));
  borrowed.legs = !borrowed.body;
  for (int side = 0; side < 2; side++)
    borrowed.leg[side] = leg_end(rig, side);
  return borrowed;
}

/* --- a performer in one frame --- */

typedef struct {
  const Landmark *at;
  float ears[2], shoulders[2]; /* middles */
  float down[2];               /* unit vector from the ears to the shoulders */
  float neck;                  /* its length */
} Body;

static Body body_of(const Pose *pose) {
  Body body = {.at = pose->image};
  landmark_middle(pose, POSE_LEFT_EAR, POSE_RIGHT_EAR, body.ears);
  landmark_middle(pose, POSE_LEFT_SHOULDER, POSE_RIGHT_SHOULDER, body.shoulders);
  body.neck = MAX(point_distance(body.ears, body.shoulders), 1.0f);
  for (int a = 0; a < 2; a++)
    body.down[a] = (body.shoulders[a] - body.ears[a]) / body.neck;
  return body;
}

static const float *place(const Body *body, int landmark) {
  return &body->at[landmark].x; /* and y after it */
}

/* From forearm, hand and the lower part of the upper arm, the rest of which is in the trunk's outline; in
 * necks. */
static float from_arms(const Body *body, float fingers, const float p[2]) {
  float nearest = INFINITY;
  for (int side = 0; side < 2; side++) {
    const float *shoulder = place(body, POSE_LEFT_SHOULDER + side),
                *elbow = place(body, POSE_LEFT_ELBOW + side), *wrist = place(body, POSE_LEFT_WRIST + side),
                *knuckle = place(body, POSE_LEFT_INDEX + side);
    float tip[2];
    point_mix(wrist, knuckle, 1 + fingers, tip);
    nearest = MIN(nearest, segment_distance(elbow, wrist, p));
    nearest = MIN(nearest, segment_distance(wrist, tip, p));
    if (segment_along(shoulder, elbow, p) > 0.4f)
      nearest = MIN(nearest, segment_distance(shoulder, elbow, p));
  }
  return nearest / body->neck;
}

/* Before the face only what is sure to be arm: what is not would be his face. */
static gboolean of_arm(const Body *body, const float p[2]) {
  if (point_distance(body->ears, p) < HEAD_RADIUS * body->neck)
    return from_arms(body, 0, p) < SURE_WIDTH;
  return from_arms(body, FINGERS, p) < ARM_WIDTH;
}

static gboolean of_head(const Body *body, const float p[2]) {
  float below = (p[0] - body->shoulders[0]) * body->down[0] + (p[1] - body->shoulders[1]) * body->down[1];
  return below < -CHIN * body->neck;
}

/* Whether it is of a leg, further down than the picture goes. Between an arm and a leg that is near, too, the
 * distance decides in which each has the weight of its width. */
static gboolean below_picture(const Borrowed *borrowed, const Body *body, const float p[2]) {
  float nearest = INFINITY, along = 0;
  int leg = 0;
  for (int side = 0; side < 2; side++) {
    const float *hip = place(body, POSE_LEFT_HIP + side), *knee = place(body, POSE_LEFT_KNEE + side),
                *ankle = place(body, POSE_LEFT_ANKLE + side);
    float thigh = segment_distance(hip, knee, p), shin = segment_distance(knee, ankle, p);
    if (MIN(thigh, shin) >= nearest)
      continue;
    nearest = MIN(thigh, shin), leg = side;
    along =
        shin < thigh ? 1 + MAX(segment_along(knee, ankle, p), 0.0f) : MIN(segment_along(hip, knee, p), 1.0f);
  }
  float arm = from_arms(body, FINGERS, p);
  gboolean of_arm = arm < ARM_WIDTH && arm * LEG_WIDTH < nearest / body->neck * SURE_WIDTH;
  return !of_arm && along > borrowed->leg[leg] - OVERLAP;
}

static void move(Image *mask, int x, int y, Image **to) {
  if (!*to)
    *to = image_new(mask->width, mask->height, 1);
  guint8 *from = image_at(mask, x, y), *there = image_at(*to, x, y);
  *there = MAX(*there, *from);
  *from = 0;
}

void borrowed_take(const Borrowed *borrowed, const Pose *pose, int width, int height, Image *mask,
                   Image **behind, Image **before) {
  Body body = body_of(pose);
  float scale_x = (float)width / (float)mask->width, scale_y = (float)height / (float)mask->height;
  for (int v = 0; (borrowed->body || borrowed->legs) && v < mask->height; v++)
    for (int u = 0; u < mask->width; u++) {
      if (!*image_at(mask, u, v))
        continue;
      const float p[2] = {((float)u + 0.5f) * scale_x, ((float)v + 0.5f) * scale_y};
      if (borrowed->body && of_arm(&body, p))
        move(mask, u, v, before);
      else if (borrowed->body ? !of_head(&body, p) : below_picture(borrowed, &body, p))
        move(mask, u, v, behind);
    }
}
