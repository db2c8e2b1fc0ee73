/* Every note is a short function of the time since it began; the song is their sum. */
#include "performer_sound.h"
#include "performer_dance.h"
#include <libavformat/avformat.h>
#include <math.h>

#define RATE 44100
#define PACKET 1024u /* samples */
#define TAU (2.0 * G_PI)

static guint32 hiss_state(guint32 n) {
  n = (n ^ 61u) ^ (n >> 16);
  n *= 9u;
  n ^= n >> 4;
  n *= 0x27d4eb2du;
  return n ^ (n >> 15);
}

static double hiss(double t) {
  return (double)(hiss_state((guint32)(t * RATE)) & 0xffffu) / 32767.5 - 1.0;
}

static double kick(double t) {
  return t < 0 || t > 0.35 ? 0 : sin(TAU * (48 * t + 5.2 * (1 - exp(-t * 26)))) * exp(-t * 11);
}

static double clap(double t) {
  return t < 0 || t > 0.25 ? 0
                           : hiss(t) * (exp(-t * 26) + 0.6 * exp(-fabs(t - 0.012) * 300)) *
                                 sin(TAU * 1100 * t + 1.5 * hiss(t + 0.5));
}

static double hat(double t) {
  return t < 0 || t > 0.09 ? 0 : (hiss(t) - hiss(t + 1.0 / RATE)) * 0.5 * exp(-t * 60);
}

static double bass(double t, double pitch, double length) {
  if (t < 0 || t > length)
    return 0;
  double p = TAU * pitch * t, fade = fmin(1, (length - t) * 40) * fmin(1, t * 200);
  return (sin(p) + 0.35 * sin(2 * p) * exp(-t * 5) + 0.15 * sin(3 * p) * exp(-t * 9)) * fade;
}

static double pluck(double t, double pitch) {
  if (t < 0 || t > 1.2)
    return 0;
  double sum = 0;
  for (int k = 1; k <= 5; k++)
    sum += sin(TAU * pitch * k * t) * exp(-t * (3.2 + 2.1 * k)) / k;
  return sum * fmin(1, t * 400);
}

static double pad(double t, double pitch) {
  return sin(TAU * pitch * t) + 0.4 * sin(TAU * pitch * 1.003 * t + 1) + 0.2 * sin(TAU * 2 * pitch * t);
}

/* Semitones above A2, in half beats; -1 rests. */
static const int melody[16] = {24, -1, 28, 31, -1, 28, 33, 31, 29, -1, 28, 24, -1, 26, 28, -1};
static const int chords[4][3] = {{12, 16, 19}, {9, 12, 16}, {5, 9, 12}, {7, 11, 14}}; /* each two beats */

static double pitch_of(int semitone) {
  return 110.0 * pow(2.0, semitone / 12.0 - 0.75); /* 12 is C3 */
}

static void song(double t, double *left, double *right) {
  const double beat = 60.0 / DANCE_BEATS_PER_MINUTE;
  double now = t / beat, mid = 0, side = 0;
  for (int back = 0; back < 3; back++) { /* what still sounds */
    double b = floor(now) - back;
    if (b < 0)
      continue;
    double since = t - b * beat;
    int in = (int)fmod(b, DANCE_BEATS), chord = in / 2;
    mid += 0.62 * kick(since) + (in % 2 ? 0.30 * clap(since) : 0);
    mid += 0.26 * bass(since, pitch_of(chords[chord][0] - 12), beat * 0.7) +
           0.20 * bass(since - beat * 0.75, pitch_of(chords[chord][0]), beat * 0.22);
    for (int h = 0; h < 2; h++) {
      double from = since - h * beat / 2;
      side += (h ? 0.16 : 0.08) * hat(from);
      int note = melody[2 * in + h];
      if (note >= 0) {
        mid += 0.16 * pluck(from, pitch_of(note)) + 0.07 * pluck(from - beat * 0.75, pitch_of(note));
        side += 0.05 * pluck(from - beat * 0.375, pitch_of(note));
      }
    }
  }
  int chord = (int)fmod(floor(now), DANCE_BEATS) / 2;
  double swell = 0.6 + 0.4 * (now - floor(now));
  for (int n = 0; n < 3; n++)
    mid += 0.022 * swell * pad(t, pitch_of(chords[chord][n]));
  *left = mid + side;
  *right = mid - side;
}

static void fill(gint16 *samples, guint32 first, guint32 count, double seconds) {
  for (guint32 i = 0; i < count; i++) {
    double t = (double)(first + i) / RATE, out[2], fade = fmin(1, (seconds - t) * 8);
    song(t, &out[0], &out[1]);
    for (int c = 0; c < 2; c++)
      samples[2 * i + (guint32)c] = (gint16)GINT16_TO_LE((gint16)lrint(30000 * tanh(out[c] * 0.9) * fade));
  }
}

static int write_packets(AVFormatContext *file, double seconds) {
  guint32 total = (guint32)lrint(seconds * RATE);
  for (guint32 at = 0; at < total; at += PACKET) {
    guint32 count = MIN(PACKET, total - at);
    AVPacket *packet = av_packet_alloc();
    int code = packet ? av_new_packet(packet, (int)count * 4) : AVERROR(ENOMEM);
    if (code >= 0) {
      fill((gint16 *)packet->data, at, count, seconds);
      packet->pts = packet->dts = av_rescale_q(at, (AVRational){1, RATE}, file->streams[0]->time_base);
      packet->duration = av_rescale_q(count, (AVRational){1, RATE}, file->streams[0]->time_base);
      packet->flags = AV_PKT_FLAG_KEY;
      code = av_write_frame(file, packet);
    }
    av_packet_free(&packet);
    if (code < 0)
      return code;
  }
  return av_write_trailer(file);
}

static int write_file(AVFormatContext *file, const char *path, double seconds) {
  AVStream *stream = avformat_new_stream(file, NULL);
  if (stream == NULL)
    return AVERROR(ENOMEM);
  AVCodecParameters *codec = stream->codecpar;
  codec->codec_type = AVMEDIA_TYPE_AUDIO;
  codec->codec_id = AV_CODEC_ID_PCM_S16LE;
  codec->format = AV_SAMPLE_FMT_S16;
  codec->sample_rate = RATE;
  codec->bits_per_coded_sample = 16;
  codec->block_align = 4;
  codec->bit_rate = RATE * 32;
  av_channel_layout_default(&codec->ch_layout, 2);
  stream->time_base = (AVRational){1, RATE};
  int code = avio_open(&file->pb, path, AVIO_FLAG_WRITE);
  if (code >= 0)
    code = avformat_write_header(file, NULL);
  return code < 0 ? code : write_packets(file, seconds);
}

gboolean sound_write(const char *path, double seconds, GError **error) {
  AVFormatContext *file = NULL;
  int code = avformat_alloc_output_context2(&file, NULL, "mov", path);
  if (code >= 0)
    code = write_file(file, path, seconds);
  if (file)
    avio_closep(&file->pb);
  avformat_free_context(file);
  if (code < 0)
    return fault(error, FAULT_OUTPUT, "The sound cannot be written to %s: %s.", path, av_err2str(code));
  return TRUE;
}
