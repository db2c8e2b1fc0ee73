/* The hands of a person whose pose is known: 21 points each (Zhang et al., MediaPipe Hands, 2020).
 *
 * A reader is not for two threads at once. */
#pragma once
#include "perception/region.h"

typedef enum {
  HAND_WRIST,
  HAND_THUMB_CMC,
  HAND_THUMB_MCP,
  HAND_THUMB_IP,
  HAND_THUMB_TIP,
  HAND_INDEX_MCP,
  HAND_INDEX_PIP,
  HAND_INDEX_DIP,
  HAND_INDEX_TIP,
  HAND_MIDDLE_MCP,
  HAND_MIDDLE_PIP,
  HAND_MIDDLE_DIP,
  HAND_MIDDLE_TIP,
  HAND_RING_MCP,
  HAND_RING_PIP,
  HAND_RING_DIP,
  HAND_RING_TIP,
  HAND_PINKY_MCP,
  HAND_PINKY_PIP,
  HAND_PINKY_DIP,
  HAND_PINKY_TIP,
  HAND_POINTS
} HandPoint;

typedef enum { HAND_LEFT, HAND_RIGHT } HandSide; /* the person's */

typedef struct {
  gboolean found;              /* the rest means nothing where it is FALSE */
  float score;                 /* probability that this is a hand */
  float right;                 /* probability that it is a right one, by its looks alone */
  float image[HAND_POINTS][3]; /* pixels; z in the same unit, smaller is nearer, 0 at the wrist */
  float world[HAND_POINTS][3]; /* metres, origin in the middle of the hand */
  Region region;               /* the crop that was looked at */
} Hand;

typedef struct HandReader HandReader;

/* FAULT_NETWORK. */
HandReader *hand_reader_new(const char *models, GError **error);
void hand_reader_free(HandReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HandReader, hand_reader_free)

/* previous: the same hand in the frame before, or NULL. */
gboolean hand_read(HandReader *reader, const Image *rgb, const Pose *pose, HandSide side,
                   const Hand *previous, Hand *hand, GError **error);
