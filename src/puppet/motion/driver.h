/* What a track tells a puppet, prepared over the whole track: per frame the direction and tilt of every limb,
 * the turn of chest, pelvis and head, the size of the performer, the feet.
 *
 * All smoothing looks both ways (no delay) and stops at the shots' cuts. A limb that is not visible keeps its
 * last plausible direction, but an arm that is out of sight for a second hangs; a limb that never is
 * visible has known = FALSE.
 *
 * Tilts come from |xy| against the performer's own bone length, the sign from the world landmarks: the image
 * angle, which the network knows best, stays exact, and depth is only used for foreshortening. Angles in
 * radians; on the screen clockwise positive, as atan2(dy, dx) with y down; yaw positive when the performer's
 * left side comes toward the camera. */
#pragma once
#include "perception/track.h"
#include "puppet/rig/rig.h"

typedef struct {
  float hip[2], shoulders[2], ears[2]; /* middles, pixels */
  float ankle[2][2];                   /* left, right; pixels */
  float wrist[2][2], hand[2][2];       /* hand: knuckles */
  float angle[BONES]; /* of the limb bones on the screen; of the pelvis and chest: spine; of the head: see
                         head_roll */
  float tilt[BONES];  /* toward the camera */
  float shoulder_line, hip_line; /* angle of right to left, 0 when level */
  float chest_yaw, pelvis_yaw;
  float facing; /* yaw of the whole trunk before any limit, -π … π: beyond ±π/2 the back is seen */
  float spine;  /* length of hip to shoulder middle over its usual length at this size */
  float ear_line, neck; /* angle of right to left ear; of shoulder middle to ear middle */
  float head_yaw, head_pitch;
  float pixels_per_metre;
  float hand_bend[2];   /* hand against forearm */
  float hand_span[2];   /* apparent knuckle width over its largest */
  float thumb_side[2];  /* +1 thumb on the clockwise side of the hand's direction, -1 the other, smoothed */
  float wrist_depth[2]; /* metres in front of the shoulders' plane (negative: behind) */
  float wrist_head_depth[2]; /* metres in front of the ears */
  float hand_seen[2];        /* visibility of the knuckles */
  float arm_seen[2];         /* 0..1: 0 where the arm hangs because it has not been seen for a while */
  float knee_depth[2];       /* metres toward the camera */
  float foot_speed[2];       /* metres per second */
  float legs_seen;           /* 0..1 */
} DriverFrame;

typedef struct {
  int count;
  double rate;           /* frames per second */
  int *segment;          /* [count] index of the shot each frame belongs to */
  gboolean known[BONES]; /* limb was visible at least once */
  float length[BONES];   /* metres; left equals right; of the pelvis: hip to shoulder middle; head: shoulder
                            middle to ears */
  float shoulder_width;  /* metres */
  float foot_drop;       /* sole below ankle on the screen, metres; median */
  float back_share;      /* share of frames with the body turned further than 45 degrees */
  DriverFrame *frames;
} Driver;

Driver *driver_new(const Track *track, const Tracks *tracks);
void driver_free(Driver *driver);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Driver, driver_free)
