/* Joining video: what was written in parts and joined has the times, length, rates and sound of what was
 * written at once, and the pictures of the parts; parts that do not belong together are refused and leave
 * nothing. ffprobe and ffmpeg are the witnesses. */
#include "material.h"
#include "media/video_join.h"

#include <glib/gstdio.h>
#include <string.h>

#define PICTURE "-f lavfi -i testsrc2=size=160x96:rate=%s:duration=%g "
#define TONE "-f lavfi -i sine=frequency=440:sample_rate=%d:duration=%g "
#define FAST "-c:v libx264 -preset ultrafast "
#define MAX_PARTS 4

/* ---- making parts ---- */

static const char *const names[MAX_PARTS] = {"part0.mp4", "part1.mp4", "part2.mp4", "part3.mp4"};

/* Writes frames [from, to) as the part of a name. */
static void write_part(const GPtrArray *frames, const VideoInfo *info, guint from, guint to, const char *name,
                       VideoQuality quality) {
  g_autofree char *path = material_path(name);
  g_autoptr(GError) error = NULL;
  g_autoptr(VideoOut) out = video_out_open(path, info, NULL, quality, &error);
  for (guint i = from; i < to; i++)
    assert_true(video_out_write(out, frames->pdata[i], &error));
  if (!video_out_finish(out, &error))
    fail_msg("%s", error->message);
}

/* The frames of a source as parts that begin at the frames of starts; returns what the whole is like. */
static VideoInfo write_parts(const char *source, const guint *starts, int count) {
  VideoInfo info;
  g_autoptr(GPtrArray) frames = material_frames(source, &info);
  for (int i = 0; i < count; i++)
    write_part(frames, &info, starts[i], i + 1 < count ? starts[i + 1] : frames->len, names[i],
               (VideoQuality){0});
  return info;
}

static gboolean join(const char *const *parts, int count, const VideoInfo *info, const char *sound,
                     const char *to, GError **error) {
  g_autofree char *out = material_path(to), *source = sound ? material_path(sound) : NULL;
  char *paths[MAX_PARTS] = {0};
  for (int i = 0; i < count; i++)
    paths[i] = material_path(parts[i]);
  g_autoptr(VideoJoin) join = video_join_new(info, source, error);
  gboolean done = join && video_join_run(join, (const char *const *)paths, count, out, error);
  for (int i = 0; i < count; i++)
    g_free(paths[i]);
  assert_int_equal(done, g_file_test(out, G_FILE_TEST_EXISTS));
  return done;
}

static void join_well(int count, const VideoInfo *info, const char *sound, const char *to) {
  g_autoptr(GError) error = NULL;
  if (!join(names, count, info, sound, to, &error))
    fail_msg("%s", error->message);
}

/* ---- witnesses ---- */

/* What stands in the file but the pictures themselves. */
static char *account(const char *name) {
  return material_output("ffprobe -v error -show_entries "
                         "packet=stream_index,dts:stream=time_base,codec_name,profile,level,pix_fmt,"
                         "start_pts,duration_ts,nb_frames,avg_frame_rate,r_frame_rate,sample_aspect_ratio,"
                         "color_range,color_space,has_b_frames:format=duration,start_time %s",
                         name);
}

/* When the frames are shown, in that order. */
static char *times_account(const char *name) {
  g_autofree char *text =
      material_output("ffprobe -v error -select_streams v:0 -show_entries frame=pts %s", name);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  GString *times = g_string_new(NULL);
  for (char **line = lines; *line; line++)
    if (g_str_has_prefix(*line, "pts=")) /* the parts' first frames carry a note of the encoder too */
      g_string_append_printf(times, "%s\n", *line);
  return g_string_free(times, FALSE);
}

static char *sound_account(const char *name) {
  return material_output("ffprobe -v error -select_streams a:0 -show_data_hash md5 -show_entries "
                         "packet=pts,dts,duration,data_hash:stream=extradata_hash %s",
                         name);
}

/* The hashes of all decoded frames, one a line. */
static void add_hashes(const char *name, GString *to) {
  g_autofree char *text = material_output(
      "ffmpeg -v error -nostdin -i %s -an -fps_mode passthrough -f framehash -hash md5 -", name);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  for (char **line = lines; *line; line++)
    if (**line && **line != '#')
      g_string_append_printf(to, "%s\n", strrchr(*line, ' ') + 1);
}

/* Names the first line that differs, since the texts are long. */
static void expect_same_text(const char *a, const char *b) {
  g_auto(GStrv) before = g_strsplit(a, "\n", -1), after = g_strsplit(b, "\n", -1);
  for (guint i = 0; before[i] || after[i]; i++)
    if (g_strcmp0(before[i], after[i]) != 0)
      fail_msg("line %u: %s instead of %s", i, after[i] ? after[i] : "nothing",
               before[i] ? before[i] : "nothing");
}

static void expect_pictures_of_parts(int count, const char *joined) {
  g_autoptr(GString) apart = g_string_new(NULL), together = g_string_new(NULL);
  for (int i = 0; i < count; i++)
    add_hashes(names[i], apart);
  add_hashes(joined, together);
  assert_true(together->len > 0);
  expect_same_text(apart->str, together->str);
}

static void expect_same_account(const char *whole, const char *joined) {
  g_autofree char *a = account(whole), *b = account(joined);
  expect_same_text(a, b);
  g_autofree char *c = times_account(whole), *d = times_account(joined);
  expect_same_text(c, d);
  g_autofree char *e = sound_account(whole), *f = sound_account(joined);
  expect_same_text(e, f);
}

/* Writes the source at once and in parts, joins these, and compares. */
static void expect_joined_as_whole(const char *source, const guint *starts, int count) {
  VideoInfo info = write_parts(source, starts, count);
  material_copy(source, "whole.mp4", (VideoQuality){0});
  join_well(count, &info, source, "joined.mp4");
  expect_same_account("whole.mp4", "joined.mp4");
  expect_pictures_of_parts(count, "joined.mp4");
}

/* ---- equality ---- */

static void joined_parts_are_like_the_whole(void **state) {
  static const char *const rates[] = {"25", "30000/1001"};
  static const guint starts[] = {0, 20, 51};
  for (guint i = 0; i < G_N_ELEMENTS(rates); i++) {
    material_make(PICTURE TONE FAST "-c:a aac in.mp4", rates[i], 3.0, 44100, 3.0);
    expect_joined_as_whole("in.mp4", starts, 3);
  }
}

static void parts_may_be_a_single_frame(void **state) {
  static const guint starts[] = {0, 1, 2, 14};
  material_make(PICTURE FAST "short.mp4", "25", 0.6);
  expect_joined_as_whole("short.mp4", starts, 4);
}

static void one_part_is_the_whole(void **state) {
  static const guint starts[] = {0};
  material_make(PICTURE TONE FAST "-c:a aac alone.mp4", "25", 1.0, 48000, 1.0);
  expect_joined_as_whole("alone.mp4", starts, 1);
}

static void variable_frame_times_survive(void **state) {
  static const guint starts[] = {0, 12, 25};
  material_make("-f lavfi -i testsrc2=size=160x96:rate=25:duration=1.5 " TONE
                "-vf 'setpts=N*40/1000/TB+mod(N\\,5)*7/1000/TB' -fps_mode vfr -enc_time_base 1/1000 " FAST
                "-c:a aac vfr.mp4",
                48000, 1.5);
  expect_joined_as_whole("vfr.mp4", starts, 3);
}

static void sound_and_picture_may_begin_apart(void **state) {
  static const guint starts[] = {0, 13, 30};
  material_make(PICTURE TONE FAST "-c:a aac base.mp4", "25", 1.6, 48000, 1.6);
  material_make("-itsoffset 0.5 -i base.mp4 -i base.mp4 -map 0:v -map 1:a -c copy late.mp4");
  expect_joined_as_whole("late.mp4", starts, 3);
}

static void sound_of_another_codec_is_the_same_aac(void **state) {
  static const guint starts[] = {0, 13};
  material_make(PICTURE TONE FAST "-c:a pcm_s16le pcm.mov", "25", 1.2, 48000, 1.2);
  expect_joined_as_whole("pcm.mov", starts, 2);
}

/* As masks are. */
static void parts_without_sound_are_joined(void **state) {
  static const guint starts[] = {0, 7, 14};
  material_make(PICTURE TONE FAST "-c:a aac sounding.mp4", "25", 0.8, 48000, 0.8);
  VideoInfo info = write_parts("sounding.mp4", starts, 3);
  join_well(3, &info, NULL, "mute.mp4");
  g_autofree char *sound =
      material_output("ffprobe -v error -select_streams a -show_entries stream=index mute.mp4");
  assert_null(strstr(sound, "index"));
  expect_pictures_of_parts(3, "mute.mp4");
}

static void the_index_stands_in_front_and_bytes_repeat(void **state) {
  static const guint starts[] = {0, 9};
  material_make(PICTURE TONE FAST "-c:a aac same.mp4", "25", 0.8, 48000, 0.8);
  VideoInfo info = write_parts("same.mp4", starts, 2);
  join_well(2, &info, "same.mp4", "one.mp4");
  join_well(2, &info, "same.mp4", "two.mp4");
  g_autoptr(GByteArray) one = material_read("one.mp4"), two = material_read("two.mp4");
  assert_int_equal(one->len, two->len);
  assert_memory_equal(one->data, two->data, one->len);
  const guint8 *moov = memmem(one->data, one->len, "moov", 4), *mdat = memmem(one->data, one->len, "mdat", 4);
  assert_true(moov && moov < mdat);
}

/* ---- refusing ---- */

static void expect_refused(const char *const *parts, int count, const VideoInfo *info, Fault kind,
                           const char *name) {
  int before = material_count();
  g_autoptr(GError) error = NULL;
  assert_false(join(parts, count, info, NULL, "refused.mp4", &error));
  material_expect_fault(&error, kind, name);
  assert_int_equal(material_count(), before);
}

static void parts_that_are_cut_off_are_refused(void **state) {
  static const guint starts[] = {0, 9, 15};
  material_make(PICTURE FAST "cut.mp4", "25", 0.8);
  VideoInfo info = write_parts("cut.mp4", starts, 3);
  g_autoptr(GByteArray) bytes = material_read(names[1]);
  for (guint size = 0; size < bytes->len; size += 1 + bytes->len / 12) {
    material_write(names[1], bytes->data, size);
    expect_refused(names, 3, &info, FAULT_INPUT, names[1]);
  }
  material_write(names[1], bytes->data, bytes->len - 1);
  expect_refused(names, 3, &info, FAULT_INPUT, names[1]);
}

static void parts_of_other_settings_are_refused(void **state) {
  VideoInfo info;
  material_make(PICTURE FAST "settings.mp4", "25", 0.8);
  g_autoptr(GPtrArray) frames = material_frames("settings.mp4", &info);
  write_part(frames, &info, 0, 10, names[0], (VideoQuality){0});
  write_part(frames, &info, 10, 20, names[1], (VideoQuality){.preset = "ultrafast"});
  expect_refused(names, 2, &info, FAULT_INTERNAL, names[1]);
  info.width = 128;
  expect_refused(names, 1, &info, FAULT_INPUT, names[0]);
}

static void parts_out_of_order_or_missing_are_refused(void **state) {
  static const guint starts[] = {0, 9};
  static const char *const turned[] = {"part1.mp4", "part0.mp4"}, *const twice[] = {"part0.mp4", "part0.mp4"},
                           *const absent[] = {"part0.mp4", "absent.mp4"},
                           *const foreign[] = {"part0.mp4", "foreign.mkv"};
  material_make(PICTURE FAST "order.mp4", "25", 0.8);
  VideoInfo info = write_parts("order.mp4", starts, 2);
  material_make("-i order.mp4 -c copy foreign.mkv");
  expect_refused(turned, 2, &info, FAULT_INPUT, "part0.mp4");
  expect_refused(twice, 2, &info, FAULT_INPUT, "part0.mp4");
  expect_refused(absent, 2, &info, FAULT_INPUT, "absent.mp4");
  expect_refused(foreign, 2, &info, FAULT_INPUT, "foreign.mkv");
  expect_refused(turned, 0, &info, FAULT_INTERNAL, "refused.mp4");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(joined_parts_are_like_the_whole),
      cmocka_unit_test(parts_may_be_a_single_frame),
      cmocka_unit_test(one_part_is_the_whole),
      cmocka_unit_test(variable_frame_times_survive),
      cmocka_unit_test(sound_and_picture_may_begin_apart),
      cmocka_unit_test(sound_of_another_codec_is_the_same_aac),
      cmocka_unit_test(parts_without_sound_are_joined),
      cmocka_unit_test(the_index_stands_in_front_and_bytes_repeat),
      cmocka_unit_test(parts_that_are_cut_off_are_refused),
      cmocka_unit_test(parts_of_other_settings_are_refused),
      cmocka_unit_test(parts_out_of_order_or_missing_are_refused),
  };
  return cmocka_run_group_tests(tests, material_setup, material_teardown);
}
