/* What starts generations in Prism's API. */
#pragma once
#include "api/http/http.h"

/* POST /api/templates/{id}/generate. Its JSON may carry files as data URIs: a body may be longer than usual.
 */
gboolean prism_generate_admit(Request *request, guint64 *most, GError **error);
Answer *prism_generate(Api *api, Request *request, GError **error);
/* POST /api/generations. */
Answer *prism_generations(Api *api, Request *request, GError **error);

/* A text of a JSON body or a form; a JSON member of another type is REFUSAL_INVALID. NULL when absent. */
gboolean prism_text(const Request *request, const char *name, const char **text, GError **error);
