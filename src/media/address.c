#include "media/address.h"

#include <string.h>

typedef struct {
  guint8 bytes[16];
  int bits;
} Range;

static const Range special4[] = {
    {{0}, 8},             /* this network */
    {{10}, 8},            /* private */
    {{100, 64}, 10},      /* carrier-grade translation */
    {{127}, 8},           /* loopback */
    {{169, 254}, 16},     /* link-local, with the clouds' metadata services */
    {{172, 16}, 12},      /* private */
    {{192, 0, 0}, 24},    /* protocol assignments */
    {{192, 0, 2}, 24},    /* documentation */
    {{192, 88, 99}, 24},  /* 6to4 relays */
    {{192, 168}, 16},     /* private */
    {{198, 18}, 15},      /* benchmarks */
    {{198, 51, 100}, 24}, /* documentation */
    {{203, 0, 113}, 24},  /* documentation */
    {{224}, 4},           /* multicast */
    {{240}, 4},           /* reserved, with broadcast */
};

static const Range global6 = {{0x20}, 3};
static const Range special6[] = {
    {{0x20, 0x01}, 23},             /* protocol assignments, with Teredo */
    {{0x20, 0x01, 0x0d, 0xb8}, 32}, /* documentation */
    {{0x20, 0x02}, 16},             /* 6to4 */
    {{0x3f, 0xff}, 20},             /* documentation */
};

static const Range mapped = {{[10] = 0xff, [11] = 0xff}, 96};
static const Range translated = {{0x00, 0x64, 0xff, 0x9b}, 96}; /* RFC 6052 */

static gboolean within(const guint8 *bytes, const Range *range) {
  int whole = range->bits / 8, rest = range->bits % 8;
  if (memcmp(bytes, range->bytes, (gsize)whole) != 0)
    return FALSE;
  return rest == 0 || (bytes[whole] ^ range->bytes[whole]) >> (8 - rest) == 0;
}

static gboolean within_any(const guint8 *bytes, const Range *ranges, gsize count) {
  for (gsize i = 0; i < count; i++)
    if (within(bytes, &ranges[i]))
      return TRUE;
  return FALSE;
}

GInetAddress *address_inside(GInetAddress *address) {
  const guint8 *bytes = g_inet_address_to_bytes(address);
  if (g_inet_address_get_family(address) != G_SOCKET_FAMILY_IPV6 ||
      (!within(bytes, &mapped) && !within(bytes, &translated)))
    return NULL;
  return g_inet_address_new_from_bytes(bytes + 12, G_SOCKET_FAMILY_IPV4);
}

gboolean address_public(GInetAddress *address) {
  g_autoptr(GInetAddress) inside = address_inside(address);
  if (inside)
    return address_public(inside);
  const guint8 *bytes = g_inet_address_to_bytes(address);
  if (g_inet_address_get_family(address) == G_SOCKET_FAMILY_IPV4)
    return !within_any(bytes, special4, G_N_ELEMENTS(special4));
  return within(bytes, &global6) && !within_any(bytes, special6, G_N_ELEMENTS(special6));
}
