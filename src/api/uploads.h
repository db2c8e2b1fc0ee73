/* What a client puts ahead of its requests: the other end of the links of app/inputs/uploads.h. */
#pragma once
#include "api/http/http.h"

/* Before the body: the link's signature, the announced type, the longest body. */
gboolean upload_admit(Request *request, guint64 *most, GError **error);
Answer *upload_put(Api *api, Request *request, GError **error);
/* The file itself. */
Answer *upload_show(Api *api, Request *request, GError **error);
