/* From a picture to a Character: read, find the figure, cut it out, rig it; and the folder that holds the
 * result. */
#include "puppet/character.h"

#include "base/files.h"
#include "media/picture.h"
#include "puppet/cutout/agreement.h"
#include "puppet/cutout/cutout.h"
#include "puppet/figure/joints_file.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#define THUMB_SIDE 256
/* More than a figure can show in the largest video (4096 x 4096), and what one gigabyte of memory can work
 * on. */
#define WORKING_PIXELS (12 * 1000 * 1000)
#define FORMAT 1
#define SAME_PERSON 0.6   /* least overlap of two networks' masks of one person */
#define SAME_JOINT 0.06f  /* most distance of two networks' opinions of one joint, figure heights */
#define SECOND_SHARE 0.5f /* weight of the full network's opinion */

void character_free(Character *character) {
  if (!character)
    return;
  g_free(character->name);
  g_free(character->picture);
  image_free(character->cutout);
  rig_free(character->rig);
  g_free(character);
}

/* --- making --- */

static void shrink(Image **image, double scale) {
  Image *small = image_resize(*image, MAX(1, (int)lround((*image)->width * scale)),
                              MAX(1, (int)lround((*image)->height * scale)));
  image_free(*image);
  *image = small;
}

static Image *load_working_picture(const char *path, double *scale, Progress *progress, GError **error) {
  Image *picture = picture_load(path, error);
  if (!picture)
    return NULL;
  double pixels = (double)picture->width * picture->height;
  *scale = pixels > WORKING_PIXELS ? sqrt(WORKING_PIXELS / pixels) : 1;
  if (*scale < 1) {
    progress_note(
        progress,
        "The picture was reduced from %d x %d pixels; more than 12 megapixels cannot be seen in any video.",
        picture->width, picture->height);
    shrink(&picture, *scale);
  }
  return picture;
}

/* The user's mask at the picture's size: white is the figure. */
static gboolean load_mask(const char *path, int width, int height, Image **mask, GError **error) {
  if (!path)
    return TRUE;
  g_autoptr(Image) loaded = picture_load(path, error);
  if (!loaded)
    return FALSE;
  double ratio = (double)loaded->width * height / ((double)loaded->height * width);
  if (ratio < 0.98 || ratio > 1.02)
    return fault(error, FAULT_INPUT,
                 "The mask %s is %d x %d pixels, which is not the shape of the picture. Save it at the "
                 "picture's size.",
                 path, loaded->width, loaded->height);
  g_autoptr(Image) grey = image_convert(loaded, 1);
  *mask = image_resize(grey, width, height);
  return TRUE;
}

static gboolean load_joints(const char *path, const Image *picture, double scale, GivenJoints *given,
                            GError **error) {
  if (!path)
    return TRUE;
  int width = (int)lround(picture->width / scale), height = (int)lround(picture->height / scale);
  if (!joints_read(path, width, height, given, error))
    return FALSE;
  for (int i = 0; i < JOINTS; i++)
    for (int k = 0; k < 2; k++)
      given->at[i][k] *= (float)scale;
  return TRUE;
}

static double overlap(const Image *a, const Image *b) {
  gsize both = 0, either = 0;
  for (gsize i = 0; i < (gsize)a->width * (gsize)a->height; i++) {
    gboolean p = a->pixels[i] > 127, q = b->pixels[i] > 127;
    both += p && q;
    either += p || q;
  }
  return either ? (double)both / (double)either : 0;
}

/* Two networks' joints of one body: where they agree, the middle has less of either's error. */
static void settle_joints(Figure *figure, const Figure *second) {
  for (int i = 0; i < JOINTS; i++) {
    float dx = second->joint[i][0] - figure->joint[i][0], dy = second->joint[i][1] - figure->joint[i][1];
    if (figure->given[i] || hypotf(dx, dy) > SAME_JOINT * figure->height)
      continue;
    figure->joint[i][0] += SECOND_SHARE * dx;
    figure->joint[i][1] += SECOND_SHARE * dy;
  }
}

/* The mask that overlaps most, if enough to be of the same person; -1 when none does. */
static int same_person(const GPtrArray *masks, const Image *mask) {
  double best = SAME_PERSON;
  int found = -1;
  for (guint i = 0; i < masks->len; i++) {
    double share = overlap(masks->pdata[i], mask);
    if (share > best) {
      best = share;
      found = (int)i;
    }
  }
  return found;
}

static gboolean shows_legs(const Figure *figure) {
  return figure->visibility[JOINT_LEFT_KNEE] > 0 || figure->visibility[JOINT_RIGHT_KNEE] > 0;
}

/* Who stands behind is taken out of the mask by what the other readings leave out of it: of the heavy
 * network, and of this one in a mirror. */
static gboolean leave_others_out(PoseEstimator *network, const Image *rgb, const Image *heavy,
                                 const Figure *figure, Image **mask, GError **error) {
  g_autoptr(Image) flipped = image_mirrored(rgb), seen = image_mirrored(*mask), third = NULL;
  g_autoptr(GArray) poses = NULL;
  g_autoptr(GPtrArray) masks = NULL;
  if (!pose_find(network, flipped, &poses, &masks, error))
    return FALSE;
  int found = same_person(masks, seen);
  if (found >= 0)
    third = image_mirrored(masks->pdata[found]);
  const Image *readings[] = {*mask, heavy, third};
  Image *agreed = mask_agreement(readings, third ? 3 : 2, figure);
  image_free(*mask);
  *mask = agreed;
  return TRUE;
}

/* The heavy network knows joints best, the full one where a body ends: skirts, sleeves, hair. Its mask of the
 * same person takes the place of the other, and its joints are heard. */
static gboolean ask_full_network(const Image *picture, const char *models, Figure *figure, Image **mask,
                                 GError **error) {
  g_autoptr(PoseEstimator) network = pose_estimator_new(POSE_FULL, models, error);
  g_autoptr(Image) rgb = image_convert(picture, 3);
  g_autoptr(GArray) poses = NULL;
  g_autoptr(GPtrArray) masks = NULL;
  if (!network || !pose_find(network, rgb, &poses, &masks, error))
    return FALSE;
  int found = same_person(masks, *mask);
  if (found < 0)
    return TRUE;
  g_autoptr(Image) heavy = *mask;
  *mask = image_copy(masks->pdata[found]);
  Figure second = figure_from_pose(&g_array_index(poses, Pose, found), *mask);
  settle_joints(figure, &second);
  return shows_legs(figure) || leave_others_out(network, rgb, heavy, figure, mask, error);
}

/* Drawings on paper are not matted: the same paper lies inside and outside of the line. The mask's edge is
 * only made smooth. */
static Image *cut_along(const Image *rgb, const Image *mask) {
  g_autoptr(Plane) alpha = plane_from_image(mask, 0);
  plane_blur(alpha, 0.9f);
  Image *cutout = image_convert(rgb, 4);
  for (gsize i = 0; i < (gsize)rgb->width * (gsize)rgb->height; i++)
    cutout->pixels[4 * i + 3] = (guint8)(smooth_step(0.2f, 0.8f, alpha->v[i]) * 255 + 0.5f);
  return cutout;
}

static Image *cut_out(const Image *picture, const Figure *figure, const Image *coarse, gboolean own_mask,
                      GError **error) {
  if (!own_mask && cutout_has_alpha(picture))
    return image_copy(picture);
  g_autoptr(Image) rgb = image_convert(picture, 3);
  if (figure->source == FIGURE_FROM_SILHOUETTE)
    return cut_along(rgb, coarse);
  return cutout_refine(rgb, coarse, figure, error);
}

Character *character_make(const char *path, const CharacterOptions *options, Progress *progress,
                          GError **error) {
  double scale;
  GivenJoints given = {0};
  g_autoptr(Image) mask = NULL, coarse = NULL;
  progress_report(progress, "Reading the picture", 0, 0);
  g_autoptr(Image) picture = load_working_picture(path, &scale, progress, error);
  if (!picture || !load_mask(options->mask, picture->width, picture->height, &mask, error) ||
      !load_joints(options->joints, picture, scale, &given, error))
    return NULL;
  g_autoptr(PoseEstimator) network = pose_estimator_new(POSE_HEAVY, options->models, error);
  Figure figure;
  if (!network || !figure_find(picture, network, mask, options->joints ? &given : NULL, &figure, &coarse,
                               progress, error))
    return NULL;
  g_clear_pointer(&network, pose_estimator_free); /* 137 MB that the rest does not need */
  if (figure.source == FIGURE_FROM_POSE && !mask && !cutout_has_alpha(picture) &&
      !ask_full_network(picture, options->models, &figure, &coarse, error))
    return NULL;
  if (!progress_continue(progress, error))
    return NULL;

  g_autoptr(Character) character = g_new0(Character, 1);
  character->name = files_title(path);
  character->picture = g_strdup(path);
  progress_report(progress, "Cutting the figure out", 0, 0);
  if (!(character->cutout = cut_out(picture, &figure, coarse, mask != NULL, error)) ||
      !progress_continue(progress, error))
    return NULL;
  progress_report(progress, "Rigging the character", 0, 0);
  if (!(character->rig = rig_build(character->cutout, &figure, error)))
    return NULL;
  return g_steal_pointer(&character);
}

/* --- folder --- */

static json_t *describe(const Character *character) {
  const Rig *rig = character->rig;
  json_t *joints = json_object();
  for (int i = 0; i < JOINTS; i++)
    json_object_set_new(
        joints, joint_names[i],
        json_pack("[f, f, f]", rig->figure.joint[i][0], rig->figure.joint[i][1], rig->figure.visibility[i]));
  return json_pack("{s:i, s:s, s:i, s:i, s:s, s:f, s:o}", "format", FORMAT, "name", character->name, "width",
                   rig->width, "height", rig->height, "joints_from",
                   rig->figure.source == FIGURE_FROM_POSE ? "pose" : "silhouette", "figure_height",
                   rig->figure.height, "joints", joints);
}

static gboolean save_description(const Character *character, const char *path, GError **error) {
  json_t *json = describe(character);
  char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(7));
  json_decref(json);
  g_autoptr(GError) problem = NULL;
  gboolean good = g_file_set_contents(path, text, -1, &problem);
  free(text);
  return good || fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", path, problem->message);
}

/* The figure on nothing, as large as a list of characters shows it. */
static gboolean save_thumb(const Image *cutout, const char *path, GError **error) {
  double scale = MIN(1.0, THUMB_SIDE / (double)MAX(cutout->width, cutout->height));
  g_autoptr(Image) thumb = image_copy(cutout);
  shrink(&thumb, scale);
  return picture_save(thumb, path, error);
}

static gboolean copy_picture(const char *from, const char *folder, GError **error) {
  if (!from)
    return TRUE;
  const char *dot = strrchr(from, '.');
  g_autofree char *name =
      g_strdup_printf("picture%s", dot && strlen(dot) <= 5 && !strchr(dot, '/') ? dot : "");
  g_autofree char *place = g_build_filename(folder, name, NULL);
  g_autofree char *bytes = NULL;
  gsize length;
  g_autoptr(GError) problem = NULL;
  return (g_file_get_contents(from, &bytes, &length, &problem) &&
          g_file_set_contents(place, bytes, (gssize)length, &problem)) ||
         fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", place, problem->message);
}

static gboolean fill_folder(const Character *character, const char *folder, GError **error) {
  g_autofree char *description = g_build_filename(folder, "character.json", NULL),
                  *rig = g_build_filename(folder, "rig.safetensors", NULL),
                  *cutout = g_build_filename(folder, "cutout.png", NULL),
                  *thumb = g_build_filename(folder, "thumb.webp", NULL);
  return save_description(character, description, error) && rig_save(character->rig, rig, error) &&
         picture_save(character->cutout, cutout, error) && save_thumb(character->cutout, thumb, error) &&
         copy_picture(character->picture, folder, error);
}

gboolean character_save(const Character *character, const char *folder, GError **error) {
  g_autofree char *draft = files_draft(folder, error);
  if (!draft)
    return FALSE;
  if (fill_folder(character, draft, error) && files_publish(draft, folder, error))
    return TRUE;
  files_remove_tree(draft);
  return FALSE;
}

static gboolean load_description(Character *character, const char *folder, GError **error) {
  g_autofree char *path = g_build_filename(folder, "character.json", NULL);
  json_error_t problem;
  json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
  const char *name = json_string_value(json_object_get(json, "name"));
  gboolean good = name && json_integer_value(json_object_get(json, "format")) == FORMAT;
  if (good)
    character->name = g_strdup(name);
  json_decref(json);
  return good ||
         fault(
             error, FAULT_INPUT,
             "%s is not the folder of a Character of this version: its character.json is missing or damaged. "
             "Make it again with `troupe character`.",
             folder);
}

Character *character_load(const char *folder, GError **error) {
  g_autoptr(Character) character = g_new0(Character, 1);
  g_autofree char *rig = g_build_filename(folder, "rig.safetensors", NULL);
  if (!load_description(character, folder, error) || !(character->rig = rig_load(rig, error)))
    return NULL;
  return g_steal_pointer(&character);
}
