/* One picture after the other, the largest person of each; then the pictures against each other. */
#include "identity/inspect/inspect.h"

#include "media/picture.h"

static void report_clear(gpointer data) {
  PictureReport *report = data;
  g_free(report->path);
  g_clear_pointer(&report->remarks, g_ptr_array_unref);
}

static Inspection *inspection_new(void) {
  Inspection *inspection = g_new0(Inspection, 1);
  inspection->pictures = g_array_new(FALSE, TRUE, sizeof(PictureReport));
  g_array_set_clear_func(inspection->pictures, report_clear);
  inspection->remarks = g_ptr_array_new_with_free_func(g_free);
  return inspection;
}

void inspection_free(Inspection *inspection) {
  if (!inspection)
    return;
  g_array_unref(inspection->pictures);
  g_ptr_array_unref(inspection->remarks);
  g_free(inspection);
}

static Image *at_training_size(const Image *picture) {
  int longer = MAX(picture->width, picture->height);
  g_autoptr(Image) rgb = image_convert(picture, 3);
  if (longer <= INSPECT_SIDE)
    return g_steal_pointer(&rgb);
  double scale = (double)INSPECT_SIDE / longer;
  return image_resize(rgb, MAX(1, (int)(picture->width * scale + .5)),
                      MAX(1, (int)(picture->height * scale + .5)));
}

/* The person whose mask covers most: training is about that one. */
static guint largest(const GPtrArray *masks) {
  guint best = 0;
  guint64 most = 0;
  for (guint i = 0; i < masks->len; i++) {
    const Image *mask = masks->pdata[i];
    guint64 covered = 0;
    for (gsize p = 0; p < (gsize)mask->width * (gsize)mask->height; p++)
      covered += mask->pixels[p] >= 128;
    if (covered > most) {
      most = covered;
      best = i;
    }
  }
  return best;
}

static gboolean look(PoseEstimator *estimator, FaceReader *reader, const Image *rgb, PictureReport *report,
                     GError **error) {
  g_autoptr(GArray) poses = NULL;
  g_autoptr(GPtrArray) masks = NULL;
  report->hash = picture_hash(rgb);
  if (!pose_find(estimator, rgb, &poses, &masks, error))
    return FALSE;
  report->people = (int)poses->len;
  if (!poses->len) {
    report->light = inspect_light(rgb, NULL);
    return TRUE;
  }
  guint who = largest(masks);
  const Pose *pose = &g_array_index(poses, Pose, who);
  Face face;
  if (!face_read(reader, rgb, pose, NULL, &face, error))
    return FALSE;
  report->light = inspect_light(rgb, masks->pdata[who]);
  inspect_body(rgb, pose, masks->pdata[who], report);
  inspect_face(&face, report);
  return TRUE;
}

Inspection *inspect_pictures(const char *const *paths, gsize count, PoseNetwork network, const char *models,
                             Progress *progress, GError **error) {
  g_autoptr(Inspection) inspection = inspection_new();
  g_autoptr(PoseEstimator) estimator = pose_estimator_new(network, models, error);
  g_autoptr(FaceReader) reader = estimator ? face_reader_new(FALSE, models, error) : NULL;
  if (!reader)
    return NULL;
  for (gsize i = 0; i < count; i++) {
    if (!progress_continue(progress, error))
      return NULL;
    g_array_set_size(inspection->pictures, (guint)i + 1);
    PictureReport *report = &g_array_index(inspection->pictures, PictureReport, i);
    *report = (PictureReport){
        .path = g_strdup(paths[i]), .same_as = -1, .remarks = g_ptr_array_new_with_free_func(g_free)};
    g_autoptr(GError) problem = NULL;
    g_autoptr(Image) picture = picture_load(paths[i], &problem);
    if (!picture) {
      g_ptr_array_add(report->remarks, g_strdup(problem->message));
      report->verdict = VERDICT_REPLACE;
    } else {
      report->readable = TRUE;
      report->width = picture->width;
      report->height = picture->height;
      g_autoptr(Image) rgb = at_training_size(picture);
      if (!look(estimator, reader, rgb, report, error))
        return NULL;
    }
    progress_report(progress, "Looking at pictures", (gint64)i + 1, (gint64)count);
  }
  inspect_set(inspection);
  return g_steal_pointer(&inspection);
}
