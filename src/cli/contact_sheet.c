#include "cli/contact_sheet.h"

#include "media/picture.h"
#include "media/video.h"

#include <string.h>

#define MOMENTS 12
#define GAP 8 /* between the bands, pixels */

typedef struct {
  int columns, bands; /* columns * bands = MOMENTS; a band is a row of drivers above a row of results */
  int width, height;  /* of a cell */
} Layout;

/* Upright pictures stand six abreast, wide ones four. */
static Layout layout_for(const VideoInfo *info) {
  gboolean upright = info->height >= info->width;
  Layout layout = {.columns = upright ? 6 : 4, .width = upright ? 320 : 480};
  layout.bands = MOMENTS / layout.columns;
  layout.height = MAX(1, layout.width * info->height / info->width);
  return layout;
}

static void paste(Image *sheet, const Image *cell, int x, int y) {
  for (int row = 0; row < cell->height; row++)
    memcpy(image_at(sheet, x, y + row), image_at(cell, 0, row), (gsize)cell->width * 3);
}

/* Puts the video's moments into every band, `down` cells below the band's top. */
static gboolean paste_moments(VideoIn *in, int frames, Layout layout, int down, Image *sheet,
                              GError **error) {
  const VideoInfo *info = video_in_info(in);
  g_autoptr(ColourConverter) converter = colour_converter_new(info);
  g_autoptr(Image) rgb = image_new(info->width, info->height, 3);
  for (int n = 0, moment = 0; n < frames && moment < MOMENTS; n++) {
    AVFrame *frame = video_in_next(in, error);
    if (!frame)
      return error && *error ? FALSE : TRUE;
    while (moment < MOMENTS && n == (2 * moment + 1) * frames / (2 * MOMENTS)) {
      colour_to_rgb(converter, frame, rgb);
      g_autoptr(Image) cell = image_resize(rgb, layout.width, layout.height);
      int band = moment / layout.columns;
      paste(sheet, cell, moment % layout.columns * layout.width,
            band * (2 * layout.height + GAP) + down * layout.height);
      moment++;
    }
    av_frame_free(&frame);
  }
  return TRUE;
}

gboolean contact_sheet_write(const char *driver, const char *result, int frames, const char *path,
                             GError **error) {
  const char *const videos[2] = {driver, result};
  g_autoptr(Image) sheet = NULL;
  Layout layout = {0};
  for (int i = 0; i < 2; i++) {
    g_autoptr(VideoIn) in = video_in_open(videos[i], error);
    if (!in)
      return FALSE;
    if (!sheet) {
      layout = layout_for(video_in_info(in));
      sheet = image_new(layout.columns * layout.width, layout.bands * (2 * layout.height + GAP) - GAP, 3);
    }
    GError *problem = NULL;
    if (!paste_moments(in, frames, layout, i, sheet, &problem)) {
      g_propagate_error(error, problem);
      return FALSE;
    }
  }
  return picture_save(sheet, path, error);
}
