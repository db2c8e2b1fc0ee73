/* PUT and GET of /uploads/KEY. Whoever has the link may put; whoever knows the key, which nobody can guess,
 * may read: that is what a public address is. */
#include "api/uploads.h"

#include "app/inputs/uploads.h"
#include <string.h>

static char *key_of(const Request *request) {
  return g_strdup_printf("users/%s/user-uploads/%s/%s", request_argument(request, "account"),
                         request_argument(request, "upload"), request_argument(request, "file"));
}

gboolean upload_admit(Request *request, guint64 *most, GError **error) {
  gint64 bytes = 0;
  g_autofree char *key = key_of(request);
  if (!upload_open(request_app(request), key, request_query(request, "expires"),
                   request_query(request, "signature"), request_header(request, "Content-Type"), &bytes,
                   error))
    return FALSE;
  *most = (guint64)bytes;
  return TRUE;
}

Answer *upload_put(Api *api, Request *request, GError **error) {
  InputSource source;
  g_autofree char *key = key_of(request);
  request_source(request, "body", &source);
  source.field = "The file";
  if (!source.path)
    return refuse(error, REFUSAL_INVALID, "The file is empty. Put its bytes into the body."), NULL;
  if (!upload_finish(request_app(request), key, &source, error))
    return NULL;
  return answer_json(200, json_pack("{s:s}", "key", key));
}

/* Its type goes by the key's suffix, which goes by the announced type. */
Answer *upload_show(Api *api, Request *request, GError **error) {
  App *app = request_app(request);
  g_autofree char *key = key_of(request), *type = NULL;
  g_autofree char *object = upload_read(app, key, &type, error);
  if (!object)
    return NULL;
  g_autofree char *path = objects_path(app->objects, object, error);
  return path ? answer_file(request, path, request_argument(request, "file"), object) : NULL;
}
