#include "material.h"
#include "base/files.h"
#include "media/picture.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

static char *folder;

int material_setup(void **state) {
  video_init();
  folder = g_dir_make_tmp("media-XXXXXX", NULL);
  return folder && picture_init("test", NULL) ? 0 : -1;
}

int material_teardown(void **state) {
  files_remove_tree(folder);
  g_clear_pointer(&folder, g_free);
  return 0;
}

char *material_path(const char *name) {
  return g_build_filename(folder, name, NULL);
}

static char *run(const char *command) {
  g_auto(GStrv) arguments = NULL;
  g_autofree char *output = NULL, *errors = NULL;
  int status = -1;
  assert_true(g_shell_parse_argv(command, NULL, &arguments, NULL));
  assert_true(g_spawn_sync(folder, arguments, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &output, &errors,
                           &status, NULL));
  if (!g_spawn_check_wait_status(status, NULL))
    fail_msg("%s\n%s", command, errors);
  return g_steal_pointer(&output);
}

void material_make(const char *format, ...) {
  va_list args;
  va_start(args, format);
  g_autofree char *arguments = g_strdup_vprintf(format, args);
  va_end(args);
  g_autofree char *command = g_strconcat("ffmpeg -v error -y -nostdin ", arguments, NULL);
  g_free(run(command));
}

char *material_output(const char *format, ...) {
  va_list args;
  va_start(args, format);
  g_autofree char *command = g_strdup_vprintf(format, args);
  va_end(args);
  return run(command);
}

GByteArray *material_read(const char *name) {
  g_autofree char *path = material_path(name);
  char *bytes = NULL;
  gsize size = 0;
  assert_true(g_file_get_contents(path, &bytes, &size, NULL));
  return g_byte_array_new_take((guint8 *)bytes, size);
}

void material_write(const char *name, gconstpointer bytes, gsize size) {
  g_autofree char *path = material_path(name);
  assert_true(g_file_set_contents(path, bytes, (gssize)size, NULL));
}

int material_count(void) {
  g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
  int count = 0;
  while (g_dir_read_name(dir))
    count++;
  return count;
}

void material_expect_fault(GError **error, Fault kind, const char *name) {
  assert_non_null(*error);
  if ((*error)->domain != FAULT || (*error)->code != (int)kind)
    fail_msg("%s: fault %d instead of %d: %s", name, (*error)->code, kind, (*error)->message);
  const char *message = (*error)->message;
  assert_non_null(strstr(message, name));
  assert_null(strchr(message, '\n'));
  assert_int_equal(message[strlen(message) - 1], '.');
  g_clear_error(error);
}

static void free_frame(gpointer frame) {
  AVFrame *f = frame;
  av_frame_free(&f);
}

GPtrArray *material_frames(const char *name, VideoInfo *info) {
  g_autofree char *path = material_path(name);
  g_autoptr(GError) error = NULL;
  g_autoptr(VideoIn) in = video_in_open(path, &error);
  if (!in)
    fail_msg("%s", error->message);
  if (info)
    *info = *video_in_info(in);
  GPtrArray *frames = g_ptr_array_new_with_free_func(free_frame);
  for (AVFrame *frame; (frame = video_in_next(in, &error));) {
    assert_int_equal(frame->format, AV_PIX_FMT_YUV420P);
    assert_int_equal(frame->width, video_in_info(in)->width);
    assert_int_equal(frame->height, video_in_info(in)->height);
    if (frames->len > 0)
      assert_true(frame->pts > ((AVFrame *)frames->pdata[frames->len - 1])->pts);
    g_ptr_array_add(frames, frame);
  }
  if (error)
    fail_msg("%s", error->message);
  return frames;
}

void material_copy(const char *from, const char *to, VideoQuality quality) {
  g_autofree char *source = material_path(from), *target = material_path(to);
  g_autoptr(GError) error = NULL;
  g_autoptr(VideoIn) in = video_in_open(source, &error);
  if (!in)
    fail_msg("%s", error->message);
  g_autoptr(VideoOut) out = video_out_open(target, video_in_info(in), source, quality, &error);
  if (!out)
    fail_msg("%s", error->message);
  for (AVFrame *frame; (frame = video_in_next(in, &error)); av_frame_free(&frame))
    assert_true(video_out_write(out, frame, &error));
  assert_null(error);
  if (!video_out_finish(out, &error))
    fail_msg("%s", error->message);
}
