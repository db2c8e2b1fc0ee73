/* The mask file gives pictures in order of frames; those of one frame are held, one per slot, with the first
 * picture of a later frame that had to be read to know that the frame was complete. */
#include "media/grey_video.h"
#include "stage/scene_file.h"

struct SceneMasks {
  const Scene *scene;
  GreyVideoIn *in;
  int frame; /* whose masks are held; -1 before the first */
  Image *slot[TRACK_MAX_PEOPLE];
  Image *ahead; /* the next picture, or NULL at the end */
  int ahead_slot;
  gint64 ahead_frame;
};

static gboolean read_ahead(SceneMasks *masks, GError **error) {
  GError *problem = NULL;
  masks->ahead = grey_video_in_next(masks->in, &masks->ahead_slot, &masks->ahead_frame, &problem);
  if (problem) {
    g_propagate_error(error, problem);
    return FALSE;
  }
  const Tracks *tracks = masks->scene->tracks;
  if (masks->ahead &&
      (masks->ahead->width != tracks->mask_width || masks->ahead->height != tracks->mask_height ||
       masks->ahead_slot < 0 || masks->ahead_slot >= TRACK_MAX_PEOPLE))
    return fault(error, FAULT_INPUT, "The Scene %s is damaged: %s does not belong to it. Prepare it again.",
                 masks->scene->folder, SCENE_MASKS);
  return TRUE;
}

SceneMasks *scene_masks_open(const Scene *scene, int first, GError **error) {
  g_autofree char *path = g_build_filename(scene->folder, SCENE_MASKS, NULL);
  g_autoptr(SceneMasks) masks = g_new0(SceneMasks, 1);
  masks->scene = scene;
  masks->frame = -1;
  masks->in = grey_video_in_open(path, first, error);
  if (!masks->in || !read_ahead(masks, error))
    return NULL;
  return g_steal_pointer(&masks);
}

void scene_masks_free(SceneMasks *masks) {
  if (!masks)
    return;
  for (int i = 0; i < TRACK_MAX_PEOPLE; i++)
    image_free(masks->slot[i]);
  image_free(masks->ahead);
  grey_video_in_free(masks->in);
  g_free(masks);
}

static gboolean go_to(SceneMasks *masks, int frame, GError **error) {
  g_return_val_if_fail(frame >= masks->frame && frame < masks->scene->tracks->frames, FALSE);
  if (frame == masks->frame)
    return TRUE;
  for (int i = 0; i < TRACK_MAX_PEOPLE; i++)
    g_clear_pointer(&masks->slot[i], image_free);
  masks->frame = frame;
  while (masks->ahead && masks->ahead_frame <= frame) {
    Image *picture = g_steal_pointer(&masks->ahead);
    if (masks->ahead_frame == frame) {
      image_free(masks->slot[masks->ahead_slot]);
      masks->slot[masks->ahead_slot] = picture;
    } else {
      image_free(picture);
    }
    if (!read_ahead(masks, error))
      return FALSE;
  }
  return TRUE;
}

/* The track's mask in the frame that is held, or NULL. */
static const Image *mask_of(const SceneMasks *masks, guint track) {
  const Track *person = masks->scene->tracks->tracks->pdata[track];
  int index = masks->frame - person->first;
  if (index < 0 || index >= person->count || person->slot[index] < 0)
    return NULL;
  return masks->slot[person->slot[index]];
}

gboolean scene_masks_at(SceneMasks *masks, int frame, guint track, Image **mask, Image **others,
                        GError **error) {
  g_return_val_if_fail(track < masks->scene->tracks->tracks->len, FALSE);
  if (mask)
    *mask = NULL;
  if (others)
    *others = NULL;
  if (!go_to(masks, frame, error))
    return FALSE;
  if (mask)
    image_join(mask, mask_of(masks, track));
  for (guint i = 0; others && i < masks->scene->tracks->tracks->len; i++)
    if (i != track)
      image_join(others, mask_of(masks, i));
  return TRUE;
}

gboolean scene_masks_union(SceneMasks *masks, int frame, const gboolean *which, Image **people,
                           GError **error) {
  *people = NULL;
  if (!go_to(masks, frame, error))
    return FALSE;
  for (guint i = 0; i < masks->scene->tracks->tracks->len; i++)
    if (which[i])
      image_join(people, mask_of(masks, i));
  return TRUE;
}
