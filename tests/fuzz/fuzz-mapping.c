/* character_mapping and bg_color from anyone: what is taken is an object of texts, and three bytes. */
#include "app/making/renders.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size) {
  g_autofree char *text = g_strndup((const char *)data, size);
  g_autoptr(GError) error = NULL;
  json_t *mapping = NULL;
  if (render_mapping(text, &mapping, &error)) {
    const char *segment;
    json_t *character;
    g_assert(json_object_size(mapping) > 0);
    json_object_foreach(mapping, segment, character) g_assert(json_is_string(character));
  } else {
    g_assert(error && g_utf8_validate(error->message, -1, NULL));
  }
  json_decref(mapping);
  int colour[3];
  if (render_colour(text, colour))
    for (int i = 0; i < 3; i++)
      g_assert(colour[i] >= 0 && colour[i] <= 255);
  return 0;
}
