/* Reads the truth of a performance. Its own maker wrote it, so a wrong shape is an error of ours, told
 * plainly. */
#include "media/picture.h"
#include "truth.h"
#include <string.h>

static gboolean numbers(const json_t *array, float *out, gsize n) {
  if (!json_is_array(array) || json_array_size(array) != n)
    return FALSE;
  for (gsize i = 0; i < n; i++)
    out[i] = (float)json_number_value(json_array_get(array, i));
  return TRUE;
}

static gboolean read_person(Truth *truth, int person, const json_t *frames) {
  if (!json_is_array(frames) || json_array_size(frames) != (gsize)truth->frames)
    return FALSE;
  for (int f = 0; f < truth->frames; f++) {
    TruthPose *pose = &truth->pose[(gsize)person * (gsize)truth->frames + (gsize)f];
    const json_t *one = json_array_get(frames, (gsize)f), *landmarks = json_object_get(one, "landmarks");
    if (!numbers(json_object_get(one, "box"), pose->box, 4) || json_array_size(landmarks) != POSE_LANDMARKS)
      return FALSE;
    for (gsize i = 0; i < POSE_LANDMARKS; i++) {
      float v[4];
      if (!numbers(json_array_get(landmarks, i), v, 4))
        return FALSE;
      pose->landmark[i] = (Landmark){v[0], v[1], v[2], v[3]};
    }
  }
  return TRUE;
}

static gboolean read_json(Truth *truth, const json_t *root) {
  const json_t *people = json_object_get(root, "people"),
               *homographies = json_object_get(root, "homographies");
  const json_t *background = json_object_get(root, "background");
  truth->width = (int)json_integer_value(json_object_get(root, "width"));
  truth->height = (int)json_integer_value(json_object_get(root, "height"));
  truth->frames = (int)json_integer_value(json_object_get(root, "frames"));
  truth->people = (int)json_array_size(people);
  truth->x0 = (int)json_integer_value(json_object_get(background, "x"));
  truth->y0 = (int)json_integer_value(json_object_get(background, "y"));
  if (truth->width < 1 || truth->height < 1 || truth->frames < 1 || truth->frames > 100000 ||
      truth->people < 1 || truth->people > TRACK_MAX_PEOPLE ||
      json_array_size(homographies) != (gsize)truth->frames)
    return FALSE;
  truth->pose = g_new0(TruthPose, (gsize)truth->people * (gsize)truth->frames);
  truth->homography = g_malloc0((gsize)truth->frames * sizeof *truth->homography);
  for (int f = 0; f < truth->frames; f++)
    if (!numbers(json_array_get(homographies, (gsize)f), truth->homography[f], 9))
      return FALSE;
  for (int p = 0; p < truth->people; p++)
    if (!read_person(truth, p, json_object_get(json_array_get(people, (gsize)p), "frames")))
      return FALSE;
  return TRUE;
}

static Image *read_image(const char *folder, const char *name, int channels, GError **error) {
  g_autofree char *path = g_build_filename(folder, name, NULL);
  g_autoptr(Image) image = picture_load(path, error);
  return image ? image_convert(image, channels) : NULL;
}

Truth *truth_load(const char *folder, GError **error) {
  g_autofree char *path = g_build_filename(folder, "truth.json", NULL);
  json_error_t problem;
  json_t *root = json_load_file(path, 0, &problem);
  if (root == NULL)
    return fault_null(error, FAULT_INPUT, "%s cannot be read: %s.", path, problem.text);
  g_autoptr(Truth) truth = g_new0(Truth, 1);
  truth->folder = g_strdup(folder);
  gboolean fine = read_json(truth, root);
  json_decref(root);
  if (!fine)
    return fault_null(error, FAULT_INPUT, "%s is not the truth of a performance.", path);
  truth->background = read_image(folder, "background.png", 3, error);
  truth->visible = truth->background ? read_image(folder, "visible.png", 1, error) : NULL;
  truth->lit = truth->visible ? read_image(folder, "lit.png", 1, error) : NULL;
  return truth->lit ? g_steal_pointer(&truth) : NULL;
}

void truth_free(Truth *truth) {
  if (truth == NULL)
    return;
  image_free(truth->background);
  image_free(truth->visible);
  image_free(truth->lit);
  g_free(truth->pose);
  g_free(truth->homography);
  g_free(truth->folder);
  g_free(truth);
}

Image *truth_mask(const Truth *truth, int person, int frame, GError **error) {
  g_autofree char *name = g_strdup_printf("masks/%d-%04d.png", person + 1, frame);
  return read_image(truth->folder, name, 1, error);
}
