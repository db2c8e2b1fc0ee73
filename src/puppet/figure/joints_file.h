/* Files of joint positions set by hand (--joints).
 *
 *   {"joints": {"left_wrist": [120, 304], "nose": [88, 61]}}    or the inner object alone
 *
 * Any subset of joint_names, in picture pixels. Also understood: MediaPipe's landmark names where they name a joint (nose,
 * left_foot_index, ...), and the names of AnimatedDrawings (root, torso, neck, left_hand, left_foot, ...; there "neck"
 * is the middle of the head), with its joints.yaml as it is: a file whose skeleton lists loc and name. */
#pragma once
#include "puppet/figure/figure.h"

#define JOINTS_FILE_MAX_BYTES (1000 * 1000)

/* Joints may lie up to half a picture outside of it, for limbs that are cut off. FAULT_INPUT: not readable, not JSON, a
 * name that is not known, a number that is none. FAULT_LIMIT: too large. */
gboolean joints_read(const char *path, int width, int height, GivenJoints *given, GError **error);

/* The same for a text in memory, which need not end with 0. name is for messages. */
gboolean joints_parse(const char *text, gsize size, const char *name, int width, int height, GivenJoints *given,
                      GError **error);
