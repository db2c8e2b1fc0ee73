/* Writing video: the result has the input's times, length, rates and sound, the same bytes every time, and
 * nothing is left behind by what fails. ffprobe is the witness. */
#include "material.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define PICTURE "-f lavfi -i testsrc2=size=160x96:rate=%s:duration=%g "
#define TONE "-f lavfi -i sine=frequency=440:sample_rate=%d:duration=%g "
#define FAST "-c:v libx264 -preset ultrafast "

static const VideoQuality quick = {"ultrafast", 30};

/* ---- witnesses ---- */

/* One line for each packet of sound: its time, where not negative, and the hash of its bytes. */
static GPtrArray *sound_packets(const char *name, GArray *times) {
  g_autofree char *text = material_output("ffprobe -v error -select_streams a:0 -show_data_hash md5 "
                                          "-show_entries packet=pts_time,data_hash -of default=nk=0:nw=1 %s",
                                          name);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  GPtrArray *hashes = g_ptr_array_new_with_free_func(g_free);
  for (char **line = lines; *line; line++) {
    double time = g_ascii_strtod(*line + strlen("pts_time="), NULL);
    if (g_str_has_prefix(*line, "pts_time="))
      g_array_append_val(times, time);
    else if (g_str_has_prefix(*line, "data_hash="))
      g_ptr_array_add(hashes, g_strdup(*line));
  }
  return hashes;
}

static GArray *frame_times(const char *name) {
  g_autofree char *text =
      material_output("ffprobe -v error -select_streams V:0 "
                      "-show_entries frame=best_effort_timestamp_time -of default=nk=1:nw=1 %s",
                      name);
  g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
  GArray *times = g_array_new(FALSE, FALSE, sizeof(double));
  for (char **line = lines; *line; line++) {
    double time = g_ascii_strtod(*line, NULL);
    if (**line)
      g_array_append_val(times, time);
  }
  return times;
}

/* An entry of the first stream. */
static char *words(const char *name, const char *what) {
  return material_output(
      "ffprobe -v error -select_streams v:0 -show_entries stream=%s -of default=nk=1:nw=1 %s", what, name);
}

static double entry(const char *name, const char *stream, const char *what) {
  g_autofree char *text =
      material_output("ffprobe -v error -select_streams %s -show_entries stream=%s -of default=nk=1:nw=1 %s",
                      stream, what, name);
  double over = g_ascii_strtod(text, NULL);
  const char *slash = strchr(text, '/');
  return slash ? over / g_ascii_strtod(slash + 1, NULL) : over;
}

/* Times are counted from the first frame of the input's picture, as the clock of a broadcast is moved. */
static void expect_equal(const char *in, const char *out, gboolean copied, double tolerance) {
  g_autoptr(GArray) before = frame_times(in), after = frame_times(out);
  assert_int_equal(before->len, after->len);
  double origin = g_array_index(before, double, 0), begin = g_array_index(after, double, 0);
  for (guint i = 0; i < before->len; i++)
    assert_float_equal(g_array_index(before, double, i) - origin, g_array_index(after, double, i) - begin,
                       tolerance);
  assert_float_equal(entry(in, "V:0", "r_frame_rate"), entry(out, "V:0", "r_frame_rate"), 1e-4);
  if (!copied)
    return;
  g_autoptr(GArray) t1 = g_array_new(FALSE, FALSE, sizeof(double)),
                    t2 = g_array_new(FALSE, FALSE, sizeof(double));
  g_autoptr(GPtrArray) a = sound_packets(in, t1), b = sound_packets(out, t2);
  assert_int_equal(a->len, b->len);
  for (guint i = 0; i < a->len; i++)
    assert_string_equal(a->pdata[i], b->pdata[i]);
  assert_int_equal(t1->len, t2->len);
  for (guint i = 0; i < t1->len; i++)
    assert_float_equal(g_array_index(t1, double, i) - origin, g_array_index(t2, double, i) - begin,
                       tolerance);
}

/* ---- equality ---- */

static void an_mp4_is_equal_in_everything_but_the_picture(void **state) {
  static const char *const rates[] = {"25", "30000/1001", "60"};
  for (guint i = 0; i < G_N_ELEMENTS(rates); i++) {
    material_make(PICTURE TONE FAST "-bf 2 -c:a aac in.mp4", rates[i], 1.7, 44100, 1.7);
    material_copy("in.mp4", "out.mp4", (VideoQuality){0});
    expect_equal("in.mp4", "out.mp4", TRUE, 1e-6);
    static const char *const entries[] = {"duration", "nb_frames", "start_time", "avg_frame_rate"};
    for (guint k = 0; k < G_N_ELEMENTS(entries); k++) {
      assert_float_equal(entry("in.mp4", "v:0", entries[k]), entry("out.mp4", "v:0", entries[k]), 1e-6);
      assert_float_equal(entry("in.mp4", "a:0", entries[k]), entry("out.mp4", "a:0", entries[k]), 1e-6);
    }
  }
}

static void the_picture_is_that_of_the_input(void **state) {
  material_make(PICTURE FAST "-crf 5 seen.mp4", "25", 0.6);
  material_copy("seen.mp4", "seen.out.mp4", (VideoQuality){"veryfast", 12});
  g_autoptr(GPtrArray) a = material_frames("seen.mp4", NULL), b = material_frames("seen.out.mp4", NULL);
  assert_int_equal(a->len, b->len);
  for (guint i = 0; i < a->len; i++) {
    const AVFrame *p = a->pdata[i], *q = b->pdata[i];
    double square = 0;
    for (int y = 0; y < 96; y++)
      for (int x = 0; x < 160; x++)
        square += pow(p->data[0][y * p->linesize[0] + x] - q->data[0][y * q->linesize[0] + x], 2);
    assert_true(10 * log10(255 * 255 * 160 * 96 / square) > 36);
  }
}

static void sound_and_picture_may_begin_apart(void **state) {
  material_make(PICTURE TONE FAST "-c:a aac base.mp4", "25", 1.6, 48000, 1.6);
  material_make("-i base.mp4 -itsoffset 0.5 -i base.mp4 -map 0:v -map 1:a -c copy late-sound.mp4");
  material_make("-itsoffset 0.5 -i base.mp4 -i base.mp4 -map 0:v -map 1:a -c copy late-picture.mp4");
  static const char *const names[] = {"late-sound.mp4", "late-picture.mp4"};
  for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
    material_copy(names[i], "apart.out.mp4", quick);
    expect_equal(names[i], "apart.out.mp4", TRUE, 1e-6);
    for (int s = 0; s < 2; s++) {
      const char *stream = s ? "v:0" : "a:0";
      assert_float_equal(entry(names[i], stream, "start_time"), entry("apart.out.mp4", stream, "start_time"),
                         1e-6);
      assert_float_equal(entry(names[i], stream, "duration"), entry("apart.out.mp4", stream, "duration"),
                         1e-6);
    }
  }
}

static void an_edit_list_that_cuts_is_followed(void **state) {
  material_make(PICTURE TONE FAST "-g 100 -c:a aac long.mkv", "25", 3.0, 48000, 3.0);
  material_make("-ss 1.3 -i long.mkv -c copy cut.mp4");
  material_copy("cut.mp4", "cut.out.mp4", quick);
  expect_equal("cut.mp4", "cut.out.mp4", TRUE, 1e-6);
  assert_float_equal(entry("cut.mp4", "v:0", "duration"), entry("cut.out.mp4", "v:0", "duration"), 1e-3);
  assert_float_equal(entry("cut.mp4", "a:0", "duration"), entry("cut.out.mp4", "a:0", "duration"), 1e-3);
}

static void variable_frame_times_survive(void **state) {
  material_make("-f lavfi -i testsrc2=size=160x96:rate=25:duration=1.5 "
                "-vf 'setpts=N*40/1000/TB+mod(N\\,5)*7/1000/TB' -fps_mode vfr -enc_time_base 1/1000 " FAST
                "vfr.mp4");
  material_copy("vfr.mp4", "vfr.out.mp4", (VideoQuality){0});
  expect_equal("vfr.mp4", "vfr.out.mp4", FALSE, 1e-6);
  assert_float_equal(entry("vfr.mp4", "v:0", "duration"), entry("vfr.out.mp4", "v:0", "duration"), 1e-6);
}

static void codecs_that_mp4_holds_are_copied(void **state) {
  static const char *const files[][2] = {
      {"-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus", "copy.webm"},
      {"-c:v mpeg4 -c:a libmp3lame", "copy.avi"},
      {FAST "-c:a flac", "copy.mkv"},
      {FAST "-c:a ac3", "copy.mov"},
  };
  for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
    material_make(PICTURE TONE "%s %s", "25", 1.2, 48000, 1.2, files[i][0], files[i][1]);
    material_copy(files[i][1], "copied.mp4", quick);
    expect_equal(files[i][1], "copied.mp4", TRUE, 0.0011); /* Matroska counts milliseconds */
  }
}

static void broadcasts_keep_picture_and_sound_together(void **state) {
  material_make(PICTURE TONE FAST "-c:a aac -output_ts_offset 900 on.ts", "25", 1.2, 48000, 1.2);
  material_copy("on.ts", "on.out.mp4", quick);
  expect_equal("on.ts", "on.out.mp4", FALSE, 1e-4); /* MPEG-TS packets carry a header that MP4 has once */
  assert_true(entry("on.out.mp4", "v:0", "start_time") < 0.1);
  double before = entry("on.ts", "v:0", "start_time") - entry("on.ts", "a:0", "start_time");
  double after = entry("on.out.mp4", "v:0", "start_time") - entry("on.out.mp4", "a:0", "start_time");
  assert_float_equal(before, after, 1e-3);
}

/* The strength of the tone of 440 Hz in 16-bit mono samples, relative to all sound. */
static double tone_share(const char *name, double from, double seconds) {
  material_make("-ss %g -t %g -i %s -vn -ac 1 -ar 48000 -f s16le tone.raw", from, seconds, name);
  g_autoptr(GByteArray) raw = material_read("tone.raw");
  const gint16 *v = (const gint16 *)(void *)raw->data;
  int count = (int)(raw->len / 2);
  double re = 0, im = 0, all = 0;
  for (int i = 0; i < count; i++) {
    double angle = 2 * G_PI * 440 * i / 48000;
    re += v[i] * cos(angle), im += v[i] * sin(angle), all += (double)v[i] * v[i];
  }
  return all > 0 ? 2 * (re * re + im * im) / (count * all) : 0;
}

static void other_codecs_are_encoded_as_aac(void **state) {
  static const char *const files[][2] = {{FAST "-c:a pcm_s16le", "pcm.mov"},
                                         {"-c:v libvpx -c:a libvorbis", "vorbis.webm"},
                                         {FAST "-c:a mp2", "mp2.mkv"}};
  for (guint i = 0; i < G_N_ELEMENTS(files); i++) {
    material_make(PICTURE TONE "%s %s", "25", 1.5, 44100, 1.5, files[i][0], files[i][1]);
    material_copy(files[i][1], "aac.mp4", quick);
    g_autofree char *codec = material_output(
        "ffprobe -v error -select_streams a:0 -show_entries stream=codec_name -of default=nk=1:nw=1 aac.mp4");
    assert_string_equal(g_strchomp(codec), "aac");
    assert_float_equal(entry("aac.mp4", "a:0", "duration"), 1.5, 0.05);
    assert_float_equal(entry("aac.mp4", "a:0", "start_time"), 0, 0.03);
    assert_true(tone_share("aac.mp4", 0.2, 1.0) > 0.99);
  }
}

static void of_several_sounds_the_default_is_taken(void **state) {
  material_make(PICTURE TONE TONE FAST
                "-map 0 -map 1 -map 2 -c:a aac -disposition:a:0 0 -disposition:a:1 default "
                "-metadata:s:a:1 language=fra two.mp4",
                "25", 1.0, 44100, 1.0, 22050, 1.0);
  material_copy("two.mp4", "one.mp4", quick);
  assert_float_equal(entry("one.mp4", "a:0", "sample_rate"), 22050, 0);
  g_autofree char *language = material_output(
      "ffprobe -v error -select_streams a -show_entries stream_tags=language -of default=nk=1:nw=1 one.mp4");
  assert_string_equal(g_strchomp(language), "fra");
}

static void sound_may_be_missing_or_longer(void **state) {
  material_make(PICTURE FAST "silent.mp4", "25", 0.8);
  material_copy("silent.mp4", "silent.out.mp4", quick);
  expect_equal("silent.mp4", "silent.out.mp4", FALSE, 1e-6);
  material_make(PICTURE TONE FAST "-c:a aac longer.mp4", "25", 0.8, 48000, 4.0);
  material_copy("longer.mp4", "longer.out.mp4", quick);
  expect_equal("longer.mp4", "longer.out.mp4", TRUE, 1e-6);
}

static void colour_and_aspect_are_stated(void **state) {
  material_make(PICTURE "-vf setsar=4/3 " FAST "-color_primaries bt709 -color_trc bt709 -colorspace bt709 "
                        "-color_range tv tagged.mp4",
                "25", 0.6);
  material_copy("tagged.mp4", "tagged.out.mp4", quick);
  static const char *const entries[] = {"color_range",     "color_space",         "color_transfer",
                                        "color_primaries", "sample_aspect_ratio", "display_aspect_ratio"};
  for (guint i = 0; i < G_N_ELEMENTS(entries); i++) {
    g_autofree char *a = words("tagged.mp4", entries[i]), *b = words("tagged.out.mp4", entries[i]);
    assert_string_equal(a, b);
  }
}

static void the_index_stands_in_front(void **state) {
  material_make(PICTURE TONE FAST "-c:a aac fast.mp4", "25", 0.8, 48000, 0.8);
  material_copy("fast.mp4", "fast.out.mp4", quick);
  g_autoptr(GByteArray) bytes = material_read("fast.out.mp4");
  const guint8 *moov = memmem(bytes->data, bytes->len, "moov", 4),
               *mdat = memmem(bytes->data, bytes->len, "mdat", 4);
  assert_non_null(moov);
  assert_true(moov < mdat);
}

static void the_same_input_gives_the_same_bytes(void **state) {
  material_make(PICTURE TONE FAST "-c:a pcm_s16le same.mov", "25", 2.0, 44100, 2.0);
  material_copy("same.mov", "same.1.mp4", (VideoQuality){0});
  material_copy("same.mov", "same.2.mp4", (VideoQuality){0});
  g_autoptr(GByteArray) one = material_read("same.1.mp4"), two = material_read("same.2.mp4");
  assert_int_equal(one->len, two->len);
  assert_memory_equal(one->data, two->data, one->len);
}

static VideoInfo grey_info(void) {
  return (VideoInfo){.width = 64,
                     .height = 64,
                     .time_base = {1, 600},
                     .frame_rate = {30, 1},
                     .frames = 20,
                     .seconds = 20 / 30.0,
                     .range = AVCOL_RANGE_MPEG,
                     .matrix = AVCOL_SPC_BT709};
}

static AVFrame *grey_frame(int index) {
  AVFrame *frame = av_frame_alloc();
  frame->format = AV_PIX_FMT_YUV420P;
  frame->width = 64;
  frame->height = 64;
  frame->pts = 20 * index;
  assert_int_equal(av_frame_get_buffer(frame, 0), 0);
  for (int plane = 0; plane < 3; plane++)
    memset(frame->data[plane],
           plane       ? 128
           : index % 2 ? 235
                       : 16,
           (gsize)frame->linesize[plane] * (plane ? 32 : 64));
  return frame;
}

static gboolean write_grey(VideoOut *out, int frames, GError **error) {
  for (int i = 0; i < frames; i++) {
    AVFrame *frame = grey_frame(i);
    gboolean written = video_out_write(out, frame, error);
    av_frame_free(&frame);
    if (!written)
      return FALSE;
  }
  return video_out_finish(out, error);
}

static void frames_need_not_come_from_a_file(void **state) {
  VideoInfo info = grey_info(), read;
  g_autofree char *path = material_path("mask.mp4");
  g_autoptr(VideoOut) out = video_out_open(path, &info, NULL, (VideoQuality){"veryfast", 10}, NULL);
  assert_true(write_grey(out, 20, NULL));
  g_autoptr(GPtrArray) frames = material_frames("mask.mp4", &read);
  assert_int_equal(frames->len, 20);
  assert_float_equal(read.seconds, 20 / 30.0, 1e-6);
  for (guint i = 0; i < frames->len; i++) {
    const AVFrame *frame = frames->pdata[i];
    assert_in_range(frame->data[0][10], i % 2 ? 233 : 15, i % 2 ? 236 : 18);
    assert_float_equal((double)frame->pts * av_q2d(read.time_base), i / 30.0, 1e-6);
  }
}

/* ---- failing ---- */

static void what_is_not_finished_leaves_nothing(void **state) {
  VideoInfo info = grey_info();
  int before = material_count();
  g_autofree char *path = material_path("never.mp4");
  VideoOut *out = video_out_open(path, &info, NULL, quick, NULL);
  assert_non_null(out);
  assert_int_equal(material_count(), before + 1);
  assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
  AVFrame *frame = grey_frame(0);
  assert_true(video_out_write(out, frame, NULL));
  av_frame_free(&frame);
  video_out_free(out);
  assert_int_equal(material_count(), before);
}

static void frames_of_another_size_or_order_are_refused(void **state) {
  VideoInfo info = grey_info();
  g_autofree char *path = material_path("order.mp4");
  g_autoptr(VideoOut) out = video_out_open(path, &info, NULL, quick, NULL);
  AVFrame *frame = grey_frame(1);
  assert_true(video_out_write(out, frame, NULL));
  assert_false(video_out_write(out, frame, NULL));
  frame->pts += 20;
  frame->height = 62;
  assert_false(video_out_write(out, frame, NULL));
  av_frame_free(&frame);
}

static void places_that_cannot_be_written_are_named(void **state) {
  VideoInfo info = grey_info();
  material_write("file", "x", 1);
  static const char *const places[] = {"absent/out.mp4", "file/out.mp4", "."};
  for (guint i = 0; i < G_N_ELEMENTS(places); i++) {
    g_autofree char *path = material_path(places[i]), *name = g_path_get_basename(places[i]);
    g_autoptr(GError) error = NULL;
    assert_null(video_out_open(path, &info, NULL, quick, &error));
    material_expect_fault(&error, FAULT_OUTPUT, name);
  }
}

/* A limit on the size of files fails as a full disk does: in the middle of writing. */
static void a_full_disk_is_named_and_leaves_nothing(void **state) {
  material_make(PICTURE TONE FAST "-c:a aac full.mp4", "25", 2.0, 48000, 2.0);
  int before = material_count();
  struct rlimit old, low;
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
  for (rlim_t size = 1000; size < 40000; size += 13000) {
    g_autofree char *source = material_path("full.mp4"), *target = material_path("full.out.mp4");
    g_autoptr(GError) error = NULL;
    g_autoptr(VideoIn) in = video_in_open(source, NULL);
    low = (struct rlimit){size, old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    g_autoptr(VideoOut) out = video_out_open(target, video_in_info(in), source, quick, &error);
    for (AVFrame *frame; out && !error && (frame = video_in_next(in, &error)); av_frame_free(&frame))
      video_out_write(out, frame, &error);
    if (!error)
      assert_false(video_out_finish(out, &error));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    material_expect_fault(&error, FAULT_OUTPUT, "full.out.mp4");
    g_clear_pointer(&out, video_out_free);
    assert_int_equal(material_count(), before);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_mp4_is_equal_in_everything_but_the_picture),
      cmocka_unit_test(the_picture_is_that_of_the_input),
      cmocka_unit_test(sound_and_picture_may_begin_apart),
      cmocka_unit_test(an_edit_list_that_cuts_is_followed),
      cmocka_unit_test(variable_frame_times_survive),
      cmocka_unit_test(codecs_that_mp4_holds_are_copied),
      cmocka_unit_test(broadcasts_keep_picture_and_sound_together),
      cmocka_unit_test(other_codecs_are_encoded_as_aac),
      cmocka_unit_test(of_several_sounds_the_default_is_taken),
      cmocka_unit_test(sound_may_be_missing_or_longer),
      cmocka_unit_test(colour_and_aspect_are_stated),
      cmocka_unit_test(the_index_stands_in_front),
      cmocka_unit_test(the_same_input_gives_the_same_bytes),
      cmocka_unit_test(frames_need_not_come_from_a_file),
      cmocka_unit_test(what_is_not_finished_leaves_nothing),
      cmocka_unit_test(frames_of_another_size_or_order_are_refused),
      cmocka_unit_test(places_that_cannot_be_written_are_named),
      cmocka_unit_test(a_full_disk_is_named_and_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, material_setup, material_teardown);
}
