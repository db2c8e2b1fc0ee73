/* multipart/form-data (RFC 7578, on RFC 2046), taken apart while it arrives in pieces of any size.
 *
 * Strict: what does not begin with the boundary, a part without a name, a header that is too long, a transfer
 * encoding and a body that ends before the closing boundary are refused, so that nothing half-sent is taken
 * for whole. (libmicrohttpd's MHD_PostProcessor lets the last two pass and knows no error.) Names and file
 * names may be quoted strings with \" or the browsers' %22, tokens, or the extended form filename*=UTF-8''….
 */
#pragma once
#include "app/refusal.h"

typedef struct {
  const char *name;     /* valid UTF-8 */
  const char *filename; /* NULL when there is none; may be "" */
  const char *type;     /* Content-Type in lower case without parameters; NULL when there is none */
} MultipartPart;

/* Each returns FALSE with *error set to end the parsing. */
typedef struct {
  gboolean (*begin)(gpointer user, const MultipartPart *part, GError **error);
  gboolean (*data)(gpointer user, const char *bytes, gsize length, GError **error);
  gboolean (*end)(gpointer user, GError **error);
} MultipartSink;

typedef struct Multipart Multipart;

/* The boundary of a Content-Type header (transfer full). REFUSAL_INVALID: none, or not 1..70 characters of
 * RFC 2046's. */
char *multipart_boundary(const char *content_type, GError **error);

/* sink is borrowed. */
Multipart *multipart_new(const char *boundary, const MultipartSink *sink, gpointer user);
void multipart_free(Multipart *multipart);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Multipart, multipart_free)

/* REFUSAL_INVALID, or what the sink said. Nothing can be fed after an error. */
gboolean multipart_feed(Multipart *multipart, const char *bytes, gsize length, GError **error);
/* The body is complete. REFUSAL_INVALID where the closing boundary is missing. */
gboolean multipart_finish(Multipart *multipart, GError **error);
