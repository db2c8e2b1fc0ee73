#include "api/pages.h"
#include "web.h"

static const char *type_of(const char *name) {
  if (g_str_has_suffix(name, ".html"))
    return "text/html; charset=utf-8";
  if (g_str_has_suffix(name, ".css"))
    return "text/css; charset=utf-8";
  return g_str_has_suffix(name, ".js") ? "text/javascript; charset=utf-8" : "application/json";
}

static Answer *page(const char *name, GError **error) {
  g_autofree char *path = g_strconcat("/web/", name, NULL);
  GBytes *bytes = g_resource_lookup_data(web_get_resource(), path, G_RESOURCE_LOOKUP_FLAGS_NONE, NULL);
  if (!bytes)
    return refuse_null(error, REFUSAL_NOT_FOUND, "There is no page \"%s\".", name);
  Answer *answer = answer_bytes(200, type_of(name), bytes);
  /* A page of ours runs our scripts and asks our server, nothing else. */
  answer_header(answer, "Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'");
  return answer;
}

Answer *page_openapi(Api *api, Request *request, GError **error) {
  return page("openapi.json", error);
}

Answer *page_docs(Api *api, Request *request, GError **error) {
  return page("docs.html", error);
}

Answer *page_docs_file(Api *api, Request *request, GError **error) {
  return page(request_argument(request, "file"), error);
}
