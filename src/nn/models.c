/* Every network may stand in several files; each is tried in every place until one has the right content. */
#include "nn/models.h"
#include <gio/gio.h>
#include <string.h>

#define POSE "@mediapipe/pose"
#define HOLISTIC "@mediapipe/holistic"
#define POSE_DATA "pose_solution_packed_assets.data"
#define HOLISTIC_DATA "holistic_solution_packed_assets.data"

typedef struct {
  const char *package, *file;
  gsize offset;
} Source;

typedef struct {
  const char *name, *purpose;
  gsize bytes;
  const char *sha256;
  Source source[2];
} Entry;

/* @mediapipe/pose 0.5.1675469404, @mediapipe/holistic 0.5.1675471629 */
static const Entry entries[NETWORKS] = {
    [NETWORK_POSE_DETECTION] = {"pose_detection",
                                "finds people",
                                2962288,
                                "a63c614bef30d35947f13be361820b1e4e3bec9cfeebf4d11216a18373108e85",
                                {{POSE, POSE_DATA, 0}, {HOLISTIC, HOLISTIC_DATA, 13915467}}},
    [NETWORK_POSE_LITE] = {"pose_landmark_lite",
                           "body, quick",
                           2819824,
                           "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
                           {{POSE, "pose_landmark_lite.tflite", 0},
                            {HOLISTIC, "pose_landmark_lite.tflite", 0}}},
    [NETWORK_POSE_FULL] = {"pose_landmark_full",
                           "body",
                           6440512,
                           "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
                           {{POSE, "pose_landmark_full.tflite", 0},
                            {HOLISTIC, "pose_landmark_full.tflite", 0}}},
    [NETWORK_POSE_HEAVY] = {"pose_landmark_heavy",
                            "body, careful",
                            27709200,
                            "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
                            {{POSE, "pose_landmark_heavy.tflite", 0},
                             {HOLISTIC, "pose_landmark_heavy.tflite", 0}}},
    [NETWORK_FACE_DETECTION] = {"face_detection_short_range",
                                "finds the face of a person",
                                229032,
                                "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
                                {{HOLISTIC, HOLISTIC_DATA, 0}}},
    [NETWORK_FACE_MESH] = {"face_landmark",
                           "face",
                           1241896,
                           "c603fa6149219a3e9487dc9abd7a0c24474c77263273d24868378cdf40aa26d1",
                           {{HOLISTIC, HOLISTIC_DATA, 248408}}},
    [NETWORK_FACE_ATTENTION] = {"face_landmark_with_attention",
                                "face with lips and irises",
                                2495952,
                                "883b7411747bac657c30c462d305d312e9dec6adbf8b85e2f5d8d722fca9455d",
                                {{HOLISTIC, HOLISTIC_DATA, 1490304}}},
    [NETWORK_HAND_RECROP] = {"hand_recrop",
                             "finds the hand of an arm",
                             123792,
                             "67d996ce96f9d36fe17d2693022c6da93168026ab2f028f9e2365398d8ac7d5d",
                             {{HOLISTIC, HOLISTIC_DATA, 9464955}}},
    [NETWORK_HAND_LANDMARKS] = {"hand_landmark_full",
                                "hand",
                                5478688,
                                "8c026882c9ec059ce0f8e75266bee5a9a23c341a40e0000df755374d3d1b9b68",
                                {{HOLISTIC, HOLISTIC_DATA, 3986256}}},
};

const char *network_name(Network network) {
  return entries[network].name;
}

GPtrArray *network_places(const char *folder) {
  GPtrArray *list = g_ptr_array_new_with_free_func(g_free);
  const char *named = g_getenv("TROUPE_MODELS");
  if (folder && *folder) {
    g_ptr_array_add(list, g_strdup(folder));
    return list;
  }
  if (named && *named)
    g_ptr_array_add(list, g_strdup(named));
  g_ptr_array_add(list, g_strdup(MODELS_DIR));
  g_ptr_array_add(list, g_strdup(SOURCE_MODELS));
  g_ptr_array_add(list, g_strdup("node_modules"));
  return list;
}

/* `bytes` bytes of a file from an offset, or NULL when the file cannot be read or is too short. */
static GBytes *read_part(const char *path, gsize offset, gsize bytes) {
  g_autoptr(GFile) file = g_file_new_for_path(path);
  g_autoptr(GFileInputStream) stream = g_file_read(file, NULL, NULL);
  if (!stream || !g_seekable_seek(G_SEEKABLE(stream), (goffset)offset, G_SEEK_SET, NULL, NULL))
    return NULL;
  g_autofree guint8 *data = g_malloc(bytes);
  gsize got = 0;
  if (!g_input_stream_read_all(G_INPUT_STREAM(stream), data, bytes, &got, NULL, NULL) || got != bytes)
    return NULL;
  return g_bytes_new_take(g_steal_pointer(&data), bytes);
}

static gboolean is_genuine(const Entry *entry, GBytes *bytes) {
  g_autofree char *sum = g_compute_checksum_for_bytes(G_CHECKSUM_SHA256, bytes);
  return strcmp(sum, entry->sha256) == 0;
}

/* Tries one path; keeps the first one that exists in *status even when it is damaged. */
static GBytes *try_path(const Entry *entry, const Source *source, char *path, NetworkStatus *status) {
  g_autofree char *owned = path;
  if (!g_file_test(owned, G_FILE_TEST_IS_REGULAR))
    return NULL;
  g_autoptr(GBytes) bytes = read_part(owned, source->offset, entry->bytes);
  gboolean genuine = bytes && is_genuine(entry, bytes);
  if (genuine || status->state == NETWORK_MISSING) {
    g_free(status->path);
    status->path = g_steal_pointer(&owned);
    status->offset = source->offset;
    status->state = genuine ? NETWORK_FOUND : NETWORK_DAMAGED;
  }
  return genuine ? g_steal_pointer(&bytes) : NULL;
}

static GBytes *find(Network network, const char *folder, NetworkStatus *status) {
  const Entry *entry = &entries[network];
  g_autoptr(GPtrArray) list = network_places(folder);
  for (guint i = 0; i < list->len; i++) {
    const char *place = list->pdata[i];
    for (gsize k = 0; k < G_N_ELEMENTS(entry->source) && entry->source[k].file; k++) {
      const Source *source = &entry->source[k];
      GBytes *bytes;
      if ((bytes = try_path(entry, source, g_build_filename(place, source->package, source->file, NULL),
                            status)) ||
          (bytes = try_path(entry, source,
                            g_build_filename(place, "node_modules", source->package, source->file, NULL),
                            status)) ||
          (bytes = try_path(entry, source, g_build_filename(place, source->file, NULL), status)))
        return bytes;
    }
  }
  return NULL;
}

static NetworkStatus *status_new(Network network) {
  NetworkStatus *status = g_new0(NetworkStatus, 1);
  *status = (NetworkStatus){.network = network,
                            .name = entries[network].name,
                            .purpose = entries[network].purpose,
                            .bytes = entries[network].bytes,
                            .state = NETWORK_MISSING};
  return status;
}

GBytes *network_load(Network network, const char *folder, GError **error) {
  g_autoptr(NetworkStatus) status = status_new(network);
  GBytes *bytes = find(network, folder, status);
  if (bytes)
    return bytes;
  if (status->state == NETWORK_DAMAGED)
    return fault_null(
        error, FAULT_NETWORK,
        "The network %s in %s is damaged or of another version. Run `npm ci` in the source folder to fetch "
        "it again, or name another folder with --models.",
        status->name, status->path);
  return fault_null(
      error, FAULT_NETWORK,
      "The network %s is not there%s%s. Run `npm ci` in the source folder, or name the folder that holds "
      "@mediapipe/pose and @mediapipe/holistic with --models.",
      status->name, folder ? " in " : "", folder ? folder : "");
}

NetworkStatus *network_status(Network network, const char *folder) {
  NetworkStatus *status = status_new(network);
  GBytes *bytes = find(network, folder, status);
  g_clear_pointer(&bytes, g_bytes_unref);
  return status;
}

void network_status_free(NetworkStatus *status) {
  if (!status)
    return;
  g_free(status->path);
  g_free(status);
}

GPtrArray *network_list(const char *folder) {
  GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)network_status_free);
  for (int i = 0; i < NETWORKS; i++)
    g_ptr_array_add(list, network_status((Network)i, folder));
  return list;
}
