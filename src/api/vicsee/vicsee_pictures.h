/* Lists of image URLs in VicSee's requests, as inputs. */
#pragma once
#include "api/http/http.h"

/* Strings and drafts of its own: it must outlive whoever takes the sources. */
typedef struct {
  InputSource *sources;
  int count;
  GPtrArray *names, *drafts;
} Pictures;
void pictures_clear(Pictures *pictures);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Pictures, pictures_clear)

/* list: of texts; NULL or null is an empty one, a text alone is a list of one. An entry that is no text
 * stays as an address that is none, so that the number of them can be judged before each of them. data: data
 * URIs are understood. Messages name entries as NAME[3]. REFUSAL_INVALID, REFUSAL_TOO_LARGE. */
gboolean pictures_read(Request *request, const char *name, const json_t *list, gboolean data,
                       Pictures *pictures, GError **error);
