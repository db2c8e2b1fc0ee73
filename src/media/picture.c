/* How pictures come in: the file is read whole (it is small by the limit), its type is told from its first
 * bytes, and the one loader of libvips for that type is called on the buffer, so that neither the name nor
 * the content can choose another loader. libvips decodes on demand, so the header is known and checked before
 * any pixel exists. Colour and alpha then part ways: colour goes through the profile to sRGB bytes, alpha is
 * only brought to bytes, because a colour transform must never see it. The orientation comes last, on bytes
 * in memory, where reading in any order is cheap. */
#include "media/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vips/vips.h>

typedef VipsImage Picture;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Picture, g_object_unref)

typedef enum { PICTURE_OTHER, PICTURE_PNG, PICTURE_JPEG, PICTURE_WEBP } PictureType;

/* Quality of what is written with loss: no visible trace at normal viewing. */
#define JPEG_QUALITY 92
#define WEBP_QUALITY 85
/* zlib effort. Plates are photographs: more effort costs seconds and saves a few per cent. */
#define PNG_EFFORT 4
#define PNG_EFFORT_QUICK 1

/* What libvips has to say about a damaged file comes with the error; its log says it again. */
static void stay_silent(const char *domain, GLogLevelFlags level, const char *message, gpointer user) {
}

gboolean picture_init(const char *program, GError **error) {
  if (VIPS_INIT(program) != 0)
    return fault(error, FAULT_INTERNAL, "libvips cannot start: %s", vips_error_buffer());
  g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_INFO, stay_silent, NULL);
  vips_block_untrusted_set(TRUE);
  /* One picture at a time, never the same one twice: threads and a cache of operations have nothing to win.
   */
  vips_concurrency_set(2);
  vips_cache_set_max(0);
  return TRUE;
}

static PictureType type_of(const guint8 *bytes, gsize size) {
  static const guint8 png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  static const guint8 jpeg[3] = {0xff, 0xd8, 0xff};
  if (size >= sizeof png && memcmp(bytes, png, sizeof png) == 0)
    return PICTURE_PNG;
  if (size >= sizeof jpeg && memcmp(bytes, jpeg, sizeof jpeg) == 0)
    return PICTURE_JPEG;
  if (size >= 12 && memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "WEBP", 4) == 0)
    return PICTURE_WEBP;
  return PICTURE_OTHER;
}

const char *picture_type(const char *path) {
  static const char *const names[] = {
      [PICTURE_PNG] = "png", [PICTURE_JPEG] = "jpeg", [PICTURE_WEBP] = "webp"};
  int fd = g_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
  if (fd < 0)
    return NULL;
  guint8 start[16];
  ssize_t n = read(fd, start, sizeof start);
  close(fd);
  PictureType type = n > 0 ? type_of(start, (gsize)n) : PICTURE_OTHER;
  return type == PICTURE_OTHER ? NULL : names[type];
}

gboolean picture_is(const char *path) {
  return picture_type(path) != NULL;
}

/* The whole file, if it is a regular one within the limit. */
static guint8 *read_whole(const char *path, gsize *size, GError **error) {
  /* A pipe without a writer must not make us wait. */
  int fd = g_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
  if (fd < 0)
    return fault_null(error, FAULT_INPUT, "%s cannot be opened: %s.", path, g_strerror(errno));
  struct stat status;
  g_autofree guint8 *bytes = NULL;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
    fault(error, FAULT_INPUT, "%s is not a file.", path);
  else if (status.st_size == 0)
    fault(error, FAULT_INPUT, "%s is empty.", path);
  else if (status.st_size > PICTURE_MAX_BYTES)
    fault(error, FAULT_LIMIT, "%s has %.1f MB; a picture may have %d MB. Save it smaller.", path,
          (double)status.st_size / 1e6, PICTURE_MAX_BYTES / 1000000);
  else {
    bytes = g_malloc((gsize)status.st_size);
    gsize have = 0;
    for (ssize_t n; have < (gsize)status.st_size; have += (gsize)n)
      if ((n = read(fd, bytes + have, (gsize)status.st_size - have)) <= 0)
        break;
    if ((*size = have) == 0) {
      fault(error, FAULT_INPUT, "%s cannot be read: %s.", path, g_strerror(errno));
      g_clear_pointer(&bytes, g_free);
    }
  }
  close(fd);
  return g_steal_pointer(&bytes);
}

/* FALSE with what libvips says, in one sentence that names the file. */
static gboolean damaged(const char *path, GError **error) {
  g_autofree char *why = g_strdup(vips_error_buffer());
  vips_error_clear();
  g_strstrip(why);
  g_strdelimit(why, "\n", ';');
  return fault(error, FAULT_INPUT, "%s is damaged or cut off and cannot be read (%s).", path,
               *why ? why : "no reason given");
}

static Picture *open_lazily(const guint8 *bytes, gsize size, const char *path, GError **error) {
  Picture *picture = NULL;
  void *data = (void *)bytes;
  int bad;
  switch (type_of(bytes, size)) {
  case PICTURE_PNG:
    bad = vips_pngload_buffer(data, size, &picture, "fail_on", VIPS_FAIL_ON_ERROR, "access",
                              VIPS_ACCESS_SEQUENTIAL, NULL);
    break;
  case PICTURE_JPEG:
    bad = vips_jpegload_buffer(data, size, &picture, "fail_on", VIPS_FAIL_ON_ERROR, "access",
                               VIPS_ACCESS_SEQUENTIAL, NULL);
    break;
  case PICTURE_WEBP:
    bad = vips_webpload_buffer(data, size, &picture, "fail_on", VIPS_FAIL_ON_ERROR, "access",
                               VIPS_ACCESS_SEQUENTIAL, NULL);
    break;
  default:
    return fault_null(error, FAULT_INPUT, "%s is not a PNG, JPEG or WebP picture.", path);
  }
  if (bad) {
    damaged(path, error);
    return NULL;
  }
  return picture;
}

static gboolean check_header(const Picture *picture, const char *path, GError **error) {
  gint64 width = vips_image_get_width(picture), height = vips_image_get_height(picture);
  if (width * height > IMAGE_MAX_PIXELS)
    return fault(error, FAULT_LIMIT,
                 "%s has %" G_GINT64_FORMAT " x %" G_GINT64_FORMAT
                 " pixels; a picture may have %d megapixels. Scale it down.",
                 path, width, height, IMAGE_MAX_PIXELS / 1000000);
  return TRUE;
}

/* Colour bands of any kind to three bands of sRGB bytes. A profile that is absent, broken or does not fit the
 * bands (all are seen in real files) leaves the plain conversion. */
static Picture *to_srgb(Picture *colour) {
  Picture *out = NULL;
  gboolean profile = vips_image_get_typeof(colour, VIPS_META_ICC_NAME) != 0;
  if (profile && vips_icc_transform(colour, &out, "srgb", "embedded", TRUE, "intent", VIPS_INTENT_RELATIVE,
                                    "depth", 8, NULL) == 0)
    return out;
  vips_error_clear();
  return vips_colourspace(colour, &out, VIPS_INTERPRETATION_sRGB, NULL) == 0 ? out : NULL;
}

/* One band of any depth to bytes. Sixteen-bit alpha is divided by 257, so that both ends stay exact. */
static Picture *to_alpha(Picture *band) {
  g_autoptr(Picture) scaled = NULL;
  Picture *out = NULL;
  if (vips_image_get_format(band) == VIPS_FORMAT_UCHAR)
    return g_object_ref(band);
  if (vips_linear1(band, &scaled, 1.0 / 257.0, 0.5, NULL) || vips_cast_uchar(scaled, &out, NULL))
    return NULL;
  return out;
}

/* 3 or 4 bands of bytes, upright, still to be computed. */
static Picture *to_rgba(Picture *picture) {
  g_autoptr(Picture) colour = NULL, alpha = NULL, rgb = NULL, band = NULL, joined = NULL, upright = NULL;
  int bands = vips_image_get_bands(picture);
  if (!vips_image_hasalpha(picture)) {
    rgb = to_srgb(picture);
    joined = rgb ? g_object_ref(rgb) : NULL;
  } else {
    if (vips_extract_band(picture, &colour, 0, "n", bands - 1, NULL) ||
        vips_extract_band(picture, &alpha, bands - 1, NULL))
      return NULL;
    rgb = to_srgb(colour);
    band = to_alpha(alpha);
    if (rgb && band && vips_bandjoin2(rgb, band, &joined, NULL))
      return NULL;
  }
  if (!joined)
    return NULL;
  if (vips_image_get_orientation(joined) <= 1)
    return g_steal_pointer(&joined);
  g_autoptr(Picture) memory = vips_image_copy_memory(joined);
  if (!memory || vips_autorot(memory, &upright, NULL))
    return NULL;
  return g_steal_pointer(&upright);
}

static gboolean opaque(const Image *image) {
  gsize count = (gsize)image->width * (gsize)image->height;
  for (gsize i = 0; i < count; i++)
    if (image->pixels[4 * i + 3] != 255)
      return FALSE;
  return TRUE;
}

Image *picture_load(const char *path, GError **error) {
  gsize size = 0, decoded = 0;
  g_autofree guint8 *bytes = read_whole(path, &size, error);
  if (!bytes)
    return NULL;
  g_autoptr(Picture) picture = open_lazily(bytes, size, path, error);
  if (!picture || !check_header(picture, path, error))
    return NULL;

  g_autoptr(Picture) rgba = to_rgba(picture);
  guint8 *pixels = rgba ? vips_image_write_to_memory(rgba, &decoded) : NULL;
  if (!pixels) {
    damaged(path, error);
    return NULL;
  }
  int width = vips_image_get_width(rgba), height = vips_image_get_height(rgba);
  int channels = vips_image_get_bands(rgba);
  if ((channels != 3 && channels != 4) || decoded != (gsize)width * (gsize)height * (gsize)channels) {
    g_free(pixels);
    return fault_null(error, FAULT_INPUT, "%s has a kind of colour that is not supported. Save it as RGB.",
                      path);
  }
  g_autoptr(Image) image = g_new(Image, 1);
  *image = (Image){width, height, channels, pixels}; /* vips allocates with g_malloc */
  if (channels == 4 && opaque(image))
    return image_convert(image, 3);
  return g_steal_pointer(&image);
}

static int encode(Picture *picture, const char *path, gboolean quick, void **data, gsize *size) {
  if (g_str_has_suffix(path, ".png"))
    return vips_pngsave_buffer(picture, data, size, "compression", quick ? PNG_EFFORT_QUICK : PNG_EFFORT,
                               "filter", quick ? VIPS_FOREIGN_PNG_FILTER_SUB : VIPS_FOREIGN_PNG_FILTER_ALL,
                               "strip", TRUE, NULL);
  if (g_str_has_suffix(path, ".webp"))
    return vips_webpsave_buffer(picture, data, size, "Q", WEBP_QUALITY, "strip", TRUE, NULL);
  VipsArrayDouble *white = vips_array_double_newv(1, 255.0);
  int bad =
      vips_jpegsave_buffer(picture, data, size, "Q", JPEG_QUALITY, "strip", TRUE, "background", white, NULL);
  vips_area_unref(VIPS_AREA(white));
  return bad;
}

static gboolean save(const Image *image, const char *path, gboolean quick, GError **error) {
  if (!g_str_has_suffix(path, ".png") && !g_str_has_suffix(path, ".jpg") && !g_str_has_suffix(path, ".webp"))
    return fault(error, FAULT_OUTPUT, "%s cannot be written: its name must end in .png, .jpg or .webp.",
                 path);
  gsize length = (gsize)image->width * (gsize)image->height * (gsize)image->channels;
  g_autoptr(Picture) raw = vips_image_new_from_memory(image->pixels, length, image->width, image->height,
                                                      image->channels, VIPS_FORMAT_UCHAR);
  g_autoptr(Picture) picture = NULL;
  VipsInterpretation kind = image->channels < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
  g_autofree void *data = NULL;
  gsize size = 0;
  if (!raw || vips_copy(raw, &picture, "interpretation", kind, NULL) ||
      encode(picture, path, quick, &data, &size)) {
    fault(error, FAULT_OUTPUT, "%s cannot be encoded (%s).", path, vips_error_buffer());
    vips_error_clear();
    return FALSE;
  }
  /* A temporary file beside it, renamed when complete: nobody ever sees half a picture. */
  g_autoptr(GError) problem = NULL;
  if (!g_file_set_contents_full(path, data, (gssize)size, G_FILE_SET_CONTENTS_CONSISTENT, 0666, &problem))
    return fault(error, FAULT_OUTPUT, "%s cannot be written: %s.", path, problem->message);
  return TRUE;
}

gboolean picture_save(const Image *image, const char *path, GError **error) {
  return save(image, path, FALSE, error);
}

gboolean picture_save_quickly(const Image *image, const char *path, GError **error) {
  return save(image, path, TRUE, error);
}
