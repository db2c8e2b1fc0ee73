/* Captions and the files they come from. */
#include "identity/training/caption_template.h"

#include "identity/sampling/generate.h"
#include <string.h>

#define TRIGGER_MAX_BYTES 40

static const char *const templates[] = {"a picture of [trigger]", "[trigger]", "an image of [trigger]",
                                        "a view of [trigger]"};

char *caption_template(const char *given, const char *trigger, const char *class, guint index) {
  if (given && *given)
    return generate_prompt(given, trigger, class);
  g_autofree char *called = class && *class ? g_strdup_printf("%s %s", trigger, class) : g_strdup(trigger);
  return generate_prompt(templates[index % G_N_ELEMENTS(templates)], called, NULL);
}

static char *read_file(const char *path, GError **error) {
  g_autofree char *text = NULL;
  gsize length = 0;
  g_autoptr(GError) problem = NULL;
  if (!g_file_get_contents(path, &text, &length, &problem))
    return fault_null(error, FAULT_INPUT, "%s cannot be read: %s.", path, problem->message);
  if (memchr(text, 0, length))
    return fault_null(error, FAULT_INPUT, "%s is not a text.", path);
  return g_steal_pointer(&text);
}

static char *check(char *text, const char *where, GError **error) {
  g_autofree char *caption = g_strstrip(text);
  if (!*caption)
    return fault_null(error, FAULT_INPUT, "The caption%s is empty.", where);
  if (strlen(caption) > CAPTION_MAX_BYTES)
    return fault_null(error, FAULT_INPUT, "The caption%s is longer than %d bytes.", where, CAPTION_MAX_BYTES);
  if (!g_utf8_validate(caption, -1, NULL))
    return fault_null(error, FAULT_INPUT, "The caption%s is not UTF-8 text.", where);
  return g_steal_pointer(&caption);
}

char *caption_read(const char *text_or_file, GError **error) {
  if (!g_file_test(text_or_file, G_FILE_TEST_IS_REGULAR))
    return check(g_strdup(text_or_file), "", error);
  g_autofree char *where = g_strdup_printf(" in %s", text_or_file);
  char *text = read_file(text_or_file, error);
  return text ? check(text, where, error) : NULL;
}

gboolean caption_beside(const char *picture, char **caption, GError **error) {
  const char *slash = strrchr(picture, '/'), *dot = strrchr(picture, '.');
  int stem = dot && (!slash || dot > slash) ? (int)(dot - picture) : (int)strlen(picture);
  g_autofree char *path = g_strdup_printf("%.*s.txt", stem, picture);
  *caption = NULL;
  if (!g_file_test(path, G_FILE_TEST_IS_REGULAR))
    return TRUE;
  *caption = caption_read(path, error);
  return *caption != NULL;
}

gboolean caption_check_trigger(const char *trigger, GError **error) {
  gboolean good = *trigger && strlen(trigger) <= TRIGGER_MAX_BYTES && g_utf8_validate(trigger, -1, NULL);
  for (const char *at = trigger; good && *at; at = g_utf8_next_char(at))
    good = g_unichar_isalnum(g_utf8_get_char(at)) || *at == '-' || *at == '_';
  return good || fault(error, FAULT_USAGE,
                       "A trigger is one word of letters, digits, - and _, at most %d bytes, not \"%s\".",
                       TRIGGER_MAX_BYTES, trigger);
}
