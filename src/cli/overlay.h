/* Poses drawn over a picture, so that one can see what was found. */
#pragma once
#include "perception/pose.h"

/* Bones and joints over rgb; the person's left side is warm, the right side cool; faint where not visible. id
 * 0 is not written. */
void overlay_pose(Image *rgb, const Pose *pose);
