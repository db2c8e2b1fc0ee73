/* Looking at what somebody sent, before anything is done with it: what it is, whether it can be decoded, and
 * whether it keeps the limits. Each way to be wrong has its own code. */
#include "engine/tasks.h"
#include "media/picture.h"
#include "media/video.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_BYTES 4096

/* --- pictures --- */

static json_t *inspect_picture(Work *work, const char *path) {
  const char *type = picture_type(path);
  if (!type)
    return work_fail(work, "picture_format", "The picture is not a PNG, JPEG or WebP file.");
  GError *error = NULL;
  g_autoptr(Image) picture = picture_load(path, &error);
  Blame blame = {path, "The picture", "picture_broken", "picture_too_large", NULL};
  if (!picture)
    return work_fail_with(work, error, &blame);
  return json_pack("{s:s, s:i, s:i}", "type", type, "width", picture->width, "height", picture->height);
}

json_t *task_inspect_picture(Work *work) {
  const char *path = work_string(work, "picture");
  return path ? inspect_picture(work, path) : NULL;
}

/* What is wrong with one does not keep the others from being looked at. */
json_t *task_inspect_pictures(Work *work) {
  const json_t *paths = json_object_get(work->task, "pictures");
  json_t *list = json_array();
  for (size_t i = 0; i < json_array_size(paths); i++) {
    const char *path = json_string_value(json_array_get(paths, i));
    progress_report(work->progress, "Looking at the pictures", (gint64)i, (gint64)json_array_size(paths));
    json_t *facts = path ? inspect_picture(work, path) : work_fail(work, "internal", "A path is missing.");
    if (!facts)
      facts = json_pack("{s:s, s:s}", "code", work->failure.code, "message", work->failure.message);
    json_array_append_new(list, facts);
  }
  return json_pack("{s:o}", "pictures", list);
}

/* --- videos --- */

static gboolean contains(const guint8 *bytes, gsize size, const char *word) {
  return memmem(bytes, size, word, strlen(word)) != NULL;
}

/* By the file's first bytes: the boxes of ISO/IEC 14496-12 and QuickTime, the DocType of EBML (RFC 8794), the
 * RIFF form. NULL for others. */
static const char *video_type(const guint8 *bytes, gsize size) {
  static const char *const quicktime[] = {"moov", "mdat", "wide", "free", "skip", "pnot"};
  if (size < 16)
    return NULL;
  if (memcmp(bytes + 4, "ftyp", 4) == 0)
    return memcmp(bytes + 8, "qt  ", 4) == 0 ? "mov" : "mp4";
  for (gsize i = 0; i < G_N_ELEMENTS(quicktime); i++)
    if (memcmp(bytes + 4, quicktime[i], 4) == 0)
      return "mov";
  if (memcmp(bytes, "\x1a\x45\xdf\xa3", 4) == 0)
    return contains(bytes, MIN(size, 64), "webm") ? "webm" : "mkv";
  if (memcmp(bytes, "RIFF", 4) == 0 && memcmp(bytes + 8, "AVI ", 4) == 0)
    return "avi";
  return NULL;
}

static const char *read_type(const char *path, gint64 *bytes) {
  guint8 start[START_BYTES];
  struct stat status;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return NULL;
  ssize_t n = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? read(fd, start, sizeof start) : -1;
  close(fd);
  *bytes = n < 0 ? 0 : (gint64)status.st_size;
  return n > 0 ? video_type(start, (gsize)n) : NULL;
}

/* FALSE with the failure for the first limit that the video does not keep. */
static gboolean check_limits(Work *work, const VideoInfo *info) {
  if (info->seconds > VIDEO_MAX_SECONDS + VIDEO_SLACK_SECONDS)
    work_fail(work, "video_too_long", "The video lasts %.0f s; a video may last %.0f minutes. Cut it.",
              info->seconds, VIDEO_MAX_SECONDS / 60);
  else if (info->seconds < VIDEO_MIN_SECONDS - 0.001)
    work_fail(work, "video_too_small", "The video lasts %.2f s; a video must last %.1f s or more.",
              info->seconds, VIDEO_MIN_SECONDS);
  else if (info->width > VIDEO_MAX_SIDE || info->height > VIDEO_MAX_SIDE)
    work_fail(work, "video_size", "The video is %d x %d pixels; the largest video is %d x %d. Scale it down.",
              info->width, info->height, VIDEO_MAX_SIDE, VIDEO_MAX_SIDE);
  else if (info->width < VIDEO_MIN_SIDE || info->height < VIDEO_MIN_SIDE)
    work_fail(work, "video_too_small", "The video is %d x %d pixels; the smallest video is %d x %d.",
              info->width, info->height, VIDEO_MIN_SIDE, VIDEO_MIN_SIDE);
  else
    return TRUE;
  return FALSE;
}

json_t *task_inspect_video(Work *work) {
  const char *path = work_string(work, "video");
  gint64 bytes = 0;
  if (!path)
    return NULL;
  const char *type = read_type(path, &bytes);
  if (!type)
    return work_fail(work, "video_format", "The video is not an MP4, MOV, WebM, AVI or MKV file.");
  if (bytes > VIDEO_MAX_BYTES)
    return work_fail(work, "video_too_large", "The video has %.0f MB; it may have %d MB. Compress or cut it.",
                     (double)bytes / 1e6, VIDEO_MAX_BYTES / 1000000);
  GError *error = NULL;
  VideoInfo info;
  Blame blame = {path, "The video", "video_broken", "video_size", NULL};
  if (!video_in_probe(path, &info, &error))
    return work_fail_with(work, error, &blame);
  if (!check_limits(work, &info))
    return NULL;
  return json_pack("{s:s, s:f, s:f, s:I, s:i, s:i, s:b}", "type", type, "seconds", info.seconds, "fps",
                   av_q2d(info.frame_rate), "frames", (json_int_t)info.frames, "width", info.width, "height",
                   info.height, "sound", info.sound);
}
