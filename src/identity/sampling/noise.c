/* One Philox block gives four words: for normal numbers two pairs (radius, angle), so four numbers. The key
 * is the seed; the counter is the block's index (low half) and the stream (high half).
 *
 * Every operation on doubles here is an addition, multiplication, division or square root, which IEEE 754
 * fixes to the last bit. The compiler must not fuse them; the file is compiled with -ffp-contract=off. */
#include "identity/sampling/noise.h"
#include <math.h>
#include <string.h>

#define ROUNDS 10
#define MULTIPLIER_0 0xD2511F53u
#define MULTIPLIER_1 0xCD9E8D57u
#define WEYL_0 0x9E3779B9u /* golden ratio */
#define WEYL_1 0xBB67AE85u /* sqrt(3) - 1 */

void philox4x32(const guint32 counter[4], const guint32 key[2], guint32 out[4]) {
  guint32 c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
  for (int round = 0; round < ROUNDS; round++) {
    guint64 p0 = (guint64)MULTIPLIER_0 * c0, p1 = (guint64)MULTIPLIER_1 * c2;
    c0 = (guint32)(p1 >> 32) ^ c1 ^ k0;
    c1 = (guint32)p1;
    c2 = (guint32)(p0 >> 32) ^ c3 ^ k1;
    c3 = (guint32)p0;
    k0 += WEYL_0;
    k1 += WEYL_1;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

static void block(guint64 seed, guint64 stream, guint64 index, guint32 words[4]) {
  const guint32 counter[4] = {(guint32)index, (guint32)(index >> 32), (guint32)stream,
                              (guint32)(stream >> 32)};
  const guint32 key[2] = {(guint32)seed, (guint32)(seed >> 32)};
  philox4x32(counter, key, words);
}

/* ln((word + 1/2) / 2^32). With the argument as m·2^e, m in [1/√2, √2): ln m = 2 artanh((m - 1)/(m + 1)),
 * whose series in the square of at most .0295 is at the double's precision after eleven terms. */
static double log_word(guint32 word) {
  double m = (double)word + .5;
  guint64 bits;
  memcpy(&bits, &m, sizeof bits);
  int e = (int)(bits >> 52) - 1023; /* the argument is positive and normal */
  bits = (bits & 0xFFFFFFFFFFFFFull) | 0x3FF0000000000000ull;
  memcpy(&m, &bits, sizeof m);
  if (m >= 1.4142135623730951) {
    m /= 2;
    e++;
  }
  e -= 32;
  double s = (m - 1) / (m + 1), square = s * s, sum = 0;
  for (int k = 21; k >= 1; k -= 2)
    sum = sum * square + 1.0 / k;
  return 2 * s * sum + e * .6931471805599453;
}

/* Cosine and sine of 2π·word/2^32. The word splits into the nearest multiple of a quarter turn and a rest of
 * at most an eighth; the rest's series are at the double's precision after nine terms. */
static void turn(guint32 word, double *cosine, double *sine) {
  guint32 quarter = (word + 0x20000000u) >> 30;
  gint32 rest = (gint32)(word - (quarter << 30));
  double a = (double)rest * (6.283185307179586 / 4294967296.0), square = a * a, c = 0, s = 0;
  for (int k = 16; k >= 0; k -= 2) {
    c = 1 - square / ((k + 1) * (k + 2)) * c;
    s = 1 - square / ((k + 2) * (k + 3)) * s;
  }
  s *= a;
  *cosine = quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s;
  *sine = quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c;
}

void noise_fill(guint64 seed, guint64 stream, gint64 count, float *out) {
  for (gint64 i = 0; i < count; i += 4) {
    guint32 words[4];
    block(seed, stream, (guint64)(i / 4), words);
    float numbers[4];
    for (int pair = 0; pair < 2; pair++) {
      double radius = sqrt(-2 * log_word(words[2 * pair])), cosine, sine;
      turn(words[2 * pair + 1], &cosine, &sine);
      numbers[2 * pair] = (float)(radius * cosine);
      numbers[2 * pair + 1] = (float)(radius * sine);
    }
    for (gint64 j = 0; j < MIN(4, count - i); j++)
      out[i + j] = numbers[j];
  }
}

void noise_uniform(guint64 seed, guint64 stream, gint64 count, float *out) {
  for (gint64 i = 0; i < count; i += 4) {
    guint32 words[4];
    block(seed, stream, (guint64)(i / 4), words);
    for (gint64 j = 0; j < MIN(4, count - i); j++)
      out[i + j] = (float)(words[j] >> 8) * (1.0f / 16777216);
  }
}
