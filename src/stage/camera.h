/* The motion of the camera through one shot, from what does not move: a homography per frame.
 *
 * Corners outside the people (Shi and Tomasi, Good Features to Track, 1994) are followed with the method of
 * Lucas and Kanade (Baker and Matthews, Lucas-Kanade 20 Years On, 2004) against a key frame, not against the
 * frame before, so that errors do not add up; the motion is found among the good and bad matches by RANSAC
 * (Fischler and Bolles, 1981) and refined robustly, as a translation, similarity or homography, whichever the
 * matches support.
 *
 * Deterministic. Memory grows by 36 bytes a frame. */
#pragma once
#include "base/image.h"
#include <libavutil/frame.h>

#define CAMERA_SIDE 640 /* the longer side of the pictures that are looked at is at most this */

typedef struct Camera Camera;

/* width, height: of the video. One object for each shot. */
Camera *camera_new(int width, int height);
void camera_free(Camera *camera);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Camera, camera_free)

/* The luma of a frame reduced by the whole factor that camera_add expects. */
Image *camera_grey(const AVFrame *frame);

/* The next frame. grey: from camera_grey. people: 1 channel of any size, 255 = somebody, or NULL. */
void camera_add(Camera *camera, const Image *grey, const Image *people);

int camera_count(const Camera *camera);
/* The camera has not moved so far: by less than what can be measured. All homographies are then exactly the
 * identity. */
gboolean camera_still(const Camera *camera);
/* Pixel of the frame -> pixel of the shot's first frame, row-major, at the video's size. */
void camera_homography(const Camera *camera, int index, float homography[9]);
/* Share of frames in which most of the surroundings moved as one; low where there is parallax or a crowd. */
float camera_trust(const Camera *camera);
