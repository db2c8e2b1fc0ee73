/* What stands in front of everybody: captions that were laid over the video after it was filmed, which a
 * character must pass behind as the person did.
 *
 * They are known by how they come and go: from one frame to the next, all at once, in a picture that
 * otherwise stands still, in a few flat colours and thin strokes. What is there for the whole run, fades, or
 * moves is not found. Private to the stage. */
#pragma once
#include "stage/plate.h"

typedef struct FrontFinder FrontFinder;

FrontFinder *front_finder_new(const VideoInfo *info);
void front_finder_free(FrontFinder *finder);

/* The run's next frame, of which a reference is kept until the one after; people as in plate_builder_add. */
void front_finder_add(FrontFinder *finder, const AVFrame *frame, const Image *people);

/* For the run of a still camera that all frames added make. samples: Sample *, with their tiers. NULL where
 * nothing was found. */
Front *front_finder_finish(FrontFinder *finder, const GPtrArray *samples);
