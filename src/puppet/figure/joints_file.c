/* JSON by jansson. AnimatedDrawings' joints.yaml has one fixed shape, which a dozen lines read without a YAML
 * library: every "- loc:" is followed by two numbers and a "name:". */
#include "puppet/figure/joints_file.h"
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SKELETON_MAX 200 /* joints of a drawing */
#define MARGIN 0.5       /* of the picture's size, outside of it */

/* Names of other programs; NONE: known, but it says nothing that is needed here. */
#define NONE (-1)
static const struct {
  const char *name;
  int joint;
} aliases[] = {
    {"root", JOINT_HIP},
    {"torso", JOINT_NECK},
    {"nose", JOINT_HEAD},
    {"left_foot", JOINT_LEFT_ANKLE},
    {"right_foot", JOINT_RIGHT_ANKLE},
    {"left_foot_index", JOINT_LEFT_TOE},
    {"right_foot_index", JOINT_RIGHT_TOE},
    {"left_heel", NONE},
    {"right_heel", NONE},
    {"left_eye", NONE},
    {"right_eye", NONE},
    {"left_eye_inner", NONE},
    {"right_eye_inner", NONE},
    {"left_eye_outer", NONE},
    {"right_eye_outer", NONE},
    {"mouth_left", NONE},
    {"mouth_right", NONE},
    {"left_thumb", NONE},
    {"right_thumb", NONE},
    {"left_index", JOINT_LEFT_HAND},
    {"right_index", JOINT_RIGHT_HAND},
    {"left_pinky", NONE},
    {"right_pinky", NONE},
};

typedef struct {
  const char *name; /* of the file */
  int width, height;
  GivenJoints *given;
} Target;

static gboolean unknown_name(const Target *target, const char *name, GError **error) {
  const char *names[JOINTS + 1] = {0};
  memcpy(names, joint_names, sizeof joint_names);
  g_autofree char *known = g_strjoinv(", ", (char **)names);
  g_autofree char *shown = g_utf8_make_valid(name, (gssize)strnlen(name, 40));
  return fault(error, FAULT_INPUT, "%s: there is no joint \"%s\". The joints are: %s.", target->name, shown,
               known);
}

static gboolean find_joint(const Target *target, const char *name, int *joint, GError **error) {
  for (int i = 0; i < JOINTS; i++)
    if (g_str_equal(name, joint_names[i])) {
      *joint = i;
      return TRUE;
    }
  for (gsize i = 0; i < G_N_ELEMENTS(aliases); i++)
    if (g_str_equal(name, aliases[i].name)) {
      *joint = aliases[i].joint;
      return TRUE;
    }
  return unknown_name(target, name, error);
}

static gboolean set_joint(const Target *target, int joint, const char *name, double x, double y,
                          GError **error) {
  double w = target->width, h = target->height;
  if (!isfinite(x) || !isfinite(y) || x < -MARGIN * w || y < -MARGIN * h || x > (1 + MARGIN) * w ||
      y > (1 + MARGIN) * h)
    return fault(error, FAULT_INPUT,
                 "%s: %s at (%g, %g) lies far outside of the picture, which is %d x %d pixels.", target->name,
                 name, x, y, target->width, target->height);
  if (joint == NONE)
    return TRUE;
  target->given->given[joint] = TRUE;
  target->given->at[joint][0] = (float)x, target->given->at[joint][1] = (float)y;
  return TRUE;
}

static gboolean read_object(const Target *target, json_t *object, GError **error) {
  const char *name;
  json_t *value;
  json_object_foreach(object, name, value) {
    int joint;
    if (!find_joint(target, name, &joint, error))
      return FALSE;
    json_t *x = json_array_get(value, 0), *y = json_array_get(value, 1);
    if (json_array_size(value) < 2 || json_array_size(value) > 3 || !json_is_number(x) || !json_is_number(y))
      return fault(error, FAULT_INPUT, "%s: %s must be two numbers, [x, y].", target->name, name);
    if (!set_joint(target, joint, name, json_number_value(x), json_number_value(y), error))
      return FALSE;
  }
  return TRUE;
}

static gboolean parse_json(const Target *target, const char *text, gsize size, GError **error) {
  json_error_t where;
  json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
  if (!root)
    return fault(error, FAULT_INPUT, "%s is not JSON: line %d: %s.", target->name, where.line, where.text);
  json_t *joints = json_object_get(root, "joints");
  if (!joints)
    joints = root;
  gboolean ok = json_is_object(joints)
                    ? read_object(target, joints, error)
                    : fault(error, FAULT_INPUT, "%s must hold an object of joints.", target->name);
  json_decref(root);
  return ok;
}

/* In these files the middle of the head is called neck. */
static gboolean set_drawn(const Target *target, const char *name, double x, double y, GError **error) {
  int joint = JOINT_HEAD;
  if (!g_str_equal(name, "neck") && !find_joint(target, name, &joint, error))
    return FALSE;
  return set_joint(target, joint, name, x, y, error);
}

static gboolean parse_drawing(const Target *target, const char *text, GError **error) {
  static const char start[] = "- loc:";
  int read = 0;
  for (const char *at = strstr(text, start); at; at = strstr(at + 1, start), read++) {
    double x, y;
    char name[41];
    if (read == SKELETON_MAX)
      return fault(error, FAULT_INPUT, "%s has more than %d joints.", target->name, SKELETON_MAX);
    /* %40[a-z_]: longer names are cut and then not known */
    if (sscanf(at, "- loc: - %lf - %lf name: %40[a-z_]", &x, &y, name) != 3)
      return fault(error, FAULT_INPUT, "%s: joint %d of the skeleton has no place or no name.", target->name,
                   read + 1);
    if (!set_drawn(target, name, x, y, error))
      return FALSE;
  }
  return read > 0 || fault(error, FAULT_INPUT, "%s holds no joints.", target->name);
}

gboolean joints_parse(const char *text, gsize size, const char *name, int width, int height,
                      GivenJoints *given, GError **error) {
  *given = (GivenJoints){0};
  Target target = {name, width, height, given};
  if (size > JOINTS_FILE_MAX_BYTES)
    return fault(error, FAULT_LIMIT, "%s is larger than %d bytes.", name, JOINTS_FILE_MAX_BYTES);
  g_autofree char *copy = g_strndup(text, size); /* ends at the first 0 */
  if (strstr(copy, "skeleton:") && strstr(copy, "- loc:"))
    return parse_drawing(&target, copy, error);
  return parse_json(&target, text, size, error);
}

gboolean joints_read(const char *path, int width, int height, GivenJoints *given, GError **error) {
  g_autofree char *name = g_path_get_basename(path), *text = NULL;
  FILE *file = fopen(path, "rb");
  if (!file)
    return fault(error, FAULT_INPUT, "%s cannot be read: %s.", path, g_strerror(errno));
  text = g_malloc(JOINTS_FILE_MAX_BYTES + 1);
  gsize size = fread(text, 1, JOINTS_FILE_MAX_BYTES + 1, file);
  gboolean failed = ferror(file) != 0;
  fclose(file);
  if (failed)
    return fault(error, FAULT_INPUT, "%s cannot be read.", path);
  return joints_parse(text, size, name, width, height, given, error);
}
