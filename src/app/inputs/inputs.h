/* Pictures and videos that come with a request: uploaded, or named by a URL.
 *
 * An Input is taken in three steps: it lies in a draft (uploaded by the API, or fetched), it is looked at by
 * an engine child (inspect-picture, inspect-video), it is put into the store. Each step refuses what it must,
 * and nothing stays. */
#pragma once
#include "app/app.h"
#include "app/refusal.h"
#include <jansson.h>

/* What the request said; either path or url (both: path wins), or neither. */
typedef struct {
  const char *field;     /* for messages: "ref_image" */
  const char *url_field; /* what messages call its URL: "image_urls[3]"; NULL: FIELD_url */
  const char *path;      /* a draft of the object store, taken over */
  const char *hash;      /* its SHA-256 */
  gint64 bytes;
  const char *url;
  const char *account; /* whose download it is; NULL: not counted */
} InputSource;

typedef enum { INPUT_PICTURE, INPUT_VIDEO } InputKind;

typedef struct {
  char *object;  /* id in the store; NULL: no input */
  json_t *facts; /* as the child said */
} Input;
void input_clear(Input *input);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Input, input_clear)

#define INPUT_PICTURE_BYTES (20 * 1024 * 1024)
#define INPUT_VIDEO_BYTES (500 * 1000 * 1000)

/* TRUE when the request named one at all. */
static inline gboolean input_given(const InputSource *source) {
  return source->path || source->url;
}
/* What is cheap to see: that a URL is one. REFUSAL_URL_FORM. */
gboolean input_glance(const InputSource *source, GError **error);
/* All three steps. May take as long as a download takes. The draft is gone afterwards, whatever happened.
 * REFUSAL_PICTURE_*, REFUSAL_VIDEO_*, REFUSAL_URL. */
gboolean input_take(App *app, InputKind kind, const InputSource *source, Input *input, GError **error);
/* The first two steps, for dry runs: input->object stays NULL. */
gboolean input_inspect(App *app, InputKind kind, const InputSource *source, Input *input, GError **error);

/* Several pictures as one: downloaded side by side, all looked at by one child, and kept only when all are
 * good; inputs[count]. most: bytes of each. Errors name which it is. */
gboolean inputs_take(App *app, const InputSource *sources, int count, gint64 most, Input *inputs,
                     GError **error);
gboolean inputs_inspect(App *app, const InputSource *sources, int count, gint64 most, Input *inputs,
                        GError **error);

/* A name or description: trimmed, valid UTF-8 of at least `least` and at most `most` characters, without
 * control characters (transfer full). REFUSAL_INVALID names the field. */
#define INPUT_NAME_MAX 100
#define INPUT_DESCRIPTION_MAX 2000
char *input_text(const char *field, const char *value, glong least, glong most, GError **error);
