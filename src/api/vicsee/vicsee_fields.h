/* Members of JSON objects, read strictly: VicSee's requests are JSON alone. All FALSE with REFUSAL_INVALID
 * that names the member; object may be NULL. */
#pragma once
#include "api/http/http.h"

/* A text, or NULL when it is absent or null. */
gboolean member_text(const json_t *object, const char *name, const char **value, GError **error);
/* usual when it is absent or null. A real number that is whole counts, and one in quotes. */
gboolean member_integer(const json_t *object, const char *name, gint64 usual, gint64 least, gint64 most,
                        gint64 *value, GError **error);
gboolean member_number(const json_t *object, const char *name, double usual, double least, double most,
                       double *value, GError **error);
/* An object, or NULL when it is absent or null. */
gboolean member_object(const json_t *object, const char *name, const json_t **value, GError **error);
