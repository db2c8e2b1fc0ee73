/* A multipart body of any content, cut into pieces of any size: what is heard does not depend on the cuts,
 * and no part begins before the one before it has ended. */
#include "api/http/multipart.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

typedef struct {
  GString *heard;
  gboolean in_part;
} Ear;

static gboolean begin(gpointer user, const MultipartPart *part, GError **error) {
  Ear *ear = user;
  g_assert(!ear->in_part && g_utf8_validate(part->name, -1, NULL));
  g_assert(!part->filename || g_utf8_validate(part->filename, -1, NULL));
  ear->in_part = TRUE;
  g_string_append_printf(ear->heard, "%s|%s|%s=", part->name, part->filename ? part->filename : "",
                         part->type ? part->type : "");
  return TRUE;
}

static gboolean bytes(gpointer user, const char *data, gsize length, GError **error) {
  Ear *ear = user;
  g_assert(ear->in_part && length > 0);
  g_string_append_len(ear->heard, data, (gssize)length);
  return TRUE;
}

static gboolean end(gpointer user, GError **error) {
  Ear *ear = user;
  g_assert(ear->in_part);
  ear->in_part = FALSE;
  g_string_append_c(ear->heard, ';');
  return TRUE;
}

static const MultipartSink sink = {begin, bytes, end};

static gboolean parse(const char *data, gsize size, gsize step, GString *heard) {
  g_autoptr(GError) error = NULL;
  Ear ear = {heard, FALSE};
  g_autoptr(Multipart) multipart = multipart_new("b", &sink, &ear);
  g_string_truncate(heard, 0);
  gboolean good = TRUE;
  for (gsize i = 0; good && i < size; i += step)
    good = multipart_feed(multipart, data + i, MIN(step, size - i), &error);
  good = good && multipart_finish(multipart, &error);
  g_assert(good ? !error && !ear.in_part : g_error_matches(error, REFUSAL, REFUSAL_INVALID));
  return good;
}

static void compare_cuts(const char *body, gsize size, gsize step) {
  g_autoptr(GString) whole = g_string_new(NULL), cut = g_string_new(NULL);
  gboolean good = parse(body, size, size + 1, whole);
  g_assert(parse(body, size, step, cut) == good);
  g_assert(!good || g_string_equal(whole, cut));
}

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size) {
  if (size < 1)
    return 0;
  const char *body = (const char *)data + 1;
  compare_cuts(body, size - 1, 1 + data[0] % 32u);
  /* and as the rest of a body that has begun well */
  g_autoptr(GString) begun = g_string_new("--b\r\nContent-Disposition: form-data; name=a; ");
  g_string_append_len(begun, body, (gssize)size - 1);
  compare_cuts(begun->str, begun->len, 1 + data[0] % 32u);
  g_autofree char *type = g_strndup(body, size - 1), *boundary = multipart_boundary(type, NULL);
  g_assert(!boundary || (strlen(boundary) >= 1 && strlen(boundary) <= 70));
  return 0;
}
