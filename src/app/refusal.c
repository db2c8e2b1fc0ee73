#include "app/refusal.h"

#include <string.h>

G_DEFINE_QUARK(troupe - refusal, refusal)

/* By number; the names are in the tables of every installation, so they stay as they are. */
static const char *const names[] = {
    [REFUSAL_INTERNAL] = "internal",
    [REFUSAL_BUSY] = "busy",
    [REFUSAL_INVALID] = "invalid",
    [REFUSAL_KEY_MISSING] = "key_missing",
    [REFUSAL_KEY_SCHEME] = "key_scheme",
    [REFUSAL_KEY_FORM] = "key_form",
    [REFUSAL_KEY_INVALID] = "key_invalid",
    [REFUSAL_FORBIDDEN] = "forbidden",
    [REFUSAL_CREDITS] = "credits",
    [REFUSAL_RATE] = "rate",
    [REFUSAL_NOT_FOUND] = "not_found",
    [REFUSAL_METHOD] = "method",
    [REFUSAL_CONFLICT] = "conflict",
    [REFUSAL_LENGTH] = "length",
    [REFUSAL_TOO_LARGE] = "too_large",
    [REFUSAL_CONTENT_TYPE] = "content_type",
    [REFUSAL_PICTURE_MISSING] = "picture_missing",
    [REFUSAL_PICTURE_FORMAT] = "picture_format",
    [REFUSAL_PICTURE_TOO_LARGE] = "picture_too_large",
    [REFUSAL_PICTURE_BROKEN] = "picture_broken",
    [REFUSAL_VIDEO_MISSING] = "video_missing",
    [REFUSAL_VIDEO_FORMAT] = "video_format",
    [REFUSAL_VIDEO_TOO_LONG] = "video_too_long",
    [REFUSAL_VIDEO_TOO_LARGE] = "video_too_large",
    [REFUSAL_VIDEO_SIZE] = "video_size",
    [REFUSAL_VIDEO_TOO_SMALL] = "video_too_small",
    [REFUSAL_VIDEO_BROKEN] = "video_broken",
    [REFUSAL_URL] = "url",
    [REFUSAL_CHARACTER] = "character",
    [REFUSAL_CHARACTER_NOT_READY] = "character_not_ready",
    [REFUSAL_SCENE] = "scene",
    [REFUSAL_SCENE_NOT_READY] = "scene_not_ready",
    [REFUSAL_TEMPLATE] = "template",
    [REFUSAL_BACKGROUND] = "background",
    [REFUSAL_MODEL] = "model",
    [REFUSAL_MAPPING] = "mapping",
    [REFUSAL_FAST] = "fast",
    [REFUSAL_PICTURES_FEW] = "pictures_few",
    [REFUSAL_PICTURES_MANY] = "pictures_many",
    [REFUSAL_URL_FORM] = "url_form",
    [REFUSAL_TRIGGER] = "trigger",
    [REFUSAL_NOT_TRAINED] = "not_trained",
    [REFUSAL_PROMPT] = "prompt",
    [REFUSAL_ASPECT] = "aspect",
    [REFUSAL_MODEL_MISSING] = "model_missing",
    [REFUSAL_TASK] = "task",
    [REFUSAL_TASK_FOREIGN] = "task_foreign",
    [REFUSAL_RESULT] = "result",
    [REFUSAL_TRAINER] = "trainer",
    [REFUSAL_JSON] = "json",
    [REFUSAL_VARIABLE] = "variable",
    [REFUSAL_TEMPLATE_BROKEN] = "template_broken",
    [REFUSAL_UNPRICED] = "unpriced",
    [REFUSAL_DAY] = "day",
    [REFUSAL_NOBODY] = "nobody",
    [REFUSAL_DIVERGED] = "diverged",
    [REFUSAL_MEMORY] = "memory",
    [REFUSAL_FAILED] = "failed",
};

gboolean refuse(GError **error, Refusal why, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  g_autofree char *text = g_strdup_vprintf(format, arguments);
  va_end(arguments);
  /* A value that was cut short may end within a character. */
  g_autofree char *message = g_utf8_make_valid(text, -1);
  g_set_error_literal(error, REFUSAL, (int)why, message);
  return FALSE;
}

Refusal refusal_of(const GError *error) {
  if (error->domain == REFUSAL)
    return (Refusal)error->code;
  if (g_error_matches(error, FAULT, FAULT_STORE))
    return REFUSAL_BUSY;
  if (g_error_matches(error, FAULT, FAULT_NOBODY))
    return REFUSAL_NOBODY;
  return REFUSAL_INTERNAL;
}

const char *refusal_name(Refusal why) {
  return names[why];
}

Refusal refusal_named(const char *name) {
  for (gsize i = 0; name && i < G_N_ELEMENTS(names); i++)
    if (g_str_equal(names[i], name))
      return (Refusal)i;
  return REFUSAL_INTERNAL;
}
