#include "api/vicsee/vicsee_pictures.h"

#include "app/inputs/drafts.h"
#include <string.h>

#define DATA_MOST 64 /* entries of a list that are looked into; more are never taken */

void pictures_clear(Pictures *pictures) {
  g_free(pictures->sources);
  g_clear_pointer(&pictures->names, g_ptr_array_unref);
  g_clear_pointer(&pictures->drafts, g_ptr_array_unref);
}

static gboolean read_data(Request *request, const char *name, const char *uri, Pictures *pictures,
                          InputSource *source, GError **error) {
  DraftFile *draft = draft_of_data(request_app(request), name, uri, INPUT_PICTURE_BYTES, error);
  if (!draft)
    return FALSE;
  g_ptr_array_add(pictures->drafts, draft);
  *source = draft_source(draft, name);
  return TRUE;
}

gboolean pictures_read(Request *request, const char *name, const json_t *list, gboolean data,
                       Pictures *pictures, GError **error) {
  gboolean many = json_is_array(list);
  pictures->count = many ? (int)json_array_size(list) : list && !json_is_null(list);
  pictures->sources = g_new0(InputSource, (gsize)pictures->count + 1);
  pictures->names = g_ptr_array_new_with_free_func(g_free);
  pictures->drafts = g_ptr_array_new_with_free_func((GDestroyNotify)draft_file_free);
  for (int i = 0; i < pictures->count; i++) {
    const char *url = json_string_value(many ? json_array_get(list, (gsize)i) : list);
    char *entry = many ? g_strdup_printf("%s[%d]", name, i) : g_strdup(name);
    g_ptr_array_add(pictures->names, entry);
    pictures->sources[i] = (InputSource){.field = entry,
                                         .url_field = entry,
                                         .url = url ? url : "",
                                         .account = request_caller(request)->account};
    if (url && data && i < DATA_MOST && g_ascii_strncasecmp(url, "data:", 5) == 0 &&
        !read_data(request, entry, url, pictures, &pictures->sources[i], error))
      return FALSE;
  }
  return TRUE;
}
