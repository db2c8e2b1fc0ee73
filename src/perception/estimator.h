/* What a pose estimator holds. Private to the room. */
#pragma once
#include "nn/graph.h"
#include "perception/detector.h"

struct PoseEstimator {
  Detector *detector;
  Graph *landmarks;
};
