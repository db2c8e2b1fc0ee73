/* The networks that the program runs: which file of which npm package each one is, and where those files are
 * looked for.
 *
 * The packages @mediapipe/pose and @mediapipe/holistic (Apache-2.0) carry them, some as files, some packed
 * one after the other into a .data file. Places, in this order: the folder given (nothing else then), the
 * folder that TROUPE_MODELS names, the installed share/troupe/models, node_modules of the
 * source folder, node_modules of the current folder. In each, both `@mediapipe/pose/FILE` and
 * `node_modules/@mediapipe/pose/FILE` are tried, then FILE itself.
 *
 * A file counts only with its known SHA-256. */
#pragma once
#include "base/fault.h"

typedef enum {
  NETWORK_POSE_DETECTION,
  NETWORK_POSE_LITE,
  NETWORK_POSE_FULL,
  NETWORK_POSE_HEAVY,
  NETWORK_FACE_DETECTION,
  NETWORK_FACE_MESH,
  NETWORK_FACE_ATTENTION,
  NETWORK_HAND_RECROP,
  NETWORK_HAND_LANDMARKS,
  NETWORKS
} Network;

typedef enum {
  NETWORK_FOUND,
  NETWORK_MISSING,
  NETWORK_DAMAGED /* a file of that name is there, but its content differs */
} NetworkState;

typedef struct {
  Network network;
  const char *name;    /* "pose_landmark_full" */
  const char *purpose; /* a few words */
  gsize bytes;
  NetworkState state;
  char *path;   /* the file that holds it, NULL where missing */
  gsize offset; /* in that file */
} NetworkStatus;

const char *network_name(Network network);

/* The places, for whoever must permit reading them (transfer full): element type char *. */
GPtrArray *network_places(const char *folder);

/* The network's bytes, aligned to 16 (transfer full). folder: NULL for the usual places. FAULT_NETWORK says
 * what to do. */
GBytes *network_load(Network network, const char *folder, GError **error);

/* Looks for one network without loading it into memory for long. */
NetworkStatus *network_status(Network network, const char *folder);
void network_status_free(NetworkStatus *status);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NetworkStatus, network_status_free)
/* All of them, in order (transfer full): element type NetworkStatus *. */
GPtrArray *network_list(const char *folder);
