#include "api/vicsee/vicsee_fields.h"

#include <math.h>

static const json_t *member(const json_t *object, const char *name) {
  const json_t *value = json_object_get(object, name);
  return json_is_null(value) ? NULL : value;
}

gboolean member_text(const json_t *object, const char *name, const char **value, GError **error) {
  const json_t *found = member(object, name);
  *value = json_string_value(found);
  return !found || *value || refuse(error, REFUSAL_INVALID, "%s must be a text in quotes.", name);
}

gboolean member_integer(const json_t *object, const char *name, gint64 usual, gint64 least, gint64 most,
                        gint64 *value, GError **error) {
  const json_t *found = member(object, name);
  double number = json_number_value(found);
  *value = usual;
  if (!found || (json_is_string(found) &&
                 g_ascii_string_to_signed(json_string_value(found), 10, least, most, value, NULL)))
    return TRUE;
  if (!json_is_number(found) || number != floor(number) || number < (double)least || number > (double)most)
    return refuse(error, REFUSAL_INVALID,
                  "%s must be a whole number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT ".", name, least,
                  most);
  *value = json_is_integer(found) ? json_integer_value(found) : (gint64)number;
  return TRUE;
}

gboolean member_number(const json_t *object, const char *name, double usual, double least, double most,
                       double *value, GError **error) {
  const json_t *found = member(object, name);
  *value = found ? json_number_value(found) : usual;
  return !found || (json_is_number(found) && *value >= least && *value <= most) ||
         refuse(error, REFUSAL_INVALID, "%s must be a number from %g to %g.", name, least, most);
}

gboolean member_object(const json_t *object, const char *name, const json_t **value, GError **error) {
  *value = member(object, name);
  return !*value || json_is_object(*value) ||
         refuse(error, REFUSAL_INVALID, "%s must be an object of JSON.", name);
}
