#include "app/templates/template_prompt.h"

#include "app/inputs/inputs.h"
#include "app/making/generations.h"
#include <string.h>

#define VARIABLES_MOST 20
#define KEY_MOST 40
#define LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"

/* --- tokens --- */

/* The next "{{ key }}" from *at on: its key (transfer full), *begin and *at around it. What only looks like a
 * token is text. */
static char *next_token(const char **at, const char **begin) {
  for (const char *open = strstr(*at, "{{"); open; open = strstr(open + 1, "{{")) {
    const char *key = open + 2 + strspn(open + 2, " \t");
    gsize length = strspn(key, LETTERS);
    const char *close = key + length + strspn(key + length, " \t");
    if (length == 0 || strncmp(close, "}}", 2) != 0)
      continue;
    *begin = open;
    *at = close + 2;
    return g_strndup(key, length);
  }
  return NULL;
}

/* No two spaces in a row, none before a comma or a full stop, no comma after another or at an end. */
static char *tidy(const char *text) {
  GString *result = g_string_new(NULL);
  for (const char *c = text; *c; c++) {
    char last = result->len ? result->str[result->len - 1] : '\0';
    if (*c == ' ' && (last == ' ' || last == '\0'))
      continue;
    if (*c == ',' || *c == '.') {
      if (last == ' ')
        g_string_truncate(result, result->len - 1);
      last = result->len ? result->str[result->len - 1] : '\0';
      if (last == ',' && *c == '.')
        g_string_truncate(result, result->len - 1);
      else if (last == ',' || last == '\0')
        continue;
    }
    g_string_append_c(result, *c);
  }
  while (result->len && strchr(" ,", result->str[result->len - 1]))
    g_string_truncate(result, result->len - 1);
  return g_string_free(result, FALSE);
}

char *template_prompt_fill(const char *prompt, GHashTable *values) {
  g_autoptr(GString) result = g_string_new(NULL);
  gboolean emptied = FALSE;
  const char *at = prompt, *from = prompt, *begin = NULL;
  for (char *key; (key = next_token(&at, &begin)); from = at) {
    const char *value = g_hash_table_lookup(values, key);
    g_free(key);
    g_string_append_len(result, from, begin - from);
    g_string_append(result, value ? value : "");
    emptied = emptied || !value || !*value;
  }
  g_string_append(result, from);
  return emptied ? tidy(result->str) : g_strdup(result->str);
}

/* --- checks --- */

/* The member must be text of so many characters; absent where it may be. */
static gboolean check_text(const json_t *object, const char *name, glong least, glong most, GError **error) {
  const json_t *value = json_object_get(object, name);
  if (!value)
    return least == 0 || fault(error, FAULT_INPUT, "\"%s\" is missing.", name);
  const char *text = json_string_value(value);
  glong length = text ? g_utf8_strlen(text, -1) : -1;
  if (length < least || length > most)
    return fault(error, FAULT_INPUT, "\"%s\" must be text of %ld to %ld characters.", name, least, most);
  return TRUE;
}

static gboolean check_members(const json_t *object, const char *const *known, GError **error) {
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)object, name, value) {
    if (!g_strv_contains(known, name))
      return fault(error, FAULT_INPUT, "\"%.80s\" is not known here.", name);
  }
  return TRUE;
}

static gboolean check_length(const json_t *variable, const char *name, gint64 *length, GError **error) {
  const json_t *value = json_object_get(variable, name);
  if (!value)
    return TRUE;
  if (!json_is_integer(value) || json_integer_value(value) < 0 ||
      json_integer_value(value) > TEMPLATE_TEXT_MOST)
    return fault(error, FAULT_INPUT, "\"%s\" must be a whole number from 0 to %d.", name, TEMPLATE_TEXT_MOST);
  *length = json_integer_value(value);
  return TRUE;
}

static gboolean check_text_variable(const json_t *variable, GError **error) {
  gint64 least = 0, most = TEMPLATE_TEXT_MOST;
  if (json_object_get(variable, "slot"))
    return fault(error, FAULT_INPUT, "a text variable has no \"slot\".");
  if (!check_length(variable, "min_length", &least, error) ||
      !check_length(variable, "max_length", &most, error))
    return FALSE;
  if (least > most)
    return fault(error, FAULT_INPUT, "\"min_length\" is larger than \"max_length\".");
  const char *usual = json_string_value(json_object_get(variable, "default_value"));
  glong length = usual ? g_utf8_strlen(usual, -1) : 0;
  if (usual && (length < least || length > most))
    return fault(error, FAULT_INPUT, "\"default_value\" is shorter or longer than the variable allows.");
  return TRUE;
}

static gboolean check_image_variable(const json_t *variable, GError **error) {
  const char *slot = json_string_value(json_object_get(variable, "slot"));
  const char *usual = json_string_value(json_object_get(variable, "default_value"));
  if (g_strcmp0(slot, "character") != 0 && g_strcmp0(slot, "reference") != 0)
    return fault(error, FAULT_INPUT, "\"slot\" of an image must be \"character\" or \"reference\".");
  if (json_object_get(variable, "min_length") || json_object_get(variable, "max_length"))
    return fault(error, FAULT_INPUT, "an image has no length.");
  if (usual && !g_str_has_prefix(usual, "http://") && !g_str_has_prefix(usual, "https://"))
    return fault(error, FAULT_INPUT, "\"default_value\" of an image must be an http or https address.");
  return TRUE;
}

static gboolean check_variable(const json_t *variable, GError **error) {
  static const char *const known[] = {
      "key",           "label",      "type",       "required", "placeholder", "description",
      "default_value", "min_length", "max_length", "slot",     NULL};
  if (!json_is_object(variable))
    return fault(error, FAULT_INPUT, "it must be an object.");
  const json_t *required = json_object_get(variable, "required");
  if (!check_members(variable, known, error) || !check_text(variable, "key", 1, KEY_MOST, error) ||
      !check_text(variable, "label", 1, INPUT_NAME_MAX, error) ||
      !check_text(variable, "type", 1, 5, error) || !check_text(variable, "slot", 0, KEY_MOST, error) ||
      !check_text(variable, "placeholder", 0, INPUT_DESCRIPTION_MAX, error) ||
      !check_text(variable, "description", 0, INPUT_DESCRIPTION_MAX, error) ||
      !check_text(variable, "default_value", 0, TEMPLATE_TEXT_MOST, error))
    return FALSE;
  const char *key = json_string_value(json_object_get(variable, "key"));
  if (strspn(key, LETTERS) != strlen(key))
    return fault(error, FAULT_INPUT, "\"key\" may have letters, digits and _ only.");
  if (required && !json_is_boolean(required))
    return fault(error, FAULT_INPUT, "\"required\" must be true or false.");
  const char *type = json_string_value(json_object_get(variable, "type"));
  if (g_str_equal(type, "text"))
    return check_text_variable(variable, error);
  if (g_str_equal(type, "image"))
    return check_image_variable(variable, error);
  return fault(error, FAULT_INPUT, "\"type\" must be \"text\" or \"image\".");
}

static gboolean check_variables(const json_t *list, GHashTable *keys, GError **error) {
  int characters = 0;
  if (!json_is_array(list) || json_array_size(list) > VARIABLES_MOST)
    return fault(error, FAULT_INPUT, "\"variables\" must be a list of at most %d variables.", VARIABLES_MOST);
  for (gsize i = 0; i < json_array_size(list); i++) {
    const json_t *variable = json_array_get(list, i);
    g_autoptr(GError) problem = NULL;
    if (!check_variable(variable, &problem))
      return fault(error, FAULT_INPUT, "variable %zu: %s", i + 1, problem->message);
    const char *key = json_string_value(json_object_get(variable, "key"));
    if (!g_hash_table_add(keys, (gpointer)key))
      return fault(error, FAULT_INPUT, "there are two variables \"%s\".", key);
    characters += g_strcmp0(json_string_value(json_object_get(variable, "slot")), "character") == 0;
  }
  return characters <= 1 || fault(error, FAULT_INPUT, "only one variable can be a character.");
}

static gboolean check_tokens(const char *prompt, GHashTable *keys, GError **error) {
  const char *at = prompt, *begin;
  for (char *key; (key = next_token(&at, &begin)); g_free(key))
    if (!g_hash_table_contains(keys, key)) {
      fault(error, FAULT_INPUT, "the token {{%s}} has no variable.", key);
      g_free(key);
      return FALSE;
    }
  return TRUE;
}

gboolean template_prompt_check(const json_t *about, GError **error) {
  static const char *const known[] = {"title", "description", "category",  "prompt",
                                      "model", "aspect",      "variables", NULL};
  g_autoptr(GHashTable) keys = g_hash_table_new(g_str_hash, g_str_equal);
  if (!json_is_object(about))
    return fault(error, FAULT_INPUT, "it is not a JSON object.");
  if (!check_members(about, known, error) || !check_text(about, "title", 1, INPUT_NAME_MAX, error) ||
      !check_text(about, "description", 0, INPUT_DESCRIPTION_MAX, error) ||
      !check_text(about, "category", 0, KEY_MOST, error) ||
      !check_text(about, "prompt", 1, GENERATION_PROMPT_MAX, error) ||
      !check_text(about, "model", 0, INPUT_NAME_MAX, error) || !check_text(about, "aspect", 0, 8, error))
    return FALSE;
  const char *aspect = json_string_value(json_object_get(about, "aspect"));
  g_auto(GStrv) aspects = g_strsplit(GENERATION_ASPECTS, " ", -1);
  if (aspect && !g_strv_contains((const char *const *)aspects, aspect))
    return fault(error, FAULT_INPUT, "\"aspect\" must be one of %s.", GENERATION_ASPECTS);
  return check_variables(json_object_get(about, "variables"), keys, error) &&
         check_tokens(json_string_value(json_object_get(about, "prompt")), keys, error);
}
